"""What the page says, as plain values and finished texts: the script only lays it out and draws.

Numbers, names and colours come from the report's own functions, so that page and PDF cannot differ.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipeline.domain.provenance import content_hash
from pipeline.report import style
from pipeline.report.curve_shape import curve_shape
from pipeline.report.flag_groups import all_flags, grouped
from pipeline.report.history import DRAFT, cycle_doses, organ_sums, protocol_text
from pipeline.report.one_scan_table import assumed_text
from pipeline.report.sections import OUTCOME_WORDS, cycles_left, missing
from pipeline.report.text import (
    DASH,
    fixed,
    hours,
    key_title,
    moment,
    percent,
    ratio,
    region_key,
    region_title,
    shown,
    signed_percent,
    significant,
    with_sigma,
)
from pipeline.units import BQ_PER_GBQ, BQ_PER_MBQ, MGY_PER_GY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pipeline.report.curve_shape import CurvePart
    from pipeline.report.flag_groups import FlagGroup
    from pipeline.report.history import CycleDose, OrganSum

Content = dict[str, Any]

# of the time axis after the last point, as in the report's figures
TAIL_SHARE = 0.3
DRAWN_DIGITS = 6
# a difference between the decision's sum and the listed cycles below this share is rounding
UNLISTED_SHARE = 0.01


def page_content(
    document: Mapping[str, Any], history: Mapping[str, Any] | None, region_names: Mapping[int, str]
) -> Content:
    """Return everything the page shows beside the volumes.

    Parameters
    ----------
    document : mapping
        The result document with its decision.
    history : mapping or None
        The patient's record as ``show`` gives it.
    region_names : mapping
        Label -> key or title of a region.
    """
    doses = cycle_doses(history, document)
    labels = {_plain(name): label for label, name in region_names.items()}
    return {
        "header": _header(document, doses[-1]),
        "decision": _decision(document),
        "sums": [_sum(organ) for organ in organ_sums(document, document["decision"], doses)],
        "regions": [_region(region, document, labels) for region in document["regions"]],
        "label_names": {str(label): _label_title(name) for label, name in region_names.items()},
        "label_colours": {str(label): style.region_colour(_label_title(name)) for label, name in region_names.items()},
        "time_points": [_time_point(number, point) for number, point in enumerate(document["time_points"], start=1)],
        "registration": _registration(document),
        "flags": [_flag(group) for group in grouped(all_flags(document))],
        "provenance": _provenance(document),
    }


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _label_title(name: str) -> str:
    return name if "," in name or " " in name else key_title(name)


def _header(document: Mapping[str, Any], this: CycleDose) -> Content:
    given = document["administration"]
    return {
        "patient_key": document["patient_key"],
        "cycle": document["cycle"],
        "given": f"{fixed(given['activity_bq'] / BQ_PER_GBQ, 2)} GBq {given['radionuclide']}",
        "given_at": moment(given["start"]),
        "protocol": protocol_text(document, document["decision"]),
        "status": this.status.replace("_", " ").lower(),
        "is_draft": this.status == DRAFT,
        "signatures": [
            f"{shown(s.get('role'))} {shown(s.get('signed_by') or s.get('by'))}, {shown(s.get('signed_at'))}"
            for s in this.signatures
        ],
    }


def _decision(document: Mapping[str, Any]) -> Content:
    decision = document["decision"]
    activity = decision["activity_gbq"]
    proposed = "activity proposed:" if decision["outcome"] == "GIVE" else "activity planned:"
    return {
        "outcome": decision["outcome"],
        "words": OUTCOME_WORDS[decision["outcome"]],
        "colour": style.OUTCOME_COLOURS[decision["outcome"]],
        "pale": style.OUTCOME_PALE[decision["outcome"]],
        "activity": None if activity is None else f"{proposed} {fixed(activity, 2)} GBq",
        "on": shown(decision["on"]),
        "earliest": shown(decision["earliest_date"]),
        "deadline": shown(decision["deadline"]),
        "rule_version": shown(decision["rule_version"]),
        "reasons": [
            {
                "level": reason["level"],
                "colour": style.OUTCOME_COLOURS[reason["level"]],
                "code": reason["code"],
                "text": shown(reason["text"]),
                "row": shown(reason["row"]),
                "source": shown(reason["source"]),
            }
            for reason in decision["reasons"]
        ],
        "advisories": [str(entry) for entry in decision["advisories"]],
        "options": [str(entry) for entry in decision["options"]],
        # reasons that say something is missing stand above already
        "missing": [entry for entry in missing(document, decision) if entry.startswith("not recorded")],
    }


def _sum(organ: OrganSum) -> Content:
    limit = DASH if organ.limit_gy is None else f"{organ.limit_gy:g}"
    return {
        "name": organ.name,
        "method": organ.method,
        "colour": organ.colour,
        "parts": _parts(organ),
        "total_gy": organ.total_gy,
        "sigma_gy": organ.sigma_gy,
        "projected_gy": organ.projected_gy,
        "projected_sigma_gy": organ.projected_sigma_gy,
        "limit_gy": organ.limit_gy,
        "total": with_sigma(organ.total_gy, organ.sigma_gy),
        "projected": with_sigma(organ.projected_gy, organ.projected_sigma_gy),
        "limit": limit,
        "p_exceed": percent(organ.p_exceed, 1),
        "p_exceed_projected": percent(organ.p_exceed_projected, 1),
        "cycles_left": cycles_left(organ),
    }


def _parts(organ: OrganSum) -> list[Content]:
    """Return the stretches of the bar in order: signed cycles, then drafts (which do not count)."""
    signed = [{"text": str(c), "gy": dose, "signed": True} for c, dose, is_signed in organ.by_cycle if is_signed]
    drafts = [
        {"text": f"{c} draft", "gy": dose, "signed": False} for c, dose, is_signed in organ.by_cycle if not is_signed
    ]
    unlisted = (organ.total_gy or 0.0) - math.fsum(dose for _, dose, is_signed in organ.by_cycle if is_signed)
    earlier: list[Content] = []
    if unlisted > UNLISTED_SHARE * (organ.total_gy or 0.0):
        earlier = [{"text": "earlier", "gy": unlisted, "signed": True}]
    # the projection is drawn from the signed sum on; a draft would lie under it
    return [*earlier, *signed, *(drafts if organ.projected_gy is None else [])]


def _region(region: Mapping[str, Any], document: Mapping[str, Any], labels: Mapping[str, int]) -> Content:
    key = region_key(region)
    given_gbq = document["administration"]["activity_bq"] / BQ_PER_GBQ
    checks = [c for c in document["second_check"] if c["region"] == key]
    # A failed row is what a person must see, whichever quantity it is about.
    check = next((c for c in checks if c["passed"] is False), checks[0] if checks else None)
    place, sphere = region["centroid_lps_mm"], region.get("sphere_model")
    return {
        "key": key,
        "title": region_title(region),
        "kind": region["kind"],
        "colour": style.region_colour(region_title(region)),
        "label": labels.get(_plain(key), labels.get(_plain(region_title(region)))),
        # the browser's world is RAS
        "place_ras_mm": [-place[0], -place[1], place[2]] if place else None,
        "method": shown(region["method"]),
        "dose_gy": region["mean_dose_gy"],
        "dose": with_sigma(region["mean_dose_gy"], region["mean_dose_sigma_gy"]),
        "per_activity": significant(ratio(region["mean_dose_gy"], given_gbq)),
        "volume": significant(region["volume_ml"]),
        "mass": significant(region["mass_g"]),
        "half_life": hours(region["effective_half_life_s"]),
        "recovery": fixed(region["recovery_coefficient"], 2),
        "map_mean": significant(region["map_mean_dose_gy"]),
        "d2": significant(region["d2_gy"]),
        "d2_gy": region["d2_gy"],
        "d98": significant(region["d98_gy"]),
        "bed": significant(region["bed_gy"]),
        "sphere": DASH if sphere is None else signed_percent(sphere["difference"]),
        "sphere_title": "" if sphere is None else _sphere_title(sphere),
        "dose_title": "; ".join(filter(None, (_rates(region, document), _median(region), _bed_title(region)))),
        "check": DASH if check is None else signed_percent(check["difference"]),
        "check_failed": check is not None and check["passed"] is False,
        "check_method": "" if check is None else shown(check["method"]),
        "flags": _badges(document, key),
        "curve": _curve(region, document["administration"].get("half_life_s")),
        "dvh": _dvh(region.get("dvh")),
    }


def _bed_title(region: Mapping[str, Any]) -> str:
    """Return what the BED was made with, and that of the voxels."""
    parameters = region.get("bed_parameters")
    if not parameters:
        return ""
    low, middle, high = (significant(region.get(f"bed_{name}_gy")) for name in ("d98", "d50", "d2"))
    return (
        f"BED {significant(region['bed_gy'])} Gy with alpha/beta {significant(parameters['alpha_beta_gy'], 2)} Gy, "
        f"repair {hours(parameters['repair_half_life_s'])} h; voxels: 98 % have {low}, half {middle}, 2 % {high} Gy"
    )


def _median(region: Mapping[str, Any]) -> str:
    return "" if region.get("d50_gy") is None else f"D50 {significant(region['d50_gy'])} Gy"


def _sphere_title(sphere: Mapping[str, Any]) -> str:
    return f"against a sphere of this mass: {significant(sphere['mean_dose_gy'])} Gy, self dose alone"


def _rates(region: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Return the dose rates at all time points as one line."""
    rates = region.get("dose_rate_gy_per_s") or []
    parts = [
        f"{significant(rate * SECONDS_PER_HOUR * MGY_PER_GY)} mGy/h at {hours(point['delay_s'])} h"
        for rate, point in zip(rates, document["time_points"], strict=False)
        if rate is not None
    ]
    return ", ".join(parts)


