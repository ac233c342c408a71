"""The picture of a calibration: slice, factor by scan, recovery and dead time, each with its residuals (PNG bytes)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Circle

from pipeline.report import style
from pipeline.report.text import with_sigma
from pipeline.units import BQ_PER_GBQ, PERCENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

ROW_INCH, TITLE_INCH = 2.15, 0.3
VOLUMES_ML = np.geomspace(0.3, 300.0, 200)
CPS_PER_KCPS, US_PER_S = 1000.0, 1e6


@dataclass(frozen=True, eq=False)
class PageSlice:
    """One transverse slice: values in per cent of the highest, pixel sides (row, column), circles (x, y, radius)."""

    title: str
    percent_of_highest: NDArray[np.float64]
    pixel_mm: tuple[float, float]
    circles_mm: tuple[tuple[float, float, float], ...]


def calibration_figure(document: Mapping[str, Any], shown: PageSlice) -> bytes:
    """Draw a calibration document.

    Parameters
    ----------
    document : mapping
        From :func:`pipeline.steps.calibration_document.calibration_document`.
    shown : PageSlice

    Returns
    -------
    bytes
        PNG.
    """
    recovery, dead_time = document["recovery"], document["dead_time"]
    with_recovery, with_dead_time = recovery is not None, bool(dead_time["scans"])
    count = 1 + with_recovery + with_dead_time
    with style.house_style():
        figure = style.new_figure(style.TEXT_WIDTH_INCH, TITLE_INCH + ROW_INCH * count)
        title = f"Calibration of {document['camera_id']}, {document['calibrated_on']}"
        figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold", color=style.ACCENT)
        rows = figure.subplots(count, 2, squeeze=False)
        _draw_slice(rows[0, 0], shown)
        _draw_factors(rows[0, 1], document)
        if with_recovery:
            _draw_recovery(rows[1, 0], recovery)
            _draw_recovery_residuals(rows[1, 1], recovery)
        if with_dead_time:
            _draw_dead_time(rows[-1, 0], dead_time)
            _draw_dead_time_residuals(rows[-1, 1], dead_time)
        return style.png_of(figure)


def _draw_slice(axes: Axes, shown: PageSlice) -> None:
    rows, columns = shown.percent_of_highest.shape
    row_mm, column_mm = shown.pixel_mm
    extent = (-0.5 * column_mm, (columns - 0.5) * column_mm, (rows - 0.5) * row_mm, -0.5 * row_mm)
    axes.imshow(shown.percent_of_highest, cmap=style.SPECT_COLOURS, extent=extent, vmin=0.0, interpolation="nearest")
    for x, y, radius in shown.circles_mm:
        axes.add_patch(Circle((x, y), radius, fill=False, edgecolor=style.WHITE, linewidth=0.8))
    axes.set_title(shown.title)
    axes.grid(visible=False)
    axes.set_xlabel("mm")


def _draw_factors(axes: Axes, document: Mapping[str, Any]) -> None:
    calibration = document["calibration"]
    scans = calibration["scans"]
    places = range(len(scans))
    total = PERCENT * calibration["relative_sigma"]
    axes.axhspan(-total, total, color=style.ACCENT, alpha=0.10, linewidth=0)
    axes.axhline(0.0, color=style.ACCENT, linewidth=1.0)
    for used, face in ((True, style.ACCENT), (False, style.WHITE)):
        chosen = [i for i in places if scans[i]["used"] is used]
        _points(
            axes, chosen, [scans[i]["residual"] for i in chosen], [scans[i]["relative_sigma"] for i in chosen], face
        )
    axes.set_xticks(places, [f"{scan['phantom']}\n{scan['acquisition_start'][:10]}" for scan in scans])
    axes.set_xlim(-0.6, len(scans) - 0.4)
    axes.set_ylabel("factor over the profile's, %")
    axes.set_title("Factor by scan (band: total, one sigma)")


def _points(axes: Axes, x: Sequence[float], share: Sequence[float], sigma: Sequence[float], face: str) -> None:
    """Points in per cent with one-sigma bars."""
    axes.errorbar(
        x,
        [PERCENT * value for value in share],
        yerr=[PERCENT * value for value in sigma],
        fmt="o",
        markersize=4.0,
        markerfacecolor=face,
        markeredgecolor=style.ACCENT,
        ecolor=style.INK,
        elinewidth=0.8,
        capsize=2.0,
    )


def _curve(recovery: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve and its sigma over the volumes drawn."""
    b, c = recovery["b_ml"], recovery["c"]
    value = 1.0 - 1.0 / (1.0 + (VOLUMES_ML / b) ** c)
    steep = value * (1.0 - value)
    gradient = np.stack([-steep * c / b, steep * np.log(VOLUMES_ML / b)], axis=1)
    return value, np.sqrt(np.einsum("ij,jk,ik->i", gradient, np.array(recovery["covariance"]), gradient))


