"""Kernels made elsewhere: an octant as CSV, a whole kernel or an octant as NIfTI, S values of spheres as CSV or JSON.

Steps are ordered (slice, row, column). CSV columns and JSON keys carry their unit; a NIfTI may state it in square
brackets in its description, and is read as mGy/(MBq s) where it states none.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.geometry import Grid
from pipeline.errors import RefusalError, require
from pipeline.files.nifti import read_volume, write_volume
from pipeline.files.store import write_atomically
from pipeline.files.tables import read_rows
from pipeline.files.volume_unit import require_unit, stated_unit
from pipeline.units import GY_PER_BQ_S_PER_MGY_PER_MBQ_S, MGY_PER_MBQ_S_PER_GY_PER_BQ_S

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.domain.dose import DoseKernel
    from pipeline.files.tables import Row

    Floats = NDArray[np.float64]
    Triple = tuple[float, float, float]

CODE = "KERNEL_FILE_INVALID"
STEPS = ("k_z", "k_y", "k_x")
SIDES = ("voxel_z_mm", "voxel_y_mm", "voxel_x_mm")
# Ending of a column or key -> Gy per decay.
UNITS = {"_mgy_per_mbq_s": GY_PER_BQ_S_PER_MGY_PER_MBQ_S, "_gy_per_bq_s": 1.0}
LARGEST_STEP = 255
# The two halves of a kernel along an axis may differ by a Monte Carlo's noise, not by half a voxel.
ASYMMETRY = 0.05
NIFTI_ENDINGS = (".nii", ".nii.gz")


@dataclass(frozen=True, eq=False)
class ForeignKernel:
    """One octant in Gy per decay, NaN where the file has no value; ``spacing_mm`` is None where it states none."""

    total_gy_per_bq_s: Floats
    spacing_mm: Triple | None


@dataclass(frozen=True)
class ForeignSpheres:
    """Self S values of spheres in Gy per decay, by mass in g."""

    mass_g: tuple[float, ...]
    s_gy_per_bq_s: tuple[float, ...]


def read_foreign(path: Path) -> ForeignKernel | ForeignSpheres:
    """Read a kernel or a list of spheres; what it is follows from its ending and columns.

    Raises
    ------
    RefusalError
        ``KERNEL_FILE_INVALID``; ``VOLUME_UNREADABLE``, ``UNIT_CONTRADICTORY`` for a NIfTI.
    """
    if path.name.endswith(NIFTI_ENDINGS):
        return _from_nifti(path)
    if path.suffix == ".json":
        return _spheres_from_json(path)
    require(
        path.suffix == ".csv",
        CODE,
        found=f"a file ending in {path.suffix or 'nothing'}",
        needed=f".csv ({', '.join(STEPS)}, total_mgy_per_mbq_s; or mass_g, s_mgy_per_mbq_s), .nii, .nii.gz or .json",
        do="write the kernel in one of these forms",
        where=path.name,
    )
    rows = read_rows(path, code=CODE, required=())
    return _spheres_from_rows(rows, path) if "mass_g" in rows[0].cells else _octant_from_rows(rows, path)


# --- CSV -------------------------------------------------------------------------------------------------------------


def _value_column(row: Row, name: str) -> tuple[str, float]:
    """Return the column of a quantity and its unit's factor."""
    found = [(f"{name}{ending}", factor) for ending, factor in UNITS.items() if f"{name}{ending}" in row.cells]
    if len(found) != 1:
        raise row.refusal(name, f"{len(found)} columns", f"one of {', '.join(name + ending for ending in UNITS)}")
    return found[0]


