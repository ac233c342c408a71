"""Energies of the voxels around a uniform voxel source, by exact integration of a dose point kernel over both voxels.

A source uniform in one voxel and a deposit displaced by p belong to the voxel k steps away with probability
prod_a max(0, 1 - |p_a / d_a - k_a|). The kernel is split by a smooth window into a near part (integrated over shells
and directions, so that the electrons' millimetre is resolved and energy is conserved) and a far part (smooth, so that
a few points for each voxel are exact).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter1d

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Steps = tuple[int, int, int]

# The near part fades out between two and four of the largest voxel sides, or later where the shells are steep
# for longer (electrons in small voxels), from sixteen at the latest.
NEAR_BEGINS, NEAR_BEGINS_AT_MOST, NEAR_FADES_OVER = 2.0, 16.0, 2.0
# Near part: distance between quadrature points in units of the smallest voxel side; beyond four of the largest sides it
# grows with the radius.
NEAR_STEP = 0.1
# Near the source, where electrons fall by half within a tenth of a millimetre, shells are half as thick; directions are
# never coarser than those of a shell of four voxels' radius.
THIN_SHELLS_TO, MIN_ROWS = 4.0, 64
# Far part: voxels nearer than this (in largest sides) are integrated cell by cell with Gauss points.
CELL_REACH = 8
GAUSS_POINTS = 4
# Far part: step of the radial table. The shells' noise is smoothed: by local cubics where electrons may still fall
# steeply (9 points are 2 mm, a fifth of Y-90's range), by a Gaussian beyond, where only photons are left.
TABLE_STEP_MM = 0.25
CUBIC_WEIGHTS = np.array([-21, 14, 39, 54, 59, 54, 39, 14, -21]) / 231  # Savitzky and Golay, Anal Chem 36:1627, 1964
PHOTONS_ONLY_FROM_MM = 30.0
SMOOTHING_MM = 1.0


@dataclass(frozen=True)
class _Window:
    """Share of the near part at a radius: 1 up to ``begin_mm``, 0 from ``end_mm`` on, the fifth-order step between."""

    begin_mm: float
    end_mm: float

    @classmethod
    def of(cls, sides: Floats, steep_mm: float) -> _Window:
        longest = float(sides.max())
        begin = max(NEAR_BEGINS * longest, min(steep_mm, NEAR_BEGINS_AT_MOST * longest))
        return cls(begin, begin + NEAR_FADES_OVER * longest)

    def at(self, radius_mm: Floats) -> Floats:
        t = np.clip((radius_mm - self.begin_mm) / (self.end_mm - self.begin_mm), 0.0, 1.0)
        return np.asarray(1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2))


def octant_mev(edges_mm: Floats, mev_per_shell: Floats, sides: Floats, extent: Steps, steep_mm: float = 0.0) -> Floats:
    """Return the energy in each voxel of one octant.

    Parameters
    ----------
    edges_mm : ndarray, shape (n + 1,)
        Radii of the point kernel's shells.
    mev_per_shell : ndarray, shape (n,)
        Energy per decay in each shell.
    sides : ndarray, shape (3,)
        Voxel sides in mm.
    extent : tuple of int
        Largest step along each axis.
    steep_mm : float
        Radius up to which the shells fall steeply: the range of the electrons.

    Returns
    -------
    ndarray, shape ``extent + 1``
        MeV per decay.
    """
    energies = np.zeros([steps + 1 for steps in extent])
    if mev_per_shell.sum() > 0:
        window = _Window.of(sides, steep_mm)
        energies += _near_mev(edges_mm, mev_per_shell, sides, extent, window)
        energies += _far_mev(edges_mm, mev_per_shell, sides, extent, window)
    return energies


# --- near part -------------------------------------------------------------------------------------------------------


def _near_mev(edges_mm: Floats, mev_per_shell: Floats, sides: Floats, extent: Steps, window: _Window) -> Floats:
    """Integrate the windowed shells over radius and direction; shape ``extent + 1``."""
    shortest = float(sides.min())
    middle = 0.5 * (edges_mm[:-1] + edges_mm[1:])
    windowed = mev_per_shell * window.at(middle)
    inner = edges_mm[1:] <= shortest
    reach = int(np.ceil(window.end_mm / shortest)) + 2
    box = np.zeros((reach, reach, reach))
    box[:2, :2, :2] = _first_cell_mev(edges_mm, np.where(inner, windowed, 0.0), sides)
    _add_shells(box, *_merged_shells(edges_mm, np.where(inner, 0.0, windowed), shortest), sides)
    return _fitted(_shared_by_mirrors(box), extent)


def _fitted(box: Floats, extent: Steps) -> Floats:
    out = np.zeros([steps + 1 for steps in extent])
    common = tuple(slice(0, min(have, want)) for have, want in zip(box.shape, out.shape, strict=True))
    out[common] = box[common]
    return out


def _shared_by_mirrors(box: Floats) -> Floats:
    # The octant's energy off a mirror plane belongs to two voxels, one on each side.
    for axis in range(box.ndim):
        index = [slice(None)] * box.ndim
        index[axis] = slice(1, None)
        box[tuple(index)] *= 0.5
    return box


def _first_cell_mev(edges_mm: Floats, mev_per_shell: Floats, sides: Floats) -> Floats:
    """Energies of the 2x2x2 corners for shells no larger than a voxel, exactly: the weights are polynomials there."""
    low, high = edges_mm[:-1], edges_mm[1:]
    width = high - low
    first = float(np.sum(mev_per_shell * (high**2 - low**2) / (2 * width)))
    second = float(np.sum(mev_per_shell * (high**3 - low**3) / (3 * width)))
    third = float(np.sum(mev_per_shell * (high**4 - low**4) / (4 * width)))
    # Means of the direction cosines' products over an octant: 1/2, 2/(3 pi), 1/(4 pi).
    product = np.empty((2, 2, 2))
    product[0, 0, 0] = float(mev_per_shell.sum())
    for axis in range(3):
        one, two = np.zeros(3, int), np.ones(3, int)
        one[axis], two[axis] = 1, 0
        product[tuple(one)] = first / 2 / sides[axis]
        product[tuple(two)] = second * 2 / (3 * np.pi) / np.prod(np.delete(sides, axis))
    product[1, 1, 1] = third / (4 * np.pi) / np.prod(sides)
    # From mean products of u to mean products of (1 - u) and u.
    for axis in range(3):
        near, far = np.take(product, 0, axis), np.take(product, 1, axis)
        product = np.stack([near - far, far], axis)
    return product


def _merged_shells(edges_mm: Floats, mev_per_shell: Floats, shortest_mm: float) -> tuple[Floats, Floats]:
    """Return (radii, energies) of merged shells; radii are the energy's mean."""
    middle = 0.5 * (edges_mm[:-1] + edges_mm[1:])
    thick = NEAR_STEP * shortest_mm
    thin_to = THIN_SHELLS_TO * shortest_mm
    group = np.where(middle < thin_to, middle / (0.5 * thick), (middle + thin_to) / thick).astype(int)
    energy = np.bincount(group, mev_per_shell)
    moment = np.bincount(group, mev_per_shell * middle)
    used = energy > 0
    return np.asarray(moment[used] / energy[used]), np.asarray(energy[used], dtype=np.float64)


