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

from pipeline.physics.kinetics.exponential_fit import ROOT_TOLERANCE, WEIGHT_FLOOR, finished, require_positive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.kinetics import TimeActivityCurve
    from pipeline.physics.kinetics.exponential_fit import RateBounds
    from pipeline.physics.kinetics.exponentials import ExponentialSum

    Vector = NDArray[np.float64]

COMPONENT_SCAN = 14
REWEIGHTINGS = 60
REWEIGHTED = 1e-8
EVALUATIONS = 30
LARGEST_DAMPING = 1e9
# A twentieth is left: the error usually stated. Project choice.
VANISHED = 20.0
TINY = 1e-300


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
    scaled = Scaled.of(curve, bounds, relative_error, components)
    rates, sigma, converged = scaled.solved(_scan(scaled.time, scaled.activity, scaled.first_sigma(), scaled.sides))
    steps = Projection(scaled.time, scaled.activity, sigma).steps(rates)
    order = np.argsort(rates)
    amplitude = np.diff(steps, prepend=0.0)[order]
    require_positive(float(steps.max()) * scaled.scale_bq, curve)
    found = amplitude * scaled.scale_bq, rates[order] / scaled.scale_s
    return finished(curve, *found, relative_error, converged=converged)


@dataclass(frozen=True)
class Scaled:
    """A curve in units of its last time and largest value, with the errors and bounds of its fit.

    Attributes
    ----------
    time, activity : ndarray, shape (n,)
    measured : ndarray, shape (n,), or None
        Sigmas; None: ``relative_error`` of the fitted activity, iterated.
    sides : tuple of ndarray, shape (k,)
        Lowest and highest rates, slowest first.
    """

    time: Vector
    activity: Vector
    measured: Vector | None
    relative_error: float
    sides: tuple[Vector, Vector]
    scale_s: float
    scale_bq: float

    @classmethod
    def of(cls, curve: TimeActivityCurve, bounds: RateBounds, relative_error: float, components: int) -> Scaled:
        """Return a curve for a fit of so many components."""
        scale_s, scale_bq = float(curve.time_s[-1]), float(np.abs(curve.activity_bq).max()) or 1.0
        time, activity = curve.time_s / scale_s, curve.activity_bq / scale_bq
        measured = None if curve.sigma_bq is None else curve.sigma_bq / scale_bq
        sides = component_bounds(bounds, time, scale_s, components)
        return cls(time, activity, measured, relative_error, sides, scale_s, scale_bq)

    def first_sigma(self) -> Vector:
        """Return the sigmas before anything is fitted, shape (n,)."""
        if self.measured is not None:
            return self.measured
        return np.asarray(self.relative_error * np.maximum(np.abs(self.activity), 0.01))

    def sigma_of(self, fitted: Vector) -> Vector:
        """Return the sigmas beside a fitted curve, shape (n,)."""
        if self.measured is not None:
            return self.measured
        return np.asarray(self.relative_error * np.maximum(fitted, WEIGHT_FLOOR))

    def solved(
        self,
        rates: Vector,
        sigma: Vector | None = None,
        tolerance: float = REWEIGHTED,
        of_rates: float = ROOT_TOLERANCE,
    ) -> tuple[Vector, Vector, bool]:
        """Return the best rates about a start, the sigmas that they stand on, and whether both came to rest.

        Parameters
        ----------
        rates : ndarray, shape (k,)
        sigma : ndarray, shape (n,), optional
            To begin with.
        tolerance : float
            Relative, of rates and sigmas, from one set of weights to the next.
        of_rates : float
            Relative, of the rates at given weights.
        """
        sigma = self.first_sigma() if sigma is None else sigma
        for _ in range(REWEIGHTINGS):
            problem = Projection(self.time, self.activity, sigma)
            better = refined(problem, rates, self.sides, of_rates)
            weights = self.sigma_of(problem.fitted(better))
            resting = _same(better, rates, tolerance) and _same(weights, sigma, tolerance)
            rates, sigma = better, weights
            if resting:
                return rates, sigma, True
        return rates, sigma, False


def component_bounds(bounds: RateBounds, time: Vector, scale_s: float, components: int) -> tuple[Vector, Vector]:
    """Return the lowest and highest rates of each component, slowest first, per ``scale_s``.

    Parameters
    ----------
    bounds : RateBounds
    time : ndarray, shape (n,)
        Of the points, in units of ``scale_s``.
    scale_s : float
    components : int

    Returns
    -------
    ndarray, shape (components,)
    ndarray, shape (components,)
    """
    low = np.full(components, bounds.slowest_per_s * scale_s)
    # What has vanished by the second point is seen by the first alone, which cannot tell a rate from an amplitude; what
    # has vanished before the first is followed back over its own multiple. Either puts any area before the first point.
    visible = math.log(VANISHED) / float(max(time[1] - time[0], time[0]))
    fastest = min(bounds.fastest_component_per_s * scale_s, max(bounds.fastest_per_s * scale_s, visible))
    high = np.full(components, fastest)
    high[0] = bounds.fastest_per_s * scale_s
    return low, high


def _same(new: Vector, old: Vector, tolerance: float) -> bool:
    return bool(np.abs(new / old - 1.0).max() <= tolerance)


