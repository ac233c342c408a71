"""A lesion's dose against the cycle before, as filed: only lesions that a person drew in both are the same ones."""

from __future__ import annotations

from typing import Any

from pipeline.records.record import CycleVersion, PatientRecord
from pipeline.steps.filing import with_trends
from pipeline.steps.plausibility import trend_flags


def _lesion(name: str, dose_gy: float | None, method: str = "contours-file") -> dict[str, Any]:
    return {
        "name": name,
        "laterality": None,
        "kind": "lesion",
        "method": method,
        "mean_dose_gy": dose_gy,
        "flags": ["PVE_LIMITED"],
    }


def _document(cycle: int, activity_bq: float, *regions: dict[str, Any]) -> dict[str, Any]:
    info = {"code": "BURDEN_TO_CONFIRM", "level": "INFO", "text": "", "region": None}
    return {
        "patient_key": "phantom-1",
        "cycle": cycle,
        "administration": {"activity_bq": activity_bq},
        "regions": list(regions),
        "flags": [info],
    }


def _record(document: dict[str, Any]) -> PatientRecord:
    version = CycleVersion(document["cycle"], 1, "key", document, "", {}, "", "2026-03-02T10:00:00+00:00")
    return PatientRecord("phantom-1", "", (version,), ())


def test_per_activity_a_rise_of_more_than_half_is_a_warning() -> None:
    # Clinical specification, section 5: tumour doses fall by 6 to 14 % a cycle; a rise above 50 % is a warning.
    before = _document(1, 7.4e9, _lesion("lesion-1", 10.0), _lesion("lesion-2", 10.0))
    # 8 Gy of half the activity is 1.6 times the dose per GBq; 14 Gy of the whole is 1.4 times.
    now = _document(2, 3.7e9, _lesion("lesion-1", 8.0), _lesion("lesion-2", 7.0))
    (flag,) = trend_flags(now, before)
    assert (flag.code, flag.level, flag.region) == ("TUMOUR_DOSE_RISES", "WARN", "lesion-1")
    assert "2.16 Gy/GBq after 1.35" in flag.text


def test_automatic_numbers_and_missing_doses_are_not_compared() -> None:
    before = _document(1, 7.4e9, _lesion("lesion-1", 5.0, "auto-ct-spect-1"), _lesion("lesion-2", None))
    now = _document(2, 7.4e9, _lesion("lesion-1", 50.0), _lesion("lesion-2", 50.0), _lesion("lesion-3", 50.0))
    assert trend_flags(now, before) == ()


def test_the_cycle_before_is_taken_from_the_record() -> None:
    now = _document(2, 7.4e9, _lesion("lesion-1", 20.0))
    found = with_trends(now, _record(_document(1, 7.4e9, _lesion("lesion-1", 10.0))))
    assert found["regions"][0]["flags"] == ["PVE_LIMITED", "TUMOUR_DOSE_RISES"]
    assert [flag["code"] for flag in found["flags"]] == ["TUMOUR_DOSE_RISES", "BURDEN_TO_CONFIRM"]
    assert with_trends(now, None) == now
    third = _document(3, 7.4e9, _lesion("lesion-1", 20.0))
    assert with_trends(third, _record(_document(1, 7.4e9, _lesion("lesion-1", 10.0)))) == third
