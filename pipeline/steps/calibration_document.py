"""A calibration as documents: the camera's section of the site profile (TOML) and the JSON behind the page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.files.code_version import code_version
from pipeline.physics.quantification.camera_calibration import (
    SENSITIVITY_CPS_PER_MBQ,
    CalibrationFactor,
    ScanFactor,
    sensitivity_cps_per_mbq,
)
from pipeline.physics.quantification.phantom_counts import phantom_core
from pipeline.physics.quantification.recovery import equivalent_fwhm_mm, recovery_misfit
from pipeline.report.calibration_page import PageSlice
from pipeline.units import BQ_PER_MBQ, PERCENT

if TYPE_CHECKING:
    from pipeline.domain.therapy import RecoveryCurve
    from pipeline.steps.calibration_result import Calibration
    from pipeline.steps.calibration_scans import PhantomScan
    from pipeline.steps.calibration_spheres import MeasuredRecovery

Document = dict[str, Any]

TOML_HEAD = """\
# Camera section of the site profile, measured by prrt calibrate. It holds for the camera, collimator, acquisition and
# reconstruction of the scans it was measured with; calibration.json and the page beside it tell how.
"""


def _text(value: str) -> str:
    """Quote a text for TOML (JSON's escapes are TOML's)."""
    return json.dumps(value, ensure_ascii=False)


def _curve(measured: MeasuredRecovery) -> RecoveryCurve:
    return measured.fit.curve(measured.filling_relative_sigma)


def calibrated_on(calibration: Calibration) -> str:
    """Return the day of the last scan that the factor comes from."""
    used = {one.series_uid for one in calibration.scan_factors if one.kind == calibration.factor_kind}
    starts = [scan.spect.acquisition_start for scan in calibration.scans if scan.spect.series_uid in used]
    return max(starts).date().isoformat()


def geometry_of(calibration: Calibration) -> str:
    """Return what the factor was measured with, in words."""
    used = [scan for scan in calibration.scans if scan.phantom.kind == calibration.factor_kind]
    first = used[0]
    size = f", {first.phantom.volume_ml:.0f} mL" if first.phantom.volume_ml else ""
    collimator = first.spect.camera_headers.get("CollimatorGridName") or first.spect.camera_headers.get(
        "CollimatorType"
    )
    z, y, x = first.spect.grid.spacing_mm
    total = "total activity in a volume enlarged by"
    return (
        f"{calibration.factor_kind}{size}, {total} {calibration.form.margin_mm:.0f} mm; "
        f"collimator {collimator or 'not stated'}; voxels {z:.2f} x {y:.2f} x {x:.2f} mm"
    )


def camera_toml(calibration: Calibration) -> str:
    """Return the camera's section of the site profile; :func:`pipeline.settings.load_site` reads it as it is."""
    form, factor = calibration.form, calibration.factor
    camera = calibration.scans[0].camera
    match = ", ".join(f"{keyword} = {_text(value)}" for keyword, value in calibration.match)
    lines = [f"[camera.{form.camera_id}]", f"match = {{ {match} }}"]
    if calibration.counts:
        lines.append(f"calibration_factor_bq_s_per_count = {factor.value:.6g}")
    lines += [
        f"calibration_relative_sigma = {factor.relative_sigma:.4f}",
        f"calibrated_on = {_text(calibrated_on(calibration))}",
        f"calibration_geometry = {_text(geometry_of(calibration))}",
    ]
    given = {"frame_duration_s": camera.frame_duration_s, "projections": camera.projections, "heads": camera.heads}
    lines += [f"{key} = {value}" for key, value in given.items() if value is not None]
    lines += [
        f"dead_time_s = {float(f'{calibration.dead_time_s:.6g}')}",
        f"decay_reference = {_text(form.decay_reference)}",
    ]
    lines += _recovery_lines(calibration.recovery)
    if form.vendor_pixel_scale:
        lines.append(f"vendor_pixel_scale = {_text(form.vendor_pixel_scale)}")
    return TOML_HEAD + "\n".join(lines) + "\n"


