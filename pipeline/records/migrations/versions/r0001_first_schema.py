"""First schema: patients, settings, cycle versions, entries, signatures, audit log; all append-only."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

# What identifies a row, per table: an INSERT OR REPLACE on any of these would delete a row without a DELETE trigger.
IDENTITIES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "patient": (("patient_key",),),
    "site_settings": (("settings_hash",),),
    "cycle_version": (("patient_key", "cycle", "version"), ("patient_key", "cycle", "idempotency_key")),
    "entry": (("patient_key", "entry_id"),),
    "signature": (("patient_key", "cycle", "version", "role"),),
    "audit": (("sequence",), ("previous_hash",), ("entry_hash",)),
}


def upgrade() -> None:
    """Create the tables and the triggers that refuse every change."""
    _create_patients()
    _create_cycles()
    _create_entries()
    _create_signatures()
    _create_audit()
    if op.get_bind().dialect.name == "sqlite":
        _protect_sqlite()
    else:
        _protect_postgresql()


def downgrade() -> None:
    """Refuse: a record is never taken back."""
    raise NotImplementedError("the record is append-only; restore a backup instead")


def _create_patients() -> None:
    op.create_table(
        "patient",
        sa.Column("patient_key", sa.String(200), nullable=False),
        sa.Column("recorded_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("patient_key", name="pk_patient"),
    )
    op.create_table(
        "site_settings",
        sa.Column("settings_hash", sa.String(64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("settings_hash", name="pk_site_settings"),
    )


def _create_cycles() -> None:
    op.create_table(
        "cycle_version",
        sa.Column("patient_key", sa.String(200), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.String(200), nullable=False),
        sa.Column("result_hash", sa.String(64), nullable=False),
        sa.Column("settings_hash", sa.String(64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "cycle", "version", name="pk_cycle_version"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.patient_key"], name="fk_cycle_version_patient_key"),
        sa.ForeignKeyConstraint(
            ["settings_hash"], ["site_settings.settings_hash"], name="fk_cycle_version_settings_hash"
        ),
        sa.UniqueConstraint(
            "patient_key", "cycle", "idempotency_key", name="uq_cycle_version_patient_key_cycle_idempotency_key"
        ),
        sa.CheckConstraint("cycle >= 1 AND version >= 1", name="ck_cycle_version_counted_from_one"),
    )


def _create_entries() -> None:
    op.create_table(
        "entry",
        sa.Column("patient_key", sa.String(200), nullable=False),
        sa.Column("entry_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("dated_on", sa.String(10), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("supersedes", sa.String(64)),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.Column("recorded_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "entry_id", name="pk_entry"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.patient_key"], name="fk_entry_patient_key"),
        sa.ForeignKeyConstraint(
            ["patient_key", "supersedes"],
            ["entry.patient_key", "entry.entry_id"],
            name="fk_entry_patient_key_supersedes",
        ),
        sa.CheckConstraint("kind IN ('labs', 'imaging', 'event')", name="ck_entry_kind_known"),
    )


def _create_signatures() -> None:
    op.create_table(
        "signature",
        sa.Column("patient_key", sa.String(200), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("signed_by", sa.String(200), nullable=False),
        sa.Column("meaning", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("result_hash", sa.String(64), nullable=False),
        sa.Column("signed_at", sa.String(32), nullable=False),
        sa.Column("signed_at_local", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "cycle", "version", "role", name="pk_signature"),
        sa.ForeignKeyConstraint(
            ["patient_key", "cycle", "version"],
            ["cycle_version.patient_key", "cycle_version.cycle", "cycle_version.version"],
            name="fk_signature_patient_key_cycle_version",
        ),
        sa.CheckConstraint("role IN ('physicist', 'physician')", name="ck_signature_role_known"),
    )


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.String(32), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject_table", sa.String(32), nullable=False),
        sa.Column("subject_patient", sa.String(200)),
        sa.Column("subject_hash", sa.String(64), nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("entry_hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit"),
        sa.UniqueConstraint("previous_hash", name="uq_audit_previous_hash"),
        sa.UniqueConstraint("entry_hash", name="uq_audit_entry_hash"),
    )


def _protect_sqlite() -> None:
    for table, identities in IDENTITIES.items():
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        for number, columns in enumerate(identities):
            same = " AND ".join(f"{column} = NEW.{column}" for column in columns)
            exists = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608 (constants of this file)
            op.execute(
                f"CREATE TRIGGER {table}_no_replace_{number} BEFORE INSERT ON {table} WHEN {exists} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _protect_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION prrt_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in IDENTITIES:
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION prrt_refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION prrt_refuse_change()"
        )
