"""The small study, read once, and a whole export of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_study import CT_SERIES, export, write_ct

from pipeline.dicom.export_header import ReferenceSeries, read_reference


@pytest.fixture(scope="session")
def ct_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ct(tmp_path_factory.mktemp("study") / "ct")


@pytest.fixture(scope="session")
def reference(ct_folder: Path) -> ReferenceSeries:
    return read_reference([ct_folder], CT_SERIES)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, ct_folder: Path) -> list[Path]:
    return export(tmp_path_factory.mktemp("out"), ct_folder)
