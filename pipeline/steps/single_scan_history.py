"""What the record says about a patient's earlier full cycles, for a cycle of one scan; no arithmetic on curves."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pipeline.physics.kinetics.scan_sufficiency import CREATININE_DAYS
from pipeline.records.store import open_store
from pipeline.records.times import day_of
from pipeline.steps.plausibility import key_of

if TYPE_CHECKING:
    from datetime import date

    from pipeline.records.record import CycleVersion, PatientRecord

Document = dict[str, Any]

LESION, DRAWN = "lesion", "contours-file"
NUMBERED_ANEW = (
    "the automatic method numbers lesions anew in each cycle, only one drawn in both cycles is known to be it"
)


def history_of(records: str, administration: Document) -> Document:
    """Return what the record says about a patient's earlier full cycles, for a cycle of one scan.

    Parameters
    ----------
    records : str
        Record database.
    administration : dict
        Of the cycle, as the step ``ingest`` returns it.

    Returns
    -------
    dict
        Of the last one ``cycle`` (None where no earlier cycle of the same nuclide has two scans and doses that a
        physicist signed), ``version``, ``filed`` (version and signature in words), ``result_hash``, ``regions``
        (key -> half-life, its sigma, flags, points), ``left_out`` (key -> name and reason), ``lesion_volume_ml``,
        ``creatinine_ratio`` and ``creatinine_missing``; of those before it ``earlier``. ``unsigned`` names the cycles
        that do not count because their newest version is a draft.
    """
    with open_store(records) as store:
        record = store.find(administration["patient_key"])
    every = _full_cycles(record, administration)
    full = [version for version in every if version.signature_of("physicist")]
    unsigned = [f"cycle {v.cycle}, version {v.version} is a draft" for v in every if v not in full]
    if record is None or not full:
        return {"cycle": None, "unsigned": unsigned}
    document = full[-1].document
    then, now = (day_of(one["start"], "start") for one in (document["administration"], administration))
    return (
        _cycle(full[-1])
        | {
            "earlier": [_cycle(version) for version in full[:-1]],
            "unsigned": unsigned,
            "lesion_volume_ml": sum(region["volume_ml"] for region in document["regions"] if region["kind"] == LESION),
        }
        | _creatinine(record, then, now)
    )


def _full_cycles(record: PatientRecord | None, administration: Document) -> list[CycleVersion]:
    versions = record.latest_versions if record else ()
    wrong = record.filed_in_error if record else frozenset()
    before = [v for v in versions if v.cycle < administration["cycle"] and v.cycle not in wrong]
    nuclide = administration["radionuclide"]
    alike = [v for v in before if v.document["administration"]["radionuclide"] == nuclide]
    return [v for v in alike if len(v.document["time_points"]) > 1]


def _cycle(version: CycleVersion) -> Document:
    points = version.document["time_points"]
    regions, flags = version.document["regions"], version.document["flags"]
    reasons = {key_of(region): _not_reused(region, flags, version.cycle) for region in regions}
    usable = [region for region in regions if _has_a_curve(region) and not reasons[key_of(region)]]
    return {
        "cycle": version.cycle,
        "version": version.version,
        "filed": f"version {version.version}, signed by a physicist",
        "result_hash": version.result_hash,
        "regions": {key_of(region): _region(region, points) for region in usable},
        "left_out": {
            key_of(region): {"name": region["name"], "reason": reasons[key_of(region)]}
            for region in regions
            if reasons[key_of(region)]
        },
    }


def _not_reused(region: Document, flags: list[Document], cycle: int) -> str:
    """Return why no other cycle takes this region's half-life, empty where one may.

    A flag without a region speaks for all of them, one of both kidneys for each.
    """
    if region["kind"] == LESION and region["method"] != DRAWN:
        return NUMBERED_ANEW
    named = {"", region["name"], key_of(region)}
    blocking = [f["code"] for f in flags if f["level"] == "BLOCK" and (f.get("region") or "") in named]
    return f"BLOCK flag {', '.join(dict.fromkeys(blocking))} in cycle {cycle}" if blocking else ""


def _has_a_curve(region: Document) -> bool:
    return bool(region.get("curve")) and bool(region.get("effective_half_life_s"))


def _region(region: Document, points: list[Document]) -> Document:
    durations = [point.get("acquisition_duration_s") for point in points]
    # The curve is one of the acquisitions' middles: without their durations it is not on record.
    known = all(durations) and len(region["activity"]) == len(durations)
    pairs = zip(region["activity"], durations, strict=True) if known else ()
    return {
        "name": region["name"],
        "half_life_s": region["effective_half_life_s"],
        "sigma_s": region["curve"]["effective_half_life_sigma_s"],
        "flags": region["flags"],
        "kind": region["kind"],
        "host": region.get("host"),
        "volume_ml": region["volume_ml"],
        "points": [[p["delay_s"], duration_s, p["activity_bq"]] for p, duration_s in pairs],
    }


def _creatinine(record: PatientRecord, then: date, now: date) -> Document:
    """Return creatinine before this administration over that of the full cycle's, or which of them is missing.

    Now: the last one since the full cycle, at most 14 days old (S-08). Then: the last one of the 14 days before that
    cycle, else the first of the 14 days after it, and never the same sample.
    """
    panels = [(day_of(e.dated_on, "dated_on"), e.content.get("creatinine")) for e in record.in_force("labs")]
    known = sorted((day, float(value)) for day, value in panels if value is not None and float(value) > 0.0)
    limit, day_after = timedelta(days=CREATININE_DAYS), then + timedelta(days=1)
    now_from, then_from, then_to = max(now - limit, day_after), then - limit, then + limit
    late = [one for one in known if now_from <= one[0] <= now]
    early = [one for one in known if then_from <= one[0] <= then_to and one not in late[-1:]]
    chosen = [one for one in early if one[0] <= then][-1:] or early[:1]
    missing = [
        *([] if late else [f"no creatinine of {now_from} to {now}, before this administration"]),
        *([] if chosen else [f"no creatinine of {then_from} to {then_to}, around the full cycle's administration"]),
    ]
    ratio = None if missing else late[-1][1] / chosen[0][1]
    return {"creatinine_ratio": ratio, "creatinine_missing": " and ".join(missing)}
