"""Voxel fits with standard errors against a loop of ``scipy.optimize.curve_fit``, side by side in one process.

Run: ``python benchmarks/bench_voxel_fit.py`` (about a minute on two quiet cores; ``--refits 0`` leaves the refits out).

Every round times a sample of the loop, a sample of the bounded loop and the batched fit of all voxels, one after the
other; the ratio is taken within the round, so that a machine that changes its speed changes both. Where other jobs take
the cores, two threads get no more of them than one: then only the ratio of processor time tells; on two cores of one's
own the wall clock gains up to twice that. Optima are compared
with ``curve_fit`` at ftol = xtol = 1e-12.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
import tracemalloc
from typing import Any

import numpy as np
from scipy.optimize import curve_fit

from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.voxel_fits import VoxelFits, fit_voxels, refitted_tia

HOUR_S = 3600.0
TIMES_H = np.array([24.0, 96.0, 168.0])
LOOP, BOUNDED_LOOP = 400, 60


def curves(voxels: int, relative: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return true values, noisy ones and sigmas of half-lives from 30 to 110 h, shape (3, voxels)."""
    rng = np.random.default_rng(seed)
    half_life_h = rng.uniform(30.0, 110.0, voxels)
    true = rng.uniform(1e3, 1e5, voxels) * 2.0 ** (-TIMES_H[:, None] / half_life_h)
    sigma = relative * true * rng.uniform(0.7, 1.3, true.shape)
    return true, true + sigma * rng.standard_normal(true.shape), sigma


def exponential(time_h: np.ndarray, amplitude: float, rate: float) -> np.ndarray:
    """Return A exp(-r t)."""
    return amplitude * np.exp(-rate * time_h)


def looped(
    values: np.ndarray, sigma: np.ndarray, bounds_per_h: tuple[float, float] | None, **options: Any
) -> list[Any]:
    """Fit voxel by voxel with a good start: the line through the logarithms of the first and last value."""
    found = []
    for y, s in zip(values.T, sigma.T, strict=True):
        rate = float(np.clip(math.log(max(y[0], 1e-9) / max(y[-1], 1e-9)) / (TIMES_H[-1] - TIMES_H[0]), 0.0045, 0.069))
        start = (y[0] * math.exp(rate * TIMES_H[0]), rate)
        limits = {} if bounds_per_h is None else {"bounds": ([0.0, bounds_per_h[0]], [np.inf, bounds_per_h[1]])}
        found.append(curve_fit(exponential, TIMES_H, y, start, s, absolute_sigma=True, **limits, **options))
    return found


def seconds_per_voxel(work: Any, voxels: int) -> tuple[float, float]:
    """Return wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) / voxels, (time.process_time() - processor) / voxels


def differences(values: np.ndarray, sigma: np.ndarray, fits: VoxelFits, bounds_per_h: tuple[float, float]) -> str:
    """Compare TIA and its sigma with the converged loop, where that lies inside the bounds."""
    tia, spread = [], []
    for number, (parameters, covariance) in enumerate(
        looped(values, sigma, None, ftol=1e-12, xtol=1e-12, maxfev=10_000)
    ):
        a, r = parameters
        if not bounds_per_h[0] < r < bounds_per_h[1]:
            continue
        area = a / r * HOUR_S
        relative = math.sqrt(covariance[0, 0] / a**2 + covariance[1, 1] / r**2 - 2.0 * covariance[0, 1] / (a * r))
        tia.append(abs(fits.tia_bq_s_per_ml[number] / area - 1.0))
        spread.append(abs(fits.tia_sigma_bq_s_per_ml[number] / (area * relative) - 1.0))
    p50, p99 = np.percentile(tia, [50, 99])
    return f"{p50:.0e} / {p99:.0e} | {np.percentile(spread, 99):.0e} | {len(tia)} of {values.shape[1]}"


def compare(voxels: int, relative: float, rounds: int) -> None:
    """Print one row of the table."""
    nuclide = load_nuclide("Lu-177")
    bounds = (nuclide.decay_constant_per_s * HOUR_S, math.log(2.0) / 10.0)
    _, values, sigma = curves(voxels, relative)
    ours: list[VoxelFits] = []
    wall, processor, bounded, rates = [], [], [], []
    for number in range(rounds):
        part, small = slice(number * LOOP, (number + 1) * LOOP), slice(number * LOOP, number * LOOP + BOUNDED_LOOP)
        loop = seconds_per_voxel(lambda p=part: looped(values[:, p], sigma[:, p], None, maxfev=10_000), LOOP)
        batch = seconds_per_voxel(lambda: ours.append(fit_voxels(values, TIMES_H * HOUR_S, nuclide, sigma)), voxels)
        tight = seconds_per_voxel(lambda p=small: looped(values[:, p], sigma[:, p], bounds), BOUNDED_LOOP)
        wall.append(loop[0] / batch[0])
        processor.append(loop[1] / batch[1])
        bounded.append(tight[0] / batch[0])
        rates.append(1.0 / batch[0])
        del ours[:-1]
    median = statistics.median
    first = slice(0, LOOP * 3)
    print(
        f"| {relative:.0%} | {median(rates):.2g} | {median(wall):.0f} ({min(wall):.0f}-{max(wall):.0f}) "
        f"| {median(processor):.0f} | {median(bounded):.0f} "
        f"| {differences(values[:, first], sigma[:, first], ours[-1], bounds)} |",
        flush=True,
    )


def refit(voxels: int, refits: int) -> None:
    """Print time and agreement of Monte Carlo refits."""
    nuclide = load_nuclide("Lu-177")
    true, _, sigma = curves(voxels, 0.08)
    stated = fit_voxels(true, TIMES_H * HOUR_S, nuclide, sigma)
    wall, processor = time.perf_counter(), time.process_time()
    _, deviation = refitted_tia(true, TIMES_H * HOUR_S, nuclide, sigma, refits=refits)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    ratio = float(np.median(deviation / stated.tia_sigma_bq_s_per_ml))
    print(
        f"| {voxels} | {refits} | {wall:.1f} | {processor:.1f} | {voxels * refits / wall:.2g} | {ratio:.3f} |",
        flush=True,
    )


def memory(voxels: int) -> None:
    """Print the bytes a voxel above input and output."""
    _, values, sigma = curves(voxels, 0.08)
    tracemalloc.start()
    fit_voxels(values, TIMES_H * HOUR_S, load_nuclide("Lu-177"), sigma)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"\n{(peak - 48 * voxels) / voxels:.1f} bytes a voxel above input and output ({voxels} voxels)")


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--refits", type=int, default=200)
    options = parser.parse_args()
    print("| errors | voxels/s | ratio to curve_fit (range) | of processor time | to bounded curve_fit ", end="")
    print("| TIA p50 / p99 | sigma p99 | compared |\n|---|---|---|---|---|---|---|---|")
    for relative in (0.05, 0.1, 0.2):
        compare(options.voxels, relative, options.rounds)
    if options.refits:
        print("\n| voxels | refits | s | processor s | fits/s | deviation / stated sigma (median) |", end="")
        print("\n|---|---|---|---|---|---|")
        refit(options.voxels, options.refits)
    memory(options.voxels)


if __name__ == "__main__":
    main()
