"""Which half-life a voxel should have: bias and error of voxel and region TIA on the noisy phantom, by method.

Run: ``python benchmarks/bench_voxel_regularisation.py --seeds 3`` (about three minutes on two cores).

The activity is the patient phantom's at its three scan times, blurred by its camera, without motion; the truth is its
analytic TIA with the same blur. Noise: as the phantom's camera makes it (10 % in the liver at 24 h, variance as
counts), twice as much, and of 15 % in every voxel and scan, which no variance model of ours favours. ``--moved`` shifts
the later scans by half a voxel, as a registration at its limit leaves them.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, shift

from kernels.voxel_fit import amplitudes_at, fit_mono_exponentials
from pipeline.domain.geometry import Grid
from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.maps import ActivityMap
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.physics.voxels.kinetics import tia_map
from sample_dicom import scanner
from sample_dicom.phantoms import phantom_of
from sample_dicom.plan import by_label, plan_of
from sample_dicom.scene import region_labels

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_S = 3600.0
SMALL_ML = 10.0
HALF_A_VOXEL = ((0.4, -0.3, 0.3), (-0.3, 0.4, 0.4))
NUCLIDE = load_nuclide("Lu-177")
BOUNDS = rate_bounds(NUCLIDE)
LOW, HIGH = BOUNDS.slowest_per_s * HOUR_S, BOUNDS.fastest_per_s * HOUR_S
SPHERE_SIDE_MM = 4.8
SPHERE_TIMES_H = (24.0, 96.0, 168.0)
# Volume in mL, half-life in it and around it; relative noise of its activity.
SPHERES = (
    ((4.0, 100.0, 50.0), 0.10),
    ((10.0, 100.0, 50.0), 0.05),
    ((10.0, 100.0, 50.0), 0.10),
    ((10.0, 50.0, 100.0), 0.10),
    ((10.0, 50.0, 50.0), 0.10),
    ((50.0, 100.0, 50.0), 0.10),
)


@dataclass(frozen=True, eq=False)
class Scene:
    """Noise-free maps (Bq per voxel), analytic TIA (Bq s per voxel), body and regions of one seed."""

    times_h: list[float]
    maps: np.ndarray
    tia: np.ndarray
    body: np.ndarray
    regions: dict[str, np.ndarray]
    reference_bq: float
    spacing_mm: float


def scene_of(seed: int) -> Scene:
    """Return the patient phantom of a seed as its camera sees it without noise."""
    phantom = phantom_of("patient", seed, perfect=False)
    plan = plan_of(phantom, kind="patient", dialect="nm-counts", seed=seed, perfect=False, cycles=1)
    cycle = plan.cycles[0]
    times_s = [cycle.delay_s(start) + scanner.ACQUISITION_S / 2.0 for start in cycle.starts]

    def seen(activity: np.ndarray) -> np.ndarray:
        return scanner.voxel_activity(
            plan.labels, activity, spacing_mm=plan.drawing_mm, factor=plan.model_factor, fwhm_mm=scanner.FWHM_MM
        )

    labels = region_labels(phantom.scene, plan.labels)
    body = scanner.block_mean((plan.labels > 0).astype(np.float32), plan.model_factor)
    regions = {}
    for region in phantom.scene.regions:
        fraction = scanner.block_mean((labels == region.label).astype(np.float32), plan.model_factor)
        regions[f"{region.kind} {region.name} {region.laterality}"] = fraction
    regions["remainder"] = np.clip(body - sum(regions.values()), 0.0, 1.0)
    liver = phantom.noise_reference_label
    volume_mm3 = np.count_nonzero(plan.labels == liver) * plan.drawing_mm**3
    reference = cycle.curves[liver].at(cycle.delay_s(cycle.starts[0])) * phantom.spect_mm**3 / volume_mm3
    maps = np.stack([seen(by_label(cycle.curves, lambda c, t=t: c.at(t))) for t in times_s])
    truth = seen(by_label(cycle.curves, lambda c: c.integral()))
    return Scene([t / HOUR_S for t in times_s], maps, truth, body, regions, reference, phantom.spect_mm)


def noisy(scene: Scene, noise: str, rng: np.random.Generator) -> np.ndarray:
    """Return the maps with one of the kinds of noise."""
    if noise == "none":
        return scene.maps
    if noise != "15 % everywhere":
        cov = {"phantom": scanner.LIVER_COV_AT_24_H, "twice": 2.0 * scanner.LIVER_COV_AT_24_H}[noise]
        given = {"reference_counts": scene.reference_bq, "cov": cov, "spacing_mm": scene.spacing_mm, "rng": rng}
        return np.stack([scanner.noisy(volume, **given) for volume in scene.maps])
    width = scanner.NOISE_FWHM_MM / scanner.FWHM_PER_SIGMA / scene.spacing_mm
    fields = [gaussian_filter(rng.standard_normal(v.shape), width, mode="wrap", truncate=3.0) for v in scene.maps]
    spread = math.sqrt(math.log1p(0.15**2))
    return np.stack(
        [v * np.exp(spread * f / f.std() - spread**2 / 2.0) for v, f in zip(scene.maps, fields, strict=True)]
    )


def noisy_and_moved(scene: Scene, noise: str, seed: int, *, moved: bool) -> np.ndarray:
    """Return the maps with noise and, where asked for, the later scans half a voxel off."""
    maps = noisy(scene, noise, np.random.default_rng(seed))
    if not moved:
        return maps
    later = [shift(volume, by, order=3) for volume, by in zip(maps[1:], HALF_A_VOXEL, strict=True)]
    return np.stack([maps[0], *later])


def with_rates(scene: Scene, maps: np.ndarray, rate: np.ndarray, power: int = 1) -> np.ndarray:
    """Return the TIA of the body's voxels whose rates are given."""
    fits = amplitudes_at(maps[:, scene.body > 0].astype(float), scene.times_h, rate, power=power)
    return fits.amplitude / rate * HOUR_S


