"""Time-integrated activity of every voxel: bounded mono-exponential fits, all voxels at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kernels.backend import cpu_backend
from pipeline.domain.maps import TiaMap
from pipeline.errors import require
from pipeline.physics.decay import middle_factor
from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.physics.voxels.blocks import VoxelCurves, empty_volumes, fit_volumes, measure_noise
from pipeline.physics.voxels.regularisation import (
    SHARED_HALF_LIFE_FWHM_MM,
    Noise,
    sigma_in_voxels,
    smoothed,
)
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kernels.backend import Backend
    from pipeline.domain.kinetics import HeadRule, TailRule
    from pipeline.domain.maps import ActivityMap
    from pipeline.domain.nuclide import Radionuclide

# A median over more voxels knows the noise no better.
ENOUGH_VOXELS = 100_000


@dataclass(frozen=True, eq=False)
class VoxelKinetics:
    """TIA of every voxel and what it stands on. All maps are 0 outside the mask.

    Attributes
    ----------
    tia : TiaMap
    effective_half_life_s : ndarray of float32, shape of the grid
        0 where nothing positive was measured.
    tia_relative_sigma : ndarray of float32, shape of the grid
        Random part, one standard deviation; 0 where the half-life is 0.
    reduced_chi_squared : ndarray of float32, shape of the grid
        Residuals over the noise of the images, per degree of freedom: about 1 where the curve is an exponential; 0
        where there is no degree of freedom.
    status : ndarray of uint8, shape of the grid
        0 not fitted, 1 half-life of the neighbourhood (inside a region, of its part of it), 2 of the voxel itself, 3
        within 2 % of physical decay (the TIA is mostly extrapolation), 4 at the shortest half-life, 5 fewer than two
        positive values or a single time point: half-life of the whole or the prior's, 6 nothing positive: TIA 0.
    noise : Noise
    smoothing_fwhm_mm : float
        Over which half-lives are shared; 0 where each voxel has its own.
    """

    tia: TiaMap
    effective_half_life_s: NDArray[np.float32]
    tia_relative_sigma: NDArray[np.float32]
    reduced_chi_squared: NDArray[np.float32]
    status: NDArray[np.uint8]
    noise: Noise
    smoothing_fwhm_mm: float

    def count(self, status: int) -> int:
        """Return how many voxels have this status."""
        return int(np.count_nonzero(self.status == status))


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
    smoothing_fwhm_mm: float = SHARED_HALF_LIFE_FWHM_MM,
    regions: NDArray[np.integer] | None = None,
    backend: Backend | None = None,
    workers: int = 2,
) -> VoxelKinetics:
    """Return the TIA map of a series of activity maps on one grid.

    The half-life of a voxel is that of A exp(-lambda t) fitted to the smoothed maps, lambda between physical decay and
    that of the shortest effective half-life (10 h); its amplitude is fitted to the maps as measured. The variance of a
    value goes with the fitted value, as of counts; how large it is follows from the residuals of the voxels. Where the
    noise of a half-life of the voxel's own would bring less than 2 % into its TIA, that is taken instead.

    - A negative value (some reconstructions and interpolations make them) is a value like any other; a voxel whose
      amplitude is not positive has TIA 0.
    - A voxel that rises is not cut to its last points, as a region is: its rate is bounded by physical decay.
    - A voxel with fewer than two positive smoothed values takes the rate of the mean curve of the mask; with a single
      time point all take that of ``prior_half_life_s``.

    Parameters
    ----------
    activities : sequence of ActivityMap
        Bq/mL at the *start* of each acquisition, as everywhere; brought to the middle here.
    middle_delay_s : sequence of float
        Middle of each acquisition after the start of the administration, increasing.
    nuclide : Radionuclide
    acquisition_duration_s : sequence of float
    mask : ndarray of bool, shape of the grid, optional
        Voxels to fit (the body, where every scan saw it); None fits all. No other voxel's values are used.
    relative_error : float
        One sigma of a value, where the noise cannot be measured: a single time point, or two without smoothing.
    head_rule, tail_rule : str
        As for :func:`pipeline.physics.kinetics.curve_fit.fit_curve`.
    prior_half_life_s : float, optional
        Effective half-life for a single time point.
    smoothing_fwhm_mm : float
        Width of the Gaussian over which half-lives are shared; 0 gives each voxel its own.
    regions : ndarray of int, shape of the grid, optional
        Labels above 0 of regions whose voxels share half-lives among themselves alone: a lesion among tissue of
        another half-life. The others (0) share with all around them.
    backend : Backend, optional
        Where to compute; the host where not given.
    workers : int
        Threads on the host; the result does not depend on it.

    Returns
    -------
    VoxelKinetics

    Raises
    ------
    RefusalError
        ``GRID_MISMATCH``, ``CURVE_TIMES_INVALID``, ``SINGLE_POINT_WITHOUT_PRIOR``.
    """
    _require_series(activities, middle_delay_s, acquisition_duration_s, prior_half_life_s)
    grid, bounds = activities[0].grid, rate_bounds(nuclide)
    inside = np.ones(grid.shape, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    times_h = tuple(delay / SECONDS_PER_HOUR for delay in middle_delay_s)
    factors = tuple(middle_factor(nuclide, duration) for duration in acquisition_duration_s)
    place = backend or cpu_backend()
    width_mm = smoothing_fwhm_mm if len(activities) > 1 and inside.any() else 0.0
    shared, dilution = _shared_values(activities, inside, regions, width_mm, factors, place)
    curves = VoxelCurves(
        lines=tuple(activity.activity_bq_per_ml.reshape(-1) for activity in activities),
        index=np.flatnonzero(inside).astype(np.int32),
        shared=shared,
        dilution=dilution,
        times_h=times_h,
        factors=factors,
        slowest_per_h=bounds.slowest_per_s * SECONDS_PER_HOUR,
        fastest_per_h=bounds.fastest_per_s * SECONDS_PER_HOUR,
        whole_per_h=math.log(2.0) / (prior_half_life_s or math.nan) * SECONDS_PER_HOUR,
        head_rule=head_rule,
        tail_rule=tail_rule,
        backend=place,
    )
    if len(activities) > 1:
        curves = replace(curves, whole_per_h=_rate_of_the_whole(curves))
    noise = measure_noise(curves, slice(None, None, max(1, curves.index.size // ENOUGH_VOXELS)), relative_error)
    found = empty_volumes(inside.size)
    fit_volumes(found, curves, noise, workers)
    return VoxelKinetics(
        TiaMap(grid, found.tia_bq_s_per_ml.reshape(grid.shape)),
        found.half_life_s.reshape(grid.shape),
        found.tia_relative_sigma.reshape(grid.shape),
        found.reduced_chi_squared.reshape(grid.shape),
        found.status.reshape(grid.shape),
        noise,
        width_mm,
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


def _shared_values(
    activities: Sequence[ActivityMap],
    inside: NDArray[np.bool_],
    regions: NDArray[np.integer] | None,
    width_mm: float,
    factors: Sequence[float],
    backend: Backend,
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """Return the smoothed values of the mask's voxels at the middle of the acquisitions, shape (time, voxel).

    Beside them how much noisier each is than one amid a wide mask, shape (voxel,). None where nothing is shared.
    """
    if width_mm == 0.0:
        return None, None
    sigma = sigma_in_voxels(activities[0].grid.spacing_mm, width_mm)
    volumes = [activity.activity_bq_per_ml for activity in activities]
    values = np.empty((len(volumes), np.count_nonzero(inside)), dtype=np.float32)
    soft, dilution = smoothed(volumes, inside, sigma, backend)
    for number in range(len(volumes)):
        values[number] = soft[number]
    labels = np.zeros(values.shape[1], dtype=np.uint8) if regions is None else regions[inside]
    for label in np.unique(labels[labels > 0]):
        member = labels == label
        soft, dilution[member] = smoothed(volumes, inside & (regions == label), sigma, backend)
        for number in range(len(volumes)):
            values[number, member] = soft[number]
    values *= np.array(factors, dtype=np.float32)[:, None]
    return values, dilution


def _rate_of_the_whole(curves: VoxelCurves) -> float:
    # Per hour: that of the mean curve of the mask; physical decay where the mask is empty.
    total = [
        float(np.sum(line[curves.index], dtype=np.float64)) * factor
        for line, factor in zip(curves.lines, curves.factors, strict=True)
    ]
    return float(replace(curves, whole_per_h=curves.slowest_per_h).rates(np.array(total)[:, None]).rate[0])
