"""``prrt kernel`` with files: write a kernel, draw it, and hold one from elsewhere against ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import require
from pipeline.files.foreign_kernels import ForeignKernel, ForeignSpheres, read_foreign, write_kernel
from pipeline.files.kernel_cache import KernelCache, kernel_folder
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.files.store import write_atomically
from pipeline.physics.dose.dose_kernel import with_energies_of
from pipeline.physics.dose.kernel_comparison import (
    kernel_energy_kev,
    octant_differences,
    require_same_unit,
    sphere_differences,
)
from pipeline.physics.dose.sphere import sphere_s_value
from pipeline.units import KEV_PER_MEV, MGY_PER_MBQ_S_PER_GY_PER_BQ_S

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.domain.dose import DoseKernel
    from pipeline.physics.dose.kernel_comparison import KernelDifference

    Triple = tuple[float, float, float]
    Steps = tuple[int, int, int]

S_VALUE_UNIT = "mGy/(MBq*s)"
SAME_SIDE = 1e-3


def kernel_of(nuclide: str, voxel_mm: Triple, medium: str, extent: Steps) -> DoseKernel:
    """Return the voxel S values, from the cache where it has them.

    Raises
    ------
    RefusalError
        ``NUCLIDE_UNKNOWN``, ``MEDIUM_UNKNOWN``, ``KERNEL_SIZE_INVALID``.
    """
    point_kernel = with_energies_of(load_point_kernel(nuclide, medium), load_nuclide(nuclide))
    return KernelCache(kernel_folder())(point_kernel, voxel_mm, extent)


def write_kernel_files(kernel: DoseKernel, out: Path | None, plot: Path | None) -> dict[str, str]:
    """Write the kernel as CSV or NIfTI and its picture as PNG, where asked; return what was written.

    Raises
    ------
    RefusalError
        ``KERNEL_FILE_INVALID`` for another ending.
    """
    if plot is not None:
        _require_png(plot)
    if out is not None:
        write_kernel(out, kernel)
    if plot is not None:
        _draw(plot, kernel, None)
    return {name: str(path) for name, path in (("out", out), ("plot", plot)) if path is not None}


def _require_png(plot: Path) -> None:
    require(
        plot.suffix == ".png",
        "KERNEL_FILE_INVALID",
        found=f"a picture ending in {plot.suffix or 'nothing'}",
        needed=".png",
        do="give --plot kernel.png",
        where=plot.name,
    )


def _draw(plot: Path, kernel: DoseKernel, theirs: ForeignKernel | None) -> None:
    from pipeline.report.kernel_figure import kernel_figure

    write_atomically(plot, kernel_figure(kernel, None if theirs is None else theirs.total_gy_per_bq_s))


def comparison_document(
    path: Path, nuclide: str, voxel_mm: Triple | None, medium: str, plot: Path | None = None
) -> dict[str, Any]:
    """Return how a kernel or a list of spheres from elsewhere differs from ours.

    Parameters
    ----------
    path : Path
        CSV octant, NIfTI, or sphere list as CSV or JSON.
    nuclide : str
    voxel_mm : tuple of float, optional
        Needed where the file does not state its voxel.
    medium : str
    plot : Path, optional
        PNG of both kernels against distance.

    Raises
    ------
    RefusalError
        ``KERNEL_FILE_INVALID``, ``KERNEL_VOXEL_DIFFERENT``, ``KERNEL_UNIT_CONTRADICTORY``, ``VOLUME_UNREADABLE``,
        ``UNIT_CONTRADICTORY``, ``NUCLIDE_UNKNOWN``, ``MEDIUM_UNKNOWN``, ``MASS_INVALID``.
    """
    theirs = read_foreign(path)
    if isinstance(theirs, ForeignSpheres):
        return _spheres_document(theirs, path, nuclide, medium)
    voxel = _voxel_of(theirs, voxel_mm, path)
    z, y, x = (size - 1 for size in theirs.total_gy_per_bq_s.shape)
    ours = kernel_of(nuclide, voxel, medium, (z, y, x))
    total = ours.electron_gy_per_bq_s + ours.photon_gy_per_bq_s
    require_same_unit(float(total[0, 0, 0]), float(theirs.total_gy_per_bq_s[0, 0, 0]), path.name)
    if plot is not None:
        _require_png(plot)
        _draw(plot, ours, theirs)
    rows = octant_differences(ours, theirs.total_gy_per_bq_s)
    return {
        "file": path.name,
        "kind": "voxel",
        "unit": S_VALUE_UNIT,
        "nuclide": nuclide,
        "medium": medium,
        "density_g_per_cm3": ours.density_g_per_cm3,
        "voxel_mm": list(voxel),
        "steps": [z, y, x],
        "values": int(np.isfinite(theirs.total_gy_per_bq_s).sum()),
        "rows": [_row(row) for row in rows],
        "within": all(row.within for row in rows),
    }


def _spheres_document(theirs: ForeignSpheres, path: Path, nuclide: str, medium: str) -> dict[str, Any]:
    point_kernel = load_point_kernel(nuclide, medium)
    ours = [sphere_s_value(point_kernel, load_nuclide(nuclide), mass) for mass in theirs.mass_g]
    for mine, other in zip(ours, theirs.s_gy_per_bq_s, strict=True):
        require_same_unit(mine.s_gy_per_bq_s, other, path.name)
    rows = sphere_differences(ours, theirs.s_gy_per_bq_s)
    return {
        "file": path.name,
        "kind": "spheres",
        "unit": S_VALUE_UNIT,
        "nuclide": nuclide,
        "medium": medium,
        "density_g_per_cm3": point_kernel.density_g_per_cm3,
        "rows": [_row(row) for row in rows],
        "within": all(row.within for row in rows),
    }


def _voxel_of(theirs: ForeignKernel, asked_mm: Triple | None, path: Path) -> Triple:
    """Return the voxel of the file, or the one asked for where the file states none."""
    require(
        theirs.spacing_mm is not None or asked_mm is not None,
        "KERNEL_VOXEL_DIFFERENT",
        found="a kernel that does not state its voxel",
        needed="the voxel's sides in mm",
        do="give --voxel SLICE ROW COLUMN",
        where=path.name,
    )
    if theirs.spacing_mm is None or asked_mm is None:
        return theirs.spacing_mm or asked_mm or (0.0, 0.0, 0.0)
    require(
        bool(np.allclose(theirs.spacing_mm, asked_mm, rtol=SAME_SIDE)),
        "KERNEL_VOXEL_DIFFERENT",
        found=f"a kernel of {' x '.join(f'{side:g}' for side in theirs.spacing_mm)} mm voxels",
        needed=f"voxels of {' x '.join(f'{side:g}' for side in asked_mm)} mm, as --voxel says",
        do="leave --voxel out, or give the kernel of that voxel",
        where=path.name,
    )
    return theirs.spacing_mm


def _row(row: KernelDifference) -> dict[str, Any]:
    factor = KEV_PER_MEV if row.place == "energy" else MGY_PER_MBQ_S_PER_GY_PER_BQ_S
    return {
        "place": row.place,
        "at": row.at,
        "unit": "keV per decay" if row.place == "energy" else S_VALUE_UNIT,
        "ours": row.ours * factor,
        "theirs": row.theirs * factor,
        "difference": row.difference,
        "tolerance": row.tolerance,
        "within": row.within,
    }


def energy_document(kernel: DoseKernel) -> dict[str, float]:
    """Return the energy that the kernel holds within its extent, in keV per decay."""
    electrons, photons = kernel_energy_kev(kernel)
    return {"electron_kev": electrons, "photon_kev": photons, "total_kev": electrons + photons}
