"""Where a volume lies: arrays are (slice, row, column), affines map their indices to LPS mm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import require
from pipeline.units import MM3_PER_ML

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

AFFINE_TOLERANCE_MM = 1e-3


def frozen_array(values: ArrayLike, dtype: type | None = None) -> NDArray[np.generic]:
    """Return ``values`` as a read-only host array (copied only where it must be)."""
    array = np.asarray(values, dtype=dtype)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Grid:
    """A voxel grid.

    Attributes
    ----------
    shape : tuple of int
        (slices, rows, columns).
    affine_mm : ndarray, shape (4, 4)
        Array index (slice, row, column, 1) -> LPS mm of the voxel's centre.
    frame_of_reference_uid : str
        Empty where the source does not carry one (checked by the steps, not here).
    """

    shape: tuple[int, int, int]
    affine_mm: NDArray[np.float64]
    frame_of_reference_uid: str

    def __post_init__(self) -> None:
        affine = np.array(self.affine_mm, dtype=np.float64)
        require(
            affine.shape == (4, 4) and bool(np.isfinite(affine).all()) and abs(np.linalg.det(affine[:3, :3])) > 1e-9,
            "GEOMETRY_INVALID",
            found=f"affine {affine.tolist()}",
            needed="a finite, invertible 4x4 affine from (slice, row, column) to LPS mm",
            do="check the position, orientation and spacing of the series",
        )
        require(
            len(self.shape) == 3 and all(int(n) > 0 for n in self.shape),
            "GEOMETRY_INVALID",
            found=f"shape {self.shape}",
            needed="three positive sizes (slice, row, column)",
            do="check that the series is complete",
        )
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "affine_mm", frozen_array(affine))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along (slice, row, column)."""
        norms = np.linalg.norm(self.affine_mm[:3, :3], axis=0)
        return (float(norms[0]), float(norms[1]), float(norms[2]))

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel."""
        return float(abs(np.linalg.det(self.affine_mm[:3, :3]))) / MM3_PER_ML

    def to_lps_mm(self, indices: ArrayLike) -> NDArray[np.float64]:
        """Map indices, shape (..., 3), to LPS mm, shape (..., 3)."""
        points = np.asarray(indices, dtype=np.float64)
        return np.asarray(points @ self.affine_mm[:3, :3].T + self.affine_mm[:3, 3])

    def to_index(self, points_lps_mm: ArrayLike) -> NDArray[np.float64]:
        """Map LPS mm, shape (..., 3), to (fractional) indices, shape (..., 3)."""
        points = np.asarray(points_lps_mm, dtype=np.float64) - self.affine_mm[:3, 3]
        return np.asarray(points @ np.linalg.inv(self.affine_mm[:3, :3]).T)

    def is_same(self, other: Grid) -> bool:
        """Tell whether both grids have the same frame of reference, shape and affine (to 1e-3 mm)."""
        return (
            self.frame_of_reference_uid == other.frame_of_reference_uid
            and self.shape == other.shape
            and bool(np.allclose(self.affine_mm, other.affine_mm, rtol=0, atol=AFFINE_TOLERANCE_MM))
        )

    def require_same(self, other: Grid) -> None:
        """Refuse two grids that differ; no silent resampling."""
        require(
            self.is_same(other),
            "GRID_MISMATCH",
            found=f"shape {self.shape}, affine {np.round(self.affine_mm, 3).tolist()}, frame of reference "
            f"{self.frame_of_reference_uid or 'none'} against shape {other.shape}, affine "
            f"{np.round(other.affine_mm, 3).tolist()}, frame of reference {other.frame_of_reference_uid or 'none'}",
            needed="two volumes on one grid and in one frame of reference",
            do="resample one onto the other's grid first",
        )
