"""Gates on images, contours, clocks and plan: refuse what cannot be, flag what a person must answer for."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.errors import require
from pipeline.imaging.spect_alignment import best_alignment, better_flip
from pipeline.physics import gates
from pipeline.physics.quantification.image_fit import edge_fwhm_mm
from pipeline.units import PERCENT, SECONDS_PER_DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.dose import FlagLevel
    from pipeline.domain.geometry import Grid
    from pipeline.domain.maps import ActivityMap
    from pipeline.domain.regions import Segmentation
    from pipeline.domain.study import StudyTimePoint
    from pipeline.domain.therapy import CameraProfile

# A dose of these decides about therapy: cut off, they are refused; other regions are flagged.
INDISPENSABLE = frozenset({"kidney"})
JUDGED_KINDS = frozenset({"organ", "lesion"})
# Kinds that no scan may miss: organs and lesions as where a part of them is cut off, marrow because the rules refer
# without its dose (row 7 of the decision table).
MUST_BE_SEEN = JUDGED_KINDS | {"marrow"}
# Of a region's volume; border voxels may touch the end of a field.
OUTSIDE_FIELD = 0.02
# Breathing alone shifts liver and kidneys by up to about 10 mm between a free-breathing SPECT and its CT; more than the
# second is not one position of the patient (project choices; the search itself is right within 2 mm on the phantom).
ALIGNED_WITHIN_MM = 8.0
MOST_SHIFT_MM = 15.0
AXIS_NAMES = ("slices", "rows", "columns")
EDGE_ORGANS = frozenset({"kidney", "spleen"})


def require_sensitivity(camera: CameraProfile, where: str) -> None:
    """Refuse a calibration factor that contradicts the camera's planar sensitivity (``CALIBRATION_CONTRADICTORY``)."""
    factor, stated = camera.calibration_factor_bq_s_per_count, camera.sensitivity_cps_per_mbq
    if factor is None or stated is None:
        return
    require(
        gates.sensitivities_agree(factor, stated),
        "CALIBRATION_CONTRADICTORY",
        found=f"factor {factor:.4g} Bq s per count, that is {gates.sensitivity_per_head(factor):.2f} counts/s per MBq "
        f"and head; planar sensitivity {stated:.2f}",
        needed=f"agreement within {PERCENT * gates.SENSITIVITY_AGREEMENT:.0f} %",
        do="check the factor (counts of one head or of both, unit of the activity, voxel size) and the sensitivity",
        where=where,
    )


def clock_flags(point: StudyTimePoint, administered_at: datetime) -> tuple[Flag, ...]:
    """Return the flags of one time point's clocks: SPECT against CT, header against cycle form."""
    spect, ct = point.spect, point.ct
    gap_s = (ct.acquisition_start - spect.acquisition_start).total_seconds()
    flags = gates.session_clock_flags(gap_s, point.timing.acquisition_duration_s, where=spect.series_uid[-8:])
    stated = spect.administration_start
    return flags + (gates.administration_start_flags(_after_form_s(stated, administered_at)) if stated else ())


def _after_form_s(stated: str, administered_at: datetime) -> float:
    """Return the header's start less the form's; a time of day without date is taken to lie nearest to it."""
    if "T" in stated:
        moment = datetime.fromisoformat(stated)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=administered_at.tzinfo)
        return (aware - administered_at).total_seconds()
    clock = datetime.strptime(stated, "%H:%M:%S").time()  # noqa: DTZ007 (a time of day alone)
    same_day = datetime.combine(administered_at.date(), clock, administered_at.tzinfo)
    off_s = (same_day - administered_at) / timedelta(seconds=1)
    return (off_s + SECONDS_PER_DAY / 2) % SECONDS_PER_DAY - SECONDS_PER_DAY / 2


def require_sides(segmentation: Segmentation) -> tuple[Flag, ...]:
    """Refuse a left kidney right of the right one (``SIDES_SWAPPED``); flag a liver left of the spleen."""
    places = {region.key: _middle_x_mm(segmentation, region.label) for region in segmentation.regions}
    left, right = places.get("kidney_left"), places.get("kidney_right")
    require(
        left is None or right is None or left > right,
        "SIDES_SWAPPED",
        found="the left kidney on the patient's right of the right one",
        needed="left and right as the patient's (LPS: x grows to the left)",
        do="correct laterality in contours.json, or the orientation of contours and images",
        where="contours",
    )
    liver, spleen = places.get("liver"), places.get("spleen")
    mirrored = liver is not None and spleen is not None and liver > spleen
    text = "the liver lies left of the spleen: mirrored images or contours, or situs inversus"
    return (Flag("LIVER_ON_THE_LEFT", "BLOCK", text),) if mirrored else ()


def _middle_x_mm(segmentation: Segmentation, label: int) -> float | None:
    indices = np.argwhere(segmentation.label == label)
    return float(segmentation.grid.to_lps_mm(indices.mean(axis=0))[0]) if indices.size else None


def require_inside_fields(
    segmentation: Segmentation, fractions: NDArray[np.float32], spect: Grid, ct: Grid
) -> tuple[Flag, ...]:
    """Refuse kidneys that the reference SPECT or CT cuts off (``REGION_OUTSIDE_FIELD``); flag other regions.

    Parameters
    ----------
    segmentation : Segmentation
    fractions : ndarray, shape (region, slices, rows, columns)
        On the SPECT's grid.
    spect, ct : Grid
    """
    flags: tuple[Flag, ...] = ()
    for row, region in zip(fractions, segmentation.regions, strict=True):
        indices = np.argwhere(segmentation.label == region.label)
        if region.kind not in JUDGED_KINDS or not indices.size:
            continue
        volume_ml = len(indices) * segmentation.grid.voxel_volume_ml
        in_spect = float(row.sum(dtype=np.float64)) * spect.voxel_volume_ml / volume_ml
        place = ct.to_index(segmentation.grid.to_lps_mm(indices))
        in_ct = float(((place > -1.0) & (place < ct.shape)).all(axis=1).mean())
        flags += _cut(region.name, region.key, 1.0 - min(in_spect, in_ct), "the reference SPECT or CT")
    return flags


