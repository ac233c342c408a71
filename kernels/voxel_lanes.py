"""Compiled routines of :mod:`kernels.voxel_compiled`; the only module that imports Numba.

Curves are solved ``LANES`` at a time: loops over the lanes are free of branches and calls, so that the compiler makes
vector instructions of them, and all that a chunk needs stays in a core's first-level cache. The equations and the order
of steps are those of :mod:`kernels.voxel_rates`; the few curves that still move after the common steps go on alone.

All of it stands in one file and takes what may change elsewhere as arguments: Numba keeps machine code on disk for as
long as the file of the called routine is unchanged, whatever that imports.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Routine = TypeVar("Routine", bound=Callable[..., Any])

LANES = 128
# Rows of the scratch of a chunk, each of one number a lane.
S0, S1, S2, G0, G1, G2 = (LANES * row for row in range(6))
RATE, START, EXCESS, MOVED, TOTAL, POSITIVES, MIDDLE = (LANES * row for row in range(6, 13))
AMPLITUDE, FOUND_RATE, AMPLITUDE_SIGMA, RATE_SIGMA, CORRELATION, CHI_SQUARED = (LANES * row for row in range(13, 19))
SCRATCH_ROWS = 19
# Rows of each time: value, weight, decay.
VALUE, WEIGHT, DECAY = 0, LANES, 2 * LANES
ROWS_OF_TIME = 3 * LANES
EPSILON = float(np.finfo(np.float64).eps)
TINY = float(np.sqrt(np.finfo(np.float64).smallest_normal))

# exp x = 2^k exp(x - k ln 2): a sum of 1.5 * 2^52 holds k in its last bits; ln 2 in two parts (fdlibm, e_exp.c).
ROUNDER = 1.5 * 2.0**52
LOG2_E = float(np.log2(np.e))
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_HALF = 0.5 * float(np.log(2.0))
# Interpolation of degree 10 in Chebyshev's nodes: relative error below 3e-16 (test).
E0, E1, E2, E3, E4, E5, E6, E7, E8, E9, E10 = (
    float(c)
    for c in np.polynomial.Chebyshev.interpolate(np.exp, 10, domain=[-_HALF, _HALF])
    .convert(domain=[-1.0, 1.0], kind=np.polynomial.Polynomial, window=[-1.0, 1.0])
    .coef
)


class Search(NamedTuple):
    """Times around their mean, bounds, constants of :mod:`kernels.voxel_rates`, and the polynomial of the start."""

    offsets: Floats
    middle: float
    slowest: float
    fastest: float
    fallback_rate: float
    power: int
    converged: float
    common_steps: int
    max_steps: int
    least_derivative: float
    early: float
    late: float
    coefficients: tuple[float, float, float, float, float, float, float, float]


# `contract` joins a product and a sum; nothing else is loosened, so that NaN stays NaN.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def compiled(function: Routine) -> Routine:
    """Compile at the first call."""
    routine: Routine = njit(**OPTIONS)(function)
    return routine


def kept(function: Routine) -> Routine:
    """Compile at the first call; the machine code is kept on disk where a folder for it can be written."""
    try:
        routine: Routine = njit(cache=True, **OPTIONS)(function)
    except RuntimeError:
        # Neither Numba's own folder, nor one beside this file, nor one of the user: compiled anew by every process.
        routine = compiled(function)
    return routine


def _same_bits(kind: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(kind))

    def typed(_typing: Any, number: Any) -> Any:
        return kind(number), generate

    return intrinsic(typed)


_bits, _number = _same_bits(types.int64), _same_bits(types.float64)


@compiled
def exponential(x: float) -> float:
    """Return exp(x) for x between -700 and 700."""
    rounded = x * LOG2_E + ROUNDER
    k = rounded - ROUNDER
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    p = ((((E10 * r + E9) * r + E8) * r + E7) * r + E6) * r + E5
    p = ((((p * r + E4) * r + E3) * r + E2) * r + E1) * r + E0
    found: float = _number(_bits(p) + (_bits(rounded) << 52))
    return found


@compiled
def _terms(power: int, decay: float, value: float, weight: float) -> tuple[float, float]:
    if power == 0:
        weighted = weight * decay
        return weighted * value, weighted * decay
    if power == 1:
        return weight * value, weight * decay
    return weight * value / decay, weight


@compiled
def _clipped(value: float, low: float, high: float) -> float:
    value = low if value < low else value
    return high if value > high else value


@compiled
def _step(search: Search, s0: float, s1: float, s2: float, g0: float, g1: float, g2: float) -> tuple[float, float]:
    """Return Newton's step and the left side of the equation: ``kernels.voxel_rates.newton_step``."""
    middle_value, mean = s0 / g0, g1 / g0
    excess = s1 - middle_value * g1
    expected = middle_value * (g2 - mean * g1)
    slope = (2.0 - search.power) * expected + (1.0 - search.power) * (mean * s1 - s2)
    least = search.least_derivative * expected
    slope = least if slope < least else slope
    slope = TINY if slope < TINY else slope
    return excess / slope, excess


