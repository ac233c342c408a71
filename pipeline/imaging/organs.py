"""Kidneys, liver and spleen: found by their uptake, bounded by fat on CT and by half the uptake elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from pipeline.imaging.body import largest_component
from pipeline.imaging.torso import bounding_box, doubled, halved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pipeline.domain.regions import Laterality
    from pipeline.imaging.torso import Mask, Torso

# Part of an organ's own level at its border where CT shows no edge; a flat border lies at one half.
HALF_LEVEL = 0.45
# The same where fat is near: CT draws the border there, uptake only says that the tissue belongs to the organ.
LEVEL_NEAR_FAT = 0.25
FAT_REACH_MM = 5.0
BRIDGE_RADIUS_MM = 3.5
# Widths (half of them) of the contact with a neighbouring organ at which the two are cut apart.
NECK_RADII_MM = (3.5, 6.0, 9.0, 12.0)
REACH_MM = 10.0
# Smaller active parts do not compete for tissue.
RIVAL_ML = 8.0
MARGIN_VOXELS = 6
CONTACT_MM = 15.0


@dataclass(frozen=True)
class Expected:
    """Where an organ is looked for, relative to the spine, and how large it may be.

    Ranges are wide: kidney 50-500 mL, liver 500-8000 mL (section 5 of the clinical specification).
    """

    lateral_mm: tuple[float, float]
    depth_mm: tuple[float, float]
    volume_ml: tuple[float, float]
    length_mm: tuple[float, float]
    typical_lateral_mm: float
    typical_depth_mm: float
    typical_volume_ml: float


# The left kidney lies 10 to 20 mm higher than the right one; further apart one of the two is taken for something else.
KIDNEYS_APART_MM = 70.0
SINGLE_LATERAL_MM = 82.0
KIDNEY = Expected((18.0, 125.0), (-45.0, 75.0), (50.0, 500.0), (50.0, 180.0), 62.0, 5.0, 160.0)
SPLEEN = Expected((30.0, 160.0), (-80.0, 90.0), (40.0, 1200.0), (35.0, 250.0), 92.0, 0.0, 180.0)
# Parts of the hottest uptake in the zone (a lesion may be ten times as hot as the organ); steps of 0.8.
LEVELS = tuple(0.8**k for k in range(1, 13))
# Three standard deviations from the typical place or volume.
LOWEST_SCORE = 0.011
COARSE_BELOW_MM = 3.0


@dataclass(frozen=True, eq=False)
class Organ:
    """A mask with the uptake inside it, in Bq/mL."""

    mask: Mask
    level_bq_per_ml: float


def _zone(torso: Torso, expected: Expected, side: float) -> Mask:
    """Return the part of soft tissue where the organ may lie; ``side`` is +1 for the patient's left."""
    lateral, depth = torso.lateral_mm * side, torso.depth_mm
    return np.asarray(
        torso.soft
        & (lateral > expected.lateral_mm[0])
        & (lateral < expected.lateral_mm[1])
        & (depth > expected.depth_mm[0])
        & (depth < expected.depth_mm[1])
    )


def _plausibility(torso: Torso, where: NDArray[np.intp], expected: Expected, side: float) -> float:
    """Return how like the organ a component is: 0 outside its ranges, 1 at its typical place and volume.

    ``where``, shape (n, 3), are the component's voxels.
    """
    volume_ml = len(where) * torso.grid.voxel_volume_ml
    length_mm = float(np.ptp(where[:, 0]) + 1) * torso.grid.spacing_mm[0]
    if not (expected.volume_ml[0] <= volume_ml <= expected.volume_ml[1]):
        return 0.0
    if not (expected.length_mm[0] <= length_mm <= expected.length_mm[1]):
        return 0.0
    lateral_mm = float(torso.lateral_mm[where[:, 0], 0, where[:, 2]].mean()) * side
    depth_mm = float(torso.depth_mm[where[:, 0], where[:, 1], 0].mean())
    terms = (
        (lateral_mm - expected.typical_lateral_mm) / 20.0,
        (depth_mm - expected.typical_depth_mm) / 20.0,
        np.log(volume_ml / expected.typical_volume_ml) / 0.5,
    )
    return float(np.exp(-0.5 * sum(t**2 for t in terms)))


