"""Where an organ ends: at fat on CT, at about half its uptake against other soft tissue, half way to a neighbour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from pipeline.imaging.distance import depth_inside, distance_to

if TYPE_CHECKING:
    from pipeline.imaging.candidates import Candidate
    from pipeline.imaging.distance import Mask
    from pipeline.imaging.torso import Torso

# Part of an organ's own level at its border where CT shows no edge; a flat border lies at one half.
HALF_LEVEL = 0.45
# The same where fat is near: CT draws the border there. A convex border lies below one half: 1/2 - s / (R sqrt(2 pi))
# for a sphere of radius R under a blur of s, 0.36 to 0.42 for 15 to 25 mm and 12 mm FWHM.
LEVEL_NEAR_FAT = 0.35
FAT_REACH_MM = 3.0
BRIDGE_RADIUS_MM = 3.5
REACH_MM = 10.0


def bounded(torso: Torso, core: Candidate, level: float, free: Mask) -> Mask:
    """Return the organ around ``core``: to the fat on CT, to half its level against other soft tissue.

    Where it touches another active organ the border lies half way between both insides.
    """
    spacing = torso.grid.spacing_mm
    fat_near = torso.grown(torso.body & ~torso.soft & ~torso.bone, FAT_REACH_MM)
    wanted = np.where(fat_near, LEVEL_NEAR_FAT, HALF_LEVEL) * level
    distance = distance_to(core.mask, spacing)
    candidate = torso.soft & free & (torso.activity_bq_per_ml > wanted) & (distance <= core.radius_mm + REACH_MM)
    if core.rivals.any():
        candidate &= distance <= distance_to(core.rivals, spacing)
    labels, _ = ndimage.label(torso.opened(candidate, BRIDGE_RADIUS_MM))
    touched = np.bincount(labels[core.mask & (labels > 0)].ravel(), minlength=1)
    if touched.size < 2:
        return np.zeros_like(core.mask)
    whole = torso.grown(labels == int(touched.argmax()), BRIDGE_RADIUS_MM) & candidate
    whole = filled(torso, whole) & torso.soft & free
    return np.asarray(whole & ~core.rivals)


def filled(torso: Torso, mask: Mask) -> Mask:
    """Fill holes and notches (a cool pelvis, noise)."""
    padded = np.pad(mask, 4)
    closed = torso.shrunk(torso.grown(padded, BRIDGE_RADIUS_MM), BRIDGE_RADIUS_MM)
    return np.asarray(ndimage.binary_fill_holes(closed | padded)[4:-4, 4:-4, 4:-4])


def level_inside(torso: Torso, mask: Mask) -> float:
    """Return the uptake inside: median of the half that lies deepest."""
    distance = depth_inside(mask, torso.grid.spacing_mm)
    deep = mask & (distance >= np.median(distance[mask]))
    return float(np.median(torso.smooth_bq_per_ml[deep]))
