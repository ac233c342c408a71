"""Standard uncertainty of a region's absorbed dose, part by part.

EANM framework: Gear et al., EJNMMI 2018;45:2456. Sensitivities in logarithms (clinical specification 3.7); every part
is a relative standard uncertainty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scipy.special import erf

from pipeline.errors import require
from pipeline.physics.quantification.recovery import recovery_relative_sigma
from pipeline.units import MM3_PER_ML

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.domain.therapy import RecoveryCurve


@dataclass(frozen=True)
class UncertaintyBudget:
    """Parts of the standard uncertainty of one dose.

    Attributes
    ----------
    dose_gy : float
    calibration, recovery, volume, fit, s_value : float
        Relative, one sigma. Calibration, recovery curve and S value are the same in every cycle; volume and fit are
        made anew in each.
    fit_shared : float
        Part of ``fit`` that comes from a half-life reused over cycles (``kinetics.reused_half_life``).
    """

    dose_gy: float
    calibration: float
    recovery: float
    volume: float
    fit: float
    s_value: float
    fit_shared: float = 0.0

    @property
    def relative(self) -> float:
        """All parts together."""
        return math.hypot(self.calibration, self.recovery, self.volume, self.fit, self.s_value)

    @property
    def sigma_gy(self) -> float:
        """One sigma of the dose."""
        return self.dose_gy * self.relative

    @property
    def correlated_gy(self) -> float:
        """Part that is shared by all cycles: calibration, recovery curve, S value, a reused half-life."""
        return self.dose_gy * math.hypot(self.calibration, self.recovery, self.s_value, self.fit_shared)

    @property
    def independent_gy(self) -> float:
        """Part that is made anew in each cycle: contour and fit."""
        return self.dose_gy * math.hypot(self.volume, math.sqrt(max(self.fit**2 - self.fit_shared**2, 0.0)))


def diameter_mm(volume_ml: float) -> float:
    """Return the diameter of the sphere of a volume."""
    return math.cbrt(6.0 * volume_ml * MM3_PER_ML / math.pi)


def diameter_sigma_mm(spacing_mm: float, fwhm_mm: float) -> float:
    """Return u(d) of a contour's diameter: u(d)2 = a2/6 + FWHM2/(4 ln 2).

    Gear et al. 2018 (form). ``spacing_mm`` and ``fwhm_mm`` are those of the image the contour was drawn on: CT
    about 1 to 2 mm; a true contour on a phantom has FWHM 0. Never those of the SPECT for a contour drawn on CT.

    Parameters
    ----------
    spacing_mm, fwhm_mm : float

    Returns
    -------
    float
        mm.
    """
    return math.sqrt(spacing_mm**2 / 6.0 + fwhm_mm**2 / (4.0 * math.log(2.0)))


def volume_relative_sigma(volume_ml: float, spacing_mm: float, fwhm_mm: float) -> float:
    """Return u(v)/v = 3 u(d)/d of a contour; parameters as :func:`diameter_sigma_mm`."""
    return 3.0 * diameter_sigma_mm(spacing_mm, fwhm_mm) / diameter_mm(volume_ml)


def count_slope(volume_ml: float, fwhm_mm: float) -> float:
    """Return phi: d ln C / d ln v = phi/(2 R), how counts change with the contour's volume.

    phi = erf(2 d sqrt(ln 2)/FWHM) - FWHM/(d sqrt(pi ln 2)) (1 - exp(-4 d2 ln 2/FWHM2)); Gear et al. 2018 (form;
    clinical specification 3.7). Here FWHM is the SPECT's.

    Parameters
    ----------
    volume_ml, fwhm_mm : float

    Returns
    -------
    float
        0 (all blur) to 1 (no blur).
    """
    if fwhm_mm <= 0.0:
        return 1.0
    d = diameter_mm(volume_ml)
    edge = fwhm_mm / (d * math.sqrt(math.pi * math.log(2.0)))
    return float(erf(2.0 * d * math.sqrt(math.log(2.0)) / fwhm_mm)) - edge * (
        1.0 - math.exp(-4.0 * d**2 * math.log(2.0) / fwhm_mm**2)
    )


def recovery_slope(curve: RecoveryCurve, volume_ml: float) -> float:
    """Return beta = d ln R / d ln v of the site's recovery curve, c (1 - R) for the logistic form."""
    return curve.c * (1.0 - curve.coefficient(volume_ml))


