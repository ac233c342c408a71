"""Voxel S values against EGSnrc, and the identities that hold for every voxel size."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.errors import RefusalError
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.physics.dose.dose_kernel import (
    PointKernel,
    electron_range_mm,
    electron_reach,
    voxel_s_values,
    with_bremsstrahlung_as_photons,
    with_energies_of,
)
from pipeline.units import GY_G_PER_MEV, MM3_PER_ML

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.dose import DoseKernel
    from pipeline.domain.nuclide import Radionuclide

OTHER_SIZES = [(2.21, 2.21, 2.21), (4.42, 4.42, 4.42), (5.0, 4.0, 4.0), (1.5, 2.5, 3.7), (9.28, 9.28, 9.28)]
# Contour grids of a fine CT, where electrons reach several voxels.
SMALL_SIZES = [(1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (0.98, 0.98, 1.5), (0.7, 0.7, 0.7)]


def total(kernel: DoseKernel) -> NDArray[np.float64]:
    """Electrons and photons."""
    return kernel.electron_gy_per_bq_s + kernel.photon_gy_per_bq_s


def unfolded(octant: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mirror an octant to the whole kernel."""
    return np.pad(octant, [(n - 1, 0) for n in octant.shape], mode="reflect")


def mev(octant: NDArray[np.float64], spacing_mm: tuple[float, float, float], density: float = 1.0) -> float:
    """Energy in the whole kernel."""
    return float(unfolded(octant).sum() * np.prod(spacing_mm) / MM3_PER_ML * density / GY_G_PER_MEV)


# Acceptance of the physics reference: self 1 %, faces 3 %, edges 4 %, |k| >= 2 3 %, 11^3 energy 1 %; the integration
# itself is much better, so 0.5 % everywhere where both parts count (EGSnrc's statistics are 0.2 %).
@pytest.mark.parametrize("side", ["2", "3", "4.8"])
def test_agrees_with_egsnrc_voxel_runs(
    water: PointKernel, egsnrc_voxels: dict[str, NDArray[np.float64]], side: str
) -> None:
    kernel = voxel_s_values(water, (float(side),) * 3, (10, 10, 10))
    expected = egsnrc_voxels[f"Selec_{side}mm"] + egsnrc_voxels[f"Spho_{side}mm"]
    np.testing.assert_allclose(total(kernel), expected, rtol=5e-3)
    np.testing.assert_allclose(
        kernel.electron_gy_per_bq_s[0, 0, 0], egsnrc_voxels[f"Selec_{side}mm"][0, 0, 0], rtol=1e-3
    )
    spacing = (float(side),) * 3
    assert mev(total(kernel), spacing) == pytest.approx(mev(expected, spacing), rel=1e-3)


# Central values of the physics reference, mGy/(MBq s).
@pytest.mark.parametrize(
    ("nuclide", "medium", "expected"),
    [
        ("Lu-177", "water", {(0, 0, 0): 1.994e-1, (1, 0, 0): 2.569e-3, (1, 1, 0): 8.88e-5, (1, 1, 1): 2.404e-5}),
        ("Lu-177", "compact_bone", {(0, 0, 0): 1.117e-1, (1, 0, 0): 8.72e-4, (1, 1, 0): 5.68e-5, (5, 0, 0): 3.607e-6}),
        ("Y-90", "water", {(0, 0, 0): 5.892e-1, (1, 0, 0): 7.91e-2, (1, 1, 0): 1.850e-2, (1, 1, 1): 5.25e-3}),
        ("I-131", "water", {(0, 0, 0): 2.507e-1, (1, 0, 0): 5.673e-3, (1, 1, 0): 5.425e-4, (5, 0, 0): 2.872e-5}),
        ("Tb-161", "water", {(0, 0, 0): 2.764e-1, (1, 0, 0): 3.407e-3, (1, 1, 0): 1.669e-4, (2, 0, 0): 4.140e-5}),
    ],
)
def test_published_central_values(nuclide: str, medium: str, expected: dict[tuple[int, ...], float]) -> None:
    kernel = voxel_s_values(load_point_kernel(nuclide, medium), (4.8, 4.8, 4.8), (5, 5, 5))
    for k, value in expected.items():
        assert total(kernel)[k] * 1e9 == pytest.approx(value, rel=0.01), k


