"""Whether what was taken for a kidney may be something else: bowel, stomach, a tumour, the spleen.

Candidates are chosen by place, volume and convexity among what is hot; where a kidney is missing the next best may win.
These checks ask what the choice did not: does it lie where kidneys lie, has it a capsule of fat, is it like the other
one? A hot loop in the empty bed of a kidney, as hot as the other kidney, cannot be told from one by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.imaging.distance import bounding_box
from pipeline.imaging.doubts import doubt
from pipeline.units import PERCENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.domain.dose import Flag
    from pipeline.domain.regions import Laterality
    from pipeline.imaging.distance import Mask
    from pipeline.imaging.organs import Organ
    from pipeline.imaging.torso import Torso

# Project choices, held against the automatic contours of twelve kidneys (two patients, four phantoms): what those have
# stands in brackets.
# Middle of a kidney from the middle of the spine (55 to 72 mm), and behind the front of the spine (1 to 25 mm).
LATERAL_MM = (40.0, 85.0)
DEPTH_MM = (-12.0, 50.0)
# The two lie equally deep (0 to 4 mm; a patient turned by 9 degrees adds 20 mm).
DEPTHS_APART_MM = 20.0
# The left one over the right one (1 to 35 mm).
LEFT_HIGHER_MM = (-35.0, 60.0)
# Uptake per mL, left to right (0.89 to 1.03).
LEFT_TO_RIGHT_UPTAKE = (0.75, 1.33)
# Part of the layer around it that is fat, other organs left out (0.47 to 1.00).
FAT_LAYER_MM = 8.0
LEAST_FAT = 0.4
LOWEST_FAT_HU = -200.0


@dataclass(frozen=True)
class _Place:
    lateral_mm: float
    depth_mm: float
    z_mm: float


def _place(torso: Torso, mask: Mask, side: Laterality) -> _Place:
    z, y, x = np.nonzero(mask)
    sign = 1.0 if side == "left" else -1.0
    return _Place(
        lateral_mm=sign * float(torso.lateral_mm[z, 0, x].mean()),
        depth_mm=float(torso.depth_mm[z, y, 0].mean()),
        z_mm=float(torso.z_mm[z].mean()),
    )


def fat_around(torso: Torso, mask: Mask, others: Mask) -> float:
    """Return the part of the 8 mm around a mask that is fat on CT; ``others`` and what is outside do not count."""
    box = bounding_box(mask, margin=int(np.ceil(FAT_LAYER_MM / min(torso.grid.spacing_mm))) + 1)
    part, inside = torso.part(box), mask[box]
    layer = part.grown(inside, FAT_LAYER_MM) & ~inside & part.body & ~others[box]
    fat = layer & ~part.soft & ~part.bone & (part.hu > LOWEST_FAT_HU)
    return float(np.count_nonzero(fat)) / max(1, int(np.count_nonzero(layer)))


def _out_of_place(place: _Place) -> Iterator[str]:
    if not LATERAL_MM[0] <= place.lateral_mm <= LATERAL_MM[1]:
        yield f"lies {place.lateral_mm:.0f} mm from the spine, a kidney {LATERAL_MM[0]:g} to {LATERAL_MM[1]:g} mm"
    if not DEPTH_MM[0] <= place.depth_mm <= DEPTH_MM[1]:
        text = f"lies {place.depth_mm:.0f} mm behind the front of the spine"
        yield f"{text}, a kidney {DEPTH_MM[0]:g} to {DEPTH_MM[1]:g} mm"


def _unlike(left: _Place, right: _Place, uptake: float) -> Iterator[str]:
    """Yield in what the two kidneys differ more than kidneys do."""
    low, high = LEFT_TO_RIGHT_UPTAKE
    if not low <= uptake <= high:
        yield f"left to right uptake {uptake:.2f}, expected {low:g} to {high:g}"
    if abs(left.depth_mm - right.depth_mm) > DEPTHS_APART_MM:
        yield f"one lies {abs(left.depth_mm - right.depth_mm):.0f} mm before the other, expected {DEPTHS_APART_MM:g}"
    higher_mm, (low, high) = left.z_mm - right.z_mm, LEFT_HIGHER_MM
    if not low <= higher_mm <= high:
        yield f"the left one lies {higher_mm:.0f} mm above the right one, expected {low:g} to {high:g}"


def impostor_doubts(torso: Torso, kidneys: Mapping[Laterality, Organ], others: Mask) -> tuple[Flag, ...]:
    """Return BLOCK for kidneys that may be something else.

    Parameters
    ----------
    torso : Torso
    kidneys : mapping of side to Organ
    others : ndarray of bool
        Liver and spleen: no fat is expected there.
    """
    flags = []
    places = {side: _place(torso, kidney.mask, side) for side, kidney in kidneys.items()}
    for side, kidney in kidneys.items():
        reasons = list(_out_of_place(places[side]))
        fat = fat_around(torso, kidney.mask, others)
        if fat < LEAST_FAT:
            reasons.append(
                f"{PERCENT * fat:.0f} % of its surroundings are fat, of a kidney's {PERCENT * LEAST_FAT:g} %"
            )
        flags += [doubt("CONTOUR_DOUBTFUL", "BLOCK", f"kidney_{side}: {why}", f"kidney_{side}") for why in reasons]
    if len(kidneys) == 2:
        uptake = kidneys["left"].level_bq_per_ml / kidneys["right"].level_bq_per_ml
        pair = _unlike(places["left"], places["right"], uptake)
        flags += [doubt("CONTOUR_DOUBTFUL", "BLOCK", f"kidneys: {why}; one may be bowel", "kidney") for why in pair]
    return tuple(flags)
