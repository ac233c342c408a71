"""``prrt dose`` on a 128^3 map from a cold process against importing its dependencies alone; processes take turns.

    python benchmarks/bench_dose_start.py --rounds 5

The ratio is the median over rounds, by the clock and by processor time (user and system, children included).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_convolution import torso

from pipeline.domain.geometry import Grid
from pipeline.files.nifti import write_volume

# What a dose from files cannot be computed without, imported and nothing else.
DEPENDENCIES = "import numpy, scipy.fft, scipy.ndimage, nibabel, typer, rich, array_api_compat"


def run(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Return the seconds of one process, on the clock and of processor time."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def maps_in(folder: Path, size: int) -> tuple[Path, Path]:
    """Write a TIA and a density map as float32 NIfTI and return their paths."""
    body, tia = torso(size)
    grid = Grid((size, size, size), np.diag([4.8, 4.8, 4.8, 1.0]), "")
    paths = folder / "tia.nii.gz", folder / "density.nii.gz"
    write_volume(paths[0], (tia * 1e9).astype(np.float32), grid)
    write_volume(paths[1], np.where(body, 1.04, 0.001).astype(np.float32), grid)
    return paths


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tia, density = maps_in(folder, options.size)
        environment = os.environ | {"PRRT_CACHE": str(folder / "cache")}
        prrt = [sys.executable, "-c", "from pipeline.cli import main; main()", "dose", "--nuclide", "Lu-177", "--json"]
        prrt += ["--tia", str(tia), "--density", str(density), "--out", str(folder / "dose.nii.gz"), "--backend", "cpu"]
        imports = [sys.executable, "-c", DEPENDENCIES]
        run(imports, environment)
        first = run(prrt, environment)
        rounds = [(run(imports, environment), run(prrt, environment)) for _ in range(options.rounds)]
    base, dose = (np.array([pair[side] for pair in rounds]) for side in (0, 1))
    print(f"{'':34} {'s':>7} {'cpu s':>7} {'ratio':>6} {'cpu':>6}")
    for title, runs in (("imports alone", base), ("prrt dose, kernel from the cache", dose)):
        clock, worked = np.median(runs / base, axis=0)
        print(f"{title:34} {np.median(runs[:, 0]):7.2f} {np.median(runs[:, 1]):7.2f} {clock:6.2f} {worked:6.2f}")
    print(f"{'prrt dose, first on this grid':34} {first[0]:7.2f} {first[1]:7.2f}")


if __name__ == "__main__":
    main()
