"""Our arrays (slice, row, column) to SimpleITK images (column, row, slice) and back: the only transpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from pipeline.domain.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def to_sitk(array: ArrayLike, grid: Grid) -> sitk.Image:
    """Return ``array`` as an image in LPS mm.

    Parameters
    ----------
    array : array_like, shape of the grid
        Indexed (slice, row, column); Boolean arrays become 8-bit masks.
    grid : Grid
        Where the array lies.

    Returns
    -------
    SimpleITK.Image
        Indexed (column, row, slice), a copy.
    """
    values = np.asarray(array)
    image = sitk.GetImageFromArray(values.astype(np.uint8) if values.dtype == np.bool_ else values)
    columns_mm = np.asarray(grid.affine_mm)[:3, 2::-1]
    spacing_mm = np.linalg.norm(columns_mm, axis=0)
    image.SetSpacing(spacing_mm.tolist())
    image.SetDirection((columns_mm / spacing_mm).ravel().tolist())
    image.SetOrigin(np.asarray(grid.affine_mm)[:3, 3].tolist())
    return image


def grid_of(image: sitk.Image, frame_of_reference_uid: str) -> Grid:
    """Return the grid of an image, which carries no frame of reference of its own."""
    affine_mm = np.eye(4)
    direction = np.asarray(image.GetDirection()).reshape(3, 3)
    affine_mm[:3, :3] = (direction * np.asarray(image.GetSpacing()))[:, ::-1]
    affine_mm[:3, 3] = image.GetOrigin()
    columns, rows, slices = image.GetSize()
    return Grid((slices, rows, columns), affine_mm, frame_of_reference_uid)


def from_sitk(image: sitk.Image, frame_of_reference_uid: str) -> tuple[NDArray[Any], Grid]:
    """Return the array (slice, row, column), a copy, and the grid of an image."""
    return np.asarray(sitk.GetArrayFromImage(image)), grid_of(image, frame_of_reference_uid)


def to_transform(transform_mm: ArrayLike) -> sitk.AffineTransform:
    """Return a 4x4 matrix on LPS mm as a transform."""
    matrix = np.asarray(transform_mm, dtype=np.float64)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    return transform


def from_transform(transform: sitk.Transform) -> NDArray[np.float64]:
    """Return the 4x4 matrix on LPS mm of a linear transform with a centre."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(transform.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    return matrix
