"""The ledger of one filed dose: every factor between the stored counts and Gy, multiplied back to what was filed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusalError, require
from pipeline.physics.ledger.chain import entries_document
from pipeline.physics.ledger.filed import activity_ledger, ledger_of

if TYPE_CHECKING:
    from pipeline.physics.ledger.chain import Ledger
    from pipeline.records.record import CycleVersion
    from pipeline.records.store import RecordStore

Document = dict[str, Any]

PROVENANCE = ("code_version", "settings_hash", "engine", "decay_data", "dose_kernel", "created_at")


def explain(
    store: RecordStore, patient: str, *, cycle: int, region: str, laterality: str | None = None
) -> dict[str, Any]:
    """Return the ledger of one region's mean dose in the newest version of a cycle.

    Parameters
    ----------
    store : RecordStore
    patient : str
        Patient key.
    cycle : int
    region : str
        Name as in the result document, as ``kidney`` or ``lesion-1``.
    laterality : {"left", "right"} or None

    Returns
    -------
    dict
        ``entries`` (the ledger), ``mean_dose_gy`` and ``mean_dose_sigma_gy`` multiplied back, ``filed`` beside them,
        ``time_points`` (from counts to activity at each), ``second_check``, ``provenance``.

    Raises
    ------
    RefusalError
        ``PATIENT_UNKNOWN``, ``CYCLE_UNKNOWN``, ``REGION_UNKNOWN``, ``REGION_AMBIGUOUS``, ``LEDGER_MISSING``,
        ``LEDGER_DISAGREES``.
    """
    version = _newest(store, patient, cycle)
    entry = _region(version.document, region, laterality)
    ledger = ledger_of(version.document, entry)
    _require_agreement(ledger)
    return {
        "patient_key": patient,
        "cycle": cycle,
        "version": version.version,
        "status": version.status,
        "result_hash": version.result_hash,
        "region": entry["name"],
        "laterality": entry["laterality"],
        "method": entry["method"],
        "mean_dose_gy": ledger.dose_gy,
        "mean_dose_sigma_gy": ledger.sigma_gy,
        "filed": {"mean_dose_gy": ledger.filed_gy, "mean_dose_sigma_gy": ledger.filed_sigma_gy},
        "entries": entries_document(ledger.entries),
        "time_points": _time_points(version.document, entry),
        "second_check": _second_check(version.document, entry),
        "flags": entry["flags"],
        "provenance": {key: version.document["provenance"].get(key) for key in PROVENANCE},
    }


def _newest(store: RecordStore, patient: str, cycle: int) -> CycleVersion:
    latest = store.record(patient).latest_versions
    found = next((version for version in latest if version.cycle == cycle), None)
    if found is None:
        raise RefusalError(
            "CYCLE_UNKNOWN",
            found=f"filed cycles {[version.cycle for version in latest] or 'none'}",
            needed=f"cycle {cycle}",
            do="process the cycle first, or give the number of a filed one",
            where="--cycle",
        )
    return found


def _region(document: Document, name: str, laterality: str | None) -> Document:
    named = [region for region in document["regions"] if region["name"] == name]
    matching = [region for region in named if laterality in (None, region["laterality"])]
    known = ", ".join(" ".join(filter(None, (r["laterality"], r["name"]))) for r in document["regions"])
    require(
        bool(matching),
        "REGION_UNKNOWN",
        found=f"no {' '.join(filter(None, (laterality, name)))} among: {known}",
        needed="a region of this cycle",
        do="give --region (and --laterality) as listed",
        where="--region",
    )
    require(
        len(matching) == 1,
        "REGION_AMBIGUOUS",
        found=f"{len(matching)} regions called {name}",
        needed="one region",
        do="give --laterality left or right",
        where="--laterality",
    )
    entry: Document = matching[0]
    return entry


def _require_agreement(ledger: Ledger) -> None:
    require(
        ledger.agrees,
        "LEDGER_DISAGREES",
        found=f"{ledger.dose_gy:.12g} +- {ledger.sigma_gy:.6g} Gy multiplied back, "
        f"{ledger.filed_gy:.12g} +- {ledger.filed_sigma_gy:.6g} Gy filed",
        needed="the filed dose and its sigma within 1e-9",
        do="do not use this dose; look at the audit state (prrt show) and process the cycle again",
        where="ledger",
    )


def _time_points(document: Document, region: Document) -> list[Document]:
    return [
        {
            "delay_s": point["delay_s"],
            "series_uid": document["time_points"][index]["series_uid"],
            "activity_bq": point["activity_bq"],
            "activity_sigma_bq": point["activity_sigma_bq"],
            "entries": entries_document(entries) if (entries := activity_ledger(document, region, index)) else [],
        }
        for index, point in enumerate(region["activity"])
    ]


def _second_check(document: Document, region: Document) -> Document | None:
    key = "_".join(filter(None, (region["name"], region["laterality"])))
    rows = [check for check in document["second_check"] if check["region"] == key]
    # Of several rows the one that failed is what a person must see.
    return next((check for check in rows if check.get("passed") is False), rows[0] if rows else None)
