"""Look-ups, histograms and kernels against the usual recipes, round robin in one process: ratios, not seconds.

    python benchmarks/bench_maps.py --size 128 --rounds 5

Density: a Python loop over voxels with the branches of a density curve (timed on a part and scaled to the whole),
``searchsorted``, and our table. Label statistics and dose-volume histograms: one mask for each label against one pass.
Voxel kernels: integrated anew against read from the cache. Every candidate's numbers are held against the recipe's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.files.kernel_cache import KernelCache
from pipeline.files.nuclide_tables import load_point_kernel
from pipeline.physics.dose.density import density_from_hu
from pipeline.physics.dose.dose_kernel import voxel_s_values, with_bremsstrahlung_as_photons
from pipeline.physics.dose.dvh import cumulative_dvh
from pipeline.physics.dose.region_dose import region_statistics

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# Schneider et al., Phys Med Biol 45:459, 2000, as a rising curve: HU, g/cm3.
CURVE = ((-1000, 0.00121), (-98, 0.93), (14, 1.03), (100, 1.12), (1600, 1.964), (3000, 2.8))
LOOPED_VOXELS = 20_000
# The processor's clock ticks in milliseconds.
SHORTEST_S = 0.1


def looped(hu: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return densities by a loop over voxels and nodes, as scripts do."""
    out = np.zeros(hu.size)
    for index, value in enumerate(hu.ravel()):
        for (low, at_low), (high, at_high) in pairwise(CURVE):
            if low <= value <= high:
                out[index] = at_low + (at_high - at_low) * (value - low) / (high - low)
                break
    return out.reshape(hu.shape)


def searched(hu: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return densities by ``searchsorted`` and linear interpolation in double precision."""
    nodes, densities = np.array(CURVE).T
    place = np.clip(np.searchsorted(nodes, hu) - 1, 0, nodes.size - 2)
    part = (hu - nodes[place]) / (nodes[place + 1] - nodes[place])
    return densities[place] + part * (densities[place + 1] - densities[place])


def dvh_by_thresholds(dose: NDArray[np.float32], inside: NDArray[np.bool_], points: int = 101) -> NDArray[np.float64]:
    """Return a DVH by one pass over the whole volume for each dose level."""
    levels = np.linspace(0.0, float(dose[inside].max()), points)
    return np.array([np.count_nonzero((dose >= level) & inside) / np.count_nonzero(inside) for level in levels])


def seconds(method: Callable[[], object]) -> NDArray[np.float64]:
    """Return the seconds of one call, on the clock and of processor time, over as many calls as last a tenth second."""
    calls, begin, worked = 0, time.perf_counter(), time.process_time()
    while calls == 0 or time.perf_counter() - begin < SHORTEST_S:
        method()
        calls += 1
    return np.array([time.perf_counter() - begin, time.process_time() - worked]) / calls


def report(
    title: str, usual: Callable[[], object], ours: dict[str, Callable[[], object]], rounds: int, scale: float = 1
) -> None:
    """Print the ratios of one comparison; runs of both sides take turns."""
    methods = {"usual": usual} | ours
    runs = {name: [] for name in methods}
    for _ in range(rounds):
        for name, method in methods.items():
            runs[name].append(seconds(method) * (scale if name == "usual" else 1.0))
    base = np.array(runs["usual"])
    for name in methods:
        clock, worked = np.median(base / np.array(runs[name]), axis=0)
        print(f"{title:28} {name:34} {clock:9.1f} {worked:9.1f} {np.median(np.array(runs[name])[:, 0]):10.5f}")


def density(size: int, rounds: int, random: np.random.Generator) -> None:
    """Compare the density look-ups."""
    hu = random.integers(-1000, 1600, (size, size, size)).astype(np.int16)
    few = hu.ravel()[:LOOPED_VOXELS]
    found = density_from_hu(few, CURVE)
    assert np.abs(found - looped(few)).max() < 1e-6
    assert np.abs(found - searched(few)).max() < 1e-6
    methods = {
        "searchsorted, float64": lambda: searched(hu),
        "table (density_from_hu)": lambda: density_from_hu(hu, CURVE),
    }
    report("density, loop over voxels", lambda: looped(few), methods, rounds, hu.size / few.size)


def histograms(size: int, rounds: int, random: np.random.Generator) -> None:
    """Compare dose-volume histograms and statistics of one organ in the whole volume."""
    dose = random.gamma(4.0, 1.0, (size, size, size)).astype(np.float32)
    place = (np.arange(size) + 0.5) / size - 0.5
    z, y, x = np.meshgrid(place, place, place, indexing="ij", sparse=True)
    inside = z**2 + (y - 0.1) ** 2 + x**2 < 0.12**2
    weight = inside.astype(np.float32)
    assert np.abs(cumulative_dvh(dose, weight)[1] - dvh_by_thresholds(dose, inside)).max() < 1e-12
    report(
        "DVH, a mask for each level",
        lambda: dvh_by_thresholds(dose, inside),
        {"sorted once (cumulative_dvh)": lambda: cumulative_dvh(dose, weight)},
        rounds,
    )
    ones = np.ones_like(dose)
    found = region_statistics(dose, ones, weight)
    assert abs(found.mean_gy - dose[inside].mean(dtype=np.float64)) < 1e-9
    report(
        "mean, sigma, D2, D50, D98",
        lambda: (dose[inside].mean(), dose[inside].std(), np.percentile(dose[inside], [2, 50, 98])),
        {"weighted by mass (region_statistics)": lambda: region_statistics(dose, ones, weight)},
        rounds,
    )


def kernels(size: int, rounds: int) -> None:
    """Compare a voxel kernel integrated anew with one from the cache."""
    kernel = with_bremsstrahlung_as_photons(load_point_kernel("Lu-177"))
    extent = (size - 1, size - 1, size - 1)
    with tempfile.TemporaryDirectory() as folder:
        kept = KernelCache(Path(folder))
        first = kept(kernel, (4.8, 4.8, 4.8), extent)
        again = kept(kernel, (4.8, 4.8, 4.8), extent)
        assert np.array_equal(first.photon_gy_per_bq_s, again.photon_gy_per_bq_s)
        report(
            f"voxel kernel, {size} steps",
            lambda: voxel_s_values(kernel, (4.8, 4.8, 4.8), extent),
            {"from the cache": lambda: kept(kernel, (4.8, 4.8, 4.8), extent)},
            rounds,
        )


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    random = np.random.default_rng(6)
    print(f"{'against':28} {'method':34} {'ratio':>9} {'cpu':>9} {'median s':>10}")
    density(options.size, options.rounds, random)
    histograms(options.size, options.rounds, random)
    kernels(options.size, options.rounds)


if __name__ == "__main__":
    main()
