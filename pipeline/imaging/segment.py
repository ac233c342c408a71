"""Automatic regions from one CT and one SPECT on the CPU: a first method, made for review by a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.domain.regions import Region, RegionKind, Segmentation
from pipeline.imaging.distance import Mask
from pipeline.imaging.doubts import (
    kidney_doubts,
    lesion_doubts,
    lesions_touch_doubts,
    spleen_doubts,
    touch_doubts,
    unexplained_doubts,
)
from pipeline.imaging.impostors import impostor_doubts
from pipeline.imaging.lesions import HOTTER_THAN_LIVER, Host, Lesion, find_lesions
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

METHOD = "auto-ct-spect-2"
AUTHOR = "automatic"
# One voxel is left between organs that are searched for one after the other.
APART_MM = 2.5
# Marrow keeps this distance from bone lesions.
LESION_MARGIN_MM = 2.5
# No lesion has its maximum nearer to an organ: the organ's own uptake reaches there.
ORGAN_MARGIN_MM = 8.0


@dataclass(frozen=True, eq=False)
class SegmentationResult:
    """Regions, what was not found, and what each region was drawn from.

    Attributes
    ----------
    segmentation : Segmentation
        On the contour grid.
    flags : tuple of Flag
        ``REGION_NOT_FOUND`` for each region that was looked for in vain, and the doubts of ``imaging/doubts.py``.
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


@dataclass(frozen=True, eq=False)
class _Organs:
    """Kidneys, spleen and liver (with its lesions), each apart from those before it."""

    kidneys: dict[Laterality, Organ]
    spleen: Organ | None
    liver: Organ | None

    @property
    def found(self) -> list[_Found]:
        """Kidneys and spleen; the liver is painted below its lesions."""
        kidneys = [_Found("kidney", "organ", kidney.mask, side) for side, kidney in self.kidneys.items()]
        return kidneys + ([_Found("spleen", "organ", self.spleen.mask)] if self.spleen else [])


def _organs(torso: Torso) -> _Organs:
    kidneys, spleen = find_flanks(torso)
    others = [*kidneys.values(), *([spleen] if spleen else [])]
    liver = find_liver(torso, torso.grown(_union(torso, others), APART_MM))
    if liver is not None and "right" in kidneys:
        kidneys["right"], liver = parted(torso, kidneys["right"], liver)
    return _Organs(kidneys, spleen, liver)


def _hosts(torso: Torso, liver: Organ, organs: Mask) -> list[Host]:
    """Return liver, bone and the rest of the body as places of lesions."""
    level, none = liver.level_bq_per_ml, np.zeros_like(organs)
    near = torso.grown(organs | liver.mask, ORGAN_MARGIN_MM)
    bone = (vertebrae(torso) | torso.grown(torso.bone, 3.0)) & ~near
    rest = torso.body & ~organs & ~liver.mask
    return [
        Host("liver", liver.mask, liver.mask, none, level),
        Host("bone", bone, bone, none, _normal(torso, bone)),
        Host(None, rest, rest & ~near & ~bone, organs | liver.mask, _normal(torso, torso.soft & ~near & ~bone)),
    ]


def _normal(torso: Torso, tissue: Mask) -> float:
    return float(np.median(torso.smooth_bq_per_ml[tissue])) if tissue.any() else 0.0


def _lesions(torso: Torso, liver: Organ, organs: Mask, fwhm_mm: float | None, min_lesion_ml: float) -> list[Lesion]:
    """Return the lesions of liver, bone and elsewhere, largest first."""
    hosts, level = _hosts(torso, liver, organs), liver.level_bq_per_ml
    found = [one for host in hosts for one in find_lesions(torso, host, level, fwhm_mm, min_lesion_ml)]
    return sorted(found, key=lambda lesion: -int(np.count_nonzero(lesion.mask)))


def _missing(name: str, laterality: Laterality | None = None) -> Flag:
    key = f"{name}_{laterality}" if laterality else name
    text = f"{key}: not found by {METHOD}; draw it and pass the contours file"
    return Flag("REGION_NOT_FOUND", "BLOCK" if name in ORGANS else "WARN", text, key)


