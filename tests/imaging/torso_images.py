"""A synthetic torso: lungs, spine, ribs, kidneys, liver, spleen, couch; drawn in any position."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import HounsfieldMap

FRAME = "1.2.826.0.1.3680043.8.498.1"


def centred_grid(shape, spacing_mm, frame=FRAME):
    """Axis-aligned grid (slice to the head, row to the back, column to the left) about the origin."""
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 1], affine[2, 0] = spacing_mm[2], spacing_mm[1], spacing_mm[0]
    affine[:3, 3] = [-(n - 1) / 2.0 * s for n, s in zip(shape[::-1], spacing_mm[::-1], strict=True)]
    affine[3, 3] = 1.0
    return Grid(shape, affine, frame)


def rigid(degrees, shift_mm):
    """4x4 matrix that turns about the origin, then shifts."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def _ellipsoid(point, centre, semi_axes):
    return sum(((p - c) / s) ** 2 for p, c, s in zip(point, centre, semi_axes, strict=True)) < 1.0


def draw_torso(grid, pose=None, *, noise_hu=12.0, seed=0, couch=True):
    """CT of the torso; ``pose`` maps the torso's own LPS mm to where it lies."""
    back = np.linalg.inv(np.eye(4) if pose is None else pose)
    index_to_own = back @ grid.affine_mm
    k, j, i = np.ogrid[tuple(slice(n) for n in grid.shape)]
    x, y, z = ((m[0] * k + m[3] + m[1] * j + m[2] * i).astype(np.float32) for m in index_to_own[:3])
    within = np.abs(z) < 260.0
    hu = np.full(grid.shape, -1000.0, dtype=np.float32)
    hu[((x / 175) ** 2 + (y / 120) ** 2 < 1) & within] = -100
    hu[((x / 160) ** 2 + (y / 105) ** 2 < 1) & within] = 45
    ribs = ((x / 150) ** 2 + (y / 96) ** 2 < 1) & ((x / 143) ** 2 + (y / 90) ** 2 > 1) & (z > 20)
    hu[ribs & ((z + 0.4 * y) % 30 < 9)] = 400
    for side in (-1, 1):
        hu[_ellipsoid((x, y, z), (side * 75, 0, 150), (60, 85, 110))] = -800
        hu[_ellipsoid((x, y, z), (side * 60, 45, -20), (36, 33, 63))] = -100
        hu[_ellipsoid((x, y, z), (side * 60, 45, -20), (28, 25, 55))] = 35
    hu[((x / 22) ** 2 + ((y - 60) / 20) ** 2 < 1) & (z % 30 < 25) & within] = 250
    hu[_ellipsoid((x, y, z), (-60, -25, 55), (80, 70, 65))] = 60
    hu[_ellipsoid((x, y, z), (95, 10, 50), (30, 38, 45))] = 55
    hu += np.random.default_rng(seed).normal(0.0, noise_hu, grid.shape).astype(np.float32)
    if couch:
        rows = slice(*(round(grid.to_index((0.0, y_mm, 0.0))[1]) for y_mm in (138.0, 146.0)))
        hu[:, rows] = -100
    return HounsfieldMap(grid, np.clip(np.round(hu), -1024, 3000).astype(np.int16))