def _recovery_lines(measured: MeasuredRecovery | None) -> list[str]:
    if measured is None:
        return ['recovery = "none"']
    curve, covariance = _curve(measured), measured.fit.covariance
    spheres = (
        f"# Measured on spheres of {measured.volume_ml.min():.2f} to {measured.volume_ml.max():.1f} mL; covariance of "
        f"(b_ml, c): {covariance[0, 0]:.4g}, {covariance[0, 1]:.4g}, {covariance[1, 1]:.4g}."
    )
    numbers = f"b_ml = {curve.b_ml:.5g}, c = {curve.c:.5g}, relative_sigma = {curve.relative_sigma:.4f}"
    return [spheres, f'recovery = {{ model = "logistic", {numbers} }}']


def calibration_document(calibration: Calibration, profile: str) -> Document:
    """Return the calibration as JSON.

    Parameters
    ----------
    calibration : Calibration
    profile : str
        From :func:`camera_toml`.
    """
    form = calibration.form
    return {
        "camera_id": form.camera_id,
        "radionuclide": form.radionuclide,
        "unit": calibration.scans[0].spect.unit,
        "calibrated_on": calibrated_on(calibration),
        "geometry": geometry_of(calibration),
        "match": dict(calibration.match),
        "calibration": _factor_document(calibration),
        "sensitivity": _sensitivity_document(calibration) if calibration.counts else None,
        "recovery": _recovery_document(calibration.recovery) if calibration.recovery else None,
        "dead_time": _dead_time_document(calibration),
        "decay_reference": _decay_document(calibration),
        "flags": [vars(flag) for flag in calibration.flags],
        "site_profile": profile,
        "provenance": {"code_version": code_version(), "inputs": _inputs(calibration)},
    }


def _inputs(calibration: Calibration) -> list[dict[str, str]]:
    unique = {scan.spect.series_uid: scan.spect.input_sha256 for scan in calibration.scans}
    return [{"series_uid": uid, "sha256": digest} for uid, digest in unique.items()]


def _factor_document(calibration: Calibration) -> Document:
    factor, counts = calibration.factor, calibration.counts
    name = "calibration_factor_bq_s_per_count" if counts else "known_over_measured"
    sigma = "calibration_factor_sigma_bq_s_per_count" if counts else "known_over_measured_sigma"
    own = [one for one in calibration.scan_factors if one.kind == calibration.factor_kind]
    return {
        name: factor.value,
        sigma: factor.value * factor.relative_sigma,
        "relative_sigma": factor.relative_sigma,
        "dose_calibrator_relative_sigma": factor.dose_calibrator_relative_sigma,
        "scans_relative_sigma": factor.scans_relative_sigma,
        "reduced_chi_square": factor.scatter if len(own) > 1 else None,
        "from": calibration.factor_kind,
        "by_kind": {kind: one.value for kind, one in calibration.factors.items()},
        "scans": [_scan_document(one, factor, calibration) for one in calibration.scan_factors],
    }


def _scan_document(one: ScanFactor, factor: CalibrationFactor, calibration: Calibration) -> Document:
    scan = next(scan for scan in calibration.scans if scan.spect.series_uid == one.series_uid)
    return {
        "series_uid": one.series_uid,
        "phantom": one.phantom,
        "kind": one.kind,
        "used": one.kind == calibration.factor_kind,
        "acquisition_start": scan.spect.acquisition_start.isoformat(),
        "known_activity_bq": one.known_bq,
        "signal_per_s": one.signal_per_s,
        "factor": one.factor,
        "residual": one.factor / factor.value - 1.0,
        "relative_sigma": one.relative_sigma,
        "counting_relative_sigma": one.counting_relative_sigma,
        "voi_relative_sigma": one.voi_relative_sigma,
    }


def _sensitivity_document(calibration: Calibration) -> Document:
    form, factor = calibration.form, calibration.factor
    value = sensitivity_cps_per_mbq(factor.value)
    published = SENSITIVITY_CPS_PER_MBQ.get(form.collimator)
    previous = form.previous_factor_bq_s_per_count
    return {
        "cps_per_mbq_per_head": value,
        "cps_per_mbq_per_head_sigma": value * factor.relative_sigma,
        "collimator": form.collimator,
        "published_cps_per_mbq_per_head": list(published) if published else None,
        "over_previous": None if previous is None else previous / factor.value,
    }


