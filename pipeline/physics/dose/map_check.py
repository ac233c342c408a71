"""The second check of a dose map alone: no organ is named, so energy and spheres are what can be held against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.dose import SecondCheck
from pipeline.physics.dose.second_check import second_check
from pipeline.units import G_PER_KG

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.maps import DensityMap, DoseMap, TiaMap
    from pipeline.domain.nuclide import Radionuclide

# Electrons of 177Lu lose below 0.1 % at the surface of a torso and up to 2 % at that of a phantom of 5 cm filled to its
# border. Those of 90Y reach 11 mm: what they lose depends on the phantom, and is shown only.
BODY_TOLERANCE = 0.02
SHORT_ELECTRONS_MEV = 0.3


def body_check(
    electron_energy_j: float, electron_emitted_j: float, mass_g: float, nuclide: Radionuclide
) -> SecondCheck:
    """Return the mean electron dose of the whole body against the energy that its decays emit as electrons.

    Parameters
    ----------
    electron_energy_j : float
        Left in the body by the electrons of the dose map.
    electron_emitted_j : float
        Decays in the body times the mean energy of their electrons: no dose kernel's shape enters.
    mass_g : float
        Of the body.
    nuclide : Radionuclide
    """
    difference = electron_energy_j / electron_emitted_j - 1.0 if electron_emitted_j > 0 else 0.0
    judged = electron_emitted_j > 0 and nuclide.electron_mev < SHORT_ELECTRONS_MEV
    return SecondCheck(
        region="body",
        method="mean dose from electrons: emitted energy over the body's mass, without any kernel",
        mean_dose_gy=electron_emitted_j / (mass_g / G_PER_KG),
        difference=difference,
        tolerance=BODY_TOLERANCE if judged else None,
        passed=not judged or abs(difference) <= BODY_TOLERANCE,
        engine_gy=electron_energy_j / (mass_g / G_PER_KG),
    )


def label_checks(
    dose: DoseMap,
    tia: TiaMap,
    density: DensityMap,
    labels: NDArray[np.integer],
    nuclide: Radionuclide,
) -> list[SecondCheck]:
    """Return each label's mean dose against a sphere of its mass with its decays, for information.

    Nobody knows what a label is, which shape it has, and what its neighbours give: there is no tolerance.

    Parameters
    ----------
    dose, tia, density : DoseMap, TiaMap, DensityMap
        On one grid.
    labels : ndarray of int
        On that grid; 0 is no label.
    nuclide : Radionuclide
    """
    volume_ml = tia.grid.voxel_volume_ml
    flat = labels.ravel()
    voxel_g = np.asarray(density.density_g_per_cm3, dtype=np.float64).ravel() * volume_ml
    mass_g = np.bincount(flat, voxel_g)
    energy = np.bincount(flat, voxel_g * np.asarray(dose.dose_gy, dtype=np.float64).ravel())
    decays = np.bincount(flat, np.asarray(tia.tia_bq_s_per_ml, dtype=np.float64).ravel()) * volume_ml
    return [
        second_check(
            str(label), "lesion", float(decays[label]), float(mass_g[label]), nuclide, energy[label] / mass_g[label], {}
        )
        for label in np.flatnonzero(np.bincount(flat))
        if label > 0
    ]
