"""Candidate scan schedules as a picture: expected error of the TIA, and how it depends on the half-life."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.physics.kinetics.scan_schedule import linear_variance
from pipeline.report import style
from pipeline.units import PERCENT, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipeline.domain.nuclide import Radionuclide

ROW_INCH = 0.24
LEAST_INCH = 2.8
SAMPLES = 160
# middle 99 % of the half-lives
REACH = 2.576
# Tol's bright set
COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#555555")


def schedule_figure(document: Mapping[str, Any], nuclide: Radionuclide) -> Figure:
    """Return the figure of a document of ``prrt schedule``.

    Parameters
    ----------
    document : mapping
    nuclide : Radionuclide

    Returns
    -------
    Figure
        Left: expected error of every schedule and method, with its bias. Right: error by linear design, with the prior,
        over the half-life; the distribution shaded.
    """
    rows = [row for row in document["candidates"] if row["relative_sigma"] is not None]
    schedules = list(dict.fromkeys(tuple(row["scans_h"]) for row in document["candidates"]))
    colours = {scans: COLOURS[index % len(COLOURS)] for index, scans in enumerate(schedules)}
    with style.house_style():
        figure = style.new_figure(style.TEXT_WIDTH_INCH, max(LEAST_INCH, 0.9 + ROW_INCH * len(rows)))
        left, right = figure.subplots(1, 2, width_ratios=(1.1, 1.0))
        _draw_bars(left, rows, colours)
        _draw_over_half_life(right, document, schedules, colours, nuclide)
        return figure


def schedule_name(scans_h: Sequence[float]) -> str:
    """Return ``24 + 96 h``."""
    return " + ".join(f"{hour:g}" for hour in scans_h) + " h"


def _draw_bars(axes: Axes, rows: Sequence[Mapping[str, Any]], colours: Mapping[tuple[float, ...], str]) -> None:
    places = list(range(len(rows)))
    heights = [PERCENT * row["relative_sigma"] for row in rows]
    axes.barh(places, heights, height=0.62, color=[colours[tuple(row["scans_h"])] for row in rows])
    with_bias = [(place, row) for place, row in zip(places, rows, strict=True) if row["bias"] is not None]
    axes.plot(
        [PERCENT * abs(row["bias"]) for _, row in with_bias],
        [place for place, _ in with_bias],
        "|",
        color=style.INK,
        markersize=9.0,
        markeredgewidth=1.4,
        label="size of the bias",
    )
    for place, height in zip(places, heights, strict=True):
        axes.text(height, place, f"  {height:.1f} %", va="center", ha="left", fontsize=7)
    axes.set_yticks(places, [f"{schedule_name(row['scans_h'])}, {row['method']}" for row in rows])
    axes.tick_params(axis="y", labelcolor=style.INK, length=0)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0.0, 1.2 * max(heights, default=1.0))
    axes.set_xlabel("expected error of the TIA (rms), %")
    if with_bias:
        axes.legend(loc="lower right")


def _draw_over_half_life(
    axes: Axes,
    document: Mapping[str, Any],
    schedules: Sequence[tuple[float, ...]],
    colours: Mapping[tuple[float, ...], str],
    nuclide: Radionuclide,
) -> None:
    spread, bounds = document["half_life"], rate_bounds(nuclide)
    median_s, log_sigma = spread["median_s"], spread["log_sigma"]
    longest_s, shortest_s = math.log(2.0) / bounds.slowest_per_s, math.log(2.0) / bounds.fastest_per_s
    low = max(median_s * math.exp(-REACH * log_sigma), shortest_s)
    high = min(median_s * math.exp(REACH * log_sigma), longest_s)
    half_life_s = np.linspace(low, high, SAMPLES)
    hours, rate = half_life_s / SECONDS_PER_HOUR, math.log(2.0) / half_life_s
    top = 0.0
    for scans_h in schedules:
        error = PERCENT * np.sqrt(linear_variance(scans_h, rate, document["relative_error"], log_sigma))
        axes.plot(hours, error, color=colours[scans_h], label=schedule_name(scans_h))
        top = max(top, float(error.max()))
    density = np.exp(-0.5 * (np.log(half_life_s / median_s) / log_sigma) ** 2)
    axes.fill_between(hours, 0.25 * top * density, color=style.RULE, alpha=0.6, linewidth=0, zorder=0.5)
    axes.set_ylim(0.0, 1.08 * top)
    axes.set_xlabel("effective half-life, h (grey: how likely)")
    axes.set_ylabel("error with the half-life known so far, %")
    axes.legend()
