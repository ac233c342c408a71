"""Phantoms that are written once per session."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sample_dicom.example import write_example_case
from sample_dicom.write import write_phantom


@dataclass(frozen=True)
class Written:
    """A phantom on disk."""

    folder: Path

    @property
    def truth(self) -> dict[str, Any]:
        return json.loads((self.folder / "truth.json").read_text())["cycles"][0]

    @property
    def site(self) -> dict[str, Any]:
        return tomllib.loads((self.folder / "site.toml").read_text())

    @property
    def factor(self) -> float:
        (camera,) = self.site["camera"].values()
        return camera.get("calibration_factor_bq_s_per_count", float("nan"))

    @property
    def cycle(self) -> Path:
        return self.folder / "cycle-1"


@pytest.fixture(scope="session")
def perfect(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """One perfect cycle of patient 1: the example case."""
    folder = tmp_path_factory.mktemp("perfect")
    write_example_case(folder)
    return Written(folder)


@pytest.fixture(scope="session")
def realistic(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """One realistic cycle of patient 3."""
    folder = tmp_path_factory.mktemp("realistic")
    write_phantom(folder, kind="patient", seed=3, cycles=1)
    return Written(folder)


@pytest.fixture(scope="session")
def nema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    """The perfect NEMA phantom in every dialect."""
    found = {}
    for dialect in ("nm-counts", "nm-rwv", "pet-bqml"):
        folder = tmp_path_factory.mktemp(dialect)
        write_phantom(folder, kind="nema-iec", dialect=dialect, perfect=True)
        found[dialect] = Written(folder)
    return found