def _recovery_document(measured: MeasuredRecovery) -> Document:
    curve, fit = _curve(measured), measured.fit
    known = measured.sigma is not None
    return {
        "model": "logistic",
        "b_ml": curve.b_ml,
        "c": curve.c,
        "covariance": fit.covariance.tolist(),
        "relative_sigma": curve.relative_sigma,
        "filling_relative_sigma": measured.filling_relative_sigma,
        "misfit_relative": fit.misfit_relative,
        "reduced_chi_square": fit.reduced_chi_square if known else None,
        "equivalent_fwhm_mm": equivalent_fwhm_mm(curve),
        "equivalent_misfit": recovery_misfit(curve, equivalent_fwhm_mm(curve)),
        "spheres": [
            {
                "diameter_mm": float(measured.diameter_mm[i]),
                "volume_ml": float(measured.volume_ml[i]),
                "recovery": float(measured.recovery[i]),
                "recovery_sigma": float(measured.sigma[i]) if measured.sigma is not None else None,
                "fitted": float(fit.fitted[i]),
                "fitted_sigma": float(fit.fitted_sigma[i]),
                "residual": float(measured.recovery[i] / fit.fitted[i] - 1.0),
                "centre_lps_mm": [one.spheres.centre_mm[i].tolist() for one in measured.scans],
            }
            for i in range(measured.diameter_mm.size)
        ],
        "scans": [
            {
                "series_uid": one.scan.spect.series_uid,
                "recovery": one.recovery.tolist(),
                "background_over_known": _finite(one.background_ratio),
                "image_fwhm_mm": _finite(one.spheres.fwhm_mm),
            }
            for one in measured.scans
        ],
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _dead_time_document(calibration: Calibration) -> Document:
    fit = calibration.dead_time
    if fit is None:
        return {"model": "paralysable", "dead_time_s": calibration.dead_time_s, "measured": False, "scans": []}
    return {
        "model": "paralysable",
        "dead_time_s": fit.dead_time_s,
        "dead_time_sigma_s": fit.dead_time_sigma_s,
        "measured": True,
        "significant": fit.significant,
        "sensitivity_per_mbq_s": fit.sensitivity_per_bq_s * BQ_PER_MBQ,
        "scans": [
            _dead_time_scan(scan, float(residual), fit.sensitivity_per_bq_s)
            for scan, residual in zip(calibration.dead_time_scans, fit.residual, strict=True)
        ],
    }


def _dead_time_scan(scan: PhantomScan, residual: float, sensitivity_per_bq_s: float) -> Document:
    activity_bq = (scan.phantom.activity_bq or 0.0) * scan.decay * scan.mean_of_start
    return {
        "series_uid": scan.spect.series_uid,
        "acquisition_start": scan.spect.acquisition_start.isoformat(),
        "mean_activity_bq": activity_bq,
        "true_rate_per_s": activity_bq * sensitivity_per_bq_s,
        "observed_rate_per_s": scan.total_signal(0.0) * scan.mean_of_start,
        "residual": residual,
    }


def _decay_document(calibration: Calibration) -> Document:
    test = calibration.decay
    stated = {"stated": calibration.form.decay_reference, "tested": test is not None}
    if test is None:
        return stated
    return stated | {
        "phantom": test.phantom,
        "apart_s": test.apart_s,
        "total_ratio": test.total_ratio,
        "decay_followed": test.followed,
        "decay_expected": test.expected,
    }


def page_slice(calibration: Calibration) -> PageSlice:
    """Return the transverse slice that the page shows: through the spheres, else through the phantom's middle."""
    measured = calibration.recovery
    chosen = measured.scans[0].scan if measured else next(
        scan for scan in calibration.scans if scan.phantom.kind == calibration.factor_kind
    )  # fmt: skip
    grid, signal = chosen.spect.grid, chosen.signal_per_ml(calibration.dead_time_s)
    centres = measured.scans[0].spheres.centre_mm if measured else None
    middle = np.argwhere(phantom_core(signal, chosen.spect.series_uid)).mean(axis=0)
    number = round(float((middle if centres is None else grid.to_index(centres).mean(axis=0))[0]))
    indices = np.zeros((0, 3)) if centres is None else grid.to_index(centres)
    _, row_mm, column_mm = grid.spacing_mm
    radii = measured.diameter_mm / 2.0 if measured else np.zeros(0)
    return PageSlice(
        title=f"{chosen.phantom.name}, slice {number + 1} of {grid.shape[0]}",
        percent_of_highest=np.asarray(PERCENT * signal[number] / signal[number].max(), dtype=np.float64),
        pixel_mm=(row_mm, column_mm),
        circles_mm=tuple(
            (float(index[2] * column_mm), float(index[1] * row_mm), float(radius))
            for index, radius in zip(indices, radii, strict=True)
        ),
    )
