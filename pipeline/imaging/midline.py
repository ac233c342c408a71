"""Marrow of the vertebral bodies and the aorta in front of them, both from CT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from pipeline.imaging.body import fill_in_plane, largest_component

if TYPE_CHECKING:
    from pipeline.imaging.torso import Mask, Torso

# Depth of a vertebral body from its front: 28 to 36 mm from T9 to L5 (Panjabi et al., Spine 1991;16:888, 1992;17:299).
VERTEBRAL_DEPTH_MM = 32.0
VERTEBRAL_HALF_WIDTH_MM = 30.0
CORTICAL_ABOVE_HU = 350.0
SHELL_MM = 2.5
MARROW_ML = (20.0, 500.0)
# Abdominal aorta: 15-30 mm wide (normal diameters; Erbel et al., Eur Heart J 2014;35:2873, aneurysm from 30 mm).
AORTA_RADIUS_MM = (7.5, 15.0)
AORTA_LENGTH_MM = 60.0


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

    The distance to fat peaks on the axis of a vessel; the axis is followed from slice to slice.
    """
    prevertebral = torso.soft & ~taken & (torso.depth_mm > -32.0) & (torso.depth_mm < 3.0)
    prevertebral = prevertebral & (torso.lateral_mm > -12.0) & (torso.lateral_mm < 35.0)
    tube = np.zeros_like(prevertebral)
    for k in range(torso.grid.shape[0]):
        tube[k] = _vessel(torso, k, prevertebral[k])
    tube = _continuous(torso, tube)
    slices = np.count_nonzero(tube.any(axis=(1, 2)))
    return tube if slices * torso.grid.spacing_mm[0] >= AORTA_LENGTH_MM else None


def _vessel(torso: Torso, k: int, window: Mask) -> Mask:
    """Return the round cross-section in one slice; empty where nothing round of an aorta's size lies there."""
    soft = torso.soft[k]
    distance = ndimage.distance_transform_edt(soft, sampling=torso.grid.spacing_mm[1:])
    inner = np.where(window, distance, 0.0)
    empty = np.zeros_like(window)
    radius = float(inner.max())
    if not AORTA_RADIUS_MM[0] <= radius <= AORTA_RADIUS_MM[1]:
        return empty
    row, column = np.unravel_index(int(inner.argmax()), inner.shape)
    rows, columns = np.ogrid[: window.shape[0], : window.shape[1]]
    _, dy, dx = torso.grid.spacing_mm
    from_axis = np.hypot((rows - row) * dy, (columns - column) * dx)
    disc = from_axis <= radius
    rim = (from_axis > radius + 1.5) & (from_axis <= radius + 4.0)
    isolated = float((~soft)[rim].mean()) > 0.5
    return np.asarray(disc & soft) if isolated else empty


def _continuous(torso: Torso, tube: Mask) -> Mask:
    """Keep the longest part that is connected from slice to slice."""
    return largest_component(tube) if tube.any() else tube
