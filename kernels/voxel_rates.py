"""Rates of many curves at once: the equation that is left when the amplitude is projected out, and its solution.

The method stands in :mod:`kernels.voxel_fit`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kernels.backend import Array, Namespace, namespace_of

if TYPE_CHECKING:
    from collections.abc import Sequence

# The error left by Newton's method is of the order of the square of its last (relative) step; a last step from the sums
# that are needed anyway squares it once more.
CONVERGED = 1e-3
# Steps of all curves together; those that still move go on alone, each between its own bounds.
COMMON_STEPS = 3
MAX_STEPS = 60
# Where the exact derivative is below this part of its expected value the residuals rule it: a step from it may be wild.
LEAST_DERIVATIVE = 0.25
START_DEGREE = 7
START_NODES = 256


class Problem(NamedTuple):
    # Values and weights by time, each of shape (n_curves,); weights of shape (1,) where all curves share them.
    # Infinite and missing values are 0 here and not `finite`.
    values: list[Array]
    weights: list[Array]
    offsets: list[float]
    power: int
    finite: Array
    xp: Namespace


class Sums(NamedTuple):
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


def problem_of(values: Array, times: Sequence[float], weights: Array | None, power: int) -> Problem:
    xp = namespace_of(values)
    middle = float(sum(times)) / len(times)
    rows = [values[i, :] for i in range(len(times))]
    finite = xp.isfinite(sum_of(rows))
    if not bool(xp.all(finite)):
        rows = [xp.where(finite, row, xp.zeros_like(row)) for row in rows]
    one = xp.ones_like(values[0, :1])
    each = [one if weights is None else weights[i, :] for i in range(len(times))]
    return Problem(rows, each, [float(t) - middle for t in times], power, finite, xp)


def solve_rates(problem: Problem, slowest: float, fastest: float, fallback_rate: float) -> tuple[Array, Array]:
    """Return the rates, to about half the digits, and which curves have none of their own."""
    rate = _solved(problem, _start(problem, slowest, fastest), slowest, fastest)
    without = _without_own_rate(problem)
    return replaced(problem.xp, without, rate, fallback_rate), without


def sum_of(rows: Sequence[Array]) -> Array:
    total = rows[0] + 0.0
    for row in rows[1:]:
        total += row
    return total


def smallest_divisor(values: Array) -> float:
    # A divisor that overflows nothing; stands where a divisor is not positive.
    return math.sqrt(float(namespace_of(values).finfo(values.dtype).smallest_normal))


def replaced(xp: Namespace, where: Array, values: Array, by: float | Array) -> Array:
    # Selecting costs as much as an exponential, and most blocks have nothing to replace.
    return xp.where(where, xp.zeros_like(values) + by, values) if bool(xp.any(where)) else values


def _without_own_rate(problem: Problem) -> Array:
    # Fewer than two positive values: the second largest is not positive.
    xp = problem.xp
    largest = xp.maximum(problem.values[0], problem.values[1])
    second = xp.minimum(problem.values[0], problem.values[1])
    for row in problem.values[2:]:
        second = xp.maximum(second, xp.minimum(largest, row))
        largest = xp.maximum(largest, row)
    return second <= 0


def within(xp: Namespace, values: Array, low: float | Array, high: float | Array) -> Array:
    return xp.minimum(xp.maximum(values, low), high)


def _start(problem: Problem, slowest: float, fastest: float) -> Array:
    """Return the rate whose mean time is that of the values, by a polynomial made for these times."""
    xp = problem.xp
    total = xp.maximum(sum_of(problem.values), smallest_divisor(problem.values[0]))
    first = sum_of([offset * row for offset, row in zip(problem.offsets, problem.values, strict=True)])
    early, late, coefficients = rate_by_mean_time(tuple(problem.offsets), slowest, fastest)
    mean_time = within(xp, first / total, early, late)
    rate = coefficients[-1] * mean_time + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        rate *= mean_time
        rate += coefficient
    return within(xp, rate, slowest, fastest)


@lru_cache(maxsize=16)
def rate_by_mean_time(
    offsets: tuple[float, ...], slowest: float, fastest: float
) -> tuple[float, float, tuple[float, ...]]:
    """Return the earliest and the latest mean time, and the coefficients of the rate as a polynomial of it."""
    rates = np.linspace(slowest, fastest, START_NODES)
    decays = np.exp(-np.outer(rates, offsets))
    mean_times = decays @ np.asarray(offsets) / decays.sum(axis=1)
    fitted = np.polynomial.Polynomial.fit(mean_times, rates, START_DEGREE)
    coefficients = fitted.convert(domain=[-1.0, 1.0], window=[-1.0, 1.0]).coef
    return float(mean_times[-1]), float(mean_times[0]), tuple(float(c) for c in coefficients)


def _solved(problem: Problem, start: Array, slowest: float, fastest: float) -> Array:
    xp = problem.xp
    step, excess = newton_step(problem, sums_at(problem, start))
    before, rate = start, within(xp, start - step, slowest, fastest)
    for _ in range(COMMON_STEPS - 1):
        before = rate
        rate = within(xp, rate - newton_step(problem, sums_at(problem, rate))[0], slowest, fastest)
    # A wild step may have ended at the bound beyond which the solution does not lie.
    astray = ((rate >= fastest) & (excess > 0)) | ((rate <= slowest) & (excess < 0))
    moving = astray | (xp.abs(rate - before) > CONVERGED * before)
    if bool(xp.any(moving)):
        bracket = _bracketed(_only(problem, moving), rate[moving], start[moving], excess[moving], slowest, fastest)
        rate[moving] = _narrowed(_only(problem, moving), bracket, CONVERGED * slowest)
    return rate


def _only(problem: Problem, chosen: Array) -> Problem:
    shared = problem.weights[0].shape[0] == 1
    weights = problem.weights if shared else [weight[chosen] for weight in problem.weights]
    return problem._replace(values=[row[chosen] for row in problem.values], weights=weights)


def _bracketed(problem: Problem, rate: Array, start: Array, excess: Array, slowest: float, fastest: float) -> _Bracket:
    """Return bounds at whose inner sides the equation has opposite signs, from its sign at the start.

    Where it has one sign from the start to a bound, both bounds of the bracket are that bound.
    """
    xp = problem.xp
    ends = [xp.full_like(rate, bound) for bound in (slowest, fastest)]
    below, above = (newton_step(problem, sums_at(problem, end))[1] for end in ends)
    high = xp.where(excess > 0, xp.where(below > 0, ends[0], start), ends[1])
    low = xp.where(excess > 0, ends[0], xp.where(above < 0, ends[1], start))
    return _Bracket(within(xp, rate, low, high), low, high, high - low)


def _narrowed(problem: Problem, bracket: _Bracket, width: float) -> Array:
    """Newton's method inside a bracket; a step that leaves it, or is over half of the one before, halves it instead."""
    xp = problem.xp
    for _ in range(MAX_STEPS):
        rate = bracket.rate
        step, excess = newton_step(problem, sums_at(problem, rate))
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


