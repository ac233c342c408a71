"""Time-integrated activity of every voxel: bounded mono-exponential fits, all voxels at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kernels.backend import cpu_backend
from kernels.voxel_fit import HOST_BLOCK, fit_mono_exponentials
from pipeline.domain.maps import TiaMap
from pipeline.errors import require
from pipeline.physics.decay import middle_factor
from pipeline.physics.exponential_fit import rate_bounds
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kernels.backend import Backend
    from pipeline.domain.kinetics import HeadRule, TailRule
    from pipeline.domain.maps import ActivityMap
    from pipeline.domain.nuclide import Radionuclide

LIMIT_MARGIN = 0.02


@dataclass(frozen=True, eq=False)
class VoxelKinetics:
    """TIA of every voxel and what it stands on.

    Attributes
    ----------
    tia : TiaMap
        0 outside the mask.
    effective_half_life_s : ndarray of float32, shape of the grid
        0 outside the mask and where nothing was measured.
    tia_relative_sigma : ndarray of float32, shape of the grid
        Random part (delta method, absolute weights); 0 where the half-life is 0.
    fallback_voxels, physical_limit_voxels : int
        Voxels that took the rate of the whole, and voxels within 2 % of physical decay (their TIA is mostly
        extrapolation).
    """

    tia: TiaMap
    effective_half_life_s: NDArray[np.float32]
    tia_relative_sigma: NDArray[np.float32]
    fallback_voxels: int
    physical_limit_voxels: int


def tia_map(
    activities: Sequence[ActivityMap],
    middle_delay_s: Sequence[float],
    nuclide: Radionuclide,
    *,
    acquisition_duration_s: Sequence[float],
    mask: NDArray[np.bool_] | None = None,
    relative_error: float = 0.05,
    head_rule: HeadRule = "extrapolate",
    tail_rule: TailRule = "fitted",
    prior_half_life_s: float | None = None,
    backend: Backend | None = None,
) -> VoxelKinetics:
    """Return the TIA map of a series of activity maps on one grid.

    Every voxel is fitted by A exp(-lambda t) with errors that are a constant fraction of the fitted activity, lambda
    between physical decay and that of the shortest effective half-life (10 h). Rules for noise:

    - a negative value (some reconstructions make them) counts as 0;
    - a value of 0 stays a point of the fit: late zeros pull to the fastest rate, early zeros to the slowest;
    - a voxel with one positive value only, or with a single time point, has no rate of its own and takes that of the
      mean curve of the mask (of ``prior_half_life_s`` for a single time point); a voxel of zeros has TIA 0.

    A voxel that rises is not cut to its last points, as a region is: its rate is bounded by physical decay.

    Parameters
    ----------
    activities : sequence of ActivityMap
        Bq/mL at the *start* of each acquisition, as everywhere; brought to the middle here.
    middle_delay_s : sequence of float
        Middle of each acquisition after the start of the administration, increasing.
    nuclide : Radionuclide
    acquisition_duration_s : sequence of float
    mask : ndarray of bool, shape of the grid, optional
        Voxels to fit (the body); None fits all.
    relative_error : float
        One sigma of a voxel's fitted value; it scales the sigma map only.
    head_rule, tail_rule : str
        As for :func:`pipeline.physics.kinetics.fit_curve`.
    prior_half_life_s : float, optional
        Effective half-life for a single time point.
    backend : Backend, optional
        Where to compute; the host where not given.

    Returns
    -------
    VoxelKinetics

    Raises
    ------
    RefusalError
        ``GRID_MISMATCH``, ``CURVE_TIMES_INVALID``, ``SINGLE_POINT_WITHOUT_PRIOR``.
    """
    _require_series(activities, middle_delay_s, acquisition_duration_s, prior_half_life_s)
    grid = activities[0].grid
    inside = np.ones(grid.shape, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    factors = [middle_factor(nuclide, duration) for duration in acquisition_duration_s]
    values = np.stack([_positive(a, inside, f) for a, f in zip(activities, factors, strict=True)])
    times_h = [delay / SECONDS_PER_HOUR for delay in middle_delay_s]
    amplitude, rate = _fitted(values, times_h, nuclide, prior_half_life_s, backend or cpu_backend())
    slowest = rate_bounds(nuclide).slowest_per_s * SECONDS_PER_HOUR
    tia = amplitude * _area_h(rate, times_h, head_rule, tail_rule, slowest) * SECONDS_PER_HOUR
    measured = amplitude > 0
    half_life = np.where(measured, math.log(2.0) / rate * SECONDS_PER_HOUR, 0.0)
    sigma = np.where(measured, _relative_sigma(rate, times_h, relative_error), 0.0)
    return VoxelKinetics(
        TiaMap(grid, _placed(inside, tia)),
        _placed(inside, half_life),
        _placed(inside, sigma),
        int(np.count_nonzero(measured & (np.count_nonzero(values > 0, axis=0) < 2))),
        int(np.count_nonzero(measured & (rate <= slowest / (1.0 - LIMIT_MARGIN)))),
    )


def _require_series(
    activities: Sequence[ActivityMap],
    middle_delay_s: Sequence[float],
    duration_s: Sequence[float],
    prior_half_life_s: float | None,
) -> None:
    count = len(activities)
    require(
        count == len(middle_delay_s) == len(duration_s) > 0 and bool((np.diff(middle_delay_s) > 0).all()),
        "CURVE_TIMES_INVALID",
        found=f"{count} maps, delays {list(middle_delay_s)} s, durations {list(duration_s)} s",
        needed="one increasing delay and one duration for each map",
        do="remove duplicate time points and check the clocks",
        where="time points",
    )
    require(
        count > 1 or prior_half_life_s is not None,
        "SINGLE_POINT_WITHOUT_PRIOR",
        found="one time point and no effective half-life from an earlier cycle",
        needed="two time points or more, or the patient's own effective half-life",
        do="add a time point, or process the full cycle of this patient first",
        where="time points",
    )
    for other in activities[1:]:
        activities[0].grid.require_same(other.grid)


def _positive(activity: ActivityMap, inside: NDArray[np.bool_], factor: float) -> NDArray[np.float64]:
    return np.maximum(activity.activity_bq_per_ml[inside].astype(np.float64), 0.0) * factor


def _fitted(
    values: NDArray[np.float64],
    times_h: Sequence[float],
    nuclide: Radionuclide,
    prior_half_life_s: float | None,
    backend: Backend,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(times_h) == 1:
        prior_rate = math.log(2.0) / (prior_half_life_s or math.nan) * SECONDS_PER_HOUR
        return values[0] * math.exp(prior_rate * times_h[0]), np.full(values.shape[1], prior_rate)
    bounds = rate_bounds(nuclide)
    low, high = bounds.slowest_per_s * SECONDS_PER_HOUR, bounds.fastest_per_s * SECONDS_PER_HOUR
    if values.shape[1] == 0:
        return np.zeros(0), np.zeros(0)
    mean_curve = values.mean(axis=1, keepdims=True)
    whole = float(fit_mono_exponentials(mean_curve, times_h, low, high, low)[1][0])
    block = HOST_BLOCK if backend.name == "cpu" else values.shape[1]
    amplitude, rate = np.empty(values.shape[1]), np.empty(values.shape[1])
    for start in range(0, values.shape[1], block):
        part = slice(start, start + block)
        found = fit_mono_exponentials(backend.send(values[:, part]), times_h, low, high, whole)
        amplitude[part], rate[part] = backend.fetch(found[0]), backend.fetch(found[1])
    return amplitude, rate


def _area_h(
    rate: NDArray[np.float64], times_h: Sequence[float], head_rule: HeadRule, tail_rule: TailRule, slowest: float
) -> NDArray[np.float64]:
    # Area in hours of exp(-rate t) under the head and tail rules; 1/rate where both follow the fit.
    first, last = (np.exp(-rate * times_h[0]), np.exp(-rate * times_h[-1]))
    share = {"extrapolate": None, "constant": 1.0, "ramp": 0.5}[head_rule]
    head = (1.0 - first) / rate if share is None else share * times_h[0] * first
    tail = last / (slowest if tail_rule == "physical" else rate)
    return np.asarray(head + (first - last) / rate + tail)


def _relative_sigma(rate: NDArray[np.float64], times_h: Sequence[float], relative_error: float) -> NDArray[np.float64]:
    # ln f = ln A - r t has constant errors, so the covariance of (ln A, r) depends on the times alone; ln TIA is
    # ln A - ln r where both ends follow the fit.
    if len(times_h) == 1:
        return np.full(rate.shape, relative_error)
    design = np.stack([np.ones(len(times_h)), -np.asarray(times_h)], axis=1)
    covariance = relative_error**2 * np.linalg.inv(design.T @ design)
    variance = covariance[0, 0] + covariance[1, 1] / rate**2 - 2.0 * covariance[0, 1] / rate
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _placed(inside: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float32]:
    volume = np.zeros(inside.shape, dtype=np.float32)
    volume[inside] = values
    return volume
