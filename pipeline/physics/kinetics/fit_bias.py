"""Bias of the area under a fitted sum of exponentials, by refits of the fitted curve with one point moved at a time.

Least squares is unbiased only for models that are linear in their parameters (Box, J R Stat Soc B 1971;33:171). The
area under several exponentials bends upwards in the points: noise that slows the slowest phase adds more than the
opposite noise takes away. To second order in the noise its mean lies above the true area by half the sum over the
points of sigma^2 times the second derivative in that point. Box's formula takes the derivatives at the fit and diverges
where two rates nearly meet; here they are differences over one sigma to each side, of refits that keep the bounds of
the fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.physics.kinetics.multi_exponential_fit import Projection, Scaled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.kinetics import TimeActivityCurve
    from pipeline.physics.kinetics.curve_areas import AreaRule
    from pipeline.physics.kinetics.exponential_fit import RateBounds
    from pipeline.physics.kinetics.exponentials import ExponentialSum
    from pipeline.physics.kinetics.fit_misfit import Misfit

    Vector = NDArray[np.float64]

# In sigmas of the TIA. A larger correction is mostly noise: from here on it no longer lowers the root mean square error
# (docs/validation.md, coverage).
LARGEST_SIGMAS = 0.5
# Of the way to the lower end of the interval. Project choice.
LARGEST_SHARE = 0.5
# Relative, of refits: it moves the correction by a millionth of the area, which itself is some thousandths of it.
REFIT_TOLERANCE = 1e-4


def curvature_bias(
    curve: TimeActivityCurve, fit: ExponentialSum, rule: AreaRule, bounds: RateBounds, relative_error: float
) -> float:
    """Return by how much noise of the stated size raises the mean fitted area, to second order.

    Parameters
    ----------
    curve : TimeActivityCurve
        The points that the fit went through.
    fit : ExponentialSum
        Two components or more.
    rule : AreaRule
        By which the area depends on the fit.
    bounds : RateBounds
    relative_error : float
        One sigma of the fitted activity, used where the curve has none.

    Returns
    -------
    float
        Bq s; at least 0. Where the refits lie below the fit on average, physical decay has cut them on one side, and
        nothing is known of the bias of the truth (Andrews, Econometrica 2000;68:399): 0.
    """
    fitted = replace(curve, activity_bq=fit.values(curve.time_s))
    scaled = Scaled.of(fitted, bounds, relative_error, fit.rate_per_s.size)
    start = np.clip(np.sort(fit.rate_per_s * scaled.scale_s), *scaled.sides)
    sigma = scaled.sigma_of(scaled.activity)
    centre = _area(scaled, rule, start, sigma)
    moved = [_area(_moved(scaled, n, step), rule, start, sigma) for n in range(sigma.size) for step in (sigma, -sigma)]
    bias = 0.5 * sum(area - centre for area in moved)
    return max(bias, 0.0) * scaled.scale_bq * scaled.scale_s


def correction(bias_bq_s: float, sigma_bq_s: float, room_bq_s: float, found: Misfit) -> float:
    """Return what is taken off a fitted area for its bias.

    Parameters
    ----------
    bias_bq_s, sigma_bq_s : float
        Of the area, at the stated noise.
    room_bq_s : float
        From the area down to the lower end of its interval: a TIA known to a factor may have a sigma above itself.
    found : Misfit
        Of the fit.

    Returns
    -------
    float
        Bq s. Scaled by chi-squared per degree of freedom where that is below 1: points that lie on the curve show that
        there is no such noise, and keep the exact area. Without degrees of freedom nothing shows it: 0.
    """
    if found.degrees < 1:
        return 0.0
    scatter = min(found.chi_squared / found.degrees, 1.0)
    return min(min(bias_bq_s, LARGEST_SIGMAS * sigma_bq_s) * scatter, LARGEST_SHARE * room_bq_s)


def _moved(scaled: Scaled, point: int, step: Vector) -> Scaled:
    activity = scaled.activity.copy()
    activity[point] += step[point]
    return replace(scaled, activity=activity)


def _area(scaled: Scaled, rule: AreaRule, start: Vector, sigma: Vector) -> float:
    rates, weights, _ = scaled.solved(start, sigma, REFIT_TOLERANCE, REFIT_TOLERANCE)
    steps = Projection(scaled.time, scaled.activity, weights).steps(rates)
    amplitude = np.diff(steps, prepend=0.0)
    return float(rule.per_amplitude(rates / scaled.scale_s) @ amplitude) / scaled.scale_s
