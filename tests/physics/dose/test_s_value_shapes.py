"""Self S values of organs of many shapes against the published ones: what the second check has to allow for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.physics.dose.region_dose import model_region_doses
from pipeline.physics.dose.second_check import s_value_check
from pipeline.settings import SECOND_CHECK_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kernels.backend import Backend
    from pipeline.domain.geometry import Grid
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.dose.dose_kernel import PointKernel

SHAPE, SIDE_MM = (48, 40, 56), 4.8


def _places() -> tuple[NDArray[np.float64], ...]:
    sides = [(np.arange(n) - (n - 1) / 2) * SIDE_MM for n in SHAPE]
    return tuple(np.meshgrid(*sides, indexing="ij", sparse=True))


def _ellipsoid(z_mm: float, y_mm: float, x_mm: float) -> NDArray[np.bool_]:
    z, y, x = _places()
    return (z / z_mm) ** 2 + (y / y_mm) ** 2 + (x / x_mm) ** 2 < 1


def _without_lesions(organ: NDArray[np.bool_], number: int, radius_mm: float) -> NDArray[np.bool_]:
    """Cut lesions out of an organ at places drawn at random (seed 1)."""
    draw, left = np.random.default_rng(1), organ.copy()
    z, y, x = _places()
    for _ in range(number):
        c = draw.uniform(-1, 1, 3) * (65, 50, 80)
        left &= (z - c[0]) ** 2 + (y - c[1]) ** 2 + (x - c[2]) ** 2 >= radius_mm**2
    return left


LIVER = _ellipsoid(80, 62, 95)
# Solid livers, livers that lost 18 and 42 % to lesions; whole, flat and hollow kidneys; spleens of 1 : 3 and 1 : 5.
ORGANS = [
    ("liver", _ellipsoid(60, 45, 80), 0.015),
    ("liver", LIVER, 0.015),
    ("liver", _without_lesions(LIVER, 25, 16.0), 0.015),
    ("liver", _without_lesions(LIVER, 40, 20.0), 0.015),
    ("kidney", _ellipsoid(54, 26, 28), 0.008),
    ("kidney", _ellipsoid(54, 18, 34), 0.008),
    ("kidney", _ellipsoid(40, 20, 22), 0.008),
    ("kidney", _ellipsoid(54, 26, 28) & ~_ellipsoid(30, 12, 14), 0.008),
    ("spleen", _ellipsoid(55, 20, 45), 0.005),
    ("spleen", _ellipsoid(75, 15, 60), 0.005),
]


@pytest.mark.parametrize(("name", "mask", "most"), ORGANS, ids=[f"{o[0]}-{o[1].sum()}" for o in ORGANS])
def test_shape_explains_a_quarter_of_the_tolerance_at_most(
    name: str,
    mask: NDArray[np.bool_],
    most: float,
    grid_of: Callable[..., Grid],
    lutetium: Radionuclide,
    water: PointKernel,
    host: Backend,
) -> None:
    """Measured: liver -1.2 to +0.6 %, kidney -0.75 to -0.2 %, spleen -0.3 to 0 %, against OLINDA/EXM 2 by mass."""
    grid = grid_of(SHAPE, (SIDE_MM,) * 3)
    density = np.full(SHAPE, 1.05)
    model = model_region_doses(
        seg_labels=mask.astype(np.int16),
        contour_density=density,
        region_labels=[1],
        tia_bq_s=[1e12],
        remainder=TiaMap(grid, np.zeros(SHAPE)),
        region_fractions=mask[None].astype(np.float32),
        spect_density=DensityMap(grid, density),
        nuclide=lutetium,
        point_kernel=water,
        contour_spacing_mm=(SIDE_MM,) * 3,
        backend=host,
    )
    check = s_value_check(name, 1e12, float(model.mass_g[0]), lutetium, float(model.self_gy[0]), SECOND_CHECK_TOLERANCE)
    assert check is not None
    assert abs(check.difference) < most
    assert check.tolerance is not None
    assert most < 0.26 * check.tolerance
