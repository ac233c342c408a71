"""A cycle of one scan: the patient's own half-lives from the record, where the conditions for using them hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.physics.decay import middle_factor
from pipeline.physics.earlier_cycles import NOT_REUSED, EarlierFit, half_life_from
from pipeline.physics.scan_sufficiency import TUMOUR_VOLUME_RATIO, SingleScanFacts, require_one_scan_suffices
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
        Of the last one ``cycle`` (None where no earlier cycle of the same nuclide has two scans), ``version``,
        ``result_hash``, ``regions`` (key -> half-life, its sigma, flags, points), ``lesion_volume_ml`` and
        ``creatinine_ratio``; of those before it ``earlier``.
    """
    with open_store(records) as store:
        record = store.find(administration["patient_key"])
    full = _full_cycles(record, administration)
    if record is None or not full:
        return {"cycle": None}
    document = full[-1].document
    return _cycle(full[-1]) | {
        "earlier": [_cycle(version) for version in full[:-1]],
        "lesion_volume_ml": sum(region["volume_ml"] for region in document["regions"] if region["kind"] == "lesion"),
        "creatinine_ratio": _creatinine_ratio(
            record, day_of(document["administration"]["start"], "start"), day_of(administration["start"], "start")
        ),
    }


def _full_cycles(record: PatientRecord | None, administration: Document) -> list[CycleVersion]:
    versions = record.latest_versions if record else ()
    wrong = record.filed_in_error if record else frozenset()
    before = [v for v in versions if v.cycle < administration["cycle"] and v.cycle not in wrong]
    nuclide = administration["radionuclide"]
    alike = [v for v in before if v.document["administration"]["radionuclide"] == nuclide]
    return [v for v in alike if len(v.document["time_points"]) > 1]


def _cycle(version: CycleVersion) -> Document:
    points = version.document["time_points"]
    regions = version.document["regions"]
    return {
        "cycle": version.cycle,
        "version": version.version,
        "result_hash": version.result_hash,
        "regions": {key_of(region): _region(region, points) for region in regions if _has_a_curve(region)},
    }


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


def _creatinine_ratio(record: PatientRecord, then: date, now: date) -> float | None:
    """Return the last creatinine before this cycle over the last one before the full cycle."""
    panels = [(day_of(e.dated_on, "dated_on"), e.content.get("creatinine")) for e in record.in_force("labs")]
    known = [(day, float(value)) for day, value in panels if value is not None]
    before = [value for day, value in known if day <= then]
    since = [value for day, value in known if then < day <= now]
    return since[-1] / before[-1] if before and since else None


def half_lives_of(
    history: Document,
    extras: Mapping[str, Any],
    delineation: Delineation,
    cycle: int,
    delay_s: float,
    nuclide: Radionuclide,
    head_rule: HeadRule,
) -> dict[str, HalfLifePrior | EarlierCurves]:
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
        Region key -> :func:`pipeline.physics.earlier_cycles.half_life_from`; without the regions that it gives none.

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
    # Marrow dosed by blood has no image curve on record; its activity follows the blood (Forrer et al., Eur J Nucl Med
    # Mol Imaging 2009;36:1138), so it takes the half-life of the aorta.
    return ({MARROW: found[BLOOD]} if BLOOD in found else {}) | found


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
    """Tell whether a region of then is the one of that key now: lesions are numbered anew in every cycle."""
    if then["kind"] != "lesion":
        return True
    lesion, (low, high) = now.get(key), TUMOUR_VOLUME_RATIO
    if lesion is None or (lesion.host and then["host"] and lesion.host != then["host"]):
        return False
    then_ml = float(then["volume_ml"] or 0.0)
    return low * then_ml <= lesion.volume_ml <= high * then_ml


def _fits(key: str, cycles: list[Document], now: Mapping[str, _Lesion], nuclide: Radionuclide) -> list[EarlierFit]:
    alike = [one for one in cycles if key in one["regions"] and _may_be_the_same(key, one["regions"][key], now)]
    filed = [(one["cycle"], one["regions"][key]) for one in alike]
    return [
        EarlierFit(
            cycle, region["half_life_s"], region["sigma_s"], tuple(region["flags"]), _curve(region["points"], nuclide)
        )
        for cycle, region in filed
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
        return SingleScanFacts(None, None, None, None)
    stated = extras.get("new_hydronephrosis")
    kept = [region for region in history["regions"].values() if region["name"] in INDISPENSABLE]
    failed = tuple(sorted({region["name"] for region in kept if NOT_REUSED & set(region["flags"])}))
    return SingleScanFacts(
        cycles_since_full=cycle - history["cycle"],
        creatinine_ratio=history["creatinine_ratio"],
        new_hydronephrosis=stated if isinstance(stated, bool) else None,
        tumour_volume_ratio=_volume_ratio(history["lesion_volume_ml"], delineation),
        failed_fits=failed if kept else ("kidney (not on record)",),
    )


def _volume_ratio(then_ml: float, delineation: Delineation) -> float | None:
    now_ml = sum(lesion.volume_ml for lesion in _lesions(delineation).values())
    if then_ml == 0.0:
        return 1.0 if now_ml == 0.0 else None
    return now_ml / then_ml
