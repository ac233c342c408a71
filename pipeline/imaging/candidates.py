"""What may be an organ: parts of the hot tissue, cut apart at necks and at waists."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from pipeline.imaging.distance import depth_inside
from pipeline.imaging.torso import doubled, halved
from pipeline.imaging.waist import at_waist

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pipeline.imaging.distance import Mask
    from pipeline.imaging.torso import Torso

# Widths (half of them) of the contact with a neighbouring organ at which the two are cut apart.
NECK_RADII_MM = (3.5, 6.0, 9.0, 12.0)
# Smaller active parts do not compete for tissue.
RIVAL_ML = 8.0
# Parts of the hottest uptake in the zone (a lesion may be ten times as hot as the organ); steps of 0.8.
LEVELS = tuple(0.8**k for k in range(1, 13))
# Three standard deviations from the typical place or volume.
LOWEST_SCORE = 0.011
COARSE_BELOW_MM = 3.0
# Larger than two organs together: not cut at its waist, it is cut at a higher level.
WHOLE_ML = (80.0, 900.0)
# A part as large as at the level before is the same part.
SAME_VOLUME = 0.12
# A convex organ cut in its middle has a waist of about 1; a kidney and a spleen that touch, or a kidney and a liver,
# 0.3 to 0.4 (measured on patient15).
WIDEST_WAIST = 0.6
DEPTH_OF_CUTS = 2


@dataclass(frozen=True)
class Expected:
    """Where an organ is looked for, relative to the spine, how large it may be, and how like a convex body.

    Ranges are wide: kidney 50-500 mL, liver 500-8000 mL (section 5 of the clinical specification).
    """

    lateral_mm: tuple[float, float]
    depth_mm: tuple[float, float]
    volume_ml: tuple[float, float]
    length_mm: tuple[float, float]
    typical_lateral_mm: float
    typical_depth_mm: float
    typical_volume_ml: float
    solidity: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """The inside of what may be an organ, that of what it touches, and how far both lie inside their borders.

    Attributes
    ----------
    mask, rivals : ndarray of bool
    radius_mm : float
    score : float
        How like the organ it is, 0 to 1.
    z_mm : float
        Height of its centre.
    waist : float or None
        Where it was cut from a neighbour at its waist: width of the cut over that of the smaller part, 0 to 1.
    """

    mask: Mask
    rivals: Mask
    radius_mm: float
    score: float
    z_mm: float
    waist: float | None = None


def zone_of(torso: Torso, expected: Expected, side: float) -> Mask:
    """Return the part of soft tissue where the organ may lie; ``side`` is +1 for the patient's left."""
    lateral, depth = torso.lateral_mm * side, torso.depth_mm
    return np.asarray(
        torso.soft
        & (lateral > expected.lateral_mm[0])
        & (lateral < expected.lateral_mm[1])
        & (depth > expected.depth_mm[0])
        & (depth < expected.depth_mm[1])
    )


def solidity(where: NDArray[np.intp]) -> float:
    """Return the part of its convex hull that a component fills (1 where it is flat)."""
    try:
        hull = ConvexHull(where)
    except (QhullError, ValueError):
        return 1.0
    # The hull of voxel centres lacks half a voxel all round.
    return float(len(where) / (hull.volume + 0.5 * hull.area))