def _draw_recovery(axes: Axes, recovery: Mapping[str, Any]) -> None:
    spheres = recovery["spheres"]
    volumes = [sphere["volume_ml"] for sphere in spheres]
    value, sigma = _curve(recovery)
    measured = (min(volumes) <= VOLUMES_ML) & (max(volumes) >= VOLUMES_ML)
    axes.plot(VOLUMES_ML, value, "--", color=style.MUTED, linewidth=1.0)
    axes.plot(VOLUMES_ML[measured], value[measured], color=style.ACCENT)
    axes.fill_between(VOLUMES_ML, value - sigma, value + sigma, color=style.ACCENT, alpha=0.15, linewidth=0)
    axes.errorbar(
        volumes,
        [sphere["recovery"] for sphere in spheres],
        yerr=[sphere["recovery_sigma"] or 0.0 for sphere in spheres],
        fmt="o",
        markersize=4.0,
        color=style.INK,
        elinewidth=0.8,
        capsize=2.0,
    )
    axes.set_xscale("log")
    axes.set_ylim(0.0, 1.05)
    axes.set_xlabel("volume, mL")
    axes.set_ylabel("recovery coefficient")
    axes.set_title("Recovery (dashed: beyond the spheres)")


def _draw_recovery_residuals(axes: Axes, recovery: Mapping[str, Any]) -> None:
    spheres = recovery["spheres"]
    axes.axhline(0.0, color=style.ACCENT, linewidth=1.0)
    _points(
        axes,
        [sphere["volume_ml"] for sphere in spheres],
        [sphere["residual"] for sphere in spheres],
        [(sphere["recovery_sigma"] or 0.0) / sphere["fitted"] for sphere in spheres],
        style.ACCENT,
    )
    axes.set_xscale("log")
    axes.set_xlabel("volume, mL")
    axes.set_ylabel("measured over curve less 1, %")
    axes.set_title("Residuals of the recovery curve")


def microseconds(dead_time: Mapping[str, Any]) -> str:
    """Return a measured dead time with its sigma in microseconds."""
    return with_sigma(dead_time["dead_time_s"] * US_PER_S, dead_time["dead_time_sigma_s"] * US_PER_S)


def _draw_dead_time(axes: Axes, dead_time: Mapping[str, Any]) -> None:
    scans = dead_time["scans"]
    true = np.array([scan["true_rate_per_s"] for scan in scans])
    smooth = np.linspace(0.0, 1.05 * true.max(), 100)
    seen = smooth * np.exp(-smooth * dead_time["dead_time_s"])
    axes.plot(smooth / CPS_PER_KCPS, smooth / CPS_PER_KCPS, "--", color=style.MUTED, linewidth=1.0)
    axes.plot(smooth / CPS_PER_KCPS, seen / CPS_PER_KCPS, color=style.ACCENT)
    observed = np.array([scan["observed_rate_per_s"] for scan in scans])
    axes.plot(true / CPS_PER_KCPS, observed / CPS_PER_KCPS, "o", markersize=4.0, color=style.INK)
    axes.set_xlabel("true rate per head, 1000 counts/s")
    axes.set_ylabel("observed, 1000 counts/s")
    axes.set_title(f"Dead time {microseconds(dead_time)} µs (dashed: none)")


def _draw_dead_time_residuals(axes: Axes, dead_time: Mapping[str, Any]) -> None:
    scans = dead_time["scans"]
    axes.axhline(0.0, color=style.ACCENT, linewidth=1.0)
    axes.plot(
        [scan["mean_activity_bq"] / BQ_PER_GBQ for scan in scans],
        [PERCENT * scan["residual"] for scan in scans],
        "o",
        markersize=4.0,
        color=style.ACCENT,
    )
    axes.set_xlabel("activity, GBq")
    axes.set_ylabel("observed over model less 1, %")
    axes.set_title("Residuals of the dead-time model")
