"""Weighted least-squares fit of one exponential with a bounded rate, and what all fits share.

Time is scaled by the last time and activity by the largest value, so that tolerances are relative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from pipeline.errors import require
from pipeline.physics.kinetics.exponentials import ExponentialSum, fisher_covariance
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pipeline.domain.kinetics import TimeActivityCurve
    from pipeline.domain.nuclide import Radionuclide

    Vector = NDArray[np.float64]

# Clinical specification 3.3: effective half-life of an organ from 10 h to the physical one. Of a short-lived nuclide
# 10 h may exceed the physical half-life, so at most a quarter of that. Project choice.
SHORTEST_HALF_LIFE_S = 10.0 * SECONDS_PER_HOUR
SHORTEST_OF_PHYSICAL = 0.25
# Faster components (distribution in blood) down to 6 min. Project choice.
SHORTEST_COMPONENT_S = 0.1 * SECONDS_PER_HOUR
RATE_SCAN = 97
ROOT_TOLERANCE = 4.0 * float(np.finfo(np.float64).eps)
WEIGHT_FLOOR = 1e-6
# Less than one decay in the age of the universe: no activity, and its square would leave the range of numbers.
NOTHING_BQ = 1e-30


@dataclass(frozen=True)
class RateBounds:
    """Allowed rates: of the slowest (or only) component, and of all faster ones."""

    slowest_per_s: float
    fastest_per_s: float
    fastest_component_per_s: float


def rate_bounds(nuclide: Radionuclide) -> RateBounds:
    """Return the bounds of the effective rate constant: washout is never slower than physical decay."""
    shortest_s = min(SHORTEST_HALF_LIFE_S, SHORTEST_OF_PHYSICAL * nuclide.half_life_s)
    return RateBounds(
        nuclide.decay_constant_per_s,
        math.log(2.0) / shortest_s,
        math.log(2.0) / min(SHORTEST_COMPONENT_S, shortest_s / 10.0),
    )


def fit_mono(curve: TimeActivityCurve, bounds: RateBounds, relative_error: float) -> ExponentialSum:
    """Return the bounded weighted fit of A exp(-lambda t).

    With measured sigmas the weights are 1/sigma2; without, the error is ``relative_error`` of the *fitted* activity
    and the weights are iterated to their fixed point (clinical specification 3.3), which here has a closed form.

    Parameters
    ----------
    curve : TimeActivityCurve
        Two points or more.
    bounds : RateBounds
    relative_error : float
        One sigma, used where the curve has none.

    Returns
    -------
    ExponentialSum

    Raises
    ------
    RefusalError
        ``CURVE_NOT_POSITIVE``.
    """
    scale_s, scale_bq = float(curve.time_s[-1]), float(np.abs(curve.activity_bq).max()) or 1.0
    time, activity = curve.time_s / scale_s, curve.activity_bq / scale_bq
    low, high = bounds.slowest_per_s * scale_s, bounds.fastest_per_s * scale_s
    if curve.sigma_bq is None:
        amplitude, rate = _mono_relative(time, activity, low, high)
    else:
        amplitude, rate = _mono_weighted(time, activity, (curve.sigma_bq.min() / curve.sigma_bq) ** 2, low, high)
    require_positive(amplitude * scale_bq, curve)
    return finished(curve, np.array([amplitude * scale_bq]), np.array([rate / scale_s]), relative_error)


def aicc(curve: TimeActivityCurve, fit: ExponentialSum, relative_error: float) -> float:
    """Return the corrected Akaike information of a fit; infinite without the degrees of freedom for it.

    -2 ln L + 2 k + 2 k (k + 1)/(n - k - 1) with normal errors of known sigma; Burnham, Anderson, Model Selection and
    Multimodel Inference, 2002.

    Parameters
    ----------
    curve : TimeActivityCurve
    fit : ExponentialSum
    relative_error : float

    Returns
    -------
    float
    """
    points, parameters = curve.time_s.size, 2 * fit.rate_per_s.size
    free = points - parameters - 1
    fitted = fit.values(curve.time_s)
    sigma = fitted_sigma(curve, fitted, relative_error)
    deviance = float(np.sum(((curve.activity_bq - fitted) / sigma) ** 2 + 2.0 * np.log(sigma)))
    penalty = 2.0 * parameters * (parameters + 1) / free if free > 0 else (0.0 if parameters == 2 else math.inf)
    return deviance + 2.0 * parameters + penalty


def fitted_sigma(curve: TimeActivityCurve, fitted_bq: Vector, relative_error: float) -> Vector:
    """Return the sigmas a fit stands on: the measured ones, or the relative error of the fitted activity."""
    if curve.sigma_bq is not None:
        return np.asarray(curve.sigma_bq)
    return np.asarray(relative_error * np.maximum(np.abs(fitted_bq), WEIGHT_FLOOR * np.abs(fitted_bq).max()))


def finished(
    curve: TimeActivityCurve, amplitude: Vector, rate: Vector, relative_error: float, *, converged: bool = True
) -> ExponentialSum:
    """Return fitted parameters with their covariance."""
    # Scaled, so that the squares of neither tiny nor huge activities leave the range of numbers.
    scale_s, scale_bq = float(curve.time_s[-1]), float(np.abs(amplitude).max())
    fitted = np.exp(-np.outer(curve.time_s, rate)) @ amplitude
    sigma = fitted_sigma(curve, fitted, relative_error) / scale_bq
    scaled = fisher_covariance(curve.time_s / scale_s, amplitude / scale_bq, rate * scale_s, sigma)
    units = np.tile([scale_bq, 1.0 / scale_s], rate.size)
    return ExponentialSum(amplitude, rate, scaled * np.outer(units, units), converged)


def require_positive(amplitude: float, curve: TimeActivityCurve) -> None:
    """Refuse a fit without a positive amplitude (``CURVE_NOT_POSITIVE``)."""
    require(
        amplitude > NOTHING_BQ,
        "CURVE_NOT_POSITIVE",
        found=f"activities {curve.activity_bq.tolist()}, whose best exponential is not positive",
        needed="a region that holds activity",
        do="check the region's contour, or leave the region out",
        where="curve",
    )


def _mono_relative(time: Vector, activity: Vector, low: float, high: float) -> tuple[float, float]:
    # With weights 1/f2 the normal equations become A = mean(y e^(lambda t)) and sum (t - mean t) y e^(lambda t) = 0.
    # For y >= 0 the sum has one sign change in its coefficients, so one root (Descartes' rule for exponential sums).
    offset = time - time.mean()

    def slope(rate: float) -> float:
        return float(np.sum(offset * activity * np.exp(rate * (time - 1.0))))

    rate = _bounded_root(slope, low, high)
    return float(np.mean(activity * np.exp(rate * time))), rate


def _mono_weighted(time: Vector, activity: Vector, weight: Vector, low: float, high: float) -> tuple[float, float]:
    # Variable projection: the amplitude is closed form in the rate, so one dimension is left; scanned, because the
    # sum of squares may have more than one minimum, then refined at the zero of its derivative.
    def amplitude_at(rate: float) -> float:
        shape = np.exp(-rate * time)
        return float(np.sum(weight * activity * shape) / np.sum(weight * shape**2))

    def cost(rate: float) -> float:
        return float(np.sum(weight * (activity - max(amplitude_at(rate), 0.0) * np.exp(-rate * time)) ** 2))

    def slope(rate: float) -> float:
        shape, amplitude = np.exp(-rate * time), amplitude_at(rate)
        return float(amplitude * np.sum(weight * (activity - amplitude * shape) * time * shape))

    rates = np.geomspace(low, high, RATE_SCAN)
    best = int(np.argmin([cost(rate) for rate in rates]))
    rate = _bounded_root(slope, float(rates[max(best - 1, 0)]), float(rates[min(best + 1, RATE_SCAN - 1)]))
    return amplitude_at(rate), rate


def _bounded_root(slope: Callable[[float], float], low: float, high: float) -> float:
    # ``slope`` rises through zero at the optimum; without a change of sign the optimum is the bound.
    if slope(low) >= 0.0:
        return low
    if slope(high) <= 0.0:
        return high
    return float(brentq(slope, low, high, xtol=1e-15, rtol=ROOT_TOLERANCE))
