"""A cycle of one scan: the patient's own half-lives from the record, where the conditions for using them hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.physics.scan_sufficiency import SingleScanFacts, require_one_scan_suffices
from pipeline.physics.single_scan import HalfLifePrior, patient_prior
from pipeline.records.store import open_store
from pipeline.records.times import day_of
from pipeline.steps.plausibility import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from pipeline.records.record import CycleVersion, PatientRecord
    from pipeline.steps.delineate import Delineation

Document = dict[str, Any]

# Doses that limits depend on: their fit must have passed. Another region with a warning is not reused.
INDISPENSABLE = frozenset({"kidney"})
MARROW, BLOOD = "marrow", "aorta"
NOT_REUSED = frozenset({"FIT_WARN", "AT_PHYSICAL_LIMIT", "AT_SHORTEST_LIMIT", "NON_POSITIVE_POINT"})


def history_of(records: str, administration: Document) -> Document:
    """Return what the record says about a patient's earlier full cycle, for a cycle of one scan.

    Parameters
    ----------
    records : str
        Record database.
    administration : dict
        Of the cycle, as the step ``ingest`` returns it.

    Returns
    -------
    dict
        ``cycle`` (None where no earlier cycle has two scans), ``regions`` (key -> half-life, its sigma, flags),
        ``lesion_volume_ml``, ``creatinine_ratio``.
    """
    with open_store(records) as store:
        record = store.find(administration["patient_key"])
    full = _last_full_cycle(record, administration["cycle"])
    if record is None or full is None:
        return {"cycle": None}
    document = full.document
    return {
        "cycle": full.cycle,
        "version": full.version,
        "result_hash": full.result_hash,
        "regions": {key_of(region): _region(region) for region in document["regions"] if _has_a_curve(region)},
        "lesion_volume_ml": sum(region["volume_ml"] for region in document["regions"] if region["kind"] == "lesion"),
        "creatinine_ratio": _creatinine_ratio(
            record, day_of(document["administration"]["start"], "start"), day_of(administration["start"], "start")
        ),
    }


def _last_full_cycle(record: PatientRecord | None, cycle: int) -> CycleVersion | None:
    versions = record.latest_versions if record else ()
    wrong = record.filed_in_error if record else frozenset()
    full = [v for v in versions if v.cycle < cycle and v.cycle not in wrong and len(v.document["time_points"]) > 1]
    return full[-1] if full else None


def _has_a_curve(region: Document) -> bool:
    return bool(region.get("curve")) and bool(region.get("effective_half_life_s"))


def _region(region: Document) -> Document:
    return {
        "name": region["name"],
        "half_life_s": region["effective_half_life_s"],
        "sigma_s": region["curve"]["effective_half_life_sigma_s"],
        "flags": region["flags"],
    }


def _creatinine_ratio(record: PatientRecord, then: date, now: date) -> float | None:
    """Return the last creatinine before this cycle over the last one before the full cycle."""
    panels = [(day_of(e.dated_on, "dated_on"), e.content.get("creatinine")) for e in record.in_force("labs")]
    known = [(day, float(value)) for day, value in panels if value is not None]
    before = [value for day, value in known if day <= then]
    since = [value for day, value in known if then < day <= now]
    return since[-1] / before[-1] if before and since else None


def half_lives_of(
    history: Document, extras: Mapping[str, Any], delineation: Delineation, cycle: int, delay_s: float
) -> dict[str, HalfLifePrior]:
    """Return the half-lives that a cycle of one scan may take from the patient's earlier full cycle, by region key.

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

    Raises
    ------
    RefusalError
        ``SINGLE_SCAN_INSUFFICIENT``.
    """
    require_one_scan_suffices(_facts(history, extras, delineation, cycle), delay_s)
    source = f"cycle {history['cycle']} of this patient"
    found = {
        key: patient_prior(region["half_life_s"], region["sigma_s"], source)
        for key, region in history["regions"].items()
        if not NOT_REUSED & set(region["flags"])
    }
    # Marrow dosed by blood has no image curve on record; its activity follows the blood (Forrer et al., Eur J Nucl Med
    # Mol Imaging 2009;36:1138), so it takes the half-life of the aorta.
    return ({MARROW: found[BLOOD]} if BLOOD in found else {}) | found


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
    segmentation = delineation.segmentation
    lesions = [region for region in segmentation.regions if region.kind == "lesion"]
    voxels = sum(int(np.count_nonzero(segmentation.mask(region))) for region in lesions)
    now_ml = voxels * segmentation.grid.voxel_volume_ml
    if then_ml == 0.0:
        return 1.0 if now_ml == 0.0 else None
    return now_ml / then_ml
