"""A cycle of one scan: the patient's own half-lives from the record, where the conditions for using them hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.physics.decay import middle_factor
from pipeline.physics.earlier_cycles import NOT_REUSED, EarlierFit, NotReused, half_life_from
from pipeline.physics.scan_sufficiency import (
    CREATININE_DAYS,
    TUMOUR_VOLUME_RATIO,
    SingleScanFacts,
    require_one_scan_suffices,
)
from pipeline.records.store import open_store
from pipeline.records.times import day_of
from pipeline.steps.plausibility import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from pipeline.domain.kinetics import HeadRule
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.earlier_cycles import EarlierCurves
    from pipeline.physics.single_scan import HalfLifePrior
    from pipeline.records.record import CycleVersion, PatientRecord
    from pipeline.steps.delineate import Delineation

Document = dict[str, Any]

# Doses that limits depend on: their fit must have passed. Another region with a warning is not reused.
INDISPENSABLE = frozenset({"kidney"})
MARROW, BLOOD = "marrow", "aorta"
LESION, DRAWN = "lesion", "contours-file"
NUMBERED_ANEW = (
    "the automatic method numbers lesions anew in each cycle, only one drawn in both cycles is known to be it"
)
OTHER_LESION = "the lesion of this name had another volume (less than half or more than twice) or lay in another organ"
FIT_WARNED = "the fit carried a warning"


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


def half_lives_of(
    history: Document,
    extras: Mapping[str, Any],
    delineation: Delineation,
    cycle: int,
    delay_s: float,
    nuclide: Radionuclide,
    head_rule: HeadRule,
) -> dict[str, HalfLifePrior | EarlierCurves | NotReused]:
    """Return what a cycle of one scan may take the half-lives from, of the patient's earlier full cycles.

    Parameters
    ----------
    history : dict
        From :func:`history_of`.
    extras : mapping
        Of the cycle form; ``new_hydronephrosis`` must be stated there.
    delineation : Delineation
        For the lesions' volume of this cycle.
    cycle : int
    delay_s : float
        Of the scan.
    nuclide : Radionuclide
    head_rule : str

    Returns
    -------
    dict
        Region key -> :func:`pipeline.physics.earlier_cycles.half_life_from`, or why there is none. Regions that no
        earlier cycle has are not in it.

    Raises
    ------
    RefusalError
        ``SINGLE_SCAN_INSUFFICIENT``.
    """
    require_one_scan_suffices(_facts(history, extras, delineation, cycle), delay_s)
    cycles = [*history["earlier"], history]
    keys = dict.fromkeys(key for one in cycles for key in one["regions"])
    now = _lesions(delineation)
    chosen = {key: half_life_from(_fits(key, cycles, now, nuclide), history["cycle"], head_rule) for key in keys}
    found = {key: known for key, known in chosen.items() if known is not None}
    other = {key: NotReused(OTHER_LESION) for key in keys if not _alike(key, cycles, now)}
    lesions = [r for r in delineation.segmentation.regions if r.kind == LESION and r.method != DRAWN]
    # Marrow dosed by blood has no image curve on record; its activity follows the blood (Forrer et al., Eur J Nucl Med
    # Mol Imaging 2009;36:1138), so it takes the half-life of the aorta.
    blood = {MARROW: found[BLOOD]} if BLOOD in found and MARROW not in history["left_out"] else {}
    return _reasons(cycles) | other | blood | found | {lesion.key: NotReused(NUMBERED_ANEW) for lesion in lesions}


def _reasons(cycles: list[Document]) -> dict[str, NotReused]:
    """Return why a region that some cycle has may have no half-life; the last cycle's reason counts."""
    warned = {
        key: NotReused(f"{FIT_WARNED} in cycle {one['cycle']}")
        for one in cycles
        for key, region in one["regions"].items()
        if NOT_REUSED & set(region["flags"])
    }
    return warned | {key: NotReused(left["reason"]) for one in cycles for key, left in one["left_out"].items()}


