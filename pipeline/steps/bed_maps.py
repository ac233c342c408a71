"""BED of every voxel in the regions whose parameters have a source, beside the map of the absorbed dose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.maps import BedMap
from pipeline.physics.dose.bed import bed_of_cycle, voxel_bed_gy
from pipeline.physics.dose.region_dose import region_statistics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pipeline.domain.dose import BedParameters
    from pipeline.domain.maps import DensityMap, DoseMap
    from pipeline.settings import SiteProfile
    from pipeline.steps.integrate import RegionKinetics

Document = dict[str, Any]

# A voxel of the map belongs to the region that fills more than half of it.
MOST_OF_A_VOXEL = 0.5
WITH_BED = frozenset({"organ", "lesion"})
NO_BED: Document = {
    "bed_gy": None,
    "bed_parameters": None,
    "bed_map_mean_gy": None,
    "bed_d2_gy": None,
    "bed_d50_gy": None,
    "bed_d98_gy": None,
}


@dataclass(frozen=True, eq=False)
class BedRegion:
    """One region with what its BED is made from; ``fraction`` is its part of each voxel of the dose map."""

    fraction: NDArray[np.float32]
    effective_half_life_s: float
    parameters: BedParameters


def bed_region(kinetics: RegionKinetics, fraction: NDArray[np.float32], site: SiteProfile) -> BedRegion | None:
    """Return a region as one that has a BED; None where no source gives its alpha/beta and repair half-life."""
    parameters = site.bed_parameters(kinetics.region.name) if kinetics.region.kind in WITH_BED else None
    if parameters is None:
        return None
    return BedRegion(fraction, kinetics.estimate.effective_half_life_s, parameters)


def bed_document(region: BedRegion | None, mean_gy: float, dose: DoseMap, density: DensityMap) -> Document:
    """Return a region's BED: of its mean dose, and the mass-weighted statistics of its voxels' BED.

    Parameters
    ----------
    region : BedRegion or None
    mean_gy : float
        Recovery-corrected; the voxels' doses are not.
    dose, density : DoseMap, DensityMap
        On one grid.
    """
    if region is None:
        return dict(NO_BED)
    parameters, half_life_s = region.parameters, region.effective_half_life_s
    whole = bed_of_cycle(
        mean_gy,
        half_life_s,
        alpha_beta_gy=parameters.alpha_beta_gy,
        repair_half_life_s=parameters.repair_half_life_s,
    )
    bed = np.zeros(dose.grid.shape)
    inside = region.fraction > 0
    bed[inside] = voxel_bed_gy(np.asarray(dose.dose_gy)[inside], half_life_s, parameters)
    found = region_statistics(bed, density.density_g_per_cm3, region.fraction)
    return {
        "bed_gy": float(whole),
        "bed_parameters": vars(parameters),
        "bed_map_mean_gy": found.mean_gy,
        "bed_d2_gy": found.d2_gy,
        "bed_d50_gy": found.d50_gy,
        "bed_d98_gy": found.d98_gy,
    }


def bed_map(regions: Iterable[BedRegion], dose: DoseMap) -> BedMap:
    """Return the BED of every voxel that lies for more than half in one of the regions; 0 elsewhere."""
    bed = np.zeros(dose.grid.shape, np.float32)
    for region in regions:
        inside = region.fraction > MOST_OF_A_VOXEL
        values = np.asarray(dose.dose_gy)[inside]
        bed[inside] = voxel_bed_gy(values, region.effective_half_life_s, region.parameters)
    return BedMap(dose.grid, bed)