@compiled
def _load(held: Floats, values: Floats, spreads: Floats, start: int, count: int) -> None:
    """Copy values, and weights or sigmas; lanes without a curve hold nothing."""
    for i in range(values.shape[0]):
        row = i * ROWS_OF_TIME
        for lane in range(LANES):
            held[row + WEIGHT + lane] = spreads[i, 0]
        for lane in range(count):
            held[row + VALUE + lane] = values[i, start + lane]
        if spreads.shape[1] > 1:
            for lane in range(count):
                held[row + WEIGHT + lane] = spreads[i, start + lane]
        for lane in range(count, LANES):
            held[row + VALUE + lane] = 0.0


@compiled
def _add_noise(held: Floats, noise: Floats, start: int, count: int) -> None:
    for i in range(noise.shape[0]):
        row = i * ROWS_OF_TIME
        for lane in range(count):
            held[row + VALUE + lane] += held[row + WEIGHT + lane] * noise[i, start + lane]


@compiled
def _weigh(held: Floats, points: int) -> None:
    for i in range(points):
        row = i * ROWS_OF_TIME
        for lane in range(LANES):
            inverse = 1.0 / held[row + WEIGHT + lane]
            held[row + WEIGHT + lane] = inverse * inverse


@compiled
def _begin(held: Floats, work: Floats, search: Search) -> None:
    """Count positive values, blank curves that are not finite, and set the rate to start from."""
    points, wild = search.offsets.size, 0
    for lane in range(LANES):
        work[TOTAL + lane] = 0.0
        work[POSITIVES + lane] = 0.0
    for i in range(points):
        row = i * ROWS_OF_TIME
        for lane in range(LANES):
            work[TOTAL + lane] += held[row + lane]
    for lane in range(LANES):
        wild += 1 if work[TOTAL + lane] - work[TOTAL + lane] != 0.0 else 0
    if wild:
        _blank(held, work, points)
    for lane in range(LANES):
        work[START + lane] = 0.0
    for i in range(points):
        row, offset = i * ROWS_OF_TIME, search.offsets[i]
        for lane in range(LANES):
            value = held[row + lane]
            work[POSITIVES + lane] += 1.0 if value > 0.0 else 0.0
            work[START + lane] += offset * value
    c0, c1, c2, c3, c4, c5, c6, c7 = search.coefficients
    for lane in range(LANES):
        total = TINY if not work[TOTAL + lane] > TINY else work[TOTAL + lane]
        m = _clipped(work[START + lane] / total, search.early, search.late)
        rate = ((((((c7 * m + c6) * m + c5) * m + c4) * m + c3) * m + c2) * m + c1) * m + c0
        rate = _clipped(rate, search.slowest, search.fastest)
        work[START + lane] = rate
        work[RATE + lane] = rate


@compiled
def _blank(held: Floats, work: Floats, points: int) -> None:
    for lane in range(LANES):
        if work[TOTAL + lane] - work[TOTAL + lane] != 0.0:
            for i in range(points):
                held[i * ROWS_OF_TIME + lane] = 0.0


