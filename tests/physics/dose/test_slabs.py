"""The engine's known errors in a phantom of water, lung and bone, against EGSnrc.

Each number is engine / EGSnrc of the total dose. A test fails when an error grows or shrinks by more than 2 %, so the
errors stated to users stay true. The phantom stands in vacuum and the kernel knows only water without end: layers at
the surface get up to 75 % too much of their (small) photon dose; in a body this concerns the outer centimetres only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.physics.dose import absorbed_dose

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernels.backend import Backend
    from pipeline.domain.geometry import Grid
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.dose_kernel import PointKernel

LAYERS = {
    "water_0_19": (0, 20, 1.0),
    "lung_20_31": (20, 32, 0.3),
    "water_32_39": (32, 40, 1.0),
    "bone_40_47": (40, 48, 1.5),
    "water_48_59": (48, 60, 1.0),
}
RATIOS = {
    # Source in water beside lung, as a kidney or the liver's dome: right to 0.1 %, neighbours by photons and leakage.
    "w_lung": {"self": 1.000, "lung_20_31": 1.039, "water_32_39": 0.965, "bone_40_47": 0.688},
    # Source in lung: self 4.5 % high; the lung around it less than half, since electrons reach 3.3 times further there.
    "lung": {"self": 1.045, "lung_20_31": 0.440, "water_32_39": 1.098},
    # Source in water beside bone: right; bone 17 % low (more photoelectric absorption than water).
    "w_bone": {"self": 1.000, "water_0_19": 1.044, "water_32_39": 1.079, "bone_40_47": 0.829},
    # Source in bone: 1 % low.
    "bone": {"self": 0.990, "bone_40_47": 0.928},
}
ENERGY = {"w_lung": 1.007, "lung": 1.005, "w_bone": 1.003, "bone": 1.001}


@pytest.mark.parametrize("source", list(RATIOS))
def test_known_errors_beside_lung_and_bone(
    source: str,
    egsnrc_slabs: dict[str, Any],
    grid_of: Callable[..., Grid],
    lutetium: Radionuclide,
    water: PointKernel,
    host: Backend,
) -> None:
    grid = grid_of((60, 40, 40), (4.8, 4.8, 4.8))
    density = np.ones(grid.shape)
    for begin, end, rho in LAYERS.values():
        density[begin:end] = rho
    block = np.zeros(grid.shape, bool)
    block[tuple(slice(*pair) for pair in egsnrc_slabs[source]["box"])] = True
    tia = block / (block.sum() * grid.voxel_volume_ml)
    result = absorbed_dose(TiaMap(grid, tia), DensityMap(grid, density), lutetium, water, host)
    assert result.total_energy_j / egsnrc_slabs[source]["total_energy_j"] == pytest.approx(ENERGY[source], abs=2e-3)
    for name, expected in RATIOS[source].items():
        where = block.copy()
        if name != "self":
            where[:] = False
            where[slice(*LAYERS[name][:2])] = True
            where &= ~block
        mean = np.average(result.dose.dose_gy[where], weights=density[where])
        tolerance = 2e-3 if name == "self" else 0.02
        assert mean / sum(egsnrc_slabs[source][name]) == pytest.approx(expected, abs=tolerance), name
