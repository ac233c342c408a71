"""What the chapters of the validation work with: the package's data, golden values and a backend, handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.geometry import Grid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from kernels.backend import Backend
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.dose.dose_kernel import PointKernel

    Triple = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Bench:
    """Everything that a chapter may use.

    Attributes
    ----------
    nuclides : mapping of (name, decay data set) to Radionuclide
    point_kernels : mapping of (nuclide, medium) to PointKernel
    tables : mapping of str to mapping
        Golden tables by name; each carries its ``source``.
    arrays : mapping of str to mapping of str to ndarray
        Golden arrays by file and name.
    backend : Backend
        That the engine's rows run on.
    gpu : Backend or None
    gpu_missing : str
        Why there is no GPU.
    """

    nuclides: Mapping[tuple[str, str], Radionuclide]
    point_kernels: Mapping[tuple[str, str], PointKernel]
    tables: Mapping[str, Mapping[str, Any]]
    arrays: Mapping[str, Mapping[str, NDArray[np.float64]]]
    backend: Backend
    gpu: Backend | None
    gpu_missing: str

    def nuclide(self, name: str = "Lu-177", decay_data: str = "ICRP-107") -> Radionuclide:
        """Return a nuclide of the package."""
        return self.nuclides[name, decay_data]

    def point_kernel(self, nuclide: str = "Lu-177", medium: str = "water") -> PointKernel:
        """Return a dose point kernel of the package."""
        return self.point_kernels[nuclide, medium]


def plain_grid(shape: tuple[int, int, int], spacing_mm: Triple) -> Grid:
    """Return a grid along the axes, in a frame of reference of its own."""
    return Grid(shape, np.diag([*spacing_mm, 1.0]), "2.25")


def box_mask(shape: tuple[int, int, int], *boxes: list[list[int]]) -> NDArray[np.bool_]:
    """Return the union of half-open index boxes ([slice range, row range, column range])."""
    mask = np.zeros(shape, dtype=bool)
    for z, y, x in boxes:
        mask[slice(*z), slice(*y), slice(*x)] = True
    return mask


def ellipsoid_mask(shape: tuple[int, int, int], spacing_mm: Triple, radii_mm: Triple) -> NDArray[np.bool_]:
    """Return the voxels whose centre lies within an ellipsoid around the middle of the grid."""
    squared = np.zeros(shape)
    for axis, (size, side, radius) in enumerate(zip(shape, spacing_mm, radii_mm, strict=True)):
        place = (np.arange(size) - (size - 1) / 2) * side / radius
        squared = squared + np.moveaxis(np.reshape(place**2, (-1, 1, 1)), 0, axis)
    return np.asarray(squared <= 1.0)
