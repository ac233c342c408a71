"""Which series each filed version was made from: found by UID and hash before another cycle is filed from them.

The rows repeat what stands in the filed documents; the audit log answers for the documents and names these rows not.
"""

from __future__ import annotations

import json
from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None

TABLE: Final = "cycle_input"
IDENTITY: Final = ("patient_key", "cycle", "version", "position")


def upgrade() -> None:
    """Create the table, fill it from the filed documents, and refuse every change from then on."""
    table = _create()
    _fill(table)
    if op.get_bind().dialect.name == "sqlite":
        _protect_sqlite()
    else:
        _protect_postgresql()


def downgrade() -> None:
    """Refuse: a record is never taken back."""
    raise NotImplementedError("the record is append-only; restore a backup instead")


def _create() -> sa.Table:
    table = op.create_table(
        TABLE,
        sa.Column("patient_key", sa.String(200), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("series_uid", sa.String(64)),
        sa.Column("sha256", sa.String(64)),
        sa.PrimaryKeyConstraint(*IDENTITY, name="pk_cycle_input"),
        sa.ForeignKeyConstraint(
            ["patient_key", "cycle", "version"],
            ["cycle_version.patient_key", "cycle_version.cycle", "cycle_version.version"],
            name="fk_cycle_input_patient_key_cycle_version",
        ),
    )
    op.create_index("ix_cycle_input_series_uid", TABLE, ["series_uid"])
    op.create_index("ix_cycle_input_sha256", TABLE, ["sha256"])
    return table


def _fill(table: sa.Table) -> None:
    connection = op.get_bind()
    filed = connection.execute(sa.text("SELECT patient_key, cycle, version, document FROM cycle_version")).all()
    for row in filed:
        inputs = (json.loads(row.document).get("provenance") or {}).get("inputs") or []
        for position, item in enumerate(inputs):
            values = {"series_uid": item.get("series_uid"), "sha256": item.get("sha256")}
            identity = {"patient_key": row.patient_key, "cycle": row.cycle, "version": row.version}
            connection.execute(table.insert().values(**identity, position=position, **values))


def _protect_sqlite() -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{TABLE} is append-only'); END"
    for change in ("UPDATE", "DELETE"):
        op.execute(f"CREATE TRIGGER {TABLE}_no_{change.lower()} BEFORE {change} ON {TABLE} {refuse}")
    same = " AND ".join(f"{column} = NEW.{column}" for column in IDENTITY)
    exists = f"EXISTS (SELECT 1 FROM {TABLE} WHERE {same})"  # noqa: S608 (constants of this file)
    op.execute(f"CREATE TRIGGER {TABLE}_no_replace BEFORE INSERT ON {TABLE} WHEN {exists} {refuse}")


def _protect_postgresql() -> None:
    for name, when, each in (("change", "UPDATE OR DELETE", "ROW"), ("truncate", "TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER {TABLE}_no_{name} BEFORE {when} ON {TABLE} "
            f"FOR EACH {each} EXECUTE FUNCTION prrt_refuse_change()"
        )
