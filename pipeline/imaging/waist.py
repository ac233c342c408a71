"""Two organs in one piece: cut where the piece is narrow, where CT shows fat and where the uptake steps.

Normalised cut (Shi and Malik, IEEE Trans Pattern Anal Mach Intell 2000;22:888): of all cuts along the second
eigenvector of the piece's graph the one with the least border for the smaller part is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh, splu

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

# A dip in CT number and a step in uptake (part of the piece's own level) at which a border is as good as cut.
DIP_HU = 40.0
STEP = 0.3
# Smaller than any organ that is looked for.
LEAST_ML = 20.0
# Area of a sphere's largest section over its volume to the power of two thirds.
SECTION = float(np.pi * (3.0 / (4.0 * np.pi)) ** (2.0 / 3.0))
LOOSEST_LINK = 1e-3
SHIFT = 1e-4


@dataclass(frozen=True, eq=False)
class Cut:
    """Which voxels lie on one side, and how wide the waist is.

    Attributes
    ----------
    first : ndarray of bool, shape (voxels,)
    waist : float
        Border between both parts, weighted by how little CT and SPECT show it, over the largest section of a sphere of
        the smaller part's volume: about 1 where a convex organ is cut in its middle.
    """

    first: NDArray[np.bool_]
    waist: float


def at_waist(
    where: NDArray[np.intp],
    hu: NDArray[np.floating],
    uptake: NDArray[np.floating],
    spacing_mm: Sequence[float],
) -> Cut | None:
    """Cut a connected piece of tissue in two.

    Parameters
    ----------
    where : ndarray of int, shape (voxels, 3)
        Indices of the piece's voxels.
    hu, uptake : ndarray, shape (voxels,)
        CT number in HU and smoothed uptake in Bq/mL of each voxel.
    spacing_mm : sequence of 3 floats

    Returns
    -------
    Cut or None
        None where no cut leaves 20 mL on both sides.
    """
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    least = int(np.ceil(LEAST_ML / voxel_ml))
    if len(where) < 2 * least + 1:
        return None
    a, b, weight = _links(where, hu, uptake, spacing_mm)
    links = sparse.coo_matrix((weight, (a, b)), shape=(len(where),) * 2).tocsr()
    links = links + links.T
    order = np.argsort(_second_eigenvector(links), kind="stable")
    border_mm2 = _borders(order, a, b, weight)
    sizes = np.arange(1, len(order))
    smaller = np.minimum(sizes, len(order) - sizes)
    ratio = np.where(smaller >= least, border_mm2 / smaller, np.inf)
    best = int(ratio.argmin())
    first = np.zeros(len(order), dtype=bool)
    first[order[: best + 1]] = True
    section_mm2 = SECTION * (float(smaller[best]) * voxel_ml * 1000.0) ** (2.0 / 3.0)
    return Cut(first, float(border_mm2[best]) / section_mm2)


def _links(
    where: NDArray[np.intp], hu: NDArray[np.floating], uptake: NDArray[np.floating], spacing_mm: Sequence[float]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return the pairs of touching voxels and the area (mm2) that joins them, less where CT or SPECT show a border."""
    dip = np.clip(np.median(hu) - hu, 0.0, None) / DIP_HU
    level = uptake / np.median(uptake) / STEP
    pairs = list(_touching(where))
    a, b = np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])
    area = np.repeat([float(np.prod(spacing_mm)) / s for s in spacing_mm], [len(pair[0]) for pair in pairs])
    shown = np.maximum(dip[a], dip[b]) ** 2 + (level[a] - level[b]) ** 2
    return a, b, area * np.maximum(np.exp(-0.5 * shown), LOOSEST_LINK)


def _touching(where: NDArray[np.intp]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield, along each axis, the numbers of the voxels that share a face."""
    low = where.min(axis=0)
    number = np.full(where.max(axis=0) - low + 1, -1, dtype=np.intp)
    number[tuple((where - low).T)] = np.arange(len(where))
    for axis in range(3):
        before = number.take(range(number.shape[axis] - 1), axis=axis)
        after = number.take(range(1, number.shape[axis]), axis=axis)
        both = (before >= 0) & (after >= 0)
        yield before[both], after[both]


def _second_eigenvector(links: sparse.csr_matrix) -> NDArray[np.float64]:
    """Return the relaxed cut: the eigenvector of the second-smallest eigenvalue of the normalised Laplacian."""
    degree = np.asarray(links.sum(axis=1)).ravel()
    root = 1.0 / np.sqrt(np.maximum(degree, LOOSEST_LINK))
    scale = sparse.diags(root)
    laplacian = (sparse.identity(len(root)) - scale @ links @ scale).tocsc()
    # Shifted and inverted by a factorisation that knows the matrix to be symmetric (a fraction of the fill-in).
    solved = splu(
        laplacian + SHIFT * sparse.identity(len(root), format="csc"),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    inverse = LinearOperator(laplacian.shape, matvec=solved.solve, dtype=np.float64)
    start = np.linspace(-1.0, 1.0, len(root))
    _, vectors = eigsh(laplacian, k=2, sigma=-SHIFT, which="LM", v0=start, tol=1e-3, OPinv=inverse)
    return np.asarray(vectors[:, 1] * root)


def _borders(
    order: NDArray[np.intp], a: NDArray[np.intp], b: NDArray[np.intp], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weighted area between the first k voxels of ``order`` and the others, for k = 1 to all but one."""
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    low, high = np.minimum(rank[a], rank[b]), np.maximum(rank[a], rank[b])
    change = np.bincount(low, weight, len(order)) - np.bincount(high, weight, len(order))
    return np.asarray(np.cumsum(change)[:-1])
