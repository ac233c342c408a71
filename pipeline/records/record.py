"""What the record holds about one patient, read back as frozen values."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import select

from pipeline.records.schema import cycle_version, entry, patient, signature, site_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

Role = Literal["physicist", "physician"]
EntryKind = Literal["labs", "imaging", "event"]
VersionStatus = Literal["DRAFT", "PHYSICIST_SIGNED", "PHYSICIAN_DECIDED"]
Document = dict[str, Any]


def key_again(key: str, version: int) -> str:
    """Return the idempotency key of a version that was filed under ``key`` again, after another one had come between.

    A key of its own, because within a cycle keys are unique, and the older version keeps the plain one.
    """
    return f"{key}/{version}"


@dataclass(frozen=True)
class Signature:
    """One signature under one version of a cycle; binds the hash of what was signed."""

    role: Role
    signed_by: str
    meaning: str
    reason: str
    result_hash: str
    signed_at: str
    signed_at_local: str


@dataclass(frozen=True)
class CycleVersion:
    """One filed result of a cycle, with the site settings it was made under and its signatures."""

    cycle: int
    version: int
    idempotency_key: str
    document: Document
    result_hash: str
    settings: Document
    settings_hash: str
    recorded_at: str
    signatures: tuple[Signature, ...] = ()

    def is_filed_under(self, key: str) -> bool:
        """Tell whether the version was filed under ``key``, for the first time or again."""
        return self.idempotency_key in (key, key_again(key, self.version))

    def signature_of(self, role: Role) -> Signature | None:
        """Return the signature of ``role``, if there is one."""
        return next((s for s in self.signatures if s.role == role), None)

    @property
    def status(self) -> VersionStatus:
        """State of section 6.3, from the signatures alone."""
        if self.signature_of("physician"):
            return "PHYSICIAN_DECIDED"
        return "PHYSICIST_SIGNED" if self.signature_of("physicist") else "DRAFT"


@dataclass(frozen=True)
class Entry:
    """A laboratory panel, an assessment or a clinical event; ``superseded_by`` names the entry that corrects it."""

    entry_id: str
    kind: EntryKind
    dated_on: str
    content: Document
    supersedes: str | None
    superseded_by: str | None
    recorded_by: str
    recorded_at: str


@dataclass(frozen=True)
class PatientRecord:
    """Everything recorded about one patient (up to a moment).

    ``versions`` are ordered by cycle and version, ``entries`` by kind, date and time of recording.
    """

    patient_key: str
    recorded_at: str
    versions: tuple[CycleVersion, ...]
    entries: tuple[Entry, ...]

    @property
    def latest_versions(self) -> tuple[CycleVersion, ...]:
        """The newest version of each cycle, in the order of the cycles; only these count."""
        newest = {version.cycle: version for version in self.versions}
        return tuple(newest[cycle] for cycle in sorted(newest))

    @property
    def filed_in_error(self) -> frozenset[int]:
        """Cycles whose newest version is older than an event which says that it was filed in error."""
        recorded_at = {version.cycle: version.recorded_at for version in self.latest_versions}
        return frozenset(
            cycle
            for event in self.in_force("event")
            for cycle in event.content.get("filed_in_error", ())
            if cycle in recorded_at and event.recorded_at > recorded_at[cycle]
        )

    def in_force(self, kind: EntryKind) -> tuple[Entry, ...]:
        """Return the entries of a kind that no other entry corrects."""
        return tuple(e for e in self.entries if e.kind == kind and e.superseded_by is None)

    def with_draft(self, draft: CycleVersion) -> PatientRecord:
        """Return the record as if ``draft`` were filed, without any later cycle."""
        earlier = tuple(version for version in self.versions if version.cycle < draft.cycle)
        return replace(self, versions=(*earlier, draft))


def read_record(connection: Connection, patient_key: str, before: str | None = None) -> PatientRecord | None:
    """Read one patient; None where nothing is recorded.

    Parameters
    ----------
    before : str or None
        UTC text; only what was recorded before this moment is seen, superseding entries and signatures included.
    """
    found = connection.execute(select(patient).where(patient.c.patient_key == patient_key)).first()
    if found is None or (before is not None and found.recorded_at >= before):
        return None
    return PatientRecord(
        patient_key,
        found.recorded_at,
        _versions(connection, patient_key, before),
        _entries(connection, patient_key, before),
    )


def _versions(connection: Connection, patient_key: str, before: str | None) -> tuple[CycleVersion, ...]:
    columns = cycle_version.c
    query = (
        select(cycle_version, site_settings.c.document.label("settings"))
        .join(site_settings, site_settings.c.settings_hash == columns.settings_hash)
        .where(columns.patient_key == patient_key)
        .order_by(columns.cycle, columns.version)
    )
    if before is not None:
        query = query.where(columns.recorded_at < before)
    signatures = _signatures(connection, patient_key, before)
    return tuple(
        CycleVersion(
            cycle=row.cycle,
            version=row.version,
            idempotency_key=row.idempotency_key,
            document=json.loads(row.document),
            result_hash=row.result_hash,
            settings=json.loads(row.settings),
            settings_hash=row.settings_hash,
            recorded_at=row.recorded_at,
            signatures=tuple(signatures.get((row.cycle, row.version), ())),
        )
        for row in connection.execute(query)
    )


def _signatures(connection: Connection, patient_key: str, before: str | None) -> dict[tuple[int, int], list[Signature]]:
    query = select(signature).where(signature.c.patient_key == patient_key).order_by(signature.c.role)
    if before is not None:
        query = query.where(signature.c.signed_at < before)
    found: dict[tuple[int, int], list[Signature]] = {}
    for row in connection.execute(query):
        values = (row.role, row.signed_by, row.meaning, row.reason, row.result_hash, row.signed_at, row.signed_at_local)
        found.setdefault((row.cycle, row.version), []).append(Signature(*values))
    return found


def _entries(connection: Connection, patient_key: str, before: str | None) -> tuple[Entry, ...]:
    columns = entry.c
    query = select(entry).where(columns.patient_key == patient_key)
    if before is not None:
        query = query.where(columns.recorded_at < before)
    rows = connection.execute(
        query.order_by(columns.kind, columns.dated_on, columns.recorded_at, columns.entry_id)
    ).all()
    corrected = {row.supersedes: row.entry_id for row in rows if row.supersedes}
    return tuple(
        Entry(
            entry_id=row.entry_id,
            kind=row.kind,
            dated_on=row.dated_on,
            content=json.loads(row.content),
            supersedes=row.supersedes,
            superseded_by=corrected.get(row.entry_id),
            recorded_by=row.recorded_by,
            recorded_at=row.recorded_at,
        )
        for row in rows
    )
