"""Scans of phantoms with known activity to a camera's section of the site profile (``prrt calibrate``)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.files.calibration_form import load_calibration_form
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.quantification.camera_calibration import (
    DECAY_TEST_APART_S,
    CalibrationFactor,
    DecayTest,
    ScanFactor,
    combined_factor,
    decay_flags,
    decay_test,
    geometry_flags,
    scale_flags,
    sensitivity_flags,
)
from pipeline.physics.quantification.dead_time import DeadTimeFit, fit_dead_time
from pipeline.physics.quantification.phantom_counts import mean_with_sigma, phantom_core, phantom_counts, uniform_part
from pipeline.report.calibration_page import write_calibration_page
from pipeline.steps.calibration_document import calibration_document, camera_toml, page_slice
from pipeline.steps.calibration_result import Calibration, dead_time_in_use
from pipeline.steps.calibration_scans import PhantomScan, match_of, read_phantom_scans
from pipeline.steps.calibration_spheres import MeasuredRecovery, background_flags, measure_recovery

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.files.calibration_form import CalibrationForm

Document = dict[str, Any]

PROFILE, DOCUMENT, PAGE, PICTURE = "camera.toml", "calibration.json", "calibration.pdf", "calibration.png"
# Misfit of the recovery curve (relative, spheres of 1 mL and more) beyond which the logistic form is not that of the
# camera, and activity outside the phantom's volume beyond which the total is doubtful (project choices).
RECOVERY_MISFIT = 0.10
LEAST_SHARE_OF_FIELD = 0.9


def calibrate_scans(scans: Sequence[Path], form: Path, out: Path) -> Document:
    """Calibrate a camera from scans of phantoms.

    Parameters
    ----------
    scans : sequence of Path
        Files or folders of DICOM.
    form : Path
        Calibration form (TOML).
    out : Path
        Folder for ``camera.toml``, ``calibration.json``, ``calibration.pdf`` and ``calibration.png``.

    Returns
    -------
    dict
        The calibration document, with the profile's text under ``site_profile`` and the paths under ``files``.

    Raises
    ------
    RefusalError
        See ``docs/calibrate.md``.
    """
    measured = measure(scans, load_calibration_form(form))
    profile = camera_toml(measured)
    document = calibration_document(measured, profile)
    out.mkdir(parents=True, exist_ok=True)
    (out / PROFILE).write_text(profile, encoding="utf-8")
    (out / DOCUMENT).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    write_calibration_page(out / PAGE, out / PICTURE, document, page_slice(measured))
    names = {"site_profile": PROFILE, "document": DOCUMENT, "page": PAGE, "picture": PICTURE}
    return document | {"files": {name: str(out / file) for name, file in names.items()}}


def measure(paths: Sequence[Path], form: CalibrationForm) -> Calibration:
    """Read the scans and measure dead time, factor and recovery, each of which needs the one before."""
    scans = read_phantom_scans(paths, form, load_nuclide(form.radionuclide))
    decaying = tuple(scan for scan in scans if scan.phantom.kind == "dead-time")
    dead_time = _fit_dead_time(decaying) if decaying else None
    dead_time_s = dead_time_in_use(form, dead_time)
    totals = [_scan_total(scan, dead_time_s, form.margin_mm) for scan in scans if _gives_factor(scan)]
    scan_factors = tuple(total.factor for total in totals)
    factors = _factors_by_kind(scan_factors, form.dose_calibrator_relative_sigma)
    kind = min(factors)  # a cylinder stands before a NEMA phantom: its factor has no small parts
    counts = scans[0].spect.unit == "counts"
    recovery = measure_recovery(scans, dead_time_s, factors[kind].value if counts else 1.0)
    decay = _decay_test(scans, dead_time_s, form)
    flags = (
        *_factor_flags(form, factors, kind, counts=counts),
        *(_outside(total) for total in totals if total.share < LEAST_SHARE_OF_FIELD),
        *_recovery_flags(recovery),
        *_dead_time_flags(form, dead_time),
        *decay_flags(decay),
        *_notes(scans),
    )
    return Calibration(
        form=form,
        scans=scans,
        match=match_of(scans, form),
        dead_time=dead_time,
        dead_time_scans=decaying,
        scan_factors=scan_factors,
        factors=factors,
        factor_kind=kind,
        recovery=recovery,
        decay=decay,
        flags=flags,
    )


def _gives_factor(scan: PhantomScan) -> bool:
    return scan.phantom.kind != "dead-time" and scan.phantom.activity_bq is not None


def _factors_by_kind(scans: Sequence[ScanFactor], dose_calibrator: float) -> dict[str, CalibrationFactor]:
    kinds = {scan.kind for scan in scans}
    return {kind: combined_factor([scan for scan in scans if scan.kind == kind], dose_calibrator) for kind in kinds}


def _factor_flags(
    form: CalibrationForm, factors: dict[str, CalibrationFactor], kind: str, *, counts: bool
) -> tuple[Flag, ...]:
    if not counts:
        return (*scale_flags(factors[kind].value), *geometry_flags(factors))
    return (
        *sensitivity_flags(factors[kind], form.collimator, form.previous_factor_bq_s_per_count),
        *geometry_flags(factors),
    )


def _fit_dead_time(scans: Sequence[PhantomScan]) -> DeadTimeFit:
    """Fit known activity against the observed rate, both as means over the acquisition."""
    activity = np.array([(scan.phantom.activity_bq or 0.0) * scan.decay * scan.mean_of_start for scan in scans])
    rate = np.array([scan.total_signal(0.0) * scan.mean_of_start for scan in scans])
    return fit_dead_time(activity, rate)


@dataclass(frozen=True)
class _ScanTotal:
    """What a scan says about the factor, and the share of the field's total that lies in its volume."""

    factor: ScanFactor
    share: float


