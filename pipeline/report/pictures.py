"""The report's pictures as files of their own, beside the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.report import figures, imagery
from pipeline.report.history import cycle_doses, organ_sums

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.report.volumes import ReportVolumes


def write_pictures(
    folder: Path,
    document: Mapping[str, Any],
    volumes: ReportVolumes,
    decision: Mapping[str, Any],
    history: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write curves, dose, projections, histograms and cumulative dose as PNG.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    document, volumes, decision
        As for :func:`pipeline.report.pdf.write_report`.
    history : mapping or None
        The record as ``show`` gives it.

    Returns
    -------
    list of Path
        The files written: curves.png, dose.png, mip.png, dvh.png, cumulative.png.
    """
    pictures = {
        "curves.png": figures.curves(document),
        "dose.png": imagery.dose_planes(document, volumes),
        "mip.png": imagery.projections(volumes),
        "dvh.png": figures.dvh(document),
        "cumulative.png": figures.cumulative(organ_sums(document, decision, cycle_doses(history, document))),
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, png in pictures.items():
        (folder / name).write_bytes(png)
        written.append(folder / name)
    return written