def _directions(rows: int) -> tuple[Floats, Floats]:
    """Return unit vectors over one octant, shape (3, n), and weights of sum 1; symmetric under exchange of the axes."""
    edges = np.linspace(0.0, np.pi / 2, rows + 1)
    polar = 0.5 * (edges[:-1] + edges[1:])
    counts = np.maximum(2, np.rint(rows * np.sin(polar))).astype(int)
    band = np.repeat((np.cos(edges[:-1]) - np.cos(edges[1:])) / counts, counts)
    turns = np.concatenate([(np.arange(count) + 0.5) / count for count in counts]) * (np.pi / 2)
    angle = np.repeat(polar, counts)
    vectors = np.stack([np.cos(angle), np.sin(angle) * np.sin(turns), np.sin(angle) * np.cos(turns)])
    return np.concatenate([np.roll(vectors, turn, axis=0) for turn in range(3)], axis=1), np.tile(band / 3.0, 3)


def _add_shells(box: Floats, radii_mm: Floats, energies: Floats, sides: Floats) -> None:
    """Add shells' energies to the corners of the cells that their points fall in (trilinear weights)."""
    step = NEAR_STEP * float(sides.min())
    finest_mm = (NEAR_BEGINS + NEAR_FADES_OVER) * float(sides.max())
    for radius, energy in zip(radii_mm, energies, strict=True):
        vectors, share = _directions(max(MIN_ROWS, int(np.pi / 2 * min(radius, finest_mm) / step)))
        points = vectors * (radius / sides[:, None])
        cell = points.astype(int)
        part = points - cell
        for corner in np.ndindex(2, 2, 2):
            parts = [part[a] if corner[a] else 1.0 - part[a] for a in range(3)]
            flat = np.ravel_multi_index(tuple(cell[a] + corner[a] for a in range(3)), box.shape)
            weight = energy * share * parts[0] * parts[1] * parts[2]
            box += np.bincount(flat, weight, box.size).reshape(box.shape)


# --- far part --------------------------------------------------------------------------------------------------------


