"""The voxel dose engine: numbers in water, energy, geometry, backends and refusals."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING

import array_api_strict
import numpy as np
import pytest

from kernels.backend import Backend, DeviceMissingError, choose_backend
from pipeline.domain.geometry import Grid
from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.errors import RefusalError
from pipeline.files.kernel_cache import KernelCache
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.physics.dose.dose_kernel import voxel_s_values
from pipeline.physics.dose.dose_map import DoseResult, absorbed_dose, body_box, dose_bytes
from pipeline.physics.dose.sphere import sphere_s_value
from pipeline.units import GY_G_PER_MEV, J_PER_MEV

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.dose.dose_kernel import PointKernel

    MakeGrid = Callable[..., Grid]

SHAPE, SPACING = (24, 26, 28), (5.0, 4.8, 4.0)


def ball(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], radius_mm: float) -> NDArray[np.bool_]:
    """Voxels whose centre lies within a sphere around the middle."""
    squared = np.zeros(shape)
    for axis, (size, side) in enumerate(zip(shape, spacing_mm, strict=True)):
        place = (np.arange(size) - (size - 1) / 2) * side
        squared = squared + np.moveaxis(np.reshape(place**2, (-1, 1, 1)), 0, axis)
    return squared <= radius_mm**2


@pytest.fixture
def run(grid_of: MakeGrid, lutetium: Radionuclide, water: PointKernel, host: Backend) -> Callable[..., DoseResult]:
    """Dose of a TIA and a density array, in the defaults of these tests."""

    def compute(
        tia: NDArray[np.float64],
        density: NDArray[np.float64],
        spacing_mm: tuple[float, float, float] = SPACING,
        *,
        backend: Backend = host,
        **options: object,
    ) -> DoseResult:
        grid = grid_of(tia.shape, spacing_mm)
        return absorbed_dose(TiaMap(grid, tia), DensityMap(grid, density), lutetium, water, backend, **options)

    return compute


def test_sphere_in_water_has_the_published_mean_dose(
    run: Callable[..., DoseResult], lutetium: Radionuclide, water: PointKernel
) -> None:
    # 113 mL at 1e12 Bq s/mL; 0.5 %: the staircase of the voxels has half as much surface again as the sphere, and
    # 0.7 % of the electrons' energy leaves it.
    inside = ball(SHAPE, SPACING, 30.0)
    result = run(inside * 1e12, np.ones(SHAPE))
    mass_g = inside.sum() * np.prod(SPACING) / 1000
    expected = sphere_s_value(water, lutetium, mass_g).s_gy_per_bq_s * 1e12 * mass_g
    assert result.dose.dose_gy[inside].mean() == pytest.approx(expected, rel=5e-3)
    assert 23 < expected < 25
    # Every voxel of the dose is the sum of its parts.
    np.testing.assert_allclose(result.dose.dose_gy, result.electron_gy + result.photon_gy, rtol=1e-6)


def test_energy_of_a_point_is_that_of_the_decays(
    run: Callable[..., DoseResult], lutetium: Radionuclide, water: PointKernel
) -> None:
    tia = np.zeros(SHAPE)
    tia[12, 13, 14] = 1e12 / 0.096
    result = run(tia, np.ones(SHAPE))
    # All electrons stay; photons deposit what the point kernel has between the inscribed (52 mm) and the circumscribed
    # (105 mm) sphere of the box.
    electrons = float(result.electron_gy.sum()) * 0.096 / 1000 / (1e12 * J_PER_MEV)
    assert electrons == pytest.approx(lutetium.electron_mev, rel=1e-3)
    low, high = np.interp([52.0, 105.0], water.edges_mm[1:], np.cumsum(water.photon_mev_per_shell))
    photons = result.total_energy_j / (1e12 * J_PER_MEV) - electrons
    assert low < photons < high


def test_electrons_are_scaled_by_the_local_density_and_photons_are_not(run: Callable[..., DoseResult]) -> None:
    tia = ball(SHAPE, SPACING, 15.0) * 1e12
    density = np.ones(SHAPE)
    plain = run(tia, density)
    density[:, :, 14:] = 1.85
    dense = run(tia, density)
    np.testing.assert_allclose(dense.electron_gy[:, :, :14], plain.electron_gy[:, :, :14], rtol=1e-5)
    np.testing.assert_allclose(dense.electron_gy[:, :, 14:] * 1.85, plain.electron_gy[:, :, 14:], rtol=1e-5)
    np.testing.assert_allclose(dense.photon_gy, plain.photon_gy, rtol=1e-5)
    assert dense.total_energy_j > plain.total_energy_j


def test_dose_is_linear_and_follows_the_source(run: Callable[..., DoseResult]) -> None:
    tia = np.zeros(SHAPE)
    tia[6, 9, 20] = 1e12
    one, three = run(tia, np.ones(SHAPE)), run(3 * tia, np.ones(SHAPE))
    np.testing.assert_allclose(three.dose.dose_gy, 3 * one.dose.dose_gy, rtol=1e-4, atol=1e-6)
    assert np.unravel_index(one.dose.dose_gy.argmax(), SHAPE) == (6, 9, 20)
    # The nearer neighbour (column, 4 mm) gets more than the farther (slice, 5 mm).
    assert one.dose.dose_gy[6, 9, 21] > one.dose.dose_gy[6, 10, 20] > one.dose.dose_gy[7, 9, 20]


def test_air_takes_no_dose_and_cropping_changes_nothing(run: Callable[..., DoseResult]) -> None:
    tia, density = np.zeros(SHAPE), np.full(SHAPE, 0.0012)
    density[4:20, 5:21, 6:22] = 1.0
    tia[10:14, 10:14, 12:16] = 1e12
    result = run(tia, density)
    assert (result.dose.dose_gy[density < 0.1] == 0).all()
    inner = (slice(4, 20), slice(5, 21), slice(6, 22))
    alone = run(tia[inner], density[inner])
    np.testing.assert_allclose(result.dose.dose_gy[inner], alone.dose.dose_gy, rtol=1e-6)
    assert result.memory_bytes == alone.memory_bytes == dose_bytes((16, 16, 16))


def test_decays_outside_the_body_are_no_source_and_are_told(run: Callable[..., DoseResult]) -> None:
    tia, density = np.zeros(SHAPE), np.full(SHAPE, 0.0012)
    density[4:20, 5:21, 6:22] = 1.0
    tia[10, 10, 10] = 3e12
    tia[0, 0, 0] = 1e12
    result = run(tia, density)
    assert result.outside_tia_fraction == pytest.approx(0.25)
    tia[0, 0, 0] = 0
    np.testing.assert_array_equal(run(tia, density).dose.dose_gy, result.dose.dose_gy)


def test_a_body_mask_counts_gas_inside_and_leaves_the_couch_out(run: Callable[..., DoseResult]) -> None:
    tia, density = np.zeros(SHAPE), np.ones(SHAPE)
    density[10, 10, 10] = 0.0
    tia[8:13, 8:13, 8:13] = 1e12
    body = np.zeros(SHAPE, bool)
    body[2:20] = True
    result = run(tia, density, body=body)
    assert (result.dose.dose_gy[20:] == 0).all()
    # Gas: electrons over no less than 0.1 g/cm3, so ten times the dose of water, not infinity.
    assert result.electron_gy[10, 10, 10] == pytest.approx(10 * result.electron_gy[10, 10, 9], rel=0.05)


def test_local_engine_deposits_the_electrons_where_they_are(
    run: Callable[..., DoseResult], lutetium: Radionuclide
) -> None:
    tia = np.zeros(SHAPE)
    tia[3, 4, 5] = 1e12
    result = run(tia, np.full(SHAPE, 2.0), engine="local")
    expected = 1e12 * GY_G_PER_MEV * lutetium.electron_mev / 2.0
    # 0.1 %: what the electrons give to bremsstrahlung is with the photons, which this engine leaves out.
    assert result.dose.dose_gy[3, 4, 5] == pytest.approx(expected, rel=2e-3)
    assert np.count_nonzero(result.dose.dose_gy) == 1
    assert "photons not counted" in result.method


def test_long_electrons_go_through_the_transform(grid_of: MakeGrid, host: Backend) -> None:
    # Y-90 at 2 mm reaches 5 voxels: energy of a point, 0.5 % (bremsstrahlung leaves the box).
    grid = grid_of((21, 21, 21), (2.0, 2.0, 2.0))
    tia = np.zeros(grid.shape)
    tia[10, 10, 10] = 1e12 / 0.008
    nuclide = load_nuclide("Y-90")
    density = DensityMap(grid, np.ones(grid.shape))
    result = absorbed_dose(TiaMap(grid, tia), density, nuclide, load_point_kernel("Y-90"), host)
    assert result.total_energy_j / (1e12 * J_PER_MEV) == pytest.approx(nuclide.electron_mev, rel=6e-3)


def _gpu() -> Backend:
    try:
        return choose_backend("gpu")
    except DeviceMissingError as missing:
        pytest.skip(str(missing))


def _strict() -> Backend:
    return Backend("gpu", "array-api-strict", array_api_strict, place=array_api_strict.Device("device1"))


@pytest.mark.parametrize("make", [_strict, pytest.param(_gpu, marks=pytest.mark.gpu)], ids=["strict", "gpu"])
def test_every_backend_gives_the_dose_of_the_host(run: Callable[..., DoseResult], make: Callable[[], Backend]) -> None:
    tia, density = ball(SHAPE, SPACING, 20.0) * 1e12, np.ones(SHAPE)
    density[:, 13:] = 0.3
    expected, found = run(tia, density), run(tia, density, backend=make())
    # float32 on both: 1e-6 of the maximum.
    peak = float(expected.dose.dose_gy.max())
    np.testing.assert_allclose(found.dose.dose_gy, expected.dose.dose_gy, rtol=0, atol=1e-6 * peak)


def test_two_grids_are_refused(grid_of: MakeGrid, lutetium: Radionuclide, water: PointKernel, host: Backend) -> None:
    tia = TiaMap(grid_of((4, 4, 4), (4, 4, 4)), np.ones((4, 4, 4)))
    density = DensityMap(grid_of((4, 4, 4), (4, 4, 5)), np.ones((4, 4, 4)))
    with pytest.raises(RefusalError, match="GRID_MISMATCH"):
        absorbed_dose(tia, density, lutetium, water, host)


def test_air_alone_and_unknown_engines_and_foreign_masks_are_refused(run: Callable[..., DoseResult]) -> None:
    tia = np.ones(SHAPE)
    with pytest.raises(RefusalError, match="BODY_MISSING"):
        run(tia, np.full(SHAPE, 0.0012))
    with pytest.raises(RefusalError, match="ENGINE_UNKNOWN"):
        run(tia, np.ones(SHAPE), engine="monte-carlo")
    with pytest.raises(RefusalError, match="GRID_MISMATCH"):
        run(tia, np.ones(SHAPE), body=np.ones((2, 2, 2), bool))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_negative_or_missing_tia_is_refused(grid_of: MakeGrid, bad: float) -> None:
    values = np.ones((4, 4, 4))
    values[1, 2, 3] = bad
    with pytest.raises(RefusalError, match="VALUE_OUT_OF_RANGE"):
        TiaMap(grid_of((4, 4, 4), (4, 4, 4)), values)


def test_body_box_is_tight() -> None:
    mask = np.zeros((6, 7, 8), bool)
    mask[2, 3, 4] = mask[4, 3, 6] = True
    assert body_box(mask) == (slice(2, 5), slice(3, 4), slice(4, 7))


def test_memory_is_stated_before_the_run_and_holds(run: Callable[..., DoseResult], tmp_path: Path) -> None:
    # A box of 60 x 40 x 62 fills its grid; the kernel is integrated and filed within the run, which is the worst case.
    shape = (60, 40, 62)
    tia, density = ball(shape, SPACING, 90.0) * 1e12, np.ones(shape)
    run(tia, density)
    tracemalloc.start()
    result = run(tia, density, voxel_kernels=KernelCache(tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.4 * result.memory_bytes < peak <= result.memory_bytes


def test_a_body_beyond_the_memory_limit_is_refused_before_it_starts(run: Callable[..., DoseResult]) -> None:
    tia, density = np.ones(SHAPE), np.ones(SHAPE)
    stated = dose_bytes(SHAPE)
    assert run(tia, density, memory_limit_bytes=stated).memory_bytes == stated
    with pytest.raises(RefusalError, match=r"MEMORY_LIMIT.*24 x 26 x 28 voxels.*larger voxels"):
        run(tia, density, memory_limit_bytes=stated - 1)


def test_the_kernels_are_those_that_were_handed_in(run: Callable[..., DoseResult]) -> None:
    asked = []

    def doubled(point_kernel: PointKernel, spacing_mm: tuple[float, float, float], extent: tuple[int, int, int]):
        asked.append((spacing_mm, extent))
        kernel = voxel_s_values(point_kernel, spacing_mm, extent)
        return replace(kernel, photon_gy_per_bq_s=2 * kernel.photon_gy_per_bq_s)

    tia, density = ball(SHAPE, SPACING, 20.0) * 1e12, np.ones(SHAPE)
    plain, other = run(tia, density), run(tia, density, voxel_kernels=doubled)
    assert asked == [(SPACING, (23, 25, 27))]
    np.testing.assert_allclose(other.photon_gy, 2 * plain.photon_gy, rtol=1e-5)
    np.testing.assert_array_equal(other.electron_gy, plain.electron_gy)
