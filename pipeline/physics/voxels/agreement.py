"""The voxel TIA map held against the regions' own curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.domain.dose import Flag
from pipeline.units import PERCENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.domain.regions import Region

# Both come from the same images, so noise moves both. Over noisy phantoms, with and without motion of half a voxel,
# organs and the remainder differ by up to 1.5 %, vessels, marrow and lesions by up to 6 %; at twice the noise by 3 and
# 12 % (docs/validation.md). More means that the map's voxels have other curves than the region: motion, a wrong
# contour, a curve that is no exponential. Project choice.
TOLERANCE = {"organ": 0.05, "remainder": 0.05}
TOLERANCE_OF_SMALL = 0.10


def agreement_flags(
    regions: Sequence[Region], map_tia_bq_s: Sequence[float], curve_tia_bq_s: Sequence[float]
) -> tuple[Flag, ...]:
    """Flag the regions whose TIA in the map is not that of their curve.

    Parameters
    ----------
    regions : sequence of Region
    map_tia_bq_s, curve_tia_bq_s : sequence of float
        Sum of the voxel map inside each region, and the fit of the region's curve; both as measured, not corrected for
        recovery. Curves are positive.
    """
    flags = []
    for region, of_map, of_curve in zip(regions, map_tia_bq_s, curve_tia_bq_s, strict=True):
        tolerance, off = TOLERANCE.get(region.kind, TOLERANCE_OF_SMALL), of_map / of_curve - 1.0
        if abs(off) > tolerance:
            text = (
                f"TIA of the voxel map {PERCENT * off:+.1f} % from the region's curve (both not recovery-corrected), "
                f"tolerance {PERCENT * tolerance:.0f} %: map dose, D2 and D98 are in doubt; check motion and contour"
            )
            flags.append(Flag("VOXEL_MAP_DIFFERS", "WARN", text, region.key))
    return tuple(flags)
