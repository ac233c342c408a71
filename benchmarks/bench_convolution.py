"""Kernel convolution against the usual recipe, round robin in one process: ratios, not seconds.

    python benchmarks/bench_convolution.py --size 128 --rounds 5
    python benchmarks/bench_convolution.py --size 256 --voxel 2.4 --reach 125 --rounds 3

The volume is a torso-like cylinder in a cube, about a seventh of it; the kernel reaches through the whole cube unless
``--reach`` (steps) says less (125 of 2.4 mm are 30 cm, the longest that the usual recipe bears at 256). Each round has
each method once; the ratio is the median over rounds of usual / method, by the clock and by processor time.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import scipy.signal

from kernels.convolve import convolution_bytes, convolve_octant, convolve_small, convolve_spectra, kernel_spectrum
from pipeline.files.nuclide_tables import load_point_kernel
from pipeline.physics.dose.dose_kernel import voxel_s_values, with_bremsstrahlung_as_photons
from pipeline.physics.dose.dose_map import body_box

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

USUAL = "scipy.signal.fftconvolve, float64, whole cube"


def torso(size: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return a body mask of about a seventh of the cube, and a TIA with two hot organs in it."""
    place = (np.arange(size) + 0.5) / size - 0.5
    z, y, x = np.meshgrid(place, place, place, indexing="ij", sparse=True)
    body = ((y / 0.21) ** 2 + (x / 0.32) ** 2 <= 1) & (np.abs(z) < 0.33)
    hot = ((y - 0.08) ** 2 + (np.abs(x) - 0.15) ** 2 + z**2) < 0.06**2
    return body, np.where(body, 1.0, 0.0) + np.where(hot, 30.0, 0.0)


def timed(method: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of one run: on the clock, and of processor time (all threads; other jobs do not count)."""
    begin, worked = time.perf_counter(), time.process_time()
    method()
    return time.perf_counter() - begin, time.process_time() - worked


def peak_bytes(method: Callable[[], object]) -> int:
    """Return the most memory that one run takes beyond what was there (NumPy's arrays, by tracemalloc)."""
    tracemalloc.start()
    method()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def methods_for(size: int, side_mm: float, reach: int) -> dict[str, Callable[[], NDArray[np.floating]]]:
    """Return the methods to compare; each gives the photon dose (the last one electrons too) of the body."""
    body, tia = torso(size)
    kernel = with_bremsstrahlung_as_photons(load_point_kernel("Lu-177"))
    s_values = voxel_s_values(kernel, (side_mm,) * 3, (reach,) * 3)
    octant = s_values.photon_gy_per_bq_s
    whole = np.pad(octant, [(reach, 0)] * 3, mode="reflect")
    small = s_values.electron_gy_per_bq_s[:2, :2, :2].astype(np.float32)
    single, octant_single = tia.astype(np.float32), octant.astype(np.float32)
    box = body_box(body)
    cropped = np.ascontiguousarray(single[box])
    shape = (cropped.shape[0], cropped.shape[1], cropped.shape[2])
    kept = kernel_spectrum(octant_single, shape)
    print(f"box {shape}; stated memory {convolution_bytes(shape, (reach,) * 3) / 1e6:.0f} MB cropped, ", end="")
    print(f"{convolution_bytes((size,) * 3, (reach,) * 3) / 1e6:.0f} MB whole")
    return {
        USUAL: lambda: scipy.signal.fftconvolve(tia, whole, mode="same")[box],
        "circular real FFT, float32, whole cube": lambda: convolve_octant(single, octant_single)[box],
        "cropped to the body": lambda: convolve_octant(cropped, octant_single),
        "cropped, kept spectrum": lambda: convolve_spectra(cropped, (kept,))[0],
        "cropped, kept spectrum, and electrons 3^3": lambda: (
            convolve_small(cropped, small),
            convolve_spectra(cropped, (kept,))[0],
        )[1],
    }


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--voxel", type=float, default=4.8, help="side in mm")
    parser.add_argument("--reach", type=int, help="of the kernel in steps; the whole cube without it")
    options = parser.parse_args()
    reach = options.size - 1 if options.reach is None else options.reach
    methods = methods_for(options.size, options.voxel, reach)
    truth = methods[USUAL]()
    errors = {name: float(np.abs(method() - truth).max() / truth.max()) for name, method in methods.items()}
    peaks = {name: peak_bytes(method) for name, method in methods.items()}
    seconds = {name: np.zeros((options.rounds, 2)) for name in methods}
    for turn in range(options.rounds):
        for name, method in methods.items():
            seconds[name][turn] = timed(method)
    print(f"{'method':48} {'ratio':>7} {'cpu':>7} {'median s':>9} {'max error':>10} {'peak MB':>8}")
    for name, runs in seconds.items():
        clock, worked = np.median(seconds[USUAL] / runs, axis=0)
        print(
            f"{name:48} {clock:7.1f} {worked:7.1f} {np.median(runs[:, 0]):9.3f} {errors[name]:10.1e} "
            f"{peaks[name] / 1e6:8.0f}"
        )


if __name__ == "__main__":
    main()
