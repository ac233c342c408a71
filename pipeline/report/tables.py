"""Tables of the regions: doses, curves, dose map, second check, marrow, tumour burden, flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reportlab.platypus import KeepTogether

from pipeline.report import style
from pipeline.report.flag_groups import all_flags, grouped
from pipeline.report.paper import Column, coloured, facts, marked, paragraph, section, table, titled
from pipeline.report.text import (
    DASH,
    fixed,
    hours,
    key_title,
    percent,
    ratio,
    region_key,
    region_title,
    safe,
    shown,
    signed_percent,
    significant,
    with_sigma,
)
from pipeline.units import BQ_PER_GBQ, BQ_PER_MBQ, PERCENT, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reportlab.platypus import Paragraph

    from pipeline.report.flag_groups import FlagGroup

Flowables = list[Any]

PASSED_COLOUR = style.OUTCOME_COLOURS["GIVE"]
LINES_OF_A_FLAG = 12
FAILED_COLOUR = style.OUTCOME_COLOURS["STOP"]


def regions_table(document: Mapping[str, Any]) -> Flowables:
    """Return volume, mass, kinetics and dose of every region."""
    columns = [
        Column("Region, method", 51, number=False),
        Column("Volume, mL", 15),
        Column("Mass, g", 15),
        Column("RC", 11),
        Column("T_eff, h", 13),
        Column("TIAC, h", 15),
        Column("Dose, Gy", 27),
        Column("Gy/GBq", 16),
        Column("BED, Gy", 17),
    ]
    given_bq = document["administration"]["activity_bq"]
    rows = [_region_row(region, given_bq) for region in document["regions"]]
    note = (
        "RC: measured over recovery-corrected activity. TIAC: time-integrated activity per administered activity. "
        "Dose: mean absorbed dose of this cycle, recovery-corrected, one standard deviation. BED: kidneys, and regions "
        "whose parameters the site states; for information, no limit here is a BED."
    )
    return titled("Absorbed dose of every region, this cycle", table(columns, rows), paragraph(note, "note"))


def _region_row(region: Mapping[str, Any], given_bq: float) -> list[object]:
    tia_h = None if region["tia_bq_s"] is None else region["tia_bq_s"] / SECONDS_PER_HOUR
    dose = with_sigma(region["mean_dose_gy"], region["mean_dose_sigma_gy"])
    return [
        _name_and_method(region),
        significant(region["volume_ml"]),
        significant(region["mass_g"]),
        fixed(region["recovery_coefficient"], 2),
        hours(region["effective_half_life_s"]),
        significant(ratio(tia_h, given_bq)),
        marked(f"<b>{safe(dose)}</b>", "number"),
        significant(ratio(region["mean_dose_gy"], given_bq / BQ_PER_GBQ)),
        significant(region["bed_gy"]),
    ]


def _name_and_method(region: Mapping[str, Any]) -> Paragraph:
    title = coloured(region_title(region), style.INK)
    muted = f'<font size="6" color="{style.MUTED}">{safe(region["method"])}</font>'
    return marked(f"{title}<br/>{muted}")


def curves_table(document: Mapping[str, Any]) -> Flowables:
    """Return the activities at each time point and the parameters of every fit."""
    columns = [
        Column("Region", 34, number=False),
        Column("Activity, MBq, at h after start", 50, number=False),
        Column("Model, head, tail", 36, number=False),
        Column("Parameters", 40, number=False),
        Column("Extrapolated", 20),
    ]
    rows = [_curve_row(region) for region in document["regions"]]
    note = (
        "Activities are recovery-corrected and not decay-corrected. Extrapolated: part of the TIA outside the points."
    )
    return titled("Activity and fit of every region", table(columns, rows), paragraph(note, "note"))


def _curve_row(region: Mapping[str, Any]) -> list[object]:
    points = [
        f"{with_sigma(*_mbq(point))}&nbsp;<font color='{style.MUTED}'>at {hours(point['delay_s'])}&nbsp;h</font>"
        for point in region["activity"]
    ]
    curve = region.get("curve") or {}
    rules = ", ".join(shown(curve.get(name)) for name in ("model", "head_rule", "tail_rule")) if curve else DASH
    return [
        region_title(region),
        marked("<br/>".join(points).replace(" ± ", "&nbsp;±&nbsp;") or DASH),
        rules,
        marked("<br/>".join(_parameters(curve)) or DASH),
        percent(curve.get("extrapolated_fraction")),
    ]


def _mbq(point: Mapping[str, Any]) -> tuple[float | None, float | None]:
    sigma = point["activity_sigma_bq"]
    return point["activity_bq"] / BQ_PER_MBQ, None if sigma is None else sigma / BQ_PER_MBQ


def _parameters(curve: Mapping[str, Any]) -> list[str]:
    return [_parameter(name, value).replace(" ", "&nbsp;") for name, value in (curve.get("parameters") or {}).items()]


def _parameter(name: str, value: float) -> str:
    for ending, factor, unit in (("_bq", 1.0 / BQ_PER_MBQ, "MBq"), ("_per_s", SECONDS_PER_HOUR, "per h")):
        if name.endswith(ending):
            plain = name.removesuffix(ending).replace("_", " ")
            return f"{safe(plain)} {significant(factor * value, 4)} {unit}"
    return f"{safe(name)} {significant(value, 4)}"


def map_table(document: Mapping[str, Any]) -> Flowables:
    """Return what the dose map says of every region, without recovery correction."""
    columns = [
        Column("Region", 42, number=False),
        Column("Map mean, Gy", 24),
        Column("D98, Gy", 20),
        Column("D50, Gy", 20),
        Column("D2, Gy", 20),
        Column("u(D)/D", 16),
        Column("Centroid L, P, S, mm", 38),
    ]
    rows = [
        [
            region_title(region),
            significant(region["map_mean_dose_gy"]),
            significant(region["d98_gy"]),
            significant(region.get("d50_gy")),
            significant(region["d2_gy"]),
            percent(ratio(region["mean_dose_sigma_gy"], region["mean_dose_gy"])),
            _centroid(region),
        ]
        for region in document["regions"]
    ]
    note = "From the voxel dose map, which is not recovery-corrected: small regions are underestimated here."
    return titled("Dose map", table(columns, rows), paragraph(note, "note"))


def _centroid(region: Mapping[str, Any]) -> str:
    place = region["centroid_lps_mm"]
    return ", ".join(fixed(value, 0) for value in place) if place else DASH


def second_check_table(document: Mapping[str, Any]) -> Flowables:
    """Return the independent values beside the engine's."""
    title = section("Second check")
    if not document["second_check"]:
        return [KeepTogether([title, paragraph("No independent value was computed.", "body")])]
    columns = [
        Column("Region", 34, number=False),
        Column("Independent method", 51, number=False),
        Column("Engine, Gy", 20),
        Column("Independent, Gy", 22),
        Column("Difference", 18),
        Column("Tolerance", 16),
        Column("Verdict", 19, number=False),
    ]
    engine = {region_key(region): region["mean_dose_gy"] for region in document["regions"]}
    rows = [
        [
            key_title(check["region"]),
            check["method"],
            significant(check.get("engine_gy") or engine.get(check["region"])),
            significant(check["mean_dose_gy"]),
            signed_percent(check["difference"]),
            percent(check["tolerance"]),
            _verdict(check),
        ]
        for check in document["second_check"]
    ]
    note = (
        "Difference: engine over independent value, less 1. Without a tolerance the value is shown only. Organ self S "
        "value: the dose from the region's own decays alone, on both sides."
    )
    return titled("Second check", table(columns, rows), paragraph(note, "note"))


