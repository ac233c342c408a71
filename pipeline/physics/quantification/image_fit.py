"""How sharp an image really is: the blur that makes its regions look as they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize_scalar

from kernels.blur import gaussian_blur, reach_voxels
from pipeline.physics.quantification.recovery import FWHM_PER_SIGMA, grid_fwhm_mm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEARCH_MM: Final = (1.0, 30.0)
ACCURACY_MM: Final = 0.2
# Around the organs: far enough to see how their edges fall off, near enough to look at nothing else.
MARGIN_MM: Final = 20.0

Box = tuple[slice, slice, slice]


def edge_fwhm_mm(
    activity_bq_per_ml: NDArray[np.floating],
    fractions: NDArray[np.float32],
    organs: Sequence[int],
    spacing_mm: Sequence[float],
    *,
    voxel_averages: int = 0,
) -> float:
    """Return the width of the Gaussian that best turns uniform regions into the image around some organs.

    Every region's level is free; the width is what makes the sum of squares smallest.

    Parameters
    ----------
    activity_bq_per_ml : ndarray, shape (slices, rows, columns)
    fractions : ndarray, shape (region, slices, rows, columns)
        Of all regions and the rest of the body.
    organs : sequence of int
        Rows whose edges are looked at (contoured on another image than this one).
    spacing_mm : sequence of 3 floats
    voxel_averages : int
        As for ``grid_fwhm_mm`` of the module ``recovery``, so that the width compares with that of a site's curve.

    Returns
    -------
    float
        FWHM in mm.
    """
    box = _box_around(fractions[list(organs)].sum(axis=0), spacing_mm)
    parts = [row[box] for row in fractions if row[box].any()]
    image = np.asarray(activity_bq_per_ml[box], dtype=np.float64).ravel()

    def misfit(fwhm_mm: float) -> float:
        widths = grid_fwhm_mm(fwhm_mm, spacing_mm, voxel_averages)
        sigma = [width / FWHM_PER_SIGMA / step for width, step in zip(widths, spacing_mm, strict=True)]
        columns = np.stack([gaussian_blur(np.ascontiguousarray(part), sigma).ravel() for part in parts], axis=1)
        level = np.linalg.lstsq(columns.T @ columns, columns.T @ image, rcond=None)[0]
        return float(np.sum((columns @ level - image) ** 2, dtype=np.float64))

    found = minimize_scalar(misfit, bounds=SEARCH_MM, method="bounded", options={"xatol": ACCURACY_MM})
    return float(found.x)


def _box_around(inside: NDArray[np.float32], spacing_mm: Sequence[float]) -> Box:
    sides = []
    for axis, step in enumerate(spacing_mm):
        occupied = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = reach_voxels(MARGIN_MM / step / 4.5)
        sides.append(slice(max(int(occupied[0]) - margin, 0), int(occupied[-1]) + margin + 1))
    z, y, x = sides
    return (z, y, x)
