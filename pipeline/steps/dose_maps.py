"""``prrt dose``: a dose map from a TIA map and a density map as files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.errors import require
from pipeline.files.kernel_cache import KernelCache, kernel_folder
from pipeline.files.nifti import read_volume, write_volume
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.files.volume_unit import require_unit
from pipeline.physics.dose.dose_map import BODY_DENSITY_G_PER_CM3, absorbed_dose
from pipeline.physics.dose.map_check import body_check, label_checks
from pipeline.physics.uncertainty.dose_uncertainty import S_VALUE_RELATIVE_SIGMA
from pipeline.steps.compute import backend_or_refuse
from pipeline.steps.second_checks import check_flags
from pipeline.units import BQ_PER_GBQ

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.domain.dose import SecondCheck
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.dose.dose_map import DoseResult


# More than any vial holds: what exceeds it in one mL is in another unit.
MOST_BQ_PER_ML = 100.0 * BQ_PER_GBQ
# A thousandth of a kidney's dose in one cycle.
LEAST_DOSE_GY = 1e-3
MOST_LABEL = 65535


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
        ``UNIT_CONTRADICTORY``, ``TIA_IMPOSSIBLE``, ``BODY_MISSING``, ``NUCLIDE_UNKNOWN``, ``LABELS_INVALID``,
        ``REGION_EMPTY``, ``MEMORY_LIMIT``; nothing is written then.
    """
    engine = engine_or_refuse(request.engine)
    backend = backend_or_refuse(request.backend)
    started = time.perf_counter()
    nuclide = load_nuclide(request.nuclide)
    tia, density = _tia_of(request.tia, nuclide), _density_of(request.density)
    grid = tia.grid
    grid.require_same(density.grid)
    labels = _labels_on(request.labels, density)
    kernels = KernelCache(kernel_folder())
    point_kernel = load_point_kernel(request.nuclide)
    result = absorbed_dose(tia, density, nuclide, point_kernel, backend, engine=engine, voxel_kernels=kernels)
    dose_gy = np.asarray(result.dose.dose_gy)
    write_volume(request.out, dose_gy.astype(np.float32), grid, "absorbed dose [Gy]")
    means = _means(dose_gy, labels)
    checks = _checks(result, tia, density, labels, nuclide)
    return {
        "engine": result.engine,
        "backend": backend.name,
        "backend_fallback": backend.fallback or None,
        "decay_data": nuclide.decay_data,
        "dtype": result.dtype,
        "memory_bytes": result.memory_bytes,
        "voxel_kernels": kernels.used,
        "total_energy_j": result.total_energy_j,
        "mean_dose_gy": means,
        # A convolution has no statistical error; what is left is that of the S values (section 3.7).
        "sigma_gy": {label: mean * S_VALUE_RELATIVE_SIGMA for label, mean in means.items()},
        "second_check": [vars(check) for check in checks],
        "flags": [vars(flag) for flag in (*_flags(dose_gy), *check_flags(checks))],
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


def _tia_of(path: Path, nuclide: Radionuclide) -> TiaMap:
    """Return the TIA map, refused where it states another unit or holds more than any patient can."""
    values, grid = read_volume(path)
    require_unit(path, "Bq*s/mL", ("Bq*s/ml", "Bq*s*ml-1", "Bq*s/cm3"))
    tia = TiaMap(grid, np.asarray(values, dtype=np.float32))
    highest = float(tia.tia_bq_s_per_ml.max())
    most = MOST_BQ_PER_ML / nuclide.decay_constant_per_s
    require(
        highest <= most,
        "TIA_IMPOSSIBLE",
        found=f"up to {highest:.3g} Bq s/mL",
        needed=f"at most {most:.3g} Bq s/mL: {MOST_BQ_PER_ML / BQ_PER_GBQ:g} GBq in one mL until all has decayed",
        do="give the map in Bq s per mL (not per m3 or per L, nor in mBq)",
        where=path.name,
    )
    return tia


def _density_of(path: Path) -> DensityMap:
    values, grid = read_volume(path)
    require_unit(path, "g/cm3", ("g/mL", "g/cc", "g*cm-3"))
    return DensityMap(grid, np.asarray(values, dtype=np.float32))


def _labels_on(path: Path | None, density: DensityMap) -> NDArray[np.integer] | None:
    """Return the label map, refused where it is none, or where a label holds no tissue."""
    if path is None:
        return None
    values, label_grid = read_volume(path)
    density.grid.require_same(label_grid)
    whole = bool(np.isfinite(values).all()) and bool((values == np.rint(values)).all() and values.min() >= 0)
    require(
        whole and float(values.max()) <= MOST_LABEL,
        "LABELS_INVALID",
        found="values that are negative, not whole, not finite or too large",
        needed=f"a map of integer labels from 0 to {MOST_LABEL}",
        do="write labels, not probabilities",
        where=path.name,
    )
    labels: NDArray[np.integer] = values.astype(np.int32)
    tissue = np.asarray(density.density_g_per_cm3) >= BODY_DENSITY_G_PER_CM3
    voxels = np.bincount(labels.ravel())
    in_tissue = np.bincount(labels[tissue], minlength=voxels.size)
    empty = [int(label) for label in np.flatnonzero((voxels > 0) & (in_tissue == 0)) if label > 0]
    require(
        not empty,
        "REGION_EMPTY",
        found=f"no tissue (at least {BODY_DENSITY_G_PER_CM3} g/cm3) under label {', '.join(map(str, empty))}",
        needed="labels with mass",
        do="check that labels and density lie on one another, and the unit of the density",
        where=path.name,
    )
    return labels


def _checks(
    result: DoseResult,
    tia: TiaMap,
    density: DensityMap,
    labels: NDArray[np.integer] | None,
    nuclide: Radionuclide,
) -> list[SecondCheck]:
    """Return the second check, which runs with every dose: of the whole body, and of each label."""
    rho = np.asarray(density.density_g_per_cm3)
    mass_g = float(rho[rho >= BODY_DENSITY_G_PER_CM3].sum(dtype=np.float64)) * tia.grid.voxel_volume_ml
    whole = body_check(result.electron_energy_j, result.electron_emitted_j, mass_g, nuclide)
    return [whole, *([] if labels is None else label_checks(result.dose, tia, density, labels, nuclide))]


def _flags(dose_gy: NDArray[np.floating]) -> list[Flag]:
    """Flag a map whose doses are far below any of a therapy: its TIA may be in another unit."""
    highest = float(dose_gy.max())
    if highest >= LEAST_DOSE_GY:
        return []
    text = (
        f"highest dose {highest:.2g} Gy, below {LEAST_DOSE_GY:g} Gy: check that the TIA is in Bq s/mL "
        "(Bq h, MBq s or kBq s make it too small)"
    )
    return [Flag("TIA_UNIT_DOUBTFUL", "WARN", text)]


def _means(dose_gy: NDArray[np.floating], labels: NDArray[np.integer] | None) -> dict[str, float]:
    if labels is None:
        return {}
    flat = labels.ravel()
    sums = np.bincount(flat, weights=dose_gy.ravel().astype(np.float64))
    counts = np.bincount(flat)
    return {str(label): float(sums[label] / counts[label]) for label in np.flatnonzero(counts) if label > 0}
