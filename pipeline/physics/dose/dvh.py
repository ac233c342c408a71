"""Cumulative dose-volume histogram of a region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kernels.histogram import dose_volume_histogram

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def cumulative_dvh(
    dose_gy: NDArray[np.floating], fraction: NDArray[np.floating], points: int = 101
) -> tuple[Floats, Floats]:
    """Return dose levels (Gy) and the part of the region's volume (0 to 1) that receives at least each.

    Parameters
    ----------
    dose_gy : ndarray
    fraction : ndarray, same shape
        Part of each voxel inside the region.
    points : int
        Number of dose levels from 0 to the maximum in the region.
    """
    inside = np.asarray(fraction) > 0
    values = np.asarray(dose_gy)[inside].astype(np.float64)
    weights = np.asarray(fraction)[inside].astype(np.float64)
    levels = np.linspace(0.0, float(values.max()), points)
    return levels, np.asarray(dose_volume_histogram(values, weights, levels))