def _octant_from_rows(rows: tuple[Row, ...], path: Path) -> ForeignKernel:
    for name in STEPS:
        if name not in rows[0].cells:
            raise rows[0].refusal(name, "nothing", f"the columns {', '.join(STEPS)} and total_mgy_per_mbq_s")
    column, factor = _value_column(rows[0], "total")
    values = {_step(row): row.number(column, least=0.0) * factor for row in rows}
    require(
        len(values) == len(rows) and (0, 0, 0) in values,
        CODE,
        found=f"{len(rows)} rows for {len(values)} steps, {'with' if (0, 0, 0) in values else 'without'} the centre",
        needed="each step once, from 0 0 0",
        do="write one octant: steps along slice, row and column, none negative",
        where=path.name,
    )
    octant = np.full(np.max(list(values), axis=0) + 1, np.nan)
    for step, value in values.items():
        octant[step] = value
    return ForeignKernel(octant, _sides(rows))


def _step(row: Row) -> tuple[int, int, int]:
    steps = [row.number(name, least=0, most=LARGEST_STEP) for name in STEPS]
    for name, step in zip(STEPS, steps, strict=True):
        if step != int(step):
            raise row.refusal(name, f"{step:g}", "a whole number of steps")
    return (int(steps[0]), int(steps[1]), int(steps[2]))


def _sides(rows: tuple[Row, ...]) -> Triple | None:
    if not all(name in rows[0].cells for name in SIDES):
        return None
    found = {tuple(row.number(name, least=1e-3) for name in SIDES) for row in rows}
    if len(found) != 1:
        raise rows[0].refusal(SIDES[0], f"{len(found)} voxel sizes", "one voxel size in all rows")
    z, y, x = found.pop()
    return (z, y, x)


def _spheres_from_rows(rows: tuple[Row, ...], path: Path) -> ForeignSpheres:
    column, factor = _value_column(rows[0], "s")
    return _spheres([(row.number("mass_g"), row.number(column) * factor) for row in rows], path)


# --- JSON ------------------------------------------------------------------------------------------------------------


