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

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kernels.backend import Array, Namespace, namespace_of

if TYPE_CHECKING:
    from collections.abc import Sequence

# Newton's next error is of the order of the square of this (relative) step.
CONVERGED = 1e-4
# Steps of all curves together; those that still move go on alone, each between its own bounds.
COMMON_STEPS = 2
MAX_STEPS = 60
# Where the exact derivative is below this part of its expected value the residuals rule it: a step from it may be wild.
LEAST_DERIVATIVE = 0.25
START_DEGREE = 7
START_NODES = 256


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


class _Problem(NamedTuple):
    # Values and weights by time, each of shape (n_curves,); weights of shape (1,) where all curves share them.
    # Infinite and missing values are 0 here and not `finite`.
    values: list[Array]
    weights: list[Array]
    offsets: list[float]
    power: int
    finite: Array
    xp: Namespace


class _Sums(NamedTuple):
    # Sums over the times of u**k c y (s) and u**k c exp(-r u) (g); the exponentials by time.
    s0: Array
    s1: Array
    s2: Array
    g0: Array
    g1: Array
    g2: Array
    decays: list[Array]


class _Bracket(NamedTuple):
    # Rates, the bounds that their solutions lie between, and the last step's length.
    rate: Array
    low: Array
    high: Array
    moved: Array


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
    problem = _problem(values, times, weights, power)
    rate, without = _rates(problem, slowest, fastest, fallback_rate)
    sums = _sums(problem, rate)
    # The sums are there anyway: one more step, to first order in the amplitude, doubles the digits.
    step = _replaced(problem.xp, without, _newton_step(problem, sums)[0], 0.0)
    polished = _replaced(problem.xp, without, _within(problem.xp, rate - step, slowest, fastest), fallback_rate)
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
    problem = _problem(values, times, weights, power)
    rate, _ = _rates(problem, slowest, fastest, fallback_rate)
    sums = _sums(problem, rate)
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
    problem = _problem(values, times, weights, power)
    xp, sums = problem.xp, _sums(problem, rate)
    middle_value, nothing = _middle_value(problem, sums)
    amplitude = middle_value * xp.exp(float(sum(times)) / len(times) * rate)
    precision = sums.g0 * middle_value ** (2 - power)
    score = sums.s1 - middle_value * sums.g1
    spread = xp.maximum(sums.g2 - sums.g1 * sums.g1 / sums.g0, _smallest(rate) * sums.g0)
    found = (
        amplitude,
        amplitude / xp.sqrt(precision),
        _chi_squared(problem, sums, middle_value),
        score * score / (spread * middle_value**power),
    )
    return AmplitudeFits(*(_replaced(xp, nothing, each, 0.0) for each in found))


def _problem(values: Array, times: Sequence[float], weights: Array | None, power: int) -> _Problem:
    xp = namespace_of(values)
    middle = float(sum(times)) / len(times)
    rows = [values[i, :] for i in range(len(times))]
    finite = xp.isfinite(_total(rows))
    if not bool(xp.all(finite)):
        rows = [xp.where(finite, row, xp.zeros_like(row)) for row in rows]
    one = xp.ones_like(values[0, :1])
    each = [one if weights is None else weights[i, :] for i in range(len(times))]
    return _Problem(rows, each, [float(t) - middle for t in times], power, finite, xp)


def _rates(problem: _Problem, slowest: float, fastest: float, fallback_rate: float) -> tuple[Array, Array]:
    """Return the rates, to about half the digits, and which curves have none of their own."""
    rate = _solved(problem, _start(problem, slowest, fastest), slowest, fastest)
    without = _without_own_rate(problem)
    return _replaced(problem.xp, without, rate, fallback_rate), without


def _total(rows: Sequence[Array]) -> Array:
    total = rows[0] + 0.0
    for row in rows[1:]:
        total += row
    return total


def _smallest(values: Array) -> float:
    # A divisor that overflows nothing; stands where a divisor is not positive.
    return math.sqrt(float(namespace_of(values).finfo(values.dtype).smallest_normal))


