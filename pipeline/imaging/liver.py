"""The liver with its lesions, and the border between it and the right kidney."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.imaging.body import largest_component
from pipeline.imaging.borders import BRIDGE_RADIUS_MM, HALF_LEVEL, filled
from pipeline.imaging.distance import bounding_box
from pipeline.imaging.organs import MARGIN_VOXELS, Organ

if TYPE_CHECKING:
    from pipeline.imaging.distance import Mask
    from pipeline.imaging.torso import Torso

CONTACT_MM = 15.0
LIVER_ML = (400.0, 8000.0)
# A normal liver shows more uptake than the soft tissue around it (Krenning score 2 is its definition).
LIVER_OVER_SOFT_TISSUE = 2.0


def _liver_level(torso: Torso, zone: Mask) -> float:
    """Return the level of the liver: the uptake that most of the active tissue in its zone has."""
    uptake = torso.smooth_bq_per_ml[zone]
    active = uptake[uptake > 0.2 * np.percentile(uptake, 98)]
    return float(np.median(active)) if active.size else 0.0


def find_liver(torso: Torso, taken: Mask) -> Organ | None:
    """Return the liver with its lesions, and the level of its normal tissue; None where it does not stand out."""
    free = ~taken & torso.soft
    zone = free & (torso.lateral_mm < 0.0) & (torso.depth_mm < 75.0)
    if not zone.any():
        return None
    level = _liver_level(torso, zone)
    mask = np.zeros_like(zone)
    for _ in range(4):
        inside = torso.opened(free & (torso.activity_bq_per_ml > HALF_LEVEL * level), BRIDGE_RADIUS_MM)
        mask = largest_component(inside)
        normal = torso.smooth_bq_per_ml[torso.shrunk(mask, 8.0)]
        if normal.size == 0:
            return None
        level = float(np.median(normal[normal < 1.5 * np.median(normal)]))
    around = float(np.median(torso.smooth_bq_per_ml[torso.soft & ~torso.grown(mask | taken, 20.0)]))
    right = float((torso.lateral_mm * mask).sum()) < 0
    if not (right and LIVER_ML[0] <= torso.volume_ml(mask) <= LIVER_ML[1] and level > LIVER_OVER_SOFT_TISSUE * around):
        return None
    return Organ(filled(torso, mask) & free, level)


def parted(torso: Torso, kidney: Organ, liver: Organ) -> tuple[Organ, Organ]:
    """Return kidney and liver with the border between them where the uptake is half way between their levels.

    Only where they touch without fat between them, and only where their levels differ by half: CT decides elsewhere.
    """
    if kidney.level_bq_per_ml < 1.5 * liver.level_bq_per_ml:
        return kidney, liver
    box = bounding_box(kidney.mask, margin=MARGIN_VOXELS)
    part, kidney_mask, liver_mask = torso.part(box), kidney.mask[box], liver.mask[box]
    fat_near = part.grown(part.body & ~part.soft & ~part.bone, BRIDGE_RADIUS_MM)
    contested = kidney_mask & part.grown(liver_mask, CONTACT_MM) & ~fat_near
    midway = (kidney.level_bq_per_ml + liver.level_bq_per_ml) / 2.0
    given = contested & (part.activity_bq_per_ml < midway)
    kept = np.zeros_like(kidney.mask)
    kept[box] = largest_component(part.opened(kidney_mask & ~given, BRIDGE_RADIUS_MM))
    rest = kidney.mask & ~kept
    rest[box] &= part.grown(given, BRIDGE_RADIUS_MM)
    return replace(kidney, mask=kidney.mask & ~rest), Organ(liver.mask | rest, liver.level_bq_per_ml)
