"""What comes last: figures, provenance, signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.platypus import KeepTogether, Spacer, Table, TableStyle

from pipeline.report import figures, style
from pipeline.report.paper import TEXT_WIDTH, Column, facts, legend, marked, paragraph, picture, section, table, titled
from pipeline.report.tables import budget_table
from pipeline.report.text import moment, region_title, safe, shown, significant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.report.history import CycleDose
    from pipeline.report.pictures import Pictures

Flowables = list[Any]

# what the tables of the provenance show already, or what has a place of its own
SHOWN_ELSEWHERE = frozenset({"inputs", "dose_kernel", "voxel_kernels"})
ROLES = (("physicist", "Physicist: the doses"), ("physician", "Physician: the decision"))


def figure_section(document: Mapping[str, Any], region_names: Mapping[int, str], drawn: Pictures) -> Flowables:
    """Return all figures with their captions."""
    contours = {title: style.region_colour(title) for _, title in sorted(region_names.items()) if title.strip()}
    made = [
        _figure(
            "Cumulative absorbed dose",
            drawn.cumulative,
            "Bars: cycles, grey where not signed (not counted by the rules). Whiskers: one standard deviation. "
            "Hatched: the next cycle at the planned activity. Red line: the limit.",
        ),
        *_curve_figures(drawn.curve_pages),
        _figure(
            "Dose-volume histograms",
            drawn.dvh,
            "Share of each region's volume that receives at least the dose.",
        ),
        _figure(
            "Absorbed dose on CT",
            drawn.dose,
            "Dose map, not recovery-corrected, in three planes; each row has its own scale. Radiological convention: "
            "the patient's left is on the right of axial and coronal pictures. CT window -160 to 240 HU.",
            legend(contours),
        ),
        _figure(
            "SPECT on CT, first time point",
            drawn.projections,
            "Highest activity along each ray, over a radiograph computed from the CT. Not recovery-corrected; the "
            "scale ends at the 99th percentile.",
        ),
    ]
    budget = _figure(
        "Uncertainty of the mean absorbed dose",
        figures.uncertainty(document),
        "Length: relative standard uncertainty. Colours: shares of the variance.",
    )
    return [*made, budget, *budget_table(document)]


def _figure(title: str, png: bytes, caption: str, *more: Any) -> KeepTogether:
    return KeepTogether([section(title), picture(png), paragraph(caption, "note"), *more])


def _curve_figures(pages: Sequence[bytes]) -> Flowables:
    caption = (
        "Points with one standard deviation, not decay-corrected; the fit (solid) and what it extrapolates (dashed). "
        "Beside the model: fitted of measured points. Extrapolated: part of the time-integrated activity outside the "
        "points."
    )
    return [
        _figure(_numbered("Activity over time", number, len(pages)), page, caption)
        for number, page in enumerate(pages, start=1)
    ]


def _numbered(title: str, number: int, count: int) -> str:
    return title if count == 1 else f"{title} ({number} of {count})"


def provenance(document: Mapping[str, Any]) -> Flowables:
    """Return where every number came from: versions, hashes, input series."""
    source = document["provenance"]
    pairs = [
        (name.replace("_", " ").capitalize(), _provenance_value(name, value))
        for name, value in source.items()
        if name not in SHOWN_ELSEWHERE
    ]
    pairs += [
        (
            f"Voxel kernel, {' x '.join(f'{side:.2f}' for side in kernel['voxel_mm'])} mm",
            paragraph(kernel["sha256"], "mono"),
        )
        for kernel in source.get("voxel_kernels", ())
    ]
    columns = [Column("Series instance UID", 92, number=False), Column("SHA-256 of its files", 88, number=False)]
    rows = [[paragraph(i["series_uid"], "mono"), paragraph(i["sha256"], "mono")] for i in source["inputs"]]
    codes = [Column("Region", 60, number=False), Column("Code", 60, number=False), Column("Kind", 60, number=False)]
    coded = [
        [region_title(r), f"{r['code']['scheme']} {r['code']['value']} {r['code']['meaning']}", r["kind"]]
        for r in document["regions"]
    ]
    return [
        *titled("Provenance", facts(pairs, columns=3)),
        Spacer(1, 3 * mm),
        table(columns, rows),
        Spacer(1, 3 * mm),
        table(codes, coded),
    ]


def _provenance_value(name: str, value: object) -> Any:
    if name == "created_at":
        return moment(str(value))
    if isinstance(value, float):
        return significant(value, 4)
    text = shown(value)
    return paragraph(text, "mono") if len(text) >= 40 and " " not in text else text


def signatures(document_hash: str, this_cycle: CycleDose) -> Flowables:
    """Return the signatures under this result, and lines for those that are not there yet."""
    signed = {signature["role"]: signature for signature in this_cycle.signatures}
    cells = [[_signed(title, signed[role]) if role in signed else _to_sign(title, role)] for role, title in ROLES]
    half = TEXT_WIDTH / 2
    made = Table([[cell[0] for cell in cells]], colWidths=[half, half])
    made.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("BOX", (0, 0), (0, 0), 0.5, HexColor(style.RULE)),
                ("BOX", (1, 0), (1, 0), 0.5, HexColor(style.RULE)),
                ("LEFTPADDING", (0, 0), (-1, -1), 8),
                ("RIGHTPADDING", (0, 0), (-1, -1), 8),
                ("TOPPADDING", (0, 0), (-1, -1), 6),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 8),
            ]
        )
    )
    bound = marked(
        f'A signature is for the result document with sha256 <font name="Report-Mono" size="6">{safe(document_hash)}'
        "</font>. A correction is a new version.",
        "note",
    )
    return [KeepTogether([section("Signatures"), made, bound])]


def _signed(title: str, signature: Mapping[str, Any]) -> Flowables:
    return [
        marked(f"<b>{safe(title)}</b>"),
        Spacer(1, 2 * mm),
        paragraph(f"Signed by {signature['signed_by']}"),
        paragraph(f"At {moment(signature.get('signed_at_local') or signature['signed_at'])}"),
        paragraph(f"Meaning: {shown(signature.get('meaning'))}"),
        paragraph(f"Reason: {shown(signature.get('reason'))}"),
    ]


def _to_sign(title: str, role: str) -> Flowables:
    lines = ["Name", "Date and time", "Signature"]
    if role == "physician":
        lines = ["Decision: give / wait / refer / stop, at ______ GBq", "Reason, if not as proposed", *lines]
    ruled = Table(
        [[paragraph(line, "label"), ""] for line in lines], colWidths=[34 * mm, TEXT_WIDTH / 2 - 34 * mm - 16]
    )
    ruled.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (1, 0), (1, -1), 0.5, HexColor(style.MUTED)),
                ("VALIGN", (0, 0), (-1, -1), "BOTTOM"),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("TOPPADDING", (0, 0), (-1, -1), 11),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
            ]
        )
    )
    return [marked(f"<b>{safe(title)}</b>"), ruled]
