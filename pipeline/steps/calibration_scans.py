"""The scans of a calibration: which series is which phantom, read, checked and brought to activity units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.dicom.discover import discover
from pipeline.dicom.read_spect import read_spect
from pipeline.domain.therapy import CameraProfile, TimePointTiming
from pipeline.errors import RefusalError, require
from pipeline.physics.decay import decay_factor, mean_over_acquisition, start_factor
from pipeline.physics.quantification.calibration import activity_concentration
from pipeline.steps.camera import acquisition_duration_s, completed_camera, with_vendor_scale

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.dicom.discover import SeriesFiles
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.study import SpectImage
    from pipeline.files.calibration_form import CalibrationForm, FilledPhantom

# What must be the same in all scans: a factor holds for one camera, collimator and reconstruction.
_SAME: Final = (
    "Manufacturer", "ManufacturerModelName", "StationName", "DeviceSerialNumber", "CollimatorGridName",
    "CollimatorType", "ReconstructionMethod", "ConvolutionKernel", "ScatterCorrectionMethod",
    "AttenuationCorrectionMethod",
)  # fmt: skip
# The form tells the activity; a phantom holds less than a patient is given.
_NOT_USED: Final = ("INJECTED_ACTIVITY_IMPLAUSIBLE",)


@dataclass(frozen=True, eq=False)
class PhantomScan:
    """One series of one phantom.

    Attributes
    ----------
    phantom : FilledPhantom
    spect : SpectImage
    camera : CameraProfile
        Completed from the header; its factor is 1, so that "activity" is in counts/s for a counts image.
    timing : TimePointTiming
        After ``assayed_at``.
    nuclide : Radionuclide
    """

    phantom: FilledPhantom
    spect: SpectImage
    camera: CameraProfile
    timing: TimePointTiming
    nuclide: Radionuclide

    @property
    def decay(self) -> float:
        """Activity at the start of the acquisition over that at ``assayed_at``."""
        return decay_factor(self.nuclide, self.timing.delay_s)

    @property
    def mean_of_start(self) -> float:
        """Mean over the acquisition of an activity that is 1 at its start."""
        return mean_over_acquisition(self.nuclide, self.timing.acquisition_duration_s)

    @property
    def stored_of_start(self) -> float:
        """Stored value of an activity that is 1 at the start of the acquisition."""
        return 1.0 / start_factor(self.nuclide, self.timing, self.camera.decay_reference or "none")

    def signal_per_ml(self, dead_time_s: float) -> NDArray[np.floating]:
        """Return counts/s per mL (Bq/mL for an image in Bq/mL) at the start of the acquisition."""
        return activity_concentration(
            np.asarray(self.spect.value, dtype=np.float64),
            self.spect.unit,
            replace(self.camera, dead_time_s=dead_time_s),
            frame_duration_s=self.camera.frame_duration_s,
            projections=self.camera.projections,
            timing=self.timing,
            nuclide=self.nuclide,
            voxel_volume_ml=self.spect.grid.voxel_volume_ml,
        )

    def total_signal(self, dead_time_s: float) -> float:
        """Return the total of the field in counts/s (Bq) at the start of the acquisition."""
        return float(self.signal_per_ml(dead_time_s).sum()) * self.spect.grid.voxel_volume_ml


def read_phantom_scans(paths: Sequence[Path], form: CalibrationForm, nuclide: Radionuclide) -> tuple[PhantomScan, ...]:
    """Read every scan the form names, in order of acquisition; all must be of one camera and one unit.

    Raises
    ------
    RefusalError
        ``SPECT_MISSING``, ``CALIBRATION_SCAN_MISSING``, ``CALIBRATION_SCAN_EARLY``, ``CALIBRATION_SCANS_MIXED`` and
        whatever reading a series refuses.
    """
    found = [one for one in discover(paths) if one.kind in {"spect", "pet"}]
    require(
        bool(found),
        "SPECT_MISSING",
        found="no reconstructed SPECT among the scans",
        needed="the reconstructed SPECT of each phantom",
        do="give the folders that hold the reconstructed series",
        where="scans",
    )
    named = [(phantom, series) for phantom in form.phantoms for series in _series_of(phantom, found)]
    scans = [_scan(phantom, series, form, nuclide) for phantom, series in named]
    _require_one_camera(scans)
    return tuple(sorted(scans, key=lambda scan: scan.spect.acquisition_start))


def _series_of(phantom: FilledPhantom, found: Sequence[SeriesFiles]) -> list[SeriesFiles]:
    if not phantom.scans:
        return list(found)
    return [_named(name, phantom, found) for name in phantom.scans]


def _named(name: str, phantom: FilledPhantom, found: Sequence[SeriesFiles]) -> SeriesFiles:
    matching = [one for one in found if one.series_uid == name or any(_ends_with(path, name) for path in one.paths)]
    if len(matching) != 1:
        raise RefusalError(
            "CALIBRATION_SCAN_MISSING",
            found=f"{len(matching)} of {len(found)} SPECT series match {name!r}",
            needed="one series for each name: its UID, or the end of the folder or file that holds it",
            do="give the folder on the command line, or correct scans in the form (longer, if several match)",
            where=f"phantom {phantom.name}",
        )
    return matching[0]


def _ends_with(path: Path, name: str) -> bool:
    end = "/" + name.strip("/").replace("\\", "/")
    return path.resolve().as_posix().endswith(end) or path.resolve().parent.as_posix().endswith(end)


def _scan(phantom: FilledPhantom, series: SeriesFiles, form: CalibrationForm, nuclide: Radionuclide) -> PhantomScan:
    offset = timezone(phantom.assayed_at.utcoffset() or timedelta(0))
    spect = read_spect(series, default_offset=offset, tolerated=_NOT_USED)
    camera = completed_camera(spect, _camera_of(form))
    delay_s = (spect.acquisition_start - phantom.assayed_at).total_seconds()
    require(
        delay_s > 0.0,
        "CALIBRATION_SCAN_EARLY",
        found=f"a scan {-delay_s:.0f} s before the phantom was assayed",
        needed="assayed_at before the scan",
        do="check assayed_at with its offset, and the clock of the camera",
        where=series.series_uid,
    )
    timing = TimePointTiming(spect.acquisition_start, acquisition_duration_s(spect, camera), delay_s)
    return PhantomScan(phantom, with_vendor_scale(spect, camera), camera, timing, nuclide)


def _camera_of(form: CalibrationForm) -> CameraProfile:
    return CameraProfile(
        camera_id=form.camera_id,
        match=(),
        calibration_factor_bq_s_per_count=1.0,
        calibration_relative_sigma=0.0,
        frame_duration_s=form.frame_duration_s,
        projections=form.projections,
        dead_time_s=0.0,
        decay_reference=form.decay_reference,
        recovery=None,
        heads=form.heads,
        vendor_pixel_scale=form.vendor_pixel_scale,
    )


def _require_one_camera(scans: Sequence[PhantomScan]) -> None:
    for keyword in _SAME:
        values = {scan.spect.camera_headers.get(keyword, "") for scan in scans}
        _require_same(keyword, values)
    _require_same("unit", {scan.spect.unit for scan in scans})
    _require_same("frame duration", {str(scan.camera.frame_duration_s) for scan in scans})


def _require_same(what: str, values: set[str]) -> None:
    require(
        len(values) == 1,
        "CALIBRATION_SCANS_MIXED",
        found=f"{what}: {', '.join(sorted(value or 'none' for value in values))}",
        needed="scans of one camera with one collimator, protocol and reconstruction",
        do="calibrate each of them on its own, with a form and a camera_id for each",
        where="scans",
    )


def match_of(scans: Sequence[PhantomScan], form: CalibrationForm) -> tuple[tuple[str, str], ...]:
    """Return the header values that identify the camera (``CALIBRATION_MATCH_MISSING`` where one is missing)."""
    headers = [scan.spect.camera_headers for scan in scans]
    for keyword in form.match_keywords:
        values = {header.get(keyword, "") for header in headers}
        require(
            len(values) == 1 and "" not in values,
            "CALIBRATION_MATCH_MISSING",
            found=f"{keyword}: {', '.join(sorted(value or 'none' for value in values))}",
            needed="header values that all scans share",
            do=f"name only keywords that all scans have: {', '.join(sorted(set.intersection(*map(set, headers))))}",
            where=keyword,
        )
    return tuple((keyword, headers[0][keyword]) for keyword in form.match_keywords)