@pytest.mark.parametrize("spacing", OTHER_SIZES)
def test_energy_is_conserved(water: PointKernel, spacing: tuple[float, float, float]) -> None:
    # Electrons with bremsstrahlung out to 20 cm; photons: what the point kernel deposits inside the same cuboid lies
    # between the inscribed and the circumscribed sphere.
    extent = tuple(int(np.ceil(200 / side)) for side in spacing)
    kernel = voxel_s_values(water, spacing, (extent[0], extent[1], extent[2]))
    assert mev(kernel.electron_gy_per_bq_s, spacing) == pytest.approx(water.electron_mev, rel=2e-3)
    cumulated = np.cumsum(water.photon_mev_per_shell)
    low, high = np.interp([200, 200 * np.sqrt(3) + 10], water.edges_mm[1:], cumulated)
    assert low < mev(kernel.photon_gy_per_bq_s, spacing) < high


@pytest.mark.parametrize("nuclide", ["Y-90", "I-131", "Tb-161"])
@pytest.mark.parametrize("side", [1.0, 2.0, 4.8, 9.28])
def test_long_and_short_electrons_conserve_energy(nuclide: str, side: float) -> None:
    # 0.15 %: bremsstrahlung between the cube of 10 cm and its inscribed sphere is 0.06 % for Y-90. A smoothing that
    # flattened the end of Y-90's range once added 1 %.
    kernel = load_point_kernel(nuclide)
    steps = int(100 / side)
    found = mev(voxel_s_values(kernel, (side,) * 3, (steps,) * 3).electron_gy_per_bq_s, (side,) * 3)
    inside = np.interp(100.0, kernel.edges_mm[1:], np.cumsum(kernel.electron_mev_per_shell))
    assert found == pytest.approx(inside, rel=1.5e-3)


