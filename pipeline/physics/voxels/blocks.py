"""Curves of voxels in blocks: values gathered from the maps, fitted, and written to the volumes of the result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kernels.blocks import BLOCK, in_blocks
from kernels.voxel_fit import amplitudes_at, fit_mono_exponentials
from pipeline.physics.voxels.areas import area_under_unit, log_area_slope, mean_time
from pipeline.physics.voxels.regularisation import Noise, assumed_noise, noise_from_residuals
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kernels.backend import Backend
    from kernels.voxel_fit import AmplitudeFits, CurveFits
    from pipeline.domain.kinetics import HeadRule, TailRule

    Floats = NDArray[np.float64]

LIMIT_MARGIN = 0.02
# Where a voxel's half-life comes from; 0 is a voxel that was not asked for.
SHARED, OWN, PHYSICAL_LIMIT, SHORTEST_LIMIT, RATE_OF_THE_WHOLE, NOTHING_POSITIVE = 1, 2, 3, 4, 5, 6
# The variance of a voxel's value goes with the value: see docs/method.md.
AS_COUNTS = 1
# Noise that a half-life of a voxel's own may bring into its TIA; sharing costs about as much near borders (benchmark).
OWN_RATE_NOISE = 0.02


@dataclass(frozen=True, eq=False)
class VoxelCurves:
    """Values of all voxels of a mask, and how they are to be fitted.

    Attributes
    ----------
    lines : tuple of ndarray
        Bq/mL of the whole grid as a line, one for each time point.
    index : ndarray of int32
        Voxels to fit.
    shared : ndarray of float32, shape (time, voxel), or None
        Smoothed values of these voxels, brought to the middle of the acquisitions; None gives each voxel its own rate.
    dilution : ndarray of float32, shape (voxel,), or None
        Variance of a smoothed value over that of one amid a wide mask; None where ``shared`` is.
    times_h, factors : tuple of float
        Middle of each acquisition, and the factor from its start to it.
    whole_per_h : float
        Rate of a voxel that has none.
    """

    lines: tuple[NDArray[np.floating], ...]
    index: NDArray[np.int32]
    shared: NDArray[np.float32] | None
    dilution: NDArray[np.float32] | None
    times_h: tuple[float, ...]
    factors: tuple[float, ...]
    slowest_per_h: float
    fastest_per_h: float
    whole_per_h: float
    head_rule: HeadRule
    tail_rule: TailRule
    backend: Backend

    def values(self, part: slice) -> Floats:
        """Return the values as measured, at the middle of the acquisitions."""
        chosen = self.index[part]
        values = np.empty((len(self.lines), chosen.size))
        for number, (line, factor) in enumerate(zip(self.lines, self.factors, strict=True)):
            np.multiply(line[chosen], factor, out=values[number])
        return values

    def neighbours(self, part: slice, values: Floats) -> Floats:
        """Return the values that the rates are fitted to."""
        return values if self.shared is None else self.shared[:, part].astype(np.float64)

    def diluted(self, part: slice) -> Floats | float:
        """Return by what the noise that the rates are fitted to is multiplied."""
        return 1.0 if self.dilution is None else self.dilution[part].astype(np.float64)

    def rates(self, values: Floats) -> CurveFits:
        """Fit rates (and amplitudes) to values."""
        low, high, sent = self.slowest_per_h, self.fastest_per_h, self.backend.send(values)
        found = fit_mono_exponentials(sent, self.times_h, low, high, self.whole_per_h, power=AS_COUNTS)
        return type(found)(*(self.backend.fetch(line) for line in found))

    def amplitudes(self, values: Floats, rate: Floats) -> AmplitudeFits:
        """Fit amplitudes to values at known rates."""
        send = self.backend.send
        found = amplitudes_at(send(values), self.times_h, send(rate), power=AS_COUNTS)
        return type(found)(*(self.backend.fetch(line) for line in found))

    def area_s(self, rate: Floats) -> Floats:
        """Return the area under a curve of amplitude 1."""
        area = area_under_unit(rate, self.times_h, self.head_rule, self.tail_rule, self.slowest_per_h)
        return area * SECONDS_PER_HOUR

    def variance_of_rate(self, rate: Floats, rate_sigma: Floats) -> Floats:
        """Return the part of a rate's error in the variance of ln(TIA), at constant counts."""
        # The amplitude goes with exp(rate x mean time). Counts and mean time are independent, so the parts add.
        slope = log_area_slope(rate, self.times_h, self.head_rule, self.tail_rule, self.slowest_per_h)
        variance: Floats = ((mean_time(rate, self.times_h) + slope) * rate_sigma) ** 2
        return variance


@dataclass(frozen=True, eq=False)
class VoxelVolumes:
    """What is written voxel by voxel: volumes of the grid as lines."""

    tia_bq_s_per_ml: NDArray[np.float32]
    half_life_s: NDArray[np.float32]
    tia_relative_sigma: NDArray[np.float32]
    reduced_chi_squared: NDArray[np.float32]
    status: NDArray[np.uint8]


def empty_volumes(voxels: int) -> VoxelVolumes:
    """Return volumes of zeros."""
    maps = [np.zeros(voxels, dtype=np.float32) for _ in range(4)]
    return VoxelVolumes(maps[0], maps[1], maps[2], maps[3], np.zeros(voxels, dtype=np.uint8))


