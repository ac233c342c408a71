"""Which series is what: SPECT with CT per time point and the administration; mixtures are refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import TYPE_CHECKING

from pipeline.dicom.discover import discover
from pipeline.dicom.read_ct import read_ct
from pipeline.dicom.read_spect import read_spect
from pipeline.dicom.timing import require_acquired_at, with_offset
from pipeline.domain.study import Study, StudyTimePoint
from pipeline.domain.therapy import TimePointTiming
from pipeline.errors import RefusalError, require
from pipeline.physics.gates import scan_plan_flags
from pipeline.steps.camera import USUAL_HEADS, acquisition_duration_s, camera_for, with_vendor_scale
from pipeline.steps.gates import clock_flags, require_sensitivity
from pipeline.units import BQ_PER_MBQ, PERCENT, SECONDS_PER_DAY, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.dicom.discover import SeriesFiles
    from pipeline.domain.dose import Flag
    from pipeline.domain.study import CtImage, SpectImage
    from pipeline.domain.therapy import Administration, CameraProfile
    from pipeline.files.forms import CycleForm
    from pipeline.settings import SiteProfile

__all__ = ["camera_for", "ingest"]

# Two scans of one patient this close are two reconstructions or beds of one time point (project choice).
SEPARATE_TIME_POINTS_S = SECONDS_PER_HOUR
# A SPECT/CT session takes less (project choice); the CT of another session shows another position.
SAME_SESSION_S = 3.0 * SECONDS_PER_HOUR
# Net administered against prescribed within 10 % (section 5); the same bound for the header against the form.
ACTIVITY_AGREEMENT = 0.10


def ingest(paths: Sequence[Path], site: SiteProfile, form: CycleForm) -> Study:
    """Read one cycle's SPECT and CT series.

    Planar images, projections and other objects beside them are left aside; a SPECT that may not be used stops the
    cycle.

    Parameters
    ----------
    paths : sequence of Path
        Files or folders of one patient and cycle.
    site : SiteProfile
    form : CycleForm

    Raises
    ------
    RefusalError
        See ``docs/refusals.md``.
    """
    series = discover(paths)
    _require_one_patient(series)
    spects = _read_spects(series, site, form)
    _require_separate(spects)
    cts = _pair(spects, [one for one in series if one.kind == "ct"], form)
    points = tuple(_time_point(spect, ct, site, form) for spect, ct in zip(spects, cts, strict=True))
    return Study(form.administration, points, _flags(points, site, form))


def _flags(points: Sequence[StudyTimePoint], site: SiteProfile, form: CycleForm) -> tuple[Flag, ...]:
    """Return the flags of clocks and plan."""
    delays_s = [point.timing.delay_s for point in points]
    clocks = [flag for point in points for flag in clock_flags(point, form.administration.start)]
    return (*clocks, *scan_plan_flags(delays_s, site.planned_scans_h, form.time_points))


def _require_one_patient(series: Sequence[SeriesFiles]) -> None:
    patients = {digest for one in series for digest in one.patient_digests}
    require(
        len(patients) <= 1,
        "PATIENTS_MIXED",
        found=f"series of {len(patients)} different Patient IDs",
        needed="one patient and one cycle",
        do="give the folders of one patient; identifiers are not shown here",
        where="study",
    )


def _read_spects(series: Sequence[SeriesFiles], site: SiteProfile, form: CycleForm) -> list[SpectImage]:
    """Return the SPECT images in order of acquisition, each with its site's settings checked."""
    found = [one for one in series if one.kind in {"spect", "pet"}]
    if not found:
        kinds = ", ".join(sorted({one.kind for one in series})) or "no DICOM at all"
        raise RefusalError(
            "SPECT_MISSING",
            found=kinds,
            needed="at least one reconstructed 177Lu SPECT with its CT",
            do="give the folder that holds the reconstructed series",
            where="study",
        )
    offset = _offset_of(form.administration.start)
    spects = [_settled(read_spect(one, default_offset=offset), site, form) for one in found]
    return sorted(spects, key=lambda spect: spect.acquisition_start)


def _offset_of(moment: datetime) -> timezone:
    return timezone(moment.utcoffset() or timedelta(0))


def _settled(spect: SpectImage, site: SiteProfile, form: CycleForm) -> SpectImage:
    """Check a SPECT against form and camera, and apply a private pixel scale where the site says so."""
    _require_nuclide(spect, form.administration)
    _require_activity(spect, form)
    camera = camera_for(spect, site)
    require_sensitivity(camera, spect.series_uid)
    return with_vendor_scale(spect, camera)


def _require_nuclide(spect: SpectImage, administration: Administration) -> None:
    require(
        spect.radionuclide == administration.radionuclide,
        "WRONG_NUCLIDE",
        found=f"{spect.radionuclide} in the image, {administration.radionuclide} in the cycle form",
        needed="one nuclide",
        do="check that form and images belong together",
        where=spect.series_uid,
    )