@dataclass(frozen=True, eq=False)
class _Core:
    """The inside of an organ, that of what it touches, and how far both lie inside their borders."""

    mask: Mask
    rivals: Mask
    radius_mm: float
    score: float


def _candidates(torso: Torso, zone: Mask, expected: Expected, side: float) -> Iterator[_Core]:
    """Lower a threshold and cut necks of growing width; yield every component that may be the organ."""
    uptake = np.where(zone, torso.smooth_bq_per_ml, 0.0)
    top = float(np.percentile(uptake[zone], 99.5))
    for level in LEVELS:
        hot = uptake > level * top
        depth = ndimage.distance_transform_edt(np.pad(hot, 1), sampling=torso.grid.spacing_mm)[1:-1, 1:-1, 1:-1]
        for radius_mm in NECK_RADII_MM:
            yield from _cores(torso, hot, np.asarray(depth > radius_mm), radius_mm, expected, side)


def _cores(torso: Torso, hot: Mask, inner: Mask, radius_mm: float, expected: Expected, side: float) -> Iterator[_Core]:
    labels, count = ndimage.label(inner)
    if count == 0:
        return
    nearest = ndimage.distance_transform_edt(
        labels == 0, sampling=torso.grid.spacing_mm, return_distances=False, return_indices=True
    )
    whole = np.where(hot, labels[tuple(nearest)], 0)
    volumes = np.bincount(whole.ravel(), minlength=count + 1) * torso.grid.voxel_volume_ml
    for number in np.flatnonzero(volumes >= expected.volume_ml[0]):
        score = _plausibility(torso, np.argwhere(whole == number), expected, side) if number else 0.0
        if score > 0:
            rivals = (labels > 0) & (labels != number) & (volumes[labels] >= RIVAL_ML)
            yield _Core(labels == number, rivals, radius_mm, score)


def _best_core(torso: Torso, zone: Mask, expected: Expected, side: float) -> _Core | None:
    """Return the component most like the organ; searched in blocks of 2x2x2 where voxels are small."""
    coarse = max(torso.grid.spacing_mm) < COARSE_BELOW_MM and min(torso.grid.shape) >= 8
    search, inside = (torso.halved(), halved(zone) >= 0.5) if coarse else (torso, zone)
    if not inside.any():
        return None
    best = max(_candidates(search, inside, expected, side), key=lambda core: core.score, default=None)
    if best is None or best.score < LOWEST_SCORE or not coarse:
        return best if best is not None and best.score >= LOWEST_SCORE else None
    mask = doubled(best.mask, zone.shape) & zone
    return _Core(mask, doubled(best.rivals, zone.shape) & zone, best.radius_mm, best.score) if mask.any() else None


def _bounded(torso: Torso, core: _Core, level: float, free: Mask) -> Mask:
    """Return the organ around ``core``: to the fat on CT, to half its level against other soft tissue.

    Where it touches another active organ the border lies half way between both insides.
    """
    spacing = torso.grid.spacing_mm
    fat_near = torso.grown(torso.body & ~torso.soft & ~torso.bone, FAT_REACH_MM)
    wanted = np.where(fat_near, LEVEL_NEAR_FAT, HALF_LEVEL) * level
    distance = ndimage.distance_transform_edt(~core.mask, sampling=spacing)
    candidate = torso.soft & free & (torso.activity_bq_per_ml > wanted) & (distance <= core.radius_mm + REACH_MM)
    if core.rivals.any():
        candidate &= distance <= ndimage.distance_transform_edt(~core.rivals, sampling=spacing)
    labels, _ = ndimage.label(torso.opened(candidate, BRIDGE_RADIUS_MM))
    touched = np.bincount(labels[core.mask & (labels > 0)].ravel(), minlength=1)
    if touched.size < 2:
        return np.zeros_like(core.mask)
    whole = torso.grown(labels == int(touched.argmax()), BRIDGE_RADIUS_MM) & candidate
    closed = _closed(torso, whole) & torso.soft & free
    return np.asarray(closed & ~core.rivals)


