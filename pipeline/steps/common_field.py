"""Activities of regions that a later scan saw in part: only what every scan saw tells how a region's activity falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.physics.quantification.recovery import measured_activity_bq
from pipeline.steps.gates import JUDGED_KINDS, OUTSIDE_FIELD
from pipeline.units import PERCENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.maps import ActivityMap
    from pipeline.domain.regions import Region

REMAINDER_KEY = "remainder"
MOSTLY = 0.5


@dataclass(frozen=True, eq=False)
class MeasuredActivities:
    """Activity of each region at each time point.

    Attributes
    ----------
    activity_bq : ndarray, shape (time, region)
    seen_activity : ndarray, shape (region,)
        Part of a region's activity at the first time point that lies where every scan saw; 1 where it is not positive.
    seen_volume : ndarray, shape (region,)
    """

    activity_bq: NDArray[np.float64]
    seen_activity: NDArray[np.float64]
    seen_volume: NDArray[np.float64]


def measured_activities(
    activities: Sequence[ActivityMap], fractions: NDArray[np.float32], covered: NDArray[np.bool_] | None
) -> MeasuredActivities:
    """Return what each region held, from the voxels that every scan saw.

    Outside its field a resampled map holds 0: summed over the whole region, a later activity would be too low and the
    half-life too short. So all time points are summed over the common part, and scaled by the first scan's activity of
    the whole region over that of this part: the unseen part is taken to have the half-life of the seen one. The first
    time point stays as it was measured. A region of which nothing was seen holds 0 at the later time points.

    Parameters
    ----------
    activities : sequence of ActivityMap
        The first is the reference, which saw its own grid in whole.
    fractions : ndarray, shape (region, slices, rows, columns)
    covered : ndarray of bool, shape (slices, rows, columns), optional
        Voxels that every time point saw; None: all.
    """
    whole = np.stack([measured_activity_bq(activity, fractions) for activity in activities])
    seen_activity = np.ones(len(fractions))
    if covered is None or covered.all():
        return MeasuredActivities(whole, seen_activity, seen_activity)
    seen = _seen_volume(fractions, covered)
    for row in np.flatnonzero(seen < 1.0):
        part = np.where(covered, fractions[row], np.float32(0.0))[None]
        if not part.any():
            seen_activity[row] = seen[row] = 0.0
            continue
        common = np.array([measured_activity_bq(activity, part)[0] for activity in activities])
        if common[0] > 0.0 and whole[0, row] > 0.0:
            seen_activity[row] = common[0] / whole[0, row]
            whole[:, row] = common / seen_activity[row]
    return MeasuredActivities(whole, seen_activity, seen)


def _seen_volume(fractions: NDArray[np.float32], covered: NDArray[np.bool_]) -> NDArray[np.float64]:
    total = fractions.sum(axis=(1, 2, 3), dtype=np.float64)
    unseen = fractions[:, ~covered].sum(axis=1, dtype=np.float64)
    return np.asarray(1.0 - np.divide(unseen, total, out=np.zeros_like(total), where=total > 0))


def partly_seen_flags(regions: Sequence[Region], measured: MeasuredActivities) -> tuple[Flag, ...]:
    """Flag what a later scan did not see of marrow, blood and the remainder (the last row, without a region).

    Kidneys, organs and lesions are for :func:`pipeline.steps.gates.require_measured`.
    """
    rows = [(region.key, region.kind in JUDGED_KINDS) for region in regions] + [(REMAINDER_KEY, False)]
    flags = []
    for (key, judged), volume, activity in zip(rows, measured.seen_volume, measured.seen_activity, strict=True):
        if not judged and volume < 1.0 - OUTSIDE_FIELD:
            text = (
                f"every scan saw {PERCENT * volume:.0f} % of its volume, {PERCENT * activity:.0f} % of its activity at "
                "the first scan; the rest is taken to have the same half-life, and the voxel maps are 0 there"
            )
            flags.append(Flag("REGION_PARTLY_UNSEEN", "WARN", text, key))
    return tuple(flags)


def activities_in_maps(regions: Sequence[Region], measured: MeasuredActivities) -> NDArray[np.float64]:
    """Return the activities that the voxel maps can hold, shape (time, region): without what was flagged as unseen."""
    judged = [region.kind in JUDGED_KINDS for region in regions] + [False]
    return measured.activity_bq * np.where(judged, 1.0, measured.seen_activity)


def sharing_labels(regions: Sequence[Region], fractions: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return the organ or lesion that a voxel mostly lies in, 0 elsewhere; they share half-lives inside it alone.

    Vessels and vertebrae are too small and faint to stand alone.

    Parameters
    ----------
    regions : sequence of Region
    fractions : ndarray, shape (region + 1, slices, rows, columns)
    """
    labels = np.zeros(fractions.shape[1:], dtype=np.int16)
    for number, region in enumerate(regions):
        if region.kind in JUDGED_KINDS:
            labels[fractions[number] > MOSTLY] = number + 1
    return labels
