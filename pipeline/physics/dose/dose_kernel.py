"""Dose point kernels, and the voxel S values of any spacing made from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pipeline.domain.dose import DoseKernel
from pipeline.domain.geometry import frozen_array
from pipeline.errors import require
from pipeline.physics.dose.voxel_integration import octant_mev
from pipeline.units import GY_G_PER_MEV, MM3_PER_ML

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.nuclide import Radionuclide

    Floats = NDArray[np.float64]
    Triple = tuple[float, float, float]
    Steps = tuple[int, int, int]

MAX_SPACING_MM = 50.0
# Where electrons end and their bremsstrahlung begins: it takes 4e-6 (Lu-177) to 4e-5 (Y-90) of their energy per mm.
ELECTRON_END_PER_MM = 1e-3
# The last electrons of a beta spectrum end a little further: Lu-177 at 1.9 mm, Y-90 at 12 mm.
STEEP_BEYOND_RANGE = 1.3
# L X rays of 8 to 14 keV are absorbed within some millimetres of water.
PHOTONS_STEEP_TO_MM = 6.0
# Voxel S values are kept in multiples of this extent, so that the next patient finds the kernel of this one.
KEPT_EXTENT_STEP = 32


@dataclass(frozen=True, eq=False)
class PointKernel:
    """Energy deposited per decay around a point source in an unbounded medium.

    Attributes
    ----------
    edges_mm : ndarray, shape (n + 1,)
        Radii of the shells, from 0, increasing.
    electron_mev_per_shell, photon_mev_per_shell : ndarray, shape (n,)
        Electrons with their bremsstrahlung; gamma and X rays.
    density_g_per_cm3 : float
    nuclide, medium, source : str
    """

    edges_mm: Floats
    electron_mev_per_shell: Floats
    photon_mev_per_shell: Floats
    density_g_per_cm3: float
    nuclide: str
    medium: str
    source: str

    def __post_init__(self) -> None:
        edges, electrons, photons = (
            np.asarray(values, dtype=np.float64)
            for values in (self.edges_mm, self.electron_mev_per_shell, self.photon_mev_per_shell)
        )
        sound = (
            electrons.shape == photons.shape == (edges.size - 1,) and edges[0] == 0 and bool((np.diff(edges) > 0).all())
        )
        require(
            sound and bool((electrons >= 0).all() and (photons >= 0).all()) and self.density_g_per_cm3 > 0,
            "POINT_KERNEL_INVALID",
            found=f"{edges.size} edges, {electrons.size} and {photons.size} shells, density {self.density_g_per_cm3}",
            needed="increasing edges from 0, one energy >= 0 for each shell, a positive density",
            do="check the point kernel's file",
            where=f"{self.nuclide} in {self.medium}",
        )
        object.__setattr__(self, "edges_mm", frozen_array(edges))
        object.__setattr__(self, "electron_mev_per_shell", frozen_array(electrons))
        object.__setattr__(self, "photon_mev_per_shell", frozen_array(photons))

    @property
    def electron_mev(self) -> float:
        """Energy of all electrons per decay."""
        return float(self.electron_mev_per_shell.sum())

    @property
    def photon_mev(self) -> float:
        """Energy of all photons per decay."""
        return float(self.photon_mev_per_shell.sum())


class VoxelKernels(Protocol):
    """Where voxel S values come from: :func:`voxel_s_values`, or a caller's store of what it computed before."""

    def __call__(self, point_kernel: PointKernel, spacing_mm: Triple, extent: Steps) -> DoseKernel:
        """Return the voxel S values of one octant, of shape ``extent + 1``."""


def with_energies_of(point_kernel: PointKernel, nuclide: Radionuclide) -> PointKernel:
    """Return the kernel scaled to the mean energies of the decay data set in use (its shape is kept).

    Raises
    ------
    RefusalError
        ``NUCLIDE_MISMATCH`` where the kernel belongs to another nuclide.
    """
    require(
        point_kernel.nuclide == nuclide.name,
        "NUCLIDE_MISMATCH",
        found=f"a point kernel of {point_kernel.nuclide} for {nuclide.name}",
        needed="kernel and decay data of one nuclide",
        do="load the point kernel of the study's nuclide",
        where=nuclide.name,
    )
    photons = nuclide.photon_mev / point_kernel.photon_mev if point_kernel.photon_mev > 0 else 1.0
    return replace(
        point_kernel,
        electron_mev_per_shell=point_kernel.electron_mev_per_shell * (nuclide.electron_mev / point_kernel.electron_mev),
        photon_mev_per_shell=point_kernel.photon_mev_per_shell * photons,
    )


