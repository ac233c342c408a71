"""Automatic regions from one CT and one SPECT on the CPU: a first method, made for review by a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.domain.regions import Region, RegionKind, Segmentation
from pipeline.imaging.distance import Mask
from pipeline.imaging.lesions import Lesion, find_lesions
from pipeline.imaging.liver import find_liver, parted
from pipeline.imaging.midline import find_aorta, find_marrow, vertebrae
from pipeline.imaging.organs import Organ, find_flanks
from pipeline.imaging.torso import Torso, contour_grid, torso_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from pipeline.domain.maps import ActivityMap, DensityMap, HounsfieldMap
    from pipeline.domain.regions import Laterality

METHOD = "auto-ct-spect-1"
AUTHOR = "automatic"
# One voxel is left between organs that are searched for one after the other.
APART_MM = 2.5
# Marrow keeps this distance from bone lesions.
LESION_MARGIN_MM = 2.5


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """Regions, what was not found, and what each region was drawn from.

    Attributes
    ----------
    segmentation : Segmentation
        On the contour grid.
    flags : tuple of Flag
        ``REGION_NOT_FOUND`` for each region that was looked for in vain.
    quality : dict
        By region key: ``volume_ml`` and ``mean_bq_per_ml``; ``liver_level_bq_per_ml`` of normal liver.
    """

    segmentation: Segmentation
    flags: tuple[Flag, ...]
    quality: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Found:
    """A mask with what it is."""

    name: str
    kind: RegionKind
    mask: Mask
    laterality: Laterality | None = None
    host: str | None = None


def _union(torso: Torso, organs: Iterable[Organ]) -> Mask:
    mask = np.zeros(torso.grid.shape, dtype=bool)
    for organ in organs:
        mask |= organ.mask
    return mask


def _organs(torso: Torso) -> tuple[list[_Found], Organ | None]:
    """Return kidneys, spleen and liver (with its lesions), each apart from those before it."""
    kidneys, spleen = find_flanks(torso)
    others = [*kidneys.values(), *([spleen] if spleen else [])]
    liver = find_liver(torso, torso.grown(_union(torso, others), APART_MM))
    if liver is not None and "right" in kidneys:
        kidneys["right"], liver = parted(torso, kidneys["right"], liver)
    found = [_Found("kidney", "organ", kidney.mask, side) for side, kidney in kidneys.items()]
    return found + ([_Found("spleen", "organ", spleen.mask)] if spleen else []), liver


def _lesions(torso: Torso, liver: Organ, organs: Mask, min_lesion_ml: float) -> list[Lesion]:
    """Return the lesions of liver and bone, largest first."""
    level = liver.level_bq_per_ml
    found = find_lesions(torso, "liver", liver.mask, level, level, min_lesion_ml)
    bone = (vertebrae(torso) | torso.grown(torso.bone, 3.0)) & ~torso.grown(organs | liver.mask, 8.0)
    normal = float(np.median(torso.smooth_bq_per_ml[bone])) if bone.any() else 0.0
    found += find_lesions(torso, "bone", bone, level, normal, min_lesion_ml)
    return sorted(found, key=lambda lesion: -int(np.count_nonzero(lesion.mask)))


def _missing(name: str, laterality: Laterality | None = None) -> Flag:
    key = f"{name}_{laterality}" if laterality else name
    text = f"{key}: not found by {METHOD}; draw it and pass the contours file"
    return Flag("REGION_NOT_FOUND", "WARN", text, key)


def _everything(torso: Torso, min_lesion_ml: float) -> tuple[list[_Found], float | None]:
    """Return all regions in order of precedence, and the level of normal liver."""
    organs, liver = _organs(torso)
    taken = np.any([f.mask for f in organs], axis=0) if organs else np.zeros(torso.grid.shape, dtype=bool)
    lesions = _lesions(torso, liver, taken, min_lesion_ml) if liver else []
    found = organs + [_Found(f"lesion-{n}", "lesion", one.mask, host=one.host) for n, one in enumerate(lesions, 1)]
    if liver:
        found.append(_Found("liver", "organ", liver.mask))
        taken = taken | liver.mask
    marrow, aorta = find_marrow(torso), find_aorta(torso, taken)
    if marrow is not None:
        diseased = [torso.grown(lesion.mask, LESION_MARGIN_MM) for lesion in lesions if lesion.host == "bone"]
        found.append(_Found("marrow", "marrow", marrow & ~np.any([np.zeros_like(marrow), *diseased], axis=0)))
    if aorta is not None:
        found.append(_Found("aorta", "blood", aorta))
    return found, liver.level_bq_per_ml if liver else None


WANTED: tuple[tuple[str, Laterality | None], ...] = (
    ("kidney", "left"),
    ("kidney", "right"),
    ("liver", None),
    ("spleen", None),
    ("marrow", None),
    ("aorta", None),
)


def _labelled(found: list[_Found], torso: Torso, contour: Grid) -> Segmentation:
    """Paint the masks, the first one on top, onto the contour grid."""
    label: NDArray[np.int16] = np.zeros(contour.shape, dtype=np.int16)
    part = label[torso.box]
    regions = []
    for number, one in reversed(list(enumerate(found, start=1))):
        part[one.mask] = number
        regions.append(Region(number, one.name, one.laterality, one.kind, METHOD, one.host))
    return Segmentation(contour, label, tuple(reversed(regions)), AUTHOR)


def _quality(segmentation: Segmentation, torso: Torso, liver_level: float | None) -> dict[str, float]:
    quality = {} if liver_level is None else {"liver_level_bq_per_ml": liver_level}
    part = segmentation.label[torso.box]
    for region in segmentation.regions:
        mask = np.asarray(part == region.label)
        quality[f"{region.key}.volume_ml"] = torso.volume_ml(mask)
        quality[f"{region.key}.mean_bq_per_ml"] = float(torso.activity_bq_per_ml[mask].mean()) if mask.any() else 0.0
    return quality


def segment(
    ct: HounsfieldMap, density: DensityMap, activity: ActivityMap, *, min_lesion_ml: float = 1.0
) -> SegmentationResult:
    """Draw kidneys, liver, spleen, vertebral marrow, aorta and lesions of liver and bone.

    Kidneys, liver and spleen are found by uptake and place relative to the spine, bounded by fat on CT and by about
    half their uptake elsewhere; lesions are hotter than 1.5 times normal liver; marrow and aorta come from CT. Nothing
    is guessed: what is not found is flagged. A person confirms the result.

    Parameters
    ----------
    ct : HounsfieldMap
    density : DensityMap
        Of the same CT.
    activity : ActivityMap
        SPECT of the same time point, in the CT's frame of reference.
    min_lesion_ml : float
        Smaller lesions are left out (section 7.3 of the clinical specification: 1 mL).

    Returns
    -------
    SegmentationResult
    """
    density.grid.require_same(ct.grid)
    contour = contour_grid(ct.grid)
    torso = torso_of(ct, density, activity, contour)
    if torso is None:
        empty = Segmentation(contour, np.zeros(contour.shape, dtype=np.int16), (), AUTHOR)
        return SegmentationResult(empty, tuple(_missing(*one) for one in WANTED), {})
    found, liver_level = _everything(torso, min_lesion_ml)
    segmentation = _labelled(found, torso, contour)
    there = {(one.name, one.laterality) for one in found}
    flags = tuple(_missing(*one) for one in WANTED if one not in there)
    return SegmentationResult(segmentation, flags, _quality(segmentation, torso, liver_level))
