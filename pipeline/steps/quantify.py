"""Counts to Bq/mL at the start of each acquisition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.maps import ActivityMap
from pipeline.errors import require
from pipeline.physics.quantification.calibration import activity_concentration, calibration_steps
from pipeline.units import PERCENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.study import SpectImage, StudyTimePoint
    from pipeline.domain.therapy import Administration, CameraProfile
    from pipeline.physics.quantification.calibration import CalibrationStep

# Section 5 of the clinical specification: more than 100 % of the decayed administered activity cannot be in the field.
IMPOSSIBLE_FRACTION = 1.0
# The calibration factor's own uncertainty may carry a true whole-body field above 100 %: three sigma.
SIGMAS = 3.0


def quantify(
    point: StudyTimePoint, camera: CameraProfile, nuclide: Radionuclide, administration: Administration
) -> ActivityMap:
    """Return the activity concentration of one time point at its acquisition start (physical decay only).

    Raises
    ------
    RefusalError
        ``ACTIVITY_IMPOSSIBLE`` where the field holds more than was administered, within three sigma of the factor.
    """
    spect = point.spect
    values = activity_concentration(
        spect.value,
        unit=spect.unit,
        camera=camera,
        frame_duration_s=camera.frame_duration_s,
        projections=camera.projections,
        timing=point.timing,
        nuclide=nuclide,
        voxel_volume_ml=spect.grid.voxel_volume_ml,
    )
    activity = ActivityMap(spect.grid, values)
    _require_possible(activity, point, camera, nuclide, administration)
    return activity


def quantification_steps(
    point: StudyTimePoint, camera: CameraProfile, nuclide: Radionuclide
) -> tuple[CalibrationStep, ...]:
    """Return the factors that :func:`quantify` multiplied the stored values with, for the ledger of a dose."""
    spect = point.spect
    return calibration_steps(
        spect.unit,
        camera,
        frame_duration_s=camera.frame_duration_s,
        projections=camera.projections,
        timing=point.timing,
        nuclide=nuclide,
        voxel_volume_ml=spect.grid.voxel_volume_ml,
        total_counts=float(np.asarray(spect.value).sum(dtype=np.float64)),
    )


def stored_sums(spect: SpectImage, fractions: NDArray[np.float32]) -> tuple[float, ...]:
    """Return the sum of the stored values in each region, every voxel by its part inside (in the stored unit).

    Parameters
    ----------
    spect : SpectImage
        On the grid of ``fractions``.
    fractions : ndarray, shape (region, slices, rows, columns)
    """
    value = np.asarray(spect.value)
    inside = [row > 0 for row in fractions]
    return tuple(
        float(np.dot(row[mask].astype(np.float64), value[mask].astype(np.float64)))
        for row, mask in zip(fractions, inside, strict=True)
    )


def total_activity_bq(activity: ActivityMap) -> float:
    """Return the activity in the whole field."""
    return float(activity.activity_bq_per_ml.sum(dtype="float64")) * activity.grid.voxel_volume_ml


def _require_possible(
    activity: ActivityMap,
    point: StudyTimePoint,
    camera: CameraProfile,
    nuclide: Radionuclide,
    administration: Administration,
) -> None:
    total_bq = total_activity_bq(activity)
    left_bq = administration.activity_bq * 2.0 ** (-point.timing.delay_s / nuclide.half_life_s)
    highest = IMPOSSIBLE_FRACTION + SIGMAS * camera.calibration_relative_sigma
    require(
        0.0 < total_bq <= highest * left_bq,
        "ACTIVITY_IMPOSSIBLE",
        found=f"{total_bq:.4g} Bq in the field, {PERCENT * total_bq / left_bq:.0f} % of what can be left of the dose",
        needed=f"more than nothing and at most {PERCENT * highest:.0f} % of the administered activity after decay",
        do="check calibration factor, frame duration, projections, decay reference and the administered activity",
        where=point.spect.series_uid,
    )
