"""The record's store: files cycles, adds entries, takes signatures; every write is audited and idempotent."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from sqlalchemy.exc import DatabaseError, OperationalError

from pipeline.domain.provenance import canonical_json, content_hash
from pipeline.errors import RefusalError, require
from pipeline.records.audit import verify
from pipeline.records.connection import connect_engine, require_database, writing
from pipeline.records.course import course_from_record
from pipeline.records.entries import draft_entry
from pipeline.records.record import read_record
from pipeline.records.signing import SigningWish
from pipeline.records.times import end_of, utc_text
from pipeline.records.view import record_document
from pipeline.records.writes import (
    PRODUCT,
    AddedEntries,
    FiledVersion,
    add_drafts,
    add_signature,
    file_version,
    identity_of,
    require_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection, Engine

    from pipeline.domain.decision import PatientCourse
    from pipeline.records.audit import AuditState
    from pipeline.records.record import CycleVersion, EntryKind, PatientRecord
    from pipeline.records.signing import SignedVersion

T = TypeVar("T")


def open_store(url: str) -> RecordStore:
    """Open the record at ``url`` (SQLAlchemy's form), creating or migrating it where needed.

    Raises
    ------
    RefusalError
        RECORDS_URL_INVALID, RECORDS_VERSION_UNKNOWN.
    """
    return RecordStore(connect_engine(url))


def open_existing(url: str) -> RecordStore:
    """Open the record at ``url`` for a command that needs what was filed before.

    Raises
    ------
    RefusalError
        RECORDS_MISSING, and those of :func:`open_store`.
    """
    require_database(url)
    return open_store(url)


class RecordStore:
    """The record of all patients in one database; a context manager.

    Parameters
    ----------
    engine : Engine
        On a migrated database (see :func:`open_store`).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def file_cycle(
        self, *, document: Mapping[str, Any], idempotency_key: str, settings: Mapping[str, Any], created_at: str
    ) -> FiledVersion:
        """File one cycle's result document with the site settings it was made under.

        Parameters
        ----------
        document : dict
            The result document of the interface.
        idempotency_key : str
            Hash of inputs, settings and code version: the key of the newest version again changes nothing.
        settings : dict
            The site profile document.
        created_at : str
            ISO 8601 with offset.

        Returns
        -------
        FiledVersion
            Any other key makes a new version, which supersedes the older ones; those stay as they were signed. So
            does the key of an older version: what was processed last is in force. The newest version counts: until
            it is signed the cycle's doses are drafts and the decision is REFER.

        Raises
        ------
        RefusalError
            RESULT_INVALID, PATIENT_KEY_INVALID, TIME_ZONE_MISSING; RECORD_CONFLICT, INPUTS_FILED_ELSEWHERE.
        """
        patient_key, cycle = identity_of(document)
        require(
            bool(idempotency_key.strip()),
            "RESULT_INVALID",
            found="an empty idempotency key",
            needed="the hash of inputs, settings and code version",
            do="file through the process command",
            where="result document",
        )
        at = utc_text(created_at, "created_at")
        row = {
            "patient_key": patient_key,
            "cycle": cycle,
            "idempotency_key": idempotency_key,
            "result_hash": content_hash(document),
            "settings_hash": content_hash(settings),
            "document": canonical_json(document),
            "recorded_at": at,
        }
        return self._write(lambda connection: file_version(connection, row, document, canonical_json(settings)))

    def find_filed(self, patient_key: str, cycle: int, idempotency_key: str) -> CycleVersion | None:
        """Return the newest version of a cycle, if that is the one filed under the key."""
        record = self.find(patient_key)
        versions = record.latest_versions if record else ()
        return next((v for v in versions if v.cycle == cycle and v.is_filed_under(idempotency_key)), None)

    def version(self, patient_key: str, cycle: int, version: int) -> CycleVersion:
        """Return one filed version; CYCLE_UNKNOWN where there is none."""
        versions = self.record(patient_key).versions
        found = next((v for v in versions if (v.cycle, v.version) == (cycle, version)), None)
        if found is None:
            raise RefusalError(
                "CYCLE_UNKNOWN",
                found=f"no version {version} of cycle {cycle} of this patient",
                needed="a filed version",
                do="check the numbers with prrt show",
                where="cycle",
            )
        return found

    def add_labs(
        self, patient_key: str, rows: Iterable[Mapping[str, Any]], *, at: datetime, by: str = PRODUCT
    ) -> AddedEntries:
        """Add laboratory panels; see :meth:`add_entries`."""
        return self.add_entries(patient_key, [("labs", row) for row in rows], at=at, by=by)

    def add_imaging(
        self, patient_key: str, rows: Iterable[Mapping[str, Any]], *, at: datetime, by: str = PRODUCT
    ) -> AddedEntries:
        """Add response assessments; see :meth:`add_entries`."""
        return self.add_entries(patient_key, [("imaging", row) for row in rows], at=at, by=by)

    def add_event(self, patient_key: str, event: Mapping[str, Any], *, at: datetime, by: str = PRODUCT) -> AddedEntries:
        """Add one clinical event; see :meth:`add_entries`."""
        return self.add_entries(patient_key, [("event", event)], at=at, by=by)

    def add_entries(
        self,
        patient_key: str,
        entries: Sequence[tuple[EntryKind, Mapping[str, Any]]],
        *,
        at: datetime,
        by: str = PRODUCT,
    ) -> AddedEntries:
        """Add dated entries, all or none; an unknown patient is made.

        Equal content is added once. A key ``supersedes`` with the entry id (or its first 8 characters or more) of an
        earlier entry of the same kind corrects that entry.

        Raises
        ------
        RefusalError
            NOTHING_TO_RECORD, ENTRY_INVALID, EVENT_INVALID, DATE_INVALID, SUPERSEDED_UNKNOWN; nothing is filed then.
        """
        require_key(patient_key)
        require(
            bool(entries),
            "NOTHING_TO_RECORD",
            found="no value",
            needed="laboratory values, an assessment or an event",
            do="give --labs, --imaging or --event",
            where="record",
        )
        recorded_at = utc_text(at, "at")
        drafts = [draft_entry(kind, content, position) for position, (kind, content) in enumerate(entries, start=1)]
        return self._write(lambda connection: add_drafts(connection, patient_key, drafts, recorded_at, by))

    def sign(
        self, patient_key: str, cycle: int, role: str, by: str, reason: str, at: datetime, version: int | None = None
    ) -> SignedVersion:
        """Sign the newest version of a cycle: the physicist the doses, the physician the decision.

        Parameters
        ----------
        version : int or None
            The version that was reviewed; refused where a newer one has been filed since. Must be given where the cycle
            has more than one.

        Raises
        ------
        RefusalError
            PATIENT_UNKNOWN, CYCLE_UNKNOWN, VERSION_AMBIGUOUS, VERSION_SUPERSEDED, ROLE_UNKNOWN, SIGNER_MISSING,
            REASON_REQUIRED (a failed second check or a BLOCK flag), DOSE_NOT_SIGNED (physician before physicist).
        """
        wish = SigningWish(
            cycle=cycle,
            version=version,
            role=role,
            signed_by=by.strip(),
            reason=reason.strip(),
            signed_at=utc_text(at, "at"),
            signed_at_local=at.isoformat(timespec="seconds"),
        )
        return self._write(lambda connection: add_signature(connection, self._known(connection, patient_key), wish))

    def find(self, patient_key: str, as_of: date | None = None) -> PatientRecord | None:
        """Return what is recorded about a patient (up to the end of ``as_of``), or None."""
        with self._reading() as connection:
            return read_record(connection, patient_key, end_of(as_of) if as_of else None)

    def record(self, patient_key: str, as_of: date | None = None) -> PatientRecord:
        """Return what is recorded about a patient; PATIENT_UNKNOWN where nothing is."""
        with self._reading() as connection:
            return self._known(connection, patient_key, as_of)

    def show(self, patient_key: str, as_of: date | None = None) -> dict[str, Any]:
        """Return the whole record of one patient as JSON, up to the end of ``as_of`` (a day counts in UTC)."""
        with self._reading() as connection:
            record = self._known(connection, patient_key, as_of)
            before = end_of(as_of) if as_of else None
            return record_document(record, as_of, verify(connection, patient_key, before))

    def course(
        self, patient_key: str, on: date, planned_activity_gbq: float
    ) -> tuple[PatientCourse, dict[str, Any] | None]:
        """Return the rules' input and the site settings filed with the latest cycle (None before the first)."""
        record = self.record(patient_key)
        latest = record.latest_versions
        settings = latest[-1].settings if latest else None
        method = settings["marrow"]["limit_method"] if settings else None
        return course_from_record(record, on, planned_activity_gbq, method), settings

    def verify(self) -> AuditState:
        """Check the audit chain against every row of the record."""
        with self._reading() as connection:
            return verify(connection)

    def _known(self, connection: Connection, patient_key: str, as_of: date | None = None) -> PatientRecord:
        found = read_record(connection, patient_key, end_of(as_of) if as_of else None)
        if found is None:
            raise RefusalError(
                "PATIENT_UNKNOWN",
                found=f"no patient of that key{f' as of {as_of.isoformat()}' if as_of else ''}",
                needed="a patient with a filed cycle or a recorded value",
                do="check the patient key and --records",
                where="patient_key",
            )
        return found

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the record."""
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except DatabaseError as error:
            raise _unavailable("read", error) from error

    def _write(self, work: Callable[[Connection], T]) -> T:
        try:
            with writing(self._engine) as connection:
                return work(connection)
        except OperationalError as error:
            raise _unavailable("write", error) from error


def _unavailable(action: str, error: DatabaseError) -> RefusalError:
    return RefusalError(
        "RECORDS_UNAVAILABLE",
        found=f"the database refused to {action} ({error.orig})",
        needed="an intact database, rights to it, and no other program holding it",
        do="check the disk, the rights and other programs, then run the same command again",
        where="records",
    )
