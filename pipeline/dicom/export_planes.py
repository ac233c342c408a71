"""A grid as DICOM planes: position, direction cosines and spacing within the 16 characters of a decimal string."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.valuerep import format_number_as_ds

from pipeline.domain.geometry import Grid
from pipeline.errors import require

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

# Cosine between two axes that may still be written as a right angle: 0.025 mm over a field of 250 mm.
RIGHT_ANGLE_TOLERANCE = 1e-4


def decimal(value: float) -> str:
    """Return a number as a decimal string of at most 16 characters (DICOM PS3.5 6.2)."""
    # A negative zero would make two writings of one geometry.
    return format_number_as_ds(float(value) + 0.0)


def has_right_angles(grid: Grid) -> bool:
    """Tell whether DICOM planes can describe the grid: they have no shear."""
    directions = grid.affine_mm[:3, :3] / np.array(grid.spacing_mm)
    return float(np.abs(directions.T @ directions - np.eye(3)).max()) <= RIGHT_ANGLE_TOLERANCE


def stacked_along_normal(grid: Grid, values: NDArray[Any]) -> tuple[Grid, NDArray[Any]]:
    """Return grid and values with slices in the order of the normal (row cosines x column cosines).

    Parameters
    ----------
    grid : Grid
    values : ndarray, shape of the grid
    """
    affine = np.array(grid.affine_mm)
    normal = np.cross(affine[:3, 2], affine[:3, 1])
    if float(affine[:3, 0] @ normal) > 0:
        return grid, values
    affine[:3, 3] = grid.to_lps_mm([grid.shape[0] - 1, 0, 0])
    affine[:3, 0] *= -1.0
    return Grid(grid.shape, affine, grid.frame_of_reference_uid), values[::-1]


def set_planes(dataset: Dataset, grid: Grid) -> None:
    """Set the image plane of a volume whose slices follow its normal.

    Raises
    ------
    RefusalError
        ``GEOMETRY_INVALID`` where the axes are not at right angles.
    """
    require(
        has_right_angles(grid),
        "GEOMETRY_INVALID",
        found=f"axes that are not at right angles: {np.round(grid.affine_mm, 4).tolist()}",
        needed="slices, rows and columns at right angles, as DICOM planes are",
        do="reconstruct without gantry tilt",
        where="DICOM export",
    )
    _, row_spacing_mm, column_spacing_mm = grid.spacing_mm
    along_row = grid.affine_mm[:3, 2] / column_spacing_mm
    along_column = grid.affine_mm[:3, 1] / row_spacing_mm
    dataset.ImagePositionPatient = [decimal(part) for part in grid.affine_mm[:3, 3]]
    dataset.ImageOrientationPatient = [decimal(part) for part in (*along_row, *along_column)]
    dataset.PixelSpacing = [decimal(row_spacing_mm), decimal(column_spacing_mm)]
    dataset.SliceThickness = decimal(grid.spacing_mm[0])


def frame_offsets_mm(grid: Grid) -> list[str]:
    """Return the distance of each slice from the first one."""
    return [decimal(index * grid.spacing_mm[0]) for index in range(grid.shape[0])]
