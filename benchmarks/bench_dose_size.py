"""Cost of a voxel dose against the size of the volume: seconds, processor time, memory stated and measured; a plot.

    python benchmarks/bench_dose_size.py --sizes 64 96 128 192 256 384 512 --out docs/pictures/dose-size.png

A torso of about a seventh of the cube, cropped to its box; the voxel shrinks as the cube grows (61 cm), so the kernel
always reaches through the whole body. The first run integrates the voxel kernel and files it, the second finds it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench_convolution import torso

from kernels.backend import choose_backend
from pipeline.domain.geometry import Grid
from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.files.kernel_cache import KernelCache
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.physics.dose.dose_map import absorbed_dose
from pipeline.report import style

FIELD_MM = 614.4
BYTES_PER_MB = 1e6


@dataclass(frozen=True)
class Cost:
    """What one size took; memory beyond the maps that were given and returned."""

    size: int
    box_voxels: int
    first_s: float
    again_s: float
    again_cpu_s: float
    stated_mb: float
    peak_mb: float


def maps_of(size: int) -> tuple[TiaMap, DensityMap]:
    """Return a TIA and a density map of a torso."""
    body, tia = torso(size)
    side = FIELD_MM / size
    grid = Grid((size, size, size), np.diag([side, side, side, 1.0]), "1.2.3")
    return TiaMap(grid, (tia * 1e9).astype(np.float32)), DensityMap(
        grid, np.where(body, 1.04, 0.001).astype(np.float32)
    )


def cost_of(size: int) -> Cost:
    """Measure one size."""
    tia, density = maps_of(size)
    nuclide, point_kernel, backend = load_nuclide("Lu-177"), load_point_kernel("Lu-177"), choose_backend("cpu")
    with tempfile.TemporaryDirectory() as folder:

        def run() -> tuple[float, float, object]:
            begin, worked = time.perf_counter(), time.process_time()
            kernels = KernelCache(Path(folder))
            result = absorbed_dose(tia, density, nuclide, point_kernel, backend, voxel_kernels=kernels)
            return time.perf_counter() - begin, time.process_time() - worked, result

        first_s = run()[0]
        again = [run()[:2] for _ in range(3 if size <= 256 else 1)]
        tracemalloc.start()
        result = run()[2]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # The result's three maps, two of them being made beside their box, are what was asked for.
    maps_bytes = 3 * result.dose.dose_gy.nbytes
    seconds, worked = np.median(again, axis=0)
    box = int(np.count_nonzero(density.density_g_per_cm3 > 0.1))
    return Cost(
        size, box, first_s, seconds, worked, result.memory_bytes / BYTES_PER_MB, (peak - maps_bytes) / BYTES_PER_MB
    )


def plot(costs: list[Cost], out: Path) -> None:
    """Draw time and memory against the number of voxels."""
    voxels = [cost.size**3 for cost in costs]
    with style.house_style():
        figure = style.new_figure(style.TEXT_WIDTH_INCH, 2.6)
        left, right = figure.subplots(1, 2)
        for name, values, marker in (
            ("first dose on a grid", [cost.first_s for cost in costs], "o"),
            ("kernel from the cache", [cost.again_s for cost in costs], "s"),
        ):
            left.plot(voxels, values, marker=marker, markersize=3, label=name)
        left.set_ylabel("s")
        left.set_title("Voxel dose, body box")
        right.plot(voxels, [cost.stated_mb for cost in costs], marker="o", markersize=3, label="stated before the run")
        right.plot(voxels, [cost.peak_mb for cost in costs], marker="s", markersize=3, label="measured beyond the maps")
        right.set_ylabel("MB")
        right.set_title("Memory")
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks(voxels, [f"{cost.size}³" for cost in costs], minor=False)
            axes.minorticks_off()
            axes.legend()
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(style.png_of(figure))


def main() -> None:
    """Run, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 128, 192, 256])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    costs = []
    print(f"{'size':>5} {'body':>10} {'first s':>8} {'again s':>8} {'cpu s':>8} {'stated MB':>10} {'peak MB':>8}")
    for size in options.sizes:
        cost = cost_of(size)
        costs.append(cost)
        print(
            f"{cost.size:5} {cost.box_voxels:10} {cost.first_s:8.3f} {cost.again_s:8.3f} {cost.again_cpu_s:8.3f} "
            f"{cost.stated_mb:10.0f} {cost.peak_mb:8.0f}",
            flush=True,
        )
    if options.out:
        plot(costs, options.out)


if __name__ == "__main__":
    main()