def _verdict(check: Mapping[str, Any]) -> Paragraph:
    if check["passed"] is False:
        return marked(coloured("FAILED", FAILED_COLOUR))
    if check["passed"] is None or check["tolerance"] is None:
        return marked(coloured("shown", style.MUTED, bold=False))
    return marked(coloured("passed", PASSED_COLOUR))


def marrow_section(document: Mapping[str, Any], decision: Mapping[str, Any]) -> Flowables:
    """Return every marrow dose with its method, and which one is tested against the limit."""
    found = [region for region in document["regions"] if region["kind"] == "marrow"]
    tested = decision["cumulative"].get("marrow_method")
    title = section("Red marrow")
    if not found:
        return [KeepTogether([title, paragraph("No marrow dose in this result.", "body")])]
    columns = [
        Column("Method", 66, number=False),
        Column("Dose, Gy", 30),
        Column("Gy/GBq", 20),
        Column("Against the limit", 64, number=False),
    ]
    given_gbq = document["administration"]["activity_bq"] / BQ_PER_GBQ
    rows = [
        [
            region["method"],
            with_sigma(region["mean_dose_gy"], region["mean_dose_sigma_gy"]),
            significant(ratio(region["mean_dose_gy"], given_gbq)),
            "tested" if region["method"] == tested else f"shown only; the limit is for {shown(tested)}",
        ]
        for region in found
    ]
    return [KeepTogether([title, table(columns, rows)])]


