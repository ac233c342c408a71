"""A phantom before it is scanned: what lies where, of which density, and how it is drawn onto a grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.regions import Laterality, RegionKind
    from sample_dicom.shapes import Shape, Vector

Labels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@dataclass(frozen=True, eq=False)
class Part:
    """A shape that is painted with ``label``, over the labels ``over`` only (None: over everything)."""

    label: int
    shape: Shape
    over: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Tissue:
    """What a label of the drawing is made of.

    ``density_g_per_cm3`` is the value that the CT stores exactly (an integer HU on the site's curve).
    """

    name: str
    density_g_per_cm3: float


@dataclass(frozen=True)
class RegionOfTruth:
    """A region as the contours name it, made of one or more labels of the drawing."""

    label: int
    name: str
    laterality: Laterality | None
    kind: RegionKind
    parts: tuple[int, ...]
    host: str | None = None


@dataclass(frozen=True, eq=False)
class Motion:
    """Rigid motion of the phantom: turned about the origin, then shifted."""

    shift_mm: Vector = (0.0, 0.0, 0.0)
    turn: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))


STILL = Motion()


@dataclass(frozen=True, eq=False)
class Scene:
    """All parts in painting order, their tissues and the regions that are reported."""

    parts: tuple[Part, ...]
    tissues: dict[int, Tissue]
    regions: tuple[RegionOfTruth, ...]

    @property
    def density_by_label(self) -> NDArray[np.float64]:
        """Density (g/cm3) by label, shape (256,); air where no tissue is named."""
        density = np.zeros(256)
        for label, tissue in self.tissues.items():
            density[label] = tissue.density_g_per_cm3
        return density


def centred_grid(shape: tuple[int, int, int], spacing_mm: float, frame_of_reference_uid: str) -> Grid:
    """Return an axis-aligned grid (slice, row, column) centred on the origin of LPS."""
    affine = np.zeros((4, 4))
    affine[0, 2] = affine[1, 1] = affine[2, 0] = spacing_mm
    affine[:3, 3] = [-(n - 1) / 2.0 * spacing_mm for n in reversed(shape)]
    affine[3, 3] = 1.0
    return Grid(shape, affine, frame_of_reference_uid)


def draw(scene: Scene, grid: Grid, motion: Motion = STILL) -> Labels:
    """Paint the scene onto a centred grid.

    Returns
    -------
    ndarray of uint8, shape of the grid
        Label of the voxel's centre; 0 is air.
    """
    labels: Labels = np.zeros(grid.shape, dtype=np.uint8)
    for part in scene.parts:
        box = _box(part.shape, grid, motion)
        mask = part.shape.inside(_offsets(part.shape, grid, motion, box))
        target = labels[box]
        mask = np.broadcast_to(mask, target.shape)
        if part.over is not None:
            mask = mask & np.isin(target, part.over)
        target[mask] = part.label
    return labels


def _box(shape: Shape, grid: Grid, motion: Motion) -> tuple[slice, slice, slice]:
    """Slices of the part of the grid that can hold the moved shape."""
    centre = motion.turn @ np.asarray(shape.centre_mm) + np.asarray(motion.shift_mm)
    reach = np.abs(motion.turn) @ shape.reach_mm
    low = np.floor(grid.to_index(centre - reach)).astype(int)
    high = np.ceil(grid.to_index(centre + reach)).astype(int) + 1
    low, high = np.clip(low, 0, grid.shape), np.clip(high, 0, grid.shape)
    return (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))


def _offsets(shape: Shape, grid: Grid, motion: Motion, box: tuple[slice, slice, slice]) -> list[NDArray[np.float32]]:
    """Coordinates of the box's voxel centres in the shape's own frame, from its centre: x, y, z (broadcastable)."""
    spacing = grid.spacing_mm
    axes = []
    for axis in range(3):
        world = 2 - axis
        values = grid.affine_mm[world, 3] + spacing[axis] * np.arange(box[axis].start, box[axis].stop)
        sides = [1, 1, 1]
        sides[axis] = len(values)
        axes.append((values - motion.shift_mm[world]).reshape(sides))
    z, y, x = axes
    back = motion.turn.T
    still = np.array_equal(back, np.eye(3))
    moved = [x, y, z] if still else [row[0] * x + row[1] * y + row[2] * z for row in back]
    return [np.asarray(m - c, dtype=np.float32) for m, c in zip(moved, shape.centre_mm, strict=True)]


def region_labels(scene: Scene, labels: Labels) -> Labels:
    """Turn the drawing into the contours' label map."""
    table: Labels = np.zeros(256, dtype=np.uint8)
    for region in scene.regions:
        table[list(region.parts)] = region.label
    return table[labels]