def newton_step(problem: Problem, sums: Sums) -> tuple[Array, Array]:
    """Return Newton's step and the left side of the equation, which rises with the rate."""
    xp, power = problem.xp, problem.power
    middle_value, mean = sums.s0 / sums.g0, sums.g1 / sums.g0
    excess = sums.s1 - middle_value * sums.g1
    expected = middle_value * (sums.g2 - mean * sums.g1)
    exact = (2 - power) * expected
    if power != 1:
        exact += (1 - power) * (mean * sums.s1 - sums.s2)
    slope = xp.maximum(xp.maximum(exact, LEAST_DERIVATIVE * expected), smallest_divisor(expected))
    return excess / slope, excess


def sums_at(problem: Problem, rate: Array) -> Sums:
    decays = [problem.xp.exp(-offset * rate) for offset in problem.offsets]
    sums: list[Array] = []
    for offset, decay, row, weight in zip(problem.offsets, decays, problem.values, problem.weights, strict=True):
        measured, fitted = _terms(problem.power, decay, row, weight)
        terms = [measured, fitted]
        for _ in range(2):
            terms += [offset * terms[-2], offset * terms[-1]]
        sums = _added(sums, terms)
    s0, g0, s1, g1, s2, g2 = sums
    return Sums(s0, s1, s2, g0, g1, g2, decays)


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
