"""CT and SPECT of one time point side by side on an upright grid, with the spine as a landmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import ActivityMap
from pipeline.imaging.averaging import average_to_grid
from pipeline.imaging.body import body_mask
from pipeline.imaging.distance import Box, Mask, bounding_box, grown, shrunk
from pipeline.imaging.resample import resample_activity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.maps import DensityMap, HounsfieldMap

CONTOUR_MM = 2.4
# A CT finer than this in the slice is averaged for contouring.
FINE_ENOUGH_MM = 2.0
CT_BLUR_MM = 2.0
SPECT_BLUR_MM = 4.0
# Ranges whose medians are this patient's fat and soft tissue; the border lies half way.
FAT_HU = (-160.0, -40.0)
SOFT_TISSUE_HU = (0.0, 100.0)
BONE_ABOVE_HU = 150.0
LUNG_BELOW_HU = -400.0
# Around the densest line of the spine: to its front, and to the other sides.
SPINE_FRONT_MM = 70.0
SPINE_WINDOW_MM = 45.0


@dataclass(frozen=True, eq=False)
class Torso:
    """What the search for organs looks at; arrays on ``grid`` (slices to the head, rows to the back, columns left).

    Attributes
    ----------
    grid : Grid
    box : tuple of slice
        Where the arrays lie in the contour grid.
    hu : ndarray
        CT number, lightly blurred, in HU.
    activity_bq_per_ml : ndarray
        SPECT as it is.
    smooth_bq_per_ml : ndarray
        SPECT blurred against noise, for levels and maxima only.
    body, soft, bone : ndarray of bool
        ``soft``: neither fat nor lung nor bone.
    spine_x_mm, spine_y_mm : ndarray, shape (slices,)
        Middle of the spine and its front in each slice, LPS mm.
    """

    grid: Grid
    box: Box
    hu: NDArray[np.float32]
    activity_bq_per_ml: NDArray[np.float32]
    smooth_bq_per_ml: NDArray[np.float32]
    body: Mask
    soft: Mask
    bone: Mask
    spine_x_mm: NDArray[np.float64]
    spine_y_mm: NDArray[np.float64]

    def part(self, box: Box) -> Torso:
        """Return the torso inside a box of its own arrays."""
        outer = [slice(part.start + b.start, part.start + b.stop) for part, b in zip(self.box, box, strict=True)]
        return Torso(
            grid=cropped(self.grid, box),
            box=(outer[0], outer[1], outer[2]),
            hu=self.hu[box],
            activity_bq_per_ml=self.activity_bq_per_ml[box],
            smooth_bq_per_ml=self.smooth_bq_per_ml[box],
            body=self.body[box],
            soft=self.soft[box],
            bone=self.bone[box],
            spine_x_mm=self.spine_x_mm[box[0]],
            spine_y_mm=self.spine_y_mm[box[0]],
        )

    def halved(self) -> Torso:
        """Return the torso in blocks of 2x2x2 voxels (means; at least half for masks); a last odd plane is left out."""
        affine = np.array(self.grid.affine_mm)
        affine[:3, :3] *= 2.0
        affine[:3, 3] = self.grid.to_lps_mm([0.5, 0.5, 0.5])
        n = [size // 2 for size in self.grid.shape]
        return Torso(
            grid=Grid((n[0], n[1], n[2]), affine, self.grid.frame_of_reference_uid),
            box=self.box,
            hu=halved(self.hu),
            activity_bq_per_ml=halved(self.activity_bq_per_ml),
            smooth_bq_per_ml=halved(self.smooth_bq_per_ml),
            body=halved(self.body) >= 0.5,
            soft=halved(self.soft) >= 0.5,
            bone=halved(self.bone) >= 0.5,
            spine_x_mm=self.spine_x_mm[: 2 * n[0]].reshape(-1, 2).mean(axis=1),
            spine_y_mm=self.spine_y_mm[: 2 * n[0]].reshape(-1, 2).mean(axis=1),
        )

    @property
    def z_mm(self) -> NDArray[np.float64]:
        """LPS z of the slices, shape (slices, 1, 1)."""
        return self._axis(0, 2)

    @property
    def lateral_mm(self) -> NDArray[np.float64]:
        """Distance to the left of the spine, shape (slices, 1, columns)."""
        return np.asarray(self._axis(2, 0) - self.spine_x_mm[:, None, None])

    @property
    def depth_mm(self) -> NDArray[np.float64]:
        """Distance behind the front of the spine, shape (slices, rows, 1)."""
        return np.asarray(self._axis(1, 1) - self.spine_y_mm[:, None, None])

    def _axis(self, axis: int, world: int) -> NDArray[np.float64]:
        values = self.grid.affine_mm[world, 3] + self.grid.affine_mm[world, axis] * np.arange(self.grid.shape[axis])
        return np.asarray(values.reshape([-1 if k == axis else 1 for k in range(3)]))

    def volume_ml(self, mask: Mask) -> float:
        """Volume of a mask."""
        return float(np.count_nonzero(mask)) * self.grid.voxel_volume_ml

    def opened(self, mask: Mask, radius_mm: float) -> Mask:
        """Remove what is thinner than twice ``radius_mm``."""
        return self.grown(self.shrunk(mask, radius_mm), radius_mm) & mask

    def shrunk(self, mask: Mask, radius_mm: float) -> Mask:
        """Erode by a distance."""
        return shrunk(mask, radius_mm, self.grid.spacing_mm)

    def grown(self, mask: Mask, radius_mm: float) -> Mask:
        """Dilate by a distance; an empty mask stays empty."""
        return grown(mask, radius_mm, self.grid.spacing_mm)


def halved(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the means of blocks of 2x2x2 voxels; a last odd plane is left out."""
    z, y, x = (n // 2 for n in values.shape)
    blocks = values[: 2 * z, : 2 * y, : 2 * x].reshape(z, 2, y, 2, x, 2)
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))


