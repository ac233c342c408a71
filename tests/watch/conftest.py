"""Studies for the inbox: the example cycle that the package ships, linked instead of copied."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked example: ``site.toml`` and ``cycle-1`` with three time points; not to be changed."""
    folder = tmp_path_factory.mktemp("watch-example")
    with resources.as_file(resources.files("sample_dicom") / "example-perfect-cycle.zip") as archive:
        zipfile.ZipFile(archive).extractall(folder)
    return folder


@pytest.fixture
def study(example: Path, tmp_path: Path) -> Path:
    """Return a copy of the example cycle; files may be removed and replaced, not written in place."""
    folder = tmp_path / "study"
    shutil.copytree(example / "cycle-1", folder, copy_function=os.link)
    return folder


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Return an empty inbox."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def form_only(inbox: Path, example: Path) -> Callable[..., Path]:
    """Return a function that puts a study of a form and one further file into the inbox."""
    text = (example / "cycle-1" / "cycle.toml").read_text(encoding="utf-8")

    def put(name: str, patient: str = "phantom-1", cycle: int = 1, content: str = "") -> Path:
        folder = inbox / name
        folder.mkdir()
        own = text.replace("phantom-1", patient).replace("cycle = 1", f"cycle = {cycle}")
        (folder / "cycle.toml").write_text(own, encoding="utf-8")
        (folder / "note.txt").write_text(content, encoding="utf-8")
        return folder

    return put
