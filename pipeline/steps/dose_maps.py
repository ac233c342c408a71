"""``prrt dose``: a dose map from a TIA map and a density map as files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.errors import RefusalError, require
from pipeline.files.nifti import read_volume, write_volume
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.physics.dose import absorbed_dose
from pipeline.physics.dose_uncertainty import S_VALUE_RELATIVE_SIGMA
from pipeline.steps.compute import backend_or_refuse

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid


@dataclass(frozen=True)
class DoseMapRequest:
    """What ``prrt dose`` was asked to do."""

    tia: Path
    density: Path
    nuclide: str
    out: Path
    engine: str
    backend: str
    seed: int
    precision: float | None
    labels: Path | None
    materials: Path | None
    material_names: Path | None


def dose_from_files(request: DoseMapRequest) -> dict[str, Any]:
    """Compute the dose map, write it, and return the document of ``prrt dose``.

    Raises
    ------
    RefusalError
        ``ENGINE_UNAVAILABLE``, ``BACKEND_UNAVAILABLE``, ``GRID_MISMATCH``, ``VALUE_OUT_OF_RANGE``,
        ``NUCLIDE_UNKNOWN``, ``LABELS_INVALID``; nothing is written then.
    """
    engine = engine_or_refuse(request.engine)
    backend = backend_or_refuse(request.backend)
    started = time.perf_counter()
    tia_values, grid = read_volume(request.tia)
    density_values, density_grid = read_volume(request.density)
    tia = TiaMap(grid, np.asarray(tia_values, dtype=np.float32))
    density = DensityMap(density_grid, np.asarray(density_values, dtype=np.float32))
    labels = _labels_on(request.labels, grid)
    nuclide = load_nuclide(request.nuclide)
    result = absorbed_dose(tia, density, nuclide, load_point_kernel(request.nuclide), backend, engine=engine)
    dose_gy = np.asarray(result.dose.dose_gy)
    write_volume(request.out, dose_gy.astype(np.float32), grid)
    means = _means(dose_gy, labels)
    return {
        "engine": result.engine,
        "backend": backend.name,
        "backend_fallback": backend.fallback or None,
        "decay_data": nuclide.decay_data,
        "dtype": result.dtype,
        "total_energy_j": result.total_energy_j,
        "mean_dose_gy": means,
        # A convolution has no statistical error; what is left is that of the S values (section 3.7).
        "sigma_gy": {label: mean * S_VALUE_RELATIVE_SIGMA for label, mean in means.items()},
        "seconds": time.perf_counter() - started,
        "out": str(request.out),
    }


def engine_or_refuse(name: str) -> str:
    """Return the engine, or refuse one that this version does not have."""
    require(
        name in {"convolution", "local"},
        "ENGINE_UNAVAILABLE",
        found=f"engine {name}",
        needed="convolution or local",
        do="use --engine convolution; this version has no transport engine",
        where="--engine",
    )
    return name


def _labels_on(path: Path | None, grid: Grid) -> NDArray[np.integer] | None:
    if path is None:
        return None
    values, label_grid = read_volume(path)
    grid.require_same(label_grid)
    labels: NDArray[np.integer] = np.rint(values).astype(np.int32)
    if not np.array_equal(labels, values) or int(labels.min()) < 0:
        raise RefusalError(
            "LABELS_INVALID",
            found="values that are negative or not whole",
            needed="a map of integer labels from 0",
            do="write labels, not probabilities",
            where=path.name,
        )
    return labels


def _means(dose_gy: NDArray[np.floating], labels: NDArray[np.integer] | None) -> dict[str, float]:
    if labels is None:
        return {}
    flat = labels.ravel()
    sums = np.bincount(flat, weights=dose_gy.ravel().astype(np.float64))
    counts = np.bincount(flat)
    return {str(label): float(sums[label] / counts[label]) for label in np.flatnonzero(counts) if label > 0}
