"""Voxel kernels and sphere S values as documents: what ``prrt kernel`` and ``prrt sphere`` print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.physics.dose.sphere import sphere_s_value
from pipeline.steps.kernel_files import S_VALUE_UNIT, energy_document, kernel_of, write_kernel_files
from pipeline.units import MGY_PER_MBQ_S_PER_GY_PER_BQ_S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.domain.dose import DoseKernel


def kernel_document(
    nuclide: str,
    voxel_mm: tuple[float, float, float],
    medium: str = "water",
    extent: int = 10,
    out: Path | None = None,
    plot: Path | None = None,
) -> dict[str, Any]:
    """Return the voxel S values of one octant as the document of ``prrt kernel``.

    Parameters
    ----------
    nuclide : str
        As ``Lu-177``.
    voxel_mm : tuple of float
        Sides along (slice, row, column), as ``k`` is ordered.
    medium : str
    extent : int
        Largest number of steps along every axis.
    out, plot : Path, optional
        Kernel to write (.csv octant or .nii.gz), and its picture (.png).

    Raises
    ------
    RefusalError
        ``NUCLIDE_UNKNOWN``, ``MEDIUM_UNKNOWN``, ``KERNEL_SIZE_INVALID``, ``KERNEL_FILE_INVALID``.
    """
    kernel = kernel_of(nuclide, voxel_mm, medium, (extent, extent, extent))
    return {
        "unit": S_VALUE_UNIT,
        "nuclide": nuclide,
        "medium": medium,
        "density_g_per_cm3": kernel.density_g_per_cm3,
        "voxel_mm": list(voxel_mm),
        "s_values": _s_values(kernel),
        "energy": energy_document(kernel),
        "source": kernel.source,
        "files": write_kernel_files(kernel, out, plot),
    }


def _s_values(kernel: DoseKernel) -> list[dict[str, Any]]:
    electrons = kernel.electron_gy_per_bq_s * MGY_PER_MBQ_S_PER_GY_PER_BQ_S
    photons = kernel.photon_gy_per_bq_s * MGY_PER_MBQ_S_PER_GY_PER_BQ_S
    return [
        {"k": list(k), "electron": float(e), "photon": float(p), "total": float(e + p)}
        for k, e, p in zip(np.ndindex(electrons.shape), electrons.ravel(), photons.ravel(), strict=True)
    ]


def sphere_document(nuclide: str, masses: Sequence[float], medium: str = "water") -> dict[str, Any]:
    """Return self S values of spheres as the document of ``prrt sphere``, in the order asked.

    Parameters
    ----------
    nuclide : str
    masses : sequence of float
        In g.
    medium : str

    Raises
    ------
    RefusalError
        ``NUCLIDE_UNKNOWN``, ``MEDIUM_UNKNOWN``, ``MASS_INVALID``.
    """
    point_kernel = load_point_kernel(nuclide, medium)
    values = [sphere_s_value(point_kernel, load_nuclide(nuclide), mass) for mass in masses]
    return {
        "nuclide": nuclide,
        "medium": medium,
        "density_g_per_cm3": point_kernel.density_g_per_cm3,
        "spheres": [
            {
                "mass_g": value.mass_g,
                "s_mgy_per_mbq_s": value.s_gy_per_bq_s * MGY_PER_MBQ_S_PER_GY_PER_BQ_S,
                "electron_fraction": value.electron_fraction,
                "photon_fraction": value.photon_fraction,
            }
            for value in values
        ],
        "source": point_kernel.source,
    }
