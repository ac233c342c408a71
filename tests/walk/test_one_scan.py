"""A later cycle with one scan at 24 h: the patient's own half-lives, or a refusal that names the missing scan."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from walking import against_truth, walk_cycle

from flows.walk import walk
from pipeline.errors import RefusalError
from pipeline.records.store import open_store
from pipeline.steps.request import request_document
from pipeline.steps.run_step import run_step
from pipeline.steps.sign import sign_cycle
from sample_dicom.write import write_phantom

pytestmark = pytest.mark.slow

NO_HYDRONEPHROSIS = "\ntime_points = 1\n[extras]\nnew_hydronephrosis = false\n"


def _later_cycle(patient: Path, out: Path, form: str, *, cycle: int = 2, scans: str = "tp-1") -> dict[str, Any]:
    """Walk a later cycle into a folder of its own; ``scans`` is a folder of the cycle, empty for all."""
    folder = patient / f"cycle-{cycle}"
    cycle_form = out / "cycle.toml"
    cycle_form.write_text((folder / "cycle.toml").read_text(encoding="utf-8") + form, encoding="utf-8")
    request = request_document(
        studies=[folder / scans],
        site=patient / "site.toml",
        cycle_form=cycle_form,
        blood=folder / "blood.csv",
        contours=[folder / "contours.nii.gz"],
        engine="convolution",
        backend="cpu",
    )
    records, work = f"sqlite:///{out / 'records.db'}", out / f".work-{cycle}"
    filed = walk(request, records, str(out / str(cycle)), lambda step, p: run_step(step, p, work), lambda _s, _n: None)
    result: dict[str, Any] = filed["result"]
    return result


def _sign(out: Path, *cycles: int) -> None:
    """Only doses that a physicist signed lend their half-lives."""
    with open_store(f"sqlite:///{out / 'records.db'}") as store:
        for cycle in cycles:
            who: dict[str, Any] = {"role": "physicist", "by": "A. Physicist", "reason": "phantom"}
            sign_cycle(store, "phantom-11", cycle=cycle, **who, at=datetime(2026, 6, 1, tzinfo=UTC))


def test_cycle_2_with_one_scan(tmp_path: Path) -> None:
    patient, out = tmp_path / "patient", tmp_path / "out"
    write_phantom(patient, kind="patient", seed=11, perfect=True, cycles=2)
    walk_cycle(patient, out, cycle=1)
    with pytest.raises(RefusalError) as refusal:
        _later_cycle(patient, out, "")
    assert refusal.value.code == "SINGLE_SCAN_INSUFFICIENT"
    assert "cycle 1, version 1 is a draft" in refusal.value.found
    _sign(out, 1)
    with pytest.raises(RefusalError) as refusal:
        _later_cycle(patient, out, "")
    assert "no creatinine of 2026-02-16 to 2026-03-16" in refusal.value.found
    assert "72-120 h" in refusal.value.needed
    panels = [{"date": "2026-02-25", "creatinine": 74.0}, {"date": "2026-04-15", "creatinine": 76.0}]
    with open_store(f"sqlite:///{out / 'records.db'}") as store:
        store.add_labs("phantom-11", panels, at=datetime(2026, 4, 16, tzinfo=UTC))
    result = _later_cycle(patient, out, NO_HYDRONEPHROSIS)
    rows = against_truth(patient, result)
    for region in ("left kidney", "right kidney", "liver", "spleen", "lesion-1", "lesion-2"):
        # The phantom keeps its half-lives; the mean over their spread lies 0.5 % high, contours and dose within 1 %.
        assert rows[region]["tia_gbq_h"] == pytest.approx(rows[region]["true_tia_gbq_h"], rel=0.012), region
        assert rows[region]["dose_gy"] == pytest.approx(rows[region]["true_dose_gy"], rel=0.02), region
    kidney = next(r for r in result["regions"] if r["name"] == "kidney")
    assert kidney["curve"]["model"] == "single-patient"
    assert kidney["curve"]["half_life_source"] == "cycle 1 (version 1, signed by a physicist) of this patient"
    assert kidney["uncertainty"]["fit"] > 0.06
    codes = {flag["code"] for flag in result["flags"]}
    assert "SINGLE_POINT_PRIOR" in codes
    assert "SCAN_MISSING" not in codes


def test_cycle_3_with_one_scan_after_two_full_ones(tmp_path: Path) -> None:
    patient, out = tmp_path / "patient", tmp_path / "out"
    write_phantom(patient, kind="patient", seed=11, perfect=True, cycles=3)
    walk_cycle(patient, out, cycle=1)
    _later_cycle(patient, out, "", cycle=2, scans="")
    _sign(out, 1, 2)
    panels = [{"date": day, "creatinine": 75.0} for day in ("2026-02-25", "2026-04-15", "2026-06-02")]
    with open_store(f"sqlite:///{out / 'records.db'}") as store:
        store.add_labs("phantom-11", panels, at=datetime(2026, 6, 3, tzinfo=UTC))
    result = _later_cycle(patient, out, NO_HYDRONEPHROSIS, cycle=3)
    rows = against_truth(patient, result)
    for region in ("left kidney", "right kidney", "liver", "spleen", "lesion-1", "lesion-2"):
        # As above; the spread between cycles is open here, so that the mean over it lies up to 1 % high.
        assert rows[region]["tia_gbq_h"] == pytest.approx(rows[region]["true_tia_gbq_h"], rel=0.02), region
        assert rows[region]["dose_gy"] == pytest.approx(rows[region]["true_dose_gy"], rel=0.025), region
    curve = next(r for r in result["regions"] if r["name"] == "kidney")["curve"]
    assert curve["model"] == "hierarchical"
    signed = "(version 1, signed by a physicist)"
    assert curve["half_life_source"] == f"cycles 1 {signed}, 2 {signed} of this patient together"
    assert 0.5 < curve["assumed_fraction"] < 1.0
