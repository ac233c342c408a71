"""The voxel TIA map of a cycle, what it stands on, and whether it agrees with the regions' curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.files.nifti import write_volume
from pipeline.physics.voxels.agreement import agreement_flags
from pipeline.physics.voxels.blocks import (
    NOTHING_POSITIVE,
    OWN,
    PHYSICAL_LIMIT,
    RATE_OF_THE_WHOLE,
    SHARED,
    SHORTEST_LIMIT,
)
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.domain.dose import Flag
    from pipeline.domain.geometry import Grid
    from pipeline.domain.regions import Region
    from pipeline.files.store import ArrayStore
    from pipeline.physics.voxels.kinetics import VoxelKinetics

Document = dict[str, Any]

COUNTED = {
    "shared_half_life": SHARED,
    "own_half_life": OWN,
    "at_physical_limit": PHYSICAL_LIMIT,
    "at_shortest_limit": SHORTEST_LIMIT,
    "half_life_of_the_whole": RATE_OF_THE_WHOLE,
    "nothing_positive": NOTHING_POSITIVE,
}


def maps_document(store: ArrayStore, voxels: VoxelKinetics) -> Document:
    """Store the maps beside the TIA and return their keys by file name, without its ending."""
    half_life_h = voxels.effective_half_life_s / np.float32(SECONDS_PER_HOUR)
    return {
        "half_life_h": store.put_array(half_life_h),
        "tia_relative_sigma": store.put_array(voxels.tia_relative_sigma),
        "chi_squared": store.put_array(voxels.reduced_chi_squared),
        "kinetics_status": store.put_array(voxels.status),
    }


def method_document(voxels: VoxelKinetics) -> Document:
    """Return how the voxels were fitted, for the provenance, with how many of them took which half-life."""
    shared = voxels.smoothing_fwhm_mm > 0.0
    return {
        "method": "voxel-mono-shared-half-life" if shared else "voxel-mono-own-half-life",
        "smoothing_fwhm_mm": voxels.smoothing_fwhm_mm,
        "variance": "proportional to the fitted activity",
        "noise_source": voxels.noise.of_values.source,
        "voxels": {name: voxels.count(status) for name, status in COUNTED.items()},
    }


def map_flags(
    voxels: VoxelKinetics,
    regions: Mapping[int, Region],
    fractions: NDArray[np.float32],
    curve_tia_bq_s: Mapping[int, float],
) -> tuple[Flag, ...]:
    """Hold the map against the curves of the regions as measured.

    Parameters
    ----------
    voxels : VoxelKinetics
    regions, curve_tia_bq_s : mapping
        By row of ``fractions``.
    fractions : ndarray, shape (region, slices, rows, columns)
    """
    volume_ml, tia = voxels.tia.grid.voxel_volume_ml, np.asarray(voxels.tia.tia_bq_s_per_ml)
    rows = list(curve_tia_bq_s)
    sums = [float(np.sum(fractions[row] * tia, dtype=np.float64)) * volume_ml for row in rows]
    return agreement_flags([regions[row] for row in rows], sums, [curve_tia_bq_s[row] for row in rows])


def write_maps(out: Path, store: ArrayStore, documents: Document, grid: Grid) -> None:
    """Write every stored map beside ``tia.nii.gz``, under its own name."""
    for name, key in documents.items():
        write_volume(out / f"{name}.nii.gz", store.get_array(key), grid)