def _spheres_from_json(path: Path) -> ForeignSpheres:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        entries = document["spheres"] if "spheres" in document else list(dict(document).items())
        return _spheres([_json_sphere(entry) for entry in entries], path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RefusalError(
            CODE,
            found=f"{type(error).__name__} while reading",
            needed='{"spheres": [{"mass_g": 1, "s_mgy_per_mbq_s": 0.0231}]}, or {"1": 0.0231} in mGy/(MBq s)',
            do="write mass and S value of each sphere",
            where=path.name,
        ) from error


def _json_sphere(entry: Any) -> tuple[float, float]:
    if isinstance(entry, dict):
        (factor,) = (factor for ending, factor in UNITS.items() if f"s{ending}" in entry)
        ending = next(ending for ending in UNITS if f"s{ending}" in entry)
        return float(entry["mass_g"]), float(entry[f"s{ending}"]) * factor
    mass, value = entry
    return float(mass), float(value) * GY_PER_BQ_S_PER_MGY_PER_MBQ_S


def _spheres(values: list[tuple[float, float]], path: Path) -> ForeignSpheres:
    require(
        bool(values) and all(np.isfinite(m) and np.isfinite(s) and m > 0 and s > 0 for m, s in values),
        CODE,
        found=f"{len(values)} spheres, or a mass or S value that is no positive number",
        needed="masses in g and S values, all above 0",
        do="correct the list",
        where=path.name,
    )
    ordered = sorted(values)
    return ForeignSpheres(tuple(m for m, _ in ordered), tuple(s for _, s in ordered))


# --- NIfTI -----------------------------------------------------------------------------------------------------------


def _from_nifti(path: Path) -> ForeignKernel:
    values, grid = read_volume(path)
    kernel = np.asarray(values, dtype=np.float64)
    _require(
        bool(np.isfinite(kernel).all()) and bool(kernel.min() >= 0 < kernel.max()), "values below 0 or none above", path
    )
    octant = _octant_of(kernel, path) * _nifti_factor(path)
    return ForeignKernel(octant, grid.spacing_mm)


def _nifti_factor(path: Path) -> float:
    unit = (stated_unit(path) or "").replace("(", "").replace(")", "")
    if unit.replace(" ", "*").lower() == "gy/bq*s":
        return 1.0
    require_unit(path, "mGy/(MBq*s)", ("mGy/MBq*s", "mGy/MBqs"))
    return GY_PER_BQ_S_PER_MGY_PER_MBQ_S


def _octant_of(kernel: Floats, path: Path) -> Floats:
    """Return the mean of the eight octants of a whole kernel; an octant as it is."""
    peak = np.unravel_index(int(kernel.argmax()), kernel.shape)
    if not any(peak):
        return kernel
    middle = tuple(size // 2 for size in kernel.shape)
    whole = peak == middle and all(size % 2 for size in kernel.shape)
    _require(bool(whole), f"the highest value at {tuple(map(int, peak))} of {kernel.shape}", path)
    folded = kernel
    for axis, centre in enumerate(middle):
        after = np.take(folded, range(centre, folded.shape[axis]), axis=axis)
        before = np.take(folded, range(centre, -1, -1), axis=axis)
        neighbour = [np.take(half, 1, axis=axis).max() for half in (after, before)] if centre else [1.0, 1.0]
        _require(abs(neighbour[0] / neighbour[1] - 1) < ASYMMETRY, f"two halves that differ along axis {axis}", path)
        folded = 0.5 * (after + before)
    return folded


def _require(condition: bool, found: str, path: Path) -> None:
    require(
        bool(condition),
        CODE,
        found=found,
        needed="a kernel of finite values, highest in its middle voxel and the same on both sides of it, or one octant",
        do="write the whole kernel with an odd number of voxels along each axis, or one octant from its centre",
        where=path.name,
    )


# --- writing ---------------------------------------------------------------------------------------------------------


def write_kernel(path: Path, kernel: DoseKernel) -> None:
    """Write a kernel: its octant as CSV with electrons and photons apart, or the whole of it (their sum) as NIfTI.

    Raises
    ------
    RefusalError
        ``KERNEL_FILE_INVALID`` for another ending.
    """
    if path.name.endswith(NIFTI_ENDINGS):
        _write_nifti(path, kernel)
        return
    require(
        path.suffix == ".csv",
        CODE,
        found=f"a file ending in {path.suffix or 'nothing'}",
        needed=".csv (octant, electrons and photons apart), .nii or .nii.gz (whole kernel)",
        do="give --out kernel.csv or kernel.nii.gz",
        where=path.name,
    )
    write_atomically(path, _csv_of(kernel).encode())


def _csv_of(kernel: DoseKernel) -> str:
    parts = (kernel.electron_gy_per_bq_s, kernel.photon_gy_per_bq_s)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*STEPS, *(f"{part}_mgy_per_mbq_s" for part in ("electron", "photon", "total")), *SIDES])
    for step in np.ndindex(*parts[0].shape):
        electron, photon = (float(part[step]) * MGY_PER_MBQ_S_PER_GY_PER_BQ_S for part in parts)
        writer.writerow([*step, electron, photon, electron + photon, *kernel.spacing_mm])
    return text.getvalue()


def _write_nifti(path: Path, kernel: DoseKernel) -> None:
    octant = (kernel.electron_gy_per_bq_s + kernel.photon_gy_per_bq_s) * MGY_PER_MBQ_S_PER_GY_PER_BQ_S
    whole = np.pad(octant, [(size - 1, 0) for size in octant.shape], mode="reflect").astype(np.float32)
    affine_mm = np.zeros((4, 4))
    z, y, x = kernel.spacing_mm
    # LPS: columns along x, rows along y, slices along z; the source voxel's centre is the origin.
    affine_mm[2, 0], affine_mm[1, 1], affine_mm[0, 2], affine_mm[3, 3] = z, y, x, 1.0
    affine_mm[:3, 3] = -affine_mm[:3, :3] @ (np.array(octant.shape) - 1.0)
    write_volume(path, whole, Grid(whole.shape, affine_mm, ""), f"{kernel.nuclide} S values [mGy/(MBq*s)]")
