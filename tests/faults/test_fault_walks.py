"""Faults that only the images betray, through the walk; the whole gallery is `benchmarks/bench_faults.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.walk import walk
from pipeline.errors import RefusalError
from pipeline.steps.request import request_document
from pipeline.steps.run_step import run_step
from sample_dicom.write import write_phantom

pytestmark = pytest.mark.slow

SEED = 3


def filed(folder: Path, fault: str) -> dict:
    """Return the filed result of a phantom with a fault."""
    patient, out = folder / "patient", folder / "out"
    write_phantom(patient, kind="patient", seed=SEED, cycles=1, fault=fault)
    cycle = patient / "cycle-1"
    request = request_document(
        studies=[cycle],
        site=patient / "site.toml",
        cycle_form=cycle / "cycle.toml",
        blood=cycle / "blood.csv",
        contours=[cycle / "contours.nii.gz"],
        engine="convolution",
        backend="cpu",
    )
    out.mkdir()
    return walk(
        request,
        f"sqlite:///{out / 'records.db'}",
        str(out),
        lambda step, payload: {} if step == "report" else run_step(step, payload, out / ".work"),
        lambda _step, _total: None,
    )["result"]


def blocking(result: dict) -> set[str]:
    return {flag["code"] for flag in result["flags"] if flag["level"] == "BLOCK"}


@pytest.mark.parametrize(
    ("fault", "code"), [("wrong-ct", "REGISTRATION_FAILED"), ("half-slices", "REGION_OUTSIDE_FIELD")]
)
def test_nothing_is_filed(tmp_path, fault, code):
    with pytest.raises(RefusalError) as refused:
        filed(tmp_path, fault)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("fault", "code"), [("extravasation", "ACTIVITY_IN_ARM"), ("double-recovery", "RECOVERY_DOUBTFUL")]
)
def test_what_is_filed_asks_for_a_person(tmp_path, fault, code):
    assert code in blocking(filed(tmp_path, fault))
