"""Lesions of liver and bone: what is hotter than normal liver (section 7.3 of the clinical specification)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from pipeline.imaging.convert import to_sitk

if TYPE_CHECKING:
    from pipeline.imaging.distance import Mask
    from pipeline.imaging.torso import Torso

# k x normal liver, k >= 1.5 (section 7.3).
HOTTER_THAN_LIVER = 1.5
# Between background and maximum, where the border of a blurred lesion lies: 41-42 % of the maximum in section 7.3 holds
# without background; with background subtracted one half is the border of a large object, less for small ones.
BORDER = 0.45
PEAK_ML = 0.5
# Two maxima belong to one lesion unless the uptake falls below this part of the lower one between them.
VALLEY = 0.8


Labels = np.ndarray[tuple[int, ...], np.dtype[np.uint16]]


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion's mask and the organ it lies in."""

    mask: Mask
    host: str


def _maxima(torso: Torso, inside: Mask, lowest: float) -> list[tuple[int, ...]]:
    """Return the maxima of the smoothed uptake inside, hottest first, none within 10 mm of a hotter one."""
    smooth = torso.smooth_bq_per_ml
    size = [max(3, int(20.0 / s) | 1) for s in torso.grid.spacing_mm]
    peaks = (smooth == ndimage.maximum_filter(smooth, size=size)) & inside & (smooth > lowest)
    found = [tuple(int(i) for i in index) for index in np.argwhere(peaks)]
    return sorted(found, key=lambda index: -float(smooth[index]))


def _territories(torso: Torso, inside: Mask, maxima: list[tuple[int, ...]]) -> Labels:
    """Share the hot tissue between its maxima by a watershed on the smoothed uptake."""
    markers = np.zeros(torso.grid.shape, dtype=np.uint16)
    for number, index in enumerate(maxima, start=1):
        markers[index] = number
    valley = np.where(inside, -torso.smooth_bq_per_ml, 1.0).astype(np.float32)
    flooded = sitk.MorphologicalWatershedFromMarkers(
        to_sitk(valley, torso.grid), to_sitk(markers, torso.grid), markWatershedLine=False
    )
    return np.where(inside, sitk.GetArrayFromImage(flooded), 0)


def _grown_from(torso: Torso, peak: tuple[int, ...], territory: Mask, background: float) -> Mask:
    """Return what lies above the border level, connected with the maximum."""
    uptake = torso.activity_bq_per_ml
    near = torso.activity_bq_per_ml[territory]
    count = max(1, min(near.size, round(PEAK_ML / torso.grid.voxel_volume_ml)))
    top = float(np.sort(near)[-count:].mean())
    labels, _ = ndimage.label(territory & (uptake > background + BORDER * (top - background)))
    number = int(labels[peak])
    return np.asarray(labels == number) if number else np.zeros_like(territory)


def find_lesions(
    torso: Torso, host: str, inside: Mask, level_bq_per_ml: float, background_bq_per_ml: float, min_lesion_ml: float
) -> list[Lesion]:
    """Return the lesions inside one organ, above 1.5 times the level of normal liver.

    Parameters
    ----------
    torso : Torso
    host : str
    inside : ndarray of bool
        The organ.
    level_bq_per_ml : float
        Of normal liver.
    background_bq_per_ml : float
        Of the host's normal tissue.
    min_lesion_ml : float
        Smaller ones are left out.
    """
    hot = inside & (torso.activity_bq_per_ml > HOTTER_THAN_LIVER * level_bq_per_ml)
    maxima = _maxima(torso, hot, HOTTER_THAN_LIVER * level_bq_per_ml)
    if not maxima:
        return []
    field = inside & (torso.activity_bq_per_ml > background_bq_per_ml)
    territories = _territories(torso, field, maxima)
    masks = [
        _grown_from(torso, peak, territories == number, background_bq_per_ml)
        for number, peak in enumerate(maxima, start=1)
    ]
    return [Lesion(mask, host) for mask in masks if torso.volume_ml(mask) >= min_lesion_ml]
