"""Paper: fonts, paragraph styles, tables and the page with its running head and foot."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib
from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    Image,
    PageTemplate,
    Paragraph,
    Table,
    TableStyle,
)

from pipeline.report import style
from pipeline.report.text import safe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MARGIN: Final = 15 * mm
TEXT_WIDTH: Final = A4[0] - 2 * MARGIN
HEAD: Final = 11 * mm
FOOT: Final = 14 * mm
TALLEST_PICTURE: Final = A4[1] - HEAD - FOOT - 30 * mm
POINTS_PER_INCH: Final = 72.0
ROOM_FOR_SECTION: Final = 38 * mm
RESEARCH_USE: Final = "For research use: not a medical device."
_FONTS: Final = {
    "Report": "DejaVuSans.ttf",
    "Report-Bold": "DejaVuSans-Bold.ttf",
    "Report-Italic": "DejaVuSans-Oblique.ttf",
    "Report-BoldItalic": "DejaVuSans-BoldOblique.ttf",
    "Report-Mono": "DejaVuSansMono.ttf",
}


@cache
def register_fonts() -> None:
    """Register the DejaVu fonts that come with matplotlib: the standard fonts lack superscripts and Greek."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for name, file in _FONTS.items():
        pdfmetrics.registerFont(TTFont(name, str(folder / file)))
    pdfmetrics.registerFontFamily(
        "Report", normal="Report", bold="Report-Bold", italic="Report-Italic", boldItalic="Report-BoldItalic"
    )


def _style(name: str, size: float, **more: Any) -> ParagraphStyle:
    defaults = {"fontName": "Report", "leading": size * 1.3, "textColor": HexColor(style.INK), "splitLongWords": 1}
    return ParagraphStyle(name, fontSize=size, **(defaults | more))


STYLES: Final = {
    "title": _style("title", 17, fontName="Report-Bold", leading=21),
    "section": _style(
        "section", 10.5, fontName="Report-Bold", textColor=HexColor(style.ACCENT), spaceBefore=9, spaceAfter=3.5
    ),
    "body": _style("body", 8),
    "cell": _style("cell", 7.4, leading=9.4),
    "number": _style("number", 7.4, leading=9.4, alignment=TA_RIGHT),
    "head": _style("head", 6.8, leading=8.4, fontName="Report-Bold", textColor=HexColor(style.MUTED)),
    "head-number": _style(
        "head-number", 6.8, leading=8.4, fontName="Report-Bold", textColor=HexColor(style.MUTED), alignment=TA_RIGHT
    ),
    "label": _style("label", 6.6, leading=8.2, textColor=HexColor(style.MUTED)),
    "note": _style("note", 6.8, leading=8.8, textColor=HexColor(style.MUTED), spaceBefore=2),
    "mono": _style("mono", 6.2, leading=8, fontName="Report-Mono"),
    "outcome": _style("outcome", 21, leading=25, fontName="Report-Bold", textColor=HexColor(style.WHITE)),
    "outcome-small": _style("outcome-small", 7.6, leading=10, textColor=HexColor(style.WHITE)),
}


def paragraph(text: object, look: str = "cell") -> Paragraph:
    """Return a paragraph of plain text: everything in it is escaped."""
    return Paragraph(safe(text).replace("\n", "<br/>"), STYLES[look])


def marked(markup: str, look: str = "cell") -> Paragraph:
    """Return a paragraph of mark-up whose dynamic parts have been made :func:`~pipeline.report.text.safe`."""
    return Paragraph(markup, STYLES[look])


def section(title: str) -> Paragraph:
    """Return a section heading; it appears in the outline of the PDF."""
    return Paragraph(safe(title), STYLES["section"])


def titled(title: str, *flowables: Flowable) -> list[Flowable]:
    """Return a section whose heading never stands alone at the foot of a page."""
    return [CondPageBreak(ROOM_FOR_SECTION), section(title), *flowables]


def coloured(text: object, colour: str, *, bold: bool = True) -> str:
    """Return safe mark-up of a coloured word."""
    inner = f"<b>{safe(text)}</b>" if bold else safe(text)
    return f'<font color="{colour}">{inner}</font>'


@dataclass(frozen=True)
class Column:
    """One column: heading, width in mm, and whether its cells are numbers (right-aligned)."""

    heading: str
    width_mm: float
    number: bool = True


