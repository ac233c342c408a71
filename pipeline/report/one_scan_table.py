"""Regions whose half-life no scan of the cycle told: by which method, from where, how sure, how much was assumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.report.paper import Column, paragraph, table, titled
from pipeline.report.text import DASH, hours, percent, region_title, shown, signed_percent, significant, with_sigma
from pipeline.units import BQ_PER_GBQ, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping

Flowables = list[Any]
ONE_SCAN = "SINGLE_POINT_PRIOR"


def one_scan_table(document: Mapping[str, Any]) -> Flowables:
    """Return how the TIA of every region with an assumed half-life came about; nothing where there is none."""
    assumed = [region for region in document["regions"] if has_assumed_half_life(region)]
    if not assumed:
        return []
    columns = [
        Column("Region", 34, number=False),
        Column("Method", 34, number=False),
        Column("Half-life from", 42, number=False),
        Column("T_eff, h", 20),
        Column("TIA, GBq h: 95 % interval or bias", 34, number=False),
        Column("Assumed", 16),
    ]
    note = (
        "One scan tells no half-life: it comes from where this table says. Interval: of the fit, that is noise of the "
        "scan and what was assumed of the half-life; calibration, recovery and contour are not in it. A published form "
        "has no interval but bounds of its systematic error. Assumed: part of the fit's variance that comes from what "
        "was assumed."
    )
    rows = [_row(region) for region in assumed]
    return titled("Half-lives that were assumed", table(columns, rows), paragraph(note, "note"))


def has_assumed_half_life(region: Mapping[str, Any]) -> bool:
    """Tell whether a region's half-life was not told by this cycle's scans."""
    return ONE_SCAN in region["flags"] or bool((region.get("curve") or {}).get("assumed_fraction"))


def _row(region: Mapping[str, Any]) -> list[object]:
    curve = region.get("curve") or {}
    return [
        region_title(region),
        shown(curve.get("model", region["method"])),
        shown(curve.get("half_life_source")),
        _half_life(region["effective_half_life_s"], curve.get("effective_half_life_sigma_s")),
        certainty_text(curve),
        percent(curve.get("assumed_fraction")),
    ]


def _half_life(half_life_s: float | None, sigma_s: float | None) -> str:
    if half_life_s is None or sigma_s is None:
        return hours(half_life_s)
    return with_sigma(half_life_s / SECONDS_PER_HOUR, sigma_s / SECONDS_PER_HOUR)


def certainty_text(curve: Mapping[str, Any]) -> str:
    """Return the interval of a fit, or the bounds of its bias, as text."""
    interval, bias = curve.get("tia_ci95_bq_s"), curve.get("bias_relative")
    if interval:
        low, high = (significant(bound / BQ_PER_GBQ / SECONDS_PER_HOUR) for bound in interval)
        return f"{low} to {high}"
    return f"bias {signed_percent(bias[0])} to {signed_percent(bias[1])}" if bias else DASH


def assumed_text(region: Mapping[str, Any]) -> str:
    """Return in one line where a half-life comes from that no scan told; empty where one did."""
    if not has_assumed_half_life(region):
        return ""
    curve = region.get("curve") or {}
    certain = certainty_text(curve)
    interval = "" if certain == DASH else f"; {certain if curve.get('bias_relative') else f'95 % {certain} GBq h'}"
    part = curve.get("assumed_fraction")
    share = "" if part is None else f"; {percent(part)} of the variance assumed"
    return f"half-life from {curve.get('half_life_source', 'elsewhere')}{interval}{share}"
