"""An anatomy drawn by others through the whole walk; its table is kept where PRRT_ARTEFACTS points.

Set PRRT_PUBLIC_DATA to the folder of the public data (`sample_dicom/public.toml`); without it this is skipped.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

PUBLIC = os.environ.get("PRRT_PUBLIC_DATA", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PUBLIC, reason="PRRT_PUBLIC_DATA is not set: the walk was NOT checked on public anatomy"),
]
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_patient15.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("bench_patient15", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def walked(benchmark, tmp_path_factory):
    """Result and rows with their contours."""
    result, rows = benchmark.found_and_true(Path(PUBLIC), tmp_path_factory.mktemp("patient15"), automatic=False)
    if os.environ.get("PRRT_ARTEFACTS"):
        benchmark.keep(Path(os.environ["PRRT_ARTEFACTS"]), result, rows)
    return result, {row["region"]: row for row in rows}


@pytest.fixture(scope="module")
def automatic(benchmark, tmp_path_factory):
    """Result and rows with automatic contours."""
    result, rows = benchmark.found_and_true(Path(PUBLIC), tmp_path_factory.mktemp("automatic"), automatic=True)
    return result, {row["region"]: row for row in rows}


def test_volumes_are_theirs(walked):
    """Voxel counts of the phantom's own table, each of 0.06744 mL: within 1.5 % after resampling."""
    _, rows = walked
    for region, count in {"left kidney": 2052, "right kidney": 2493, "liver": 15381, "spleen": 1535}.items():
        assert rows[region]["true_volume_ml"] == pytest.approx(count * 0.0674395, rel=0.015), region


def test_found_against_true(walked):
    """Kidneys within 8 %, liver and spleen within 8 %, tumours of 3 to 6 mL within 20 % (one realisation of noise)."""
    _, rows = walked
    for region in ("left kidney", "right kidney", "liver", "spleen"):
        assert abs(rows[region]["off"]) < 0.08, region
    lesions = [row for row in rows.values() if row["kind"] == "lesion"]
    assert len(lesions) == 3
    assert max(abs(row["off"]) for row in lesions) < 0.20
    assert all(abs(row["dose_gy"] - row["true_dose_gy"]) < 2 * row["dose_sigma_gy"] for row in rows.values())


def test_no_gate_stops_it(walked):
    result, _ = walked
    assert [flag["code"] for flag in result["flags"] if flag["level"] == "BLOCK"] == []
    assert all(check["passed"] for check in result["second_check"])
    assert all(entry["accepted"] for entry in result["registration"])


def test_what_it_cannot_know_is_open(walked):
    """No vertebra is segmented and no blood exists: no marrow dose is made up, the decision refers."""
    result, _ = walked
    assert "MARROW_METHOD_UNAVAILABLE" in {flag["code"] for flag in result["flags"]}
    assert [region for region in result["regions"] if region["kind"] == "marrow"] == []
    assert result["decision"]["outcome"] == "REFER"


def test_automatic_contours_tell_kidney_and_spleen_apart(automatic):
    """They touch: volumes within 15 % (once +100 % for the kidney), doses within 10 % (once +17 and -71 %)."""
    _, rows = automatic
    for region in ("left kidney", "right kidney", "liver", "spleen"):
        assert rows[region]["volume_ml"] == pytest.approx(rows[region]["true_volume_ml"], rel=0.15), region
        assert abs(rows[region]["off"]) < 0.10, region
    assert all(abs(row["dose_gy"] - row["true_dose_gy"]) < 2 * row["dose_sigma_gy"] for row in rows.values())


def test_automatic_contours_find_the_tumours_outside_the_liver(automatic):
    """All three (3 to 6 mL, ragged): activities within 10 %; contours too large, so doses low by up to 35 %."""
    result, rows = automatic
    lesions = [row for row in rows.values() if row["kind"] == "lesion"]
    assert len(lesions) == 3
    for row in lesions:
        assert row["activity_mbq"] == pytest.approx(row["true_activity_mbq"], rel=0.10)
        assert -0.35 < row["off"] < 0.10
    unconfirmed = [flag for flag in result["flags"] if flag["code"] == "LESION_UNCONFIRMED"]
    assert len(unconfirmed) == 3
    assert [flag["code"] for flag in result["flags"] if flag["level"] == "BLOCK"] == []
