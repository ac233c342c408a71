"""Self S values of spheres from a dose point kernel: the reference that voxel doses are checked against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.dose import SphereModel
from pipeline.errors import require
from pipeline.physics.dose.dose_kernel import with_energies_of
from pipeline.units import GY_G_PER_MEV, MM_PER_CM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.dose.dose_kernel import PointKernel

MASS_RANGE_G = (1e-3, 1e4)


@dataclass(frozen=True)
class SphereValue:
    """Self S value of one sphere and the absorbed fractions behind it.

    ``electron_fraction`` and ``photon_fraction`` are energies absorbed in the sphere over energies emitted.
    """

    mass_g: float
    s_gy_per_bq_s: float
    electron_fraction: float
    photon_fraction: float


def sphere_radius_mm(mass_g: float, density_g_per_cm3: float) -> float:
    """Return the radius of a sphere of this mass and density."""
    return float((3.0 * mass_g / density_g_per_cm3 / (4.0 * np.pi)) ** (1.0 / 3.0) * MM_PER_CM)


def _mean_inside(edges_mm: NDArray[np.float64], radius_mm: float) -> NDArray[np.float64]:
    """Return, for each shell, the part of displacements r that end inside: 1 - 3r/(4R) + r^3/(16R^3), r < 2R."""
    edge = np.minimum(edges_mm, 2.0 * radius_mm)
    integral = edge - 3.0 * edge**2 / (8.0 * radius_mm) + edge**4 / (64.0 * radius_mm**3)
    return np.diff(integral) / np.diff(edges_mm)


def sphere_s_value(point_kernel: PointKernel, nuclide: Radionuclide, mass_g: float) -> SphereValue:
    """Return the self S value of a uniform sphere inside an unbounded medium.

    Parameters
    ----------
    point_kernel : PointKernel
        Of the same nuclide; its density turns the mass into a radius.
    nuclide : Radionuclide
    mass_g : float

    Returns
    -------
    SphereValue
        In Gy per decay.

    Raises
    ------
    RefusalError
        ``MASS_INVALID``, ``NUCLIDE_MISMATCH``.

    Notes
    -----
    The fraction inside is the overlap of the sphere with itself displaced (geometric reduction factor of Berger,
    MIRD Pamphlet 7, 1971).
    """
    lowest, highest = MASS_RANGE_G
    require(
        lowest <= mass_g <= highest,
        "MASS_INVALID",
        found=f"mass {mass_g} g",
        needed=f"a mass from {lowest:g} to {highest:g} g",
        do="give the mass in g",
        where="mass_g",
    )
    kernel = with_energies_of(point_kernel, nuclide)
    inside = _mean_inside(kernel.edges_mm, sphere_radius_mm(mass_g, kernel.density_g_per_cm3))
    electrons = float(kernel.electron_mev_per_shell @ inside)
    photons = float(kernel.photon_mev_per_shell @ inside)
    return SphereValue(
        mass_g=mass_g,
        s_gy_per_bq_s=(electrons + photons) * GY_G_PER_MEV / mass_g,
        electron_fraction=electrons / nuclide.electron_mev if nuclide.electron_mev > 0 else 0.0,
        photon_fraction=photons / nuclide.photon_mev if nuclide.photon_mev > 0 else 0.0,
    )


def sphere_model(
    point_kernel: PointKernel, nuclide: Radionuclide, *, tia_bq_s: float, mass_g: float, mean_dose_gy: float
) -> SphereModel | None:
    """Return a lesion's dose as a sphere of its mass: S of the sphere times its TIA; None where that says nothing.

    Parameters
    ----------
    point_kernel, nuclide
        As for :func:`sphere_s_value`.
    tia_bq_s, mass_g : float
        Of the lesion, as in the engine's dose.
    mean_dose_gy : float
        The engine's, with the dose from all other sources, which the sphere has not.

    Returns
    -------
    SphereModel or None
        None without decays, or for a mass outside ``MASS_RANGE_G``.

    Notes
    -----
    A sphere has the least surface, so that without other sources the lesion lies below it: an ellipsoid of axes 1:1:2
    has 1.08 times its surface, which at 1 g loses 3.0 % of the electrons' energy, and so 0.2 % less dose. Where the
    lesion lies above the sphere, other sources add.
    """
    if tia_bq_s <= 0.0 or not MASS_RANGE_G[0] <= mass_g <= MASS_RANGE_G[1]:
        return None
    value = sphere_s_value(point_kernel, nuclide, mass_g).s_gy_per_bq_s
    return SphereModel(value, value * tia_bq_s, mean_dose_gy / (value * tia_bq_s) - 1.0)
