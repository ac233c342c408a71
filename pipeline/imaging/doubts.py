"""What makes automatic contours doubtful: a person must look before a dose of them is used.

BLOCK: the result asks for a reason at signing. Ranges are those of the plausibility rules, held more strictly: a volume
that a person drew may be the patient's, one that this method drew may be two organs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.imaging.candidates import solidity
from pipeline.imaging.distance import bounding_box, depth_inside
from pipeline.physics.plausibility import LEFT_TO_RIGHT, VOLUME_ML
from pipeline.units import PERCENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.domain.dose import FlagLevel
    from pipeline.domain.regions import Laterality
    from pipeline.imaging.distance import Mask
    from pipeline.imaging.organs import Organ
    from pipeline.imaging.torso import Torso

DRAW = "look at the contours; draw it and pass the contours file where they are wrong"
# Part of its convex hull that a kidney fills: 0.76 to 0.86 on two anatomies drawn by others (0.72 where its lower half
# is outside the field), 0.61 for kidney and spleen in one piece on both.
LEAST_SOLIDITY = 0.68
# Organs nearer than this have no fat between them that the images could show.
TOUCHING_MM = 3.5
# Part of a kidney's surface that touches another organ. Project choices.
TOUCH_WARN = 0.05
TOUCH_BLOCK = 0.15
# Narrower cuts than this are seen on CT, on SPECT or by the piece's shape (0.3 to 0.4 where two organs touch).
CLEAR_WAIST = 0.45
# Ratio of two uptakes whose border shows on SPECT.
CLEAR_STEP = 1.5
# Normal spleen takes up more somatostatin analogue than normal liver (Kuyumcu et al., Ann Nucl Med 2013;27:538; spleen
# 0.6-1.2, liver 0.27 Gy/GBq in section 5 of the clinical specification).
SPLEEN_OVER_LIVER = 1.0
# Spill-out around regions, and the share of the field's activity that may be hot and in no region. Project choices.
SPILL_MM = 12.0
UNEXPLAINED_WARN = 0.01
UNEXPLAINED_BLOCK = 0.05


def doubt(code: str, level: FlagLevel, what: str, region: str | None) -> Flag:
    return Flag(code, level, f"{what}; {DRAW}", region)


def kidney_doubts(torso: Torso, kidneys: Mapping[Laterality, Organ]) -> tuple[Flag, ...]:
    """Return BLOCK for kidneys whose volume, shape or ratio is not that of kidneys."""
    flags = []
    volumes = {side: torso.volume_ml(kidney.mask) for side, kidney in kidneys.items()}
    low, high = VOLUME_ML["kidney"].warn
    for side, kidney in kidneys.items():
        key = f"kidney_{side}"
        if not low <= volumes[side] <= high:
            text = f"{key}: {volumes[side]:.0f} mL by the automatic method, expected {low:g} to {high:g}"
            flags.append(doubt("CONTOUR_DOUBTFUL", "BLOCK", text, key))
        filled = solidity(np.argwhere(kidney.mask[bounding_box(kidney.mask)]))
        if filled < LEAST_SOLIDITY:
            text = (
                f"{key}: fills {PERCENT * filled:.0f} % of its convex hull, a kidney {PERCENT * LEAST_SOLIDITY:.0f} %"
            )
            flags.append(doubt("CONTOUR_DOUBTFUL", "BLOCK", text, key))
    return (*flags, *_pair_doubts(volumes))


def _pair_doubts(volumes_ml: Mapping[Laterality, float]) -> tuple[Flag, ...]:
    if len(volumes_ml) < 2:
        return ()
    ratio = volumes_ml["left"] / volumes_ml["right"]
    low, high = LEFT_TO_RIGHT.warn
    if low <= ratio <= high:
        return ()
    text = f"kidneys: left to right volume {ratio:.2f} by the automatic method, expected {low:g} to {high:g}"
    return (doubt("CONTOUR_DOUBTFUL", "BLOCK", text, "kidney"),)


def touch_doubts(torso: Torso, key: str, organ: Organ, others: Mapping[str, Organ]) -> tuple[Flag, ...]:
    """Return the flags of an organ that touches others: BLOCK where neither CT nor SPECT nor shape shows a border."""
    box = bounding_box(organ.mask, margin=3)
    part, mask = torso.part(box), organ.mask[box]
    depth = depth_inside(mask, part.grid.spacing_mm)
    voxel_mm = max(part.grid.spacing_mm)
    surface = mask & (depth <= voxel_mm)
    flags = []
    for name, other in others.items():
        touching = float(part.grown(other.mask[box], max(TOUCHING_MM, voxel_mm))[surface].mean())
        if touching <= TOUCH_WARN:
            continue
        clear = _is_clear(organ, other)
        level: FlagLevel = "BLOCK" if touching > TOUCH_BLOCK and not clear else "WARN"
        text = f"{key} touches {name} on {PERCENT * touching:.0f} % of its surface"
        text += "" if clear else " and no border shows between them"
        flags.append(doubt("ORGANS_TOUCH", level, text, key))
    return tuple(flags)


def _is_clear(organ: Organ, other: Organ) -> bool:
    """Tell whether a border shows: a narrow waist, or a step in uptake."""
    narrow = any(one.waist is not None and one.waist <= CLEAR_WAIST for one in (organ, other))
    levels = sorted((organ.level_bq_per_ml, other.level_bq_per_ml))
    return narrow or levels[1] >= CLEAR_STEP * levels[0]


def spleen_doubts(spleen: Organ | None, liver: Organ | None) -> tuple[Flag, ...]:
    """Return BLOCK for a spleen cooler than the liver: it may be the stomach, the bowel or the liver's left lobe."""
    if spleen is None or liver is None or spleen.level_bq_per_ml >= SPLEEN_OVER_LIVER * liver.level_bq_per_ml:
        return ()
    ratio = spleen.level_bq_per_ml / liver.level_bq_per_ml
    return (
        doubt("CONTOUR_DOUBTFUL", "BLOCK", f"spleen: {ratio:.2f} of the liver's uptake, expected above 1", "spleen"),
    )


