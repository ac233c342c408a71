"""Voxel fits with standard errors against a loop of ``scipy.optimize.curve_fit``, side by side in one process.

Run: ``python benchmarks/bench_voxel_fit.py`` (about a minute on two quiet cores; ``--refits 0`` leaves the refits out).

Every round times a sample of the loop, the batched fit of all voxels by each engine (NumPy; machine code where the
extra ``compiled`` is installed) and a sample of the bounded loop, one after the other; ratios are taken within the
round, so that a machine that changes its speed changes both. Where other jobs take the cores, two threads get no more
of them than one: then only the ratio of processor time tells; on two cores of one's own the wall clock gains up to
twice that. Optima are compared with ``curve_fit`` at ftol = xtol = 1e-12. The start of the machine code is timed in
processes of their own.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from typing import Any

import numpy as np
from scipy.optimize import curve_fit

from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.voxels.fits import EngineUsed, VoxelFits, fit_voxels, refitted_tia

HOUR_S = 3600.0
TIMES_H = np.array([24.0, 96.0, 168.0])
LOOP, BOUNDED_LOOP = 400, 60
# Batched fits of an engine in a round; their mean counts.
BATCHES = 5
ENGINES: list[EngineUsed] = ["numpy", "compiled"] if importlib.util.find_spec("numba") else ["numpy"]
START = """
import time
import numpy as np
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.voxels.fits import fit_voxels
lu, ones = load_nuclide("Lu-177"), np.ones((3, 10))
start = time.perf_counter()
fit_voxels(ones, [1e5, 3e5, 6e5], lu, ones, engine="compiled")
print(time.perf_counter() - start)
"""


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
    """Print the rows of one size of errors, one for each engine."""
    nuclide = load_nuclide("Lu-177")
    bounds = (nuclide.decay_constant_per_s * HOUR_S, math.log(2.0) / 10.0)
    _, values, sigma = curves(voxels, relative)
    fits = {engine: fit_voxels(values, TIMES_H * HOUR_S, nuclide, sigma, engine=engine) for engine in ENGINES}
    ratios: dict[str, list[tuple[float, float, float, float]]] = {engine: [] for engine in ENGINES}
    for number in range(rounds):
        part, small = slice(number * LOOP, (number + 1) * LOOP), slice(number * LOOP, number * LOOP + BOUNDED_LOOP)
        loop = seconds_per_voxel(lambda p=part: looped(values[:, p], sigma[:, p], None, maxfev=10_000), LOOP)
        batch = {engine: batches(values, sigma, engine) for engine in ENGINES}
        tight = seconds_per_voxel(lambda p=small: looped(values[:, p], sigma[:, p], bounds), BOUNDED_LOOP)
        for engine, (wall, processor) in batch.items():
            ratios[engine].append((1.0 / wall, loop[0] / wall, loop[1] / processor, tight[0] / wall))
    for engine in ENGINES:
        rate, clock, processor, bounded = (statistics.median(column) for column in zip(*ratios[engine], strict=True))
        span = [row[1] for row in ratios[engine]]
        first = slice(0, LOOP * 3)
        print(
            f"| {relative:.0%} | {engine} | {rate:.2g} | {clock:.0f} ({min(span):.0f}-{max(span):.0f}) "
            f"| {processor:.0f} | {bounded:.0f} "
            f"| {differences(values[:, first], sigma[:, first], fits[engine], bounds)} |",
            flush=True,
        )


def batches(values: np.ndarray, sigma: np.ndarray, engine: EngineUsed) -> tuple[float, float]:
    """Return wall and processor seconds a voxel, the mean of some fits of all voxels."""
    nuclide = load_nuclide("Lu-177")

    def work() -> None:
        for _ in range(BATCHES):
            fit_voxels(values, TIMES_H * HOUR_S, nuclide, sigma, engine=engine)

    return seconds_per_voxel(work, BATCHES * values.shape[1])


def refit(voxels: int, refits: int) -> None:
    """Print time and agreement of Monte Carlo refits, a row for each engine."""
    nuclide = load_nuclide("Lu-177")
    true, _, sigma = curves(voxels, 0.08)
    stated = fit_voxels(true, TIMES_H * HOUR_S, nuclide, sigma)
    for engine in ENGINES:
        refitted_tia(true[:, :10], TIMES_H * HOUR_S, nuclide, sigma[:, :10], refits=1, engine=engine)
        wall, processor = time.perf_counter(), time.process_time()
        found = refitted_tia(true, TIMES_H * HOUR_S, nuclide, sigma, refits=refits, engine=engine)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        ratio = float(np.median(found.deviation_bq_s_per_ml / stated.tia_sigma_bq_s_per_ml))
        print(
            f"| {voxels} | {refits} | {engine} | {wall:.1f} | {processor:.1f} | {voxels * refits / wall:.2g} "
            f"| {ratio:.3f} |",
            flush=True,
        )


def noise(voxels: int, refits: int) -> None:
    """Print the processor time of the refits' random numbers alone."""
    random, block, start = np.random.default_rng(1), np.empty((len(TIMES_H), 5120)), time.process_time()
    for _ in range(200):
        random.standard_normal(out=block)
    each = (time.process_time() - start) / 200 / block.size
    print(f"\nof these {each * len(TIMES_H) * voxels * refits:.1f} processor s for the random numbers")


def memory(voxels: int) -> None:
    """Print the bytes a voxel above input and output."""
    _, values, sigma = curves(voxels, 0.08)
    for engine in ENGINES:
        tracemalloc.start()
        fit_voxels(values, TIMES_H * HOUR_S, load_nuclide("Lu-177"), sigma, engine=engine)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"\n{engine}: {(peak - 48 * voxels) / voxels:.1f} bytes a voxel above input and output ({voxels} voxels)")


def start() -> None:
    """Print the seconds of a first fit in fresh processes: with nothing on disk, and with machine code kept there."""
    with tempfile.TemporaryDirectory() as folder:
        given = os.environ | {"NUMBA_CACHE_DIR": folder}
        run = [
            float(subprocess.run([sys.executable, "-c", START], env=given, capture_output=True, check=True).stdout)
            for _ in range(4)
        ]
    print(f"\nmachine code: first fit after {run[0]:.1f} s (compiled), later {statistics.median(run[1:]):.2f} s (kept)")


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--refits", type=int, default=200)
    options = parser.parse_args()
    print(
        "| errors | engine | voxels/s | ratio to curve_fit (range) | of processor time | to bounded curve_fit ", end=""
    )
    print("| TIA p50 / p99 | sigma p99 | compared |\n|---|---|---|---|---|---|---|---|---|")
    for relative in (0.05, 0.1, 0.2):
        compare(options.voxels, relative, options.rounds)
    if options.refits:
        print("\n| voxels | refits | engine | s | processor s | fits/s | deviation / stated sigma (median) |", end="")
        print("\n|---|---|---|---|---|---|---|")
        refit(options.voxels, options.refits)
        noise(options.voxels, options.refits)
    memory(options.voxels)
    if "compiled" in ENGINES:
        start()


if __name__ == "__main__":
    main()
