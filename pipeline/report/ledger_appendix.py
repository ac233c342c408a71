"""Appendix of the report: the ledger of every dose, each multiplied back to the value that is filed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reportlab.lib.units import mm
from reportlab.platypus import KeepTogether, Spacer

from pipeline.errors import RefusalError
from pipeline.physics.ledger.chain import entries_document
from pipeline.physics.ledger.filed import ledger_of
from pipeline.report import style
from pipeline.report.ledger_text import compact, signed_value, step_title, unit_text, with_parts
from pipeline.report.paper import Column, coloured, marked, paragraph, section, table, titled
from pipeline.report.text import region_title, safe, with_sigma
from pipeline.units import PERCENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reportlab.platypus import Paragraph, Table

    from pipeline.physics.ledger.chain import Ledger

    Found = tuple[Mapping[str, Any], Ledger]

Flowables = list[Any]
Document = dict[str, Any]

INDENT = "&nbsp;&nbsp;"
STEP_MM, UNIT_MM, REGION_MM = 40, 18, 30
MOST_BESIDE = 4
MILESTONES = frozenset({"rounding", "recovery", "fit", "blood_to_marrow_ratio", "self_s_value", "mass", "cross_dose"})
LOOKS = {
    "plain": '<font size="6.8">{}</font>',
    "small": f'<font size="6.2" color="{style.MUTED}">{{}}</font>',
    "bold": '<font size="6.8"><b>{}</b></font>',
}
NOTE = (
    "Read downwards: each factor multiplies, divides or adds to what stands there; indented lines make the factor "
    "above them. ±: relative standard uncertainty of the factor itself; the uncertainty budget says how much of it "
    "reaches the dose. Activities are those of the first time point; prrt explain shows the others as well."
)


def ledger_appendix(document: Mapping[str, Any]) -> Flowables:
    """Return the ledgers of all regions, and where every factor comes from and is changed."""
    found = [(region, ledger) for region in document["regions"] if (ledger := _ledger(document, region))]
    if not found:
        return titled(
            "Ledger of every dose", paragraph("The factors were not kept when this result was filed.", "note")
        )
    first, *tables = [[_matrix(beside), Spacer(1, 4 * mm)] for group in _by_shape(found) for beside in _evenly(group)]
    return [
        KeepTogether([section("Ledger of every dose"), paragraph(NOTE, "note"), Spacer(1, 2 * mm), *first]),
        *map(KeepTogether, tables),
        *_left_out(document, found),
        *_sources([ledger for _, ledger in found], document),
    ]


def _left_out(document: Mapping[str, Any], found: Sequence[Found]) -> Flowables:
    kept = [region for region, _ in found]
    missing = [region_title(region) for region in document["regions"] if region not in kept]
    return [paragraph(f"Without ledger: {', '.join(missing)}.", "note")] if missing else []


def _ledger(document: Mapping[str, Any], region: Mapping[str, Any]) -> Ledger | None:
    """Return a region's ledger; None for a result that was filed without, which the appendix then says."""
    try:
        return ledger_of(document, region)
    except RefusalError as refusal:
        if refusal.code != "LEDGER_MISSING":
            raise
        return None


def _by_shape(found: Sequence[Found]) -> list[list[Found]]:
    """Group regions whose ledgers have the same lines."""
    groups: dict[tuple[str, ...], list[Found]] = {}
    for region, ledger in found:
        groups.setdefault(tuple(entry["step"] for _, entry in _lines(ledger)), []).append((region, ledger))
    return list(groups.values())


def _evenly(group: list[Found]) -> list[list[Found]]:
    """Part a group into tables of nearly equal width."""
    tables = -(-len(group) // MOST_BESIDE)
    size = -(-len(group) // tables)
    return [group[start : start + size] for start in range(0, len(group), size)]


def _lines(ledger: Ledger) -> list[tuple[int, Document]]:
    return list(with_parts(entries_document(ledger.entries)))


def _matrix(found: Sequence[Found]) -> Table:
    """Return factors as rows and regions as columns; what stands there in between is in bold."""
    columns = [
        Column("Factor", STEP_MM, number=False),
        Column("Unit", UNIT_MM, number=False),
        *(Column(region_title(region), REGION_MM) for region, _ in found),
    ]
    by_region = [_lines(ledger) for _, ledger in found]
    rows = _rows(list(zip(*by_region, strict=True)))
    return table(columns, [*rows, _filed([ledger for _, ledger in found])])


def _rows(lines: Sequence[Sequence[tuple[int, Document]]]) -> list[list[object]]:
    """Return a row for each factor and, when its parts have been told, one for what stands there."""
    rows: list[list[object]] = []
    reached: list[object] = []
    for line in lines:
        if line[0][0] == 0 and reached:
            rows.append(reached)
        rows.append(_factor(line))
        if line[0][0] == 0:
            reached = _reached([entry for _, entry in line])
    return [*rows, reached]


def _factor(line: Sequence[tuple[int, Document]]) -> list[object]:
    depth, first = line[0]
    look = "small" if depth else "plain"
    values = [_looking(_value_and_sigma(entry), look) for _, entry in line]
    return [_name(INDENT * depth, step_title(first), look), _name("", unit_text(first["unit"]), look), *values]


def _reached(entries: Sequence[Document]) -> list[object]:
    first = entries[0]
    if first["step"] not in MILESTONES:
        return []
    then = [_looking(f"= {compact(entry['after'])}", "bold") for entry in entries]
    return [_name("", first["gives"], "bold"), _name("", first["after_unit"], "bold"), *then]


def _value_and_sigma(entry: Document) -> str:
    relative = entry["relative_sigma"]
    return f"{signed_value(entry)} ± {PERCENT * relative:.2g} %" if relative else signed_value(entry)


def _looking(text: str, look: str) -> Paragraph:
    return marked(LOOKS[look].format(safe(text)), "number")


def _name(indent: str, text: str, look: str) -> Paragraph:
    return marked(indent + LOOKS[look].format(safe(text)) if text else "")


def _filed(ledgers: Sequence[Ledger]) -> list[object]:
    return [paragraph("filed in the record"), paragraph("Gy"), *(_verdict(ledger) for ledger in ledgers)]


def _verdict(ledger: Ledger) -> Paragraph:
    filed = safe(with_sigma(ledger.filed_gy, ledger.filed_sigma_gy))
    if ledger.agrees:
        return marked(f"{filed}, agrees", "number")
    return marked(f"{filed} {coloured('does not multiply back', style.OUTCOME_COLOURS['STOP'])}", "number")


def _sources(ledgers: Sequence[Ledger], document: Mapping[str, Any]) -> Flowables:
    """Return one table for all ledgers; a factor whose source differs between regions has a line for each."""
    columns = [
        Column("Factor", 29, number=False),
        Column("Source", 82, number=False),
        Column("Changed in", 69, number=False),
    ]
    texts = {
        (step_title(entry), entry["source"], entry["changed_in"]): None
        for ledger in ledgers
        for _, entry in with_parts(entries_document(ledger.entries))
    }
    steps = [step for step, _, _ in texts]
    rows = sorted(texts, key=lambda text: steps.index(text[0]))
    kernel = document["provenance"].get("dose_kernel")
    note = [paragraph(f"Dose point kernel: {kernel}", "note")] if kernel else []
    return titled("Where every factor comes from", table(columns, rows), *note)
