"""From stored SPECT values to activity concentration at the start of the acquisition, one named factor at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import lambertw

from pipeline.errors import RefusalError, require
from pipeline.physics.decay import mean_over_acquisition, start_factor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.study import SpectUnit
    from pipeline.domain.therapy import CameraProfile, DecayReference, TimePointTiming

RATE_SOURCE = "counts are summed over all projections: clinical specification 3.5; Ljungberg et al., MIRD 26, 2016"


@dataclass(frozen=True)
class CalibrationStep:
    """One factor between the stored value and Bq/mL, for the ledger of a dose.

    Attributes
    ----------
    name : str
    factor : float
        Multiplies the value before it.
    unit : str
        Of the value after this step.
    relative_sigma : float
    source : str
    """

    name: str
    factor: float
    unit: str
    relative_sigma: float
    source: str


def calibration_steps(
    unit: SpectUnit,
    camera: CameraProfile,
    *,
    frame_duration_s: float | None,
    projections: int | None,
    timing: TimePointTiming,
    nuclide: Radionuclide,
    voxel_volume_ml: float,
    header_decay_reference: DecayReference | None = None,
    total_counts: float = 0.0,
) -> tuple[CalibrationStep, ...]:
    """Return the factors whose product turns stored values into Bq/mL at the start of the acquisition.

    Parameters
    ----------
    unit : {"counts", "Bq/mL"}
        Of the stored values.
    camera : CameraProfile
        Its frame duration and number of projections stand above those of the header, where it names them.
    frame_duration_s, projections : float, int or None
        From the header; ``projections`` counts the images of all heads.
    timing : TimePointTiming
    nuclide : Radionuclide
    voxel_volume_ml : float
    header_decay_reference : str or None
        Moment the header states; counts only where the site profile names none.
    total_counts : float
        Sum over the image, for the dead-time correction (used only where the camera has a dead time).

    Returns
    -------
    tuple of CalibrationStep

    Raises
    ------
    RefusalError
        ``DECAY_REFERENCE_UNKNOWN``, ``CALIBRATION_MISSING``, ``FRAME_TIMING_MISSING``, ``DEAD_TIME_EXCEEDED``.
    """
    decay = _decay_step(camera, header_decay_reference, timing, nuclide)
    if unit == "Bq/mL":
        return (decay,)
    acquired_s = _acquired_s(camera, frame_duration_s, projections)
    return (
        CalibrationStep("count_rate", 1.0 / acquired_s, "counts/s", 0.0, RATE_SOURCE),
        *_dead_time_steps(camera, total_counts / acquired_s * decay.factor * _mean_of_start(nuclide, timing)),
        _sensitivity_step(camera),
        CalibrationStep("voxel_volume", 1.0 / voxel_volume_ml, "Bq/mL", 0.0, "grid of the series"),
        decay,
    )


def activity_concentration(
    value: NDArray[np.floating],
    unit: SpectUnit,
    camera: CameraProfile,
    *,
    frame_duration_s: float | None,
    projections: int | None,
    timing: TimePointTiming,
    nuclide: Radionuclide,
    voxel_volume_ml: float,
    header_decay_reference: DecayReference | None = None,
) -> NDArray[np.floating]:
    """Return the activity concentration in Bq/mL at the start of the acquisition.

    Activity = counts / (frame duration x projections) x calibration factor (Bq s per count); images in Bq/mL are only
    brought to the start of the acquisition. Parameters as :func:`calibration_steps`.

    Parameters
    ----------
    value : ndarray, shape (slices, rows, columns)
        Stored values in ``unit``.
    unit, camera, frame_duration_s, projections, timing, nuclide, voxel_volume_ml, header_decay_reference
        As for :func:`calibration_steps`.

    Returns
    -------
    ndarray, shape of ``value``
        Bq/mL; single precision stays single.
    """
    stored = np.asarray(value)
    total = float(stored.sum(dtype=np.float64))
    steps = calibration_steps(
        unit,
        camera,
        frame_duration_s=frame_duration_s,
        projections=projections,
        timing=timing,
        nuclide=nuclide,
        voxel_volume_ml=voxel_volume_ml,
        header_decay_reference=header_decay_reference,
        total_counts=total,
    )
    return np.asarray(stored * math.prod(step.factor for step in steps))


def paralysable_true_rate(observed_rate_per_s: float, dead_time_s: float) -> float:
    """Return the true count rate n behind an observed one, m = n exp(-n tau), on the rising branch.

    n = -W0(-m tau) / tau with Lambert's W; Sorenson, J Nucl Med 1975;16:284 (paralysable model), Corless et al. 1996.

    Parameters
    ----------
    observed_rate_per_s, dead_time_s : float

    Returns
    -------
    float
        Counts per second.

    Raises
    ------
    RefusalError
        ``DEAD_TIME_EXCEEDED`` above the maximum of the curve, 1/(e tau).
    """
    load = observed_rate_per_s * dead_time_s
    require(
        load <= math.exp(-1.0),
        "DEAD_TIME_EXCEEDED",
        found=f"{observed_rate_per_s:.0f} counts/s with a dead time of {dead_time_s:g} s",
        needed=f"at most {math.exp(-1.0) / dead_time_s if dead_time_s > 0 else math.inf:.0f} counts/s",
        do="check dead_time_s and the frame duration; the scan is beyond the camera's count rate",
        where="camera.dead_time_s",
    )
    if load <= 0:
        return observed_rate_per_s
    # exp(-1) is rounded up, past the end of W0, where there is no value; n tau is 1 at the maximum.
    return (1.0 if load == math.exp(-1.0) else -float(lambertw(-load).real)) / dead_time_s


def _acquired_s(camera: CameraProfile, frame_duration_s: float | None, projections: int | None) -> float:
    duration = camera.frame_duration_s if camera.frame_duration_s is not None else frame_duration_s
    images = camera.projections if camera.projections is not None else projections
    if duration is None or images is None or duration <= 0 or images <= 0:
        raise RefusalError(
            "FRAME_TIMING_MISSING",
            found=f"frame duration {duration} s, {images} projections",
            needed="duration of one projection and the number of images of all heads",
            do="set frame_duration_s and projections in the camera's section of the site profile",
            where=f"camera.{camera.camera_id}",
        )
    return duration * images


def _mean_of_start(nuclide: Radionuclide, timing: TimePointTiming) -> float:
    """Mean over the acquisition of a value at its start: the detector saw the mean, whatever is stored."""
    return mean_over_acquisition(nuclide, timing.acquisition_duration_s)


def _dead_time_steps(camera: CameraProfile, observed_rate_per_s: float) -> tuple[CalibrationStep, ...]:
    # The rate is the mean over all projections of the reconstructed counts in the window, so dead_time_s is the
    # apparent dead time against that rate; a camera calibrated otherwise leaves it at 0 and corrects upstream.
    if camera.dead_time_s <= 0 or observed_rate_per_s <= 0:
        return ()
    factor = paralysable_true_rate(observed_rate_per_s, camera.dead_time_s) / observed_rate_per_s
    return (CalibrationStep("dead_time", factor, "counts/s", 0.0, "paralysable model, Sorenson 1975"),)


def _sensitivity_step(camera: CameraProfile) -> CalibrationStep:
    factor = camera.calibration_factor_bq_s_per_count
    require(
        factor is not None and factor > 0,
        "CALIBRATION_MISSING",
        found=f"calibration factor {factor} for an image in counts",
        needed="a positive calibration_factor_bq_s_per_count",
        do="calibrate the camera (prrt calibrate) and enter the factor in the site profile",
        where=f"camera.{camera.camera_id}",
    )
    date = camera.calibrated_on or "date not stated"
    return CalibrationStep(
        "calibration", factor or math.nan, "Bq", camera.calibration_relative_sigma, f"site calibration, {date}"
    )


def _decay_step(
    camera: CameraProfile, header: DecayReference | None, timing: TimePointTiming, nuclide: Radionuclide
) -> CalibrationStep:
    reference = camera.decay_reference or header
    if reference is None:
        raise RefusalError(
            "DECAY_REFERENCE_UNKNOWN",
            found="no moment that the stored values refer to",
            needed="acquisition_start, administration or none (mean over the acquisition)",
            do="set decay_reference in the camera's section of the site profile",
            where=f"camera.{camera.camera_id}",
        )
    factor = start_factor(nuclide, timing, reference)
    return CalibrationStep("decay_to_acquisition_start", factor, "Bq/mL", 0.0, f"decay_reference = {reference}")
