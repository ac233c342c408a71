"""Charts of the report: curves, dose-volume histograms, cumulative dose, uncertainty budget (PNG bytes)."""

from __future__ import annotations

import math
import textwrap
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Patch

from pipeline.report import style
from pipeline.report.curve_shape import CurvePart, curve_shape
from pipeline.report.text import DASH, fixed, hours, percent, region_title, with_sigma
from pipeline.units import BQ_PER_MBQ, PERCENT, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from pipeline.report.history import OrganSum

CURVE_COLUMNS = 3
CURVE_ROW_INCH = 1.66
CURVES_PER_PAGE = 15
# of the time axis after the last point
TAIL_SHARE = 0.3
LABEL_WIDTH = 26
BAR = 0.56
LEGEND_LINES = 24
LEGEND_LINE_INCH = 0.17
BUDGET_ROW_INCH = 0.23
# a page, less heading and caption
TALLEST_INCH = 9.0
# a difference between the decision's sum and the listed cycles below this share is rounding
UNLISTED_SHARE = 0.01
BUDGET_PARTS = ("calibration", "recovery", "volume", "fit", "s_value")
BUDGET_TITLES = ("Calibration", "Recovery", "Contour volume", "Time-activity fit", "Dose per decay")
# Tol's bright set, ordered so that neighbours differ in lightness too
# room right of the bars for "12 %, time-activity fit 55 %"
BUDGET_LABEL_SPACE = 1.4
BUDGET_COLOURS = ("#4477AA", "#66CCEE", "#228833", "#CCBB44", "#AA3377")