@compiled
def _sums(held: Floats, work: Floats, offsets: Floats, power: int) -> None:
    for lane in range(6 * LANES):
        work[S0 + lane] = 0.0
    for i in range(offsets.size):
        row, offset = i * ROWS_OF_TIME, offsets[i]
        for lane in range(LANES):
            decay = exponential(-offset * work[RATE + lane])
            held[row + DECAY + lane] = decay
            measured, fitted = _terms(power, decay, held[row + VALUE + lane], held[row + WEIGHT + lane])
            work[S0 + lane] += measured
            work[G0 + lane] += fitted
            work[S1 + lane] += offset * measured
            work[G1 + lane] += offset * fitted
            work[S2 + lane] += offset * offset * measured
            work[G2 + lane] += offset * offset * fitted


@compiled
def _solve(held: Floats, work: Floats, search: Search) -> None:
    """Find the rates, to about half the digits."""
    for number in range(search.common_steps):
        _sums(held, work, search.offsets, search.power)
        for lane in range(LANES):
            s0, s1, s2 = work[S0 + lane], work[S1 + lane], work[S2 + lane]
            g0, g1, g2 = work[G0 + lane], work[G1 + lane], work[G2 + lane]
            step, excess = _step(search, s0, s1, s2, g0, g1, g2)
            before = work[RATE + lane]
            rate = _clipped(before - step, search.slowest, search.fastest)
            work[RATE + lane] = rate
            work[MOVED + lane] = abs(rate - before) - search.converged * before
            work[EXCESS + lane] = excess if number == 0 else work[EXCESS + lane]
    for lane in range(LANES):
        rate, excess = work[RATE + lane], work[EXCESS + lane]
        # A wild step may have ended at the bound beyond which the solution does not lie.
        astray = (rate >= search.fastest and excess > 0.0) or (rate <= search.slowest and excess < 0.0)
        if work[POSITIVES + lane] < 2.0:
            work[RATE + lane] = search.fallback_rate
        elif astray or work[MOVED + lane] > 0.0:
            work[RATE + lane] = _alone(held, lane, search, rate, work[START + lane], excess)


@compiled
def _step_of(held: Floats, lane: int, search: Search, rate: float) -> tuple[float, float]:
    s0 = s1 = s2 = g0 = g1 = g2 = 0.0
    for i in range(search.offsets.size):
        at, offset = i * ROWS_OF_TIME + lane, search.offsets[i]
        measured, fitted = _terms(search.power, exponential(-offset * rate), held[at + VALUE], held[at + WEIGHT])
        s0 += measured
        g0 += fitted
        s1 += offset * measured
        g1 += offset * fitted
        s2 += offset * offset * measured
        g2 += offset * offset * fitted
    return _step(search, s0, s1, s2, g0, g1, g2)


@compiled
def _alone(held: Floats, lane: int, search: Search, rate: float, start: float, excess: float) -> float:
    """Newton's method of one curve inside a bracket; a step that leaves it, or is too long, halves it instead."""
    if excess > 0.0:
        low = search.slowest
        high = low if _step_of(held, lane, search, low)[1] > 0.0 else start
    else:
        high = search.fastest
        low = high if _step_of(held, lane, search, high)[1] < 0.0 else start
    rate, moved = _clipped(rate, low, high), high - low
    for _ in range(search.max_steps):
        step, excess = _step_of(held, lane, search, rate)
        if excess > 0.0:
            high = rate
        else:
            low = rate
        wanted = rate - step
        if wanted < low or wanted > high or 2.0 * abs(step) > moved:
            wanted = 0.5 * (low + high)
        moved = abs(wanted - rate)
        rate = wanted
        # Smaller than the common steps' limit: where the slope is not the exact one, the last step squares nothing.
        if moved <= search.converged**2 * search.slowest:
            break
    return rate