def require_measured(
    activities: Sequence[ActivityMap], fractions: NDArray[np.float32], segmentation: Segmentation
) -> tuple[Flag, ...]:
    """Refuse kidneys that a later SPECT did not see in whole: outside its field a resampled map holds 0."""
    flags: tuple[Flag, ...] = ()
    for row, region in zip(fractions, segmentation.regions, strict=False):
        if region.kind not in JUDGED_KINDS:
            continue
        inside = row > 0
        weight = row[inside]
        for number, activity in enumerate(activities[1:], start=2):
            unseen = np.asarray(activity.activity_bq_per_ml)[inside] == 0.0
            part = float(weight[unseen].sum() / weight.sum())
            flags += _cut(region.name, region.key, part, f"the field of time point {number}")
    return flags


def _cut(name: str, key: str, outside: float, where: str) -> tuple[Flag, ...]:
    if outside <= OUTSIDE_FIELD:
        return ()
    found = f"{PERCENT * outside:.0f} % of {key} outside {where}"
    require(
        name not in INDISPENSABLE,
        "REGION_OUTSIDE_FIELD",
        found=found,
        needed="kidneys wholly inside SPECT and CT of every time point",
        do="check that the series were exported with all their slices",
        where=key,
    )
    return (Flag("REGION_OUTSIDE_FIELD", "BLOCK", found, key),)


def alignment_flags(points: Sequence[StudyTimePoint]) -> tuple[Flag, ...]:
    """Return where each SPECT lies on its CT, found from the images, for those without a common frame of reference.

    Raises
    ------
    RefusalError
        ``SPECT_CT_MISALIGNED``.
    """
    apart = [point for point in points if not _share_a_frame(point)]
    return tuple(_alignment_flag(point) for point in apart)


def _share_a_frame(point: StudyTimePoint) -> bool:
    own = point.spect.grid.frame_of_reference_uid
    return bool(own) and own == point.ct.grid.frame_of_reference_uid


def _alignment_flag(point: StudyTimePoint) -> Flag:
    spect, counts = point.spect, np.asarray(point.spect.value)
    where = spect.series_uid
    require(
        float(counts.max()) > max(0.0, float(counts.min())),
        "SPECT_CT_MISALIGNED",
        found="a SPECT without uptake, and no frame of reference that it shares with its CT",
        needed="an image by which its place can be found",
        do="export the reconstruction again",
        where=where,
    )
    found = best_alignment(counts, spect.grid, point.ct.ct)
    x, y, z = (float(mm) for mm in found.shift_mm)
    shift_mm = math.hypot(x, y, z)
    text = f"SPECT lies best on its CT when moved by {shift_mm:.1f} mm (left {x:+.1f}, back {y:+.1f}, head {z:+.1f})"
    require(
        shift_mm <= MOST_SHIFT_MM,
        "SPECT_CT_MISALIGNED",
        found=text,
        needed=f"at most {MOST_SHIFT_MM:g} mm between SPECT and CT, which do not share a frame of reference",
        do="export both again from the console where they were registered",
        where=where,
    )
    flip = better_flip(counts, spect.grid, point.ct.ct, found.likeness)
    require(
        flip is None,
        "SPECT_CT_MISALIGNED",
        found=f"a SPECT more like its CT when turned round along {', '.join(AXIS_NAMES[a] for a in flip or ())}",
        needed="the order of slices, rows and columns in which it was acquired",
        do="export both again from the console where they were registered",
        where=where,
    )
    level: FlagLevel = "INFO" if shift_mm <= ALIGNED_WITHIN_MM else "WARN"
    return Flag("ALIGNMENT_BY_IMAGE", level, f"{where[-8:]}: no common frame of reference; {text}")


def arm_flags(activity: ActivityMap, body_fraction: NDArray[np.float32]) -> tuple[Flag, ...]:
    """Return the flags of activity where an arm lies, beside the middle of the body."""
    per_column = np.asarray(activity.activity_bq_per_ml).sum(axis=(0, 1), dtype=np.float64)
    x_mm = activity.grid.to_lps_mm([(0, 0, column) for column in range(len(per_column))])[:, 0]
    body = body_fraction.sum(axis=(0, 1), dtype=np.float64)
    middle_mm = x_mm[int(np.searchsorted(np.cumsum(body), body.sum() / 2.0))]
    lateral = np.abs(x_mm - middle_mm) > gates.ARM_MM
    return gates.arm_flags(float(per_column[lateral].sum() / per_column.sum()))


def sharpness_flags(
    activity: ActivityMap,
    fractions: NDArray[np.float32],
    segmentation: Segmentation,
    curve_fwhm_mm: float | None,
    *,
    voxel_averages: int,
) -> tuple[Flag, ...]:
    """Return the flags of the image's sharpness against that of the site's recovery curve."""
    organs = [i for i, region in enumerate(segmentation.regions) if region.name in EDGE_ORGANS]
    if curve_fwhm_mm is None or not organs:
        return ()
    found = edge_fwhm_mm(
        np.asarray(activity.activity_bq_per_ml),
        fractions,
        organs,
        activity.grid.spacing_mm,
        voxel_averages=voxel_averages,
    )
    return gates.sharpness_flags(found, curve_fwhm_mm)
