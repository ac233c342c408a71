"""The patient's body without the couch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from pipeline.imaging.convert import from_sitk, to_sitk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from pipeline.domain.maps import DensityMap

# Between inflated lung or mattress foam and fat; the skin's border is halfway between air and tissue.
BODY_ABOVE_G_PER_CM3 = 0.2
COARSE_MM = 5.0
# Thinner than any part of a trunk, thicker than the shell of a couch.
OPENING_RADIUS_MM = 10.0


def axial_axis(grid: Grid) -> int:
    """Return the array axis that runs along the patient (head to feet)."""
    return int(np.argmax(np.abs(grid.affine_mm[2, :3]) / np.asarray(grid.spacing_mm)))


def shrink_factors(grid: Grid, spacing_mm: float) -> tuple[int, int, int]:
    """Return by how many voxels to bin (slice, row, column) to come near ``spacing_mm``."""
    factors = [min(max(1, round(spacing_mm / s)), n) for s, n in zip(grid.spacing_mm, grid.shape, strict=True)]
    return factors[0], factors[1], factors[2]


def binned(values: NDArray[np.generic], grid: Grid, spacing_mm: float) -> tuple[NDArray[np.floating], Grid]:
    """Return the means over blocks of whole voxels near ``spacing_mm`` (float32), and their grid."""
    image = to_sitk(np.asarray(values, dtype=np.float32), grid)
    shrunk = sitk.BinShrink(image, [int(f) for f in shrink_factors(grid, spacing_mm)[::-1]])
    return from_sitk(shrunk, grid.frame_of_reference_uid)


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest face-connected part of ``mask`` (all of it where it is empty)."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def fill_in_plane(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Fill everything that is enclosed within a plane across ``axis`` (lungs, bowel gas)."""
    in_plane = [k for k in range(3) if k != axis]
    labels, count = ndimage.label(~mask, _line(in_plane[0]) | _line(in_plane[1]))
    outside = np.zeros(count + 1, dtype=bool)
    for other in in_plane:
        outside[np.unique(labels.take(0, axis=other))] = True
        outside[np.unique(labels.take(-1, axis=other))] = True
    outside[0] = False
    return np.asarray(~outside[labels])


def _line(axis: int) -> NDArray[np.bool_]:
    """Return the 3x3x3 line through the centre along ``axis``."""
    line = np.zeros((3, 3, 3), dtype=bool)
    line[tuple(slice(None) if k == axis else 1 for k in range(3))] = True
    return line


def _onto(mask: NDArray[np.bool_], source: Grid, target: Grid) -> NDArray[np.bool_]:
    """Carry a coarse mask to a finer grid; the last, cut-off block takes the value of its neighbour."""
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(to_sitk(np.zeros(target.shape, dtype=np.uint8), target))
    resampler.SetInterpolator(sitk.sitkNearestNeighbor)
    resampler.UseNearestNeighborExtrapolatorOn()
    return np.asarray(sitk.GetArrayFromImage(resampler.Execute(to_sitk(mask, source))) > 0)


def body_of(density_g_per_cm3: NDArray[np.floating], grid: Grid) -> NDArray[np.bool_]:
    """Return the body in an array of densities; see :func:`body_mask`."""
    axis = axial_axis(grid)
    coarse, coarse_grid = binned(density_g_per_cm3, grid, COARSE_MM)
    solid = fill_in_plane(coarse > BODY_ABOVE_G_PER_CM3, axis)
    radius = [max(1, round(OPENING_RADIUS_MM / s)) for s in coarse_grid.spacing_mm]
    opened = sitk.BinaryMorphologicalOpening(to_sitk(solid, coarse_grid), radius[::-1], sitk.sitkBall, 0, 1)
    trunk = largest_component(sitk.GetArrayFromImage(opened) > 0)
    near = ndimage.binary_dilation(trunk) & ndimage.binary_dilation(solid)
    fine = _onto(near, coarse_grid, grid)
    mask = (np.asarray(density_g_per_cm3) > BODY_ABOVE_G_PER_CM3) & fine
    return fill_in_plane(largest_component(mask), axis)


def body_mask(density: DensityMap) -> NDArray[np.bool_]:
    """Return the patient's body: the largest part above 0.2 g/cm3 without the couch, lungs and bowel gas filled.

    Parameters
    ----------
    density : DensityMap

    Returns
    -------
    ndarray of bool, shape of the map's grid
    """
    return body_of(np.asarray(density.density_g_per_cm3), density.grid)
