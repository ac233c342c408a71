"""Tumour burden at the reference time point: a suggestion that a person confirms (section 7 of the specification)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from pipeline.domain.dose import Flag
from pipeline.rules.burden import (
    BurdenPoints,
    body_surface_m2,
    bone_points,
    expected_liver_ml,
    hepatic_category,
    hepatic_fraction_percent,
    is_borderline,
    liver_points,
    suggested_enlargement,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.regions import Region, Segmentation
    from pipeline.domain.therapy import Administration

Document = dict[str, Any]

LIVER = "liver"
BONE = "bone"
HOSTS = {"liver": LIVER, "marrow": BONE}


def tumour_burden(
    segmentation: Segmentation, administration: Administration
) -> tuple[Document | None, tuple[Flag, ...]]:
    """Return the burden document (None without a liver) and its flags.

    Counted are the lesions of the segmentation; nodes and peritoneal deposits are not told apart from other soft tissue
    by this version, so their points stay 0 and the evidence says so.
    """
    liver = next((region for region in segmentation.regions if region.name == LIVER), None)
    if liver is None:
        return None, (Flag("BURDEN_NOT_ASSESSED", "INFO", "no liver was found or drawn", None),)
    lesions = [region for region in segmentation.regions if region.kind == "lesion"]
    hosts = {lesion.key: _host(segmentation, lesion) for lesion in lesions}
    in_liver = [lesion for lesion in lesions if hosts[lesion.key] == LIVER]
    in_bone = [lesion for lesion in lesions if hosts[lesion.key] == BONE]
    percent, sigma = _hepatic_percent(segmentation, liver, in_liver)
    enlargement, liver_ml = _enlargement(segmentation, [liver, *in_liver], administration)
    enlarged = enlargement == "ENLARGED"
    points = BurdenPoints(
        liver=liver_points(percent, enlarged=enlarged), bone=bone_points(len(in_bone), int(bool(in_bone)))
    )
    document = {
        "liver_fraction_percent": percent,
        "liver_fraction_sigma_percent": sigma,
        "category": hepatic_category(percent, enlarged=enlarged),
        "points": {
            "liver": points.liver,
            "bone": points.bone,
            "lymph_nodes": points.lymph_nodes,
            "peritoneal_pleural": points.peritoneal_pleural,
        },
        "total_points": points.liver + points.bone + points.lymph_nodes + points.peritoneal_pleural,
        "evidence": {
            "source": "regions of the first time point's SPECT/CT",
            "liver_lesions": [lesion.key for lesion in in_liver],
            "bone_lesions": [lesion.key for lesion in in_bone],
            "other_lesions": [key for key, host in hosts.items() if host not in {LIVER, BONE}],
            "liver_with_lesions_ml": liver_ml,
            "enlargement": enlargement,
            "not_assessed": "lymph nodes, peritoneum and pleura are not told apart; their points are for a person",
        },
        "confirmed_by": None,
    }
    return document, _flags(percent, sigma)


def _flags(percent: float, sigma: float) -> tuple[Flag, ...]:
    confirm = Flag("BURDEN_TO_CONFIRM", "INFO", "tumour burden points are a suggestion; a physician confirms them")
    if not is_borderline(percent, sigma):
        return (confirm,)
    text = f"hepatic fraction {percent:.1f} ± {sigma:.1f} % reaches across 10 or 50 %; a physician decides"
    return (confirm, Flag("BORDERLINE", "WARN", text, LIVER))


def _host(segmentation: Segmentation, lesion: Region) -> str:
    """Return what a lesion lies in: as told, else the region that most of its surface touches."""
    if lesion.host is not None:
        return HOSTS.get(lesion.host, lesion.host)
    mask = segmentation.mask(lesion)
    around = binary_dilation(mask) & ~mask
    labels = np.asarray(segmentation.label)[around]
    names = {region.label: region.name for region in segmentation.regions}
    counts = np.bincount(labels[labels > 0]) if (labels > 0).any() else np.zeros(1, dtype=int)
    touched = names.get(int(counts.argmax()), "") if counts.any() else ""
    return HOSTS.get(touched, touched or "unknown")


def _hepatic_percent(segmentation: Segmentation, liver: Region, lesions: list[Region]) -> tuple[float, float]:
    """Return lesions / (liver with lesions) in percent, and half the change from one voxel less to one more."""
    tumour = np.zeros(segmentation.grid.shape, dtype=bool)
    for lesion in lesions:
        tumour |= segmentation.mask(lesion)
    whole = segmentation.mask(liver) | tumour
    if not tumour.any():
        return 0.0, 0.0
    low, high = _percent(binary_erosion(tumour), whole), _percent(binary_dilation(tumour) & whole, whole)
    return _percent(tumour, whole), (high - low) / 2.0


def _percent(tumour: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    return hepatic_fraction_percent(float(np.count_nonzero(tumour)), float(np.count_nonzero(whole)))


def _enlargement(
    segmentation: Segmentation, parts: list[Region], administration: Administration
) -> tuple[str | None, float]:
    voxels = sum(int(np.count_nonzero(segmentation.mask(part))) for part in parts)
    liver_ml = voxels * segmentation.grid.voxel_volume_ml
    if administration.height_cm is None or administration.weight_kg is None:
        return None, liver_ml
    surface_m2 = body_surface_m2(administration.height_cm, administration.weight_kg, "mosteller")
    return suggested_enlargement(liver_ml, expected_liver_ml(surface_m2)), liver_ml