def burden_section(document: Mapping[str, Any]) -> Flowables:
    """Return tumour burden: liver fraction, points, and who confirmed them."""
    burden = document["tumour_burden"]
    title = section("Tumour burden")
    if burden is None:
        return [KeepTogether([title, paragraph("Not assessed.", "body")])]
    points = burden["points"]
    fraction = with_sigma(burden["liver_fraction_percent"], burden["liver_fraction_sigma_percent"])
    pairs = [
        ("Tumour in the liver", fraction if fraction == DASH else f"{fraction} %"),
        ("Category", shown(burden["category"])),
        ("Points: liver, bone", f"{shown(points['liver'])}, {shown(points['bone'])}"),
        ("Points: nodes, peritoneum/pleura", f"{shown(points['lymph_nodes'])}, {shown(points['peritoneal_pleural'])}"),
        ("Total points (0 to 12)", shown(burden["total_points"])),
        ("Confirmed by", shown(burden["confirmed_by"]) if burden["confirmed_by"] else "nobody: a suggestion"),
    ]
    evidence = paragraph(f"Evidence: {_evidence(burden['evidence'])}", "note")
    return [KeepTogether([title, facts(pairs, columns=3), evidence])]


def _evidence(evidence: object) -> str:
    if isinstance(evidence, dict):
        return "; ".join(f"{str(key).replace('_', ' ')} {_short(value)}" for key, value in evidence.items()) or DASH
    if isinstance(evidence, list):
        return "; ".join(_evidence(entry) for entry in evidence) or DASH
    return _short(evidence)


def _short(value: object) -> str:
    return significant(value) if isinstance(value, float) else shown(value)


def flags_section(document: Mapping[str, Any]) -> Flowables:
    """Return every flag with the regions it concerns and its text."""
    groups = grouped(all_flags(document))
    if not groups:
        return [KeepTogether([section("Flags"), paragraph("None.", "body")])]
    columns = [
        Column("Level", 15, number=False),
        Column("Flag", 52, number=False),
        Column("Region", 33, number=False),
        Column("Found", 80, number=False),
    ]
    return titled("Flags", table(columns, [row for group in groups for row in _flag_rows(group)]))


def _flag_rows(group: FlagGroup) -> list[list[object]]:
    """Return the rows of one group; a row cannot be broken over two pages, so that many lines make several."""
    starts = range(0, len(group.lines), LINES_OF_A_FLAG)
    parts = ["\n".join(group.lines[start : start + LINES_OF_A_FLAG]) for start in starts]
    level = marked(coloured(group.level, style.LEVEL_COLOURS[group.level]))
    nothing = marked("")
    return [[level, group.code, group.regions, parts[0]], *([nothing] * 3 + [part] for part in parts[1:])]


def budget_table(document: Mapping[str, Any]) -> Flowables:
    """Return the uncertainty budget in numbers."""
    columns = [
        Column("Region", 36, number=False),
        Column("Calibration", 19),
        Column("Recovery", 18),
        Column("Volume", 17),
        Column("Fit", 16),
        Column("S value", 16),
        Column("Total", 16),
        Column("Correlated, Gy", 21),
        Column("Independent, Gy", 21),
    ]
    shown_regions = [region for region in document["regions"] if region.get("uncertainty")]
    rows = [_budget_row(region) for region in shown_regions]
    if not rows:
        return []
    note = (
        "Relative, in per cent, one standard deviation. Correlated parts add linearly over cycles, independent parts "
        "in quadrature (EANM 2018 framework, Gear et al.)."
    )
    return [table(columns, rows), paragraph(note, "note")]


def _budget_row(region: Mapping[str, Any]) -> list[object]:
    budget = region["uncertainty"]
    parts = [budget[name] for name in ("calibration", "recovery", "volume", "fit", "s_value")]
    total = ratio(region["mean_dose_sigma_gy"], region["mean_dose_gy"])
    return [
        region_title(region),
        *[DASH if part is None else fixed(part * PERCENT, 1) for part in (*parts, total)],
        significant(budget["correlated_gy"], 2),
        significant(budget["independent_gy"], 2),
    ]
