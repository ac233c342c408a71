"""What the tests of the dose engine share: nuclide, point kernel, backend, grids and golden data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kernels.backend import choose_backend
from pipeline.domain.geometry import Grid
from pipeline.files.commissioning_data import load_golden_arrays
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kernels.backend import Backend
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.dose.dose_kernel import PointKernel


@pytest.fixture
def lutetium() -> Radionuclide:
    """Lu-177 with the energies of ICRP Publication 107."""
    return load_nuclide("Lu-177")


@pytest.fixture
def water() -> PointKernel:
    """Point kernel of Lu-177 in water."""
    return load_point_kernel("Lu-177")


@pytest.fixture
def host() -> Backend:
    """NumPy."""
    return choose_backend("cpu")


@pytest.fixture
def grid_of() -> Callable[..., Grid]:
    """Make a grid from a shape and the spacing along (slice, row, column)."""

    def make(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Grid:
        return Grid(shape, np.diag([*spacing_mm, 1.0]), "1.2.3")

    return make


@pytest.fixture(scope="session")
def egsnrc_voxels() -> dict[str, NDArray[np.float64]]:
    """Voxel S values of EGSnrc in Gy per decay, by array name."""
    arrays = load_golden_arrays()["lu177_vsv_water_egsnrc_11cubed"]
    return {name: values * 1e-9 for name, values in arrays.items()}
