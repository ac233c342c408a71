"""What error of the TIA a schedule of scans promises, before anybody is scanned.

One exponential, a constant relative error of each scan, a half-life drawn from a distribution. By simulation of the
very methods (fit, prior, published forms), and by linear design: with ln A = a - k t and k known beforehand to
k s, Var ln TIA = r2/n + (mean t - 1/k)2 / (S/r2 + 1/(k s)2), S the sum of squares of the times about their mean; own
derivation, s infinite gives the fit, n = 1 the form of clinical specification 3.7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from kernels.voxel_fit import fit_mono_exponentials
from pipeline.errors import require
from pipeline.physics.kinetics.half_life_grid import HalfLifeGrid, half_life_grid
from pipeline.physics.kinetics.single_time_point import EARLIEST_HALF_LIVES
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.kinetics.exponential_fit import RateBounds
    from pipeline.physics.kinetics.single_scan import HalfLifePrior

    Vector = NDArray[np.float64]

Method = Literal["fit", "fit with prior", "prior", "madsen 2018", "haenscheid 2018"]

# Equally likely half-lives: the middle of each of so many slices of the distribution.
SLICES: Final = 400
NOISE_PER_SLICE: Final = 25
# Clinical specification 3.2: scans are accepted from 18 to 192 h; one more a quarter of a day apart at least.
ADDED_SCANS_H: Final = tuple(float(hour) for hour in range(18, 193, 6))
LEAST_GAP_H: Final = 6.0
LONGEST_SCAN_H: Final = 480.0
# Every fourth half-life of the grid, 1.9 % apart: still a third of what three scans with 5 % tell.
GRID_STEP: Final = 4


@dataclass(frozen=True)
class Expectation:
    """What one method makes of one schedule.

    Attributes
    ----------
    scans_h : tuple of float
    method : str
    relative_sigma : float or None
        Root mean square of TIA/true - 1 over half-lives and noise; None: the method is refused for this schedule.
    bias : float or None
        Mean of TIA/true - 1.
    interval : tuple of float or None
        Middle 95 % of TIA/true.
    linear_sigma : float or None
        By linear design; None for the form that knows no half-life.
    refused : str
        Why, where it is.
    """

    scans_h: tuple[float, ...]
    method: Method
    relative_sigma: float | None
    bias: float | None
    interval: tuple[float, float] | None
    linear_sigma: float | None
    refused: str = ""


@dataclass(frozen=True)
class AddedScan:
    """The scan that would lower the error most, and the error with it (linear design, with prior)."""

    scans_h: tuple[float, ...]
    time_h: float
    relative_sigma: float
    without: float


@dataclass(frozen=True, eq=False)
class Truth:
    """Half-lives of equal likelihood within the bounds of the rate, and their noise.

    ``rate_per_s`` has the shape (draws,); ``generator_seed`` makes the noise of every schedule the same anew.
    """

    rate_per_s: NDArray[np.float64]
    slice_rate_per_s: NDArray[np.float64]
    relative_error: float
    bounds: RateBounds
    seed: int


def parse_schedule(text: str) -> tuple[float, ...]:
    """Return the hours of ``24,96``.

    Raises
    ------
    RefusalError
        ``SCHEDULE_INVALID``.
    """
    parts = [part.strip() for part in text.split(",")]
    numbers = [float(part) for part in parts if _is_number(part)]
    rising = all(later - earlier > 0.0 for earlier, later in pairwise(numbers))
    within = all(0.0 < hour <= LONGEST_SCAN_H for hour in numbers)
    require(
        bool(numbers) and len(numbers) == len(parts) and rising and within,
        "SCHEDULE_INVALID",
        found=text,
        needed=f"hours after the administration, rising, above 0 and up to {LONGEST_SCAN_H:g}, as 24,96",
        do='give each schedule as --candidates "24,96"',
        where="--candidates",
    )
    return tuple(numbers)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def drawn_truth(
    spread: HalfLifePrior, nuclide: Radionuclide, bounds: RateBounds, relative_error: float, seed: int
) -> Truth:
    """Return half-lives of equal likelihood, cut off at physical decay and at the shortest allowed.

    Parameters
    ----------
    spread : HalfLifePrior
    nuclide : Radionuclide
        Named in the refusal only.
    bounds : RateBounds
    relative_error : float
        One sigma of each scan's activity.
    seed : int

    Returns
    -------
    Truth

    Raises
    ------
    RefusalError
        ``SCHEDULE_INVALID``.
    """
    longest_s, shortest_s = math.log(2.0) / bounds.slowest_per_s, math.log(2.0) / bounds.fastest_per_s
    require(
        0.0 < relative_error < 1.0 and shortest_s <= spread.median_s <= 1.02 * longest_s,
        "SCHEDULE_INVALID",
        found=f"relative error {relative_error}, half-life {spread.median_s / SECONDS_PER_HOUR:.1f} h",
        needed=f"an error between 0 and 1, a half-life up to the physical one of {nuclide.name}",
        do="correct --relative-error, or look at the patient's fit",
        where="schedule",
    )
    middle, width = math.log(spread.median_s), max(spread.log_sigma, 1e-9)
    normal = NormalDist(middle, width)
    low, high = normal.cdf(math.log(shortest_s)), normal.cdf(math.log(longest_s))
    places = low + (high - low) * (np.arange(SLICES) + 0.5) / SLICES
    half_life_s = np.exp([normal.inv_cdf(place) for place in places])
    rate = math.log(2.0) / half_life_s
    return Truth(np.repeat(rate, NOISE_PER_SLICE), rate, relative_error, bounds, seed)


def linear_variance(scans_h: Sequence[float], rate_per_s: Vector, relative_error: float, log_sigma: float) -> Vector:
    """Return the relative variance of the TIA by linear design, at each rate.

    Parameters
    ----------
    scans_h : sequence of float
    rate_per_s : ndarray, shape (m,)
    relative_error : float
    log_sigma : float
        Of the half-life known beforehand; infinite: not known.

    Returns
    -------
    ndarray, shape (m,)
    """
    times = np.asarray(scans_h) * SECONDS_PER_HOUR
    spread = float(np.sum((times - times.mean()) ** 2))
    known = 1.0 / (rate_per_s * log_sigma) ** 2
    information = spread / relative_error**2 + known
    return np.asarray(relative_error**2 / times.size + (times.mean() - 1.0 / rate_per_s) ** 2 / information)


def expectations(scans_h: tuple[float, ...], truth: Truth, spread: HalfLifePrior) -> tuple[Expectation, ...]:
    """Return what each method that the schedule allows would make of it.

    Parameters
    ----------
    scans_h : tuple of float
    truth : Truth
    spread : HalfLifePrior
        What a method with a prior knows; the same distribution as the truth's.

    Returns
    -------
    tuple of Expectation
        Two scans or more: ``fit``, ``fit with prior`` (mean over what prior and scans leave open, as in
        :mod:`pipeline.physics.kinetics.half_life_grid`). One: ``prior`` (the same), ``madsen 2018`` (at the median),
        ``haenscheid 2018``.
    """
    rates, error = truth.slice_rate_per_s, truth.relative_error
    with_prior = math.sqrt(float(linear_variance(scans_h, rates, error, spread.log_sigma).mean()))
    measured = _measured(scans_h, truth)
    mean_over_prior = with_prior_tia(scans_h, measured, truth, spread)
    if len(scans_h) > 1:
        without = math.sqrt(float(linear_variance(scans_h, rates, error, math.inf).mean()))
        return (
            _described(scans_h, "fit", _fitted(scans_h, measured, truth), without),
            _described(scans_h, "fit with prior", mean_over_prior, with_prior),
        )
    time_s, point = scans_h[0] * SECONDS_PER_HOUR, measured[0]
    median_rate = math.log(2.0) / spread.median_s
    madsen = math.exp(median_rate * time_s) / median_rate
    return (
        _described(scans_h, "prior", mean_over_prior, with_prior),
        _described(scans_h, "madsen 2018", point * madsen, with_prior),
        _haenscheid(scans_h, point, time_s, spread),
    )


def with_prior_tia(scans_h: Sequence[float], measured: Vector, truth: Truth, spread: HalfLifePrior) -> Vector:
    """Return the mean TIA of each draw over the half-lives that the prior and its scans leave open.

    As :func:`pipeline.physics.kinetics.half_life_grid.tia_distribution` for relative errors, for many curves at once.

    Parameters
    ----------
    scans_h : sequence of float
    measured : ndarray, shape (scan, draw)
    truth : Truth
    spread : HalfLifePrior

    Returns
    -------
    ndarray, shape (draw,)
    """
    grid = HalfLifeGrid(half_life_grid(truth.bounds).log_half_life[::GRID_STEP])
    rate, times = grid.rate_per_s[:, None], np.asarray(scans_h) * SECONDS_PER_HOUR
    amplitude = np.exp(rate * times) @ measured / times.size
    told = np.log(np.maximum(grid.log_normal(spread.median_s, spread.log_sigma), 1e-300))[:, None]
    if times.size > 1:
        told = told + (rate * times.sum() - times.size * np.log(amplitude)) / truth.relative_error**2
    weight = np.exp(told - told.max(axis=0))
    return np.asarray(np.sum(weight * amplitude / rate, axis=0) / np.sum(weight, axis=0))


def _measured(scans_h: tuple[float, ...], truth: Truth) -> Vector:
    """Return the activities of the scans of curves whose TIA is 1, shape (scan, draw)."""
    noise = np.random.default_rng(truth.seed).standard_normal((len(scans_h), truth.rate_per_s.size))
    times = np.asarray(scans_h)[:, None] * SECONDS_PER_HOUR
    activity = truth.rate_per_s * np.exp(-truth.rate_per_s * times)
    return np.asarray(activity * (1.0 + truth.relative_error * noise))


def _fitted(scans_h: tuple[float, ...], measured: Vector, truth: Truth) -> Vector:
    scale_s = scans_h[-1] * SECONDS_PER_HOUR
    slowest, fastest = truth.bounds.slowest_per_s * scale_s, truth.bounds.fastest_per_s * scale_s
    times = [hour / scans_h[-1] for hour in scans_h]
    found = fit_mono_exponentials(measured * scale_s, times, slowest, fastest, slowest, power=2)
    return np.asarray(found.amplitude / found.rate)


def _haenscheid(scans_h: tuple[float, ...], point: Vector, time_s: float, spread: HalfLifePrior) -> Expectation:
    if time_s < EARLIEST_HALF_LIVES * spread.median_s:
        earliest_h = EARLIEST_HALF_LIVES * spread.median_s / SECONDS_PER_HOUR
        why = f"before {earliest_h:.0f} h, three quarters of the expected half-life"
        return Expectation(scans_h, "haenscheid 2018", None, None, None, None, refused=why)
    return _described(scans_h, "haenscheid 2018", point * 2.0 * time_s / math.log(2.0), None)


def _described(scans_h: tuple[float, ...], method: Method, ratio: Vector, linear: float | None) -> Expectation:
    low, high = (float(value) for value in np.quantile(ratio, (0.025, 0.975)))
    bias = float(ratio.mean()) - 1.0
    return Expectation(scans_h, method, float(np.sqrt(np.mean((ratio - 1.0) ** 2))), bias, (low, high), linear)


def best_added_scan(scans_h: tuple[float, ...], truth: Truth, spread: HalfLifePrior) -> AddedScan:
    """Return the further scan (18 to 192 h) that lowers the expected error most, by linear design with the prior.

    Parameters
    ----------
    scans_h : tuple of float
    truth : Truth
    spread : HalfLifePrior

    Returns
    -------
    AddedScan
    """

    def expected(schedule: tuple[float, ...]) -> float:
        variance = linear_variance(schedule, truth.slice_rate_per_s, truth.relative_error, spread.log_sigma)
        return math.sqrt(float(variance.mean()))

    free = [hour for hour in ADDED_SCANS_H if all(abs(hour - scan) >= LEAST_GAP_H for scan in scans_h)]
    best_h = min(free, key=lambda hour: expected(tuple(sorted((*scans_h, hour)))))
    return AddedScan(scans_h, best_h, expected(tuple(sorted((*scans_h, best_h)))), expected(scans_h))