def _curve(region: Mapping[str, Any], half_life_s: float | None) -> Content | None:
    points = region["activity"]
    if not points:
        return None
    end_s = points[-1]["delay_s"] * (1 + TAIL_SHARE)
    shape = curve_shape(region, half_life_s, end_s)
    fit = region.get("curve")
    fitted = f" · {fit['model']} {fit['fit_points']}/{len(points)}" if fit else ""
    outside = f" · {percent(fit.get('extrapolated_fraction'))} extrap." if fit else ""
    told = assumed_text(region)
    assumed = f" · {told}" if told else ""
    return {
        "points": [
            [
                point["delay_s"] / SECONDS_PER_HOUR,
                point["activity_bq"] / BQ_PER_MBQ,
                (point["activity_sigma_bq"] or 0.0) / BQ_PER_MBQ,
            ]
            for point in points
        ],
        "inside": None if shape is None else _line(shape.inside),
        "outside": [] if shape is None else [_line(part) for part in (shape.head, shape.tail) if part is not None],
        "end_h": end_s / SECONDS_PER_HOUR,
        "caption": f"T_eff {hours(region['effective_half_life_s'])} h{fitted}{outside}{assumed}",
    }


def _line(part: CurvePart) -> list[list[float]]:
    return _pairs(part.time_s / SECONDS_PER_HOUR, part.activity_bq / BQ_PER_MBQ)


