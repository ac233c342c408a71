"""Which camera saw a series, and what site profile and header together say about its values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pipeline.errors import RefusalError, require

if TYPE_CHECKING:
    from pipeline.domain.study import SpectImage
    from pipeline.domain.therapy import CameraProfile, DecayReference
    from pipeline.settings import SiteProfile

T = TypeVar("T")

# Headers write whole milliseconds.
FRAME_DURATION_TOLERANCE = 0.01
# A reconstruction may have lost how many heads acquired: its number of views counts for 1 to 4 of them.
MOST_HEADS = 4
# SPECT/CT systems have two heads. Only the decay during the acquisition depends on it: one head instead of two moves
# the middle of a 30 min acquisition by 15 min, 0.11 % of 177Lu.
USUAL_HEADS = 2


def camera_for(spect: SpectImage, site: SiteProfile) -> CameraProfile:
    """Return the profile of the camera that made a series, completed by what only the header tells.

    The site's frame duration, projections, heads and decay reference stand above the header's; where both exist they
    must agree.

    Raises
    ------
    RefusalError
        ``CAMERA_UNKNOWN``, ``CAMERA_AMBIGUOUS``, ``CALIBRATION_MISSING``, ``DECAY_REFERENCE_UNKNOWN``,
        ``DECAY_REFERENCE_CONTRADICTORY``, ``FRAME_DURATION_CONTRADICTORY``, ``PROJECTIONS_CONTRADICTORY``,
        ``FRAME_TIMING_MISSING``, ``PIXEL_SCALE_UNSETTLED``.
    """
    return completed_camera(spect, _matching(spect, site))


def completed_camera(spect: SpectImage, camera: CameraProfile) -> CameraProfile:
    """Return the profile of the camera that is known to have made a series, completed as by :func:`camera_for`."""
    if spect.vendor_pixel_scale != 1.0 and camera.vendor_pixel_scale is None:
        raise pixel_scale_unsettled(spect.vendor_pixel_scale, spect.series_uid)
    completed = replace(
        camera,
        decay_reference=_decay_reference(spect, camera),
        frame_duration_s=_frame_duration_s(spect, camera),
        projections=_projections(spect, camera),
        heads=camera.heads or spect.heads,
    )
    if spect.unit == "counts":
        _require_calibrated(spect, completed)
    return completed


def _matching(spect: SpectImage, site: SiteProfile) -> CameraProfile:
    headers = spect.camera_headers
    found = [c for c in site.cameras if all(headers.get(keyword) == value for keyword, value in c.match)]
    described = {key: headers[key] for key in ("Manufacturer", "ManufacturerModelName") if key in headers}
    require(
        len(found) > 0,
        "CAMERA_UNKNOWN",
        found=f"a camera that is not in the site profile: {described}",
        needed="a section [camera.<id>] whose match values are all in the header",
        do="calibrate the camera and add it to the site profile",
        where=spect.series_uid,
    )
    require(
        len(found) == 1,
        "CAMERA_AMBIGUOUS",
        found=f"the cameras {', '.join(c.camera_id for c in found)}",
        needed="one camera per series",
        do="add a header value to match that tells them apart, as SeriesDescription or StationName",
        where=spect.series_uid,
    )
    return found[0]


def _decay_reference(spect: SpectImage, camera: CameraProfile) -> DecayReference:
    stated, header, where = camera.decay_reference, spect.decay_reference, spect.series_uid
    decided = stated or header
    if decided is None:
        raise RefusalError(
            "DECAY_REFERENCE_UNKNOWN",
            found=spect.decay_reference_problem,
            needed="the moment the stored values refer to",
            do="settle it with two scans of a phantom >= 48 h apart and set decay_reference of the camera",
            where=where,
        )
    corrected_anyhow = decided == "none" and spect.decay_reference_problem.startswith("decay-corrected")
    require(
        not corrected_anyhow and (header is None or header == decided),
        "DECAY_REFERENCE_CONTRADICTORY",
        found=f"{header or spect.decay_reference_problem} in the header, {stated} in the site profile",
        needed="one moment the stored values refer to",
        do="settle it with two scans of a phantom >= 48 h apart and correct decay_reference or the reconstruction",
        where=where,
    )
    return decided


def _frame_duration_s(spect: SpectImage, camera: CameraProfile) -> float | None:
    stated, header = camera.frame_duration_s, spect.frame_duration_s
    require(
        stated is None or header is None or abs(header / stated - 1.0) <= FRAME_DURATION_TOLERANCE,
        "FRAME_DURATION_CONTRADICTORY",
        found=f"{header} s per projection in the header, {stated} s in the site profile",
        needed="the duration the calibration factor was made for",
        do="check the acquisition protocol; give the camera a second section if there are two protocols",
        where=spect.series_uid,
    )
    return stated if stated is not None else header


def _projections(spect: SpectImage, camera: CameraProfile) -> int | None:
    stated, header = camera.projections, spect.projections
    views = None if header is None else header // (spect.heads or 1)
    agrees = stated is None or views is None or stated in {views * heads for heads in range(1, MOST_HEADS + 1)}
    require(
        agrees,
        "PROJECTIONS_CONTRADICTORY",
        found=f"{views} views per head in the header, {stated} projections in the site profile",
        needed="the projections of all heads together, as acquired",
        do="check the acquisition protocol; give the camera a second section if there are two protocols",
        where=spect.series_uid,
    )
    if stated is not None or views is None:
        return stated
    # The header counts the views of one head. Without the number of heads the counts cannot become a rate: one head
    # instead of two doubles every activity.
    heads = spect.heads or camera.heads
    return views * heads if heads else None


def _require_calibrated(spect: SpectImage, camera: CameraProfile) -> None:
    require(
        camera.calibration_factor_bq_s_per_count is not None,
        "CALIBRATION_MISSING",
        found=f"a counts image and no calibration factor of camera {camera.camera_id}",
        needed="calibration_factor_bq_s_per_count in the site profile",
        do="calibrate the camera (`prrt calibrate`)",
        where=spect.series_uid,
    )
    require(
        camera.frame_duration_s is not None and camera.projections is not None,
        "FRAME_TIMING_MISSING",
        found=f"frame duration {camera.frame_duration_s} s, projections {camera.projections}",
        needed="duration and number of the projections the counts were summed over",
        do="set frame_duration_s and projections (or heads) of the camera in the site profile",
        where=spect.series_uid,
    )


def pixel_scale_unsettled(scale: float, where: str) -> RefusalError:
    """Return the refusal of a private pixel scale that no site setting explains."""
    return RefusalError(
        "PIXEL_SCALE_UNSETTLED",
        found=f"private GE Pixel Scale (0011,xx3B) {scale:.6g}, which readers of public attributes ignore",
        needed="whether the calibration factor was measured with or without it",
        do='set vendor_pixel_scale = "apply" or "ignore" in the camera\'s section of the site profile',
        where=where,
    )


def with_vendor_scale(spect: SpectImage, camera: CameraProfile) -> SpectImage:
    """Return the series with its private pixel scale applied where the camera's profile says so."""
    if spect.vendor_pixel_scale == 1.0 or camera.vendor_pixel_scale != "apply":
        return spect
    value = (np.asarray(spect.value) * np.float32(spect.vendor_pixel_scale)).astype(np.float32)
    note = f"PIXEL_SCALE_APPLIED: private factor {spect.vendor_pixel_scale:.6g}"
    return replace(spect, value=value, notes=(*spect.notes, note))


def acquisition_duration_s(spect: SpectImage, camera: CameraProfile) -> float:
    """Return how long a series was acquired (``ACQUISITION_DURATION_MISSING`` where nothing tells)."""
    frame_s, projections = camera.frame_duration_s, camera.projections
    if spect.acquisition_duration_s and spect.dialect == "pet-bqml":
        return spect.acquisition_duration_s
    if frame_s and projections:
        return frame_s * projections / (camera.heads or USUAL_HEADS)
    raise RefusalError(
        "ACQUISITION_DURATION_MISSING",
        found="no frame duration and number of projections, neither in the header nor in the site profile",
        needed="how long the acquisition took",
        do="set frame_duration_s, projections and heads of the camera in the site profile",
        where=spect.series_uid,
    )