def _everything(torso: Torso, fwhm_mm: float | None, min_lesion_ml: float) -> tuple[list[_Found], _Organs]:
    """Return all regions in order of precedence, and the organs among them."""
    organs = _organs(torso)
    found, liver = organs.found, organs.liver
    taken = np.any([np.zeros(torso.grid.shape, dtype=bool), *(f.mask for f in found)], axis=0)
    lesions = _lesions(torso, liver, taken, fwhm_mm, min_lesion_ml) if liver else []
    found += [_Found(f"lesion-{n}", "lesion", one.mask, host=one.host) for n, one in enumerate(lesions, 1)]
    if liver:
        found.append(_Found("liver", "organ", liver.mask))
        taken = taken | liver.mask
    marrow, aorta = find_marrow(torso), find_aorta(torso, taken)
    if marrow is not None:
        diseased = [torso.grown(lesion.mask, LESION_MARGIN_MM) for lesion in lesions if lesion.host == "bone"]
        found.append(_Found("marrow", "marrow", marrow & ~np.any([np.zeros_like(marrow), *diseased], axis=0)))
    if aorta is not None:
        found.append(_Found("aorta", "blood", aorta))
    return found, organs


def _doubts(torso: Torso, found: list[_Found], organs: _Organs) -> tuple[Flag, ...]:
    """Return the flags of what is there but may be wrong."""
    beside = {name: one for name, one in (("spleen", organs.spleen), ("liver", organs.liver)) if one}
    touching = [touch_doubts(torso, f"kidney_{side}", one, beside) for side, one in organs.kidneys.items()]
    levels = [HOTTER_THAN_LIVER * organs.liver.level_bq_per_ml] if organs.liver else []
    levels += [kidney.level_bq_per_ml for kidney in organs.kidneys.values()]
    regions = np.any([np.zeros(torso.grid.shape, dtype=bool), *(one.mask for one in found)], axis=0)
    return (
        *kidney_doubts(torso, organs.kidneys),
        *impostor_doubts(torso, organs.kidneys, _union(torso, beside.values())),
        *(flag for flags in touching for flag in flags),
        *spleen_doubts(organs.spleen, organs.liver),
        *(unexplained_doubts(torso, regions, min(levels)) if levels else ()),
        *_lesion_doubts(torso, [one for one in found if one.kind == "lesion"]),
    )


def _lesion_doubts(torso: Torso, lesions: list[_Found]) -> tuple[Flag, ...]:
    """Return the flags of lesions outside liver and bone, and of those of one host that touch."""
    hosts = list(dict.fromkeys(one.host for one in lesions))
    by_host = [{one.name: one.mask for one in lesions if one.host == host} for host in hosts]
    touching = [flag for masks in by_host for flag in lesions_touch_doubts(torso, masks)]
    return (*lesion_doubts([one.name for one in lesions if one.host is None]), *touching)


# Without one of these every other contour is doubtful, and spill-in to the kidneys is not told apart.
ORGANS = frozenset({"kidney", "liver", "spleen"})
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
    ct: HounsfieldMap,
    density: DensityMap,
    activity: ActivityMap,
    *,
    fwhm_mm: float | None = None,
    min_lesion_ml: float = 1.0,
) -> SegmentationResult:
    """Draw kidneys, liver, spleen, vertebral marrow, aorta and lesions of liver and bone.

    Kidneys, liver and spleen are found by uptake and place relative to the spine, bounded by fat on CT and by about
    half their uptake elsewhere; lesions are hotter than 1.5 times normal liver; marrow and aorta come from CT. What is
    found is what looks most like each organ, and may be another one: what is missing or doubtful is flagged, most of it
    ``BLOCK``, and a person confirms the result.

    Parameters
    ----------
    ct : HounsfieldMap
    density : DensityMap
        Of the same CT.
    activity : ActivityMap
        SPECT of the same time point, in the CT's frame of reference.
    fwhm_mm : float, optional
        Width of the image's point spread (camera and voxel), for the border of lesions.
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
    found, organs = _everything(torso, fwhm_mm, min_lesion_ml)
    segmentation = _labelled(found, torso, contour)
    there = {(one.name, one.laterality) for one in found}
    flags = tuple(_missing(*one) for one in WANTED if one not in there)
    level = organs.liver.level_bq_per_ml if organs.liver else None
    return SegmentationResult(
        segmentation, (*flags, *_doubts(torso, found, organs)), _quality(segmentation, torso, level)
    )
