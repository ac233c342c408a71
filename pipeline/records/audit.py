"""The audit log: who added what and when, each entry bound to the one before it by its hash (section 6.3).

The chain shows any later change, removal or insertion of a row, in the log or in the record. It cannot show that the
whole file was replaced by an older copy of itself: for that, keep the newest ``entry_hash`` (``prrt show`` prints that
of the patient) somewhere else, on the signed report for example.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, insert, select

from pipeline.domain.provenance import content_hash
from pipeline.records.schema import RECORD_TABLES, audit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection, Table

GENESIS_HASH: Final = "0" * 64


@dataclass(frozen=True)
class AuditState:
    """What a check of the audit log found.

    ``entries`` and ``head_hash`` are the number of entries and the newest hash (of the patient asked for, or of all);
    ``problems`` says in words what does not fit.
    """

    entries: int
    head_hash: str
    problems: tuple[str, ...]


def append_row(
    connection: Connection, table: Table, values: Mapping[str, Any], *, at: str, who: str, action: str
) -> None:
    """Add one row to ``table`` and its entry to the audit log, inside the caller's transaction."""
    connection.execute(insert(table).values(**values))
    sequence, previous = _head(connection)
    entry: dict[str, Any] = {
        "sequence": sequence + 1,
        "recorded_at": at,
        "who": who,
        "action": action,
        "subject_table": table.name,
        "subject_patient": values.get("patient_key"),
        "subject_hash": row_hash(table, values),
        "previous_hash": previous,
    }
    connection.execute(insert(audit).values(**entry, entry_hash=content_hash(entry)))


def row_hash(table: Table, values: Mapping[str, Any]) -> str:
    """Return the hash of one row: its table's name and every column (absent ones are null)."""
    row = {column.name: values.get(column.name) for column in table.columns}
    return content_hash({"table": table.name, "row": row})


def verify(connection: Connection, patient_key: str | None = None, before: str | None = None) -> AuditState:
    """Recompute the whole chain and compare it with the rows of the record.

    Parameters
    ----------
    patient_key : str or None
        Compare only this patient's rows (all rows where None).
    before : str or None
        UTC text: count only entries up to this moment and report the newest of them; the check covers all.
    """
    entries = [dict(row) for row in connection.execute(select(audit).order_by(audit.c.sequence)).mappings()]
    concerned = [e for e in entries if patient_key is None or e["subject_patient"] == patient_key]
    problems = (*_broken_links(entries), *_unaccounted_rows(connection, concerned, patient_key))
    counted = [entry for entry in concerned if before is None or entry["recorded_at"] < before]
    return AuditState(len(counted), counted[-1]["entry_hash"] if counted else GENESIS_HASH, problems)


def _head(connection: Connection) -> tuple[int, str]:
    newest = select(func.max(audit.c.sequence)).scalar_subquery()
    row = connection.execute(select(audit.c.sequence, audit.c.entry_hash).where(audit.c.sequence == newest)).first()
    return (row.sequence, row.entry_hash) if row else (0, GENESIS_HASH)


def _broken_links(entries: list[dict[str, Any]]) -> list[str]:
    problems = []
    start = {"sequence": 0, "entry_hash": GENESIS_HASH}
    for before, entry in pairwise([start, *entries]):
        hashed = content_hash({name: value for name, value in entry.items() if name != "entry_hash"})
        if hashed != entry["entry_hash"]:
            problems.append(f"audit entry {entry['sequence']} was changed")
        if entry["previous_hash"] != before["entry_hash"] or entry["sequence"] != before["sequence"] + 1:
            problems.append(f"audit entry {entry['sequence']} does not follow entry {before['sequence']}")
    return problems


def _unaccounted_rows(
    connection: Connection, entries: list[dict[str, Any]], patient_key: str | None
) -> tuple[str, ...]:
    logged = Counter((entry["subject_table"], entry["subject_hash"]) for entry in entries)
    present = Counter(_present_rows(connection, patient_key))
    added = _by_table(present - logged)
    missing = _by_table(logged - present)
    return (
        *(f"{number} row(s) of {table} were changed, or added without the log" for table, number in added),
        *(f"{number} row(s) of {table} in the log were changed, or are missing" for table, number in missing),
    )


def _present_rows(connection: Connection, patient_key: str | None) -> Iterator[tuple[str, str]]:
    for table in RECORD_TABLES:
        query = select(table)
        if patient_key is not None:
            if "patient_key" not in table.c:
                continue
            query = query.where(table.c.patient_key == patient_key)
        for row in connection.execute(query).mappings():
            yield table.name, row_hash(table, dict(row))


def _by_table(rows: Counter[tuple[str, str]]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for (table, _), number in rows.items():
        counts[table] += number
    return sorted(counts.items())