@dataclass(frozen=True)
class _Lesion:
    volume_ml: float
    host: str | None


def _lesions(delineation: Delineation) -> dict[str, _Lesion]:
    segmentation = delineation.segmentation
    voxel_ml = segmentation.grid.voxel_volume_ml
    return {
        region.key: _Lesion(float(np.count_nonzero(segmentation.mask(region))) * voxel_ml, region.host)
        for region in segmentation.regions
        if region.kind == "lesion"
    }


def _may_be_the_same(key: str, then: Document, now: Mapping[str, _Lesion]) -> bool:
    """Tell whether a region of then may be the one of that key now; a person drew and named a lesion both times."""
    if then["kind"] != "lesion":
        return True
    lesion, (low, high) = now.get(key), TUMOUR_VOLUME_RATIO
    if lesion is None or (lesion.host and then["host"] and lesion.host != then["host"]):
        return False
    then_ml = float(then["volume_ml"] or 0.0)
    return low * then_ml <= lesion.volume_ml <= high * then_ml


def _alike(key: str, cycles: list[Document], now: Mapping[str, _Lesion]) -> list[Document]:
    return [one for one in cycles if key in one["regions"] and _may_be_the_same(key, one["regions"][key], now)]


def _fits(key: str, cycles: list[Document], now: Mapping[str, _Lesion], nuclide: Radionuclide) -> list[EarlierFit]:
    filed = [(one, one["regions"][key]) for one in _alike(key, cycles, now)]
    return [
        EarlierFit(
            one["cycle"],
            region["half_life_s"],
            region["sigma_s"],
            tuple(region["flags"]),
            _curve(region["points"], nuclide),
            one["filed"],
        )
        for one, region in filed
    ]


def _curve(points: list[list[float]], nuclide: Radionuclide) -> TimeActivityCurve | None:
    """Return the points at the middles of their acquisitions, as the earlier cycle was fitted."""
    if not points:
        return None
    delay_s, duration_s, activity_bq = np.asarray(points, dtype=np.float64).T
    factors = np.array([middle_factor(nuclide, float(one)) for one in duration_s])
    return TimeActivityCurve(delay_s + duration_s / 2.0, activity_bq * factors, None)


def _facts(history: Document, extras: Mapping[str, Any], delineation: Delineation, cycle: int) -> SingleScanFacts:
    if history["cycle"] is None:
        return SingleScanFacts(None, None, None, None, unsigned=tuple(history["unsigned"]))
    stated = extras.get("new_hydronephrosis")
    return SingleScanFacts(
        cycles_since_full=cycle - history["cycle"],
        creatinine_ratio=history["creatinine_ratio"],
        new_hydronephrosis=stated if isinstance(stated, bool) else None,
        tumour_volume_ratio=_volume_ratio(history["lesion_volume_ml"], delineation),
        failed_fits=_failed(history),
        creatinine_missing=history["creatinine_missing"],
        unsigned=tuple(history["unsigned"]),
    )


def _failed(history: Document) -> tuple[str, ...]:
    """Return the kidneys of the last full cycle whose half-life may not be reused, each with the reason."""
    kept = {key: region for key, region in history["regions"].items() if region["name"] in INDISPENSABLE}
    warned = [f"{key} ({FIT_WARNED})" for key, region in kept.items() if NOT_REUSED & set(region["flags"])]
    left_out = {key: one for key, one in history["left_out"].items() if one["name"] in INDISPENSABLE}
    reasons = [f"{key} ({one['reason']})" for key, one in left_out.items()]
    return tuple(sorted((*warned, *reasons))) if kept or left_out else ("kidney (not on record)",)


def _volume_ratio(then_ml: float, delineation: Delineation) -> float | None:
    now_ml = sum(lesion.volume_ml for lesion in _lesions(delineation).values())
    if then_ml == 0.0:
        return 1.0 if now_ml == 0.0 else None
    return now_ml / then_ml