def _replaced(xp: Namespace, where: Array, values: Array, by: float | Array) -> Array:
    # Selecting costs as much as an exponential, and most blocks have nothing to replace.
    return xp.where(where, xp.zeros_like(values) + by, values) if bool(xp.any(where)) else values


def _without_own_rate(problem: _Problem) -> Array:
    # Fewer than two positive values: the second largest is not positive.
    xp = problem.xp
    largest = xp.maximum(problem.values[0], problem.values[1])
    second = xp.minimum(problem.values[0], problem.values[1])
    for row in problem.values[2:]:
        second = xp.maximum(second, xp.minimum(largest, row))
        largest = xp.maximum(largest, row)
    return second <= 0


def _within(xp: Namespace, values: Array, low: float | Array, high: float | Array) -> Array:
    return xp.minimum(xp.maximum(values, low), high)


def _start(problem: _Problem, slowest: float, fastest: float) -> Array:
    """Return the rate whose mean time is that of the values, by a polynomial made for these times."""
    xp = problem.xp
    total = xp.maximum(_total(problem.values), _smallest(problem.values[0]))
    first = _total([offset * row for offset, row in zip(problem.offsets, problem.values, strict=True)])
    early, late, coefficients = _rate_by_mean_time(tuple(problem.offsets), slowest, fastest)
    mean_time = _within(xp, first / total, early, late)
    rate = coefficients[-1] * mean_time + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        rate *= mean_time
        rate += coefficient
    return _within(xp, rate, slowest, fastest)


@lru_cache(maxsize=16)
def _rate_by_mean_time(
    offsets: tuple[float, ...], slowest: float, fastest: float
) -> tuple[float, float, tuple[float, ...]]:
    rates = np.linspace(slowest, fastest, START_NODES)
    decays = np.exp(-np.outer(rates, offsets))
    mean_times = decays @ np.asarray(offsets) / decays.sum(axis=1)
    fitted = np.polynomial.Polynomial.fit(mean_times, rates, START_DEGREE)
    coefficients = fitted.convert(domain=[-1.0, 1.0], window=[-1.0, 1.0]).coef
    return float(mean_times[-1]), float(mean_times[0]), tuple(float(c) for c in coefficients)


def _solved(problem: _Problem, rate: Array, slowest: float, fastest: float) -> Array:
    xp = problem.xp
    for _ in range(COMMON_STEPS):
        before = rate
        rate = _within(xp, rate - _newton_step(problem, _sums(problem, rate))[0], slowest, fastest)
    moving = xp.abs(rate - before) > CONVERGED * before
    if bool(xp.any(moving)):
        rate[moving] = _solved_alone(_only(problem, moving), rate[moving], slowest, fastest)
    return rate


def _only(problem: _Problem, chosen: Array) -> _Problem:
    shared = problem.weights[0].shape[0] == 1
    weights = problem.weights if shared else [weight[chosen] for weight in problem.weights]
    return problem._replace(values=[row[chosen] for row in problem.values], weights=weights)


def _solved_alone(problem: _Problem, rate: Array, slowest: float, fastest: float) -> Array:
    """Solve between the bounds; where the equation has one sign from the rate to a bound, the bound is the solution."""
    xp = problem.xp
    bounds = [xp.full_like(rate, bound) for bound in (slowest, fastest)]
    below, here, above = (_newton_step(problem, _sums(problem, at))[1] for at in (bounds[0], rate, bounds[1]))
    high = xp.where((below > 0) & (here >= 0), bounds[0], bounds[1])
    low = xp.where((above < 0) & (here < 0), bounds[1], bounds[0])
    return _narrowed(problem, _Bracket(_within(xp, rate, low, high), low, high, high - low), CONVERGED * slowest)


