"""Marrow of the vertebral bodies and the aorta in front of them, both from CT."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from pipeline.imaging.body import fill_in_plane, largest_component

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.imaging.distance import Mask
    from pipeline.imaging.torso import Torso

# Depth of a vertebral body from its front: 28 to 36 mm from T9 to L5 (Panjabi et al., Spine 1991;16:888, 1992;17:299).
VERTEBRAL_DEPTH_MM = 32.0
VERTEBRAL_HALF_WIDTH_MM = 30.0
CORTICAL_ABOVE_HU = 350.0
SHELL_MM = 2.5
MARROW_ML = (20.0, 500.0)
# Abdominal aorta: 15-30 mm wide (normal diameters; Erbel et al., Eur Heart J 2014;35:2873, aneurysm from 30 mm).
AORTA_RADIUS_MM = (7.5, 15.0)
# Seen on CT, before bridging.
AORTA_LENGTH_MM = 60.0
AORTA_GAP_MM = 60.0
# Part of the rim that is fat. The section is then measured by its area, since the distance to a voxel of fat is
# short by part of a voxel; through gaps in the rim the area would run out.
WELL_CLOSED = 0.9
# Where the wall is not seen, so that the tube stays inside it.
BRIDGED_THINNER_MM = 3.0


def vertebrae(torso: Torso) -> Mask:
    """Return bone filled in the slice (shell, marrow and canal)."""
    box = np.abs(torso.lateral_mm) < 60.0
    ring = torso.bone & box & (torso.depth_mm > -15.0)
    return fill_in_plane(np.asarray(ndimage.binary_closing(ring, _disc(), border_value=0) | ring), 0) & torso.body


def _disc() -> Mask:
    return np.asarray(ndimage.generate_binary_structure(3, 1) & np.array([[[False]], [[True]], [[False]]]))


def find_marrow(torso: Torso) -> Mask | None:
    """Return the inside of the vertebral bodies, without cortical bone; None where CT does not show it."""
    body = (
        vertebrae(torso)
        & (torso.depth_mm > 0.0)
        & (torso.depth_mm < VERTEBRAL_DEPTH_MM)
        & (np.abs(torso.lateral_mm) < VERTEBRAL_HALF_WIDTH_MM)
    )
    inside = torso.shrunk(body, SHELL_MM) & (torso.hu < CORTICAL_ABOVE_HU) & (torso.hu > 0.0)
    labels, count = ndimage.label(inside)
    if count == 0:
        return None
    volumes = np.bincount(labels.ravel()) * torso.grid.voxel_volume_ml
    volumes[0] = 0.0
    mask = (volumes >= 2.0)[labels]
    return mask if MARROW_ML[0] <= torso.volume_ml(mask) <= MARROW_ML[1] else None


def find_aorta(torso: Torso, taken: Mask) -> Mask | None:
    """Return the aorta where fat sets it off on CT: a tube in front of the spine, left of its middle.

    The distance to fat peaks on the axis of a vessel; the axis is followed from slice to slice, and gaps where a
    neighbour hides the border are bridged on a straight line with the radius seen beside them.
    """
    free = torso.soft & ~taken
    window = free & (torso.depth_mm > -32.0) & (torso.depth_mm < 3.0)
    window = window & (torso.lateral_mm > -12.0) & (torso.lateral_mm < 35.0)
    seen = np.full((torso.grid.shape[0], 3), np.nan)
    for k in range(torso.grid.shape[0]):
        seen[k] = _cross_section(torso, free[k], window[k])
    axis = _bridged(_on_one_line(seen), torso.grid.spacing_mm[0])
    tube = _drawn(torso, axis) & free
    length_mm = np.count_nonzero(np.isfinite(seen[:, 0]) & np.isfinite(axis[:, 0])) * torso.grid.spacing_mm[0]
    return largest_component(tube) if length_mm >= AORTA_LENGTH_MM else None


def _cross_section(torso: Torso, free: Mask, window: Mask) -> NDArray[np.float64]:
    """Return row, column and radius (mm) of a round section of an aorta's size; not a number where there is none."""
    nothing = np.full(3, np.nan)
    _, dy, dx = torso.grid.spacing_mm
    distance = ndimage.distance_transform_edt(free, sampling=(dy, dx))
    inner = np.where(window, distance, 0.0)
    radius = float(inner.max())
    if not AORTA_RADIUS_MM[0] <= radius <= AORTA_RADIUS_MM[1]:
        return nothing
    row, column = np.unravel_index(int(inner.argmax()), inner.shape)
    rows, columns = np.ogrid[: window.shape[0], : window.shape[1]]
    from_axis = np.hypot((rows - row) * dy, (columns - column) * dx)
    closed = float((~free)[(from_axis > radius + 1.5) & (from_axis <= radius + 4.0)].mean())
    if closed <= 0.5:
        return nothing
    if closed < WELL_CLOSED:
        return np.asarray([row, column, radius], dtype=np.float64)
    section = np.argwhere(free & (from_axis <= radius + 2.5))
    return np.asarray([*section.mean(axis=0), np.sqrt(len(section) * dy * dx / np.pi)])


def _on_one_line(seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out sections whose axis or radius is far from that of the others (another vessel, a bowel loop)."""
    known = np.isfinite(seen[:, 0])
    if not known.any():
        return seen
    off = np.abs(seen - np.median(seen[known], axis=0))
    return np.where((known & (off <= (6.0, 6.0, 3.0)).all(axis=1))[:, None], seen, np.nan)


def _bridged(axis: NDArray[np.float64], dz: float) -> NDArray[np.float64]:
    """Fill gaps of up to ``AORTA_GAP_MM`` along the patient."""
    known = np.flatnonzero(np.isfinite(axis[:, 0]))
    out = axis.copy()
    for low, high in pairwise(known):
        if (high - low) * dz <= AORTA_GAP_MM:
            part = (np.arange(low, high) - low)[:, None] / (high - low)
            out[low:high] = axis[low] + part * (axis[high] - axis[low])
            out[low + 1 : high, 2] -= BRIDGED_THINNER_MM
    return out


def _drawn(torso: Torso, axis: NDArray[np.float64]) -> Mask:
    """Draw the tube, a disc in each slice where the axis is known."""
    tube = np.zeros(torso.grid.shape, dtype=bool)
    rows, columns = np.ogrid[: torso.grid.shape[1], : torso.grid.shape[2]]
    _, dy, dx = torso.grid.spacing_mm
    for k in np.flatnonzero(np.isfinite(axis[:, 0])):
        row, column, radius = axis[k]
        tube[k] = np.hypot((rows - row) * dy, (columns - column) * dx) <= radius
    return tube
