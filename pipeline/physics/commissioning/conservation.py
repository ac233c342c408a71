"""Chapter: the energy of the decays comes back in the dose, whatever the density and the voxel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.physics.commissioning.bench import plain_grid
from pipeline.physics.commissioning.rows import Chapter, Row, compared
from pipeline.physics.dose.dose_kernel import with_bremsstrahlung_as_photons, with_energies_of
from pipeline.physics.dose.dose_map import absorbed_dose
from pipeline.units import G_PER_KG, J_PER_MEV, KEV_PER_MEV

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.commissioning.bench import Bench
    from pipeline.physics.dose.dose_map import DoseResult

    Triple = tuple[float, float, float]

SHAPE = (31, 33, 35)
CASES: tuple[tuple[str, Triple], ...] = (
    ("Lu-177", (4.8, 4.8, 4.8)),
    ("Lu-177", (3.0, 4.42, 4.42)),
    ("Lu-177", (2.0, 2.0, 2.0)),
    ("Y-90", (4.8, 4.8, 4.8)),
    ("I-131", (4.8, 4.8, 4.8)),
    ("Tb-161", (4.8, 4.8, 4.8)),
)


def rows(bench: Bench) -> tuple[Row, ...]:
    """Return the energy of a point in water and in a body of mixed density, and what outside the body does."""
    made: list[Row] = []
    for name, spacing in CASES:
        made += _point(bench, name, spacing)
    return (*made, *_mixed(bench), *_linearity(bench))


def _dose(
    bench: Bench, nuclide: Radionuclide, decays: NDArray[np.float64], density: NDArray[np.float64], spacing: Triple
) -> DoseResult:
    """Return the dose of ``decays`` (per voxel)."""
    grid = plain_grid((decays.shape[0], decays.shape[1], decays.shape[2]), spacing)
    tia = TiaMap(grid, decays / grid.voxel_volume_ml)
    kernel = bench.point_kernel(nuclide.name)
    return absorbed_dose(tia, DensityMap(grid, density), nuclide, kernel, bench.backend)


def _kev(part: NDArray[np.float32], density: NDArray[np.float64], spacing: Triple) -> float:
    volume_ml = plain_grid((1, 1, 1), spacing).voxel_volume_ml
    joule = float(np.sum(part * density, dtype=np.float64)) * volume_ml / G_PER_KG
    return joule / J_PER_MEV * KEV_PER_MEV


def _short_electrons_kev(bench: Bench, nuclide: Radionuclide) -> float:
    kernel = with_energies_of(bench.point_kernel(nuclide.name), nuclide)
    return with_bremsstrahlung_as_photons(kernel).electron_mev * KEV_PER_MEV


def _point(bench: Bench, name: str, spacing: Triple) -> list[Row]:
    nuclide = bench.nuclide(name)
    decays = np.zeros(SHAPE)
    decays[15, 16, 17] = 1.0
    density = np.ones(SHAPE)
    result = _dose(bench, nuclide, decays, density, spacing)
    size = " x ".join(f"{side:g}" for side in spacing)
    return [
        compared(
            f"{name}, one voxel of {size} mm in water: electrons", _kev(result.electron_gy, density, spacing),
            _short_electrons_kev(bench, nuclide), "keV/decay", "the point kernel's electrons within their range",
            tolerance=1e-3, reason="float32 and the integration over the voxel",
        )
    ]  # fmt: skip


def _mixed(bench: Bench) -> list[Row]:
    # lung, water and bone voxel by voxel: the worst that a density map can do
    nuclide, spacing = bench.nuclide(), (4.8, 4.8, 4.8)
    random = np.random.default_rng(177)
    density = random.choice([0.3, 1.0, 1.5], SHAPE)
    decays = np.zeros(SHAPE)
    decays[8:23, 8:25, 8:27] = random.random((15, 17, 19))
    decays /= decays.sum()
    result = _dose(bench, nuclide, decays, density, spacing)
    return [
        compared(
            "Lu-177, voxels of lung, water and bone at random: electrons",
            _kev(result.electron_gy, density, spacing), _short_electrons_kev(bench, nuclide), "keV/decay",
            "the point kernel's electrons within their range", tolerance=1e-3,
            reason="electrons over the density of the voxel that absorbs: their energy is kept",
        ),
        compared(
            "Lu-177, same: total energy as the result states it",
            result.total_energy_j / J_PER_MEV * KEV_PER_MEV,
            _kev(result.dose.dose_gy, density, spacing), "keV/decay", "sum of dose x density x volume, here",
            tolerance=1e-6, reason="float32 sums",
        ),
    ]  # fmt: skip


def _linearity(bench: Bench) -> list[Row]:
    nuclide, spacing = bench.nuclide(), (4.8, 4.8, 4.8)
    density = np.full(SHAPE, 0.0012)
    density[4:28, 4:28, 4:28] = 1.0
    one, two = np.zeros(SHAPE), np.zeros(SHAPE)
    one[10, 12, 14], two[20, 18, 16] = 1.0, 2.0
    first, second, both = (
        _dose(bench, nuclide, d, density, spacing).dose.dose_gy.astype(np.float64) for d in (one, two, one + two)
    )
    return [
        compared(
            "dose of two sources less the sum of their doses, of the maximum",
            float(np.abs(both - first - second).max() / both.max()), 0.0, "", "linearity of the dose in the decays",
            tolerance=1e-6, reason="float32", comparison="absolute",
        ),
        compared(
            "dose in air around the body", float(both[density < 0.1].max()), 0.0, "Gy/decay", "no dose is due in air",
            tolerance=0.0, reason="exact", comparison="absolute",
        ),
    ]  # fmt: skip


CHAPTER = Chapter(
    "conservation",
    "Energy conservation",
    "What the decays emit as electrons comes back as dose x mass, for every nuclide, at several voxel sizes and in a "
    "body of mixed density; the dose is linear in the decays, and air takes none.",
    rows,
)