def _closed(torso: Torso, mask: Mask) -> Mask:
    """Fill holes and notches (a cool pelvis, noise)."""
    padded = np.pad(mask, 4)
    sampling = torso.grid.spacing_mm
    grown = ndimage.distance_transform_edt(~padded, sampling=sampling) <= BRIDGE_RADIUS_MM
    closed = ndimage.distance_transform_edt(grown, sampling=sampling) > BRIDGE_RADIUS_MM
    return np.asarray(ndimage.binary_fill_holes(closed | padded)[4:-4, 4:-4, 4:-4])


def _level(torso: Torso, mask: Mask) -> float:
    """Return the uptake inside: median of the half that lies deepest."""
    distance = ndimage.distance_transform_edt(mask, sampling=torso.grid.spacing_mm)
    deep = mask & (distance >= np.median(distance[mask]))
    return float(np.median(torso.smooth_bq_per_ml[deep]))


def _organ(torso: Torso, expected: Expected, side: float, free: Mask) -> Organ | None:
    """Find and bound an organ inside the box that can hold it."""
    zone = _zone(torso, expected, side) & free
    if not zone.any():
        return None
    box = bounding_box(zone, margin=MARGIN_VOXELS)
    part = torso.part(box)
    core = _best_core(part, zone[box], expected, side)
    if core is None:
        return None
    level = _level(part, core.mask)
    mask = np.zeros(torso.grid.shape, dtype=bool)
    mask[box] = _bounded(part, core, level, free[box])
    if not expected.volume_ml[0] <= torso.volume_ml(mask) <= expected.volume_ml[1]:
        return None
    return Organ(mask, level)


def find_kidney(torso: Torso, laterality: Laterality, level_with_z_mm: float | None = None) -> Organ | None:
    """Return one kidney, or None where nothing looks like one.

    ``level_with_z_mm``: height of the other kidney, near which this one is looked for.
    """
    free = torso.soft
    if level_with_z_mm is not None:
        free = free & (np.abs(torso.z_mm - level_with_z_mm) < KIDNEYS_APART_MM + KIDNEY.length_mm[1] / 2.0)
    return _organ(torso, KIDNEY, 1.0 if laterality == "left" else -1.0, free)


def centre_z_mm(torso: Torso, organ: Organ) -> float:
    """Return the height of an organ's centre."""
    return float(torso.z_mm[np.flatnonzero(organ.mask.any(axis=(1, 2)))].mean())


def lateral_offset_mm(torso: Torso, organ: Organ) -> float:
    """Return the distance of an organ's centre from the spine, to either side."""
    where = np.argwhere(organ.mask)
    return abs(float(torso.lateral_mm[where[:, 0], 0, where[:, 2]].mean()))


def find_kidneys(torso: Torso) -> dict[Laterality, Organ]:
    """Return the kidneys that were found.

    Where one lies far above the other, the upper one is another organ (a spleen, where the left kidney is missing): it
    is looked for again beside the lower one. A single organ must lie as near to the spine as kidneys do.
    """
    sides: tuple[Laterality, ...] = ("left", "right")
    found = {side: kidney for side in sides if (kidney := find_kidney(torso, side)) is not None}
    if len(found) < 2:
        return {side: kidney for side, kidney in found.items() if lateral_offset_mm(torso, kidney) < SINGLE_LATERAL_MM}
    lower, upper = sorted(sides, key=lambda side: centre_z_mm(torso, found[side]))
    height_mm = centre_z_mm(torso, found[lower])
    if centre_z_mm(torso, found[upper]) - height_mm <= KIDNEYS_APART_MM:
        return found
    again = find_kidney(torso, upper, height_mm)
    if again is None or abs(centre_z_mm(torso, again) - height_mm) > KIDNEYS_APART_MM:
        return {lower: found[lower]}
    return {lower: found[lower], upper: again}


def find_spleen(torso: Torso, taken: Mask, lowest_z_mm: float) -> Organ | None:
    """Return the spleen: left, above ``lowest_z_mm``, apart from what is ``taken``."""
    return _organ(torso, SPLEEN, 1.0, ~taken & torso.soft & (torso.z_mm > lowest_z_mm))


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
    return Organ(_closed(torso, mask) & free, level)


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
    return Organ(kidney.mask & ~rest, kidney.level_bq_per_ml), Organ(liver.mask | rest, liver.level_bq_per_ml)
