"""Whether a curve lies on its fit within its errors, and what follows where it does not.

The sigma and the interval of a fit say something only where its model holds: three points 40 % off one exponential are
no TIA with 4 %. Errors are widened by the Birge ratio there (Birge, Phys Rev 1932;40:207), never narrowed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc

from pipeline.errors import require
from pipeline.physics.kinetics.exponential_fit import fitted_sigma

if TYPE_CHECKING:
    from pipeline.domain.kinetics import TimeActivityCurve
    from pipeline.physics.kinetics.exponential_fit import RateBounds
    from pipeline.physics.kinetics.exponentials import ExponentialSum

# Chi-squared as large or larger in one of a thousand curves whose model and errors are right. Project choice.
POOR_PROBABILITY = 1e-3
# Broken: just as improbable with three times the errors (15 % where 5 % were assumed). Project choice: vessels and
# marrow, of more than one phase, come to twice the assumed error on images without any fault.
BROKEN_ERRORS = 3.0
AT_BOUND = 1e-9


@dataclass(frozen=True)
class Misfit:
    """Chi-squared of a fit against its errors.

    Attributes
    ----------
    chi_squared : float
    degrees : int
        Of freedom: points less free parameters; a rate at its bound is not free. At 0 nothing can be told.
    """

    chi_squared: float
    degrees: int

    @property
    def flags(self) -> tuple[str, ...]:
        """``FIT_POOR``; ``FIT_BROKEN`` too where three times the errors would not explain it."""
        poor = ("FIT_POOR",) if self._improbable(1.0) else ()
        return (*poor, "FIT_BROKEN") if self._improbable(BROKEN_ERRORS) else poor

    @property
    def widening(self) -> float:
        """Factor of all errors: the Birge ratio of a poor fit, else 1."""
        return math.sqrt(self.chi_squared / self.degrees) if self._improbable(1.0) else 1.0

    def _improbable(self, errors: float) -> bool:
        return self.degrees > 0 and float(chdtrc(self.degrees, self.chi_squared / errors**2)) < POOR_PROBABILITY


def misfit(used: TimeActivityCurve, fit: ExponentialSum, bounds: RateBounds, relative_error: float) -> Misfit:
    """Return the misfit of the points that a fit went through.

    Parameters
    ----------
    used : TimeActivityCurve
    fit : ExponentialSum
    bounds : RateBounds
    relative_error : float
        One sigma of the fitted activity, where the curve has none.

    Returns
    -------
    Misfit
    """
    fitted = fit.values(used.time_s)
    residual = (used.activity_bq - fitted) / fitted_sigma(used, fitted, relative_error)
    free = 2 * fit.rate_per_s.size - (fit.rate_per_s.size == 1 and _at_bound(float(fit.rate_per_s[0]), bounds))
    return Misfit(float(residual @ residual), used.time_s.size - free)


def _at_bound(rate: float, bounds: RateBounds) -> bool:
    return rate <= bounds.slowest_per_s * (1.0 + AT_BOUND) or rate >= bounds.fastest_per_s * (1.0 - AT_BOUND)


def widened(used: TimeActivityCurve, relative_error: float, factor: float) -> tuple[TimeActivityCurve, float]:
    """Return a curve and the relative error that stands in for its sigmas, all errors times a factor."""
    if used.sigma_bq is None or factor == 1.0:
        return used, relative_error * factor
    return replace(used, sigma_bq=used.sigma_bq * factor), relative_error


def require_relative_errors(used: TimeActivityCurve) -> None:
    """Refuse a point at or below zero that has no sigma (``CURVE_NOT_POSITIVE``).

    Its error is a part of the fitted activity, so it weighs the more the lower the fit runs there: one zero draws the
    rate to its bound and the TIA to 14 times that of the other two points.
    """
    require(
        used.sigma_bq is not None or bool((used.activity_bq > 0.0).all()),
        "CURVE_NOT_POSITIVE",
        found=f"activities {np.asarray(used.activity_bq).tolist()} without measured sigmas, not all positive",
        needed="a positive activity at every fitted point, or its measured sigma: no relative error describes a zero",
        do="give sigmas, leave the point out, check the region's contour, or leave the region out",
        where="curve",
    )