@pytest.mark.parametrize("spacing", OTHER_SIZES)
def test_photon_energy_in_a_cuboid_is_that_of_the_point_kernel(
    water: PointKernel, spacing: tuple[float, float, float]
) -> None:
    # 0.2 %: energy in the cuboid by another road, a Monte Carlo over directions (4e5: 0.03 %) of the radial integral,
    # smeared with the hat of the voxel at its faces by random shifts.
    extent = tuple(int(np.ceil(100 / side)) for side in spacing)
    kernel = voxel_s_values(water, spacing, (extent[0], extent[1], extent[2]))
    random = np.random.default_rng(5)
    direction = random.normal(size=(400_000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    start = (random.random((400_000, 3)) - 0.5) * spacing
    half = (np.array(extent) + 0.5) * spacing
    with np.errstate(divide="ignore"):
        distance = np.min((half - np.sign(direction) * start) / np.abs(direction), axis=1)
    cumulated = np.concatenate([[0.0], np.cumsum(water.photon_mev_per_shell)])
    inside = float(np.interp(distance, water.edges_mm, cumulated).mean())
    assert mev(kernel.photon_gy_per_bq_s, spacing) == pytest.approx(inside, rel=2e-3)


@pytest.mark.parametrize("spacing", SMALL_SIZES)
@pytest.mark.parametrize("nuclide", ["Lu-177", "Y-90"])
def test_electrons_in_small_voxels_conserve_energy(nuclide: str, spacing: tuple[float, float, float]) -> None:
    # 0.2 %: what the point kernel has between the spheres inscribed and circumscribed to 25 voxels each way.
    kernel = load_point_kernel(nuclide)
    found = mev(voxel_s_values(kernel, spacing, (25, 25, 25)).electron_gy_per_bq_s, spacing)
    half = 25.5 * np.array(spacing)
    cumulated = np.cumsum(kernel.electron_mev_per_shell)
    low, high = np.interp([half.min(), np.linalg.norm(half)], kernel.edges_mm[1:], cumulated)
    assert 0.998 * low <= found <= 1.002 * high


@pytest.mark.parametrize("spacing", [*OTHER_SIZES, *SMALL_SIZES])
def test_halved_voxels_sum_to_the_whole(water: PointKernel, spacing: tuple[float, float, float]) -> None:
    fine = unfolded(total(voxel_s_values(water, (spacing[0] / 2, spacing[1] / 2, spacing[2] / 2), (9, 9, 9))))
    coarse = total(voxel_s_values(water, spacing, (3, 3, 3)))
    # A coarse voxel's source is the mean of 8 fine sources; its dose the mean of 8 fine targets.
    for k in product(range(4), repeat=3):
        steps = [[2 * step + target - source for source in (0, 1) for target in (0, 1)] for step in k]
        index = np.ix_(*[np.array(values) + 9 for values in steps])
        assert fine[index].mean() * 8 == pytest.approx(coarse[k] * 8, rel=5e-3), k


def test_kernel_falls_with_distance_and_is_symmetric(water: PointKernel) -> None:
    kernel = total(voxel_s_values(water, (4.0, 4.0, 4.0), (30, 30, 30)))
    for axis in range(3):
        assert (np.diff(np.moveaxis(kernel, axis, 0)[:, 0, 0]) < 0).all()
    np.testing.assert_allclose(kernel, kernel.transpose(1, 2, 0), rtol=1e-9)
    np.testing.assert_allclose(kernel, kernel.transpose(0, 2, 1), rtol=1e-6)


def test_axes_follow_slice_row_column(water: PointKernel) -> None:
    kernel = total(voxel_s_values(water, (5.0, 4.0, 3.0), (2, 2, 2)))
    assert kernel[1, 0, 0] < kernel[0, 1, 0] < kernel[0, 0, 1]
    turned = total(voxel_s_values(water, (3.0, 5.0, 4.0), (2, 2, 2)))
    np.testing.assert_allclose(kernel, turned.transpose(1, 2, 0), rtol=1e-9)


def test_a_larger_extent_changes_no_value(water: PointKernel) -> None:
    large = voxel_s_values(water, (4.8, 3.0, 3.0), (40, 5, 60))
    small = voxel_s_values(water, (4.8, 3.0, 3.0), (0, 5, 20))
    np.testing.assert_allclose(total(large)[:1, :6, :21], total(small), rtol=1e-12)


def test_a_far_value_is_the_point_kernels_field(water: PointKernel) -> None:
    # 40 voxels away a voxel is a point: energy per mass at 192 mm, 0.3 % (the shells' noise).
    kernel = voxel_s_values(water, (4.8, 4.8, 4.8), (40, 0, 0))
    near, far = np.searchsorted(water.edges_mm, [187.0, 197.0])
    volume_ml = 4 / 3 * np.pi * (water.edges_mm[far] ** 3 - water.edges_mm[near] ** 3) / MM3_PER_ML
    field = water.photon_mev_per_shell[near:far].sum() * GY_G_PER_MEV / volume_ml
    assert kernel.photon_gy_per_bq_s[40, 0, 0] == pytest.approx(field, rel=5e-3)


def test_decay_data_scale_the_energies_and_keep_the_shape(water: PointKernel) -> None:
    ddep = load_nuclide("Lu-177", "DDEP")
    scaled = with_energies_of(water, ddep)
    assert scaled.electron_mev == pytest.approx(0.14824)
    assert scaled.photon_mev == pytest.approx(0.03342)
    assert scaled.photon_mev / water.photon_mev == pytest.approx(0.952, abs=0.002)


def test_a_kernel_of_another_nuclide_is_refused(lutetium: Radionuclide) -> None:
    with pytest.raises(RefusalError, match="NUCLIDE_MISMATCH"):
        with_energies_of(load_point_kernel("Y-90"), lutetium)


def test_bremsstrahlung_moves_to_the_photons_without_loss(water: PointKernel) -> None:
    split = with_bremsstrahlung_as_photons(water)
    # 99.9 % of the electrons' energy lies within 1.38 mm (physics reference, section B).
    assert 1.38 <= electron_range_mm(water) < 2.0
    assert split.electron_mev + split.photon_mev == pytest.approx(water.electron_mev + water.photon_mev, rel=1e-12)
    assert 1 - split.electron_mev / water.electron_mev < 2e-3
    assert electron_reach(split, (4.8, 1.0, 0.5)) == (1, 2, 3)
    assert electron_reach(load_point_kernel("Y-90"), (4.8, 4.8, 4.8)) == (2, 2, 2)


@pytest.mark.parametrize(
    ("spacing", "extent"), [((0.0, 4, 4), (1, 1, 1)), ((4, 4, 60.0), (1, 1, 1)), ((4, 4, 4), (1, -1, 1))]
)
def test_impossible_sizes_are_refused(
    water: PointKernel, spacing: tuple[float, float, float], extent: tuple[int, int, int]
) -> None:
    with pytest.raises(RefusalError, match="KERNEL_SIZE_INVALID"):
        voxel_s_values(water, spacing, extent)


def test_a_broken_point_kernel_is_refused() -> None:
    with pytest.raises(RefusalError, match="POINT_KERNEL_INVALID"):
        PointKernel(np.array([0.0, 2.0, 1.0]), np.ones(2), np.ones(2), 1.0, "Lu-177", "water", "test")
