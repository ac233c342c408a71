"""Templates for people to fill in; a file that exists is never overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import RefusalError
from pipeline.files.calibration_form import calibration_form_template
from pipeline.files.forms import cycle_form_template
from pipeline.settings import site_template

if TYPE_CHECKING:
    from pathlib import Path


def write_site_template(path: Path) -> Path:
    """Write an empty site profile and return its path (``FILE_EXISTS`` where one is there)."""
    return _write_new(path, site_template())


def write_cycle_form_template(path: Path) -> Path:
    """Write an empty cycle form and return its path (``FILE_EXISTS`` where one is there)."""
    return _write_new(path, cycle_form_template())


def write_calibration_form_template(path: Path) -> Path:
    """Write an empty calibration form and return its path (``FILE_EXISTS`` where one is there)."""
    return _write_new(path, calibration_form_template())


def _write_new(path: Path, content: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(content)
    except FileExistsError as error:
        raise RefusalError(
            "FILE_EXISTS",
            found="a file of this name",
            needed="a new file",
            do="choose another name, or move the old file away",
            where=path.name,
        ) from error
    return path