def with_curves(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the regions that have measured points."""
    return [region for region in document["regions"] if region["activity"]]


def curves(document: Mapping[str, Any], regions: Sequence[Mapping[str, Any]] | None = None) -> bytes:
    """Draw activity over time: points with one-sigma bars, fit (solid) and extrapolated parts (dashed, shaded).

    Parameters
    ----------
    document : mapping
        The result document.
    regions : sequence, optional
        Regions to draw; all with points by default.

    Returns
    -------
    bytes
        PNG.
    """
    chosen = with_curves(document) if regions is None else list(regions)
    rows = max(1, math.ceil(len(chosen) / CURVE_COLUMNS))
    with style.house_style():
        figure = style.new_figure(style.TEXT_WIDTH_INCH, CURVE_ROW_INCH * rows)
        axes = figure.subplots(rows, CURVE_COLUMNS, squeeze=False).ravel()
        for panel, region in zip(axes, chosen, strict=False):
            _draw_curve(panel, region, document["administration"].get("half_life_s"))
        for panel in axes[len(chosen) :]:
            panel.set_axis_off()
        for panel in axes[max(0, len(chosen) - CURVE_COLUMNS) : len(chosen)]:
            panel.set_xlabel("hours after start of infusion")
        for panel in axes[::CURVE_COLUMNS]:
            panel.set_ylabel("MBq")
        return style.png_of(figure)


def _draw_curve(axes: Axes, region: Mapping[str, Any], half_life_s: float | None) -> None:
    colour = style.region_colour(region_title(region))
    points = region["activity"]
    end_s = points[-1]["delay_s"] * (1 + TAIL_SHARE)
    shape = curve_shape(region, half_life_s, end_s)
    if shape is not None:
        _draw_part(axes, shape.inside, colour, "-")
        for part in (shape.head, shape.tail):
            if part is not None:
                _draw_part(axes, part, colour, "--")
    _draw_points(axes, points, colour)
    axes.set_title(textwrap.shorten(region_title(region), LABEL_WIDTH, placeholder="…"), pad=11.0)
    axes.text(0, 1.03, _curve_caption(region), transform=axes.transAxes, va="bottom", fontsize=6.0, color=style.MUTED)
    axes.set_xlim(0, end_s / SECONDS_PER_HOUR)
    axes.set_ylim(bottom=min(0.0, *(1.1 * p["activity_bq"] / BQ_PER_MBQ for p in points)))


def _draw_part(axes: Axes, part: CurvePart, colour: str, line: str) -> None:
    time_h, activity_mbq = part.time_s / SECONDS_PER_HOUR, part.activity_bq / BQ_PER_MBQ
    axes.plot(time_h, activity_mbq, line, color=colour)
    axes.fill_between(time_h, activity_mbq, color=colour, alpha=0.14 if line == "-" else 0.05, linewidth=0)


def _draw_points(axes: Axes, points: Sequence[Mapping[str, Any]], colour: str) -> None:
    sigmas = [p["activity_sigma_bq"] or 0.0 for p in points]
    axes.errorbar(
        [p["delay_s"] / SECONDS_PER_HOUR for p in points],
        [p["activity_bq"] / BQ_PER_MBQ for p in points],
        yerr=[s / BQ_PER_MBQ for s in sigmas],
        fmt="o",
        markersize=3.6,
        markerfacecolor=style.WHITE,
        markeredgecolor=colour,
        markeredgewidth=1.2,
        ecolor=style.INK,
        elinewidth=0.8,
        capsize=2.0,
        zorder=3,
    )


def _curve_caption(region: Mapping[str, Any]) -> str:
    half_life = f"T$_{{eff}}$ {hours(region['effective_half_life_s'])} h"
    curve = region.get("curve")
    if not curve:
        return half_life
    fitted = f"{curve['model']} {curve['fit_points']}/{len(region['activity'])}"
    return f"{half_life} · {fitted} · extrapolated {percent(curve.get('extrapolated_fraction'))}"


def dvh(document: Mapping[str, Any]) -> bytes:
    """Draw the cumulative dose-volume histograms of the regions that have one (PNG)."""
    shown = [region for region in document["regions"] if region.get("dvh")]
    with style.house_style():
        lines = min(len(shown), LEGEND_LINES)
        figure = style.new_figure(style.TEXT_WIDTH_INCH, max(2.9, 0.5 + LEGEND_LINE_INCH * lines))
        axes = figure.subplots()
        if not shown:
            style.note(axes, "no dose-volume histogram in the result")
            return style.png_of(figure)
        dashes, used = cycle(("-", "--", "-.", ":")), set[str]()
        for region in shown:
            title = region_title(region)
            colour = style.region_colour(title)
            line = next(dashes) if region["kind"] == "lesion" else ("--" if colour in used else "-")
            used.add(colour)
            histogram = region["dvh"]
            axes.plot(
                histogram["dose_gy"],
                histogram["volume_percent"],
                line,
                color=colour,
                label=textwrap.shorten(title, LABEL_WIDTH, placeholder="…"),
            )
        axes.set_xlabel("absorbed dose in Gy (dose map, not recovery-corrected)")
        axes.set_ylabel("volume that receives it, %")
        axes.set_xlim(0, max(max(region["dvh"]["dose_gy"]) for region in shown))
        axes.set_ylim(0, 103)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), ncols=math.ceil(len(shown) / LEGEND_LINES))
        return style.png_of(figure)


def cumulative(sums: Sequence[OrganSum]) -> bytes:
    """Draw the cumulative dose of each organ against its limit: cycles, next cycle, one-sigma interval (PNG)."""
    with style.house_style():
        figure = style.new_figure(style.TEXT_WIDTH_INCH, 1.25 * max(1, len(sums)))
        panels = figure.subplots(max(1, len(sums)), 1, squeeze=False).ravel()
        for axes, organ in zip(panels, sums, strict=True):
            _draw_sum(axes, organ)
        return style.png_of(figure)


def _draw_sum(axes: Axes, organ: OrganSum) -> None:
    _draw_cycles(axes, organ)
    _draw_projection(axes, organ)
    _draw_interval(axes, organ.total_gy, organ.sigma_gy, 0.13)
    _draw_interval(axes, organ.projected_gy, organ.projected_sigma_gy, -0.13)
    if organ.limit_gy is not None:
        axes.axvline(organ.limit_gy, color=style.OUTCOME_COLOURS["STOP"], linewidth=1.4)
    axes.set_xlim(0, _sum_axis_end(organ))
    axes.set_ylim(-0.42, 0.42)
    axes.set_yticks([])
    axes.grid(visible=True, axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_title(_sum_title(organ))
    axes.set_xlabel("Gy")


def _draw_cycles(axes: Axes, organ: OrganSum) -> None:
    signed = [(str(cycle), dose, organ.colour) for cycle, dose, is_signed in organ.by_cycle if is_signed]
    drafts = [(f"{cycle} draft", dose, style.DRAFT) for cycle, dose, is_signed in organ.by_cycle if not is_signed]
    unlisted = (organ.total_gy or 0.0) - math.fsum(dose for _, dose, _ in signed)
    earlier = [("earlier", unlisted, organ.colour)] if unlisted > UNLISTED_SHARE * (organ.total_gy or 0.0) else []
    left = 0.0
    # the projection is drawn from the signed sum on; a draft would lie under it
    shown = (*earlier, *signed, *(drafts if organ.projected_gy is None else ()))
    for label, dose, colour in shown:
        axes.barh(0, dose, left=left, height=BAR, linewidth=1.0, color=colour, edgecolor=style.WHITE)
        ink = style.INK if colour == style.DRAFT else style.WHITE
        axes.text(left + dose / 2, 0, label, ha="center", va="center", color=ink, fontsize=6.5, clip_on=True)
        left += dose


def _draw_projection(axes: Axes, organ: OrganSum) -> None:
    if organ.projected_gy is None or organ.total_gy is None:
        return
    more = organ.projected_gy - organ.total_gy
    bars = axes.barh(0, more, left=organ.total_gy, height=BAR, hatch="////", zorder=1.5)
    for bar in bars:
        bar.set(facecolor=style.WHITE, edgecolor=organ.colour)


def _draw_interval(axes: Axes, value: float | None, sigma: float | None, height: float) -> None:
    if value is None or sigma is None:
        return
    axes.errorbar([value], [height], xerr=[sigma], fmt="none", ecolor=style.INK, elinewidth=1.1, capsize=3.0, zorder=4)


def _sum_axis_end(organ: OrganSum) -> float:
    with_interval = (
        (organ.total_gy or 0.0) + (organ.sigma_gy or 0.0),
        (organ.projected_gy or 0.0) + (organ.projected_sigma_gy or 0.0),
    )
    all_cycles = math.fsum(dose for _, dose, _ in organ.by_cycle)
    return max(*(1.05 * end for end in (*with_interval, all_cycles)), 1.08 * (organ.limit_gy or 0.0), 1e-3)


def _sum_title(organ: OrganSum) -> str:
    parts = [f"{organ.name}: {with_sigma(organ.total_gy, organ.sigma_gy)} Gy signed so far"]
    if organ.projected_gy is not None:
        parts.append(f"{with_sigma(organ.projected_gy, organ.projected_sigma_gy)} Gy with the next cycle (hatched)")
    parts.append(f"limit {DASH if organ.limit_gy is None else f'{organ.limit_gy:g}'} Gy (line)")
    return ", ".join(parts)


def uncertainty(document: Mapping[str, Any]) -> bytes:
    """Draw each dose's relative uncertainty, its parts by their shares of the variance, the largest named (PNG)."""
    shown = [r for r in document["regions"] if r.get("uncertainty") and r["mean_dose_gy"]]
    with style.house_style():
        height = min(TALLEST_INCH, 0.7 + BUDGET_ROW_INCH * len(shown))
        figure = style.new_figure(style.TEXT_WIDTH_INCH, max(1.1, height))
        axes = figure.subplots()
        if not shown:
            style.note(axes, "no uncertainty budget in the result")
            return style.png_of(figure)
        for row, region in enumerate(shown):
            _draw_budget(axes, row, region)
        axes.set_yticks(range(len(shown)))
        axes.set_yticklabels([textwrap.shorten(region_title(r), LABEL_WIDTH, placeholder="…") for r in shown])
        axes.tick_params(axis="y", labelcolor=style.INK, length=0)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("relative standard uncertainty of the mean absorbed dose, %")
        axes.set_xlim(0, axes.get_xlim()[1] * BUDGET_LABEL_SPACE)
        handles = [Patch(color=colour) for colour in BUDGET_COLOURS]
        figure.legend(handles, BUDGET_TITLES, loc="outside lower center", ncols=len(BUDGET_TITLES))
        return style.png_of(figure)


def _draw_budget(axes: Axes, row: int, region: Mapping[str, Any]) -> None:
    variances = np.array([(region["uncertainty"][part] or 0.0) ** 2 for part in BUDGET_PARTS])
    total = PERCENT * (region["mean_dose_sigma_gy"] or 0.0) / region["mean_dose_gy"]
    if variances.sum() > 0:
        widths = variances / variances.sum() * total
        lefts = np.concatenate([[0.0], np.cumsum(widths)[:-1]])
        axes.barh(np.full(len(widths), row), widths, left=lefts, height=0.62, color=BUDGET_COLOURS)
    axes.text(total, row, f"  {fixed(total, 0)} %{dominant_part(variances)}", va="center", ha="left", fontsize=7)


def dominant_part(variances: NDArray[np.float64]) -> str:
    """Return the part with the largest share of the variance, and its share; nothing where none is known."""
    if not variances.sum() > 0:
        return ""
    largest = int(np.argmax(variances))
    return f", {BUDGET_TITLES[largest].lower()} {fixed(PERCENT * variances[largest] / variances.sum(), 0)} %"
