"""Phantoms and their walks, each made once in a run for all tests of this folder, whichever worker runs them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from walking import walk_cycle

from sample_dicom.write import write_phantom

DIALECTS = ("nm-counts", "nm-rwv", "pet-bqml")
# The tests of a cycle with one scan go on from the first cycle of this dialect.
CYCLES = {"nm-counts": 3}

Once = Callable[[str, Callable[[Path], None]], Path]


def _walked(folder: Path) -> None:
    """Walk the phantom's first cycle; the result as filed stands in ``out/result.json``."""
    walk_cycle(folder, folder / "out")


def _result(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))
    return result


def _perfect(dialect: str, folder: Path) -> None:
    cycles = CYCLES.get(dialect, 1)
    write_phantom(folder, kind="patient", dialect=dialect, seed=11, perfect=True, cycles=cycles)
    _walked(folder)


def _realistic(folder: Path) -> None:
    write_phantom(folder, kind="patient", seed=23, cycles=1)
    _walked(folder)


@pytest.fixture(scope="session")
def perfect(once_per_run: Once) -> dict[str, Path]:
    """Perfect phantoms of one seed, one per dialect, with the first cycle walked into ``out``; not to be changed."""
    # counts last: a worker that has the tests of one scan makes them meanwhile
    order = reversed(DIALECTS)
    return {d: once_per_run(f"perfect-{d}", lambda folder, d=d: _perfect(d, folder)) for d in order}


@pytest.fixture(scope="session")
def perfect_results(perfect: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Results with the true contours, one per dialect."""
    return {dialect: _result(path) for dialect, path in perfect.items()}


@pytest.fixture(scope="session")
def later_cycles(once_per_run: Once) -> Path:
    """Return the perfect phantom of three cycles, the first of them walked; not to be changed."""
    return once_per_run("perfect-nm-counts", lambda folder: _perfect("nm-counts", folder))


@pytest.fixture(scope="session")
def realistic(once_per_run: Once) -> Path:
    """Return a phantom with blur, noise and motion, its cycle walked into ``out``; not to be changed."""
    return once_per_run("realistic", _realistic)


@pytest.fixture(scope="session")
def realistic_result(realistic: Path) -> dict[str, Any]:
    """Return its result with the true contours."""
    return _result(realistic)
