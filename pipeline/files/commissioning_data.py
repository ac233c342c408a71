"""Golden values of the validation, read from the package once and handed down as values."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from numpy.typing import NDArray

DECISION_CASES = "decision_cases.json"


def _folder() -> Traversable:
    return resources.files("pipeline") / "data" / "commissioning"


def _files(suffix: str) -> list[Traversable]:
    found = [entry for entry in _folder().iterdir() if entry.name.endswith(suffix)]
    return sorted(found, key=lambda entry: entry.name)


@cache
def load_golden_tables() -> dict[str, dict[str, Any]]:
    """Return every golden table of the package by its file's name."""
    return {
        entry.name.removesuffix(".toml"): tomllib.loads(entry.read_text(encoding="utf-8")) for entry in _files(".toml")
    }


@cache
def load_golden_arrays() -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return every golden array of the package by file and name, in float64."""
    found = {}
    for entry in _files(".npz"):
        with entry.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            found[entry.name.removesuffix(".npz")] = {name: arrays[name].astype(np.float64) for name in arrays.files}
    return found


@cache
def load_decision_cases() -> list[dict[str, Any]]:
    """Return the worked decisions of the clinical specification."""
    return list(json.loads((_folder() / DECISION_CASES).read_text(encoding="utf-8")))
