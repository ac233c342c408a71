"""Small volumes of interest in a kidney: three 4 mL spheres at the median uptake (section 3.2 of the specification)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from pipeline.imaging.averaging import index_matrix
from pipeline.imaging.distance import bounding_box
from pipeline.imaging.torso import SPECT_BLUR_MM, cropped
from pipeline.units import MM3_PER_ML

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from pipeline.domain.maps import ActivityMap
    from pipeline.domain.regions import Region, Segmentation
    from pipeline.imaging.distance import Mask

SPHERE_ML = 4.0
ERODED_MM = 5.0
LESION_MARGIN_MM = 10.0
RADIUS_MM = float((3.0 * SPHERE_ML * MM3_PER_ML / (4.0 * np.pi)) ** (1.0 / 3.0))


@dataclass(frozen=True)
class SmallVoi:
    """One sphere and the mean activity concentration inside it."""

    third: str
    centre_lps_mm: tuple[float, float, float]
    radius_mm: float
    mean_bq_per_ml: float


def _sampled(activity: ActivityMap, grid: Grid) -> NDArray[np.float32]:
    """Return the activity at the voxel centres of ``grid``, linearly interpolated."""
    matrix, offset = index_matrix(activity.grid, grid)
    return np.asarray(
        ndimage.affine_transform(
            np.asarray(activity.activity_bq_per_ml, dtype=np.float32),
            matrix,
            offset,
            grid.shape,
            order=1,
            mode="nearest",
        )
    )


def _allowed(segmentation: Segmentation, region: Region, grid: Grid, box: tuple[slice, slice, slice]) -> Mask:
    """Return where a sphere may have its centre: all of it in the kidney eroded by 5 mm, or else in the kidney."""
    label = np.asarray(segmentation.label[box])
    depth = ndimage.distance_transform_edt(label == region.label, sampling=grid.spacing_mm)
    lesions = [one.label for one in segmentation.regions if one.kind == "lesion"]
    diseased = np.isin(label, lesions)
    if diseased.any():
        near = ndimage.distance_transform_edt(~diseased, sampling=grid.spacing_mm) <= LESION_MARGIN_MM + RADIUS_MM
        depth = np.where(near, 0.0, depth)
    return np.asarray(depth >= RADIUS_MM + (ERODED_MM if (depth >= RADIUS_MM + ERODED_MM).any() else 0.0))


def _thirds(grid: Grid, kidney: Mask) -> Iterator[tuple[str, Mask]]:
    """Yield the upper, middle and lower third of a kidney along z."""
    z_mm = grid.to_lps_mm(np.argwhere(np.ones(grid.shape, dtype=bool)))[:, 2].reshape(grid.shape)
    low, high = float(z_mm[kidney].min()), float(z_mm[kidney].max())
    edges = np.linspace(low, high, 4)
    edges[[0, 3]] = -np.inf, np.inf
    for name, a, b in zip(("lower", "middle", "upper"), edges[:-1], edges[1:], strict=True):
        yield name, np.asarray((z_mm >= a) & (z_mm < b))


def place_small_vois(segmentation: Segmentation, region: Region, activity: ActivityMap) -> tuple[SmallVoi, ...]:
    """Place up to three spheres of 4 mL, one in each third of a kidney, none overlapping.

    The centre is where the smoothed uptake is the median of all allowed centres of its third: a search for the maximum
    would be biased upward by noise. Spheres lie inside the kidney eroded by 5 mm where one fits, else inside the
    kidney, and 10 mm away from lesions; a third where none fits is left out.

    Parameters
    ----------
    segmentation : Segmentation
    region : Region
        A kidney of it.
    activity : ActivityMap
        In the same frame of reference.

    Returns
    -------
    tuple of SmallVoi
        From the lower third to the upper one; the value of the kidney is the median of their means.
    """
    whole = segmentation.mask(region)
    if not whole.any():
        return ()
    box = bounding_box(whole, margin=int(np.ceil(LESION_MARGIN_MM / min(segmentation.grid.spacing_mm))) + 1)
    grid = cropped(segmentation.grid, box)
    uptake = _sampled(activity, grid)
    smooth = ndimage.gaussian_filter(uptake, [SPECT_BLUR_MM / s for s in grid.spacing_mm])
    allowed = _allowed(segmentation, region, grid, box)
    placed: list[SmallVoi] = []
    for third, part in _thirds(grid, whole[box]):
        centres = np.argwhere(allowed & part)
        centres = centres[_apart(grid.to_lps_mm(centres), placed)]
        if len(centres):
            placed.append(_sphere(third, grid, uptake, smooth, centres))
    return tuple(placed)


def _apart(points_mm: NDArray[np.float64], placed: list[SmallVoi]) -> NDArray[np.bool_]:
    """Tell which centres are two radii away from every sphere that is placed already."""
    apart = np.ones(len(points_mm), dtype=bool)
    for voi in placed:
        apart &= np.linalg.norm(points_mm - np.asarray(voi.centre_lps_mm), axis=1) >= 2.0 * RADIUS_MM
    return apart


def _sphere(
    third: str, grid: Grid, uptake: NDArray[np.float32], smooth: NDArray[np.float32], centres: NDArray[np.intp]
) -> SmallVoi:
    values = smooth[tuple(centres.T)]
    chosen = centres[int(np.argmin(np.abs(values - np.median(values))))]
    offsets = [np.arange(n) - c for n, c in zip(grid.shape, chosen, strict=True)]
    z, y, x = np.meshgrid(*[o * s for o, s in zip(offsets, grid.spacing_mm, strict=True)], indexing="ij", sparse=True)
    inside = z**2 + y**2 + x**2 <= RADIUS_MM**2
    centre = grid.to_lps_mm(chosen)
    return SmallVoi(
        third, (float(centre[0]), float(centre[1]), float(centre[2])), RADIUS_MM, float(uptake[inside].mean())
    )
