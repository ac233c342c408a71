"""The same record on PostgreSQL: schema, triggers, idempotency, audit chain, decisions.

The product asks for no PostgreSQL driver (psycopg is LGPL; a site that wants PostgreSQL installs one). Here asyncpg,
which comes with Prefect, is driven through SQLAlchemy's own bridge. A cluster of its own is made in a temporary folder.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from record_examples import AT, IMAGING, LABS, file_cycle, result
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import greenlet_spawn

from pipeline.records import RecordStore
from pipeline.records.connection import migrate, prepare
from pipeline.records.schema import RECORD_TABLES, VERSION_TABLE, audit, metadata
from pipeline.steps.decide import decide_next
from pipeline.steps.record_events import record
from pipeline.steps.sign import sign_cycle

asyncpg = pytest.importorskip("asyncpg", reason="NEEDS asyncpg: the record is not tested on PostgreSQL")

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def _program(name: str) -> str:
    found = shutil.which(name) or (str(DEBIAN[-1].with_name(name)) if DEBIAN else None)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"CI must install PostgreSQL ({name})")
    if found is None:
        pytest.skip(f"NEEDS PostgreSQL ({name}): the record is not tested on it")
    return found


def _unprivileged() -> dict[str, str]:
    """PostgreSQL refuses to run as root; as root, another user is taken."""
    if os.geteuid() != 0:
        return {}
    return {"user": next((u.pw_name for u in pwd.getpwall() if u.pw_name == "postgres"), "nobody")}


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(folder: str, *command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, timeout=60, **_unprivileged())


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    port = _free_port()
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    with tempfile.TemporaryDirectory(prefix="prrt-postgresql-") as folder:
        for user in _unprivileged().values():
            shutil.chown(folder, user)
        data = str(Path(folder) / "data")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        _run(folder, initdb, "-D", data, "-U", "prrt", "-A", "trust", "-E", "UTF8", "--no-sync")
        _run(folder, pg_ctl, "-D", data, "-w", "-l", f"{data}/log", "-o", options, "start")
        yield f"postgresql+asyncpg://prrt@127.0.0.1:{port}/postgres"
        _run(folder, pg_ctl, "-D", data, "-m", "immediate", "stop")


def bridged(work: Callable[[], None]) -> None:
    """Run blocking SQLAlchemy code on the asynchronous driver."""

    async def run() -> None:
        await greenlet_spawn(work)

    asyncio.run(run())


@pytest.mark.slow
def test_the_record_on_postgresql(cluster_url: str) -> None:
    def walk() -> None:
        engine = create_engine(cluster_url)
        prepare(engine)
        migrate(engine)
        migrate(engine)
        _check_schema(engine)
        with RecordStore(engine) as store:
            _check_walk(store)
            # patient, settings, cycle, panel, assessment, signature
            assert (store.verify().entries, store.verify().problems) == (6, ())
            _check_append_only(engine)

    bridged(walk)


def _check_schema(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []


def _check_walk(store: RecordStore) -> None:
    on = date(2026, 4, 20)
    assert file_cycle(store).created is True
    assert file_cycle(store, result(flags=[{"code": "LATER"}])).created is False
    assert decide_next(store, "phantom-1", on)["outcome"] == "REFER"
    record(store, "phantom-1", labs=[LABS], imaging=[IMAGING], at=AT)
    assert record(store, "phantom-1", labs=[LABS], at=AT)["added"] == []
    sign_cycle(store, "phantom-1", cycle=1, role="physicist", by="A. Physicist", at=AT)
    assert decide_next(store, "phantom-1", on)["outcome"] == "GIVE"


def _check_append_only(engine: Engine) -> None:
    for table in [table.name for table in (*RECORD_TABLES, audit)]:
        column = metadata.tables[table].columns.keys()[0]
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table} CASCADE",
        ):
            with engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
                connection.execute(text(statement))
