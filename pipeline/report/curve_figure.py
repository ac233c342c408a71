"""Fitted time-activity curves as a picture: points with bars, fit, 95 % band of the fit, residuals below."""

from __future__ import annotations

import io
import math
import textwrap
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from pipeline.errors import require
from pipeline.physics.kinetics.fitted_band import band, exponential_sum
from pipeline.report import style
from pipeline.report.curve_shape import curve_shape
from pipeline.units import BQ_PER_MBQ, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipeline.report.curve_shape import CurvePart

Z_95 = 1.959963984540054
COLUMNS = 2
PANEL_INCH = (3.5, 2.9)
HEIGHTS = (3.0, 1.0)
SAMPLES = 200
# of the time axis after the last point
TAIL_SHARE = 0.3
TITLE_WIDTH = 48
FORMATS = (".png", ".svg")


def require_plot_path(path: Path) -> None:
    """Refuse a picture that is neither PNG nor SVG (``PLOT_FORMAT_UNKNOWN``)."""
    require(
        path.suffix.lower() in FORMATS,
        "PLOT_FORMAT_UNKNOWN",
        found=f"a file called {path.name}",
        needed="a name that ends in .png or .svg",
        do="give the picture such a name",
        where=path.name,
    )


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG, by the name of the file; equal figures give equal bytes."""
    if path.suffix.lower() == ".png":
        path.write_bytes(style.png_of(figure))
        return
    buffer = io.BytesIO()
    # Ids in an SVG are random without a salt; the text stays text, so that a reader can search it.
    with mpl.rc_context({"svg.hashsalt": "prrt", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    path.write_bytes(buffer.getvalue())


def fit_figure(document: Mapping[str, Any]) -> Figure:
    """Return the figure of a document of ``prrt fit``, one panel with residuals for each region.

    The band is +- 1.96 sigma of the fitted curve by the covariance of its parameters; extrapolated parts are dashed.

    Parameters
    ----------
    document : mapping

    Returns
    -------
    Figure
    """
    regions = document["regions"]
    columns = min(COLUMNS, len(regions))
    rows = math.ceil(len(regions) / columns)
    with style.house_style():
        figure = style.new_figure(PANEL_INCH[0] * columns, PANEL_INCH[1] * rows)
        grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=HEIGHTS * rows)
        for index, region in enumerate(regions):
            row, column = divmod(index, columns)
            _draw_region(grid[2 * row][column], region, document["half_life_s"])
            _draw_residuals(grid[2 * row + 1][column], region)
        for index in range(len(regions), rows * columns):
            row, column = divmod(index, columns)
            grid[2 * row][column].set_axis_off()
            grid[2 * row + 1][column].set_axis_off()
        return figure


def write_fit_plot(path: Path, document: Mapping[str, Any]) -> None:
    """Write :func:`fit_figure` as PNG or SVG.

    Raises
    ------
    RefusalError
        ``PLOT_FORMAT_UNKNOWN``.
    """
    require_plot_path(path)
    with style.house_style():
        write_figure(fit_figure(document), path)


def _end_s(region: Mapping[str, Any]) -> float:
    return float(region["points"][-1]["time_s"]) * (1.0 + TAIL_SHARE)


def _draw_region(axes: Axes, region: Mapping[str, Any], half_life_s: float) -> None:
    colour, end_s = style.region_colour(region["region"]), _end_s(region)
    _draw_band(axes, region, colour, end_s)
    shape = curve_shape(_as_result_region(region), half_life_s, end_s)
    if shape is not None:
        _draw_part(axes, shape.inside, colour, "-")
        for part in (shape.head, shape.tail):
            if part is not None:
                _draw_part(axes, part, colour, "--")
    points = region["points"]
    axes.errorbar(
        _hours(points),
        [p["activity_bq"] / BQ_PER_MBQ for p in points],
        yerr=[p["sigma_bq"] / BQ_PER_MBQ for p in points],
        fmt="o",
        markersize=3.6,
        markerfacecolor=style.WHITE,
        markeredgecolor=colour,
        ecolor=style.INK,
        elinewidth=0.8,
        capsize=2.0,
        zorder=3,
    )
    axes.set_title(textwrap.shorten(_title(region), TITLE_WIDTH, placeholder="…"))
    axes.set_ylabel("MBq")
    axes.set_xlim(0.0, end_s / SECONDS_PER_HOUR)
    axes.set_ylim(bottom=min(0.0, *(1.1 * p["activity_bq"] / BQ_PER_MBQ for p in points), 0.0))
    axes.tick_params(labelbottom=False)


def _as_result_region(region: Mapping[str, Any]) -> dict[str, Any]:
    points = region["points"]
    used = sum(p["fitted_bq"] is not None for p in points)
    curve = {key: region[key] for key in ("model", "parameters", "head_rule", "tail_rule")} | {"fit_points": used}
    return {"activity": [{"delay_s": p["time_s"], "activity_bq": p["activity_bq"]} for p in points], "curve": curve}


def _draw_band(axes: Axes, region: Mapping[str, Any], colour: str, end_s: float) -> None:
    fit = exponential_sum(region["parameters"], np.array(region["covariance"], dtype=np.float64))
    if fit is None or all(p["fitted_bq"] is None for p in region["points"]):
        return
    time_s = np.linspace(0.0, end_s, SAMPLES)
    value, sigma = band(fit, time_s)
    low, high = (value - Z_95 * sigma) / BQ_PER_MBQ, (value + Z_95 * sigma) / BQ_PER_MBQ
    axes.fill_between(time_s / SECONDS_PER_HOUR, low, high, color=colour, alpha=0.18, linewidth=0)


def _draw_part(axes: Axes, part: CurvePart, colour: str, line: str) -> None:
    axes.plot(part.time_s / SECONDS_PER_HOUR, part.activity_bq / BQ_PER_MBQ, line, color=colour)


def _draw_residuals(axes: Axes, region: Mapping[str, Any]) -> None:
    fitted = [p for p in region["points"] if p["fitted_bq"] is not None]
    colour = style.region_colour(region["region"])
    pulls = [(p["activity_bq"] - p["fitted_bq"]) / p["sigma_bq"] for p in fitted]
    axes.axhspan(-Z_95, Z_95, color=style.PALE, linewidth=0)
    axes.axhline(0.0, color=style.MUTED, linewidth=0.6)
    axes.vlines(_hours(fitted), 0.0, pulls, color=colour, linewidth=1.0)
    axes.plot(_hours(fitted), pulls, "o", color=colour, markersize=3.0)
    reach = max(3.0, *(1.15 * abs(pull) for pull in pulls), 3.0)
    axes.set_ylim(-reach, reach)
    axes.set_xlim(0.0, _end_s(region) / SECONDS_PER_HOUR)
    axes.set_xlabel("hours after start of infusion")
    axes.set_ylabel("residual, σ")


def _hours(points: Sequence[Mapping[str, Any]]) -> list[float]:
    return [p["time_s"] / SECONDS_PER_HOUR for p in points]


def _title(region: Mapping[str, Any]) -> str:
    half_life_h = region["effective_half_life_s"] / SECONDS_PER_HOUR
    sigma_h = region["effective_half_life_sigma_s"] / SECONDS_PER_HOUR
    cycle = f", cycle {region['cycle']}" if region.get("cycle") else ""
    return f"{region['region']}{cycle}: {region['model']}, T_eff {half_life_h:.1f} ± {sigma_h:.1f} h"
