"""Phantoms and their walks, made once for all tests of this folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from walking import walk_cycle

from sample_dicom.write import write_phantom

DIALECTS = ("nm-counts", "nm-rwv", "pet-bqml")


@pytest.fixture(scope="session")
def perfect(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Perfect phantoms of one seed, one per dialect."""
    root = tmp_path_factory.mktemp("perfect")
    for dialect in DIALECTS:
        write_phantom(root / dialect, kind="patient", dialect=dialect, seed=11, perfect=True, cycles=1)
    return {dialect: root / dialect for dialect in DIALECTS}


@pytest.fixture(scope="session")
def perfect_results(perfect: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Results with the true contours, one per dialect."""
    return {dialect: walk_cycle(path, path / "out") for dialect, path in perfect.items()}


@pytest.fixture(scope="session")
def realistic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a phantom with blur, noise and motion."""
    path = tmp_path_factory.mktemp("realistic") / "patient"
    write_phantom(path, kind="patient", seed=23, cycles=1)
    return path


@pytest.fixture(scope="session")
def realistic_result(realistic: Path) -> dict[str, Any]:
    """Return its result with the true contours."""
    return walk_cycle(realistic, realistic / "out")
