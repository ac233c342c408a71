"""A record with filed cycles in a temporary folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.records.store import RecordStore, open_store

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'records.db'}"


@pytest.fixture
def store(url: str) -> Iterator[RecordStore]:
    with open_store(url) as opened:
        yield opened