def _far_mev(edges_mm: Floats, mev_per_shell: Floats, sides: Floats, extent: Steps, window: _Window) -> Floats:
    """Integrate the smooth far part: Gauss points in nearer cells, a moment-matched rule beyond; ``extent + 1``."""
    radial = _RadialTable.of(edges_mm, mev_per_shell, window)
    if not radial.mev_per_mm3.any():
        return np.zeros([steps + 1 for steps in extent])
    energies = _by_moments(radial, sides, extent)
    reach = np.ceil(CELL_REACH * sides.max() / sides).astype(int)
    cells = np.minimum(reach, np.asarray(extent) + 1)
    near = _by_cells(radial, sides, (int(cells[0]), int(cells[1]), int(cells[2])))
    energies[: cells[0], : cells[1], : cells[2]] = near
    return energies


def _smoothed(radius_mm: Floats, per_mm: Floats) -> Floats:
    near = correlate1d(per_mm, CUBIC_WEIGHTS, mode="nearest")
    wide = gaussian_filter1d(per_mm, SMOOTHING_MM / TABLE_STEP_MM, mode="nearest")
    return np.asarray(np.where(radius_mm < PHOTONS_ONLY_FROM_MM, np.maximum(near, 0.0), wide))


@dataclass(frozen=True, eq=False)
class _RadialTable:
    """Energy per mm3 of the far part over the squared radius, on equal steps of the radius."""

    mev_per_mm3: Floats

    @classmethod
    def of(cls, edges_mm: Floats, mev_per_shell: Floats, window: _Window) -> _RadialTable:
        radius = np.arange(0.0, edges_mm[-1] + 2 * TABLE_STEP_MM, TABLE_STEP_MM)
        cumulated = np.interp(radius, edges_mm, np.concatenate([[0.0], np.cumsum(mev_per_shell)]))
        per_mm = np.gradient(cumulated, TABLE_STEP_MM)
        far = radius >= window.begin_mm
        # Only the far side is smoothed, so that the peak of the electrons does not leak into it.
        per_mm[far] = _smoothed(radius[far], per_mm[far])
        values = np.zeros_like(radius)
        values[far] = per_mm[far] * (1.0 - window.at(radius[far])) / (4 * np.pi * radius[far] ** 2)
        return cls(values)

    def at(self, squared_mm2: Floats) -> Floats:
        """Return the value at radii given by their squares."""
        position = np.sqrt(squared_mm2) / TABLE_STEP_MM
        return np.interp(position, np.arange(self.mev_per_mm3.size), self.mev_per_mm3, right=0.0)


def _by_moments(radial: _RadialTable, sides: Floats, extent: Steps) -> Floats:
    # Two points at +-d/sqrt(6) have the triangle's first three moments.
    axes = [
        np.abs(np.arange(steps + 1)[:, None] + np.array([-1.0, 1.0]) / np.sqrt(6.0)) * side
        for steps, side in zip(extent, sides, strict=True)
    ]
    total = np.zeros([steps + 1 for steps in extent])
    for i, j, k in np.ndindex(2, 2, 2):
        plane = axes[1][:, j, None] ** 2 + axes[2][None, :, k] ** 2
        for z, offset in enumerate(axes[0][:, i]):
            total[z] += radial.at(offset**2 + plane)
    return total * (float(np.prod(sides)) / 8.0)


def _by_cells(radial: _RadialTable, sides: Floats, shape: Steps) -> Floats:
    """Integrate cell by cell with Gauss points and trilinear weights."""
    nodes, weights = np.polynomial.legendre.leggauss(GAUSS_POINTS)
    nodes, weights = (nodes + 1.0) / 2.0, weights / 2.0
    squares = [((np.arange(n)[:, None] + nodes) * side) ** 2 for n, side in zip(shape, sides, strict=True)]
    grid = squares[0][:, :, None, None, None, None] + squares[1][:, :, None, None] + squares[2]
    values = radial.at(grid)
    hat = np.stack([weights * (1.0 - nodes), weights * nodes])
    corners = np.einsum("apbqcr,ip,jq,kr->iajbkc", values, hat, hat, hat) * float(np.prod(sides))
    box = np.zeros([n + 1 for n in shape])
    for i, j, k in np.ndindex(2, 2, 2):
        box[i : i + shape[0], j : j + shape[1], k : k + shape[2]] += corners[i, :, j, :, k, :]
    return _mirrored_ends(box)[: shape[0], : shape[1], : shape[2]]


def _mirrored_ends(box: Floats) -> Floats:
    # Index 0 has its second half on the other side of the mirror plane.
    for axis in range(box.ndim):
        index: list[int | slice] = [slice(None)] * box.ndim
        index[axis] = 0
        box[tuple(index)] *= 2.0
    return box