@dataclass(frozen=True)
class Projection:
    """The fit as a function of the rates alone: amplitudes are the best non-negative ones at these rates."""

    time: Vector
    activity: Vector
    sigma: Vector

    def rows(self, rates: Vector) -> Vector:
        """Return what every observation takes of every component per unit amplitude, shape (n, k)."""
        return np.asarray(np.exp(-np.outer(self.time, rates)))

    def slopes(self, rates: Vector) -> Vector:
        """Return the derivative of :meth:`rows` in ln(rates), shape (n, k)."""
        return np.asarray(-np.outer(self.time, rates) * np.exp(-np.outer(self.time, rates)))

    def steps(self, rates: Vector) -> Vector:
        """Return the best non-negative step amplitudes c_k at these rates, shape (k,)."""
        found: Vector = nnls(self._basis(rates) / self.sigma[:, None], self.activity / self.sigma)[0]
        return found

    def fitted(self, rates: Vector) -> Vector:
        """Return the fitted observations at these rates, shape (n,)."""
        return np.asarray(self._basis(rates) @ self.steps(rates))

    def residual(self, rates: Vector) -> Vector:
        """Return the weighted residuals at these rates, shape (n,)."""
        return np.asarray((self.fitted(rates) - self.activity) / self.sigma)

    def jacobian(self, rates: Vector) -> Vector:
        """Return the derivative of the residual in ln(rates), after Kaufman, BIT 1975;15:49; shape (n, k)."""
        steps = self.steps(rates)
        used = self._basis(rates)[:, steps > 0.0] / self.sigma[:, None]
        direction = self.slopes(rates) * np.diff(steps, prepend=0.0) / self.sigma[:, None]
        if used.shape[1]:
            orthonormal = np.linalg.qr(used)[0]
            direction = direction - orthonormal @ (orthonormal.T @ direction)
        return np.asarray(direction)

    def _basis(self, rates: Vector) -> Vector:
        shape = self.rows(rates)
        shape[:, :-1] -= shape[:, 1:].copy()
        return shape


def _scan(time: Vector, activity: Vector, sigma: Vector, sides: tuple[Vector, Vector]) -> Vector:
    # All combinations of rates at once; of each the best non-negative amplitudes are those of one of its subsets.
    slow = np.geomspace(sides[0][0], sides[1][0], COMPONENT_SCAN)
    fast = np.geomspace(sides[0][-1], sides[1][-1], COMPONENT_SCAN + 1)
    rates = np.array(list(itertools.product(slow, *[fast] * (sides[0].size - 1))))
    rates = rates[(np.diff(rates, axis=1) > 0.05 * rates[:, :-1]).all(axis=1)]
    if not rates.size:
        return np.asarray(np.sqrt(sides[0] * sides[1]))
    shape = np.exp(-rates[:, None, :] * time[None, :, None]) / sigma[None, :, None]
    shape[:, :, :-1] -= shape[:, :, 1:].copy()
    gram, right = shape.transpose(0, 2, 1) @ shape, shape.transpose(0, 2, 1) @ (activity / sigma)
    gain = np.zeros(rates.shape[0])
    for size in range(1, rates.shape[1] + 1):
        for chosen in itertools.combinations(range(rates.shape[1]), size):
            gain = np.maximum(gain, _explained(gram, right, list(chosen)))
    return np.asarray(rates[int(np.argmax(gain))])


def _explained(gram: Vector, right: Vector, chosen: list[int]) -> Vector:
    part, side = gram[:, chosen][:, :, chosen], right[:, chosen]
    # Two rates that look alike make the matrix singular; a start needs no digits.
    ridge = 1e-10 * np.trace(part, axis1=1, axis2=2)[:, None, None] * np.eye(len(chosen)) + TINY * np.eye(len(chosen))
    amplitude = np.linalg.solve(part + ridge, side[:, :, None])[:, :, 0]
    return np.where((amplitude >= 0.0).all(axis=1), (side * amplitude).sum(axis=1), 0.0)


def refined(
    problem: Projection, rates: Vector, sides: tuple[Vector, Vector], tolerance: float = ROOT_TOLERANCE
) -> Vector:
    """Return the rates refined to the nearest minimum of a problem.

    Levenberg-Marquardt in ln(rates); a rate at its bound that wants to leave is held there. Rates stay in order,
    slowest first, or the components would not be non-negative.

    Parameters
    ----------
    problem : Projection
    rates : ndarray, shape (k,)
        Where to start.
    sides : tuple of ndarray, shape (k,)
        Lowest and highest rates.
    tolerance : float
        Largest step in ln(rates) that ends the search.

    Returns
    -------
    ndarray, shape (k,)
    """
    low, high = np.log(sides[0]), np.log(sides[1])
    place, damping = np.log(rates), 1e-3
    residual, jacobian = problem.residual(rates), problem.jacobian(rates)
    for _ in range(EVALUATIONS):
        step = _damped_step(jacobian, residual, (place, low, high), damping)
        moved = np.sort(np.clip(place + step, low, high))
        trial = problem.residual(np.exp(moved))
        cost, change = float(residual @ residual), float(trial @ trial) - float(residual @ residual)
        if change < 0.0:
            place, residual, damping = moved, trial, damping / 10.0
        else:
            damping *= 10.0
        # A change below rounding cannot be followed further.
        if abs(change) <= ROOT_TOLERANCE * cost or damping > LARGEST_DAMPING or np.abs(step).max() <= tolerance:
            break
        jacobian = problem.jacobian(np.exp(place)) if change < 0.0 else jacobian
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
