"""Opens the database of the record: which URLs are taken, how SQLite is set, how writers take turns, migrations."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, NoSuchModuleError

from pipeline.errors import RefusalError, require
from pipeline.records.schema import REVISION, VERSION_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection, Engine

SUPPORTED: Final = ("sqlite", "postgresql")
# How long a writer waits for the one before it. A filing takes milliseconds; a minute means that something hangs.
BUSY_TIMEOUT_S: Final = 60.0
_WAL_RETRY_S: Final = 0.02
# Any constant does, as long as every writer of the record uses the same one ("prrt" in ASCII).
_POSTGRESQL_LOCK: Final = 0x70727274
_WRITING: Final = "prrt_writing"


def connect_engine(url: str) -> Engine:
    """Return an engine on the migrated database at ``url``.

    Raises
    ------
    RefusalError
        RECORDS_URL_INVALID where the URL cannot be read, names an unsupported database, or cannot be opened.
        RECORDS_VERSION_UNKNOWN where a newer version of the product wrote the database.
    """
    parsed = _parsed(url)
    try:
        engine = create_engine(parsed, **_engine_options(parsed))
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise _url_refusal(parsed, str(error)) from error
    if engine.dialect.is_async:
        raise _url_refusal(parsed, "an asynchronous driver")
    prepare(engine)
    try:
        migrate(engine)
    except (DatabaseError, InterfaceError) as error:
        engine.dispose()
        raise _url_refusal(parsed, f"a database that cannot be used ({error.orig})") from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def require_database(url: str) -> None:
    """Refuse the URL of a SQLite file that does not exist: what only reads must not make an empty record.

    Raises
    ------
    RefusalError
        RECORDS_MISSING; RECORDS_URL_INVALID as of :func:`connect_engine`.
    """
    parsed = _parsed(url)
    name = parsed.database or ""
    in_memory_or_uri = name in {"", ":memory:"} or name.startswith("file:")
    require(
        parsed.get_backend_name() != "sqlite" or in_memory_or_uri or Path(name).exists(),
        "RECORDS_MISSING",
        found=f"no file {name}",
        needed="the record that the cycles were filed in",
        do="check the path after sqlite:/// (four slashes before an absolute one)",
        where="records",
    )


def prepare(engine: Engine) -> None:
    """Install the settings of SQLite's connections and the locks of both databases on ``engine``."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_sqlite)
        event.listen(engine, "begin", _begin_sqlite)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction in which this is the only writer; commits at the end, rolls back on an error."""
    with engine.connect() as connection:
        connection = connection.execution_options(**{_WRITING: True})  # noqa: PLW2901 (the same connection)
        with connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRESQL_LOCK})
            yield connection


def migrate(engine: Engine) -> None:
    """Bring the database to the newest schema; several processes may do so at once."""
    with engine.connect() as connection:
        if _revision(connection) == REVISION:
            return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "pipeline.records:migrations")
    config.set_main_option("path_separator", "os")
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise RefusalError(
                "RECORDS_VERSION_UNKNOWN",
                found=f"schema version {_revision(connection)}",
                needed=f"schema version {REVISION} or an older one",
                do="use the version of the product that wrote these records, or a newer one",
                where="records",
            ) from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 (a constant)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _refusal("text that is no database URL") from error
    require(
        parsed.get_backend_name() in SUPPORTED,
        "RECORDS_URL_INVALID",
        found=f"database {parsed.get_backend_name()!r}",
        needed="sqlite or postgresql",
        do="give --records sqlite:///path/to/records.db",
        where="records",
    )
    return parsed


def _engine_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() != "sqlite":
        return {}
    return {"connect_args": {"timeout": BUSY_TIMEOUT_S}}


def _url_refusal(url: URL, found: str) -> RefusalError:
    return _refusal(f"{found} at {url.render_as_string(hide_password=True)}")


def _refusal(found: str) -> RefusalError:
    return RefusalError(
        "RECORDS_URL_INVALID",
        found=found,
        needed="the URL of a database that can be opened: sqlite:///path/to/records.db, or postgresql+driver://...",
        do="correct --records, make its folder, or install the database's driver",
        where="records",
    )


def _set_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # The driver must not begin transactions by itself: _begin_sqlite says which kind.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA recursive_triggers = ON")
    _set_wal(connection)


def _set_wal(connection: sqlite3.Connection) -> None:
    # SQLite does not wait for other connections when the journal mode changes; two first openers must take turns.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_WAL_RETRY_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock before the first read, so that what was read is still true when it is written.
    kind = "IMMEDIATE" if connection.get_execution_options().get(_WRITING) else "DEFERRED"
    connection.exec_driver_sql(f"BEGIN {kind}")
