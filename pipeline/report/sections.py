"""What comes first: who and what, the proposal with every reason, administration, images, sums against limits."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.platypus import KeepTogether, Spacer, Table, TableStyle

from pipeline.report import style
from pipeline.report.flag_groups import FLAG_LEVELS, all_flags
from pipeline.report.history import DRAFT, protocol_text
from pipeline.report.paper import (
    RESEARCH_USE,
    TEXT_WIDTH,
    Column,
    coloured,
    facts,
    marked,
    paragraph,
    section,
    table,
    titled,
)
from pipeline.report.text import (
    DASH,
    fixed,
    hours,
    key_title,
    moment,
    nuclide_markup,
    percent,
    safe,
    shown,
    significant,
    with_sigma,
    yes_no,
)
from pipeline.units import BQ_PER_GBQ, BQ_PER_MBQ, SECONDS_PER_MINUTE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.report.history import CycleDose, OrganSum

Flowables = list[Any]

OUTCOME_WORDS = {
    "GIVE": "the next cycle may be given",
    "WAIT": "not yet",
    "REFER": "a person must look first",
    "STOP": "no further cycle",
}
# words in a reason's code that say something is not there, rather than not good
MISSING_WORDS = ("MISSING", "INCOMPLETE", "STALE", "MISMATCH")
OPTIONAL_FACTS = {
    "prescribed_activity_bq": "prescribed activity",
    "measured_activity_bq": "activity measured before the infusion",
    "residual_activity_bq": "residual activity",
    "infusion_duration_s": "length of the infusion",
    "amino_acids": "amino acids yes or no",
    "extravasation": "extravasation yes or no",
    "weight_kg": "weight",
    "height_cm": "height",
    "sex": "sex",
}


def header(document: Mapping[str, Any], decision: Mapping[str, Any], status: str) -> Flowables:
    """Return title, identity of patient and cycle, and what the numbers rest on."""
    given, provenance = document["administration"], document["provenance"]
    nuclide = nuclide_markup(given["radionuclide"], size=10.5, rise=5.5)
    name = marked(f"Absorbed dose report: {nuclide}, cycle {document['cycle']}", "title")
    pairs = [
        ("Pseudonym", marked(f"<b>{safe(document['patient_key'])}</b>")),
        ("Sex", shown(given.get("sex"))),
        ("Weight", _with_unit(given.get("weight_kg"), "kg")),
        ("Height", _with_unit(given.get("height_cm"), "cm")),
        ("Protocol, phase", protocol_text(document, decision) or "not recorded"),
        ("Cycle", document["cycle"]),
        (
            "Dose status",
            marked(
                coloured(
                    status.replace("_", " ").lower(), style.LEVEL_COLOURS["BLOCK"] if status == DRAFT else style.ACCENT
                )
            ),
        ),
        ("Made", moment(provenance["created_at"])),
        ("Software", f"prrt-dosimetry {provenance['code_version']}"),
        ("Settings sha256", paragraph(provenance["settings_hash"], "mono")),
        ("Calibration", "\n".join(calibrations(document)) or DASH),
        ("Dose engine", f"{provenance['engine']}, {provenance['backend']}, {provenance['dtype']}"),
    ]
    warning = marked(
        f"<b>{RESEARCH_USE}</b> The proposal below is made by rules; a physician decides. Doses are mean absorbed "
        "doses with one standard deviation (k = 1).",
        "note",
    )
    return [name, Spacer(1, 2 * mm), facts(pairs), warning]


def calibrations(document: Mapping[str, Any]) -> list[str]:
    """Return the calibrations used, each once, in the order of the time points."""
    ids = [point.get("calibration_id") or point.get("camera") for point in document["time_points"]]
    return list(dict.fromkeys(str(one) for one in ids if one))


def _with_unit(value: float | None, unit: str, digits: int = 3) -> str:
    return DASH if value is None else f"{significant(value, digits)} {unit}"


def decision_block(document: Mapping[str, Any], decision: Mapping[str, Any]) -> Flowables:
    """Return the proposal: outcome, every reason, advisories, options, what is missing."""
    outcome = decision["outcome"]
    banner = Table([[_outcome_cell(decision), _outcome_dates(decision)]], colWidths=[62 * mm, TEXT_WIDTH - 62 * mm])
    banner.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (0, 0), HexColor(style.OUTCOME_COLOURS[outcome])),
                ("BACKGROUND", (1, 0), (1, 0), HexColor(style.OUTCOME_PALE[outcome])),
                ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                ("LEFTPADDING", (0, 0), (-1, -1), 9),
                ("TOPPADDING", (0, 0), (-1, -1), 5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
            ]
        )
    )
    title = section(f"Proposal for the next cycle, {decision['on']}")
    return [KeepTogether([title, banner, Spacer(1, 2 * mm)]), _reasons(decision), *_lists(document, decision)]


def _outcome_cell(decision: Mapping[str, Any]) -> Flowables:
    activity = decision["activity_gbq"]
    proposed = "" if activity is None else f"activity {'proposed' if decision['outcome'] == 'GIVE' else 'planned'}: "
    line = OUTCOME_WORDS[decision["outcome"]] + (f"; {proposed}{fixed(activity, 2)} GBq" if proposed else "")
    return [paragraph(decision["outcome"], "outcome"), paragraph(line, "outcome-small")]


def _outcome_dates(decision: Mapping[str, Any]) -> Flowables:
    return [
        marked(
            f"Earliest day by interval: <b>{safe(decision['earliest_date'])}</b><br/>"
            f"Last day for the blood counts to recover: <b>{safe(decision['deadline'])}</b><br/>"
            f"Rules version {safe(decision['rule_version'])}; advisory only: a physician decides. "
            "The outcome is the gravest level of all rows that hold.",
            "body",
        )
    ]


def _reasons(decision: Mapping[str, Any]) -> Any:
    if not decision["reasons"]:
        return paragraph("No row of the decision table holds against the next cycle.", "body")
    columns = [
        Column("Level", 15, number=False),
        Column("Reason", 50, number=False),
        Column("Found", 65, number=False),
        Column("Row", 10),
        Column("Source", 40, number=False),
    ]
    rows = [
        [
            marked(coloured(r["level"], style.OUTCOME_COLOURS[r["level"]])),
            r["code"],
            r["text"],
            str(r["row"]),
            r["source"],
        ]
        for r in decision["reasons"]
    ]
    return table(columns, rows)


def _lists(document: Mapping[str, Any], decision: Mapping[str, Any]) -> Flowables:
    parts = (
        ("Advisories", decision["advisories"]),
        ("Options", decision["options"]),
        ("Missing", missing(document, decision)),
        ("Checks", checks(document)),
    )
    made: Flowables = [Spacer(1, 1.5 * mm)]
    for name, entries in parts:
        text = "<br/>".join(f"• {safe(entry)}" for entry in entries) or "none"
        made.append(_named(name, text))
    return made


def _named(name: str, markup: str) -> Table:
    made = Table([[marked(f"<b>{safe(name)}</b>"), marked(markup)]], colWidths=[24 * mm, TEXT_WIDTH - 24 * mm])
    made.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (-1, -1), 3),
                ("TOPPADDING", (0, 0), (-1, -1), 1),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
            ]
        )
    )
    return made


def missing(document: Mapping[str, Any], decision: Mapping[str, Any]) -> list[str]:
    """Return what is not there: reasons that say so, and facts of the administration that were not recorded."""
    reasons = [
        f"{r['code']}: {r['text']}" for r in decision["reasons"] if any(word in r["code"] for word in MISSING_WORDS)
    ]
    absent = [text for name, text in OPTIONAL_FACTS.items() if document["administration"].get(name) is None]
    return reasons + ([f"not recorded: {', '.join(absent)}"] if absent else [])


def checks(document: Mapping[str, Any]) -> list[str]:
    """Return how many flags of each level there are, and which second checks failed."""
    flags = all_flags(document)
    counts = [f"{sum(flag['level'] == level for flag in flags)} {level}" for level in FLAG_LEVELS]
    failed = [key_title(check["region"]) for check in document["second_check"] if check["passed"] is False]
    second = f"second check failed: {'; '.join(failed)}" if failed else "no second check failed"
    return [f"flags: {', '.join(counts)}", second if document["second_check"] else "no second check was made"]


def administration(document: Mapping[str, Any]) -> Flowables:
    """Return what was given and when."""
    given = document["administration"]
    duration = given.get("infusion_duration_s")
    pairs = [
        ("Net activity", marked(f"<b>{safe(_gbq(given['activity_bq']))}</b>")),
        ("Prescribed", _gbq(given.get("prescribed_activity_bq"))),
        ("Measured before", _gbq(given.get("measured_activity_bq"))),
        ("Left over", _mbq(given.get("residual_activity_bq"))),
        ("Start of infusion", moment(given["start"])),
        ("Length of infusion", DASH if duration is None else f"{fixed(duration / SECONDS_PER_MINUTE, 0)} min"),
        ("Amino acids", yes_no(given.get("amino_acids"))),
        ("Extravasation", yes_no(given.get("extravasation"))),
    ]
    return [KeepTogether([section("Administration"), facts(pairs)])]


def _gbq(activity_bq: float | None) -> str:
    return DASH if activity_bq is None else f"{fixed(activity_bq / BQ_PER_GBQ, 3)} GBq"


def _mbq(activity_bq: float | None) -> str:
    return DASH if activity_bq is None else f"{fixed(activity_bq / BQ_PER_MBQ, 1)} MBq"


def images(document: Mapping[str, Any]) -> Flowables:
    """Return the time points and how they were brought onto one grid."""
    columns = [
        Column("#", 7),
        Column("Acquired", 37, number=False),
        Column("h after start", 14),
        Column("min", 10),
        Column("Activity in field, GBq", 20),
        Column("Camera, collimator, reconstruction", 50, number=False),
        Column("Read as, decay reference", 42, number=False),
    ]
    rows = [_image_row(number, point) for number, point in enumerate(document["time_points"], start=1)]
    made: Flowables = titled("Images", table(columns, rows))
    if document["registration"]:
        numbers = {point["series_uid"]: n for n, point in enumerate(document["time_points"], start=1)}
        lines = [_registration_line(r, numbers) for r in document["registration"]]
        made.append(_named("Registration", "<br/>".join(safe(line) for line in lines)))
    return made


def _registration_line(row: Mapping[str, Any], numbers: Mapping[str, int]) -> str:
    moved, reference = (numbers.get(row[end], row[end]) for end in ("from", "to"))
    verdict = "accepted" if row["accepted"] else "NOT ACCEPTED"
    return f"{moved} onto {reference}: {row['quality']} {significant(row['value'])}, {verdict}"


def _image_row(number: int, point: Mapping[str, Any]) -> list[object]:
    duration = point.get("acquisition_duration_s")
    scanner = [point.get("camera"), point.get("collimator"), point.get("reconstruction")]
    return [
        str(number),
        moment(point.get("acquisition_start")),
        hours(point["delay_s"]),
        DASH if duration is None else fixed(duration / SECONDS_PER_MINUTE, 1),
        significant(point["total_activity_bq"] / BQ_PER_GBQ),
        ", ".join(str(part) for part in scanner if part) or DASH,
        f"{shown(point.get('dialect'))}, {shown(point.get('decay_reference'))}",
    ]


def cumulative_table(sums: Sequence[OrganSum], doses: Sequence[CycleDose]) -> Flowables:
    """Return sums against limits, and the cycles they come from."""
    columns = [
        Column("Organ", 24, number=False),
        Column("Method", 38, number=False),
        Column("Signed so far, Gy", 25),
        Column("With next cycle, Gy", 25),
        Column("Limit, Gy", 14),
        Column("P(above) so far", 18),
        Column("P(above) with next", 18),
        Column("Cycles left", 18),
    ]
    rows = [_sum_row(organ) for organ in sums]
    note = (
        "P(above): probability that the sum is above the limit, normal approximation, for information. Cycles left: "
        "further cycles as the projected one that keep within the limit; an estimate, not an order."
    )
    return [
        KeepTogether(
            [section("Cumulative absorbed dose against limits"), table(columns, rows), paragraph(note, "note")]
        ),
        Spacer(1, 2 * mm),
        _cycles_table(doses),
    ]


def _sum_row(organ: OrganSum) -> list[object]:
    return [
        marked(f"<b>{safe(organ.name)}</b>"),
        organ.method,
        with_sigma(organ.total_gy, organ.sigma_gy),
        with_sigma(organ.projected_gy, organ.projected_sigma_gy),
        DASH if organ.limit_gy is None else f"{organ.limit_gy:g}",
        percent(organ.p_exceed, 1),
        percent(organ.p_exceed_projected, 1),
        cycles_left(organ),
    ]


def cycles_left(organ: OrganSum) -> str:
    """Return how many further cycles like the projected one keep within the limit."""
    if organ.limit_gy is None or organ.projected_gy is None or organ.total_gy is None:
        return DASH
    one = organ.projected_gy - organ.total_gy
    # the rules allow a sum of exactly the limit: rounding must not take a cycle away
    return str(max(0, math.floor((organ.limit_gy - organ.total_gy) / one + 1e-6))) if one > 0 else DASH


def _cycles_table(doses: Sequence[CycleDose]) -> Table:
    columns = [
        Column("Cycle", 12),
        Column("Given", 38, number=False),
        Column("GBq", 15),
        Column("Kidney left, Gy", 20),
        Column("Kidney right, Gy", 20),
        Column("Kidneys, Gy", 17),
        Column("Marrow, Gy", 17),
        Column("Dose status", 41, number=False),
    ]
    return table(columns, list(chain.from_iterable(_cycle_rows(dose) for dose in doses)))


def _cycle_rows(dose: CycleDose) -> list[list[object]]:
    sides = dict(dose.kidney_sides)
    return [
        [
            str(dose.cycle),
            moment(dose.given_at),
            fixed(dose.activity_gbq, 2),
            significant(sides.get("left")),
            significant(sides.get("right")),
            significant(dose.kidney_gy),
            significant(dose.marrow_gy),
            dose.status.replace("_", " ").lower(),
        ]
    ]
