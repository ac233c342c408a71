"""An independent mean dose beside the engine's, from published S values and formulas only.

It shares no kernel file and no code with the engine: absorbed fractions of spheres fitted to a published list of sphere
S values, and the photon part of published organ S values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.domain.dose import SecondCheck
from pipeline.errors import require
from pipeline.units import GY_G_PER_MEV, GY_PER_BQ_S_PER_MGY_PER_MBQ_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.domain.nuclide import Radionuclide


@dataclass(frozen=True)
class ReferenceOrgan:
    """Published self S value of one organ and the mass it belongs to."""

    s_mgy_per_mbq_s: float
    mass_g: float


# OLINDA/EXM 2, adult male, Lu-177 (Stabin and Siegel, J Nucl Med 59:154, 2018; values as in PyTheranostics'
# Lu177-Male-Svalues.csv). Kidneys are published together (7.76e-5 for 310 g): one kidney holds half of the mass and of
# the decays, so its own S value is twice the pair's.
LU177_ORGANS: dict[str, ReferenceOrgan] = {
    "kidney": ReferenceOrgan(2 * 7.76e-5, 155.0),
    "liver": ReferenceOrgan(1.37e-5, 1800.0),
    "spleen": ReferenceOrgan(1.60e-4, 150.0),
}

# Absorbed fractions of a sphere of radius R (g/cm2): 1 / (1 + a / R^b), the form of Amato, Lizio and Baldari (Phys Med
# Biol 54:4171, 2009). The four numbers are a least-squares fit, to 0.4 %, of the 15 self S values from 4.3 mg to 0.93
# kg of soft tissue (1.04 g/cm3) in PyTheranostics' spheres.json (Apache-2.0; MIRDcalc type).
TISSUE_DENSITY_G_PER_CM3 = 1.04
ELECTRON_FIT = (0.014816, 1.17246)
PHOTON_FIT = (38.652, 1.15760)
# The fit belongs to these energies of Lu-177 (ICRP Publication 107), MeV per decay.
LU177_ELECTRON_MEV = 0.14798
LU177_PHOTON_MEV = 0.03510

_FOUR_THIRDS_PI = 4.1887902047863905


def _sphere_fraction(mass_g: float, fit: tuple[float, float]) -> float:
    radius_g_per_cm2 = (mass_g / TISSUE_DENSITY_G_PER_CM3 / _FOUR_THIRDS_PI) ** (1 / 3) * TISSUE_DENSITY_G_PER_CM3
    return float(1.0 / (1.0 + fit[0] / radius_g_per_cm2 ** fit[1]))


def _electron_s_gy_per_bq_s(mass_g: float) -> float:
    return GY_G_PER_MEV * LU177_ELECTRON_MEV * _sphere_fraction(mass_g, ELECTRON_FIT) / mass_g


def sphere_s_published(mass_g: float) -> float:
    """Return the self S value (Gy per decay) of a Lu-177 sphere of soft tissue from the fit to published values."""
    photons = GY_G_PER_MEV * LU177_PHOTON_MEV * _sphere_fraction(mass_g, PHOTON_FIT) / mass_g
    return _electron_s_gy_per_bq_s(mass_g) + photons


def organ_s_published(organ: ReferenceOrgan, mass_g: float) -> float:
    """Return the self S value (Gy per decay) of an organ of another mass than the reference.

    Electrons by the sphere's absorbed fraction over the mass; photons, the rest of the published value, by mass^(-2/3)
    (MIRD Pamphlet 11; Snyder, 1975).
    """
    published = organ.s_mgy_per_mbq_s * GY_PER_BQ_S_PER_MGY_PER_MBQ_S
    photons = published - _electron_s_gy_per_bq_s(organ.mass_g)
    return float(_electron_s_gy_per_bq_s(mass_g) + photons * (organ.mass_g / mass_g) ** (2 / 3))


def s_value_check(
    region: str,
    tia_bq_s: float,
    mass_g: float,
    nuclide: Radionuclide,
    self_gy: float,
    tolerances: Mapping[str, float],
) -> SecondCheck | None:
    """Return an organ's own S value against the published one scaled to its mass; None where none is published.

    The engine's S value is the dose from the region's own decays over their number. No cross-dose enters, so that an
    error of the self dose is not diluted by what neighbours give.

    Parameters
    ----------
    region : str
        Name or key, as ``kidney_left``.
    tia_bq_s, mass_g : float
        Of the region; both as in the engine's dose.
    nuclide : Radionuclide
    self_gy : float
        The engine's dose from the region's own decays.
    tolerances : mapping
        As for :func:`second_check`.
    """
    organ = LU177_ORGANS.get(_organ_of(region))
    if organ is None or nuclide.name != "Lu-177" or tia_bq_s <= 0.0:
        return None
    s_value = organ_s_published(organ, mass_g)
    difference = self_gy / (tia_bq_s * s_value) - 1.0
    tolerance = _tolerance(region, "organ", nuclide, tolerances)
    return SecondCheck(
        region=region,
        method=f"OLINDA/EXM 2 self S value scaled to the mass, own decays alone: {s_value:.3e} Gy/(Bq s), engine "
        f"{self_gy / tia_bq_s:.3e}",
        mean_dose_gy=tia_bq_s * s_value,
        difference=difference,
        tolerance=tolerance,
        passed=tolerance is None or abs(difference) <= tolerance,
        quantity="self_dose",
        engine_gy=self_gy,
    )


def _organ_of(name: str) -> str:
    return next((organ for organ in LU177_ORGANS if name == organ or name.startswith(f"{organ}_")), "")


def _local_dose_gy(tia_bq_s: float, mass_g: float, nuclide: Radionuclide) -> float:
    return tia_bq_s * nuclide.electron_mev * GY_G_PER_MEV / mass_g


def _estimate(name: str, kind: str, tia_bq_s: float, mass_g: float, nuclide: Radionuclide) -> tuple[float, str]:
    """Return (dose in Gy, method)."""
    if nuclide.name != "Lu-177":
        return _local_dose_gy(tia_bq_s, mass_g, nuclide), "electrons absorbed locally (no published list in use)"
    organ = _organ_of(name)
    if organ:
        s_value = organ_s_published(LU177_ORGANS[organ], mass_g)
        return tia_bq_s * s_value, "OLINDA/EXM 2 self S value scaled to the mass"
    if kind == "lesion":
        return tia_bq_s * sphere_s_published(mass_g), "published sphere S values at the mass"
    return _local_dose_gy(tia_bq_s, mass_g, nuclide), "electrons absorbed locally"


def _tolerance(name: str, kind: str, nuclide: Radionuclide, tolerances: Mapping[str, float]) -> float | None:
    if nuclide.name != "Lu-177":
        return None
    key = _organ_of(name) or ("lesion" if kind == "lesion" else "")
    return tolerances.get(key)


def second_check(
    region: str,
    kind: str,
    tia_bq_s: float,
    mass_g: float,
    nuclide: Radionuclide,
    mean_dose_gy: float,
    tolerances: Mapping[str, float],
) -> SecondCheck:
    """Return the independent dose of one region and whether the engine's agrees.

    Parameters
    ----------
    region : str
        Name or key, as ``kidney`` or ``kidney_left``.
    kind : str
        ``lesion`` is checked as a sphere.
    tia_bq_s : float
        That the engine's dose was made from.
    mass_g : float
    nuclide : Radionuclide
    mean_dose_gy : float
        The engine's.
    tolerances : mapping
        Relative, by ``kidney``, ``liver``, ``spleen``, ``lesion``. A region without one is information only and passes.

    Returns
    -------
    SecondCheck
        ``difference`` is engine / check - 1.

    Raises
    ------
    RefusalError
        ``SECOND_CHECK_INPUT``.

    Notes
    -----
    Cross-dose of other regions is not in the check: the engine is about 1 to 2 % higher in a kidney, more where much
    activity lies beside a faint region (the liver's tolerance allows for it). Below 1 g a lesion's shape matters: a
    sphere escapes least, so a flat lesion of 0.1 g may differ by more than the tolerance without an error.
    """
    require(
        tia_bq_s >= 0 and mass_g > 0 and mean_dose_gy >= 0,
        "SECOND_CHECK_INPUT",
        found=f"TIA {tia_bq_s} Bq s, mass {mass_g} g, dose {mean_dose_gy} Gy",
        needed="a TIA and a dose >= 0, a mass above 0",
        do="check the region's fit and contour",
        where=region,
    )
    dose, method = _estimate(region, kind, tia_bq_s, mass_g, nuclide)
    if dose == 0:
        nothing = "no decays in the region: nothing to check"
        return SecondCheck(region, nothing, 0.0, 0.0, None, passed=True, engine_gy=mean_dose_gy)
    tolerance = _tolerance(region, kind, nuclide, tolerances)
    difference = mean_dose_gy / dose - 1.0
    return SecondCheck(
        region=region,
        method=method,
        mean_dose_gy=dose,
        difference=difference,
        tolerance=tolerance,
        passed=tolerance is None or abs(difference) <= tolerance,
        engine_gy=mean_dose_gy,
    )
