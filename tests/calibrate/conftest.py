"""Phantoms with their calibration forms, written once per session, and what was calibrated from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scanned_phantom import Scanned, scan

from pipeline.errors import RefusalError
from pipeline.steps.calibrate import calibrate_scans
from sample_dicom.calibration import write_dead_time_series


@pytest.fixture(scope="session")
def realistic_cylinder(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """The cylinder with blur and noise."""
    return scan(tmp_path_factory.mktemp("cylinder") / "cylinder", "cylinder", perfect=False)


@pytest.fixture(scope="session")
def realistic_nema(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """The NEMA IEC phantom with blur and noise."""
    return scan(tmp_path_factory.mktemp("nema") / "nema", "nema-iec", perfect=False)


@pytest.fixture(scope="session")
def decaying_source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Folder and truth of a strong source under a camera with a dead time."""
    folder = tmp_path_factory.mktemp("dead-time")
    return folder, write_dead_time_series(folder)


@pytest.fixture(scope="session")
def whole(
    realistic_cylinder: Scanned, realistic_nema: Scanned, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Out folder and document of a calibration with both realistic phantoms in one form."""
    folder = tmp_path_factory.mktemp("whole")
    form = folder / "form.toml"
    cylinder = realistic_cylinder.text.split("[[phantom]]")[1].replace('"cycle-1', '"cylinder/cycle-1')
    form.write_text(
        realistic_nema.text.replace('"cycle-1', '"nema/cycle-1') + "\n[[phantom]]" + cylinder, encoding="utf-8"
    )
    out = folder / "out"
    document = calibrate_scans([realistic_cylinder.folder, realistic_nema.folder], form, out)
    assert json.loads((out / "calibration.json").read_text()) == {k: v for k, v in document.items() if k != "files"}
    return out, document


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., RefusalError]:
    """Calibrate with a changed form and return the refusal."""

    def calibrate(scanned: Scanned, *changes: tuple[str, str], folders: list[Path] | None = None) -> RefusalError:
        text = scanned.text
        for old, new in changes:
            assert old in text, f"{old!r} is not in the form"
            text = text.replace(old, new)
        form = tmp_path / "form.toml"
        form.write_text(text, encoding="utf-8")
        with pytest.raises(RefusalError) as refusal:
            calibrate_scans(folders or [scanned.folder], form, tmp_path / "out")
        assert not (tmp_path / "out").exists(), "a refusal leaves nothing behind"
        return refusal.value

    return calibrate
