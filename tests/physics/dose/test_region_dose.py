"""Region statistics, and mean doses of the recovery-corrected source model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import array_api_strict
import numpy as np
import pytest

from kernels.backend import Backend
from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.errors import RefusalError
from pipeline.physics.dose.dose_map import absorbed_dose
from pipeline.physics.dose.region_dose import RegionModelDoses, model_region_doses, region_statistics
from pipeline.physics.dose.sphere import sphere_s_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.dose.dose_kernel import PointKernel

SIDE = 4.0
SHAPE = (20, 20, 24)


def sphere_mask(factor: int, centre_mm: tuple[float, float, float], radius_mm: float) -> NDArray[np.bool_]:
    """A sphere on the contour grid, ``factor`` times finer than the SPECT grid."""
    side = SIDE / factor
    places = [(np.arange(n * factor) + 0.5) * side - c for n, c in zip(SHAPE, centre_mm, strict=True)]
    z, y, x = np.meshgrid(*places, indexing="ij", sparse=True)
    return z**2 + y**2 + x**2 <= radius_mm**2


def fractions_of(mask: NDArray[np.bool_], factor: int) -> NDArray[np.float64]:
    """Part of each SPECT voxel inside a contour mask."""
    z, y, x = SHAPE
    return mask.reshape(z, factor, y, factor, x, factor).mean(axis=(1, 3, 5))


@pytest.fixture
def model(
    grid_of: Callable[..., Grid], lutetium: Radionuclide, water: PointKernel, host: Backend
) -> Callable[..., RegionModelDoses]:
    """Doses of masks in uniform tissue."""

    def compute(
        masks: list[NDArray[np.bool_]],
        tia: list[float],
        factor: int,
        *,
        density: float = 1.0,
        remainder: float | NDArray[np.float64] = 0.0,
        backend: Backend = host,
    ) -> RegionModelDoses:
        grid = grid_of(SHAPE, (SIDE, SIDE, SIDE))
        labels = sum(((i + 1) * mask for i, mask in enumerate(masks)), np.zeros(masks[0].shape, np.int16))
        return model_region_doses(
            seg_labels=np.asarray(labels, dtype=np.int16),
            contour_density=np.full(masks[0].shape, density),
            region_labels=[i + 1 for i in range(len(masks))],
            tia_bq_s=tia,
            remainder=TiaMap(grid, np.broadcast_to(remainder, SHAPE).copy()),
            region_fractions=np.stack([fractions_of(mask, factor) for mask in masks]),
            spect_density=DensityMap(grid, np.full(SHAPE, density)),
            nuclide=lutetium,
            point_kernel=water,
            contour_spacing_mm=(SIDE / factor,) * 3,
            backend=backend,
        )

    return compute


MIDDLE = (40.0, 40.0, 48.0)


# Staircase surfaces: up to half as much again of the escaping electrons leaves (docstring: 0.3 % at 100 g).
@pytest.mark.parametrize(("factor", "radius_mm"), [(1, 29.0), (4, 29.0), (4, 16.0)])
def test_sphere_in_water_is_the_analytic_sphere(
    model: Callable[..., RegionModelDoses], lutetium: Radionuclide, water: PointKernel, factor: int, radius_mm: float
) -> None:
    found = model([sphere_mask(factor, MIDDLE, radius_mm)], [1e12], factor)
    expected = sphere_s_value(water, lutetium, float(found.mass_g[0])).s_gy_per_bq_s * 1e12
    assert found.mean_gy[0] == pytest.approx(expected, rel=0.006)
    assert found.self_gy[0] == pytest.approx(found.mean_gy[0], rel=1e-6)
    assert found.electron_gy[0] + found.photon_gy[0] == found.mean_gy[0]


def test_whole_voxel_regions_agree_with_the_dose_map(
    model: Callable[..., RegionModelDoses],
    grid_of: Callable[..., Grid],
    lutetium: Radionuclide,
    water: PointKernel,
    host: Backend,
) -> None:
    # Two touching blocks and a third without activity: with one grid for all, model and voxel engine are one sum.
    # What the electrons of the remainder do is an average around each region in the model: here there is none.
    masks = [np.zeros(SHAPE, bool) for _ in range(3)]
    masks[0][5:10, 5:10, 5:10] = True
    masks[1][5:10, 5:10, 10:12] = True
    masks[2][12:15, 5:10, 5:10] = True
    found = model(masks, [1e12, 5e11, 0.0], 1)
    grid = grid_of(SHAPE, (SIDE, SIDE, SIDE))
    tia = (masks[0] * 1e12 / masks[0].sum() + masks[1] * 5e11 / masks[1].sum()) / grid.voxel_volume_ml
    dose = absorbed_dose(TiaMap(grid, tia), DensityMap(grid, np.ones(SHAPE)), lutetium, water, host).dose.dose_gy
    np.testing.assert_allclose(found.mean_gy, [dose[mask].mean() for mask in masks], rtol=1e-4)
    assert found.self_gy[2] == 0.0
    assert found.mean_gy[2] > 0


def test_remainder_adds_photons_and_what_crosses_the_border(
    model: Callable[..., RegionModelDoses], lutetium: Radionuclide, water: PointKernel
) -> None:
    # A region filled as its surroundings gets the dose of the surroundings: charged-particle equilibrium.
    mask = sphere_mask(2, MIDDLE, 16.0)
    inside = mask.sum() * (SIDE / 2) ** 3 / 1000
    concentration = 1e10
    rest = concentration * (1.0 - fractions_of(mask, 2))
    found = model([mask], [concentration * inside], 2, remainder=rest)
    # Electrons: all that is emitted is absorbed (0.05 %); the border's share is what the sphere's own fraction lacks.
    # Bremsstrahlung, 0.1 %, is with the photons.
    from_electrons = found.electron_gy[0] / (concentration * 1.602176634e-10 * lutetium.electron_mev)
    assert from_electrons == pytest.approx(1.0, abs=2e-3)
    assert found.remainder_electron_gy[0] / found.electron_gy[0] == pytest.approx(0.017, abs=0.006)
    assert found.remainder_photon_gy[0] > 3 * (found.photon_gy[0] - found.remainder_photon_gy[0])


def test_a_device_gives_the_doses_of_the_host(model: Callable[..., RegionModelDoses]) -> None:
    device = Backend("gpu", "array-api-strict", array_api_strict, place=array_api_strict.Device("device1"))
    masks = [sphere_mask(2, MIDDLE, 12.0), sphere_mask(2, (40.0, 40.0, 20.0), 10.0)]
    expected, found = (model(masks, [1e12, 2e11], 2, remainder=1e8, **options) for options in ({}, {"backend": device}))
    np.testing.assert_allclose(found.mean_gy, expected.mean_gy, rtol=1e-5)
    np.testing.assert_allclose(found.self_gy, expected.self_gy, rtol=1e-5)


def test_electron_dose_follows_mass_not_volume(model: Callable[..., RegionModelDoses]) -> None:
    mask = sphere_mask(1, MIDDLE, 20.0)
    light, heavy = (model([mask], [1e12], 1, density=density) for density in (1.0, 1.06))
    assert heavy.mass_g[0] / light.mass_g[0] == pytest.approx(1.06)
    assert light.electron_gy[0] / heavy.electron_gy[0] == pytest.approx(1.06)
    assert light.photon_gy[0] == pytest.approx(heavy.photon_gy[0], rel=1e-6)


def test_regions_must_be_there_and_agree(model: Callable[..., RegionModelDoses]) -> None:
    mask = sphere_mask(1, MIDDLE, 16.0)
    with pytest.raises(RefusalError, match="REGION_EMPTY"):
        model([mask, np.zeros(SHAPE, bool)], [1e12, 1e12], 1)
    with pytest.raises(RefusalError, match="REGION_INVALID"):
        model([mask], [1e12, 1e12], 1)
    with pytest.raises(RefusalError, match="REGION_INVALID"):
        model([mask], [-1.0], 1)
    with pytest.raises(RefusalError, match="REGION_EMPTY"):
        model([mask], [1e12], 1, density=0.0)


def test_statistics_are_weighted_by_mass() -> None:
    dose, density = np.array([[[1.0, 2.0], [4.0, 9.0]]]), np.array([[[1.0, 1.0], [2.0, 1.0]]])
    weights = np.array([[[1.0, 1.0], [0.5, 0.0]]])
    found = region_statistics(dose, density, weights)
    assert found.mean_gy == pytest.approx((1 + 2 + 4) / 3)
    assert found.standard_deviation_gy == pytest.approx(np.std([1, 2, 4]))
    assert found.d50_gy == pytest.approx(2.0)
    assert (found.d98_gy, found.d2_gy) == (1.0, 4.0)


def test_statistics_of_nothing_are_refused() -> None:
    with pytest.raises(RefusalError, match="REGION_EMPTY"):
        region_statistics(np.ones((2, 2, 2)), np.ones((2, 2, 2)), np.zeros((2, 2, 2)))
