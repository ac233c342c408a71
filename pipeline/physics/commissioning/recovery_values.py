"""Chapter: recovery of blurred spheres, and the correction between regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter

from pipeline.physics.commissioning.rows import Chapter, Row, compared
from pipeline.physics.quantification.recovery import FWHM_PER_SIGMA, recovered_activities, sphere_recovery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pipeline.physics.commissioning.bench import Bench

SIZE = 64
SIDE_MM = 3.0
FWHM_MM = 12.0
# Centre along the columns in voxels, radius in mm, Bq per voxel: 8 and 33 mL, edges 13 mm apart.
SPHERES = ((22.0, 12.4, 900.0), (40.0, 19.9, 400.0))
BACKGROUND_BQ = 20.0
# Air around the body, in voxels: wider than the blur.
MARGIN = 10


def rows(bench: Bench) -> tuple[Row, ...]:
    """Return the analytic recovery of spheres, and known activities from a blurred image."""
    return (*_analytic(bench.tables["recovery"]), *_two_spheres())


def _analytic(table: Mapping[str, Any]) -> list[Row]:
    return [
        compared(
            f"recovery of {volume:g} mL seen with {fwhm:g} mm", float(sphere_recovery(volume, fwhm)), expected, "",
            table["source"], tolerance=0.01, reason="printed digits", comparison="absolute",
        )
        for fwhm, volume, expected in table["spheres"]
    ]  # fmt: skip


def _ball(column: float, radius_mm: float) -> NDArray[np.float32]:
    z, y, x = np.indices((SIZE, SIZE, SIZE))
    middle = (SIZE - 1) / 2
    squared = ((z - middle) ** 2 + (y - middle) ** 2 + (x - column) ** 2) * SIDE_MM**2
    return np.asarray(squared <= radius_mm**2, dtype=np.float32)


def _two_spheres() -> list[Row]:
    regions = [_ball(column, radius) for column, radius, _ in SPHERES]
    body = np.zeros((SIZE, SIZE, SIZE), dtype=np.float32)
    body[MARGIN:-MARGIN, MARGIN:-MARGIN, MARGIN:-MARGIN] = 1.0
    fractions = np.stack([*regions, body - regions[0] - regions[1]])
    levels = np.array([*(level for _, _, level in SPHERES), BACKGROUND_BQ])
    activity = np.einsum("r,rzyx->zyx", levels, fractions.astype(np.float64))
    image = gaussian_filter(activity, FWHM_MM / FWHM_PER_SIGMA / SIDE_MM, mode="constant")
    measured = np.einsum("zyx,rzyx->r", image, fractions.astype(np.float64))
    true = levels * fractions.sum(axis=(1, 2, 3), dtype=np.float64)
    corrected = recovered_activities(measured[None, :2], measured[2:], fractions, (SIDE_MM,) * 3, FWHM_MM)
    found = corrected.activity_bq[0]
    return [
        compared(
            f"two spheres 13 mm apart in a warm background, seen with 12 mm: activity of that of {volume} mL",
            float(found[index]), float(true[index]), "Bq", "the activity put in, here", tolerance=0.02,
            reason="the blur made by other code (SciPy) on the same voxels",
        )
        for index, volume in enumerate((8, 33))
    ]  # fmt: skip


CHAPTER = Chapter(
    "recovery",
    "Recovery",
    "Activity lost to blur: analytic recovery of spheres, and the geometric transfer matrix between regions on an "
    "image whose activities are known.",
    rows,
)
