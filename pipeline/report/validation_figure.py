"""The picture of a validation: every row's difference as a part of its tolerance, chapter by chapter (PNG bytes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.report import style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

HEIGHT_PER_CHAPTER_INCH, FRAME_INCH = 0.17, 0.62
# Beyond this a dot is drawn at the edge: a failed row must be seen, not set the scale.
FARTHEST = 1.6
SPREAD = 0.3
PASSED, WEAK, FAILED = "#0B6E69", "#C98A1B", "#A8261C"


def validation_figure(document: Mapping[str, Any]) -> bytes:
    """Draw difference over tolerance of every judged row.

    Parameters
    ----------
    document : mapping
        From :func:`pipeline.steps.validate.validation_document`.

    Returns
    -------
    bytes
        PNG.
    """
    chapters = document["chapters"]
    with style.house_style():
        figure = style.new_figure(style.TEXT_WIDTH_INCH, FRAME_INCH + HEIGHT_PER_CHAPTER_INCH * len(chapters))
        axes = figure.subplots()
        axes.axvspan(-1.0, 1.0, color=style.PALE, lw=0)
        for edge in (-1.0, 1.0):
            axes.axvline(edge, color=style.MUTED, lw=0.8)
        for line, chapter in enumerate(reversed(chapters)):
            _draw_chapter(axes, line, [row for row in document["rows"] if row["chapter"] == chapter["key"]])
        axes.set_yticks(range(len(chapters)), [chapter["title"] for chapter in reversed(chapters)])
        axes.set_ylim(-0.6, len(chapters) - 0.4)
        axes.set_xlim(-FARTHEST - 0.1, FARTHEST + 0.1)
        axes.set_xlabel("difference from the reference, as a part of the row's tolerance")
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
        return style.png_of(figure)


def part_of_tolerance(row: Mapping[str, Any]) -> float | None:
    """Return difference / tolerance; None for rows that are not judged, 0 where both are 0."""
    if row["difference"] is None or row["tolerance"] is None:
        return None
    if row["tolerance"] == 0:
        return 0.0 if row["difference"] == 0 else float(np.copysign(FARTHEST, row["difference"]))
    return float(row["difference"] / row["tolerance"])


def is_weakness(row: Mapping[str, Any]) -> bool:
    """Tell whether a row states a known error of more than 5 %."""
    known = row["known_difference"]
    return known is not None and abs(known) > 0.05


def _draw_chapter(axes: Axes, line: int, rows: Sequence[Mapping[str, Any]]) -> None:
    judged = [(row, part) for row in rows if (part := part_of_tolerance(row)) is not None]
    if not judged:
        axes.text(0.0, line, "not run", ha="center", va="center", fontsize=6.5, color=style.MUTED)
        return
    heights = line + SPREAD * np.sin(2.4 * np.arange(len(judged)))
    colours = [FAILED if row["verdict"] == "fail" else WEAK if is_weakness(row) else PASSED for row, _ in judged]
    parts = np.clip([part for _, part in judged], -FARTHEST, FARTHEST)
    axes.scatter(parts, heights, s=7, c=colours, alpha=0.75, linewidths=0, zorder=3)
