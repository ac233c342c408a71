"""The part of a ledger from stored counts to the recovery-corrected activity of a region at one time point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.physics.ledger.chain import LedgerEntry, multiplied

if TYPE_CHECKING:
    from pipeline.domain.study import SpectUnit
    from pipeline.physics.quantification.calibration import CalibrationStep

RECOVERY_SOURCE = "geometric transfer matrix, Rousset et al., J Nucl Med 1998;39:904"


@dataclass(frozen=True)
class MeasuredActivity:
    """What one region's activity at one time point was made from.

    Attributes
    ----------
    series_uid, camera_id : str
    delay_s : float
    stored_unit : {"counts", "Bq/mL"}
    stored_sum : float or None
        Sum over the voxels of the stored value times the part of the voxel inside the contour, measured on the series
        itself; None where the series was resampled: then it is the measured activity over the factors.
    voxel_volume_ml : float
    steps : tuple of CalibrationStep
    measured_bq : float
        Before the recovery correction, at the start of the acquisition.
    recovery_coefficient : float
        Measured over corrected activity.
    recovery_fwhm_mm : float or None
        Of the site's recovery curve; None: not corrected.
    recovery_relative_sigma : float or None
    contour_method : str
    calibration_relative_sigma : float or None
        As in the budget of the dose; None where the dose has no budget.
    """

    series_uid: str
    camera_id: str
    delay_s: float
    stored_unit: SpectUnit
    stored_sum: float | None
    voxel_volume_ml: float
    steps: tuple[CalibrationStep, ...]
    measured_bq: float
    recovery_coefficient: float
    recovery_fwhm_mm: float | None
    recovery_relative_sigma: float | None
    contour_method: str
    calibration_relative_sigma: float | None

    @property
    def camera_key(self) -> str:
        """Section of the site profile."""
        return f"site.toml [camera.{self.camera_id}]"


def activity_entries(given: MeasuredActivity) -> tuple[LedgerEntry, ...]:
    """Return the entries from the stored values to the corrected activity.

    With the stored sum measured on the series, a line ``rounding`` holds what single precision lost between it and the
    measured activity (about 1e-7); it is no factor of the method.
    """
    factors = _factors(given)
    if given.stored_sum is None:
        unit_start = _stored(given, 1.0)
        return (_stored(given, given.measured_bq / multiplied((unit_start, *factors))), *factors, _recovery(given))
    exact = (_stored(given, given.stored_sum), *factors)
    return (*exact, _rounding(given.measured_bq / multiplied(exact)), _recovery(given))


def _stored(given: MeasuredActivity, value: float) -> LedgerEntry:
    counts = given.stored_unit == "counts"
    unit = "counts" if counts else "Bq/mL x voxels"
    where = f"SPECT series {given.series_uid}, each voxel by its part inside the contour ({given.contour_method})"
    how = "" if given.stored_sum is not None else "; resampled to the first time point: activity over the factors"
    name = "counts in the region" if counts else "stored values in the region"
    return LedgerEntry(
        "counts", "C", "start", value, unit, name, unit, where + how, "the DICOM series; contours (--contours)"
    )


def _factors(given: MeasuredActivity) -> tuple[LedgerEntry, ...]:
    # From concentration to activity the voxel volume comes in again, so that for counts it drops out.
    by_name = {step.name: step for step in given.steps}
    decay = _decay(given, by_name["decay_to_acquisition_start"])
    if given.stored_unit == "Bq/mL":
        return (_voxel_volume(given), _calibration(given, None), decay)
    return (
        _acquired(given, by_name["count_rate"]),
        _dead_time(given, by_name.get("dead_time")),
        _calibration(given, by_name["calibration"]),
        decay,
    )


def _voxel_volume(given: MeasuredActivity) -> LedgerEntry:
    return LedgerEntry(
        "voxel_volume",
        "V",
        "multiply",
        given.voxel_volume_ml,
        "mL",
        "activity as stored",
        "Bq",
        "grid of the series",
        "the DICOM series",
        relative_sigma=0.0,
    )


def _acquired(given: MeasuredActivity, step: CalibrationStep) -> LedgerEntry:
    return LedgerEntry(
        "acquired_time",
        "t",
        "divide",
        1.0 / step.factor,
        "s",
        "count rate",
        "counts/s",
        f"duration of a projection times projections of all heads; {step.source}",
        f"{given.camera_key} frame_duration_s, projections; else the header",
        relative_sigma=step.relative_sigma,
        sensitivity=-1.0,
    )


def _dead_time(given: MeasuredActivity, step: CalibrationStep | None) -> LedgerEntry:
    return LedgerEntry(
        "dead_time",
        "f_dt",
        "multiply",
        1.0 if step is None else step.factor,
        "1",
        "true count rate",
        "counts/s",
        "dead_time_s = 0: no correction" if step is None else step.source,
        f"{given.camera_key} dead_time_s",
    )


def _calibration(given: MeasuredActivity, step: CalibrationStep | None) -> LedgerEntry:
    return LedgerEntry(
        "calibration",
        "k",
        "multiply",
        1.0 if step is None else step.factor,
        "1" if step is None else "Bq s/count",
        "activity as stored",
        "Bq",
        "stored in Bq/mL: calibrated by the camera" if step is None else step.source,
        f"{given.camera_key} calibration_factor_bq_s_per_count, calibration_relative_sigma",
        relative_sigma=given.calibration_relative_sigma,
    )


def _decay(given: MeasuredActivity, step: CalibrationStep) -> LedgerEntry:
    return LedgerEntry(
        "decay",
        "f_d",
        "multiply",
        step.factor,
        "1",
        "activity at the start of the acquisition",
        "Bq",
        step.source,
        f"{given.camera_key} decay_reference; cycle form administered_at",
        relative_sigma=0.0,
    )


def _rounding(value: float) -> LedgerEntry:
    return LedgerEntry(
        "rounding",
        "f_32",
        "multiply",
        value,
        "1",
        "measured activity",
        "Bq",
        "activity maps are kept in single precision",
        "nowhere: arithmetic",
        relative_sigma=0.0,
    )


def _recovery(given: MeasuredActivity) -> LedgerEntry:
    curve = 'recovery = "none"' if given.recovery_fwhm_mm is None else f"FWHM {given.recovery_fwhm_mm:.2f} mm"
    return LedgerEntry(
        "recovery",
        "R",
        "divide",
        given.recovery_coefficient,
        "1",
        "activity",
        "Bq",
        f"{curve}; {RECOVERY_SOURCE}",
        f"{given.camera_key} recovery; contours of the region and its neighbours",
        relative_sigma=given.recovery_relative_sigma,
        sensitivity=-1.0,
    )