def plausibility(torso: Torso, where: NDArray[np.intp], expected: Expected, side: float) -> float:
    """Return how like the organ a component is: 0 outside its ranges, 1 at its typical place, volume and shape.

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
        min(0.0, solidity(where) - expected.solidity) / 0.1,
    )
    return float(np.exp(-0.5 * sum(t**2 for t in terms)))


def candidates(torso: Torso, zone: Mask, organs: list[Expected], side: float) -> list[list[Candidate]]:
    """Return, for each organ, every part of the hot tissue in the zone that may be it.

    A threshold is lowered; at each level parts are cut apart at necks of growing width and at their waist. Searched in
    blocks of 2x2x2 where voxels are small: bring what is chosen back with :func:`fine`.
    """
    coarse = max(torso.grid.spacing_mm) < COARSE_BELOW_MM and min(torso.grid.shape) >= 8
    search, inside = (torso.halved(), halved(zone) >= 0.5) if coarse else (torso, zone)
    if not inside.any():
        return [[] for _ in organs]
    parts = list(_parts(search, inside, min(organ.volume_ml[0] for organ in organs)))
    return [[one for part in parts if (one := _scored(search, part, organ, side))] for organ in organs]


@dataclass(frozen=True, eq=False)
class _Part:
    """A part of the hot tissue: all of it, its inside, and the insides that it touches (flat indices of the torso)."""

    whole: NDArray[np.intp]
    inner: NDArray[np.intp]
    rivals: NDArray[np.intp]
    radius_mm: float
    waist: float | None = None


def _parts(torso: Torso, zone: Mask, least_ml: float) -> Iterator[_Part]:
    uptake = np.where(zone, torso.smooth_bq_per_ml, 0.0)
    top = float(np.percentile(uptake[zone], 99.5))
    seen: set[tuple[int, int]] = set()
    for level in LEVELS:
        hot = uptake > level * top
        depth = depth_inside(hot, torso.grid.spacing_mm)
        for radius_mm in NECK_RADII_MM:
            yield from _at_necks(torso, hot, np.asarray(depth > radius_mm), radius_mm, least_ml)
        yield from _at_waists(torso, hot, seen)


def _at_necks(torso: Torso, hot: Mask, inner: Mask, radius_mm: float, least_ml: float) -> Iterator[_Part]:
    labels, count = ndimage.label(inner)
    if count == 0:
        return
    nearest = ndimage.distance_transform_edt(
        labels == 0, sampling=torso.grid.spacing_mm, return_distances=False, return_indices=True
    )
    whole = np.where(hot, labels[tuple(nearest)], 0)
    volumes = np.bincount(whole.ravel(), minlength=count + 1) * torso.grid.voxel_volume_ml
    volumes[0] = 0.0
    for number in np.flatnonzero(volumes >= least_ml):
        rivals = (labels > 0) & (labels != number) & (volumes[labels] >= RIVAL_ML)
        yield _Part(*_flat(whole == number, labels == number, rivals), radius_mm)


def _flat(whole: Mask, inner: Mask, rivals: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    return np.flatnonzero(whole), np.flatnonzero(inner), np.flatnonzero(rivals)


def _at_waists(torso: Torso, hot: Mask, seen: set[tuple[int, int]]) -> Iterator[_Part]:
    """Yield both sides of each piece's waist, and of theirs; a piece that was cut at a level before is left out."""
    labels, count = ndimage.label(hot)
    volumes = np.bincount(labels.ravel(), minlength=count + 1) * torso.grid.voxel_volume_ml
    for number in range(1, count + 1):
        if not WHOLE_ML[0] <= volumes[number] <= WHOLE_ML[1]:
            continue
        piece = np.flatnonzero(labels == number)
        key = (int(piece[0]), round(float(np.log(len(piece))) / SAME_VOLUME))
        if key not in seen:
            seen.add(key)
            yield from _cut(torso, piece, DEPTH_OF_CUTS)


def _cut(torso: Torso, piece: NDArray[np.intp], depth: int) -> Iterator[_Part]:
    where = np.stack(np.unravel_index(piece, torso.grid.shape), axis=1)
    hu, uptake = torso.hu.ravel()[piece], torso.smooth_bq_per_ml.ravel()[piece]
    cut = at_waist(where, hu, uptake, torso.grid.spacing_mm)
    if cut is None or cut.waist > WIDEST_WAIST:
        return
    for own, other in ((cut.first, ~cut.first), (~cut.first, cut.first)):
        yield _Part(piece[own], piece[own], piece[other], 0.0, cut.waist)
        if depth > 1:
            yield from _cut(torso, piece[own], depth - 1)


def _scored(torso: Torso, part: _Part, organ: Expected, side: float) -> Candidate | None:
    where = np.stack(np.unravel_index(part.whole, torso.grid.shape), axis=1)
    score = plausibility(torso, where, organ, side)
    if score < LOWEST_SCORE:
        return None
    z_mm = float(torso.z_mm[where[:, 0]].mean())
    return Candidate(_mask(torso, part.inner), _mask(torso, part.rivals), part.radius_mm, score, z_mm, part.waist)


def _mask(torso: Torso, indices: NDArray[np.intp]) -> Mask:
    mask = np.zeros(torso.grid.shape, dtype=bool)
    mask.ravel()[indices] = True
    return mask


def fine(found: Candidate, zone: Mask) -> Candidate:
    """Return a candidate of blocks of 2x2x2 voxels voxel by voxel, inside ``zone``."""
    if found.mask.shape == zone.shape:
        return found
    return replace(found, mask=doubled(found.mask, zone.shape) & zone, rivals=doubled(found.rivals, zone.shape) & zone)
