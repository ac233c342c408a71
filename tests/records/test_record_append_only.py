"""Nothing filed can be changed through SQL, and what is changed behind the triggers' back is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from record_examples import AT, LABS, file_cycle

from pipeline.records import RecordStore, open_store
from pipeline.records.schema import RECORD_TABLES, audit, cycle_input
from pipeline.steps.record_events import record
from pipeline.steps.sign import sign_cycle

TABLES = [table.name for table in (*RECORD_TABLES, audit, cycle_input)]


@pytest.fixture
def filled(store: RecordStore) -> RecordStore:
    """At least one row in every table."""
    file_cycle(store)
    record(store, "phantom-1", labs=[LABS], at=AT)
    sign_cycle(store, "phantom-1", cycle=1, role="physicist", by="A. Physicist", at=AT)
    return store


@pytest.fixture
def raw(filled: RecordStore, url: str) -> Iterator[sqlite3.Connection]:
    """Another program's connection, without any of our settings."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        yield connection


@pytest.mark.parametrize("table", TABLES)
def test_sql_cannot_change_remove_or_replace_a_row(raw: sqlite3.Connection, table: str) -> None:
    rows = raw.execute(f"SELECT * FROM {table}").fetchall()
    columns = [column[1] for column in raw.execute(f"PRAGMA table_info({table})")]
    assert rows
    for statement in (
        f"UPDATE {table} SET {columns[0]} = {columns[0]}",
        f"UPDATE OR REPLACE {table} SET {columns[-1]} = 'x'",
        f"DELETE FROM {table}",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            raw.execute(statement)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(columns))})", rows[0])
    assert raw.execute(f"SELECT * FROM {table}").fetchall() == rows


def test_an_untouched_record_is_intact(filled: RecordStore) -> None:
    state = filled.verify()
    # patient, settings, cycle, laboratory panel, signature
    assert (state.entries, state.problems) == (5, ())
    assert filled.show("phantom-1")["audit"]["intact"] is True


@pytest.mark.parametrize(
    ("tampering", "table"),
    [
        ("UPDATE cycle_version SET document = replace(document, '7400000000.0', '3700000000.0')", "cycle_version"),
        ("UPDATE signature SET signed_by = 'Somebody Else'", "signature"),
        ("UPDATE entry SET content = replace(content, '160.0', '260.0')", "entry"),
        ("UPDATE site_settings SET document = '{}'", "site_settings"),
        ("DELETE FROM signature", "signature"),
        ("INSERT INTO patient VALUES ('phantom-2', '2026-01-01T00:00:00.000000+00:00')", "patient"),
        ("UPDATE audit SET who = 'Somebody Else' WHERE sequence = 4", "audit entry 4"),
        ("DELETE FROM audit WHERE sequence = 3", "audit entry 4 does not follow entry 2"),
        ("DELETE FROM audit WHERE sequence = 5", "signature"),
    ],
)
def test_tampering_without_the_triggers_is_found(raw: sqlite3.Connection, url: str, tampering: str, table: str) -> None:
    for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        raw.execute(f"DROP TRIGGER {name}")
    assert raw.execute(tampering).rowcount > 0
    with open_store(url) as store:
        problems = " ".join(store.verify().problems)
    assert table in problems


def test_the_shown_record_says_that_it_was_tampered_with(raw: sqlite3.Connection, url: str) -> None:
    raw.execute("DROP TRIGGER entry_no_update")
    raw.execute("UPDATE entry SET content = replace(content, '160.0', '260.0')")
    with open_store(url) as store:
        assert store.show("phantom-1")["audit"]["intact"] is False
