"""The calibration page (PDF) and its picture (PNG)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reportlab.platypus import KeepTogether

from pipeline.domain.provenance import content_hash
from pipeline.report import style
from pipeline.report.calibration_figure import PageSlice, calibration_figure, microseconds
from pipeline.report.paper import (
    Column,
    RunningText,
    build,
    coloured,
    facts,
    marked,
    paragraph,
    picture,
    register_fonts,
    section,
    table,
    titled,
)
from pipeline.report.text import DASH, fixed, percent, significant, with_sigma
from pipeline.units import BQ_PER_MBQ, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["PageSlice", "write_calibration_page"]


def write_calibration_page(path: Path, picture_path: Path, document: Mapping[str, Any], shown: PageSlice) -> None:
    """Write the page of a calibration; equal inputs give equal bytes.

    Parameters
    ----------
    path, picture_path : Path
        The PDF and the PNG to write; their folder exists.
    document : mapping
        The calibration document.
    shown : PageSlice
    """
    register_fonts()
    png = calibration_figure(document, shown)
    picture_path.write_bytes(png)
    story = [
        paragraph(f"Camera calibration: {document['camera_id']}", "title"),
        _facts(document),
        *titled("Calibration factor", _scan_table(document), _uncertainty(document)),
        *_recovery(document["recovery"]),
        *_flags(document),
        KeepTogether([section("Plots and residuals"), picture(png)]),
        *titled("Camera section of the site profile", paragraph(document["site_profile"], "mono")),
    ]
    build(path, _running(document), story)


def _running(document: Mapping[str, Any]) -> RunningText:
    return RunningText(
        title="Camera calibration",
        subject=document["camera_id"],
        document_hash=content_hash(document),
        code_version=document["provenance"]["code_version"],
        status=f"Calibrated on {document['calibrated_on']}.",
    )


def _factor_text(document: Mapping[str, Any]) -> tuple[str, str]:
    calibration = document["calibration"]
    if document["unit"] == "counts":
        value, sigma = (
            calibration["calibration_factor_bq_s_per_count"],
            calibration["calibration_factor_sigma_bq_s_per_count"],
        )
        return "Calibration factor", f"{significant(value, 5)} ± {significant(sigma, 2)} Bq s per count"
    value, sigma = calibration["known_over_measured"], calibration["known_over_measured_sigma"]
    return "Known over measured activity", f"{value:.4f} ± {sigma:.2g}"


def _facts(document: Mapping[str, Any]) -> object:
    sensitivity, recovery, dead_time = document["sensitivity"], document["recovery"], document["dead_time"]
    return facts(
        [
            _factor_text(document),
            ("Sensitivity per head", _sensitivity_text(sensitivity)),
            ("Dead time (paralysable)", _dead_time_text(dead_time)),
            ("Stored values refer to", _decay_text(document["decay_reference"])),
            ("Recovery curve", _recovery_text(recovery)),
            ("Its Gaussian equivalent", DASH if recovery is None else f"{recovery['equivalent_fwhm_mm']:.1f} mm FWHM"),
            ("Geometry", document["geometry"]),
            ("Camera", ", ".join(document["match"].values())),
        ]
    )


def _sensitivity_text(sensitivity: Mapping[str, Any] | None) -> str:
    if sensitivity is None:
        return "image in Bq/mL"
    published = sensitivity["published_cps_per_mbq_per_head"]
    known = f"; published {published[0]:g} to {published[1]:g} ({sensitivity['collimator']})" if published else ""
    value = with_sigma(sensitivity["cps_per_mbq_per_head"], sensitivity["cps_per_mbq_per_head_sigma"])
    return f"{value} counts/s per MBq{known}"


def _dead_time_text(dead_time: Mapping[str, Any]) -> str:
    if not dead_time["measured"]:
        return f"{dead_time['dead_time_s']:g} s, as stated"
    return f"{microseconds(dead_time)} µs"


def _decay_text(decay: Mapping[str, Any]) -> str:
    stated = {"none": "the mean over the acquisition", "administration": "the time of assay"}.get(
        decay["stated"], "the start of the acquisition"
    )
    if not decay["tested"]:
        return f"{stated}; not tested"
    followed, apart_h = percent(decay["decay_followed"]), decay["apart_s"] / SECONDS_PER_HOUR
    return f"{stated}; totals {apart_h:.0f} h apart follow {followed} of the decay"


def _recovery_text(recovery: Mapping[str, Any] | None) -> str:
    if recovery is None:
        return "not measured"
    return (
        f"b = {recovery['b_ml']:.3g} mL, c = {recovery['c']:.3g}, {percent(recovery['relative_sigma'], 1)} (one sigma)"
    )


def _scan_table(document: Mapping[str, Any]) -> object:
    columns = [
        Column("Scan", 34, number=False), Column("Acquired", 34, number=False), Column("Known, MBq", 22),
        Column("Factor", 24), Column("Noise", 16), Column("Volume", 16), Column("Residual", 18),
        Column("Used", 16, number=False),
    ]  # fmt: skip
    rows = [
        [
            scan["phantom"],
            scan["acquisition_start"][:16].replace("T", " "),
            fixed(scan["known_activity_bq"] / BQ_PER_MBQ, 1),
            significant(scan["factor"], 5),
            percent(scan["counting_relative_sigma"], 2),
            percent(scan["voi_relative_sigma"], 2),
            percent(scan["residual"], 2),
            "yes" if scan["used"] else "compared",
        ]
        for scan in document["calibration"]["scans"]
    ]
    return table(columns, rows)


def _uncertainty(document: Mapping[str, Any]) -> object:
    calibration = document["calibration"]
    calibrator, scans = calibration["dose_calibrator_relative_sigma"], calibration["scans_relative_sigma"]
    return paragraph(
        f"Uncertainty (one sigma, relative): dose calibrator {percent(calibrator, 2)}, scans {percent(scans, 2)} "
        f"(noise and volume, widened by their scatter), together {percent(calibration['relative_sigma'], 2)}.",
        "note",
    )


def _recovery(recovery: Mapping[str, Any] | None) -> list[Any]:
    if recovery is None:
        return []
    columns = [
        Column("Diameter, mm", 24), Column("Volume, mL", 24), Column("Recovery", 26), Column("One sigma", 26),
        Column("Curve", 26), Column("One sigma", 26), Column("Residual", 28),
    ]  # fmt: skip
    rows = [
        [
            fixed(sphere["diameter_mm"], 1),
            fixed(sphere["volume_ml"], 2),
            fixed(sphere["recovery"], 3),
            fixed(sphere["recovery_sigma"], 3),
            fixed(sphere["fitted"], 3),
            fixed(sphere["fitted_sigma"], 3),
            percent(sphere["residual"], 1),
        ]
        for sphere in recovery["spheres"]
    ]
    (bb, bc), (_, cc) = recovery["covariance"]
    note = paragraph(
        f"RC(v) = 1 - 1/(1 + (v/b)^c) with b = {recovery['b_ml']:.4g} mL and c = {recovery['c']:.4g}; covariance of "
        f"(b, c): {bb:.3g}, {bc:.3g}, {cc:.3g}. Relative uncertainty of the curve "
        f"{percent(recovery['relative_sigma'], 1)}: misfit {percent(recovery['misfit_relative'], 1)} (spheres of 1 mL "
        f"and more), the fit's own, and filling {percent(recovery['filling_relative_sigma'], 1)}. Beyond the largest "
        "sphere the curve is extrapolated.",
        "note",
    )
    return titled("Recovery", table(columns, rows), note)


def _flags(document: Mapping[str, Any]) -> list[Any]:
    if not document["flags"]:
        return []
    columns = [
        Column("Level", 18, number=False),
        Column("Flag", 52, number=False),
        Column("What was found", 110, number=False),
    ]
    rows = [
        [marked(coloured(flag["level"], style.LEVEL_COLOURS[flag["level"]])), flag["code"], flag["text"]]
        for flag in document["flags"]
    ]
    return titled("To be looked at", table(columns, rows))
