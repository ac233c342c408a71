"""The patient dose report as PDF (section 6.1 of the clinical specification)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.domain.provenance import content_hash
from pipeline.report import dose_tables, sections, tables
from pipeline.report.appendix import figure_section, provenance, signatures
from pipeline.report.history import cycle_doses, organ_sums
from pipeline.report.ledger_appendix import ledger_appendix
from pipeline.report.one_scan_table import one_scan_table
from pipeline.report.paper import RunningText, build, register_fonts
from pipeline.report.pictures import Pictures, draw_pictures
from pipeline.report.volumes import ReportVolumes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ReportVolumes", "write_report"]


def write_report(
    path: Path,
    document: Mapping[str, Any],
    volumes: ReportVolumes,
    history: Mapping[str, Any] | None,
    decision: Mapping[str, Any],
    drawn: Pictures | None = None,
) -> None:
    """Write the report of one cycle; equal inputs give equal bytes.

    Parameters
    ----------
    path : Path
        The PDF to write; its folder exists.
    document : mapping
        The result document; its values are printed as they are, nothing is computed anew but ratios and sums.
    volumes : ReportVolumes
    history : mapping or None
        The patient's record as ``show`` gives it; None: only this cycle is known.
    decision : mapping
        The decision document.
    drawn : Pictures, optional
        What :func:`pipeline.report.pictures.draw_pictures` made of the same; drawn here by default.
    """
    register_fonts()
    drawn = drawn or draw_pictures(document, volumes, history, decision)
    doses = cycle_doses(history, document)
    sums = organ_sums(document, decision, doses)
    document_hash = content_hash(document)
    status = doses[-1].status.replace("_", " ")
    story = [
        *sections.header(document, decision, doses[-1].status),
        *sections.decision_block(document, decision),
        *sections.cumulative_table(sums, doses),
        *tables.regions_table(document),
        *tables.flags_section(document),
        *tables.marrow_section(document, decision),
        *tables.second_check_table(document),
        *tables.burden_section(document),
        *sections.administration(document),
        *sections.images(document),
        *tables.curves_table(document),
        *one_scan_table(document),
        *tables.map_table(document),
        *dose_tables.rates_table(document),
        *dose_tables.sphere_table(document),
        *dose_tables.bed_table(document),
        *figure_section(document, volumes.region_names, drawn),
        *provenance(document),
        *signatures(document_hash, doses[-1]),
        *ledger_appendix(document),
    ]
    running = RunningText(
        title=f"Absorbed dose report, cycle {document['cycle']}",
        subject=f"Pseudonym {document['patient_key']}",
        document_hash=document_hash,
        code_version=document["provenance"]["code_version"],
        status=f"Doses: {status.lower()}.",
    )
    build(path, running, story)
