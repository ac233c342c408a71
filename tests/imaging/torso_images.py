"""A synthetic torso: lungs, spine, ribs, kidneys, liver, spleen, couch; drawn in any position."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import ActivityMap, HounsfieldMap

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


KIDNEY_SEMI_AXES_MM = (28.0, 25.0, 55.0)
SPLEEN_SEMI_AXES_MM = (30.0, 38.0, 45.0)
LIVER_SEMI_AXES_MM = (80.0, 70.0, 65.0)
KIDNEY_MM = {"left": (60.0, 45.0, -20.0), "right": (-60.0, 45.0, -20.0)}
LIVER_MM = (-60.0, -25.0, 65.0)
SPLEEN_MM = (95.0, 10.0, 70.0)
LESION_MM = (-80.0, -40.0, 70.0)
LESION_RADIUS_MM = 17.0


def ellipsoid_ml(semi_axes_mm):
    return 4.0 / 3.0 * np.pi * float(np.prod(semi_axes_mm)) / 1000.0


def _own(grid, pose):
    """Coordinates in the torso's own LPS mm of every voxel."""
    index_to_own = np.linalg.inv(np.eye(4) if pose is None else pose) @ grid.affine_mm
    k, j, i = np.ogrid[tuple(slice(n) for n in grid.shape)]
    return [(m[0] * k + m[3] + m[1] * j + m[2] * i).astype(np.float32) for m in index_to_own[:3]]


def draw_uptake(
    grid, pose=None, *, fwhm_mm=12.0, kidneys=("left", "right"), lesion=True, noise=0.05, seed=0, spleen_mm=SPLEEN_MM
):
    """SPECT of the torso in Bq/mL: kidneys 100, spleen 120, liver 50, lesion 300, remainder 2 kBq/mL, then blurred."""
    point = _own(grid, pose)
    values = np.where((point[0] / 160) ** 2 + (point[1] / 105) ** 2 < 1, 2.0, 0.0)
    values[_ellipsoid(point, LIVER_MM, LIVER_SEMI_AXES_MM)] = 50.0
    for side in ("left", "right"):
        values[_ellipsoid(point, KIDNEY_MM[side], [s + 8.0 for s in KIDNEY_SEMI_AXES_MM])] = 0.5
    values[_ellipsoid(point, spleen_mm, SPLEEN_SEMI_AXES_MM)] = 120.0
    for side in ("left", "right"):
        inside = _ellipsoid(point, KIDNEY_MM[side], KIDNEY_SEMI_AXES_MM)
        values[inside] = 100.0 if side in kidneys else 0.5
    if lesion:
        values[_ellipsoid(point, LESION_MM, (LESION_RADIUS_MM,) * 3)] = 300.0
    values = ndimage.gaussian_filter(values * 1000.0, [fwhm_mm / 2.3548 / s for s in grid.spacing_mm])
    values += np.random.default_rng(seed).normal(0.0, noise, grid.shape) * values
    return ActivityMap(grid, values.astype(np.float32))


def draw_torso(grid, pose=None, *, noise_hu=12.0, seed=0, couch=True, kidneys=("left", "right"), spleen_mm=SPLEEN_MM):
    """CT of the torso; ``pose`` maps the torso's own LPS mm to where it lies."""
    x, y, z = _own(grid, pose)
    within = np.abs(z) < 260.0
    hu = np.full(grid.shape, -1000.0, dtype=np.float32)
    hu[((x / 175) ** 2 + (y / 120) ** 2 < 1) & within] = -100
    hu[((x / 160) ** 2 + (y / 105) ** 2 < 1) & within] = 45
    ribs = ((x / 150) ** 2 + (y / 96) ** 2 < 1) & ((x / 143) ** 2 + (y / 90) ** 2 > 1) & (z > 20)
    hu[ribs & ((z + 0.4 * y) % 30 < 9)] = 400
    for side in (-1, 1):
        hu[_ellipsoid((x, y, z), (side * 75, 0, 180), (60, 85, 80))] = -800
    hu[((x / 22) ** 2 + ((y - 60) / 20) ** 2 < 1) & (z % 30 < 25) & within] = 250
    hu[_ellipsoid((x, y, z), LIVER_MM, LIVER_SEMI_AXES_MM)] = 60
    for centre in KIDNEY_MM.values():
        hu[_ellipsoid((x, y, z), centre, [s + 8.0 for s in KIDNEY_SEMI_AXES_MM])] = -100
    hu[_ellipsoid((x, y, z), spleen_mm, SPLEEN_SEMI_AXES_MM)] = 55
    for side, centre in KIDNEY_MM.items():
        hu[_ellipsoid((x, y, z), centre, KIDNEY_SEMI_AXES_MM)] = 35 if side in kidneys else -100
    hu += np.random.default_rng(seed).normal(0.0, noise_hu, grid.shape).astype(np.float32)
    if couch:
        rows = slice(*(round(grid.to_index((0.0, y_mm, 0.0))[1]) for y_mm in (138.0, 146.0)))
        hu[:, rows] = -100
    return HounsfieldMap(grid, np.clip(np.round(hu), -1024, 3000).astype(np.int16))
