"""The ledger of every dose of a whole walk: it multiplies back, and starts at the counts of the stored image."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.physics.ledger.chain import multiplied, parts_agree
from pipeline.physics.ledger.filed import activity_ledger, ledger_of
from pipeline.records.store import open_store
from pipeline.steps.dose_tools import sphere_document
from pipeline.steps.uncertainty import simulate_uncertainty

pytestmark = pytest.mark.slow

# Single precision: 24 bits for the voxel and for the factor it is multiplied with.
SINGLE_PRECISION = 2 * 2.0**-24


def _check(result: dict[str, Any]) -> None:
    kinds = set()
    for region in result["regions"]:
        ledger = ledger_of(result, region)
        kinds.add(region["ledger"]["kind"])
        name = region["name"], region["laterality"]
        assert ledger.dose_gy == pytest.approx(region["mean_dose_gy"], rel=1e-9), name
        assert ledger.sigma_gy == pytest.approx(region["mean_dose_sigma_gy"], rel=1e-9), name
        assert parts_agree(ledger.entries), name
        assert ledger.agrees, name
        _check_activities(result, region)
    assert kinds == {"model", "map", "blood"}


def _check_activities(result: dict[str, Any], region: dict[str, Any]) -> None:
    for index, point in enumerate(region["activity"]):
        entries = activity_ledger(result, region, index)
        if not entries:
            assert region["ledger"]["kind"] == "blood" or point["activity_bq"] == 0.0
            continue
        assert multiplied(entries) == pytest.approx(point["activity_bq"], rel=1e-9)
        for entry in entries:
            if entry.step == "rounding":
                assert entry.value == pytest.approx(1.0, abs=SINGLE_PRECISION)


@pytest.mark.parametrize("dialect", ["nm-counts", "nm-rwv", "pet-bqml"])
def test_perfect_phantom(perfect_results: dict[str, dict[str, Any]], dialect: str) -> None:
    _check(perfect_results[dialect])


def test_realistic_phantom(realistic_result: dict[str, Any]) -> None:
    _check(realistic_result)


def test_shares_of_a_realistic_kidney_are_those_of_its_budget(realistic_result: dict[str, Any]) -> None:
    region = next(r for r in realistic_result["regions"] if r["name"] == "kidney")
    shares = {e.step: e.dose_relative_sigma for e in ledger_of(realistic_result, region).entries}
    budget = region["uncertainty"]
    names = {"calibration": "calibration", "recovery": "recovery", "mass": "volume", "fit": "fit"}
    for step, part in (names | {"absorbed_energy": "s_value"}).items():
        assert shares[step] == pytest.approx(budget[part], rel=1e-9), step


def test_a_kidney_keeps_a_little_less_energy_than_a_sphere_of_its_mass(realistic_result: dict[str, Any]) -> None:
    """A sphere has the least surface: electrons within 1 % below it, photons below it and above half of it."""
    region = next(r for r in realistic_result["regions"] if r["name"] == "kidney")
    sphere = sphere_document("Lu-177", [region["mass_g"]], "water")["spheres"][0]
    assert 0.99 < region["ledger"]["electron_fraction"] / sphere["electron_fraction"] < 1.0
    assert 0.5 < region["ledger"]["photon_fraction"] / sphere["photon_fraction"] < 1.0


def test_the_budget_of_every_dose_agrees_with_its_simulation(realistic: Path, realistic_result: dict[str, Any]) -> None:
    """Every part drawn, every curve refitted (10000 draws): two Monte Carlo errors and 4 u2; kidneys 3 %."""
    with open_store(f"sqlite:///{realistic / 'out' / 'records.db'}") as store:
        patient = realistic_result["patient_key"]
        found = simulate_uncertainty(store, patient, on=date(2030, 1, 1), draws=10_000, seed=1)
    assert found["not_simulated"] == []
    assert len(found["regions"]) == len(realistic_result["regions"])
    assert found["verdict"]["agrees"], [row for row in found["regions"] if row["verdict"] != "agrees"]
    for row in found["regions"]:
        if row["region"].startswith("kidney"):
            assert abs(row["sigma_difference"]) < 0.03
            assert all(abs(p["simulated"] / p["analytic"] - 1.0) < 0.03 for p in row["parts"].values())
