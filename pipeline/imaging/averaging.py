"""Area averages between grids whose axes are aligned: exact, separable, conserving volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk  # noqa: N813

from pipeline.imaging.convert import to_sitk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from pipeline.domain.regions import Segmentation

# Slope of an axis (index per index) below which two grids count as aligned: over 1000 voxels less than half a voxel.
ALIGNED = 5e-4
# Part of a voxel by which two lattices may differ and still be one.
SAME_VOXEL = 1e-6


def index_matrix(source: Grid, target: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``(m, b)`` with source index = m @ target index + b."""
    to_source = np.linalg.inv(source.affine_mm) @ target.affine_mm
    return to_source[:3, :3], to_source[:3, 3]


def are_aligned(source: Grid, target: Grid) -> bool:
    """Tell whether the axes of both grids are parallel, in the same order (mirrored axes are fine)."""
    matrix, _ = index_matrix(source, target)
    off_diagonal = matrix - np.diag(np.diag(matrix))
    return bool(np.abs(off_diagonal).max() < ALIGNED * max(1.0, float(np.abs(matrix).max())))


def overlap_matrix(n_source: int, n_target: int, step: float, offset: float) -> NDArray[np.float64]:
    """Return the fraction of each target voxel that each source voxel covers, along one axis.

    Parameters
    ----------
    n_source, n_target : int
        Voxels along the axis.
    step, offset : float
        Source index of target index t is ``step * t + offset`` (voxel centres).

    Returns
    -------
    ndarray, shape (n_target, n_source)
        Rows sum to 1 where the target voxel lies inside the source.
    """
    centre = step * np.arange(n_target) + offset
    low, high = centre - abs(step) / 2, centre + abs(step) / 2
    edge = np.arange(n_source) - 0.5
    common = np.minimum(high[:, None], edge + 1.0) - np.maximum(low[:, None], edge)
    return np.asarray(np.clip(common, 0.0, None) / abs(step))


def _overlap_matrices(source: Grid, target: Grid) -> list[NDArray[np.float64]]:
    matrix, offset = index_matrix(source, target)
    return [overlap_matrix(source.shape[k], target.shape[k], float(matrix[k, k]), float(offset[k])) for k in range(3)]


def _whole_voxels(overlap: NDArray[np.float64]) -> NDArray[np.intp] | None:
    """Return which source voxel each target voxel is; None unless every target voxel is exactly one."""
    whole = (np.count_nonzero(overlap > SAME_VOXEL, axis=1) == 1) & (
        overlap.max(axis=1, initial=0.0) > 1.0 - SAME_VOXEL
    )
    return np.asarray(overlap.argmax(axis=1)) if whole.all() else None


def _apply(values: NDArray[np.generic], overlap: list[NDArray[np.float64]], shift: float) -> NDArray[np.float64]:
    """Apply the three overlap matrices to ``values - shift``, slice by slice to keep memory small."""
    picked = [_whole_voxels(matrix) for matrix in overlap]
    if all(index is not None for index in picked):
        return values[np.ix_(*(index for index in picked if index is not None))].astype(np.float64) - shift
    slices, rows, columns = overlap
    across = columns.T.astype(np.float32)
    down = rows.astype(np.float32)
    needed = np.flatnonzero(slices.any(axis=0))
    out = np.zeros((slices.shape[0], rows.shape[0], columns.shape[0]))
    for k in needed:
        plane = down @ (np.asarray(values[k], dtype=np.float32) - np.float32(shift)) @ across
        for t in np.flatnonzero(slices[:, k]):
            out[t] += slices[t, k] * plane
    return out


def _smoothed_linear(values: NDArray[np.generic], source: Grid, target: Grid, fill: float) -> NDArray[np.float64]:
    """Sample a copy of the source that is blurred to the target's voxel size (for rotated grids)."""
    matrix, _ = index_matrix(source, target)
    # Variance of a box of the target's voxel seen along each source axis, less that of the source's own voxel.
    variance = np.clip((matrix**2).sum(axis=1) - 1.0, 0.0, None) / 12.0
    sigma_mm = np.sqrt(variance) * np.asarray(source.spacing_mm)
    image = to_sitk(np.asarray(values, dtype=np.float32), source)
    if float(sigma_mm.max()) > 0:
        image = sitk.SmoothingRecursiveGaussian(image, np.maximum(sigma_mm, 1e-3)[::-1].tolist())
    like = to_sitk(np.zeros(target.shape, dtype=np.uint8), target)
    sampled = sitk.Resample(image, like, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear, fill, sitk.sitkFloat64)
    return np.asarray(sitk.GetArrayFromImage(sampled))


def average_to_grid(values: NDArray[np.generic], source: Grid, target: Grid, fill: float) -> NDArray[np.float64]:
    """Return the mean of ``values`` over each voxel of ``target``.

    Exact (separable overlap fractions) where the axes are parallel; otherwise the source is blurred to the target's
    voxel size and sampled linearly. Both grids are taken to lie in one frame of reference: the steps check that.

    Parameters
    ----------
    values : ndarray, shape of ``source``
    source, target : Grid
    fill : float
        Value outside the source, averaged in where a target voxel lies partly outside.

    Returns
    -------
    ndarray, shape of ``target``
        In the unit of ``values``.
    """
    if not are_aligned(source, target):
        return _smoothed_linear(values, source, target, fill)
    return np.asarray(_apply(values, _overlap_matrices(source, target), fill) + fill)


def _box_of(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    """Return the smallest box that holds ``mask``; None where it is empty."""
    box = []
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != axis)))
        if hit.size == 0:
            return None
        box.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return box[0], box[1], box[2]


def region_fractions(segmentation: Segmentation, target: Grid) -> NDArray[np.float32]:
    """Return the fraction of each target voxel that lies inside each region.

    Parameters
    ----------
    segmentation : Segmentation
        In the frame of reference of ``target``.
    target : Grid

    Returns
    -------
    ndarray, shape (regions, \\*target.shape)
        In the order of ``segmentation.regions``, 0 to 1; where the axes are parallel and the target covers a region,
        the fractions times the voxel volume sum to the region's volume.
    """
    out = np.zeros((len(segmentation.regions), *target.shape), dtype=np.float32)
    aligned = are_aligned(segmentation.grid, target)
    overlap = _overlap_matrices(segmentation.grid, target) if aligned else []
    for position, region in enumerate(segmentation.regions):
        mask = segmentation.mask(region)
        box = _box_of(mask)
        if box is None:
            continue
        if not aligned:
            out[position] = np.clip(_smoothed_linear(mask, segmentation.grid, target, 0.0), 0.0, 1.0)
            continue
        parts = [matrix[:, cut] for matrix, cut in zip(overlap, box, strict=True)]
        out[position] = _apply(mask[box], parts, 0.0)
    return out
