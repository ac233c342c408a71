"""Chapter: the GPU gives the dose of the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kernels.backend import cpu_backend
from pipeline.physics.commissioning.convolution import SCENES, engine_dose, scene_of
from pipeline.physics.commissioning.rows import Chapter, Row, compared, not_run

if TYPE_CHECKING:
    from pipeline.physics.commissioning.bench import Bench
    from pipeline.physics.commissioning.convolution import Scene

TOLERANCE = 1e-4
SOURCE = "the same dose on the CPU, here"


def rows(bench: Bench) -> tuple[Row, ...]:
    """Return the worst voxel of each scene, or why there is none."""
    return tuple(_of_scene(bench, scene_of(*described)) for described in SCENES)


def _of_scene(bench: Bench, scene: Scene) -> Row:
    size = " x ".join(f"{side:g}" for side in scene.spacing_mm)
    what = f"{scene.nuclide}, {size} mm: worst voxel GPU - CPU, of the maximum"
    if bench.gpu is None:
        return not_run(what, "", SOURCE, tolerance=TOLERANCE, reason=bench.gpu_missing)
    host, device = engine_dose(bench, scene, cpu_backend()), engine_dose(bench, scene, bench.gpu)
    worst = float(np.abs(device - host).max() / host.max())
    return compared(what, worst, 0.0, "", SOURCE, tolerance=TOLERANCE, reason="float32 on both", comparison="absolute")


CHAPTER = Chapter(
    "gpu",
    "GPU against CPU",
    "The same code on both: the dose of every voxel is compared. Not run where there is no GPU.",
    rows,
)
