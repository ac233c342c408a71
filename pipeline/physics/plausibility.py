"""Ranges that a result should lie in, and what follows where it does not (clinical specification section 5).

WARN: outside what the literature reports. BLOCK: a person must sign off. The BLOCK ranges and, where no source gives
one, the WARN ranges are project choices of that section.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pipeline.domain.dose import Flag
from pipeline.physics.plausible_range import PlausibleRange
from pipeline.units import BQ_PER_GBQ, PERCENT, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.regions import RegionKind
    from pipeline.physics.dose.marrow import MarrowMethod

# Gy/GBq. Kidney: Willowson 2018 0.38 +- 0.19, Staanum 2021 0.46, Santoro 2018 0.27-0.91, Gupta 2013 0.57; liver and
# spleen: Santoro 2018, Gupta 2013; marrow: PMC10478826 (blood 0.009-0.029, vertebrae 0.033-0.157).
DOSE_PER_ACTIVITY: Final[dict[str, PlausibleRange]] = {
    "kidney": PlausibleRange((0.2, 1.0), (0.1, 2.0), "Willowson 2018, Staanum 2021, Santoro 2018, Gupta 2013"),
    "liver": PlausibleRange((0.05, 1.0), (0.02, 3.0), "Gupta 2013, Santoro 2018"),
    "spleen": PlausibleRange((0.2, 2.0), (0.05, 4.0), "Santoro 2018, Gupta 2013"),
}
MARROW_BLOOD: Final = PlausibleRange((0.005, 0.08), (0.002, 0.2), "PMC10478826; Santoro 2018")
MARROW_IMAGE: Final = PlausibleRange((0.02, 0.2), (0.01, 0.6), "PMC10478826")
# Gy per cycle: 2-77 Gy in lesions of 8 mL or more (Lund, clinical specification 5).
TUMOUR_DOSE: Final = PlausibleRange((1.0, 100.0), (0.2, 300.0), "Lund lesions of 8 mL or more; Gupta 2013")
# Effective half-life in hours; the physical half-life of Lu-177 is the upper BLOCK bound.
HALF_LIFE_H: Final[dict[str, PlausibleRange]] = {
    "kidney": PlausibleRange((30.0, 80.0), (15.0, 159.6), "about 45-60 h typical"),
    "liver": PlausibleRange((35.0, 120.0), (15.0, 159.6), "about 60-80 h typical"),
    "spleen": PlausibleRange((35.0, 120.0), (15.0, 159.6), "about 60-80 h typical"),
    "lesion": PlausibleRange((30.0, 150.0), (15.0, 159.6), "about 60-110 h typical"),
    "remainder": PlausibleRange((20.0, 110.0), (10.0, 159.6), "about 40-70 h typical"),
}
VOLUME_ML: Final[dict[str, PlausibleRange]] = {
    "kidney": PlausibleRange((100.0, 300.0), (50.0, 500.0), "MRI: 202 mL men, 154 mL women"),
    "liver": PlausibleRange((800.0, 3500.0), (500.0, 8000.0), "Vauthey 2002, Urata 1995"),
}
LEFT_TO_RIGHT: Final = PlausibleRange((0.75, 1.33), (0.5, 2.0), "project choice")
NET_TO_PRESCRIBED: Final = PlausibleRange((0.9, 1.1), (0.75, 1.25), "EANM on Euratom Art. 56: within 10 %")
RECOVERED_AT_24_H: Final = PlausibleRange((0.05, 0.9), (0.0, 1.0), "more than was given is impossible")
# Electrons end within 2 mm: only those of a thin layer leave the body, and nothing adds any.
ELECTRON_CLOSURE: Final = PlausibleRange((0.98, 1.005), (0.9, 1.02), "electrons stay in the body; project choice")
# Adult blood volume, ICRP Publication 89 (2002): 5.3 L men, 3.9 L women; the share's bounds are a project choice.
BLOOD_VOLUME_ML: Final = 5000.0
BLOOD_SHARE_POSSIBLE: Final = (5e-4, 2.0)
LESION_WITH_DOSE_ML: Final = 8.0
# Below: more than half of what the region holds was measured elsewhere. Above: a region like its surroundings measures
# 1 at any blur; at 1.2 a sixth of what it measures comes from hotter neighbours, whose correction carries its dose.
RECOVERY_TOO_LOW: Final = 0.5
RECOVERY_TOO_HIGH: Final = 1.2
TREND_RISE: Final = 1.5
RECOVERY_CURVE_MISFIT: Final = 0.03


def dose_flags(
    name: str,
    kind: RegionKind,
    dose_gy: float,
    administered_bq: float,
    *,
    region: str | None = None,
    marrow_method: MarrowMethod | None = None,
) -> tuple[Flag, ...]:
    """Return the flags of a region's mean dose.

    Parameters
    ----------
    name : str
        Name of the organ, as ``kidney``.
    kind : str
        Kind of the region.
    dose_gy, administered_bq : float
        Of one cycle.
    region : str, optional
        Key for the flag; the name where not given.
    marrow_method : str, optional
        Decides which range a marrow dose is held against.

    Returns
    -------
    tuple of Flag
    """
    if kind == "lesion":
        return _flags("DOSE_IMPLAUSIBLE", f"{name}: dose", dose_gy, "Gy", TUMOUR_DOSE, region or name)
    expected = DOSE_PER_ACTIVITY.get(name)
    if kind == "marrow":
        expected = MARROW_IMAGE if marrow_method == "image_vertebra" else MARROW_BLOOD
    per_gbq = dose_gy / (administered_bq / BQ_PER_GBQ)
    return _flags("DOSE_IMPLAUSIBLE", f"{name}: dose per activity", per_gbq, "Gy/GBq", expected, region or name)


def half_life_range_h(name: str, kind: RegionKind) -> tuple[float, float] | None:
    """Return the effective half-lives (h) outside which a region's fit is a warning; None where none are known."""
    expected = HALF_LIFE_H.get(_stem(name, kind))
    return None if expected is None else expected.warn


