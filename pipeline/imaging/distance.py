"""Distances to masks, and masks grown or shrunk by a distance: exact, computed only where they can change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk  # noqa: N813

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Mask = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Box = tuple[slice, slice, slice]

# Distances are float32: so much wider than a radius, that whole voxels on it count.
ROUNDING_MM = 1e-3


def bounding_box(mask: Mask, margin: int | Sequence[int] = 0) -> Box:
    """Return the smallest box that holds ``mask`` (not empty), with a margin in voxels (of all axes or of each)."""
    margins = [margin] * 3 if isinstance(margin, int) else list(margin)
    box = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != axis)))
        low, high = int(hit[0]) - margins[axis], int(hit[-1]) + 1 + margins[axis]
        box.append(slice(max(0, low), min(mask.shape[axis], high)))
    return box[0], box[1], box[2]


def distance_to(target: Mask, spacing_mm: Sequence[float]) -> NDArray[np.float32]:
    """Return each voxel's distance (mm) to the nearest voxel of ``target`` (not empty); 0 inside it.

    Exact Euclidean distances between voxel centres: Maurer, Qi, Raghavan, IEEE Trans Pattern Anal Mach Intell
    2003;25:265.
    """
    image = sitk.GetImageFromArray(np.ascontiguousarray(target).view(np.uint8))
    image.SetSpacing([float(s) for s in reversed(spacing_mm)])
    found = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return np.asarray(np.maximum(sitk.GetArrayViewFromImage(found), 0.0), dtype=np.float32)


def depth_inside(mask: Mask, spacing_mm: Sequence[float]) -> NDArray[np.float32]:
    """Return each voxel's distance (mm) to the nearest one outside ``mask``, beyond the array too; 0 outside it."""
    depth = np.zeros(mask.shape, dtype=np.float32)
    if mask.any():
        box = bounding_box(mask)
        depth[box] = distance_to(~np.pad(mask[box], 1), spacing_mm)[1:-1, 1:-1, 1:-1]
    return depth


def shrunk(mask: Mask, radius_mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Erode by a distance."""
    return np.asarray(depth_inside(mask, spacing_mm) > radius_mm + ROUNDING_MM)


def grown(mask: Mask, radius_mm: float, spacing_mm: Sequence[float]) -> Mask:
    """Dilate by a distance; an empty mask stays empty."""
    out = np.zeros(mask.shape, dtype=bool)
    if mask.any():
        box = bounding_box(mask, [int(np.ceil(radius_mm / s)) for s in spacing_mm])
        out[box] = distance_to(mask[box], spacing_mm) <= radius_mm + ROUNDING_MM
    return out
