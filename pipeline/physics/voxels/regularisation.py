"""Half-lives of voxels from their neighbourhood, and how noisy the images are: what a voxel alone cannot tell.

A voxel's counts fix its amplitude as well as counts can, but hardly its half-life: the noise of three values goes into
the rate, and through 1/rate into a bias of the time integral. Half-lives vary slowly in space, so that they are fitted
to smoothed maps; amplitudes are fitted to the maps as measured, so that the image is not blurred. The width was chosen
by ``benchmarks/bench_voxel_regularisation.py`` (table in ``docs/method.md``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2

from kernels.blur import gaussian_blur, reach_voxels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kernels.backend import Backend

# Full width at half maximum of the Gaussian over which half-lives are shared.
SHARED_HALF_LIFE_FWHM_MM = 20.0
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
# The noise is told in classes of voxels of about equal activity: a factor of 1.6 from one to the next, 24 of them.
CLASSES = 24
CLASS_WIDTH = 0.47
# A median over fewer voxels says little about the noise of their class.
FEWEST_VOXELS = 40

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class NoiseScale:
    """Variance of a voxel's value over the value itself (Bq/mL), by the voxel's activity.

    Attributes
    ----------
    level_bq_per_ml : tuple of float
        Rising; sum of a voxel's values over the time points. Straight lines between, in logarithms of both.
    scale_bq_per_ml : tuple of float
        Positive.
    source : {"residuals", "assumed"}
        Measured from the residuals of the voxels, or from an assumed relative error.
    """

    level_bq_per_ml: tuple[float, ...]
    scale_bq_per_ml: tuple[float, ...]
    source: str

    def at(self, level_bq_per_ml: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the scale for voxels of these levels; beyond the ends that of the end."""
        level = np.maximum(level_bq_per_ml, self.level_bq_per_ml[0])
        known = np.log(self.scale_bq_per_ml)
        return np.asarray(np.exp(np.interp(np.log(level), np.log(self.level_bq_per_ml), known)))


@dataclass(frozen=True)
class Noise:
    """Noise of the values as measured, and of those that the rates are fitted to."""

    of_values: NoiseScale
    of_rates: NoiseScale


def assumed_noise(relative_error: float, time_points: int) -> NoiseScale:
    """Return the noise of values that all have the same relative error."""
    levels = (1e-30, 1e30)
    scales = tuple(relative_error**2 * level / time_points for level in levels)
    return NoiseScale(levels, scales, "assumed")


def neighbourhood(mask: NDArray[np.bool_], sigma_voxels: Sequence[float]) -> Box:
    """Return the box of the voxels that smoothed values inside ``mask`` (not empty) depend on."""
    sides = []
    for axis, sigma in enumerate(sigma_voxels):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(mask.any(axis=others))
        reach = reach_voxels(sigma)
        sides.append(slice(max(int(used[0]) - reach, 0), min(int(used[-1]) + 1 + reach, mask.shape[axis])))
    return (sides[0], sides[1], sides[2])


def smoothed(
    volumes: Sequence[NDArray[np.floating]], mask: NDArray[np.bool_], sigma_voxels: Sequence[float], backend: Backend
) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Return smoothed values of the voxels of ``mask`` (not empty), in its order, from these voxels alone.

    Normalised convolution (Knutsson, Westin, CVPR 1993:515): what lies outside the mask, as a part of the body that a
    later scan did not see, has no weight at any time.

    Returns
    -------
    list of ndarray
        One for each volume.
    ndarray
        Variance of white noise in a smoothed value over that of one amid a wide mask; 1 or more.
    """
    box = neighbourhood(mask, sigma_voxels)
    inside = mask[box]

    def blurred(values: NDArray[np.floating], sigma: Sequence[float]) -> NDArray[np.float32]:
        sent = backend.send(np.multiply(values, inside, dtype=np.float32), "float32")
        return np.asarray(backend.fetch(gaussian_blur(sent, sigma))[inside])

    weight = blurred(np.ones((1, 1, 1), dtype=np.float32), sigma_voxels)
    # The square of a Gaussian is one of 1/sqrt(2) of its width.
    squares = blurred(np.ones((1, 1, 1), dtype=np.float32), [sigma * math.sqrt(0.5) for sigma in sigma_voxels])
    squares /= weight * weight
    return [blurred(volume[box], sigma_voxels) / weight for volume in volumes], squares


def sigma_in_voxels(spacing_mm: Sequence[float], fwhm_mm: float) -> tuple[float, ...]:
    """Return the standard deviation of a Gaussian of this width along each axis, in voxels."""
    return tuple(fwhm_mm / FWHM_PER_SIGMA / side_mm for side_mm in spacing_mm)


def noise_from_residuals(
    level: NDArray[np.floating], chi_squared: NDArray[np.floating], degrees: int
) -> NoiseScale | None:
    """Return the noise that explains the residuals of the voxels; None where they do not tell.

    The noise of a reconstructed image goes with its value, but not by one law for all values; so each class of voxels
    of about equal activity has a scale of its own. The median of its residuals is compared with that of the chi-squared
    distribution, because a mean follows the few voxels whose curve is not an exponential (edges of a moved organ).

    Parameters
    ----------
    level, chi_squared : ndarray
        Sum of a voxel's values, and its sum of squared residuals over the fitted value.
    degrees : int
        Degrees of freedom of each voxel.
    """
    if degrees < 1 or level.size < FEWEST_VOXELS or not float(level.max()) > 0:
        return None
    highest = math.log(float(level.max()))
    below = (highest - np.log(np.maximum(level, math.exp(highest - CLASSES * CLASS_WIDTH)))) / CLASS_WIDTH
    each = np.minimum(below.astype(np.int8), CLASSES - 1)
    found = []
    for number in range(CLASSES - 1, -1, -1):
        residuals = chi_squared[each == number]
        if residuals.size >= FEWEST_VOXELS and (scale := float(np.median(residuals)) / float(chi2.median(degrees))) > 0:
            found.append((math.exp(highest - (number + 0.5) * CLASS_WIDTH), scale))
    if not found:
        return None
    levels, scales = zip(*found, strict=True)
    return NoiseScale(levels, scales, "residuals")
