"""Area under a region's curve from the start of the administration to infinity, piece by piece, with its error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.physics.kinetics.exponential_fit import fit_mono, fitted_sigma
from pipeline.physics.kinetics.exponentials import ExponentialSum, Quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.kinetics import HeadRule, TailRule, TimeActivityCurve
    from pipeline.physics.kinetics.exponential_fit import RateBounds

HEAD_SHARE: dict[HeadRule, float] = {"constant": 1.0, "ramp": 0.5}


@dataclass(frozen=True)
class AreaRule:
    """What a fitted component adds to the TIA under the head and tail rules, as a function of its rate.

    Attributes
    ----------
    head_s : float
        Time by which the fitted value at ``begin_s`` is multiplied to fill what lies before it.
    begin_s, end_s : float
        Where the fitted curve is integrated.
    tail_rate_per_s : float or None
        Physical decay from ``end_s`` on; None: the fitted curve.
    """

    head_s: float
    begin_s: float
    end_s: float
    tail_rate_per_s: float | None

    def per_amplitude(self, rate_per_s: NDArray[Any]) -> NDArray[Any]:
        """Return the area of exp(-lambda t) in s; complex rates give its derivative by a complex step."""
        value, last = np.exp(-rate_per_s * self.begin_s), np.exp(-rate_per_s * self.end_s)
        if self.tail_rate_per_s is None:
            return np.asarray(self.head_s * value + value / rate_per_s)
        return np.asarray(self.head_s * value + (value - last) / rate_per_s + last / self.tail_rate_per_s)


def area_rule(
    time_s: NDArray[np.float64], first: int, *, head_rule: HeadRule, tail_rule: TailRule, decay_constant_per_s: float
) -> AreaRule:
    """Return the rule by which :func:`fitted_area` integrates a curve fitted from point ``first`` on.

    Parameters
    ----------
    time_s : ndarray, shape (n,)
    first : int
    head_rule, tail_rule : str
    decay_constant_per_s : float
        Physical.

    Returns
    -------
    AreaRule
    """
    tail = decay_constant_per_s if tail_rule == "physical" else None
    end_s = float(time_s[-1])
    if head_rule == "extrapolate":
        return AreaRule(0.0, 0.0, end_s, tail)
    start_s = float(time_s[first])
    head_s = HEAD_SHARE[head_rule] * start_s if first == 0 else float(_trapezoid_weights(time_s[: first + 1])[-1])
    return AreaRule(head_s, start_s, end_s, tail)


@dataclass(frozen=True)
class CurveArea:
    """Time-integrated activity and how much of it lies outside the measured times.

    Attributes
    ----------
    total_bq_s, sigma_bq_s, before_bq_s, after_bq_s : float
    measured_bq_s, measured_sigma_bq_s : float
        Part of the total that comes from measured points alone, before the fitted curve begins.
    """

    total_bq_s: float
    sigma_bq_s: float
    before_bq_s: float
    after_bq_s: float
    measured_bq_s: float = 0.0
    measured_sigma_bq_s: float = 0.0

    @property
    def extrapolated_fraction(self) -> float:
        """Part of the total before the first and after the last point."""
        return (self.before_bq_s + self.after_bq_s) / self.total_bq_s


def fitted_area(
    curve: TimeActivityCurve,
    fit: ExponentialSum,
    first: int,
    *,
    head_rule: HeadRule,
    tail_rule: TailRule,
    decay_constant_per_s: float,
    relative_error: float,
) -> CurveArea:
    """Return the area of a fitted curve under the head and tail rules (clinical specification 3.3).

    Parameters
    ----------
    curve : TimeActivityCurve
    fit : ExponentialSum
        Through the points from index ``first`` on.
    first : int
        Above 0 where the curve rises at first: ``extrapolate`` takes the fit from t = 0 on; the other rules take the
        measured value at the first point and straight lines from there to the first fitted point.
    head_rule, tail_rule : str
    decay_constant_per_s : float
        Physical.
    relative_error : float

    Returns
    -------
    CurveArea
    """
    start_s, begin_s, end_s = float(curve.time_s[0]), float(curve.time_s[first]), float(curve.time_s[-1])
    after = _tail(fit, end_s, tail_rule, decay_constant_per_s)
    if head_rule == "extrapolate":
        total, before = fit.area(0.0, end_s) + after, fit.area(0.0, start_s).value
        return CurveArea(total.value, fit.sigma_of(total), before, after.value)
    if first == 0:
        head = fit.at(start_s).scaled(HEAD_SHARE[head_rule] * start_s)
        total = head + fit.area(start_s, end_s) + after
        return CurveArea(total.value, fit.sigma_of(total), head.value, after.value)
    weight = _trapezoid_weights(curve.time_s[: first + 1])
    weight[0] += HEAD_SHARE[head_rule] * start_s
    total = fit.at(begin_s).scaled(float(weight[-1])) + fit.area(begin_s, end_s) + after
    measured = np.maximum(curve.activity_bq[:first], 0.0)
    sigma = fitted_sigma(curve, curve.activity_bq, relative_error)[:first]
    spread = float(np.linalg.norm(weight[:-1] * sigma))
    head_bq_s = HEAD_SHARE[head_rule] * start_s * float(measured[0])
    measured_bq_s = float(weight[:-1] @ measured)
    sigma_bq_s = math.hypot(fit.sigma_of(total), spread)
    return CurveArea(total.value + measured_bq_s, sigma_bq_s, head_bq_s, after.value, measured_bq_s, spread)


def trapezoid_area(
    curve: TimeActivityCurve,
    bounds: RateBounds,
    *,
    head_rule: HeadRule,
    tail_rule: TailRule,
    relative_error: float,
) -> tuple[CurveArea, ExponentialSum]:
    """Return the area by straight lines between the points, and the exponential of its tail.

    The tail falls from the last measured value with the rate of the last three points (the last two where they rise
    at first); ``extrapolate`` goes back from the first point with the rate of the first two. Both rates are bounded.
    The error is propagated from every point by central differences.

    Parameters
    ----------
    curve : TimeActivityCurve
        Two points or more.
    bounds : RateBounds
    head_rule, tail_rule : str
    relative_error : float

    Returns
    -------
    CurveArea
    ExponentialSum
    """
    tail_fit = fit_mono(last_points(curve), bounds, relative_error)
    sigma = fitted_sigma(curve, np.maximum(curve.activity_bq, 0.0), relative_error)
    exact = trapezoid_pieces(curve, curve.activity_bq, bounds, head_rule, tail_rule, relative_error)
    change = np.zeros(curve.time_s.size)
    for index, step in enumerate(0.01 * sigma):
        moved = np.zeros(curve.time_s.size)
        moved[index] = step
        up = trapezoid_pieces(curve, curve.activity_bq + moved, bounds, head_rule, tail_rule, relative_error)
        down = trapezoid_pieces(curve, curve.activity_bq - moved, bounds, head_rule, tail_rule, relative_error)
        change[index] = (sum(up) - sum(down)) / (2.0 * step) * sigma[index]
    before, inside, after = exact
    return CurveArea(before + inside + after, float(np.linalg.norm(change)), before, after), tail_fit


def last_points(curve: TimeActivityCurve) -> TimeActivityCurve:
    """Return the last three points, or the last two where the last three rise at first or there are only two."""
    activity, points = curve.activity_bq, curve.time_s.size
    three = points >= 3 and float(activity[-3]) >= float(activity[-2])
    return curve.part(points - 3 if three else points - 2)


def trapezoid_pieces(
    curve: TimeActivityCurve,
    activity: NDArray[np.float64],
    bounds: RateBounds,
    head_rule: HeadRule,
    tail_rule: TailRule,
    relative_error: float,
) -> tuple[float, float, float]:
    """Return the trapezoid's parts before, between and after the points, with other activities at the same times.

    Parameters
    ----------
    curve : TimeActivityCurve
    activity : ndarray, shape (n,)
    bounds : RateBounds
    head_rule, tail_rule : str
    relative_error : float

    Returns
    -------
    float
    float
    float
        Bq s.
    """
    changed = type(curve)(curve.time_s, activity, curve.sigma_bq)
    positive = np.maximum(activity, 0.0)
    inside = float(_trapezoid_weights(curve.time_s) @ positive)
    rate = bounds.slowest_per_s
    if tail_rule == "fitted":
        rate = float(fit_mono(last_points(changed), bounds, relative_error).rate_per_s[0])
    before = _trapezoid_head(curve.time_s, positive, bounds, head_rule)
    return before, inside, float(positive[-1]) / rate


def _trapezoid_head(
    time: NDArray[np.float64], positive: NDArray[np.float64], bounds: RateBounds, head_rule: HeadRule
) -> float:
    start_s, value = float(time[0]), float(positive[0])
    if head_rule != "extrapolate":
        return HEAD_SHARE[head_rule] * start_s * value
    later = float(positive[1])
    rate = bounds.fastest_per_s
    if value > 0.0 and later > 0.0:
        rate = math.log(value / later) / float(time[1] - time[0])
    rate = min(max(rate, bounds.slowest_per_s), bounds.fastest_per_s)
    return value * math.expm1(rate * start_s) / rate


def _trapezoid_weights(time: NDArray[np.float64]) -> NDArray[np.float64]:
    steps = np.diff(time)
    return np.asarray((np.append(steps, 0.0) + np.insert(steps, 0, 0.0)) / 2.0)


def _tail(fit: ExponentialSum, end_s: float, tail_rule: TailRule, decay_constant_per_s: float) -> Quantity:
    if tail_rule == "physical":
        return fit.at(end_s).scaled(1.0 / decay_constant_per_s)
    return fit.area(end_s, math.inf)
