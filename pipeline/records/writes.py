"""What is written inside one transaction: a filed cycle, added entries, a signature, each with its audit entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select

from pipeline.errors import require
from pipeline.records.audit import append_row
from pipeline.records.conflicts import inputs_of_document, require_no_conflict
from pipeline.records.record import key_again, read_record
from pipeline.records.schema import (
    KEY_LENGTH,
    cycle_input,
    cycle_version,
    entry,
    patient,
    signature,
    site_settings,
)
from pipeline.records.signing import SignedVersion, check_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from pipeline.records.entries import EntryDraft
    from pipeline.records.record import PatientRecord
    from pipeline.records.signing import SigningWish

# Who is named in the audit log where the product files by itself.
PRODUCT: Final = "prrt"


@dataclass(frozen=True)
class FiledVersion:
    """Where a cycle's result is filed; ``created`` is False where the same key had been filed before."""

    version: int
    created: bool
    result_hash: str


@dataclass(frozen=True)
class AddedEntries:
    """Which entries were added and which were already there, in the order given."""

    patient_created: bool
    added: tuple[EntryDraft, ...]
    already_there: tuple[EntryDraft, ...]


def require_key(patient_key: str) -> None:
    """Refuse an empty or overlong patient key."""
    require(
        0 < len(patient_key.strip()) == len(patient_key) <= KEY_LENGTH,
        "PATIENT_KEY_INVALID",
        found=f"a key of {len(patient_key)} characters, or blanks around it",
        needed="a pseudonym of 1 to 200 characters without blanks around it",
        do="correct the patient key",
        where="patient_key",
    )


def identity_of(document: Mapping[str, Any]) -> tuple[str, int]:
    patient_key, cycle = document.get("patient_key"), document.get("cycle")
    usable = isinstance(patient_key, str) and isinstance(cycle, int) and cycle >= 1
    usable = usable and isinstance(document.get("administration"), dict) and isinstance(document.get("regions"), list)
    require(
        usable,
        "RESULT_INVALID",
        found=f"a document with the keys {sorted(document)}, cycle {cycle!r}",
        needed="a result document with patient_key, cycle from 1, administration and regions",
        do="file the result document that process makes",
        where="result document",
    )
    require_key(str(patient_key))
    return str(patient_key), int(document["cycle"])


def _make_patient(connection: Connection, patient_key: str, at: str, by: str) -> bool:
    known = connection.execute(select(patient.c.patient_key).where(patient.c.patient_key == patient_key)).first()
    if known is None:
        row = {"patient_key": patient_key, "recorded_at": at}
        append_row(connection, patient, row, at=at, who=by, action="create-patient")
    return known is None


def file_version(
    connection: Connection, row: dict[str, Any], document: Mapping[str, Any], settings: str
) -> FiledVersion:
    """File a result as the newest version of its cycle, unless the newest one is filed under the same key.

    An older version under that key does not count: it is not in force, and who processes its inputs again wants them to
    be. They are filed again, as a new version that must be signed anew.
    """
    at, cycle = row["recorded_at"], row["cycle"]
    record = read_record(connection, row["patient_key"])
    versions = [v for v in (record.versions if record else ()) if v.cycle == cycle]
    newest, key = versions[-1] if versions else None, row["idempotency_key"]
    if newest is not None and newest.is_filed_under(key):
        return FiledVersion(newest.version, created=False, result_hash=newest.result_hash)
    require_no_conflict(connection, record, document)
    _make_patient(connection, row["patient_key"], at, PRODUCT)
    _keep_settings(connection, row["settings_hash"], settings, at)
    version = len(versions) + 1
    again = any(v.idempotency_key == key for v in versions)
    filing = row | {"version": version, "idempotency_key": key_again(key, version) if again else key}
    append_row(connection, cycle_version, filing, at=at, who=PRODUCT, action="file-cycle")
    _keep_inputs(connection, filing, document)
    return FiledVersion(filing["version"], created=True, result_hash=row["result_hash"])


def _keep_inputs(connection: Connection, filing: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    identity = {name: filing[name] for name in ("patient_key", "cycle", "version")}
    for position, item in enumerate(inputs_of_document(document)):
        connection.execute(insert(cycle_input).values(**identity, position=position, **item))


def _keep_settings(connection: Connection, settings_hash: str, document: str, at: str) -> None:
    columns = site_settings.c
    known = connection.execute(select(columns.settings_hash).where(columns.settings_hash == settings_hash)).first()
    if known is None:
        row = {"settings_hash": settings_hash, "document": document, "recorded_at": at}
        append_row(connection, site_settings, row, at=at, who=PRODUCT, action="keep-settings")


def add_drafts(connection: Connection, patient_key: str, drafts: list[EntryDraft], at: str, by: str) -> AddedEntries:
    created = _make_patient(connection, patient_key, at, by)
    present = _entry_kinds(connection, patient_key)
    added, already_there = [], []
    for draft in drafts:
        resolved = draft.resolved(present)
        if resolved.entry_id in present:
            already_there.append(resolved)
            continue
        row = resolved.row() | {"patient_key": patient_key, "recorded_by": by, "recorded_at": at}
        append_row(connection, entry, row, at=at, who=by, action=f"add-{draft.kind}")
        present[resolved.entry_id] = draft.kind
        added.append(resolved)
    return AddedEntries(created, tuple(added), tuple(already_there))


def _entry_kinds(connection: Connection, patient_key: str) -> dict[str, str]:
    rows = connection.execute(select(entry.c.entry_id, entry.c.kind).where(entry.c.patient_key == patient_key))
    return {row.entry_id: row.kind for row in rows}


def add_signature(connection: Connection, record: PatientRecord, wish: SigningWish) -> SignedVersion:
    signed = check_signature([v for v in record.versions if v.cycle == wish.cycle], wish)
    if not signed.already_signed:
        row = signed.row() | {"patient_key": record.patient_key}
        action = f"sign-{signed.signature.role}"
        append_row(connection, signature, row, at=wish.signed_at, who=wish.signed_by, action=action)
    return signed
