"""Opening the database: what is made from nothing, how SQLite is set, which URLs are refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from record_examples import file_cycle
from sqlalchemy import text

from pipeline.errors import RefusalError
from pipeline.records import open_store
from pipeline.records.connection import connect_engine
from pipeline.records.schema import REVISION, VERSION_TABLE, metadata
from pipeline.records.store import open_existing


def test_an_empty_file_is_migrated_to_the_described_schema(url: str) -> None:
    engine = connect_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert context.get_current_revision() == REVISION
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_newest_shipped_migration_is_the_one_the_code_expects() -> None:
    config = Config()
    config.set_main_option("script_location", "pipeline.records:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_sqlite_is_set_for_safety(url: str) -> None:
    engine = connect_engine(url)
    with engine.connect() as connection:
        pragmas = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in
                   ("journal_mode", "foreign_keys", "synchronous", "recursive_triggers")}  # fmt: skip
    engine.dispose()
    # SQLite's codes: synchronous 2 is FULL (performance.md, section 6: 4 000 commits a second).
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "recursive_triggers": 1}


def test_opening_again_keeps_what_is_filed(url: str) -> None:
    with open_store(url) as store:
        file_cycle(store)
    with open_store(url) as store:
        assert store.show("phantom-1")["cycles"][0]["version"] == 1


@pytest.mark.parametrize(
    "bad",
    ["records.db", "", "mysql://host/records", "nonsense://x", "sqlite+nodriver:///x.db",
     "postgresql+nodriver://u:secret@host/db",
     "postgresql+psycopg2://u:secret@127.0.0.1:1/db", "postgresql+asyncpg://u:secret@127.0.0.1:1/db"],
)  # fmt: skip
def test_a_url_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(RefusalError) as caught:
        open_store(bad)
    assert caught.value.code == "RECORDS_URL_INVALID"
    assert "secret" not in str(caught.value)


def test_a_damaged_database_is_refused_when_it_is_read(url: str) -> None:
    with open_store(url) as store:
        file_cycle(store)
    path = Path(url.removeprefix("sqlite:///"))
    damaged = bytearray(path.read_bytes())
    start = damaged.rindex(b'"patient_key"')  # inside the filed document
    page = start - start % 4096
    damaged[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(damaged)
    with open_store(url) as store, pytest.raises(RefusalError) as caught:
        store.show("phantom-1")
    assert caught.value.code == "RECORDS_UNAVAILABLE"


def test_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusalError) as caught:
        open_store(f"sqlite:///{tmp_path / 'missing' / 'records.db'}")
    assert caught.value.code == "RECORDS_URL_INVALID"


def test_a_record_that_is_only_read_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "recrods.db"
    with pytest.raises(RefusalError) as caught:
        open_existing(f"sqlite:///{path}")
    assert caught.value.code == "RECORDS_MISSING"
    assert not path.exists()
    with (
        open_store(f"sqlite:///{path}"),
        open_existing(f"sqlite:///{path}") as store,
        pytest.raises(RefusalError) as empty,
    ):
        store.show("phantom-1")
    assert empty.value.code == "PATIENT_UNKNOWN"


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but longer than the hundred bytes of a header of SQLite's format " * 3)
    before = path.read_bytes()
    with pytest.raises(RefusalError) as caught:
        open_store(f"sqlite:///{path}")
    assert caught.value.code == "RECORDS_URL_INVALID"
    assert path.read_bytes() == before


def test_records_of_a_newer_version_are_refused(url: str) -> None:
    with open_store(url):
        pass
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = 'r9999'")
    with pytest.raises(RefusalError) as caught:
        open_store(url)
    assert caught.value.code == "RECORDS_VERSION_UNKNOWN"
    assert "r9999" in caught.value.found


def test_a_database_that_cannot_be_written_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.records.connection.BUSY_TIMEOUT_S", 0.05)
    with open_store(url) as store, closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RefusalError) as caught:
            file_cycle(store)
        other.rollback()
        assert caught.value.code == "RECORDS_UNAVAILABLE"
        assert file_cycle(store).created is True
