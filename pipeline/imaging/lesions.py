"""Lesions of liver and bone: what is hotter than normal liver (section 7.3 of the clinical specification)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from pipeline.imaging.blurred_sphere import DEEP, border_level
from pipeline.imaging.convert import to_sitk
from pipeline.imaging.distance import bounding_box, depth_inside
from pipeline.imaging.saddles import joined
from pipeline.units import MM3_PER_ML, MM_PER_CM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from pipeline.imaging.distance import Mask
    from pipeline.imaging.torso import Torso

# k x normal liver, k >= 1.5 (section 7.3).
HOTTER_THAN_LIVER = 1.5
# Between background and maximum, where the border of a blurred lesion lies if the point spread is not known, and where
# the search for it starts (section 7.3: 41-42 % of the maximum).
BORDER = 0.45
ITERATIONS = 12
# Change of the level, relative, below which it is settled.
SETTLED = 0.01
PEAK_ML = 0.5

Labels = np.ndarray[tuple[int, ...], np.dtype[np.uint16]]


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion's mask and the organ it lies in (None: neither liver nor bone)."""

    mask: Mask
    host: str | None


@dataclass(frozen=True, eq=False)
class Host:
    """Tissue that is searched for lesions.

    Attributes
    ----------
    name : str or None
    inside : ndarray of bool
        What a lesion may cover.
    peaks : ndarray of bool
        Where its maximum may lie.
    rivals : ndarray of bool
        Other hot tissue: the border to it runs in the valley between.
    background_bq_per_ml : float
        Of the host's normal tissue.
    """

    name: str | None
    inside: Mask
    peaks: Mask
    rivals: Mask
    background_bq_per_ml: float


def _maxima(torso: Torso, inside: Mask, lowest: float) -> list[tuple[int, ...]]:
    """Return the maxima of the smoothed uptake inside, hottest first, none within 10 mm of a hotter one."""
    smooth = torso.smooth_bq_per_ml
    size = [max(3, int(20.0 / s) | 1) for s in torso.grid.spacing_mm]
    peaks = (smooth == ndimage.maximum_filter(smooth, size=size)) & inside & (smooth > lowest)
    found = [tuple(int(i) for i in index) for index in np.argwhere(peaks)]
    return sorted(found, key=lambda index: -float(smooth[index]))


def _territories(torso: Torso, inside: Mask, rivals: Mask, maxima: list[tuple[int, ...]]) -> Labels:
    """Share the hot tissue between its maxima, and with its rivals, by a watershed on the smoothed uptake.

    0 is nobody's or a rival's.
    """
    markers = np.where(rivals, len(maxima) + 1, 0).astype(np.uint16)
    for number, index in enumerate(maxima, start=1):
        markers[index] = number
    valley = np.where(inside | rivals, -torso.smooth_bq_per_ml, 1.0).astype(np.float32)
    flooded = sitk.MorphologicalWatershedFromMarkers(
        to_sitk(valley, torso.grid), to_sitk(markers, torso.grid), markWatershedLine=False
    )
    shares = sitk.GetArrayFromImage(flooded)
    return np.where(inside & (shares <= len(maxima)), shares, 0)


def _grown_from(torso: Torso, peak: tuple[int, ...], territory: Mask, background: float, fwhm_mm: float | None) -> Mask:
    """Return what lies above the border level, connected with the maximum.

    The level is that on the border of a blurred sphere of the same volume, iterated until it does not change.
    """
    box = bounding_box(territory, margin=1)
    uptake, inside = torso.activity_bq_per_ml[box], territory[box]
    seed = tuple(i - part.start for i, part in zip(peak, box, strict=True))
    level = background + BORDER * (_top(uptake[inside], torso.grid.voxel_volume_ml) - background)
    mask = _above(uptake, inside, level, seed)
    for _ in range(ITERATIONS if fwhm_mm else 0):
        if not mask.any():
            break
        wanted = background + _border_over_background(torso.grid, uptake, mask, background, float(fwhm_mm or 0.0))
        if abs(wanted - level) < SETTLED * (level - background):
            break
        level = (level + wanted) / 2.0
        mask = _above(uptake, inside, level, seed)
    out = np.zeros_like(territory)
    out[box] = mask
    return out


def _top(values: NDArray[np.float32], voxel_ml: float) -> float:
    """Return the mean of the hottest 0.5 mL."""
    count = max(1, min(values.size, round(PEAK_ML / voxel_ml)))
    return float(np.sort(values)[-count:].mean())


def _above(uptake: NDArray[np.float32], inside: Mask, level: float, seed: tuple[int, ...]) -> Mask:
    labels, _ = ndimage.label(inside & (uptake > level))
    number = int(labels[seed])
    return np.asarray(labels == number) if number else np.zeros_like(inside)


def _border_over_background(
    grid: Grid, uptake: NDArray[np.float32], mask: Mask, background: float, fwhm_mm: float
) -> float:
    """Return how far the border of a blurred sphere of the mask's volume lies above the background.

    The level inside is taken from the deep half of the mask: a maximum would be biased upward by noise.
    """
    # The border lies half a voxel nearer than the next voxel's centre.
    depth = depth_inside(mask, grid.spacing_mm) - grid.voxel_volume_ml ** (1.0 / 3.0) * MM_PER_CM / 2.0
    deep = float(uptake[depth >= DEEP * depth.max()].mean())
    radius_mm = float(np.cbrt(3.0 * np.count_nonzero(mask) * grid.voxel_volume_ml * MM3_PER_ML / (4.0 * np.pi)))
    return border_level(radius_mm, fwhm_mm) * (deep - background)


def find_lesions(
    torso: Torso, site: Host, liver_level_bq_per_ml: float, fwhm_mm: float | None, min_lesion_ml: float
) -> list[Lesion]:
    """Return the lesions of one host, above 1.5 times the level of normal liver.

    Parameters
    ----------
    torso : Torso
    site : Host
        Where to look.
    liver_level_bq_per_ml : float
        Of normal liver.
    fwhm_mm : float or None
        Width of the image's point spread; without it the border lies at a fixed part of the maximum.
    min_lesion_ml : float
        Smaller ones are left out.
    """
    lowest = HOTTER_THAN_LIVER * liver_level_bq_per_ml
    maxima = _maxima(torso, site.peaks & (torso.activity_bq_per_ml > lowest), lowest)
    if not maxima:
        return []
    field = site.inside & (torso.activity_bq_per_ml > site.background_bq_per_ml)
    territories = _territories(torso, field, site.rivals, maxima)
    height = torso.smooth_bq_per_ml - site.background_bq_per_ml
    owner = joined(territories, height, height[tuple(np.transpose(maxima))])
    masks = [
        _grown_from(torso, maxima[number - 1], owner[territories] == number, site.background_bq_per_ml, fwhm_mm)
        for number in np.unique(owner[1:])
    ]
    return [Lesion(mask, site.name) for mask in masks if torso.volume_ml(mask) >= min_lesion_ml]
