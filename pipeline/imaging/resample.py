"""From one grid to another: activity by one interpolation that conserves it, density and regions by averages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from pipeline.domain.geometry import AFFINE_TOLERANCE_MM
from pipeline.domain.maps import ActivityMap, DensityMap
from pipeline.errors import require
from pipeline.imaging.averaging import average_to_grid, region_fractions
from pipeline.imaging.body import body_mask
from pipeline.imaging.convert import to_sitk, to_transform

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from pipeline.domain.geometry import Grid
    from pipeline.domain.regions import Segmentation

__all__ = [
    "average_to_grid",
    "body_mask",
    "coverage",
    "density_on_grid",
    "labels_on_grid",
    "region_fractions",
    "resample_activity",
]

# Dry air at 20 degrees C and 101.3 kPa (NIST, composition of materials 104).
AIR_G_PER_CM3 = 1.205e-3
# Voxels over which the weight of the conservation check rises from the border of a field of view.
TAPER_VOXELS = 3.0
IDENTITY_TOLERANCE = 1e-9


def _is_same_lattice(a: Grid, b: Grid) -> bool:
    """Tell whether two grids have the same voxels, whatever their frames of reference are called."""
    return a.shape == b.shape and bool(np.allclose(a.affine_mm, b.affine_mm, rtol=0, atol=AFFINE_TOLERANCE_MM))


def _border_weight(lattice: Grid, other: Grid, to_other_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return for each voxel of ``lattice`` a weight that falls to 0 at the border of ``other``'s field of view."""
    matrix = np.linalg.inv(other.affine_mm) @ to_other_mm @ lattice.affine_mm
    k, j, i = np.ogrid[tuple(slice(n) for n in lattice.shape)]
    weight = np.ones(lattice.shape, dtype=np.float32)
    for axis, n in enumerate(other.shape):
        index = (matrix[axis, 0] * k + matrix[axis, 3]) + matrix[axis, 1] * j + matrix[axis, 2] * i
        inside = np.minimum(index + 0.5, n - 0.5 - index)
        weight *= np.clip(inside / min(TAPER_VOXELS, n / 2), 0.0, 1.0)
    return weight