def _narrowed(problem: _Problem, bracket: _Bracket, width: float) -> Array:
    """Newton's method inside a bracket; a step that leaves it, or is over half of the one before, halves it instead."""
    xp = problem.xp
    for _ in range(MAX_STEPS):
        rate = bracket.rate
        step, excess = _newton_step(problem, _sums(problem, rate))
        high, low = xp.where(excess > 0, rate, bracket.high), xp.where(excess > 0, bracket.low, rate)
        wanted = rate - step
        halve = (wanted < low) | (wanted > high) | (2.0 * xp.abs(step) > bracket.moved)
        solved = xp.where(halve, 0.5 * (low + high), wanted)
        bracket = _Bracket(solved, low, high, xp.abs(solved - rate))
        moving = bracket.moved > width
        left = int(xp.count_nonzero(moving))
        if 2 * left < moving.shape[0]:
            if left:
                rest = _Bracket(*(line[moving] for line in bracket))
                solved[moving] = _narrowed(_only(problem, moving), rest, width)
            return solved
    return bracket.rate


def _newton_step(problem: _Problem, sums: _Sums) -> tuple[Array, Array]:
    """Return Newton's step and the left side of the equation, which rises with the rate."""
    xp, power = problem.xp, problem.power
    middle_value, mean = sums.s0 / sums.g0, sums.g1 / sums.g0
    excess = sums.s1 - middle_value * sums.g1
    expected = middle_value * (sums.g2 - mean * sums.g1)
    exact = (2 - power) * expected
    if power != 1:
        exact += (1 - power) * (mean * sums.s1 - sums.s2)
    slope = xp.maximum(xp.maximum(exact, LEAST_DERIVATIVE * expected), _smallest(expected))
    return excess / slope, excess


def _sums(problem: _Problem, rate: Array) -> _Sums:
    decays = [problem.xp.exp(-offset * rate) for offset in problem.offsets]
    sums: list[Array] = []
    for offset, decay, row, weight in zip(problem.offsets, decays, problem.values, problem.weights, strict=True):
        measured, fitted = _terms(problem.power, decay, row, weight)
        terms = [measured, fitted]
        for _ in range(2):
            terms += [offset * terms[-2], offset * terms[-1]]
        sums = _added(sums, terms)
    s0, g0, s1, g1, s2, g2 = sums
    return _Sums(s0, s1, s2, g0, g1, g2, decays)


def _added(sums: list[Array], terms: list[Array]) -> list[Array]:
    for number, term in enumerate(terms if sums else ()):
        sums[number] += term
    return sums or terms


def _terms(power: int, decay: Array, row: Array, weight: Array) -> tuple[Array, Array]:
    # c y and c exp(-r u), new arrays.
    if power == 0:
        weighted = weight * decay
        return weighted * row, weighted * decay
    if power == 1:
        return weight * row, weight * decay
    return weight * row / decay, weight + 0.0 * decay


def _middle_value(problem: _Problem, sums: _Sums) -> tuple[Array, Array]:
    # The fitted value at the mean time, and where there is none (it is 1 there).
    value = sums.s0 / sums.g0
    nothing = (value <= 0) | ~problem.finite
    return _replaced(problem.xp, nothing, value, 1.0), nothing


def _described(
    problem: _Problem, sums: _Sums, rate: Array, polished: Array, middle: float, fallback_rate: float
) -> CurveFits:
    """Describe the fits at ``polished``, close to the rate of the sums."""
    xp = problem.xp
    middle_value, nothing = _middle_value(problem, sums)
    scale = 1.0 / ((sums.g0 * sums.g2 - sums.g1 * sums.g1) * middle_value ** (2 - problem.power))
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
        _replaced(xp, nothing, each, 0.0) for each in found
    )
    rate = _replaced(xp, nothing, polished, fallback_rate)
    return CurveFits(amplitude, rate, amplitude_sigma, rate_sigma, correlation, chi_squared)


def _chi_squared(problem: _Problem, sums: _Sums, middle_value: Array) -> Array:
    parts = []
    for decay, row, weight in zip(sums.decays, problem.values, problem.weights, strict=True):
        fitted = middle_value * decay
        residual = row - fitted
        if problem.power:
            residual = residual * residual / fitted**problem.power
        else:
            residual *= residual
        parts.append(weight * residual)
    return _total(parts)