def doubled(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Return a mask of blocks of 2x2x2 voxels voxel by voxel, in an array of ``shape``."""
    out = np.zeros(shape, dtype=bool)
    fine = mask.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    out[: fine.shape[0], : fine.shape[1], : fine.shape[2]] = fine
    return out


def contour_grid(ct: Grid) -> Grid:
    """Return the upright grid that organs are drawn on.

    Axes follow LPS; voxels are those of the CT, or near 2.4 mm where the CT is finer than 2 mm in the slice. An upright
    CT keeps its own lattice or whole blocks of it.
    """
    axes = [int(np.argmax(np.abs(ct.affine_mm[world, :3]))) for world in (2, 1, 0)]
    spacing = [ct.spacing_mm[axis] for axis in axes]
    factor = [max(1, round(CONTOUR_MM / s)) if min(ct.spacing_mm) < FINE_ENOUGH_MM else 1 for s in spacing]
    corners = ct.to_lps_mm(_corners(ct.shape))
    low, high = corners.min(axis=0), corners.max(axis=0)
    step = np.asarray([f * s for f, s in zip(factor, spacing, strict=True)])
    extent = (high - low)[::-1]
    shape = np.ceil(extent / step - 1e-3).astype(int)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = step
    affine[:3, 3] = low + step[::-1] / 2.0
    affine[3, 3] = 1.0
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, ct.frame_of_reference_uid)


def _corners(shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return the eight outer corners of a volume, in indices."""
    ends = [(-0.5, n - 0.5) for n in shape]
    return np.asarray([(a, b, c) for a in ends[0] for b in ends[1] for c in ends[2]])


def cropped(grid: Grid, box: Box) -> Grid:
    """Return the part of a grid inside ``box``."""
    affine = np.array(grid.affine_mm)
    affine[:3, 3] = grid.to_lps_mm([part.start for part in box])
    shape = [part.stop - part.start for part in box]
    return Grid((shape[0], shape[1], shape[2]), affine, grid.frame_of_reference_uid)


def blurred(values: NDArray[np.floating], grid: Grid, sigma_mm: float) -> NDArray[np.float32]:
    """Return a copy blurred by a Gaussian of ``sigma_mm``."""
    sigma = [sigma_mm / s for s in grid.spacing_mm]
    return np.asarray(ndimage.gaussian_filter(np.asarray(values, dtype=np.float32), sigma, truncate=3.0))


def torso_of(ct: HounsfieldMap, density: DensityMap, activity: ActivityMap, contour: Grid) -> Torso | None:
    """Bring CT and SPECT onto the contour grid and find the spine; None where there is no body or no spine."""
    body_full = average_to_grid(body_mask(density), density.grid, contour, 0.0) > 0.5
    if not body_full.any():
        return None
    box = bounding_box(body_full, margin=2)
    grid = cropped(contour, box)
    body = body_full[box]
    hu = blurred(average_to_grid(ct.ct_number_hu, ct.grid, grid, -1000.0).astype(np.float32), grid, CT_BLUR_MM)
    bone = body & (hu > BONE_ABOVE_HU)
    spine = _spine(grid, bone, body)
    if spine is None:
        return None
    spect = np.asarray(resample_activity(activity, grid, np.eye(4)).activity_bq_per_ml, dtype=np.float32)
    return Torso(
        grid=grid,
        box=box,
        hu=hu,
        activity_bq_per_ml=spect,
        smooth_bq_per_ml=blurred(spect, grid, SPECT_BLUR_MM),
        body=body,
        soft=body & (hu > _border_of_fat(hu[body])) & ~bone,
        bone=bone,
        spine_x_mm=spine[0],
        spine_y_mm=spine[1],
    )


def _border_of_fat(hu: NDArray[np.float32]) -> float:
    """Return the CT number half way between this patient's fat and soft tissue; -25 HU where one of them is missing."""
    levels = [hu[(hu > low) & (hu < high)] for low, high in (FAT_HU, SOFT_TISSUE_HU)]
    if min(level.size for level in levels) == 0:
        return -25.0
    return float(np.median(levels[0]) + np.median(levels[1])) / 2.0


def _spine(grid: Grid, bone: Mask, body: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return x of the middle and y of the front of the spine in each slice (LPS mm).

    The spine is where most bone lies one slice above the other, in the middle third of the body. Its front is the
    foremost bone near the middle, taken over neighbouring slices so that discs do not break it.
    """
    columns = np.flatnonzero(body.any(axis=(0, 1)))
    third = (columns[-1] - columns[0]) / 3.0
    along = ndimage.gaussian_filter(bone.sum(axis=0).astype(np.float64), 10.0 / np.asarray(grid.spacing_mm[1:]))
    along[:, : int(columns[0] + third)] = 0.0
    along[:, int(columns[-1] - third) + 1 :] = 0.0
    if along.max() <= 0.05 * bone.shape[0]:
        return None
    row, column = np.unravel_index(int(along.argmax()), along.shape)
    x_index, y_index = _tracked(grid, bone, float(row), float(column))
    return grid.affine_mm[0, 3] + grid.spacing_mm[2] * x_index, grid.affine_mm[1, 3] + grid.spacing_mm[1] * y_index


def _tracked(grid: Grid, bone: Mask, row: float, column: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return column of the middle and row of the front of the spine by slice, smoothed along the patient."""
    _, dy, dx = grid.spacing_mm
    rows, columns = np.ogrid[: bone.shape[1], : bone.shape[2]]
    behind_mm = (rows - row) * dy
    near = (behind_mm > -SPINE_FRONT_MM) & (behind_mm < SPINE_WINDOW_MM)
    near = near & (np.abs(columns - column) * dx < SPINE_WINDOW_MM)
    count = np.maximum((bone & near).sum(axis=(1, 2)), 1)
    middle = np.where(count > 20, ((bone & near) * columns).sum(axis=(1, 2)) / count, np.nan)
    centre = _smooth_along(middle, grid, column)
    narrow = near & (np.abs(columns - centre[:, None, None]) * dx < 10.0)
    has = (bone & narrow).any(axis=(1, 2))
    front = np.where(has, (bone & narrow).any(axis=2).argmax(axis=1), np.nan)
    window = max(3, int(50.0 / grid.spacing_mm[0]) | 1)
    low = ndimage.percentile_filter(np.where(np.isnan(front), bone.shape[1], front), 20, size=window, mode="nearest")
    return centre, _smooth_along(np.where(low < bone.shape[1], low, np.nan), grid, row)


def _smooth_along(values: NDArray[np.float64], grid: Grid, default: float) -> NDArray[np.float64]:
    """Fill gaps and smooth a value by slice over about 30 mm."""
    known = np.flatnonzero(np.isfinite(values))
    if known.size == 0:
        return np.full(values.shape, default)
    filled = np.interp(np.arange(values.size), known, values[known])
    return np.asarray(ndimage.gaussian_filter1d(filled, 15.0 / grid.spacing_mm[0], mode="nearest"))
