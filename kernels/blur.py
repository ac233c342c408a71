"""Separable Gaussian blur on a voxel grid, as three matrix products."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from kernels.backend import Array, device_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Beyond 4.5 sigma lies 7e-6 of a Gaussian.
REACH_SIGMA = 4.5


def reach_voxels(sigma_voxels: float) -> int:
    """Return how many voxels the blur reaches to each side."""
    return math.ceil(REACH_SIGMA * sigma_voxels) if sigma_voxels > 0 else 0


def blur_matrix(size: int, sigma_voxels: float) -> NDArray[np.float64]:
    """Return the matrix that blurs a line of ``size`` voxels, mirrored at both ends.

    The mirror keeps the total and the symmetry: what would leave the line is taken as coming back from an equal
    neighbour, as where the body goes on beyond the field of view.

    Parameters
    ----------
    size : int
    sigma_voxels : float
        Standard deviation in voxels; 0 gives the unit matrix.

    Returns
    -------
    ndarray, shape (size, size)
        Symmetric, rows and columns sum to 1.
    """
    reach = reach_voxels(sigma_voxels)
    steps = np.arange(-reach, reach + 1)
    taps = np.exp(-0.5 * (steps / sigma_voxels) ** 2) if reach else np.ones(1)
    taps /= taps.sum()
    folded = np.mod(np.arange(size)[:, None] + steps[None, :], 2 * size)
    source = np.where(folded < size, folded, 2 * size - 1 - folded)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.broadcast_to(np.arange(size)[:, None], source.shape), source), taps[None, :])
    return matrix


def gaussian_blur(volume: Array, sigma_voxels: Sequence[float]) -> Array:
    """Return ``volume`` blurred by a Gaussian, mirrored at its borders.

    The Gaussian is sampled at voxel centres and normalised, which equals the continuous one to 1e-4 where sigma is
    0.7 voxel or more.

    Parameters
    ----------
    volume : array, shape (slices, rows, columns)
        On any backend, real floating type.
    sigma_voxels : sequence of 3 floats
        Standard deviation along each axis in voxels.

    Returns
    -------
    array
        Shape, type and device of ``volume``.
    """
    xp = namespace_of(volume)
    lines = [
        xp.asarray(blur_matrix(size, sigma), dtype=volume.dtype, device=device_of(volume))
        for size, sigma in zip(volume.shape, sigma_voxels, strict=True)
    ]
    along_columns = xp.matmul(volume, lines[2].T)
    along_rows = xp.matmul(lines[1], along_columns)
    slices, rows, columns = volume.shape
    return xp.reshape(xp.matmul(lines[0], xp.reshape(along_rows, (slices, rows * columns))), (slices, rows, columns))