def electron_range_mm(point_kernel: PointKernel) -> float:
    """Return the radius that the electrons reach: beyond it, each mm takes less than a thousandth of their energy."""
    per_mm = point_kernel.electron_mev_per_shell / np.diff(point_kernel.edges_mm)
    reached = np.flatnonzero(per_mm > ELECTRON_END_PER_MM * point_kernel.electron_mev)
    return float(point_kernel.edges_mm[reached[-1] + 1]) if reached.size else 0.0


def with_bremsstrahlung_as_photons(point_kernel: PointKernel) -> PointKernel:
    """Return the kernel with what electrons deposit beyond their range (bremsstrahlung) moved to the photons.

    What is left as electrons is short, so that it may be scaled by the density of the absorbing voxel.
    """
    beyond = point_kernel.edges_mm[1:] > electron_range_mm(point_kernel)
    moved = np.where(beyond, point_kernel.electron_mev_per_shell, 0.0)
    return replace(
        point_kernel,
        electron_mev_per_shell=point_kernel.electron_mev_per_shell - moved,
        photon_mev_per_shell=point_kernel.photon_mev_per_shell + moved,
    )


def electron_reach(point_kernel: PointKernel, spacing_mm: Triple) -> Steps:
    """Return how many voxels the electrons reach along each axis."""
    z, y, x = (int(np.ceil(electron_range_mm(point_kernel) / side)) for side in spacing_mm)
    return (z, y, x)


def kept_extent(extent: Steps) -> Steps:
    """Return the extent that voxel S values are kept with: at least ``extent``, one less than a multiple of 32."""
    z, y, x = (KEPT_EXTENT_STEP * (steps // KEPT_EXTENT_STEP + 1) - 1 for steps in extent)
    return (z, y, x)


def voxel_s_values(point_kernel: PointKernel, spacing_mm: Triple, extent: Steps) -> DoseKernel:
    """Return the voxel S values of one octant.

    Parameters
    ----------
    point_kernel : PointKernel
    spacing_mm : tuple of float
        Voxel sides along (slice, row, column).
    extent : tuple of int
        Largest number of steps along each axis; the octant has shape ``extent + 1``.

    Returns
    -------
    DoseKernel
        Gy per decay in the medium of the point kernel, at its density.

    Raises
    ------
    RefusalError
        ``KERNEL_SIZE_INVALID``.

    Notes
    -----
    Voxel S values as in Bolch et al., MIRD Pamphlet 17, J Nucl Med 40:11S, 1999.
    """
    require(
        all(0 < side <= MAX_SPACING_MM for side in spacing_mm) and all(steps >= 0 for steps in extent),
        "KERNEL_SIZE_INVALID",
        found=f"voxel sides {spacing_mm} mm, extent {extent}",
        needed=f"three sides above 0 and up to {MAX_SPACING_MM:g} mm, three extents from 0 steps",
        do="give the voxel as slice, row, column in mm",
        where="kernel",
    )
    sides = np.asarray(spacing_mm, dtype=np.float64)
    mass_g = float(np.prod(sides)) / MM3_PER_ML * point_kernel.density_g_per_cm3
    gy_per_mev, edges_mm = GY_G_PER_MEV / mass_g, point_kernel.edges_mm
    steep_mm = STEEP_BEYOND_RANGE * electron_range_mm(point_kernel)
    electrons = octant_mev(edges_mm, point_kernel.electron_mev_per_shell, sides, extent, steep_mm) * gy_per_mev
    photons = octant_mev(edges_mm, point_kernel.photon_mev_per_shell, sides, extent, PHOTONS_STEEP_TO_MM) * gy_per_mev
    return kernel_about(point_kernel, spacing_mm, electrons, photons)


def kernel_about(
    point_kernel: PointKernel,
    spacing_mm: tuple[float, float, float],
    electron_gy_per_bq_s: NDArray[np.float64],
    photon_gy_per_bq_s: NDArray[np.float64],
) -> DoseKernel:
    """Return voxel S values together with what they were made from.

    Parameters
    ----------
    point_kernel : PointKernel
    spacing_mm : tuple of float
    electron_gy_per_bq_s, photon_gy_per_bq_s : ndarray

    Returns
    -------
    DoseKernel
    """
    return DoseKernel(
        nuclide=point_kernel.nuclide,
        medium=point_kernel.medium,
        density_g_per_cm3=point_kernel.density_g_per_cm3,
        spacing_mm=spacing_mm,
        electron_gy_per_bq_s=electron_gy_per_bq_s,
        photon_gy_per_bq_s=photon_gy_per_bq_s,
        source=point_kernel.source,
    )
