"""Whole cycles as files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from dicom_writer import GIVEN, counts, ct, nm


@pytest.fixture
def cycle(tmp_path: Path) -> Path:
    """A folder with three good time points of SPECT and CT (24, 96, 168 h)."""
    for k, hours in enumerate((24, 96, 168)):
        start = GIVEN + timedelta(hours=hours)
        names = {"study": f"1.2.3.{k}", "frame": f"1.2.3.{k}.9", "start": start}
        nm(tmp_path / f"tp-{k}" / "spect.dcm", counts() + k, series=f"1.2.3.{k}.1", **names)
        ct(tmp_path / f"tp-{k}" / "ct", series=f"1.2.3.{k}.2", **names)
    return tmp_path
