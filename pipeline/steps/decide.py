"""May the next cycle be given? The record gives the course, the rules decide, a physician answers for it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pipeline.domain.provenance import content_hash
from pipeline.records.course import course_from_record, inputs_of, statements_of
from pipeline.records.record import CycleVersion, PatientRecord
from pipeline.records.times import day_of
from pipeline.rules.decide import evaluate
from pipeline.settings import load_protocol_limits, site_from_document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from pipeline.domain.decision import PatientCourse
    from pipeline.records.store import RecordStore
    from pipeline.rules.limits import ProtocolLimits

# Before the first filed cycle no site profile is known: the protocol's cited defaults are used, and it is said.
NO_SITE_PROFILE = "NO_SITE_PROFILE_FILED"
# A draft is newer than every event: filing it is the answer to what was filed in error.
DRAFT_RECORDED_AT = "9999"


def decide_next(
    store: RecordStore, patient_key: str, on: date, planned_activity_gbq: float | None = None
) -> dict[str, Any]:
    """Return the decision document about the next cycle on day ``on``; nothing is filed.

    Parameters
    ----------
    planned_activity_gbq : float or None
        None: what an event since the last cycle ordered, else the protocol's.

    Raises
    ------
    RefusalError
        PATIENT_UNKNOWN; SITE_PROFILE_INVALID where the filed site profile is not that of this version.
    """
    return _decision(store.record(patient_key), on, planned_activity_gbq)


def preview_decision(store: RecordStore, document: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the decision as it would be with this result filed and unsigned, on the earliest day for a next cycle.

    Parameters
    ----------
    document : dict
        A result document that is not filed yet.
    settings : dict
        The site profile document it was made under.
    """
    patient_key, start = str(document["patient_key"]), day_of(document["administration"]["start"], "administration")
    known = store.find(patient_key) or PatientRecord(patient_key, "", (), ())
    draft = CycleVersion(
        cycle=int(document["cycle"]),
        version=0,
        idempotency_key="",
        document=dict(document),
        result_hash="",
        settings=dict(settings),
        settings_hash=content_hash(settings),
        recorded_at=DRAFT_RECORDED_AT,
    )
    earliest = start + timedelta(days=site_from_document(dict(settings)).protocol.interval_min_days)
    return _decision(known.with_draft(draft), earliest, None)


def _decision(record: PatientRecord, on: date, planned_activity_gbq: float | None) -> dict[str, Any]:
    latest = record.latest_versions[-1] if record.latest_versions else None
    limits = site_from_document(latest.settings).protocol if latest else load_protocol_limits()
    settings_hash = latest.settings_hash if latest else content_hash(asdict(limits))
    planned = _planned_gbq(record, on, planned_activity_gbq, limits)
    course = course_from_record(record, on, planned, limits.marrow_limit_method)
    document = evaluate(course, limits).document(patient_key=record.patient_key, settings_hash=settings_hash)
    said = [] if latest else [NO_SITE_PROFILE]
    advisories = {"advisories": [*document["advisories"], *said], "inputs": inputs_of(record)}
    return document | advisories | _protocol_of(course, record)


def _protocol_of(course: PatientCourse, record: PatientRecord) -> dict[str, Any]:
    """Return the protocol and phase the rules went by, and whether somebody recorded the protocol."""
    stated = any("protocol" in e.content for e in record.in_force("event") if e.dated_on <= str(course.decided_on))
    return {"protocol": course.protocol, "phase": course.phase, "protocol_recorded": stated}


def _planned_gbq(record: PatientRecord, on: date, asked_gbq: float | None, limits: ProtocolLimits) -> float:
    if asked_gbq is not None:
        return asked_gbq
    ordered_gbq = statements_of(record, on).planned_activity_gbq
    return limits.planned_activity_gbq if ordered_gbq is None else ordered_gbq
