"""The volumes a report shows, and the views of them: as a radiologist expects, whatever way the array runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pipeline.domain.geometry import frozen_array
from pipeline.errors import require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class ReportVolumes:
    """Volumes on one grid (the reference SPECT grid or a finer one).

    Attributes
    ----------
    ct_hu, dose_gy, activity_bq_per_ml, labels : ndarray, shape of the grid
        Activity is that of the first time point; labels are integers, 0 = none.
    grid : Grid
    region_names : dict
        Label -> title, as ``{1: "Kidney, left"}``.
    """

    ct_hu: NDArray[np.generic]
    dose_gy: NDArray[np.generic]
    activity_bq_per_ml: NDArray[np.generic]
    labels: NDArray[np.generic]
    grid: Grid
    region_names: dict[int, str]

    def __post_init__(self) -> None:
        for name in ("ct_hu", "dose_gy", "activity_bq_per_ml", "labels"):
            array = np.asarray(getattr(self, name))
            require(
                array.shape == self.grid.shape,
                "GRID_MISMATCH",
                found=f"{name} of shape {array.shape} on a grid of shape {self.grid.shape}",
                needed="all volumes of a report on one grid",
                do="resample them onto the reference grid first",
                where="report",
            )
            object.__setattr__(self, name, frozen_array(array))


@dataclass(frozen=True, eq=False)
class DisplayFrame:
    """How the arrays of a grid are turned so that their axes run (superior, posterior, left).

    Attributes
    ----------
    order : tuple of int
        Array axes in the order S, P, L.
    turned : tuple of int
        Axes of the reordered array that run the other way.
    spacing_mm : tuple of float
        Along S, P, L.
    """

    order: tuple[int, int, int]
    turned: tuple[int, ...]
    spacing_mm: tuple[float, float, float]

    def arrange(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return the array with axes (superior, posterior, left), each rising that way."""
        return np.flip(np.transpose(array, self.order), axis=self.turned)

    def place(self, index: Sequence[float], shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Map an index of the stored array to the nearest one of the arranged array."""
        arranged = [index[axis] for axis in self.order]
        sizes = [shape[axis] for axis in self.order]
        for axis in self.turned:
            arranged[axis] = sizes[axis] - 1 - arranged[axis]
        clipped = [round(min(max(value, 0.0), size - 1.0)) for value, size in zip(arranged, sizes, strict=True)]
        return (clipped[0], clipped[1], clipped[2])


def display_frame(grid: Grid) -> DisplayFrame:
    """Return how to turn the arrays of ``grid`` (to the nearest anatomical axes; nothing is resampled)."""
    cosines = grid.affine_mm[:3, :3] / np.asarray(grid.spacing_mm)
    remaining = {0, 1, 2}
    chosen: list[int] = []
    for lps in (2, 1, 0):
        axis = max(sorted(remaining), key=lambda candidate: abs(cosines[lps, candidate]))
        remaining.discard(axis)
        chosen.append(axis)
    turned = tuple(i for i, (lps, axis) in enumerate(zip((2, 1, 0), chosen, strict=True)) if cosines[lps, axis] < 0)
    spacing = tuple(grid.spacing_mm[axis] for axis in chosen)
    return DisplayFrame((chosen[0], chosen[1], chosen[2]), turned, (spacing[0], spacing[1], spacing[2]))


@dataclass(frozen=True, eq=False)
class View:
    """One plane as it is drawn: row 0 on top, with the letters of its four edges.

    Attributes
    ----------
    name : str
    pixel_mm : tuple of float
        (height, width) of a pixel.
    edges : tuple of str
        Letters at (left, right, top, bottom) of the picture.
    """

    name: str
    pixel_mm: tuple[float, float]
    edges: tuple[str, str, str, str]
    axis: int

    def cut(self, arranged: NDArray[Scalar], index: int) -> NDArray[Scalar]:
        """Return one plane of an arranged (S, P, L) array as a picture."""
        return self.upright(np.take(arranged, index, axis=self.axis))

    def upright(self, plane: NDArray[Scalar]) -> NDArray[Scalar]:
        """Turn a plane (the remaining axes in order) so that row 0 is the top of the picture."""
        return plane if self.axis == 0 else plane[::-1]


def views_of(frame: DisplayFrame) -> tuple[View, View, View]:
    """Return axial, coronal and sagittal views: the patient's left is on the right of the picture."""
    s_mm, p_mm, l_mm = frame.spacing_mm
    return (
        View("Axial", (p_mm, l_mm), ("R", "L", "A", "P"), 0),
        View("Coronal", (s_mm, l_mm), ("R", "L", "S", "I"), 1),
        View("Sagittal", (s_mm, p_mm), ("A", "P", "S", "I"), 2),
    )


def centre_index(
    regions: Sequence[Mapping[str, Any]], volumes: ReportVolumes, frame: DisplayFrame
) -> tuple[int, int, int]:
    """Return the arranged index of the mean centroid of ``regions``, each of which has one."""
    points = np.asarray([region["centroid_lps_mm"] for region in regions], dtype=np.float64)
    index = volumes.grid.to_index(points.mean(axis=0))
    return frame.place([float(value) for value in index], volumes.grid.shape)


def hottest_index(volumes: ReportVolumes, frame: DisplayFrame) -> tuple[int, int, int]:
    """Return the arranged index of the voxel with the highest dose."""
    index = np.unravel_index(int(np.argmax(volumes.dose_gy)), volumes.grid.shape)
    return frame.place([float(value) for value in index], volumes.grid.shape)