def half_life_flags(name: str, kind: RegionKind, half_life_s: float, *, region: str | None = None) -> tuple[Flag, ...]:
    """Return the flags of a region's effective half-life."""
    expected = HALF_LIFE_H.get(_stem(name, kind))
    half_life_h = half_life_s / SECONDS_PER_HOUR
    return _flags("HALF_LIFE_IMPLAUSIBLE", f"{name}: effective half-life", half_life_h, "h", expected, region or name)


def volume_flags(name: str, kind: RegionKind, volume_ml: float, *, region: str | None = None) -> tuple[Flag, ...]:
    """Return the flags of a region's volume; small lesions are limited by partial volume."""
    key = region or name
    if kind == "lesion" and volume_ml < LESION_WITH_DOSE_ML:
        text = (
            f"{name}: {volume_ml:.1f} mL, below {LESION_WITH_DOSE_ML:.0f} mL; its dose rests on the recovery correction"
        )
        return (Flag("PVE_LIMITED", "WARN", text, key),)
    return _flags("VOLUME_IMPLAUSIBLE", f"{name}: volume", volume_ml, "mL", VOLUME_ML.get(_stem(name, kind)), key)


def recovery_flags(name: str, recovery_coefficient: float, *, region: str | None = None) -> tuple[Flag, ...]:
    """Return ``PVE_LIMITED`` or ``SPILL_IN_DOMINATES`` where a dose rests on the recovery correction.

    The first where a region measures less than half of its activity, the second where it measures more than 1.2 times.
    """
    found = f"{name}: recovery coefficient {recovery_coefficient:.2f}"
    if recovery_coefficient < RECOVERY_TOO_LOW:
        return (Flag("PVE_LIMITED", "WARN", f"{found}, below {RECOVERY_TOO_LOW}", region or name),)
    if recovery_coefficient <= RECOVERY_TOO_HIGH:
        return ()
    spilled = 1.0 - 1.0 / recovery_coefficient
    text = (
        f"{found}, above {RECOVERY_TOO_HIGH}: {PERCENT * spilled:.0f} % of what is measured comes from neighbours, "
        "whose contours and correction carry this dose"
    )
    return (Flag("SPILL_IN_DOMINATES", "WARN", text, region or name),)


def recovery_curve_flags(misfit: float) -> tuple[Flag, ...]:
    """Return a flag where no Gaussian has the site's recovery curve (root mean square difference above 0.03)."""
    if misfit <= RECOVERY_CURVE_MISFIT:
        return ()
    text = (
        f"the site's recovery curve differs by {misfit:.3f} (root mean square, 1 to 100 mL) from that of any Gaussian "
        "point spread; check the phantom measurement (resolution recovery, contours)"
    )
    return (Flag("RECOVERY_CURVE_MISFIT", "WARN", text),)