def table(columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> Table:
    """Return a table with a repeated heading; cells are paragraphs or plain text."""
    heading = [paragraph(c.heading, "head-number" if c.number else "head") for c in columns]
    body = [
        [
            cell if isinstance(cell, Paragraph) else paragraph(cell, "number" if column.number else "cell")
            for cell, column in zip(row, columns, strict=True)
        ]
        for row in rows
    ]
    made = Table([heading, *body], colWidths=[c.width_mm * mm for c in columns], repeatRows=1, hAlign="LEFT")
    made.setStyle(TableStyle(_table_look(len(body))))
    return made


def _table_look(rows: int) -> list[tuple[Any, ...]]:
    rule, pale = HexColor(style.RULE), HexColor(style.PALE)
    return [
        ("VALIGN", (0, 0), (-1, 0), "BOTTOM"),
        ("VALIGN", (0, 1), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 3),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
        ("TOPPADDING", (0, 0), (-1, -1), 2.2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.6),
        ("LINEBELOW", (0, 0), (-1, 0), 0.8, HexColor(style.ACCENT)),
        ("LINEBELOW", (0, 1), (-1, -1), 0.35, rule),
        *[("BACKGROUND", (0, row), (-1, row), pale) for row in range(2, rows + 1, 2)],
    ]


def facts(pairs: Sequence[tuple[str, object]], columns: int = 4) -> Table:
    """Return labelled facts in a grid, label above value."""
    cells = [[marked(safe(label), "label"), v if isinstance(v, Paragraph) else paragraph(v)] for label, v in pairs]
    cells += [[marked("", "label")]] * (-len(cells) % columns)
    grid = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    made = Table(grid, colWidths=[TEXT_WIDTH / columns] * columns, hAlign="LEFT")
    made.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 3),
                ("RIGHTPADDING", (0, 0), (-1, -1), 5),
                ("TOPPADDING", (0, 0), (-1, -1), 2),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
                ("LINEBELOW", (0, 0), (-1, -1), 0.35, HexColor(style.RULE)),
            ]
        )
    )
    return made


def picture(png: bytes, width: float = TEXT_WIDTH) -> Image:
    """Return a PNG at its own size, smaller where it would not fit the width or a page with heading and caption."""
    image = Image(io.BytesIO(png), mask=None)
    points_per_pixel = POINTS_PER_INCH / style.DPI
    scale = min(points_per_pixel, width / image.imageWidth, TALLEST_PICTURE / image.imageHeight)
    image.drawWidth, image.drawHeight = image.imageWidth * scale, image.imageHeight * scale
    image.hAlign = "LEFT"
    return image


@dataclass(frozen=True)
class RunningText:
    """What every page says about the document it belongs to."""

    title: str
    subject: str
    document_hash: str
    code_version: str
    status: str


class Report(BaseDocTemplate):  # type: ignore[misc]
    """The document: one frame, a running head and foot, an outline of the sections."""

    def __init__(self, path: Path, running: RunningText) -> None:
        super().__init__(
            str(path),
            pagesize=A4,
            title=running.title,
            subject=running.subject,
            author="prrt-dosimetry",
            creator=f"prrt-dosimetry {running.code_version}",
            lang="en",
            invariant=1,
            pageCompression=1,
        )
        frame = Frame(
            MARGIN, FOOT, TEXT_WIDTH, A4[1] - HEAD - FOOT, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0
        )
        self.addPageTemplates([PageTemplate(id="page", frames=[frame])])

    def afterFlowable(self, flowable: object) -> None:  # noqa: N802 (reportlab's name)
        """Put section headings into the outline."""
        if isinstance(flowable, Paragraph) and flowable.style.name == "section":
            title = flowable.getPlainText()
            key = f"section-{self.page}-{title}"
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(title, key, level=0)


def canvas_with(running: RunningText) -> type[Canvas]:
    """Return a canvas that knows how many pages there are before it writes the first foot."""

    class CountingCanvas(Canvas):  # type: ignore[misc]
        """Keeps the pages until the end, then writes head and foot on each."""

        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            self.kept_pages: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 (reportlab's name)
            self.kept_pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self.kept_pages, start=1):
                self.__dict__.update(page)
                _head_and_foot(self, running, number, len(self.kept_pages))
                super().showPage()
            super().save()

    return CountingCanvas


def _head_and_foot(canvas: Canvas, running: RunningText, number: int, count: int) -> None:
    canvas.saveState()
    canvas.setStrokeColor(HexColor(style.RULE))
    canvas.setLineWidth(0.5)
    canvas.line(MARGIN, FOOT - 3 * mm, A4[0] - MARGIN, FOOT - 3 * mm)
    canvas.setFillColor(HexColor(style.MUTED))
    canvas.setFont("Report", 6.3)
    canvas.drawString(
        MARGIN, FOOT - 6.4 * mm, f"{RESEARCH_USE} prrt-dosimetry {running.code_version}. {running.status}"
    )
    canvas.drawRightString(A4[0] - MARGIN, FOOT - 6.4 * mm, f"page {number} of {count}")
    canvas.setFont("Report-Mono", 5.6)
    canvas.drawString(MARGIN, FOOT - 9.2 * mm, f"result sha256 {running.document_hash}")
    if number > 1:
        canvas.setFont("Report", 6.6)
        canvas.drawString(MARGIN, A4[1] - HEAD + 2.5 * mm, running.title)
        canvas.drawRightString(A4[0] - MARGIN, A4[1] - HEAD + 2.5 * mm, running.subject)
    canvas.restoreState()


def build(path: Path, running: RunningText, story: Sequence[object]) -> None:
    """Write the PDF; the same story gives the same bytes."""
    # reportlab reads this for the document id and the dates; it never has a reason to be off here
    rl_config.invariant = 1
    # pictures as they are, not as text for mail of the 1990s: a fifth of the file and half a second of encoding
    rl_config.useA85 = 0
    Report(path, running).build(list(story), canvasmaker=canvas_with(running))


def legend(names: Mapping[str, str]) -> Paragraph:
    """Return a line of coloured squares with their names."""
    return marked("&nbsp;&nbsp; ".join(f"{coloured('■', c, bold=False)} {safe(n)}" for n, c in names.items()), "note")
