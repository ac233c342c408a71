"""Chapter: the fast convolution against a float64 convolution over the full range, made by other code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import fftconvolve

from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.physics.commissioning.bench import ellipsoid_mask, plain_grid
from pipeline.physics.commissioning.rows import Chapter, Row, compared
from pipeline.physics.dose.dose_kernel import voxel_s_values, with_bremsstrahlung_as_photons, with_energies_of
from pipeline.physics.dose.dose_map import absorbed_dose

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kernels.backend import Backend
    from pipeline.physics.commissioning.bench import Bench

    Floats = NDArray[np.float64]
    Triple = tuple[float, float, float]
    Steps = tuple[int, int, int]

SOURCE = "scipy.signal.fftconvolve in float64 with the whole kernel, here"
LIMIT = "float32; the requirement is 1e-3 of the maximum"


@dataclass(frozen=True, eq=False)
class Scene:
    """A body with a hot organ and voxel-wise noise, decays per voxel and density in g/cm3."""

    nuclide: str
    spacing_mm: Triple
    decays: Floats
    density: Floats
    organ: NDArray[np.bool_]


SCENES: tuple[tuple[str, Steps, Triple], ...] = (
    ("Lu-177", (40, 44, 48), (4.8, 4.8, 4.8)),
    ("Lu-177", (37, 43, 41), (3.0, 4.42, 4.42)),
    ("Y-90", (40, 44, 48), (2.0, 2.0, 2.0)),
    ("I-131", (40, 44, 48), (4.8, 4.8, 4.8)),
)


def rows(bench: Bench) -> tuple[Row, ...]:
    """Return the worst voxel, the organ and the faint remainder of each scene."""
    made: list[Row] = []
    for nuclide, shape, spacing in SCENES:
        made += _of_scene(bench, scene_of(nuclide, shape, spacing))
    return tuple(made)


def scene_of(nuclide: str, shape: Steps, spacing_mm: Triple) -> Scene:
    """Return a body of random density that fills the grid, a hot organ, and a faint remainder with noise."""
    random = np.random.default_rng(7)
    organ = ellipsoid_mask(shape, spacing_mm, (spacing_mm[0] * 8, spacing_mm[1] * 6, spacing_mm[2] * 5))
    decays = random.random(shape) * np.where(organ, 100.0, 1.0)
    density = random.choice([0.3, 0.95, 1.0, 1.05, 1.5], shape)
    return Scene(nuclide, spacing_mm, decays / decays.sum(), density, organ)


def engine_dose(bench: Bench, scene: Scene, backend: Backend) -> Floats:
    """Return the engine's dose of a scene, Gy."""
    grid = plain_grid((scene.decays.shape[0], scene.decays.shape[1], scene.decays.shape[2]), scene.spacing_mm)
    tia = TiaMap(grid, scene.decays / grid.voxel_volume_ml)
    kernel = bench.point_kernel(scene.nuclide)
    result = absorbed_dose(tia, DensityMap(grid, scene.density), bench.nuclide(scene.nuclide), kernel, backend)
    return result.dose.dose_gy.astype(np.float64)


def reference_dose(bench: Bench, scene: Scene) -> Floats:
    """Return the dose of a scene by linear convolution in float64 with the kernel over twice the grid."""
    point = with_energies_of(bench.point_kernel(scene.nuclide), bench.nuclide(scene.nuclide))
    z, y, x = scene.decays.shape
    octants = voxel_s_values(with_bremsstrahlung_as_photons(point), scene.spacing_mm, (z - 1, y - 1, x - 1))
    window = (slice(z - 1, 2 * z - 1), slice(y - 1, 2 * y - 1), slice(x - 1, 2 * x - 1))
    electrons, photons = (
        fftconvolve(scene.decays, _unfolded(octant))[window]
        for octant in (octants.electron_gy_per_bq_s, octants.photon_gy_per_bq_s)
    )
    return np.asarray(electrons * point.density_g_per_cm3 / scene.density + photons)


def _unfolded(octant: Floats) -> Floats:
    return np.pad(octant, [(n - 1, 0) for n in octant.shape], mode="reflect")


def _of_scene(bench: Bench, scene: Scene) -> list[Row]:
    found, expected = engine_dose(bench, scene, bench.backend), reference_dose(bench, scene)
    size = " x ".join(f"{side:g}" for side in scene.spacing_mm)
    name = f"{scene.nuclide}, {size} mm"
    means = [
        compared(
            f"{name}: mean dose of {region}", float(found[mask].mean()), float(expected[mask].mean()), "Gy/decay",
            SOURCE, tolerance=1e-5, reason="float32; the requirement is 3e-3",
        )
        for region, mask in (("the organ", scene.organ), ("the faint remainder", ~scene.organ))
    ]  # fmt: skip
    worst = float(np.abs(found - expected).max() / expected.max())
    return [
        compared(
            f"{name}: worst voxel, of the maximum", worst, 0.0, "", SOURCE, tolerance=1e-6, reason=LIMIT,
            comparison="absolute",
        ),
        *means,
    ]  # fmt: skip


CHAPTER = Chapter(
    "convolution",
    "Convolution",
    "The engine's float32 convolution (cropped, circular, electrons by shifted sums) against a plain linear "
    "convolution in float64 with the kernel's full range.",
    rows,
)
