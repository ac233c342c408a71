"""The ledger multiplies back: a hand-made dose, properties on any numbers, and what it must notice."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DefectError, RefusalError
from pipeline.physics.ledger.chain import Ledger, LedgerEntry, entries_document, multiplied, parts_agree, running_values
from pipeline.physics.ledger.filed import activity_ledger, ledger_of

Document = dict[str, Any]


def _entry(operation: Any, value: float, **more: Any) -> LedgerEntry:
    return LedgerEntry("step", "s", operation, value, "1", "result", "1", "source", "nowhere", **more)


def _values(ledger: Ledger) -> dict[str, float]:
    return dict(zip((e.step for e in ledger.entries), running_values(ledger.entries), strict=True))


def test_the_hand_made_kidney_stands_at_its_numbers_after_each_step(document: Document) -> None:
    """3.6e6 counts / 3600 s x 1.02 x 12500 x 1.0016 / 0.8 x 3e5 s; by hand, to the digits of a double."""
    ledger = ledger_of(document, document["regions"][0])
    after = _values(ledger)
    expected = {
        "acquired_time": 1000.0,
        "dead_time": 1020.0,
        "calibration": 12.75e6,
        "decay": 12.7704e6,
        "recovery": 15.963e6,
        "fit": 4.7889e12,
        "absorbed_energy": 4.7889e12 * 0.14967,
        "mass": 4.7889e12 * 0.14967 * 1.602176634e-10 / 150.0,
        "cross_dose": 0.79057838,
    }
    for step, value in expected.items():
        assert after[step] == pytest.approx(value, rel=1e-8), step
    assert ledger.dose_gy == pytest.approx(document["regions"][0]["mean_dose_gy"], rel=1e-9)
    assert ledger.agrees


def test_the_rounding_line_is_one_where_nothing_was_rounded(document: Document) -> None:
    entry = next(e for e in ledger_of(document, document["regions"][0]).entries if e.step == "rounding")
    assert entry.value == pytest.approx(1.0, abs=1e-14)


def test_sigma_is_that_of_the_budget(document: Document) -> None:
    """0.03, 0.05, 0.6 x 0.1, 0.04, 0.015 in quadrature: 0.09394."""
    ledger = ledger_of(document, document["regions"][0])
    assert ledger.relative_sigma == pytest.approx(math.sqrt(0.0009 + 0.0025 + 0.0036 + 0.0016 + 0.000225), rel=1e-12)
    shares = {e.step: e.dose_relative_sigma for e in ledger.entries if e.dose_relative_sigma}
    assert shares == pytest.approx(
        {"calibration": 0.03, "recovery": 0.05, "fit": 0.04, "absorbed_energy": 0.015, "mass": 0.06}
    )


def test_head_and_tail_stand_apart_from_the_curve(document: Document) -> None:
    """Mono from 22 MBq with 4e-6/s has 5.5e12 Bq s; the constant head took 13 % off: 4.7889e12 / 5.5e12."""
    fit = next(e for e in ledger_of(document, document["regions"][0]).entries if e.step == "fit")
    assert [part.step for part in fit.parts] == ["amplitude", "rate", "head_and_tail"]
    assert fit.parts[2].value == pytest.approx(4.7889 / 5.5, rel=1e-12)


def test_marrow_by_blood(document: Document) -> None:
    ledger = ledger_of(document, document["regions"][3])
    after = _values(ledger)
    assert after["blood_density"] == pytest.approx(1e9, rel=1e-12)
    assert after["self_s_value"] == pytest.approx(0.013455, rel=1e-12)
    assert ledger.dose_gy == pytest.approx(0.033455, rel=1e-12)
    assert ledger.sigma_gy == pytest.approx(math.hypot(0.05 * 0.013455, 0.015 * 0.013455, 0.002), rel=1e-12)
    assert ledger.agrees


def test_every_region_agrees_and_every_part_multiplies_to_its_factor(document: Document) -> None:
    for region in document["regions"]:
        ledger = ledger_of(document, region)
        assert ledger.agrees, region["name"]
        assert parts_agree(ledger.entries)


def test_the_remainder_has_no_recovery_of_its_own(document: Document) -> None:
    """The filed coefficient of the remainder is 1; measured over corrected activity is 0.8."""
    recovery = next(e for e in ledger_of(document, document["regions"][2]).entries if e.step == "recovery")
    assert recovery.value == pytest.approx(0.8, rel=1e-12)


def test_other_time_points_are_told_from_counts_to_activity(document: Document) -> None:
    entries = activity_ledger(document, document["regions"][0], 1)
    assert multiplied(entries) == pytest.approx(6.0e6, rel=1e-12)
    assert entries[0].value == pytest.approx(4.8e6 * 3600.0 / (1.02 * 12500.0 * 1.0016), rel=1e-12)
    assert "resampled" in entries[0].source
    assert activity_ledger(document, document["regions"][3], 0) == ()


def test_an_image_in_bq_per_ml_starts_with_its_voxel_volume(document: Document) -> None:
    point = document["time_points"][0]
    point["stored_unit"] = "Bq/mL"
    point["calibration_steps"] = point["calibration_steps"][-1:]
    region = document["regions"][0]
    region["ledger"]["stored_sum"] = 12.75e7
    ledger = ledger_of(document, region)
    assert [e.step for e in ledger.entries[:5]] == ["counts", "voxel_volume", "calibration", "decay", "rounding"]
    assert (ledger.entries[2].value, ledger.entries[2].relative_sigma) == (1.0, 0.03)
    assert _values(ledger)["decay"] == pytest.approx(12.7704e6, rel=1e-12)
    assert ledger.agrees


def test_a_first_point_without_activity_is_passed_over(document: Document) -> None:
    region = document["regions"][0]
    region["activity"][0]["activity_bq"] = -1e5
    ledger = ledger_of(document, region)
    assert ledger.agrees
    assert "resampled" in ledger.entries[0].source


def _counts(region: Document, _point: Document) -> None:
    region["ledger"]["stored_sum"] *= 1.0001


def _camera(_region: Document, point: Document) -> None:
    point["calibration_steps"][2]["factor"] = 12600.0


def _tia(region: Document, _point: Document) -> None:
    region["tia_bq_s"] *= 1.0 + 1e-8


def _mass(region: Document, _point: Document) -> None:
    region["mass_g"] = 151.0


def _energy(region: Document, _point: Document) -> None:
    region["ledger"]["electron_fraction"] = 0.98


def _cross(region: Document, _point: Document) -> None:
    region["ledger"]["neighbours_gy"] = 0.021


def _dose(region: Document, _point: Document) -> None:
    region["mean_dose_gy"] *= 1.0 + 1e-8


def _sigma(region: Document, _point: Document) -> None:
    region["uncertainty"]["fit"] = 0.05


@pytest.mark.parametrize("change", [_counts, _camera, _tia, _mass, _energy, _cross, _dose, _sigma])
def test_a_changed_factor_is_noticed(document: Document, change: Callable[[Document, Document], None]) -> None:
    region = document["regions"][0]
    change(region, document["time_points"][0])
    assert not ledger_of(document, region).agrees


@pytest.mark.parametrize("name", ["ledger", "mean_dose_gy", "mean_dose_sigma_gy"])
def test_without_factors_or_dose_there_is_no_ledger(document: Document, name: str) -> None:
    region = document["regions"][0]
    region[name] = None
    with pytest.raises(RefusalError, match="LEDGER_MISSING"):
        ledger_of(document, region)


def test_without_any_activity_there_is_no_ledger(document: Document) -> None:
    region = document["regions"][0]
    region["activity"] = [point | {"activity_bq": 0.0} for point in region["activity"]]
    with pytest.raises(RefusalError, match="LEDGER_MISSING"):
        ledger_of(document, region)


def test_the_document_names_source_and_place_of_every_factor(document: Document) -> None:
    for region in document["regions"]:
        pending = entries_document(ledger_of(document, region).entries)
        while pending:
            entry = pending.pop()
            pending += entry["parts"]
            assert min(len(entry[key]) for key in ("step", "symbol", "unit", "source", "changed_in", "gives")) > 0


def test_a_ledger_starts_once() -> None:
    for entries in ([_entry("multiply", 2.0)], [_entry("start", 1.0), _entry("start", 2.0)]):
        with pytest.raises(DefectError, match="starts once"):
            running_values(entries)


def test_a_part_that_does_not_multiply_back_is_found_at_any_depth() -> None:
    wrong = _entry("add", 3.0, parts=(_entry("start", 3.1),))
    top = _entry("start", 5.0, parts=(_entry("start", 2.0), wrong))
    assert multiplied(top.parts) == 5.0
    assert not parts_agree([top])


numbers = st.floats(min_value=1e-12, max_value=1e12)
operations = st.lists(st.tuples(st.sampled_from(["multiply", "divide", "add"]), numbers), max_size=20)


@given(numbers, operations)
def test_what_stands_there_undone_step_by_step_is_the_start(start: float, steps: list[tuple[str, float]]) -> None:
    """Going up from the foot with the inverse operations gives back each value (1e-9: subtraction may cancel)."""
    entries = [_entry("start", start), *(_entry(operation, value) for operation, value in steps)]
    after = running_values(entries)
    for entry, before, value in zip(entries[1:], after, after[1:], strict=False):
        undone = {
            "multiply": value / entry.value,
            "divide": value * entry.value,
            "add": value - entry.value,
        }[entry.operation]
        assert undone == pytest.approx(before, rel=1e-9, abs=1e-9 * abs(value))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-2, 2)), min_size=1, max_size=8))
def test_sigma_is_the_quadrature_of_all_entries(parts: list[tuple[float, float]]) -> None:
    entries = [_entry("start", 2.0, relative_sigma=None)]
    entries += [_entry("multiply", 1.0, relative_sigma=s, sensitivity=k) for s, k in parts]
    ledger = Ledger(tuple(entries), 2.0, 2.0 * math.sqrt(sum((s * k) ** 2 for s, k in parts)))
    assert ledger.sigma_gy == pytest.approx(ledger.filed_sigma_gy, rel=1e-12, abs=1e-150)
