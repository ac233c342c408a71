"""Kidneys and spleen: found by their uptake, bounded by fat on CT and by half the uptake elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.imaging.borders import bounded, level_inside
from pipeline.imaging.candidates import Candidate, Expected, candidates, fine, zone_of
from pipeline.imaging.distance import bounding_box

if TYPE_CHECKING:
    from pipeline.domain.regions import Laterality
    from pipeline.imaging.distance import Box, Mask
    from pipeline.imaging.torso import Torso

MARGIN_VOXELS = 6
# The left kidney lies 10 to 20 mm higher than the right one; further apart one of the two is taken for something else.
KIDNEYS_APART_MM = 70.0
LEFT_HIGHER_MM = (12.0, 30.0)
SPLEEN_HIGHER_MM = (60.0, 35.0)
SINGLE_LATERAL_MM = 82.0
# Volumes: Cheong et al., Clin J Am Soc Nephrol 2007;2:38 (MRI, 202 mL men, 154 mL women); Prassopoulos et al., Eur
# Radiol 1997;7:246 (CT, spleen 215 mL, 107 to 314 mL). A kidney is nearly convex, a spleen hollow towards the stomach.
KIDNEY = Expected((18.0, 125.0), (-45.0, 75.0), (50.0, 500.0), (50.0, 180.0), 62.0, 12.0, 160.0, 0.85)
SPLEEN = Expected((30.0, 160.0), (-80.0, 90.0), (40.0, 1200.0), (35.0, 250.0), 88.0, 5.0, 180.0, 0.7)
# How like a typical organ what is there must be before nothing is taken to be there (absent spleens are rarer than one
# in ten of these patients, single kidneys rarer than one in thirty: project choices).
NO_SPLEEN = 0.05
NO_KIDNEY = 0.02
# Part of the smaller one that two organs may share.
SHARED = 0.05


@dataclass(frozen=True, eq=False)
class Organ:
    """A mask with the uptake inside it, in Bq/mL, and the waist at which it was cut from a neighbour, if it was."""

    mask: Mask
    level_bq_per_ml: float
    waist: float | None = None


def _search(torso: Torso, organs: list[Expected], side: float) -> tuple[Torso, Box, Mask, list[list[Candidate]]] | None:
    """Return the part of the torso that can hold the organs, and what there may be each of them."""
    zone = np.any([zone_of(torso, organ, side) for organ in organs], axis=0)
    if not zone.any():
        return None
    box = bounding_box(zone, margin=MARGIN_VOXELS)
    part = torso.part(box)
    return part, box, zone[box], candidates(part, zone[box], organs, side)


def _drawn(torso: Torso, part: Torso, box: Box, found: Candidate, expected: Expected, free: Mask) -> Organ | None:
    """Bound an organ around what was found of it."""
    if not found.mask.any():
        return None
    level = level_inside(part, found.mask)
    mask = np.zeros(torso.grid.shape, dtype=bool)
    mask[box] = bounded(part, found, level, free[box])
    if not expected.volume_ml[0] <= torso.volume_ml(mask) <= expected.volume_ml[1]:
        return None
    return Organ(mask, level, found.waist)


def find_right_kidney(torso: Torso, near_z_mm: float | None = None) -> Organ | None:
    """Return the right kidney, or None where nothing looks like it; ``near_z_mm``: not far from this height."""
    search = _search(torso, [KIDNEY], -1.0)
    if search is None:
        return None
    part, box, zone, (kidneys,) = search
    near = [one for one in kidneys if near_z_mm is None or abs(one.z_mm - near_z_mm) <= KIDNEYS_APART_MM]
    best = max(near, key=lambda one: one.score, default=None)
    return None if best is None else _drawn(torso, part, box, fine(best, zone), KIDNEY, torso.soft)


def find_left_flank(torso: Torso, right_z_mm: float | None) -> tuple[Organ | None, Organ | None]:
    """Return the left kidney and the spleen, searched together: what is more like one is not taken for the other.

    ``right_z_mm``: height of the right kidney.
    """
    search = _search(torso, [KIDNEY, SPLEEN], 1.0)
    if search is None:
        return None, None
    part, box, zone, (kidneys, spleens) = search
    kidney, spleen = _likeliest(_beside(kidneys, right_z_mm), spleens)
    left = None
    if kidney is not None:
        kidney = _against(fine(kidney, zone), None if spleen is None else fine(spleen, zone))
        left = _drawn(torso, part, box, kidney, KIDNEY, torso.soft)
    if spleen is None:
        return left, None
    free = torso.soft if left is None else torso.soft & ~left.mask
    return left, _drawn(torso, part, box, _against(fine(spleen, zone), kidney), SPLEEN, free)


def _against(found: Candidate, other: Candidate | None) -> Candidate:
    """Return a candidate with the other one among those it shares the tissue with."""
    return found if other is None else replace(found, rivals=(found.rivals | other.mask) & ~found.mask)


def _normal(value: float, expected: tuple[float, float]) -> float:
    return float(np.exp(-0.5 * ((value - expected[0]) / expected[1]) ** 2))


def _beside(kidneys: list[Candidate], right_z_mm: float | None) -> list[Candidate]:
    """Return the candidates at the height of the other kidney, less like one the further from it they lie."""
    if right_z_mm is None:
        return kidneys
    near = [one for one in kidneys if one.z_mm - right_z_mm <= KIDNEYS_APART_MM]
    return [replace(one, score=one.score * _normal(one.z_mm - right_z_mm, LEFT_HIGHER_MM)) for one in near]


def _likeliest(kidneys: list[Candidate], spleens: list[Candidate]) -> tuple[Candidate | None, Candidate | None]:
    """Return the likeliest pair of a left kidney and a spleen above it, either of which may be absent."""
    alone: list[tuple[float, Candidate | None, Candidate | None]] = [(NO_KIDNEY * NO_SPLEEN, None, None)]
    alone += [(one.score * NO_SPLEEN, one, None) for one in kidneys]
    alone += [(one.score * NO_KIDNEY, None, one) for one in spleens]
    both = [(k.score * s.score * _normal(s.z_mm - k.z_mm, SPLEEN_HIGHER_MM), k, s) for k in kidneys for s in spleens]
    ranked = sorted([*alone, *both], key=lambda pair: -pair[0])
    return next((k, s) for _, k, s in ranked if k is None or s is None or _apart(k, s))


def _apart(kidney: Candidate, spleen: Candidate) -> bool:
    smaller = min(np.count_nonzero(kidney.mask), np.count_nonzero(spleen.mask))
    return kidney.z_mm < spleen.z_mm and int(np.count_nonzero(kidney.mask & spleen.mask)) <= SHARED * int(smaller)


def centre_z_mm(torso: Torso, organ: Organ) -> float:
    """Return the height of an organ's centre."""
    return float(torso.z_mm[np.flatnonzero(organ.mask.any(axis=(1, 2)))].mean())


def lateral_offset_mm(torso: Torso, organ: Organ) -> float:
    """Return the distance of an organ's centre from the spine, to either side."""
    where = np.argwhere(organ.mask)
    return abs(float(torso.lateral_mm[where[:, 0], 0, where[:, 2]].mean()))


def find_flanks(torso: Torso) -> tuple[dict[Laterality, Organ], Organ | None]:
    """Return the kidneys that were found, and the spleen.

    Where the right kidney lies far above the left one it is another organ: it is looked for again beside the left one.
    A single organ must lie as near to the spine as kidneys do.
    """
    right = find_right_kidney(torso)
    left, spleen = find_left_flank(torso, None if right is None else centre_z_mm(torso, right))
    if left is not None and right is not None:
        height_mm = centre_z_mm(torso, left)
        if centre_z_mm(torso, right) - height_mm > KIDNEYS_APART_MM:
            right = find_right_kidney(torso, height_mm)
    found: dict[Laterality, Organ] = {}
    if left is not None:
        found["left"] = left
    if right is not None:
        found["right"] = right
    if len(found) == 1:
        found = {side: one for side, one in found.items() if lateral_offset_mm(torso, one) < SINGLE_LATERAL_MM}
    return found, spleen