def _pairs(x: NDArray[Any] | Sequence[float], y: NDArray[Any] | Sequence[float]) -> list[list[float]]:
    return [[_drawn(a), _drawn(b)] for a, b in zip(x, y, strict=True)]


def _drawn(value: float) -> float:
    return float(f"{float(value):.{DRAWN_DIGITS}g}")


def _dvh(histogram: Mapping[str, Any] | None) -> list[list[float]] | None:
    return _pairs(histogram["dose_gy"], histogram["volume_percent"]) if histogram else None


def _time_point(number: int, point: Mapping[str, Any]) -> Content:
    duration = point.get("acquisition_duration_s")
    scanner = [point.get("camera"), point.get("collimator"), point.get("reconstruction")]
    return {
        "number": number,
        "delay": f"{hours(point['delay_s'])} h",
        "acquired": moment(point.get("acquisition_start")),
        "duration": DASH if duration is None else f"{fixed(duration / SECONDS_PER_MINUTE, 0)} min",
        "total": f"{significant(point['total_activity_bq'] / BQ_PER_GBQ)} GBq in the field",
        "scanner": ", ".join(str(part) for part in scanner if part) or DASH,
    }


def _registration(document: Mapping[str, Any]) -> list[str]:
    numbers = {point["series_uid"]: str(n) for n, point in enumerate(document["time_points"], start=1)}
    return [
        f"{numbers.get(row['from'], '?')} onto {numbers.get(row['to'], '?')}: {row['quality']} "
        f"{significant(row['value'])}, {'accepted' if row['accepted'] else 'NOT ACCEPTED'}"
        for row in document["registration"]
    ]


def _flag(group: FlagGroup) -> Content:
    return {
        "level": group.level,
        "colour": style.LEVEL_COLOURS[group.level],
        "code": group.code,
        "lines": list(group.lines),
        "regions": group.regions,
    }


def _badges(document: Mapping[str, Any], key: str) -> list[Content]:
    """Return each flag of a region once, however many texts it has."""
    return [{"code": g.code, "level": g.level} for g in grouped(all_flags(document)) if key in g.region_keys]


def _provenance(document: Mapping[str, Any]) -> list[list[str]]:
    made = document["provenance"]
    return [
        ["Made", moment(made["created_at"])],
        ["Software", f"prrt-dosimetry {made['code_version']}"],
        ["Engine", f"{made['engine']}, {made['backend']}, {made['dtype']}"],
        ["Decay data", shown(made["decay_data"])],
        ["Settings sha256", shown(made["settings_hash"])],
        ["Result sha256", content_hash(document)],
    ]