def _require_activity(spect: SpectImage, form: CycleForm) -> None:
    """Compare the header's activity with the form's net and measured one; the header may hold either."""
    if spect.injected_activity_bq is None:
        return
    known = (form.administration.activity_bq, form.measured_bq)
    difference = min(abs(spect.injected_activity_bq / activity - 1.0) for activity in known)
    require(
        difference <= ACTIVITY_AGREEMENT,
        "INJECTED_ACTIVITY_CONTRADICTORY",
        found=f"{spect.injected_activity_bq / BQ_PER_MBQ:.0f} MBq in the image header, "
        f"{known[0] / BQ_PER_MBQ:.0f} MBq net in the cycle form",
        needed=f"agreement within {PERCENT * ACTIVITY_AGREEMENT:.0f} %",
        do="check that form and images belong to the same cycle, and correct the wrong one",
        where=spect.series_uid,
    )


def _require_separate(spects: Sequence[SpectImage]) -> None:
    hashes = [spect.input_sha256 for spect in spects]
    for earlier, later in pairwise(spects):
        gap_s = (later.acquisition_start - earlier.acquisition_start).total_seconds()
        require(
            gap_s >= SEPARATE_TIME_POINTS_S and len(set(hashes)) == len(hashes),
            "TIME_POINT_DUPLICATE",
            found=f"two SPECT series {gap_s / SECONDS_PER_HOUR:.2f} h apart, or one content twice",
            needed="one reconstruction per time point, time points at least 1 h apart",
            do="leave only the attenuation- and scatter-corrected reconstruction that was calibrated",
            where=later.series_uid,
        )


def _pair(spects: Sequence[SpectImage], cts: Sequence[SeriesFiles], form: CycleForm) -> list[CtImage]:
    """Return the CT of each SPECT."""
    offset = _offset_of(form.administration.start)
    chosen = [_ct_of(spect, cts, offset) for spect in spects]
    for spect, ct in zip(spects, chosen, strict=True):
        require(
            sum(1 for other in chosen if other is ct) == 1,
            "CT_MISSING",
            found="one CT for two time points",
            needed="the CT of each time point",
            do="add the CT of the same session",
            where=spect.series_uid,
        )
    return [read_ct(ct, default_offset=offset) for ct in chosen]


def _ct_of(spect: SpectImage, cts: Sequence[SeriesFiles], offset: timezone) -> SeriesFiles:
    def distance_s(ct: SeriesFiles) -> float:
        start = with_offset(require_acquired_at(ct.acquired_at, ct.series_uid), offset, ct.series_uid)
        return abs((start - spect.acquisition_start).total_seconds())

    def preference(ct: SeriesFiles) -> tuple[bool, bool, float, int]:
        same_frame = ct.frame_of_reference_uid == spect.grid.frame_of_reference_uid
        return (not same_frame, ct.study_uid != spect.study_uid, distance_s(ct), -len(ct.paths))

    near = [
        ct
        for ct in cts
        if distance_s(ct) <= SAME_SESSION_S
        or (ct.study_uid == spect.study_uid and distance_s(ct) < SECONDS_PER_DAY / 2)
    ]
    if not near:
        raise RefusalError(
            "CT_MISSING",
            found=f"{len(cts)} CT series, none of the study or within 3 h of this SPECT",
            needed="the CT of the same session",
            do="add the CT; without it there is neither density nor anatomy",
            where=spect.series_uid,
        )
    return min(near, key=preference)


def _time_point(spect: SpectImage, ct: CtImage, site: SiteProfile, form: CycleForm) -> StudyTimePoint:
    camera = camera_for(spect, site)
    spect = _with_heads_noted(_with_frame_checked(spect, ct, site), camera)
    delay_s = (spect.acquisition_start - form.administration.start).total_seconds()
    timing = TimePointTiming(spect.acquisition_start, acquisition_duration_s(spect, camera), delay_s)
    require(
        delay_s < site.protocol.interval_min_days * SECONDS_PER_DAY,
        "SCAN_OF_ANOTHER_CYCLE",
        found=f"a scan {delay_s / SECONDS_PER_DAY:.1f} days after the administration",
        needed=f"scans before the next cycle may follow ({site.protocol.interval_min_days} days)",
        do="give the folders and the form of one cycle",
        where=spect.series_uid,
    )
    return StudyTimePoint(timing, spect, ct)


def _with_frame_checked(spect: SpectImage, ct: CtImage, site: SiteProfile) -> SpectImage:
    own, other = spect.grid.frame_of_reference_uid, ct.grid.frame_of_reference_uid
    if own and own == other:
        return spect
    require(
        site.frame_of_reference == "verify",
        "FRAME_OF_REFERENCE_DIFFERENT",
        found=f"SPECT {own or 'none'}, CT {other or 'none'}",
        needed="one Frame of Reference UID for SPECT and CT of a time point",
        do='export both again, or set geometry.frame_of_reference = "verify" to have the alignment checked by image',
        where=spect.series_uid,
    )
    note = "FRAME_OF_REFERENCE_MISSING: SPECT and CT share none; their alignment is found from the images"
    return replace(spect, notes=(*spect.notes, note))


def _with_heads_noted(spect: SpectImage, camera: CameraProfile) -> SpectImage:
    if camera.heads or spect.dialect == "pet-bqml" or not (camera.frame_duration_s and camera.projections):
        return spect
    note = f"HEADS_ASSUMED: {USUAL_HEADS} heads, as neither header nor site profile tells; set heads of the camera"
    return replace(spect, notes=(*spect.notes, note))