def measure_noise(curves: VoxelCurves, some: slice, relative_error: float) -> Noise:
    """Return the noise of the values, and of those that the rates are fitted to, from the residuals of some voxels."""
    points, values = len(curves.times_h), curves.values(some)
    if points < 2:
        return Noise(assumed_noise(relative_error, points), assumed_noise(relative_error, points))
    neighbours = curves.neighbours(some, values)
    fits = curves.rates(neighbours)
    at = curves.amplitudes(values, fits.rate)
    # Residuals of an own fit: smoothing takes nothing out of them. Two points leave none, but one of the shared rate.
    line, degrees = (at.chi_squared - at.chi_squared_of_rate, points - 2) if points > 2 else (at.chi_squared, 1)
    usable = (at.amplitude > 0) & ~_at_a_bound(fits.rate, curves)
    level = neighbours.sum(axis=0)[usable]
    if curves.shared is None:
        own = noise_from_residuals(level, fits.chi_squared[usable], points - 2)
        return Noise(own, own) if own else Noise(*[assumed_noise(relative_error, points)] * 2)
    own = noise_from_residuals(level, line[usable], degrees)
    if own is None:
        return Noise(*[assumed_noise(relative_error, points)] * 2)
    # With two time points the smoothed values leave no residual: unreduced noise is an upper bound.
    smooth = (fits.chi_squared / curves.diluted(some))[usable]
    return Noise(own, noise_from_residuals(level, smooth, points - 2) or own)


def fit_volumes(found: VoxelVolumes, curves: VoxelCurves, noise: Noise, workers: int) -> None:
    """Fit all voxels of the mask and write them to the volumes."""
    host, voxels = curves.backend.name == "cpu", curves.index.size
    in_blocks(
        lambda part: _fit_block(found, part, curves, noise),
        voxels,
        block=BLOCK if host else max(voxels, 1),
        workers=workers if host else 1,
    )


def _fit_block(found: VoxelVolumes, part: slice, curves: VoxelCurves, noise: Noise) -> None:
    voxels, values = curves.index[part], curves.values(part)
    neighbours = curves.neighbours(part, values)
    level = neighbours.sum(axis=0)
    of_value = noise.of_values.at(level)
    of_rate = noise.of_rates.at(level) * curves.diluted(part)
    rate, variance, status = _rates(values, neighbours, level, of_rate, curves, noise)
    fits = curves.amplitudes(values, rate)
    measured = fits.amplitude > 0
    relative = np.divide(fits.amplitude_sigma, fits.amplitude, out=np.zeros_like(rate), where=measured)
    variance += of_value * relative**2
    status[~measured] = NOTHING_POSITIVE
    degrees = _degrees(curves, status)
    found.tia_bq_s_per_ml[voxels] = fits.amplitude * curves.area_s(rate)
    found.half_life_s[voxels] = np.where(measured, math.log(2.0) / rate * SECONDS_PER_HOUR, 0.0)
    found.tia_relative_sigma[voxels] = np.where(measured, np.sqrt(variance), 0.0)
    found.reduced_chi_squared[voxels] = np.divide(
        fits.chi_squared, of_value * degrees, out=np.zeros_like(rate), where=measured & (degrees > 0)
    )
    found.status[voxels] = status


def _rates(
    values: Floats, neighbours: Floats, level: Floats, of_rate: Floats, curves: VoxelCurves, noise: Noise
) -> tuple[Floats, Floats, NDArray[np.uint8]]:
    """Return the rates, their part in the variance of ln(TIA), and where they come from."""
    if len(curves.times_h) == 1:
        rate = np.full(level.shape, curves.whole_per_h)
        return rate, np.zeros_like(rate), np.full(rate.shape, RATE_OF_THE_WHOLE, dtype=np.uint8)
    fits = curves.rates(neighbours)
    unit = curves.variance_of_rate(fits.rate, fits.rate_sigma)
    rate, variance = fits.rate, of_rate * unit
    status = np.full(rate.shape, OWN if curves.shared is None else SHARED, dtype=np.uint8)
    quiet = noise.of_values.at(level) * unit < OWN_RATE_NOISE**2
    if curves.shared is not None and bool(quiet.any()):
        own = curves.rates(values[:, quiet])
        rate[quiet] = own.rate
        variance[quiet] = noise.of_values.at(level[quiet]) * curves.variance_of_rate(own.rate, own.rate_sigma)
        status[quiet] = OWN
    status[rate <= curves.slowest_per_h / (1.0 - LIMIT_MARGIN)] = PHYSICAL_LIMIT
    status[rate >= curves.fastest_per_h * (1.0 - LIMIT_MARGIN)] = SHORTEST_LIMIT
    status[_without_rate(values, neighbours, status)] = RATE_OF_THE_WHOLE
    return rate, variance, status


def _without_rate(values: Floats, neighbours: Floats, status: NDArray[np.uint8]) -> NDArray[np.bool_]:
    own = np.count_nonzero(values > 0, axis=0) < 2
    shared = np.count_nonzero(neighbours > 0, axis=0) < 2
    return np.asarray(np.where(status == OWN, own, shared))


def _at_a_bound(rate: Floats, curves: VoxelCurves) -> NDArray[np.bool_]:
    slow, fast = curves.slowest_per_h / (1.0 - LIMIT_MARGIN), curves.fastest_per_h * (1.0 - LIMIT_MARGIN)
    return (rate <= slow) | (rate >= fast)


def _degrees(curves: VoxelCurves, status: NDArray[np.uint8]) -> NDArray[np.int64]:
    # A rate of the neighbourhood leaves one parameter to the voxel's own values, its amplitude.
    taken = np.where((status == SHARED) | (status == RATE_OF_THE_WHOLE), 1, 2)
    return np.asarray(np.maximum(len(curves.times_h) - taken, 0))
