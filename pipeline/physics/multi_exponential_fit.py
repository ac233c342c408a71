"""Weighted least-squares fits of two or three exponentials with bounded rates, nowhere negative.

Variable projection (Golub, Pereyra, SIAM J Numer Anal 1973;10:413): at given rates the best amplitudes are a linear
problem, so only the rates are searched.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

from pipeline.physics.exponential_fit import ROOT_TOLERANCE, WEIGHT_FLOOR, finished, require_positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.kinetics import TimeActivityCurve
    from pipeline.physics.exponential_fit import RateBounds
    from pipeline.physics.exponentials import ExponentialSum

    Vector = NDArray[np.float64]

COMPONENT_SCAN = 14
REWEIGHTINGS = 60
REWEIGHTED = 1e-8
EVALUATIONS = 30
LARGEST_DAMPING = 1e9
VANISHED = 1e3


def fit_multi(curve: TimeActivityCurve, bounds: RateBounds, relative_error: float, components: int) -> ExponentialSum:
    """Return the bounded weighted fit of two or three exponentials that is nowhere negative.

    Written as sum of c_k (e_k - e_k+1) with e_k = exp(-lambda_k t), slowest first, and c_k >= 0: all mixtures of
    washout phases and of one uptake phase, and never below zero. Rates are scanned with the amplitudes by
    non-negative least squares (Lawson, Hanson 1974), then all are refined together.

    Parameters
    ----------
    curve : TimeActivityCurve
        At least ``2 x components`` points.
    bounds : RateBounds
    relative_error : float
    components : int

    Returns
    -------
    ExponentialSum
    """
    scale_s, scale_bq = float(curve.time_s[-1]), float(np.abs(curve.activity_bq).max()) or 1.0
    time, activity = curve.time_s / scale_s, curve.activity_bq / scale_bq
    measured = None if curve.sigma_bq is None else curve.sigma_bq / scale_bq
    sigma = relative_error * np.maximum(np.abs(activity), 0.01) if measured is None else measured
    sides = _component_bounds(bounds, time[0], scale_s, components)
    rates = _scan(time, activity, sigma, sides)
    converged = False
    for _ in range(REWEIGHTINGS):
        problem = _Projection(time, activity, sigma)
        refined = _refined(problem, rates, sides)
        fitted = np.maximum(problem.fitted(refined), WEIGHT_FLOOR)
        weights = sigma if measured is not None else relative_error * fitted
        converged = _same(refined, rates) and _same(weights, sigma)
        rates, sigma = refined, weights
        if converged:
            break
    steps = _Projection(time, activity, sigma).steps(rates)
    order = np.argsort(rates)
    amplitude = np.diff(steps, prepend=0.0)[order]
    require_positive(float(steps.max()) * scale_bq, curve)
    return finished(curve, amplitude * scale_bq, rates[order] / scale_s, relative_error, converged=converged)


def _component_bounds(bounds: RateBounds, first: float, scale_s: float, components: int) -> tuple[Vector, Vector]:
    low = np.full(components, bounds.slowest_per_s * scale_s)
    # A component that has fallen a thousandfold before the first point is not seen there.
    visible = math.log(VANISHED) / max(first, 1e-12)
    fastest = min(bounds.fastest_component_per_s * scale_s, max(bounds.fastest_per_s * scale_s, visible))
    high = np.full(components, fastest)
    high[0] = bounds.fastest_per_s * scale_s
    return low, high


def _basis(time: Vector, rates: Vector) -> Vector:
    shape = np.exp(-np.outer(time, rates))
    shape[:, :-1] -= shape[:, 1:].copy()
    return shape


def _same(new: Vector, old: Vector) -> bool:
    return bool(np.abs(new / old - 1.0).max() <= REWEIGHTED)


@dataclass(frozen=True)
class _Projection:
    """The fit as a function of the rates alone: amplitudes are the best non-negative ones at these rates."""

    time: Vector
    activity: Vector
    sigma: Vector

    def steps(self, rates: Vector) -> Vector:
        found: Vector = nnls(_basis(self.time, rates) / self.sigma[:, None], self.activity / self.sigma)[0]
        return found

    def fitted(self, rates: Vector) -> Vector:
        return np.asarray(_basis(self.time, rates) @ self.steps(rates))

    def residual(self, rates: Vector) -> Vector:
        return np.asarray((self.fitted(rates) - self.activity) / self.sigma)

    def jacobian(self, rates: Vector) -> Vector:
        """Derivative of the residual in ln(rates), after Kaufman, BIT 1975;15:49."""
        steps = self.steps(rates)
        per_rate = -np.outer(self.time, rates) * np.exp(-np.outer(self.time, rates)) * np.diff(steps, prepend=0.0)
        used = _basis(self.time, rates)[:, steps > 0.0] / self.sigma[:, None]
        direction = per_rate / self.sigma[:, None]
        if used.shape[1]:
            orthonormal = np.linalg.qr(used)[0]
            direction = direction - orthonormal @ (orthonormal.T @ direction)
        return np.asarray(direction)


def _scan(time: Vector, activity: Vector, sigma: Vector, sides: tuple[Vector, Vector]) -> Vector:
    slow = np.geomspace(sides[0][0], sides[1][0], COMPONENT_SCAN)
    fast = np.geomspace(sides[0][-1], sides[1][-1], COMPONENT_SCAN + 1)
    problem = _Projection(time, activity, sigma)
    best, lowest = np.sqrt(sides[0] * sides[1]), math.inf
    for first, *others in itertools.product(slow, *[fast] * (sides[0].size - 1)):
        rates = np.array([first, *others])
        if (np.diff(rates) > 0.05 * rates[:-1]).all():
            cost = float(np.sum(problem.residual(rates) ** 2))
            best, lowest = (rates, cost) if cost < lowest else (best, lowest)
    return best


def _refined(problem: _Projection, rates: Vector, sides: tuple[Vector, Vector]) -> Vector:
    # Levenberg-Marquardt in ln(rates); a rate at its bound that wants to leave is held there. Rates stay in order,
    # slowest first, or the components would not be non-negative.
    low, high = np.log(sides[0]), np.log(sides[1])
    place, damping = np.log(rates), 1e-3
    residual = problem.residual(rates)
    for _ in range(EVALUATIONS):
        step = _damped_step(problem.jacobian(np.exp(place)), residual, (place, low, high), damping)
        moved = np.sort(np.clip(place + step, low, high))
        trial = problem.residual(np.exp(moved))
        if float(trial @ trial) < float(residual @ residual):
            place, residual, damping = moved, trial, damping / 10.0
        else:
            damping *= 10.0
        if damping > LARGEST_DAMPING or float(np.abs(step).max()) <= ROOT_TOLERANCE:
            break
    return np.clip(np.exp(place), sides[0], sides[1])


def _damped_step(jacobian: Vector, residual: Vector, place: tuple[Vector, Vector, Vector], damping: float) -> Vector:
    now, low, high = place
    gradient, curvature = jacobian.T @ residual, jacobian.T @ jacobian
    diagonal = np.diag(curvature)
    free = ~(((now <= low) & (gradient > 0)) | ((now >= high) & (gradient < 0))) & (diagonal > 0)
    step = np.zeros(now.size)
    if free.any():
        damped = (curvature + np.diag(damping * diagonal))[np.ix_(free, free)]
        step[free] = -np.linalg.solve(damped, gradient[free])
    return step
