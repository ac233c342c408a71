"""The second check of every dose: independent values beside the engine, always, and what follows where they differ."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.domain.dose import Flag, SecondCheck
from pipeline.physics.dose.second_check import s_value_check, second_check
from pipeline.units import PERCENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.regions import Region
    from pipeline.physics.dose.region_dose import RegionModelDoses
    from pipeline.steps.integrate import RegionKinetics

Document = dict[str, Any]

CHECKED_KINDS = frozenset({"organ", "lesion"})


def second_checks(
    fitted: Sequence[RegionKinetics],
    model: RegionModelDoses,
    nuclide: Radionuclide,
    tolerances: Mapping[str, float],
) -> list[SecondCheck]:
    """Return the checks of every organ and lesion: its mean dose, and an organ's S value where one is published.

    Parameters
    ----------
    fitted : sequence of RegionKinetics
        In the order of ``model``.
    model : RegionModelDoses
    nuclide : Radionuclide
    tolerances : mapping
        From the site profile.
    """
    return [
        check
        for row, kinetics in enumerate(fitted)
        if kinetics.region.kind in CHECKED_KINDS
        for check in _checks(kinetics, model, row, nuclide, tolerances)
    ]


def _checks(
    kinetics: RegionKinetics,
    model: RegionModelDoses,
    row: int,
    nuclide: Radionuclide,
    tolerances: Mapping[str, float],
) -> list[SecondCheck]:
    own, mean, mass = float(model.self_gy[row]), float(model.mean_gy[row]), float(model.mass_g[row])
    region, tia = kinetics.region, kinetics.estimate.tia_bq_s
    of_dose = second_check(region.key, region.kind, tia, mass, nuclide, own, tolerances)
    return [with_cross_dose(of_dose, mean - own), *_of_own_decays(of_dose, region, tia, mass, nuclide, tolerances)]


def _of_own_decays(
    of_dose: SecondCheck,
    region: Region,
    tia_bq_s: float,
    mass_g: float,
    nuclide: Radionuclide,
    tolerances: Mapping[str, float],
) -> list[SecondCheck]:
    """Return the check that no cross-dose dilutes: an organ's published S value, a lesion's sphere."""
    if region.kind == "lesion" and of_dose.tolerance is not None:
        return [replace(of_dose, quantity="self_dose", method=f"{of_dose.method}, own decays alone")]
    own = s_value_check(region.key, tia_bq_s, mass_g, nuclide, of_dose.engine_gy or 0.0, tolerances)
    return [own] if own else []


def with_cross_dose(check: SecondCheck, cross_gy: float) -> SecondCheck:
    """Return a check of a self dose as one of the mean dose: what other regions give is the engine's, and said so."""
    total = check.mean_dose_gy + cross_gy
    mean = (check.engine_gy or 0.0) + cross_gy
    difference = mean / total - 1.0 if total > 0 else 0.0
    return replace(
        check,
        method=f"{check.method}; cross-dose {cross_gy:.3g} Gy from the engine, not checked",
        mean_dose_gy=total,
        engine_gy=mean,
        difference=difference,
        passed=check.tolerance is None or abs(difference) <= check.tolerance,
    )


def check_flags(checks: Sequence[SecondCheck]) -> tuple[Flag, ...]:
    """Return a BLOCK flag for every check that failed; with it the decision becomes REFER (row 26)."""
    return tuple(
        Flag(
            "SECOND_CHECK_FAILED",
            "BLOCK",
            f"engine {PERCENT * check.difference:+.1f} % from {check.method}, "
            f"tolerance {PERCENT * (check.tolerance or 0):.0f} %",
            check.region,
        )
        for check in checks
        if not check.passed
    )