def unexplained_doubts(torso: Torso, regions: Mask, hot_above_bq_per_ml: float) -> tuple[Flag, ...]:
    """Return a flag where much of the field's activity is hot and lies in no region and not near one."""
    total = float(torso.activity_bq_per_ml.sum(dtype=np.float64))
    hot = (torso.smooth_bq_per_ml > hot_above_bq_per_ml) & ~torso.grown(regions, SPILL_MM)
    share = float(torso.activity_bq_per_ml[hot].sum(dtype=np.float64)) / total if total > 0 else 0.0
    if share <= UNEXPLAINED_WARN:
        return ()
    level: FlagLevel = "BLOCK" if share > UNEXPLAINED_BLOCK else "WARN"
    text = f"{PERCENT * share:.1f} % of the activity is hot and in no region"
    return (doubt("UPTAKE_UNEXPLAINED", level, text, None),)


def lesion_doubts(keys: Sequence[str]) -> tuple[Flag, ...]:
    """Return WARN for lesions outside liver and bone: bowel, bladder, ureter and gallbladder look alike."""
    text = "outside liver and bone: a tumour, or bowel, bladder, ureter, gallbladder or the injection"
    return tuple(doubt("LESION_UNCONFIRMED", "WARN", f"{key} {text}", key) for key in keys)


def lesions_touch_doubts(torso: Torso, lesions: Mapping[str, Mask]) -> tuple[Flag, ...]:
    """Return WARN for each of one host's lesions that touches one before it: their number counts (bone points)."""
    reach_mm = max(TOUCHING_MM, *torso.grid.spacing_mm)
    margin = int(np.ceil(reach_mm / min(torso.grid.spacing_mm)))
    flags: list[Flag] = []
    for number, (key, mask) in enumerate(lesions.items()):
        box = bounding_box(mask, margin=margin)
        near = torso.part(box).grown(mask[box], reach_mm)
        touched = [name for name in list(lesions)[:number] if (near & lesions[name][box]).any()]
        if touched:
            text = f"{key} touches {', '.join(touched)}: lesions of their own, or one whose uptake is uneven"
            flags.append(doubt("LESIONS_TOUCH", "WARN", text, key))
    return tuple(flags)