def pair_flags(name: str, quantity: str, left: float, right: float) -> tuple[Flag, ...]:
    """Return the flags of a left-to-right ratio (volume or dose of the kidneys)."""
    ratio = left / right if right > 0 else math.inf
    return _flags("SIDES_DIFFER", f"{name}: left to right {quantity}", ratio, "", LEFT_TO_RIGHT, name)


def tumour_trend_flags(dose_per_gbq: float, previous_per_gbq: float, *, region: str) -> tuple[Flag, ...]:
    """Return a flag where a lesion's dose per activity rose by more than half since the cycle before."""
    if previous_per_gbq <= 0 or dose_per_gbq <= TREND_RISE * previous_per_gbq:
        return ()
    text = f"{region}: {dose_per_gbq:.2f} Gy/GBq after {previous_per_gbq:.2f} in the cycle before"
    return (Flag("TUMOUR_DOSE_RISES", "WARN", text, region),)


def net_activity_flags(net_bq: float, prescribed_bq: float) -> tuple[Flag, ...]:
    """Return the flags of the net administered activity against the prescribed one."""
    ratio = net_bq / prescribed_bq
    return _flags("ACTIVITY_NOT_AS_PRESCRIBED", "net to prescribed activity", ratio, "", NET_TO_PRESCRIBED, None)


def recovered_activity_flags(fraction: float) -> tuple[Flag, ...]:
    """Return the flags of the activity in the whole field over what can be left of the administered one."""
    return _flags(
        "ACTIVITY_RECOVERED", "activity in the field / left of the dose", fraction, "", RECOVERED_AT_24_H, None
    )


def blood_level_flags(highest_bq_per_ml: float, administered_bq: float) -> tuple[Flag, ...]:
    """Return BLOCK where no blood sample can be what it says: a unit or decimal is wrong.

    The highest sample over the administered activity in 5 L of blood is about 0.1 within the first hours and 0.005 at a
    day; kBq or MBq written as Bq lies three orders below, and more than everything in the blood is impossible.
    """
    share = highest_bq_per_ml / (administered_bq / BLOOD_VOLUME_ML)
    if BLOOD_SHARE_POSSIBLE[0] <= share <= BLOOD_SHARE_POSSIBLE[1]:
        return ()
    text = (
        f"highest blood sample {highest_bq_per_ml:.3g} Bq/mL, {share:.2g} of all activity in 5 L of blood; possible "
        f"are {BLOOD_SHARE_POSSIBLE[0]:g} to {BLOOD_SHARE_POSSIBLE[1]:g}: check the unit (Bq/mL) of the samples"
    )
    return (Flag("BLOOD_LEVEL_IMPLAUSIBLE", "BLOCK", text, "marrow"),)


def tiac_flags(name: str, tia_bq_s: float, administered_bq: float, nuclide: Radionuclide) -> tuple[Flag, ...]:
    """Return BLOCK where a TIA exceeds that of the whole administered activity staying for ever (T1/2 / ln 2)."""
    residence_s = tia_bq_s / administered_bq
    longest_s = 1.0 / nuclide.decay_constant_per_s
    if 0.0 < residence_s <= longest_s:
        return ()
    text = (
        f"{name}: TIA / administered activity {residence_s / SECONDS_PER_HOUR:.1f} h; "
        f"possible are 0 to {longest_s / SECONDS_PER_HOUR:.1f} h"
    )
    return (Flag("TIA_IMPOSSIBLE", "BLOCK", text, name),)


def energy_flags(deposited_j: float, emitted_j: float) -> tuple[Flag, ...]:
    """Return the flags of the electrons' energy in the dose map over what the decays of the body emit as electrons.

    Photons are left out: most of theirs leaves the field, so that their sum would prove nothing.
    """
    ratio = deposited_j / emitted_j if emitted_j > 0 else math.nan
    what = "electron energy deposited / emitted"
    return _flags("ENERGY_NOT_CONSERVED", what, ratio, "", ELECTRON_CLOSURE, None)


def _stem(name: str, kind: RegionKind) -> str:
    return kind if kind in {"lesion", "remainder"} else name


def _flags(
    code: str, what: str, value: float, unit: str, expected: PlausibleRange | None, region: str | None
) -> tuple[Flag, ...]:
    level = None if expected is None else expected.level(value)
    if expected is None or level is None:
        return ()
    low, high = expected.block if level == "BLOCK" else expected.warn
    text = f"{what} {value:.3g} {unit}".rstrip() + f"; expected {low:g} to {high:g} ({expected.source})"
    return (Flag(code, level, text, region),)
