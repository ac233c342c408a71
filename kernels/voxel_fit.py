"""Bounded mono-exponential fits of many curves at once, on any array backend, by variable projection.

The variance of a value is ``f**power / weight`` with f the fitted value: power 0 is weighted least squares (known
variances), 1 a fit to counts, 2 a constant relative error. With the variances held at the solution (1 and 2 iterated to
their fixed point), u = t - mean t and f = B exp(-r u), the normal equations are

    sum c (y - f) = 0,    sum u c (y - f) = 0,    c = weight exp(-r u)**(1 - power).

The first gives B (the amplitude is projected out; Golub, Pereyra, SIAM J Numer Anal 1973;10:413). What is left is one
equation in r, solved by Newton's method with its exact derivative. For power 1 and equal weights it reads: the mean
time of the fit is the mean time of the measured counts; that solution is the start of all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kernels.backend import Array
from kernels.voxel_rates import (
    Problem,
    Sums,
    newton_step,
    problem_of,
    replaced,
    smallest_divisor,
    solve_rates,
    sum_of,
    sums_at,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class CurveFits(NamedTuple):
    """Amplitude at t = 0 and rate of each curve, one standard deviation each, their correlation, and chi-squared.

    All of shape (n_curves,). Sigmas are absolute: they follow from the weights, not from the residuals.
    """

    amplitude: Array
    rate: Array
    amplitude_sigma: Array
    rate_sigma: Array
    correlation: Array
    chi_squared: Array


def fit_mono_exponentials(
    values: Array,
    times: Sequence[float],
    slowest: float,
    fastest: float,
    fallback_rate: float,
    *,
    weights: Array | None = None,
    power: int = 0,
) -> CurveFits:
    """Fit A exp(-r t) to every curve.

    Parameters
    ----------
    values : array, shape (n_times, n_curves)
        Real floating type. Negative values are values like any other.
    times : sequence of float
        Increasing; at least two. Any unit; rates are per that unit. Scale to about 1 to 100 for single precision.
    slowest, fastest : float
        Bounds of the rate.
    fallback_rate : float
        Rate of curves without one of their own: fewer than two positive values.
    weights : array, shape (n_times, n_curves) or (n_times, 1), optional
        ``f**power / variance``, at least 0; 1 where not given.
    power : {0, 1, 2}
        How the variance goes with the fitted value f.

    Returns
    -------
    CurveFits
        A curve whose best amplitude is not positive, or that holds a value that is not finite, has amplitude 0, the
        fallback rate, and sigmas and chi-squared 0; never NaN. A rate at a bound has the sigma of the free fit there.
    """
    problem = problem_of(values, times, weights, power)
    rate, without = solve_rates(problem, slowest, fastest, fallback_rate)
    sums = sums_at(problem, rate)
    # The sums are there anyway: one more step, to first order in the amplitude, doubles the digits.
    step = replaced(problem.xp, without, newton_step(problem, sums)[0], 0.0)
    polished = replaced(problem.xp, without, within(problem.xp, rate - step, slowest, fastest), fallback_rate)
    return _described(problem, sums, rate, polished, float(sum(times)) / len(times), fallback_rate)


def fit_areas(
    values: Array,
    times: Sequence[float],
    slowest: float,
    fastest: float,
    fallback_rate: float,
    *,
    weights: Array | None = None,
    power: int = 0,
) -> Array:
    """Return only the area under each fitted curve from 0 on, amplitude / rate; for repeated fits.

    Parameters are those of :func:`fit_mono_exponentials`; the area is 0 where that gives amplitude 0.
    """
    problem = problem_of(values, times, weights, power)
    rate, _ = solve_rates(problem, slowest, fastest, fallback_rate)
    sums = sums_at(problem, rate)
    middle_value = problem.xp.maximum(sums.s0 / sums.g0, 0.0)
    return middle_value * problem.xp.exp(float(sum(times)) / len(times) * rate) / rate


class AmplitudeFits(NamedTuple):
    """Amplitude at t = 0 of curves with a given rate, its sigma at that rate, chi-squared, and what a free rate gains.

    All of shape (n_curves,). ``chi_squared_of_rate`` is the score statistic: by how much chi-squared would fall, to
    first order, were the rate the curve's own.
    """

    amplitude: Array
    amplitude_sigma: Array
    chi_squared: Array
    chi_squared_of_rate: Array


def amplitudes_at(
    values: Array, times: Sequence[float], rate: Array, *, weights: Array | None = None, power: int = 0
) -> AmplitudeFits:
    """Fit the amplitudes of curves whose rates are known.

    Parameters
    ----------
    values, times, weights, power
        As of :func:`fit_mono_exponentials`; a single time is enough.
    rate : array, shape (n_curves,)

    Returns
    -------
    AmplitudeFits
        All 0 where the best amplitude is not positive or a value is not finite; never NaN.
    """
    problem = problem_of(values, times, weights, power)
    xp, sums = problem.xp, sums_at(problem, rate)
    middle_value, nothing = _middle_value(problem, sums)
    amplitude = middle_value * xp.exp(float(sum(times)) / len(times) * rate)
    precision = sums.g0 * middle_value ** (2 - power)
    score = sums.s1 - middle_value * sums.g1
    spread = xp.maximum(sums.g2 - sums.g1 * sums.g1 / sums.g0, smallest_divisor(rate) * sums.g0)
    found = (
        amplitude,
        amplitude / xp.sqrt(precision),
        _chi_squared(problem, sums, middle_value),
        score * score / (spread * middle_value**power),
    )
    return AmplitudeFits(*(replaced(xp, nothing, each, 0.0) for each in found))


def _middle_value(problem: Problem, sums: Sums) -> tuple[Array, Array]:
    # The fitted value at the mean time, and where there is none (it is 1 there).
    value = sums.s0 / sums.g0
    nothing = (value <= 0) | ~problem.finite
    return replaced(problem.xp, nothing, value, 1.0), nothing


def _described(
    problem: Problem, sums: Sums, rate: Array, polished: Array, middle: float, fallback_rate: float
) -> CurveFits:
    """Describe the fits at ``polished``, close to the rate of the sums."""
    xp = problem.xp
    middle_value, nothing = _middle_value(problem, sums)
    # Where one point carries all weight the difference is rounding, and may be negative.
    least = float(xp.finfo(rate.dtype).eps) * sums.g0 * sums.g2
    determinant = xp.maximum(sums.g0 * sums.g2 - sums.g1 * sums.g1, least)
    scale = 1.0 / (determinant * middle_value ** (2 - problem.power))
    rate_variance = sums.g0 * scale
    # ln A = ln B + r * middle; the covariance of ln B and r is g1 * scale.
    covariance = sums.g1 * scale + middle * rate_variance
    log_variance = sums.g2 * scale + middle * (covariance + sums.g1 * scale)
    rate_sigma, log_sigma = xp.sqrt(rate_variance), xp.sqrt(log_variance)
    # d ln B / d r is the mean of u.
    shift = (polished - rate) * (sums.g1 / sums.g0)
    amplitude = middle_value * (1.0 + shift) * xp.exp(middle * polished)
    correlation = covariance / (rate_sigma * log_sigma)
    found = (amplitude, amplitude * log_sigma, rate_sigma, correlation, _chi_squared(problem, sums, middle_value))
    amplitude, amplitude_sigma, rate_sigma, correlation, chi_squared = (
        replaced(xp, nothing, each, 0.0) for each in found
    )
    rate = replaced(xp, nothing, polished, fallback_rate)
    return CurveFits(amplitude, rate, amplitude_sigma, rate_sigma, correlation, chi_squared)


def _chi_squared(problem: Problem, sums: Sums, middle_value: Array) -> Array:
    parts = []
    for decay, row, weight in zip(sums.decays, problem.values, problem.weights, strict=True):
        fitted = middle_value * decay
        residual = row - fitted
        if problem.power:
            residual = residual * residual / fitted**problem.power
        else:
            residual *= residual
        parts.append(weight * residual)
    return sum_of(parts)
