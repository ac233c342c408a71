"""What was given, when and by which camera it was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.errors import require

if TYPE_CHECKING:
    from datetime import datetime

Sex = Literal["male", "female"]
DecayReference = Literal["acquisition_start", "administration", "none"]


def require_aware(moment: datetime, where: str) -> None:
    """Refuse a date-time without an offset from UTC."""
    require(
        moment.tzinfo is not None and moment.utcoffset() is not None,
        "TIME_ZONE_MISSING",
        found=f"{moment.isoformat()} without an offset",
        needed="a date and time with its offset from UTC",
        do="write the time as 2026-03-02T10:00:00+01:00",
        where=where,
    )


@dataclass(frozen=True)
class Administration:
    """One administration: net activity (measured before, less what was left over).

    Attributes
    ----------
    patient_key : str
        Pseudonym; never a name or a hospital number.
    cycle : int
    radionuclide : str
    activity_bq : float
        Net administered activity at ``start``.
    start : datetime
        Start of the infusion, aware.
    weight_kg, height_cm : float or None
    sex : {"male", "female"} or None
    """

    patient_key: str
    cycle: int
    radionuclide: str
    activity_bq: float
    start: datetime
    weight_kg: float | None = None
    height_cm: float | None = None
    sex: Sex | None = None

    def __post_init__(self) -> None:
        require_aware(self.start, "administered_at")
        require(
            self.activity_bq > 0 and self.cycle >= 1 and bool(self.patient_key.strip()),
            "ADMINISTRATION_INVALID",
            found=f"activity {self.activity_bq} Bq, cycle {self.cycle}",
            needed="a patient key, a cycle from 1 and a positive net activity",
            do="complete the cycle form (prrt init-cycle)",
            where="cycle form",
        )


@dataclass(frozen=True)
class RecoveryCurve:
    """Recovery coefficient of a sphere: RC(v) = 1 - 1 / (1 + (v / b)^c), v in mL."""

    b_ml: float
    c: float
    relative_sigma: float = 0.05

    def __post_init__(self) -> None:
        require(
            self.b_ml > 0 and self.c > 0,
            "RECOVERY_INVALID",
            found=f"b_ml {self.b_ml}, c {self.c}",
            needed="positive b_ml and c of RC(v) = 1 - 1/(1 + (v/b)^c)",
            do='calibrate the camera or set recovery = "none"',
            where="camera.recovery",
        )

    def coefficient(self, volume_ml: float) -> float:
        """Recovery coefficient of a sphere of ``volume_ml``."""
        return float(1.0 - 1.0 / (1.0 + (volume_ml / self.b_ml) ** self.c))


@dataclass(frozen=True)
class CameraProfile:
    """How one camera's counts become activity (a section ``[camera.<id>]`` of the site profile).

    Attributes
    ----------
    camera_id : str
    match : tuple of (keyword, value)
        Header values that identify the camera's series.
    calibration_factor_bq_s_per_count : float or None
        None only where the image is already in Bq/mL.
    calibration_relative_sigma : float
    frame_duration_s, projections : float, int or None
        Override or supply what the header does not tell.
    dead_time_s : float
    decay_reference : str or None
        Moment the stored values refer to; None where neither the site nor the header says.
    recovery : RecoveryCurve or None
    calibrated_on : str
        ISO date.
    heads : int or None
        Detectors that acquire together; None: as the header tells.
    vendor_pixel_scale : {"apply", "ignore"} or None
        Whether the calibration was made with a private pixel scale applied (GE Xeleris).
    calibration_geometry : str
        What the factor was measured with.
    sensitivity_cps_per_mbq : float or None
        Planar sensitivity of one head, measured apart from the factor; the two must agree.
    """

    camera_id: str
    match: tuple[tuple[str, str], ...]
    calibration_factor_bq_s_per_count: float | None
    calibration_relative_sigma: float
    frame_duration_s: float | None
    projections: int | None
    dead_time_s: float
    decay_reference: DecayReference | None
    recovery: RecoveryCurve | None
    calibrated_on: str = ""
    heads: int | None = None
    vendor_pixel_scale: Literal["apply", "ignore"] | None = None
    calibration_geometry: str = ""
    sensitivity_cps_per_mbq: float | None = None


@dataclass(frozen=True)
class TimePointTiming:
    """When one time point was acquired, after the start of the administration."""

    acquisition_start: datetime
    acquisition_duration_s: float
    delay_s: float

    def __post_init__(self) -> None:
        require_aware(self.acquisition_start, "acquisition_start")
        require(
            self.delay_s > 0 and self.acquisition_duration_s > 0,
            "SCAN_BEFORE_ADMINISTRATION",
            found=f"start {self.delay_s:.0f} s after the administration, duration {self.acquisition_duration_s:.0f} s",
            needed="a scan after the administration, of positive duration",
            do="check the clock of the camera and the administration time in the cycle form",
            where="acquisition_start",
        )

    @property
    def middle_delay_s(self) -> float:
        """Middle of the acquisition after the start of the administration."""
        return self.delay_s + self.acquisition_duration_s / 2.0
