"""Show a patient's record as it is, or as it was known on a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date

    from pipeline.records.store import RecordStore


def show_patient(store: RecordStore, patient_key: str, *, as_of: date | None = None) -> dict[str, Any]:
    """Return the whole record of one patient; with ``as_of`` only what was recorded by the end of that day, UTC.

    Raises
    ------
    RefusalError
        PATIENT_UNKNOWN.
    """
    return store.show(patient_key, as_of)