@compiled
def _describe(held: Floats, work: Floats, search: Search, rate_unit: float) -> None:
    """Write parameters, sigmas and chi-squared of a chunk to its scratch."""
    _sums(held, work, search.offsets, search.power)
    for lane in range(LANES):
        s0, s1, s2 = work[S0 + lane], work[S1 + lane], work[S2 + lane]
        g0, g1, g2 = work[G0 + lane], work[G1 + lane], work[G2 + lane]
        rate = work[RATE + lane]
        step, _ = _step(search, s0, s1, s2, g0, g1, g2)
        # One more step, to first order in the amplitude, doubles the digits.
        polished = _clipped(rate - step, search.slowest, search.fastest)
        polished = search.fallback_rate if work[POSITIVES + lane] < 2.0 else polished
        value = s0 / g0
        total = work[TOTAL + lane]
        measured = value > 0.0 and total - total == 0.0
        value = value if measured else 1.0
        power_of_value = value * value if search.power == 0 else (value if search.power == 1 else 1.0)
        scale = 1.0 / (max(g0 * g2 - g1 * g1, EPSILON * g0 * g2) * power_of_value)
        rate_variance = g0 * scale
        covariance = g1 * scale + search.middle * rate_variance
        log_variance = g2 * scale + search.middle * (covariance + g1 * scale)
        rate_sigma, log_sigma = np.sqrt(rate_variance), np.sqrt(log_variance)
        amplitude = value * (1.0 + (polished - rate) * (g1 / g0)) * exponential(search.middle * polished)
        work[MIDDLE + lane] = value
        work[MOVED + lane] = 1.0 if measured else 0.0
        work[AMPLITUDE + lane] = amplitude if measured else 0.0
        work[FOUND_RATE + lane] = (polished if measured else search.fallback_rate) * rate_unit
        work[AMPLITUDE_SIGMA + lane] = amplitude * log_sigma if measured else 0.0
        work[RATE_SIGMA + lane] = rate_sigma * rate_unit if measured else 0.0
        work[CORRELATION + lane] = covariance / (rate_sigma * log_sigma) if measured else 0.0
        work[CHI_SQUARED + lane] = 0.0
    _chi_squared(held, work, search.offsets.size, search.power)


@compiled
def _chi_squared(held: Floats, work: Floats, points: int, power: int) -> None:
    for i in range(points):
        row = i * ROWS_OF_TIME
        for lane in range(LANES):
            fitted = work[MIDDLE + lane] * held[row + DECAY + lane]
            residual = held[row + VALUE + lane] - fitted
            expected = 1.0 if power == 0 else (fitted if power == 1 else fitted * fitted)
            part = held[row + WEIGHT + lane] * (residual * residual / expected)
            work[CHI_SQUARED + lane] += part if work[MOVED + lane] > 0.0 else 0.0


@kept
def fit_part(
    found: Floats, begin: int, values: Floats, spreads: Floats, are_sigmas: bool, search: Search, rate_unit: float
) -> None:
    """Fit curves; write the rows of ``kernels.voxel_fit.CurveFits`` to the columns of ``found`` from ``begin`` on."""
    points, curves = search.offsets.size, values.shape[1]
    held, work = np.empty(points * ROWS_OF_TIME), np.empty(SCRATCH_ROWS * LANES)
    for start in range(0, curves, LANES):
        count = min(LANES, curves - start)
        _load(held, values, spreads, start, count)
        if are_sigmas:
            _weigh(held, points)
        _begin(held, work, search)
        _solve(held, work, search)
        _describe(held, work, search, rate_unit)
        for line in range(6):
            row = AMPLITUDE + line * LANES
            for lane in range(count):
                found[line, begin + start + lane] = work[row + lane]


@kept
def add_copy(
    moments: Floats, begin: int, values: Floats, sigmas: Floats, noise: Floats, first: Floats, search: Search
) -> None:
    """Fit one noisy copy of a block; add area less ``first``, and its square, to the rows of ``moments``.

    Without rows of noise the areas themselves are written to ``first``.
    """
    points, curves = search.offsets.size, values.shape[1]
    held, work = np.empty(points * ROWS_OF_TIME), np.empty(SCRATCH_ROWS * LANES)
    for start in range(0, curves, LANES):
        count = min(LANES, curves - start)
        _load(held, values, sigmas, start, count)
        _add_noise(held, noise, start, count)
        _weigh(held, points)
        _begin(held, work, search)
        _solve(held, work, search)
        _sums(held, work, search.offsets, search.power)
        for lane in range(LANES):
            rate, value = work[RATE + lane], work[S0 + lane] / work[G0 + lane]
            value = value if value > 0.0 else 0.0
            work[AMPLITUDE + lane] = value * exponential(search.middle * rate) / rate
        for lane in range(count):
            if noise.shape[0] == 0:
                first[start + lane] = work[AMPLITUDE + lane]
            else:
                off = work[AMPLITUDE + lane] - first[start + lane]
                moments[0, begin + start + lane] += off
                moments[1, begin + start + lane] += off * off
