"""Tables of the record. Rows are added and never changed; the migrations install the triggers that hold this.

Only types that SQLite and PostgreSQL share are used: text and integers. Documents are canonical JSON text, times are
ISO 8601 in UTC with offset and microseconds (so that text order is time order).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

# The newest migration; a test compares it with the migrations that are shipped.
REVISION: Final = "r0002"
# Not Alembic's default name, so that a database shared with another program (Prefect, say) is no trouble.
VERSION_TABLE: Final = "prrt_schema_version"

HASH_LENGTH: Final = 64
TIME_LENGTH: Final = 32
KEY_LENGTH: Final = 200
# DICOM PS3.5, value representation UI.
UID_LENGTH: Final = 64

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

patient = Table(
    "patient",
    metadata,
    Column("patient_key", String(KEY_LENGTH), primary_key=True),
    Column("recorded_at", String(TIME_LENGTH), nullable=False),
)

site_settings = Table(
    "site_settings",
    metadata,
    Column("settings_hash", String(HASH_LENGTH), primary_key=True),
    Column("document", Text, nullable=False),
    Column("recorded_at", String(TIME_LENGTH), nullable=False),
)

cycle_version = Table(
    "cycle_version",
    metadata,
    Column("patient_key", String(KEY_LENGTH), ForeignKey("patient.patient_key"), nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("idempotency_key", String(KEY_LENGTH), nullable=False),
    Column("result_hash", String(HASH_LENGTH), nullable=False),
    Column("settings_hash", String(HASH_LENGTH), ForeignKey("site_settings.settings_hash"), nullable=False),
    Column("document", Text, nullable=False),
    Column("recorded_at", String(TIME_LENGTH), nullable=False),
    PrimaryKeyConstraint("patient_key", "cycle", "version"),
    UniqueConstraint("patient_key", "cycle", "idempotency_key"),
    CheckConstraint("cycle >= 1 AND version >= 1", name="counted_from_one"),
)

# The series a version was made from, as its document says: an index for conflicts, nothing that the document lacks.
cycle_input = Table(
    "cycle_input",
    metadata,
    Column("patient_key", String(KEY_LENGTH), nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("series_uid", String(UID_LENGTH)),
    Column("sha256", String(HASH_LENGTH)),
    PrimaryKeyConstraint("patient_key", "cycle", "version", "position"),
    ForeignKeyConstraint(
        ["patient_key", "cycle", "version"],
        ["cycle_version.patient_key", "cycle_version.cycle", "cycle_version.version"],
    ),
    Index("ix_cycle_input_series_uid", "series_uid"),
    Index("ix_cycle_input_sha256", "sha256"),
)

# Laboratory panels, assessments and clinical events; ``entry_id`` is the hash of kind and content.
entry = Table(
    "entry",
    metadata,
    Column("patient_key", String(KEY_LENGTH), ForeignKey("patient.patient_key"), nullable=False),
    Column("entry_id", String(HASH_LENGTH), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("dated_on", String(10), nullable=False),
    Column("content", Text, nullable=False),
    Column("supersedes", String(HASH_LENGTH)),
    Column("recorded_by", String(KEY_LENGTH), nullable=False),
    Column("recorded_at", String(TIME_LENGTH), nullable=False),
    PrimaryKeyConstraint("patient_key", "entry_id"),
    ForeignKeyConstraint(["patient_key", "supersedes"], ["entry.patient_key", "entry.entry_id"]),
    CheckConstraint("kind IN ('labs', 'imaging', 'event')", name="kind_known"),
)

signature = Table(
    "signature",
    metadata,
    Column("patient_key", String(KEY_LENGTH), nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("role", String(16), nullable=False),
    Column("signed_by", String(KEY_LENGTH), nullable=False),
    Column("meaning", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("result_hash", String(HASH_LENGTH), nullable=False),
    Column("signed_at", String(TIME_LENGTH), nullable=False),
    Column("signed_at_local", String(TIME_LENGTH), nullable=False),
    PrimaryKeyConstraint("patient_key", "cycle", "version", "role"),
    ForeignKeyConstraint(
        ["patient_key", "cycle", "version"],
        ["cycle_version.patient_key", "cycle_version.cycle", "cycle_version.version"],
    ),
    CheckConstraint("role IN ('physicist', 'physician')", name="role_known"),
)

# The unique ``previous_hash`` keeps the chain one line: two writers cannot both follow the same entry.
audit = Table(
    "audit",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("recorded_at", String(TIME_LENGTH), nullable=False),
    Column("who", String(KEY_LENGTH), nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject_table", String(32), nullable=False),
    Column("subject_patient", String(KEY_LENGTH)),
    Column("subject_hash", String(HASH_LENGTH), nullable=False),
    Column("previous_hash", String(HASH_LENGTH), nullable=False),
    Column("entry_hash", String(HASH_LENGTH), nullable=False),
    UniqueConstraint("previous_hash"),
    UniqueConstraint("entry_hash"),
)

# Tables whose rows the audit log answers for.
RECORD_TABLES: Final = (patient, site_settings, cycle_version, entry, signature)