def _overlap_weight(lattice: Grid, other: Grid, to_other_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the weight inside both fields of view, on the voxels of ``lattice``."""
    own = _border_weight(lattice, lattice, np.eye(4))
    return np.asarray(own * _border_weight(lattice, other, to_other_mm))


def coverage(source: Grid, target: Grid, transform_mm: ArrayLike) -> NDArray[np.bool_]:
    """Tell which voxels of ``target`` lie inside the field of view of ``source``.

    Parameters
    ----------
    source, target : Grid
    transform_mm : array_like, shape (4, 4)
        LPS mm of the target's frame to LPS mm of the source's frame.

    Returns
    -------
    ndarray of bool, shape of ``target``
        Outside, a resampled map holds 0 because nothing was measured.
    """
    return np.asarray(_border_weight(target, source, np.asarray(transform_mm, dtype=np.float64)) > 0)


def _without_undershoot(
    values: NDArray[np.floating], source: ActivityMap, target: Grid, transform_mm: NDArray[np.float64]
) -> NDArray[np.floating]:
    """Set negative values to 0 where all source voxels that a cubic spline mainly draws on are >= 0."""
    activity = np.asarray(source.activity_bq_per_ml)
    if float(activity.min()) >= 0:
        return np.asarray(np.clip(values, 0.0, None))
    lowest = to_sitk(ndimage.minimum_filter(activity, size=5, mode="nearest"), source.grid)
    near = _sampled(lowest, target, transform_mm, sitk.sitkNearestNeighbor)
    return np.asarray(np.where((values < 0) & (near >= 0), 0.0, values), dtype=values.dtype)


def _sampled(
    image: sitk.Image, target: Grid, transform_mm: NDArray[np.float64], interpolator: int
) -> NDArray[np.floating]:
    """Sample ``image`` at the voxel centres of ``target``; 0 outside."""
    like = to_sitk(np.zeros(target.shape, dtype=np.uint8), target)
    sampled = sitk.Resample(image, like, to_transform(transform_mm), interpolator, 0.0, image.GetPixelID())
    return np.asarray(sitk.GetArrayFromImage(sampled))


def _conservation_factor(
    source: ActivityMap, values: NDArray[np.floating], target: Grid, transform_mm: NDArray[np.float64]
) -> float:
    """Return the ratio of the source's activity to the resampled one, both weighted by the overlap of the fields.

    The weight is one smooth function of space, taken on both lattices, that falls to 0 at the borders of both
    fields of view: both sums approximate one integral, and activity cut by a border does not disturb the ratio.
    """
    weight_source = _overlap_weight(source.grid, target, np.asarray(np.linalg.inv(transform_mm), dtype=np.float64))
    before = float(np.vdot(source.activity_bq_per_ml, weight_source)) * source.grid.voxel_volume_ml
    after = float(np.vdot(values, _overlap_weight(target, source.grid, transform_mm))) * target.voxel_volume_ml
    require(
        float(weight_source.max()) > 0,
        "REGISTRATION_NO_OVERLAP",
        found="fields of view that do not meet",
        needed="two SPECT fields of view that share the body",
        do="check that both time points are of one patient and show the same part of the body",
    )
    return before / after if before > 0 and after > 0 else 1.0


def resample_activity(activity: ActivityMap, target: Grid, transform_mm: ArrayLike) -> ActivityMap:
    """Return the activity on another grid: one cubic B-spline interpolation, total activity conserved.

    Undershoot of the spline is set to 0 where the source is not negative itself; then the map is multiplied by one
    factor, so that the activity inside both fields of view is what it was (see ``_conservation_factor``). Where
    nothing moves, the values are passed on unchanged.

    Parameters
    ----------
    activity : ActivityMap
    target : Grid
    transform_mm : array_like, shape (4, 4)
        LPS mm of the target's frame to LPS mm of the source's frame.

    Returns
    -------
    ActivityMap
        In Bq/mL on ``target``; 0 outside the source's field of view (see :func:`coverage`).

    Raises
    ------
    RefusalError
        ``REGISTRATION_NO_OVERLAP``.
    """
    matrix = np.asarray(transform_mm, dtype=np.float64)
    identical = bool(np.allclose(matrix, np.eye(4), rtol=0, atol=IDENTITY_TOLERANCE))
    if identical and _is_same_lattice(activity.grid, target):
        return ActivityMap(target, activity.activity_bq_per_ml)
    source_image = to_sitk(np.asarray(activity.activity_bq_per_ml), activity.grid)
    values = _sampled(source_image, target, matrix, sitk.sitkBSpline)
    values = _without_undershoot(values, activity, target, matrix)
    factor = _conservation_factor(activity, values, target, matrix)
    return ActivityMap(target, values * values.dtype.type(factor))


def density_on_grid(density: DensityMap, target: Grid) -> DensityMap:
    """Return the mean density over each voxel of ``target`` (air outside the CT), in g/cm3.

    Both lie in one frame of reference; the steps check that.
    """
    values = average_to_grid(density.density_g_per_cm3, density.grid, target, AIR_G_PER_CM3)
    return DensityMap(target, np.clip(values, 0.0, None).astype(np.float32))


def labels_on_grid(segmentation: Segmentation, target: Grid) -> NDArray[np.int16]:
    """Return the label that holds the largest part of each voxel of ``target``; 0 where none holds half of it."""
    fractions = region_fractions(segmentation, target)
    if len(fractions) == 0:
        return np.zeros(target.shape, dtype=np.int16)
    labels = np.asarray([region.label for region in segmentation.regions], dtype=np.int16)
    best = labels[fractions.argmax(axis=0)]
    return np.where(fractions.max(axis=0) >= 0.5, best, 0).astype(np.int16)
