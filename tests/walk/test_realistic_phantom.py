"""Blur, noise and motion: a fast subset of `benchmarks/bench_phantoms.py`, whose table stands in docs/validation.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from walking import against_truth, walk_cycle

pytestmark = pytest.mark.slow


def test_kidneys_and_large_lesions(realistic: Path, realistic_result: dict[str, Any]) -> None:
    # The goal is a root mean square over seeds (8 % kidneys, 15 % lesions from 10 mL); one seed may miss it by twice.
    rows = against_truth(realistic, realistic_result)
    kidneys = [rows["left kidney"]["off"], rows["right kidney"]["off"]]
    lesions = [row["off"] for row in rows.values() if row["kind"] == "lesion" and row["true_volume_ml"] >= 10.0]
    assert len(lesions) >= 2
    assert sum(off**2 for off in kidneys) / len(kidneys) < 0.08**2
    assert sum(off**2 for off in lesions) / len(lesions) < 0.15**2


def test_uncertainty_is_stated_and_not_absurd(realistic_result: dict[str, Any]) -> None:
    for region in realistic_result["regions"]:
        if region["name"] == "kidney":
            assert 0.03 < region["mean_dose_sigma_gy"] / region["mean_dose_gy"] < 0.20
            assert set(region["uncertainty"]) >= {"calibration", "recovery", "volume", "fit", "s_value"}


def test_motion_is_found(realistic_result: dict[str, Any]) -> None:
    assert all(entry["accepted"] for entry in realistic_result["registration"])
    assert any(entry["motion_mm"] > 0.5 for entry in realistic_result["registration"])


def test_uncorrected_map_is_below_the_corrected_dose(realistic_result: dict[str, Any]) -> None:
    kidneys = [r for r in realistic_result["regions"] if r["name"] == "kidney"]
    assert len(kidneys) == 2
    assert all(r["map_mean_dose_gy"] < 0.95 * r["mean_dose_gy"] for r in kidneys)
    assert all(0.6 < r["recovery_coefficient"] < 0.97 for r in kidneys)


def test_filing_again_changes_nothing_and_the_filed_result_is_delivered(realistic: Path, realistic_result: Any) -> None:
    again = walk_cycle(realistic, realistic / "out")
    assert again == realistic_result


def test_output_folder(realistic: Path, realistic_result: dict[str, Any]) -> None:
    out = realistic / "out"
    names = {path.name for path in out.iterdir()}
    assert {
        "result.json",
        "report.pdf",
        "dose.nii.gz",
        "bed.nii.gz",
        "tia.nii.gz",
        "labels.nii.gz",
        "pictures",
    } <= names
    assert (out / "report.pdf").stat().st_size > 50_000
    assert realistic_result["decision"]["outcome"] == "REFER"
