"""What may not be filed: another administration over a filed cycle, or images that another cycle is made of.

Without these a wrong cycle number, or a wrong patient key, would put one cycle's doses in another one's place. An event
``filed_in_error`` with the cycle's number, recorded after the version it speaks of, lets the correction through; until
the corrected result is filed the decision refers (see :mod:`pipeline.records.course`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, or_, select

from pipeline.errors import require
from pipeline.records.record import read_record
from pipeline.records.schema import cycle_input, cycle_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection, Row

    from pipeline.records.record import CycleVersion, PatientRecord

# Project choices. Cycles are weeks apart, so that a start within a day is the same administration with its time
# corrected; 10 % is the specification's alarm between prescribed and net activity (S-01).
SAME_START: Final = timedelta(days=1)
SAME_ACTIVITY: Final = 0.10
_CORRECTION: Final = "record an event with filed_in_error = [{cycle}], by and reason, then process again"


def inputs_of_document(document: Mapping[str, Any]) -> Iterator[dict[str, str | None]]:
    """Yield ``series_uid`` and ``sha256`` of every series a result was made from."""
    for item in (document.get("provenance") or {}).get("inputs") or ():
        yield {"series_uid": item.get("series_uid"), "sha256": item.get("sha256")}


def require_no_conflict(connection: Connection, record: PatientRecord | None, document: Mapping[str, Any]) -> None:
    """Refuse a result that contradicts what is filed; runs inside the filing's transaction.

    Raises
    ------
    RefusalError
        RECORD_CONFLICT: the cycle is filed with another administration. INPUTS_FILED_ELSEWHERE: a series of the result
        belongs to another patient's, or another, cycle in force.
    """
    versions = record.latest_versions if record else ()
    newest = next((version for version in versions if version.cycle == document["cycle"]), None)
    if record and newest and newest.cycle not in record.filed_in_error:
        _require_same_administration(newest, document["administration"])
    _require_inputs_free(connection, document)


def _require_same_administration(newest: CycleVersion, new: Mapping[str, Any]) -> None:
    old = newest.document["administration"]
    different = [
        *([f"start {old.get('start')} and now {new.get('start')}"] if _starts_differ(old, new) else []),
        *(
            [f"activity {old.get('activity_bq')} Bq and now {new.get('activity_bq')} Bq"]
            if _activities_differ(old, new)
            else []
        ),
    ]
    require(
        not different,
        "RECORD_CONFLICT",
        found=f"cycle {newest.cycle} is filed (version {newest.version}) with another administration: "
        + "; ".join(different),
        needed="the same administration: start within 1 day, activity within 10 %",
        do="check cycle number and patient key of the cycle form; where the filed cycle is the wrong one, "
        + _CORRECTION.format(cycle=newest.cycle),
        where=f"cycle {newest.cycle}",
    )


def _starts_differ(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    starts = old.get("start"), new.get("start")
    if None in starts:
        return starts[0] != starts[1]
    before, after = (datetime.fromisoformat(str(start)) for start in starts)
    return abs(after - before) > SAME_START


def _activities_differ(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    before, after = old.get("activity_bq"), new.get("activity_bq")
    if before is None or after is None:
        return before is not after
    return abs(float(after) - float(before)) > SAME_ACTIVITY * float(before)


def _require_inputs_free(connection: Connection, document: Mapping[str, Any]) -> None:
    patient_key, cycle = document["patient_key"], document["cycle"]
    for row in _others_in_force(connection, document):
        holder = read_record(connection, row.patient_key)
        freed = holder is not None and row.cycle in holder.filed_in_error
        whose = "this patient" if row.patient_key == patient_key else "another patient"
        require(
            freed,
            "INPUTS_FILED_ELSEWHERE",
            found=f"a series of cycle {cycle} that is filed already in cycle {row.cycle} of {whose}",
            needed="images that belong to this patient's cycle alone",
            do="check patient key and cycle number of the cycle form; where the filed cycle is the wrong one, process "
            "that cycle with its own images first, or " + _CORRECTION.format(cycle=row.cycle),
            where=f"cycle {cycle}",
        )


def _others_in_force(connection: Connection, document: Mapping[str, Any]) -> list[Row[Any]]:
    """Return (patient_key, cycle) of other cycles whose newest version shares a series with ``document``."""
    inputs = list(inputs_of_document(document))
    uids = [item["series_uid"] for item in inputs if item["series_uid"]]
    hashes = [item["sha256"] for item in inputs if item["sha256"]]
    used, filed = cycle_input.c, cycle_version.c
    newest = (
        select(func.max(filed.version))
        .where(filed.patient_key == used.patient_key, filed.cycle == used.cycle)
        .scalar_subquery()
    )
    query = (
        select(used.patient_key, used.cycle)
        .where(
            or_(used.series_uid.in_(uids), used.sha256.in_(hashes)),
            or_(used.patient_key != document["patient_key"], used.cycle != document["cycle"]),
            used.version == newest,
        )
        .distinct()
        .order_by(used.cycle)
    )
    return list(connection.execute(query))
