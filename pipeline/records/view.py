"""The record of one patient as a JSON document (``prrt show``); equal records give equal documents."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date

    from pipeline.records.audit import AuditState
    from pipeline.records.record import CycleVersion, Entry, PatientRecord


def record_document(record: PatientRecord, as_of: date | None, audit: AuditState) -> dict[str, Any]:
    """Return the whole record: cycles with all their versions and signatures, entries, state of the audit log."""
    return {
        "patient_key": record.patient_key,
        "as_of": as_of.isoformat() if as_of else None,
        "recorded_at": record.recorded_at,
        "cycles": [_cycle(record, latest) for latest in record.latest_versions],
        "labs": [_entry(e) for e in record.entries if e.kind == "labs"],
        "imaging": [_entry(e) for e in record.entries if e.kind == "imaging"],
        "events": [_entry(e) for e in record.entries if e.kind == "event"],
        "audit": {
            "intact": not audit.problems,
            "entries": audit.entries,
            "head_hash": audit.head_hash,
            "problems": list(audit.problems),
        },
    }


def _cycle(record: PatientRecord, latest: CycleVersion) -> dict[str, Any]:
    versions = [version for version in record.versions if version.cycle == latest.cycle]
    return {
        "cycle": latest.cycle,
        "status": latest.status,
        "version": latest.version,
        "versions": [_version(version, latest) for version in versions],
    }


def _version(version: CycleVersion, latest: CycleVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "status": version.status,
        "superseded_by": version.version + 1 if version.version < latest.version else None,
        "recorded_at": version.recorded_at,
        "idempotency_key": version.idempotency_key,
        "result_hash": version.result_hash,
        "settings_hash": version.settings_hash,
        "signatures": [asdict(signature) for signature in version.signatures],
        "result": version.document,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        **entry.content,
        "entry_id": entry.entry_id,
        "supersedes": entry.supersedes,
        "superseded_by": entry.superseded_by,
        "recorded_by": entry.recorded_by,
        "recorded_at": entry.recorded_at,
    }
