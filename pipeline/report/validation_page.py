"""The commissioning document (PDF): what was measured on this machine, against what, and whether it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.platypus import KeepTogether, PageBreak, Spacer, Table, TableStyle

from pipeline.domain.provenance import content_hash
from pipeline.report import style
from pipeline.report.paper import (
    RESEARCH_USE,
    TEXT_WIDTH,
    Column,
    RunningText,
    build,
    coloured,
    facts,
    legend,
    marked,
    paragraph,
    picture,
    register_fonts,
    section,
    table,
    titled,
)
from pipeline.report.text import DASH, moment, safe, shown
from pipeline.report.validation_figure import FAILED, PASSED, WEAK, is_weakness, part_of_tolerance, validation_figure
from pipeline.report.validation_text import difference_text, known_text, number_text, signed, tolerance_text
from pipeline.units import PERCENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Flowables = list[Any]

VERDICT_COLOURS = {"pass": PASSED, "fail": FAILED, "information": style.MUTED, "not run": style.MUTED}
COLUMNS = (
    Column("What", 55, number=False), Column("Number", 19), Column("Reference", 19), Column("Unit", 21, number=False),
    Column("Difference", 18), Column("Tolerance", 18), Column("See", 9, number=False),
    Column("Verdict", 21, number=False),
)  # fmt: skip
COLUMNS_WITH_STATED = (
    Column("What", 52, number=False), Column("Number", 19), Column("Reference", 19), Column("Unit", 17, number=False),
    Column("Difference", 18), Column("Stated", 18), Column("Tolerance", 16), Column("See", 8, number=False),
    Column("Verdict", 13, number=False),
)  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write_validation_page(path: Path, document: Mapping[str, Any]) -> None:
    """Write the commissioning document; equal inputs give equal bytes.

    Parameters
    ----------
    path : Path
        The PDF to write; its folder exists.
    document : mapping
        From :func:`pipeline.steps.validate.validation_document`.
    """
    register_fonts()
    document_hash = content_hash(document)
    story = [
        *_title(document),
        *_failures(document),
        *_overview(document),
        *_weaknesses(document),
        *_signature(document_hash),
        PageBreak(),
        *[part for chapter in document["chapters"] for part in _chapter(chapter, _rows_of(document, chapter))],
    ]
    running = RunningText(
        title="Validation of prrt-dosimetry",
        subject=f"{document['product']['code_version']} on {document['machine']['name']}",
        document_hash=document_hash,
        code_version=document["product"]["code_version"],
        status=f"Validated {moment(document['created_at'])}.",
    )
    build(path, running, story)


def _rows_of(document: Mapping[str, Any], chapter: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in document["rows"] if row["chapter"] == chapter["key"]]


def _title(document: Mapping[str, Any]) -> Flowables:
    machine, backend = document["machine"], document["backend"]
    pairs = [
        ("Version", document["product"]["version"]),
        ("Code version", document["product"]["code_version"]),
        ("Run at", moment(document["created_at"])),
        ("Backend", f"{backend['name']} ({backend['device']})"),
        ("Machine", machine["name"]),
        ("System", machine["system"]),
        ("Processor", f"{machine['processor']}, {machine['cores']} cores"),
        ("GPU", shown(machine["gpu"])),
        *((name.capitalize() if name == "python" else name, value) for name, value in document["software"].items()),
    ]
    return [
        paragraph("Validation of prrt-dosimetry on this machine", "title"),
        paragraph(
            "Commissioning document: the installed product against references that share no code with it. Each row "
            f"names its reference, and why its tolerance is what it is. {RESEARCH_USE}",
            "body",
        ),
        Spacer(1, 3 * mm),
        _verdict_block(document),
        Spacer(1, 3 * mm),
        facts(pairs),
    ]


def _verdict_block(document: Mapping[str, Any]) -> Table:
    passed, counts = document["verdict"] == "pass", document["counts"]
    words = (
        "every judged row is within its tolerance"
        if passed
        else "at least one row is outside its tolerance, or an error is not the stated one"
    )
    tally = (
        f"{counts['pass']} pass, {counts['fail']} fail, {counts['information']} for information, "
        f"{counts['not run']} not run, in {sum(c['seconds'] for c in document['chapters']):.0f} s"
    )
    made = Table(
        [
            [
                paragraph("PASS" if passed else "FAIL", "outcome"),
                [paragraph(words.capitalize() + ".", "outcome-small"), paragraph(tally, "outcome-small")],
            ]
        ],
        colWidths=[38 * mm, TEXT_WIDTH - 38 * mm],
    )
    made.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), HexColor(PASSED if passed else FAILED)),
                ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                ("LEFTPADDING", (0, 0), (-1, -1), 8),
                ("TOPPADDING", (0, 0), (-1, -1), 7),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 9),
            ]
        )
    )
    return made


def _failures(document: Mapping[str, Any]) -> Flowables:
    failed = [row for row in document["rows"] if row["verdict"] == "fail"]
    if not failed:
        return []
    titles = {chapter["key"]: chapter["title"] for chapter in document["chapters"]}
    columns = [
        Column("Chapter", 34, number=False), Column("What", 76, number=False), Column("Difference", 24),
        Column("Tolerance", 22), Column("Stated", 24),
    ]  # fmt: skip
    rows = [
        [
            titles[row["chapter"]],
            row["what"],
            *(marked(text, "number") for text in (difference_text(row), tolerance_text(row), known_text(row) or DASH)),
        ]
        for row in failed
    ]
    note = paragraph(
        "A failed row is a defect of the product or of this installation: do not use it for patients, and report it.",
        "note",
    )
    return titled("What failed", table(columns, rows), note)


def _overview(document: Mapping[str, Any]) -> Flowables:
    columns = [
        Column("Chapter", 66, number=False), Column("Pass", 16), Column("Fail", 16), Column("Information", 22),
        Column("Not run", 18), Column("Tolerance used at most", 28), Column("s", 14),
    ]  # fmt: skip
    rows = [
        [
            chapter["title"],
            *(chapter["counts"][name] or DASH for name in ("pass", "fail", "information", "not run")),
            _most_used(_rows_of(document, chapter)),
            f"{chapter['seconds']:.1f}",
        ]
        for chapter in document["chapters"]
    ]
    names = {PASSED: "within its tolerance", WEAK: "a known error above 5 %, as stated", FAILED: "failed"}
    picture_of = KeepTogether(
        [
            section("Every row"),
            picture(validation_figure(document)),
            legend({name: colour for colour, name in names.items()}),
        ]
    )
    return [*titled("Chapters", table(columns, rows)), picture_of]


def _most_used(rows: Sequence[Mapping[str, Any]]) -> str:
    # a tolerance as wide as a known error is used up by design, and says nothing
    parts = [abs(part) for row in rows if not is_weakness(row) and (part := part_of_tolerance(row)) is not None]
    return f"{PERCENT * max(parts):.0f} %" if parts else DASH


def _weaknesses(document: Mapping[str, Any]) -> Flowables:
    known = [row for row in document["rows"] if is_weakness(row)]
    if not known:
        return []
    columns = [
        Column("Why the method errs", 76, number=False), Column("Rows", 12), Column("Errors found", 34),
        Column("The largest", 58, number=False),
    ]  # fmt: skip
    reasons = dict.fromkeys(row["reason"] for row in known)
    rows = [_weakness_line(reason, [row for row in known if row["reason"] == reason]) for reason in reasons]
    note = paragraph(
        f"The {len(known)} rows with a stated error above 5 %, by cause; each is a row of its chapter, with its own "
        "number: regions that get a small part of the dose, by photons or across a border, and sources in lung or "
        "bone. The own dose of soft-tissue organs is not among them: source blocks in water are right to 0.5 %, "
        "kidneys, liver and spleen in the torso to 1 %.",
        "note",
    )
    return titled("Known weaknesses of the method", table(columns, rows), note)


def _weakness_line(reason: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    ordered = sorted(rows, key=lambda row: row["difference"])
    lowest, highest = (signed(row["difference"], "relative", 0) for row in (ordered[0], ordered[-1]))
    largest = max(rows, key=lambda row: abs(row["difference"]))
    span = lowest if len(rows) == 1 else f"{lowest} to {highest}"
    return [reason, str(len(rows)), span, largest["what"]]


def _signature(document_hash: str) -> Flowables:
    lines = ("Reviewed by", "Accepted for", "Date", "Signature")
    cells = [[paragraph(line, "label"), ""] for line in lines]
    made = Table(cells, colWidths=[34 * mm, TEXT_WIDTH / 2 - 34 * mm])
    made.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (1, 0), (1, -1), 0.5, HexColor(style.MUTED)),
                ("VALIGN", (0, 0), (-1, -1), "BOTTOM"),
                ("LEFTPADDING", (0, 0), (-1, -1), 3),
                ("TOPPADDING", (0, 0), (-1, -1), 10),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
            ]
        )
    )
    made.hAlign = "LEFT"
    bound = marked(
        f'For validation.json, sha256 of its content <font name="Report-Mono" size="6">{safe(document_hash)}</font>. '
        "A new version of the product, of its libraries or a new machine needs a new run.",
        "note",
    )
    return [KeepTogether([section("Accepted by the medical physicist"), made, bound])]


def _chapter(chapter: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Flowables:
    sources = list(dict.fromkeys(row["source"] for row in rows))
    reasons = list(dict.fromkeys(row["reason"] for row in rows))
    stated = any(row["known_difference"] is not None for row in rows)
    lines = [_line(row, sources, reasons, stated=stated) for row in rows]
    notes = [marked(f"<b>{number}</b>&nbsp; {safe(text)}", "note") for number, text in enumerate(sources, start=1)]
    notes += [marked(f"<b>{_letter(index)}</b>&nbsp; {safe(text)}", "note") for index, text in enumerate(reasons)]
    about = [paragraph(chapter["about"], "body"), Spacer(1, 1.5 * mm)]
    keys = paragraph("See: the number is the source of the reference, the letter the reason of the tolerance.", "note")
    made = table(COLUMNS_WITH_STATED if stated else COLUMNS, lines)
    return [*titled(chapter["title"], *about), made, keys, *notes, Spacer(1, 3 * mm)]


def _letter(index: int) -> str:
    return LETTERS[index % len(LETTERS)] * (1 + index // len(LETTERS))


def _line(row: Mapping[str, Any], sources: Sequence[str], reasons: Sequence[str], *, stated: bool) -> list[Any]:
    return [
        row["what"],
        marked(number_text(row["number"]), "number"),
        marked(number_text(row["reference"]), "number"),
        row["unit"] or "1",
        marked(difference_text(row), "number"),
        *([marked(known_text(row) or DASH, "number")] if stated else []),
        marked(tolerance_text(row), "number"),
        f"{sources.index(row['source']) + 1} {_letter(reasons.index(row['reason']))}",
        marked(coloured(row["verdict"], WEAK if is_weakness(row) and row["verdict"] == "pass" else _colour(row))),
    ]


def _colour(row: Mapping[str, Any]) -> str:
    return VERDICT_COLOURS[row["verdict"]]