def _scan_total(scan: PhantomScan, dead_time_s: float, margin_mm: float) -> _ScanTotal:
    spect = scan.spect
    signal, spacing = scan.signal_per_ml(dead_time_s), spect.grid.spacing_mm
    core = phantom_core(signal, spect.series_uid)
    counts = phantom_counts(signal, core, spacing, spect.grid.voxel_volume_ml, margin_mm)
    noise = mean_with_sigma(signal, uniform_part(core, spacing), spacing)
    factor = ScanFactor(
        series_uid=spect.series_uid,
        phantom=scan.phantom.name,
        kind=scan.phantom.kind,
        known_bq=(scan.phantom.activity_bq or math.nan) * scan.decay,
        signal_per_s=counts.total * spect.grid.voxel_volume_ml,
        counting_relative_sigma=noise[1] if noise else _poisson(spect.unit, float(np.sum(spect.value))),
        voi_relative_sigma=counts.relative_sigma,
    )
    return _ScanTotal(factor, counts.share)


def _poisson(unit: str, total_counts: float) -> float:
    """Relative sigma of a phantom too small for blocks; an image in Bq/mL does not tell its counts."""
    return 1.0 / math.sqrt(total_counts) if unit == "counts" and total_counts > 0 else 0.0


def _decay_test(scans: Sequence[PhantomScan], dead_time_s: float, form: CalibrationForm) -> DecayTest | None:
    """Test the decay reference with the two scans of one phantom that lie furthest apart, 48 h or more."""
    pairs = []
    for phantom in form.phantoms:
        own = [scan for scan in scans if scan.phantom is phantom]
        apart_s = (own[-1].spect.acquisition_start - own[0].spect.acquisition_start).total_seconds()
        if apart_s >= DECAY_TEST_APART_S:
            pairs.append((apart_s, own[0], own[-1]))
    if not pairs:
        return None
    apart_s, first, last = max(pairs, key=lambda pair: pair[0])
    stored = [scan.total_signal(dead_time_s) * scan.stored_of_start for scan in (first, last)]
    return decay_test(first.phantom.name, apart_s, stored[1] / stored[0], first.nuclide, form.decay_reference)


def _outside(total: _ScanTotal) -> Flag:
    text = f"{total.factor.phantom}: only {total.share:.0%} of the field's total lies in and about the phantom"
    return Flag("ACTIVITY_OUTSIDE_PHANTOM", "WARN", text)


def _recovery_flags(measured: MeasuredRecovery | None) -> tuple[Flag, ...]:
    if measured is None:
        text = 'no spheres of known concentration were scanned: recovery = "none", small regions lose activity'
        return (Flag("RECOVERY_NOT_MEASURED", "WARN", text),)
    misfit = measured.fit.misfit_relative
    if misfit <= RECOVERY_MISFIT:
        return background_flags(measured)
    text = f"spheres of 1 mL and more scatter by {misfit:.1%} about the curve"
    return (Flag("RECOVERY_MISFIT", "WARN", text), *background_flags(measured))


def _dead_time_flags(form: CalibrationForm, fit: DeadTimeFit | None) -> tuple[Flag, ...]:
    if fit is None:
        text = f"dead_time_s = {form.dead_time_s:g} is as the form states, not measured"
        return (Flag("DEAD_TIME_NOT_MEASURED", "INFO", text),)
    if fit.significant:
        return ()
    text = f"dead time {fit.dead_time_s:.2e} s is not above two sigma ({fit.dead_time_sigma_s:.1e} s)"
    return (Flag("DEAD_TIME_NOT_SIGNIFICANT", "INFO", text),)


def _notes(scans: Sequence[PhantomScan]) -> tuple[Flag, ...]:
    """What was read with a reservation, each once."""
    notes = dict.fromkeys(note for scan in scans for note in scan.spect.notes)
    return tuple(Flag(note.split(":", 1)[0], "INFO", note.split(":", 1)[-1].strip()) for note in notes)
