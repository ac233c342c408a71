"""The installed command as a process of its own, and the small example cycle that the package ships."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

PRRT = Path(sys.executable).with_name("prrt")


@dataclass(frozen=True)
class Run:
    """What one call of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed


def prrt(*arguments: object, environment: dict[str, str] | None = None) -> Run:
    """Run the command to its end; output goes through files, because Prefect's server may outlive a killed run."""
    done = subprocess.run(
        [PRRT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=os.environ | (environment or {}),
    )
    return Run(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def example_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked example cycle; not to be changed."""
    folder = tmp_path_factory.mktemp("example")
    with resources.as_file(resources.files("sample_dicom") / "example-perfect-cycle.zip") as archive:
        zipfile.ZipFile(archive).extractall(folder)
    return folder


@pytest.fixture
def example(example_source: Path, tmp_path: Path) -> Path:
    """Return a copy of the example cycle to damage."""
    folder = tmp_path / "example"
    shutil.copytree(example_source, folder)
    return folder


def process_arguments(example: Path, out: Path) -> list[object]:
    """Return the arguments that process the example with its true contours."""
    cycle = example / "cycle-1"
    return [
        "process", cycle, "--site", example / "site.toml", "--cycle-form", cycle / "cycle.toml",
        "--blood", cycle / "blood.csv", "--contours", cycle / "contours.nii.gz",
        "--records", f"sqlite:///{out / 'records.db'}", "--out", out,
    ]  # fmt: skip