def volume_sensitivity(
    volume_ml: float, spect_fwhm_mm: float, recovery_coefficient: float, beta: float, kappa: float = 1.0
) -> float:
    """Return d ln D / d ln v = phi/(2 R) - beta - kappa.

    Counts rise with a larger contour, the recovery correction and the S value (~ mass^-kappa) fall.

    Parameters
    ----------
    volume_ml, spect_fwhm_mm : float
    recovery_coefficient : float
        R of the region.
    beta : float
        From :func:`recovery_slope`; 0 without recovery correction.
    kappa : float
        S ~ m^-kappa; 1 for complete self-absorption.

    Returns
    -------
    float
    """
    return count_slope(volume_ml, spect_fwhm_mm) / (2.0 * recovery_coefficient) - beta - kappa


def dose_sigma(
    dose_gy: float,
    *,
    volume_ml: float,
    contour_spacing_mm: float,
    contour_fwhm_mm: float,
    spect_fwhm_mm: float,
    curve: RecoveryCurve | None,
    recovery_coefficient: float,
    calibration_relative_sigma: float,
    fit_relative_sigma: float,
    s_relative_sigma: float = 0.0,
    fit_shared_relative_sigma: float = 0.0,
    kappa: float = 1.0,
) -> UncertaintyBudget:
    """Return the uncertainty budget of a region's absorbed dose.

    Parameters
    ----------
    dose_gy : float
    volume_ml : float
    contour_spacing_mm, contour_fwhm_mm : float
        Of the image the contour was drawn on.
    spect_fwhm_mm : float
        Of the equivalent point spread; 0 without recovery correction.
    curve : RecoveryCurve or None
        u(R | curve) follows from its relative sigma at the region's own recovery (:func:`recovery_relative_sigma`).
    recovery_coefficient : float
        Measured / corrected activity of the region.
    calibration_relative_sigma : float
    fit_relative_sigma : float
        u(TIA)/TIA, random part.
    s_relative_sigma : float
        Of the dose kernel; 0 where its error is not known to the caller.
    fit_shared_relative_sigma : float
        Part of ``fit_relative_sigma`` that other cycles share.
    kappa : float

    Returns
    -------
    UncertaintyBudget

    Raises
    ------
    RefusalError
        ``UNCERTAINTY_INPUT_INVALID``.
    """
    require(
        volume_ml > 0.0 and recovery_coefficient > 0.0 and min(contour_spacing_mm, contour_fwhm_mm, spect_fwhm_mm) >= 0,
        "UNCERTAINTY_INPUT_INVALID",
        found=f"volume {volume_ml} mL, recovery coefficient {recovery_coefficient}",
        needed="a positive volume and recovery coefficient, widths of 0 or more",
        do="check the contour of the region",
        where="region",
    )
    beta = 0.0 if curve is None else recovery_slope(curve, volume_ml)
    slope = volume_sensitivity(volume_ml, spect_fwhm_mm, recovery_coefficient, beta, kappa)
    return UncertaintyBudget(
        dose_gy=dose_gy,
        calibration=calibration_relative_sigma,
        recovery=0.0 if curve is None else recovery_relative_sigma(curve, recovery_coefficient),
        volume=abs(slope) * volume_relative_sigma(volume_ml, contour_spacing_mm, contour_fwhm_mm),
        fit=fit_relative_sigma,
        s_value=s_relative_sigma,
        fit_shared=fit_shared_relative_sigma,
    )


def cumulative_sigma_gy(budgets: Iterable[UncertaintyBudget]) -> float:
    """Return the sigma of a dose summed over cycles.

    Calibration, recovery curve, S value and a reused half-life are fully correlated between cycles and add linearly,
    each by itself; contour and fit are independent and add in quadrature.

    Parameters
    ----------
    budgets : iterable of UncertaintyBudget
        One per cycle.

    Returns
    -------
    float
    """
    cycles = list(budgets)
    parts = ("calibration", "recovery", "s_value", "fit_shared")
    shared = [sum(getattr(cycle, part) * cycle.dose_gy for cycle in cycles) for part in parts]
    return math.hypot(*shared, *(cycle.independent_gy for cycle in cycles))
