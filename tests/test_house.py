"""Rules of the house that no linter knows: units in names, import names, no machine's path, no host in a lock file."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

import pipeline.domain

ROOT = Path(__file__).parents[1]
NUMBERS = re.compile(r"\b(float|NDArray|AbsorbedDoseGy|BedGy)\b")
# A number's field name ends in its unit, or in a word that says it has none.
UNITS = (
    "_s", "_h", "_days", "_months", "_mm", "_ml", "_g", "_kg", "_cm", "_gy", "_bq", "_gbq", "_mev", "_hu", "_per_s",
    "_per_ml", "_per_cm3", "_per_count", "_per_bq_s", "_per_nl", "_gy_per_s", "_bq_s", "_cps_per_mbq",
)  # fmt: skip
UNITLESS = (
    "label", "value", "c", "fraction", "extrapolated_fraction", "difference", "tolerance", "parameters", "covariance",
    "relative_sigma", "calibration_relative_sigma", "match", "p_exceed", "cumulative", "projected",
    "vendor_pixel_scale", "bias_relative", "assumed_fraction",
    "shared_half_life_fraction", "model_weights",
)  # fmt: skip


def _dataclasses() -> list[type]:
    found = []
    for module in pkgutil.iter_modules(pipeline.domain.__path__):
        members = vars(importlib.import_module(f"pipeline.domain.{module.name}")).values()
        found += [m for m in members if isinstance(m, type) and dataclasses.is_dataclass(m)]
    return sorted(set(found), key=lambda c: c.__qualname__)


@pytest.mark.parametrize("kind", _dataclasses(), ids=lambda kind: kind.__name__)
def test_every_number_in_the_domain_names_its_unit(kind: type) -> None:
    wrong = [
        field.name
        for field in dataclasses.fields(kind)
        if NUMBERS.search(str(field.type)) and not field.name.endswith(UNITS) and field.name not in UNITLESS
    ]
    assert wrong == []


def test_domain_has_types_to_check() -> None:
    assert len(_dataclasses()) > 20


@pytest.mark.parametrize("name", ["pipeline", "kernels", "flows", "sample_dicom"])
def test_import_names_belong_to_this_distribution(name: str) -> None:
    # The names are generic and exist on package indexes: another distribution must not shadow ours.
    assert set(metadata.packages_distributions()[name]) == {"prrt-dosimetry"}


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_lock_or_constraints_file_names_a_host() -> None:
    locks = [p for p in _tracked() if "constraints" in p.name or "lock" in p.name]
    assert locks
    assert [p.name for p in locks if "://" in p.read_text(encoding="utf-8")] == []


def test_tracked_files_are_small() -> None:
    assert [p.name for p in _tracked() if p.stat().st_size > 3 * 2**20] == []


def test_no_module_is_called_a_drawer() -> None:
    drawers = {"utils", "helpers", "common", "core", "misc"}
    assert [p for p in _tracked() if p.suffix == ".py" and ({p.stem} | set(p.parts)) & drawers] == []
