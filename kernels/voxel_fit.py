"""Bounded mono-exponential fits of many curves at once, on any array backend.

The error is a constant fraction of the *fitted* activity, so the weights are 1/f2 and depend on the rate alone. The
normal equations of A exp(-r t) then read, with n times t_i and values y_i,

    A = mean(y_i exp(r t_i)),        sum (t_i - mean t) y_i exp(r t_i) = 0,

so the amplitude is projected out (variable projection; Golub, Pereyra, SIAM J Numer Anal 1973;10:413) and one
equation in r is left. Its logarithmic form, ln(sum over late times) - ln(sum over early times), rises with r, is nearly
linear, and is exactly linear where two terms are left: Newton's step solves it in a few iterations from anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernels.backend import Array, namespace_of

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ITERATIONS = 30
RATE_TOLERANCE = 1e-12
# Curves per block: the temporaries of one block stay in a core's cache; a GPU takes everything at once.
HOST_BLOCK = 16384


def fit_mono_exponentials(
    values: Array, times: Sequence[float], slowest: float, fastest: float, fallback_rate: float
) -> tuple[Array, Array]:
    """Return amplitude at t = 0 and rate of every curve.

    Parameters
    ----------
    values : array, shape (n_times, n_curves)
        Not negative, real floating type.
    times : sequence of float
        Increasing; at least two. Any unit; rates are per that unit. Scale to about 1 to 100 for single precision.
    slowest, fastest : float
        Bounds of the rate.
    fallback_rate : float
        Rate of curves with fewer than two positive values, which have no rate of their own.

    Returns
    -------
    tuple of array, each of shape (n_curves,)
        Amplitude (0 where all values are 0) and rate.
    """
    xp = namespace_of(values)
    times = [float(time) for time in times]
    middle = sum(times) / len(times)
    rates = xp.full_like(values[0, :], fallback_rate)
    late = [i for i, t in enumerate(times) if t > middle]
    early = [i for i, t in enumerate(times) if t < middle]
    for _ in range(MAX_ITERATIONS):
        upper, upper_slope = _moments(values, times, late, middle, rates)
        lower, lower_slope = _moments(values, times, early, middle, rates)
        solved = _newton(rates, upper, upper_slope, lower, lower_slope, slowest, fastest)
        moved = float(xp.max(xp.abs(solved - rates)))
        rates = solved
        if moved <= RATE_TOLERANCE * fastest:
            break
    positive = xp.sum(xp.astype(values > 0, values.dtype), axis=0)
    rates = xp.where(positive < 2, xp.full_like(rates, fallback_rate), rates)
    return _amplitude(values, times, rates), rates


def _moments(
    values: Array, times: Sequence[float], chosen: Sequence[int], middle: float, rates: Array
) -> tuple[Array, Array]:
    # Sum of |t - mean| y exp(r (t - mean)) over one side of the mean time, and its derivative in r.
    xp = namespace_of(values)
    total, slope = xp.zeros_like(rates), xp.zeros_like(rates)
    for index in chosen:
        offset = times[index] - middle
        term = abs(offset) * values[index, :] * xp.exp(rates * offset)
        total = total + term
        slope = slope + offset * term
    return total, slope


def _newton(
    rates: Array,
    upper: Array,
    upper_slope: Array,
    lower: Array,
    lower_slope: Array,
    slowest: float,
    fastest: float,
) -> Array:
    xp = namespace_of(rates)
    one = xp.ones_like(rates)
    safe_upper, safe_lower = xp.where(upper > 0, upper, one), xp.where(lower > 0, lower, one)
    slope = upper_slope / safe_upper - lower_slope / safe_lower
    step = xp.log(safe_upper / safe_lower) / xp.where(slope > 0, slope, one)
    solved = xp.clip(rates - step, slowest, fastest)
    # Nothing measured late: as fast as allowed. Nothing measured early: as slow as allowed.
    solved = xp.where(upper > 0, solved, fastest * one)
    return xp.where(lower > 0, solved, slowest * one)


def _amplitude(values: Array, times: Sequence[float], rates: Array) -> Array:
    xp = namespace_of(values)
    total = xp.zeros_like(rates)
    for index, time in enumerate(times):
        total = total + values[index, :] * xp.exp(rates * time)
    return total / len(times)
