"""A record in a temporary folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.records import RecordStore, open_store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'records.db'}"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated database, copied for each test (migrating takes a tenth of a second)."""
    path = tmp_path_factory.mktemp("migrated") / "records.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def store(url: str, migrated: Path) -> Iterator[RecordStore]:
    shutil.copy(migrated, url.removeprefix("sqlite:///"))
    with open_store(url) as opened:
        yield opened
