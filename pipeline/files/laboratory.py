"""Laboratory values in the units of the rules: 10^9/L, g/L, umol/L, U/L."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pipeline.files.tables import Row, corrected_entry, read_rows
from pipeline.rules.counts import exceeds_leukocytes

if TYPE_CHECKING:
    from pathlib import Path

# unit -> factor to 10^9/L; unit conversion of section 2.5.
_COUNTS = {
    "10^9/l": 1.0, "10e9/l": 1.0, "1e9/l": 1.0, "g/l": 1.0, "gpt/l": 1.0, "/nl": 1.0, "10^3/ul": 1.0,
    "10e3/ul": 1.0, "k/ul": 1.0, "/ul": 1e-3, "cells/ul": 1e-3, "10^6/l": 1e-3,
}  # fmt: skip
# Hb g/dL x 10, mmol/L x 16.114 -> g/L; creatinine mg/dL x 88.4; bilirubin mg/dL x 17.1 -> umol/L (section 4.1).
_ENZYMES = {"u/l": 1.0, "iu/l": 1.0, "ukat/l": 60.0}
_UNITS: Final[dict[str, dict[str, float]]] = {
    "wbc": _COUNTS,
    "granulocytes": _COUNTS,
    "platelets": _COUNTS,
    "lymphocytes": _COUNTS,
    "haemoglobin": {"g/l": 1.0, "g/dl": 10.0, "mmol/l": 16.114},
    "creatinine": {"umol/l": 1.0, "mg/dl": 88.4, "mmol/l": 1000.0},
    "bilirubin": {"umol/l": 1.0, "mg/dl": 17.1},
    "albumin": {"g/l": 1.0, "g/dl": 10.0},
    "alt": _ENZYMES,
    "ast": _ENZYMES,
    "alp": _ENZYMES,
    "ggt": _ENZYMES,
    "egfr": {"ml/min/1.73m2": 1.0, "ml/min": 1.0},
}
# Project choice: beyond what any living patient shows, so a unit was mistaken.
_PLAUSIBLE = {
    "wbc": (0.0, 1000.0), "granulocytes": (0.0, 1000.0), "platelets": (0.0, 5000.0), "lymphocytes": (0.0, 1000.0),
    "haemoglobin": (20.0, 300.0), "creatinine": (5.0, 5000.0), "bilirubin": (0.0, 2000.0), "albumin": (5.0, 80.0),
    "alt": (0.0, 50000.0), "ast": (0.0, 50000.0), "alp": (0.0, 50000.0), "ggt": (0.0, 50000.0), "egfr": (0.0, 250.0),
}  # fmt: skip
NOT_MEASURED = ("date", "supersedes")
REQUIRED_COLUMNS = ("date", "wbc", "granulocytes", "platelets")
_HEADER = re.compile(r"(?P<name>[a-z]+)(?P<limit>_uln|_lln|_baseline)?(?:\s*[\[(](?P<unit>[^\])]+)[\])])?")
_SUFFIXES = {
    "_g_per_l": "g/l", "_g_per_dl": "g/dl", "_mmol_per_l": "mmol/l", "_umol_per_l": "umol/l", "_mg_per_dl": "mg/dl",
    "_per_ul": "/ul", "_per_nl": "/nl", "_k_per_ul": "k/ul", "_u_per_l": "u/l", "_ukat_per_l": "ukat/l",
}  # fmt: skip


def load_labs(path: Path) -> tuple[dict[str, Any], ...]:
    """Read laboratory values (CSV ``date,wbc,granulocytes,platelets[,haemoglobin,creatinine,...]``).

    Without a unit a column is in 10^9/L (counts), g/L (haemoglobin, albumin), umol/L (creatinine, bilirubin) or U/L. A
    unit stands in the header (``haemoglobin [g/dL]``, ``haemoglobin_g_per_dl``) or in a column ``haemoglobin_unit``. A
    column ``supersedes`` holds the id of the recorded entry that the row corrects.

    Returns
    -------
    tuple of dict
        ``date`` (ISO) and every analyte of the file, None where the cell is empty; ``<analyte>_uln``, ``_lln`` and
        ``_baseline`` likewise.

    Raises
    ------
    RefusalError
        ``LABS_INVALID``: unknown column or unit, bad date or number, a value no living patient has, more granulocytes
        than leukocytes.
    """
    rows = read_rows(path, code="LABS_INVALID", required=("date",))
    columns = {column: _column(rows[0], column) for column in rows[0].cells if column not in NOT_MEASURED}
    named = {name for name, _ in columns.values() if name}
    missing = [column for column in REQUIRED_COLUMNS[1:] if column not in named]
    if missing:
        raise rows[0].refusal(missing[0], "no such column", f"the columns {', '.join(REQUIRED_COLUMNS)}")
    if len(named) != sum(1 for name, _ in columns.values() if name):
        raise rows[0].refusal("header", "an analyte in two columns", "each analyte once")
    return tuple(_panel(row, columns) for row in rows)


def _plain(unit: str) -> str:
    """Return a unit in one spelling."""
    plain = unit.strip().lower().replace("µ", "u").replace("μ", "u").replace("×", "").replace("*", "^")
    plain = plain.replace("⁹", "^9").replace("³", "^3").replace("²", "2").replace(" ", "")
    return plain.removeprefix("x") if plain.startswith("x10") else plain


def _column(row: Row, column: str) -> tuple[str, str]:
    """Return (name, unit) of a column; an empty name for a column of units."""
    lowered = column.strip().lower()
    if lowered.endswith("_unit") and lowered.removesuffix("_unit") in _UNITS:
        return "", ""
    for suffix, unit in sorted(_SUFFIXES.items(), key=lambda item: -len(item[0])):
        if lowered.endswith(suffix) and lowered.removesuffix(suffix) in _UNITS:
            return lowered.removesuffix(suffix), unit
    match = _HEADER.fullmatch(lowered)
    if match is None or match["name"] not in _UNITS:
        raise row.refusal(column, "an unknown column", f"analytes {', '.join(_UNITS)}, with a unit where it differs")
    return match["name"] + (match["limit"] or ""), _plain(match["unit"] or "")


def _panel(row: Row, columns: dict[str, tuple[str, str]]) -> dict[str, Any]:
    panel: dict[str, Any] = {"date": row.day("date").isoformat()} | corrected_entry(row)
    lowered = {column.strip().lower(): row.text(column) for column in row.cells}
    for column, (name, unit) in columns.items():
        if name:
            panel[name] = _value(row, column, name, _plain(lowered.get(f"{name}_unit", "")) or unit)
    if exceeds_leukocytes(panel["granulocytes"], panel["wbc"]):
        found = f"{panel['granulocytes']:g}, more than the wbc of {panel['wbc']:g} (percent?),"
        raise row.refusal("granulocytes", found, "granulocytes in 10^9/L, a part of the wbc")
    return panel


def _value(row: Row, column: str, name: str, unit: str) -> float | None:
    if not row.text(column):
        return None
    analyte = re.sub("_(uln|lln|baseline)$", "", name)
    factors = _UNITS[analyte]
    if unit and unit not in factors:
        raise row.refusal(column, f"unit {unit!r}", f"one of {', '.join(factors)}")
    value = row.number(column, least=0.0) * factors.get(unit, 1.0)
    low, high = _PLAUSIBLE[analyte]
    if not low <= value <= high:
        raise row.refusal(column, f"{value:g} in {next(iter(factors))}", f"{low:g} to {high:g}: check the unit")
    # Conversion leaves binary noise (9.8 g/dL -> 98.00000000000001), which would move a grade's boundary.
    return float(f"{value:.12g}")