def rates(scene: Scene, values: np.ndarray, power: int = 1) -> np.ndarray:
    """Return the rates of curves, shape (time, curve)."""
    return fit_mono_exponentials(values.astype(float), scene.times_h, LOW, HIGH, LOW, power=power).rate


def own(power: int) -> Callable[[Scene, np.ndarray], np.ndarray]:
    """Each voxel its own half-life."""
    return lambda scene, maps: with_rates(scene, maps, rates(scene, maps[:, scene.body > 0], power), power)


def smoothed(fwhm_mm: float) -> Callable[[Scene, np.ndarray], np.ndarray]:
    """Half-lives of maps smoothed by a Gaussian."""

    def tia(scene: Scene, maps: np.ndarray) -> np.ndarray:
        sigma = fwhm_mm / scanner.FWHM_PER_SIGMA / scene.spacing_mm
        soft = np.stack([gaussian_filter(volume, sigma, truncate=4.0) for volume in maps])
        return with_rates(scene, maps, rates(scene, soft[:, scene.body > 0]))

    return tia


def supervoxels(side: int) -> Callable[[Scene, np.ndarray], np.ndarray]:
    """Half-lives of cubes of voxels."""

    def tia(scene: Scene, maps: np.ndarray) -> np.ndarray:
        body = scene.body > 0
        cubes = np.ravel_multi_index(np.indices(body.shape) // side, [-(-n // side) for n in body.shape])[body]
        sums = np.stack([np.bincount(cubes, weights=volume[body]) for volume in maps])
        return with_rates(scene, maps, rates(scene, sums)[cubes])

    return tia


def of_the_region(scene: Scene, maps: np.ndarray) -> np.ndarray:
    """Half-life of the region that holds most of the voxel."""
    body = scene.body > 0
    fractions = np.stack([fraction[body] for fraction in scene.regions.values()])
    each = np.argmax(fractions, axis=0)
    curves = np.stack([[float((volume[body] * f).sum()) for f in fractions] for volume in maps])
    return with_rates(scene, maps, rates(scene, curves)[each])


def labels_of(scene: Scene) -> np.ndarray:
    """Return the organ or lesion that a voxel mostly lies in, as the product does."""
    labels = np.zeros(scene.body.shape, dtype=np.uint8)
    for number, (name, fraction) in enumerate(scene.regions.items(), start=1):
        if name.startswith(("organ", "lesion")):
            labels[fraction > 0.5] = number
    return labels


def without_regions(scene: Scene, maps: np.ndarray) -> np.ndarray:
    """What the product does where it knows no contours."""
    return product(scene, maps, contours=False)


def product(scene: Scene, maps: np.ndarray, *, contours: bool = True) -> np.ndarray:
    """What the product does."""
    grid = Grid(maps.shape[1:], np.diag([scene.spacing_mm] * 3 + [1.0]), "phantom")
    volumes = [ActivityMap(grid, volume) for volume in maps]
    times_s, moment = [t * HOUR_S for t in scene.times_h], [1e-6] * len(maps)
    regions = labels_of(scene) if contours else None
    found = tia_map(volumes, times_s, NUCLIDE, acquisition_duration_s=moment, mask=scene.body > 0, regions=regions)
    return np.asarray(found.tia.tia_bq_s_per_ml, dtype=float)[scene.body > 0]


METHODS = {
    "own, relative error": own(2),
    "own, as counts": own(1),
    "smoothed 12 mm": smoothed(12.0),
    "smoothed 20 mm": smoothed(20.0),
    "smoothed 30 mm": smoothed(30.0),
    "cubes of 14 mm": supervoxels(3),
    "the region's": of_the_region,
    "product, no contours": without_regions,
    "product": product,
}


def group_of(name: str, fraction: np.ndarray, voxel_ml: float) -> str | None:
    """Return the column of a region; vessels and marrow have none of their own."""
    if name.startswith("lesion"):
        return f"lesions {'from' if float(fraction.sum()) * voxel_ml >= SMALL_ML else 'below'} {SMALL_ML:.0f} mL"
    named = {"organ kidney": "kidneys", "organ liver": "liver", "organ spleen": "spleen", "remainder": "remainder"}
    return next((column for start, column in named.items() if name.startswith(start)), None)


def errors(scene: Scene, tia: np.ndarray) -> dict[str, list[tuple[float, float]]]:
    """Return, by column, error of the voxels (root mean square over mean) and of the region's sum."""
    body, voxel_ml, found = scene.body > 0, (scene.spacing_mm / 10.0) ** 3, defaultdict(list)
    true = scene.tia[body].astype(float)
    for name, fraction in scene.regions.items():
        column, part = group_of(name, fraction, voxel_ml), fraction[body]
        if column:
            inside = part > 0.5
            spread = math.sqrt(float(np.mean((tia - true)[inside] ** 2))) / float(true[inside].mean())
            found[column].append((spread, float((tia * part).sum() / (true * part).sum() - 1.0)))
    return found


def table(scenes: dict[int, Scene], noise: str, methods: list[str], *, moved: bool) -> None:
    """Print one table."""
    columns: list[str] = []
    for method in methods:
        tia_of = METHODS[method]
        rows = defaultdict(list)
        for seed, scene in scenes.items():
            maps = noisy_and_moved(scene, noise, seed, moved=moved)
            for column, values in errors(scene, tia_of(scene, maps)).items():
                rows[column] += values
        if not columns:
            columns = sorted(rows)
            print(f"\nNoise: {noise}{', later scans half a voxel off' if moved else ''}\n")
            print(f"| half-life | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
        cells = [
            f"{100 * np.mean([s for s, _ in rows[c]]):.1f} / {100 * np.mean([b for _, b in rows[c]]):+.1f}"
            for c in columns
        ]
        print(f"| {method} | {' | '.join(cells)} |", flush=True)


def agreement(scenes: dict[int, Scene], noise: str, *, moved: bool) -> None:
    """Print by how much a region's sum in the product's map differs from the fit of the region's own curve."""
    found = defaultdict(list)
    for seed, scene in scenes.items():
        maps = noisy_and_moved(scene, noise, seed, moved=moved)
        tia, body = product(scene, maps), scene.body > 0
        for name, fraction in scene.regions.items():
            values = np.array([float((volume * fraction).sum()) for volume in maps])
            curve = TimeActivityCurve(np.array(scene.times_h) * HOUR_S, values, None)
            off = float((tia * fraction[body]).sum()) / fit_curve(curve, NUCLIDE).tia_bq_s - 1.0
            found[name.split(" ")[0] if name != "remainder" else name].append(off)
    parts = [f"{kind} {100 * np.mean(v):+.1f} ({100 * np.max(np.abs(v)):.1f})" for kind, v in sorted(found.items())]
    print(f"\nMap against curve, noise {noise}, mean (largest) in %: {', '.join(parts)}", flush=True)


def sphere_maps(lesion: tuple[float, float, float], noise: float, seed: int) -> tuple[np.ndarray, ...]:
    """Return maps, TIA per voxel and mask of a sphere: mL, half-life in it and around it; five times as active."""
    (volume_ml, own_h, around_h), shape = lesion, (40, 40, 40)
    radius = (3e3 * volume_ml / 4.0 / math.pi) ** (1.0 / 3.0) / SPHERE_SIDE_MM
    inside = sum((axis - 20.0) ** 2 for axis in np.indices(shape)) <= radius**2
    width, grain_width = (fwhm / scanner.FWHM_PER_SIGMA / SPHERE_SIDE_MM for fwhm in (12.0, 5.0))
    rng, maps = np.random.default_rng(seed), []
    for hours in SPHERE_TIMES_H:
        values = np.where(inside, 5.0 * 2.0 ** (-hours / own_h), 2.0 ** (-hours / around_h))
        clean, grain = gaussian_filter(values, width), gaussian_filter(rng.standard_normal(shape), grain_width)
        maps.append(clean + noise * np.sqrt(0.3 * clean * clean.max()) * grain / grain.std())
    true = gaussian_filter(np.where(inside, 5.0 * own_h, around_h), width) * HOUR_S / math.log(2.0)
    return 1e5 * np.stack(maps), 1e5 * true, inside


def sphere_errors(maps: np.ndarray, true: np.ndarray, inside: np.ndarray, regions: np.ndarray | None) -> list[float]:
    """Return mean error of a sphere's voxels, its root mean square, the mean stated sigma, and how many it covers."""
    grid = Grid(inside.shape, np.diag([SPHERE_SIDE_MM] * 3 + [1.0]), "sphere")
    volumes = [ActivityMap(grid, volume.astype(np.float32)) for volume in maps]
    times_s = [t * HOUR_S for t in SPHERE_TIMES_H]
    found = tia_map(volumes, times_s, NUCLIDE, acquisition_duration_s=[1.0] * 3, regions=regions)
    off, sigma = (found.tia.tia_bq_s_per_ml / true - 1.0)[inside], found.tia_relative_sigma[inside]
    covered = np.mean(np.abs(off) <= 1.96 * sigma)
    return [float(v) for v in (off.mean(), np.sqrt(np.mean(off**2)), sigma.mean(), covered)]


def spheres(seeds: int) -> None:
    """Print how far voxels of a lesion among tissue of another half-life are off, and how often sigma covers it."""
    print(f"Lesion in tissue, {seeds} seeds: mean error / error / stated sigma / within 1.96 sigma, in %\n")
    print("| mL | half-life h | around h | noise % | shared across the border | inside the contour |")
    print(f"|{'---|' * 6}")
    for lesion, noise in SPHERES:
        scenes = [sphere_maps(lesion, noise, seed) for seed in range(seeds)]
        across = [sphere_errors(*scene, None) for scene in scenes]
        within = [sphere_errors(*scene, scene[2].astype(np.uint8)) for scene in scenes]
        means = [100.0 * np.mean(each, axis=0) for each in (across, within)]
        told = [f"{e:+.1f} / {s:.1f} / {u:.1f} / {c:.0f}" for e, s, u, c in means]
        print(f"| {' | '.join(f'{v:.0f}' for v in (*lesion, 100 * noise))} | {' | '.join(told)} |", flush=True)


def main() -> None:
    """Print the tables as Markdown: voxel error / bias of the region's sum, in %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", nargs="+", default=["none", "phantom", "twice", "15 % everywhere"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--moved", action="store_true")
    parser.add_argument("--agreement", action="store_true", help="only the map against the regions' curves")
    parser.add_argument("--spheres", action="store_true", help="only lesions among tissue of another half-life")
    options = parser.parse_args()
    if options.spheres:
        spheres(options.seeds)
        return
    scenes = {seed: scene_of(seed) for seed in range(1, options.seeds + 1)}
    print(f"{options.seeds} seeds; error of the voxels (root mean square over mean) / bias of the region's sum, in %")
    for noise in options.noise:
        if not options.agreement:
            table(scenes, noise, options.methods, moved=options.moved)
        agreement(scenes, noise, moved=options.moved)


if __name__ == "__main__":
    main()
