"""Add laboratory panels, response assessments and clinical events to a patient's record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.files.forms import load_event, load_imaging, load_labs
from pipeline.records.writes import PRODUCT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from pipeline.records.record import EntryKind
    from pipeline.records.store import RecordStore

Rows = tuple[dict[str, Any], ...]


def record_files(
    store: RecordStore, patient_key: str, *, labs: Path | None, imaging: Path | None, event: Path | None, at: datetime
) -> dict[str, Any]:
    """Read the files that are given and record what they hold; see :func:`record`. All is filed or nothing."""
    return record(
        store,
        patient_key,
        labs=load_labs(labs) if labs else (),
        imaging=load_imaging(imaging) if imaging else (),
        event=load_event(event) if event else None,
        at=at,
    )


def record(
    store: RecordStore,
    patient_key: str,
    *,
    labs: Iterable[Mapping[str, Any]] = (),
    imaging: Iterable[Mapping[str, Any]] = (),
    event: Mapping[str, Any] | None = None,
    at: datetime,
) -> dict[str, Any]:
    """Record rows as the forms give them, all or none; a patient who is not known yet is made.

    Returns
    -------
    dict
        ``patient_key``, ``patient_created``, ``added`` and ``already_there``: entries with their ``entry_id``.

    Raises
    ------
    RefusalError
        NOTHING_TO_RECORD, ENTRY_INVALID, EVENT_INVALID, SUPERSEDED_UNKNOWN; nothing is filed then.
    """
    entries: list[tuple[EntryKind, Mapping[str, Any]]] = [("labs", row) for row in labs]
    entries += [("imaging", row) for row in imaging]
    entries += [("event", event)] if event is not None else []
    by = str((event or {}).get("by") or PRODUCT)
    done = store.add_entries(patient_key, entries, at=at, by=by)
    return {
        "patient_key": patient_key,
        "patient_created": done.patient_created,
        "added": [draft.document() for draft in done.added],
        "already_there": [draft.document() for draft in done.already_there],
    }
