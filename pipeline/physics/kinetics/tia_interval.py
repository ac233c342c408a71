"""95 % interval of a fitted curve's time-integrated activity by profile likelihood.

All values of the TIA for which the best curve with that TIA has a deviance within 3.84 (chi-squared, one degree of
freedom) of the minimum: Venzon, Moolgavkar, Appl Stat 1988;37:87. Unlike +- 1.96 sigma it follows the curvature of the
TIA in the rate and stops at physical decay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.special import lambertw

from pipeline.physics.kinetics.exponential_fit import WEIGHT_FLOOR, fitted_sigma
from pipeline.physics.kinetics.multi_exponential_fit import Projection, component_bounds, refined

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pipeline.domain.kinetics import TimeActivityCurve
    from pipeline.physics.kinetics.curve_areas import AreaRule, CurveArea
    from pipeline.physics.kinetics.exponential_fit import RateBounds
    from pipeline.physics.kinetics.exponentials import ExponentialSum

    Vector = NDArray[np.float64]

# Two-sided 95 %: of a standard normal and of chi-squared with one degree of freedom (1.95996^2).
Z_95 = 1.959963984540054
CHI2_95 = Z_95**2
# The two halves of an interval that sigma stands for differ by less than this. Project choice.
NEARLY_GAUSSIAN = 0.10
GRID = 129
ENOUGH = 33
ZOOMS = 60
# Weight of the constraint on the TIA, in sigmas of the TIA, and how exactly the profile is solved.
CONSTRAINT_SIGMA = 1e-3
PROFILE_TOLERANCE = 1e-3
PROFILE_STEPS = 25
PROFILE_STEP = 1e-5
COMPLEX_STEP = 1e-20
SMALLEST_SPREAD = 1e-6


def fitted_interval(
    curve: TimeActivityCurve,
    fit: ExponentialSum,
    first: int,
    rule: AreaRule,
    area: CurveArea,
    bounds: RateBounds,
    relative_error: float,
) -> tuple[float, float]:
    """Return the 95 % interval of the TIA of a fitted curve, random part only.

    Parameters
    ----------
    curve : TimeActivityCurve
    fit : ExponentialSum
        Through the points from index ``first`` on.
    first : int
    rule : AreaRule
        By which the TIA depends on the fit.
    area : CurveArea
        The TIA itself; its measured part, which the fit does not know, is added in quadrature.
    bounds : RateBounds
    relative_error : float
        One sigma of the fitted activity, used where the curve has none.

    Returns
    -------
    float
    float
        Bq s; lower and upper bound.
    """
    used = curve.part(first)
    if fit.rate_per_s.size == 1:
        low, high = _mono_interval(used, fit, rule, bounds, relative_error)
    else:
        low, high = _multi_interval(used, fit, rule, bounds, relative_error)
    value, measured = area.total_bq_s - area.measured_bq_s, Z_95 * area.measured_sigma_bq_s
    below, above = math.hypot(max(value - low, 0.0), measured), math.hypot(max(high - value, 0.0), measured)
    return max(area.total_bq_s - below, 0.0), area.total_bq_s + above


def nearly_gaussian(tia_bq_s: float, sigma_bq_s: float, interval_bq_s: tuple[float, float]) -> bool:
    """Tell whether sigma stands for the interval: each half is 1.96 sigma within 10 %.

    Parameters
    ----------
    tia_bq_s, sigma_bq_s : float
    interval_bq_s : tuple of float

    Returns
    -------
    bool
    """
    halves = np.array([tia_bq_s - interval_bq_s[0], interval_bq_s[1] - tia_bq_s])
    return bool((np.abs(halves - Z_95 * sigma_bq_s) <= NEARLY_GAUSSIAN * Z_95 * sigma_bq_s).all())


class _Profile(Protocol):
    """Deviance at each rate, shape (m,), and the amplitudes within a room above it."""

    def deviance(self, rates: Vector) -> Vector: ...

    def amplitudes(self, rates: Vector, room: Vector) -> tuple[Vector, Vector]: ...


@dataclass(frozen=True)
class _RelativeProfile:
    """Quasi-likelihood of the variance (r f)^2: deviance 2/r^2 sum(y/f + ln f), whose stationary point is the fit with
    iterated weights (McCullagh, Nelder, Generalized Linear Models 1989, chapter 9). Best amplitude: mean(y e^(l t)).
    """

    time: Vector
    activity: Vector
    relative_error: float

    def deviance(self, rates: Vector) -> Vector:
        best = self._best(rates)
        logarithm = np.log(np.where(best > 0.0, best, 1.0))
        whole = 2.0 / self.relative_error**2 * (self.time.size * logarithm - rates * self.time.sum())
        return np.where(best > 0.0, whole, np.inf)

    def amplitudes(self, rates: Vector, room: Vector) -> tuple[Vector, Vector]:
        # x - 1 - ln x = room r^2/(2 n) with x = best/amplitude: both branches of Lambert's W.
        argument = -np.exp(-1.0 - room * self.relative_error**2 / (2.0 * self.time.size))
        best = self._best(rates)
        return best / -lambertw(argument, -1).real, best / -lambertw(argument, 0).real

    def _best(self, rates: Vector) -> Vector:
        return np.asarray((self.activity * np.exp(np.outer(rates, self.time))).mean(axis=1))


@dataclass(frozen=True)
class _WeightedProfile:
    """Measured sigmas: the deviance is quadratic in the amplitude."""

    time: Vector
    activity: Vector
    sigma: Vector

    def deviance(self, rates: Vector) -> Vector:
        shape, best, _ = self._best(rates)
        return np.asarray(((self.activity / self.sigma - best[:, None] * shape) ** 2).sum(axis=1))

    def amplitudes(self, rates: Vector, room: Vector) -> tuple[Vector, Vector]:
        _, best, norm = self._best(rates)
        half = np.sqrt(room / norm)
        return np.maximum(best - half, 0.0), best + half

    def _best(self, rates: Vector) -> tuple[Vector, Vector, Vector]:
        shape = np.exp(-np.outer(rates, self.time)) / self.sigma
        norm = (shape**2).sum(axis=1)
        return shape, np.maximum(shape @ (self.activity / self.sigma), 0.0) / norm, norm


def _mono_interval(
    curve: TimeActivityCurve, fit: ExponentialSum, rule: AreaRule, bounds: RateBounds, relative_error: float
) -> tuple[float, float]:
    # At each rate the amplitudes within the limit are known in closed form, so the extremes are searched in the rate.
    profile: _Profile = _RelativeProfile(curve.time_s, curve.activity_bq, relative_error)
    if curve.sigma_bq is not None:
        profile = _WeightedProfile(curve.time_s, curve.activity_bq, curve.sigma_bq)
    best = fit.rate_per_s[:1]
    lowest = float(profile.deviance(best)[0])
    rates = np.union1d(np.geomspace(bounds.slowest_per_s, bounds.fastest_per_s, GRID), best)
    for _ in range(ZOOMS):
        inside = np.flatnonzero(profile.deviance(rates) - lowest <= CHI2_95)
        if inside.size >= ENOUGH:
            break
        begin, end = rates[max(inside[0] - 1, 0)], rates[min(inside[-1] + 1, rates.size - 1)]
        rates = np.union1d(np.linspace(begin, end, GRID), best)

    def ends(places: Vector) -> tuple[Vector, Vector]:
        room = CHI2_95 - np.maximum(profile.deviance(places) - lowest, 0.0)
        low, high = profile.amplitudes(places, np.maximum(room, 0.0))
        area, allowed = rule.per_amplitude(places), room >= 0.0
        return np.where(allowed, -low * area, -np.inf), np.where(allowed, high * area, -np.inf)

    return -_highest(rates, lambda places: ends(places)[0]), _highest(rates, lambda places: ends(places)[1])


def _highest(rates: Vector, value: Callable[[Vector], Vector]) -> float:
    """Return the highest value, sought again on a finer grid about the best rate."""
    coarse = value(rates)
    place = int(np.argmax(coarse))
    fine = value(np.linspace(rates[max(place - 1, 0)], rates[min(place + 1, rates.size - 1)], GRID))
    return max(float(coarse[place]), float(fine.max()))


@dataclass(frozen=True)
class _Constrained(Projection):
    """A fit with its TIA as one more observation, the last one."""

    rule: AreaRule
    scale_s: float

    def rows(self, rates: Vector) -> Vector:
        area = self._area(rates).real
        return np.vstack([np.exp(-np.outer(self.time, rates)), area])

    def slopes(self, rates: Vector) -> Vector:
        area = self._area(rates * (1.0 + COMPLEX_STEP * 1j)).imag / COMPLEX_STEP
        return np.vstack([-np.outer(self.time, rates) * np.exp(-np.outer(self.time, rates)), area])

    def _area(self, rates: NDArray[Any]) -> NDArray[Any]:
        return self.rule.per_amplitude(rates / self.scale_s) / self.scale_s


def _multi_interval(
    curve: TimeActivityCurve, fit: ExponentialSum, rule: AreaRule, bounds: RateBounds, relative_error: float
) -> tuple[float, float]:
    scale_s, scale_bq = float(curve.time_s[-1]), float(np.abs(curve.activity_bq).max())
    fitted = np.maximum(fit.values(curve.time_s), WEIGHT_FLOOR * scale_bq)
    sigma = fitted_sigma(curve, fitted, relative_error) / scale_bq
    value = float(rule.per_amplitude(fit.rate_per_s) @ fit.amplitude_bq) / (scale_bq * scale_s)
    spread = _spread(fit, rule) / (scale_bq * scale_s)
    sides = component_bounds(bounds, curve.time_s / scale_s, scale_s, fit.rate_per_s.size)
    start = np.clip(np.sort(fit.rate_per_s * scale_s), *sides)

    def deviance(target: float) -> float:
        problem = _Constrained(
            curve.time_s / scale_s,
            np.append(curve.activity_bq / scale_bq, target),
            np.append(sigma, CONSTRAINT_SIGMA * spread),
            rule,
            scale_s,
        )
        residual = problem.residual(refined(problem, start, sides, PROFILE_STEP))
        return float(residual[:-1] @ residual[:-1])

    lowest = deviance(value)
    ends = [_profile_end(deviance, value, lowest, step) for step in (-spread, spread)]
    return ends[0] * scale_bq * scale_s, ends[1] * scale_bq * scale_s


def _spread(fit: ExponentialSum, rule: AreaRule) -> float:
    rate = fit.rate_per_s
    slope = rule.per_amplitude(rate * (1.0 + COMPLEX_STEP * 1j)).imag / COMPLEX_STEP / rate
    gradient = np.stack([rule.per_amplitude(rate), fit.amplitude_bq * slope], axis=1).ravel()
    variance = float(gradient @ fit.covariance @ gradient)
    # A singular fit may hide its spread: the search widens from a millionth.
    return max(math.sqrt(max(variance, 0.0)), SMALLEST_SPREAD * float(rule.per_amplitude(rate) @ fit.amplitude_bq))


def _profile_end(deviance: Callable[[float], float], value: float, lowest: float, step: float) -> float:
    # The root of the deviance is nearly linear in the TIA: the secant through the optimum, kept between its brackets.
    inside, outside, place = value, math.inf * step, value + Z_95 * step
    for _ in range(PROFILE_STEPS):
        place = max(place, 0.0)
        reached = math.sqrt(max(deviance(place) - lowest, 0.0))
        if abs(reached - Z_95) <= PROFILE_TOLERANCE * Z_95:
            break
        inside, outside = (place, outside) if reached < Z_95 else (inside, place)
        guess = value + (place - value) * min(Z_95 / max(reached, 1e-3), 3.0)
        between = min(inside, outside) < guess < max(inside, outside)
        place = guess if between else (inside + outside) / 2.0
        if place <= 0.0 and inside <= 0.0:
            break
    return place
