"""The report's pictures: drawn once, printed in the report and left beside it as files of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.report import figures, imagery
from pipeline.report.history import cycle_doses, organ_sums

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.report.volumes import ReportVolumes


@dataclass(frozen=True)
class Pictures:
    """PNG bytes; ``curve_pages`` are the curves as the report prints them, a page at a time."""

    curves: bytes
    curve_pages: tuple[bytes, ...]
    dose: bytes
    projections: bytes
    dvh: bytes
    cumulative: bytes


def draw_pictures(
    document: Mapping[str, Any],
    volumes: ReportVolumes,
    history: Mapping[str, Any] | None,
    decision: Mapping[str, Any],
) -> Pictures:
    """Draw curves, dose, projections, histograms and cumulative dose.

    Parameters
    ----------
    document, volumes, history, decision
        As for :func:`pipeline.report.pdf.write_report`.
    """
    pages = _curve_pages(document)
    return Pictures(
        # the one page that nearly every patient has shows all regions
        curves=pages[0] if len(pages) == 1 else figures.curves(document),
        curve_pages=pages,
        dose=imagery.dose_planes(document, volumes),
        projections=imagery.projections(volumes),
        dvh=figures.dvh(document),
        cumulative=figures.cumulative(organ_sums(document, decision, cycle_doses(history, document))),
    )


def _curve_pages(document: Mapping[str, Any]) -> tuple[bytes, ...]:
    regions = figures.with_curves(document)
    size = figures.CURVES_PER_PAGE
    return tuple(figures.curves(document, regions[start : start + size]) for start in range(0, len(regions), size))


def write_pictures(folder: Path, drawn: Pictures) -> list[Path]:
    """Write the pictures as PNG: curves, dose, mip, dvh, cumulative.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    drawn : Pictures

    Returns
    -------
    list of Path
        The files written.
    """
    files = {
        "curves.png": drawn.curves,
        "dose.png": drawn.dose,
        "mip.png": drawn.projections,
        "dvh.png": drawn.dvh,
        "cumulative.png": drawn.cumulative,
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, png in files.items():
        (folder / name).write_bytes(png)
        written.append(folder / name)
    return written
