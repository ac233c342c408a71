"""Time-activity curves from CSV or Excel, and fitted curves back into either.

A spreadsheet is read as stored: a formula is refused, not computed, because its last computed value may be that of
another program or of another day.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import openpyxl
from openpyxl.styles import Font
from openpyxl.utils.exceptions import InvalidFileException

from pipeline.errors import RefusalError, require
from pipeline.files.tables import Row, read_rows
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Cells = tuple[Any, ...]

CODE: Final = "CURVES_INVALID"
REQUIRED: Final = ("region", "time_h", "activity_bq")
KNOWN: Final = (*REQUIRED, "sigma_bq", "cycle")
# A column of one of these quantities in another unit must not be passed over: sigmas would silently be the default.
UNITS: Final = {"time": "time_h", "activity": "activity_bq", "sigma": "sigma_bq"}
# Words in the name of a column that would have decided the fit: without it two cycles become one curve and measured
# errors the default. What column is needed instead; other columns are not read, and the document says so.
DECISIVE: Final = {
    r"sigma\w*|uncert\w*|unc|u|std\w*|err|errors?|sd|sem?|var|variance|cv|ci": "sigma_bq (one sigma in Bq)",
    r"cycles?|cyc": "cycle (its number)",
    r"half\w*|teff|eff": "no half-life here (a file of half-lives goes to --prior)",
    r"units?|[kmg]bq|[mu]ci": "time_h in hours, activity_bq and sigma_bq in Bq",
}
SHEET: Final = "curves"
NOT_READ: Final = (".xls", ".xlsb", ".ods", ".numbers")

RESULT_COLUMNS: Final = (
    "region", "model", "effective_half_life_s", "effective_half_life_sigma_s", "tia_bq_s", "tia_sigma_bq_s",
    "tia_low95_bq_s", "tia_high95_bq_s", "extrapolated_fraction", "head_rule", "tail_rule", "error_model", "flags",
)  # fmt: skip
POINT_COLUMNS: Final = ("region", "time_h", "activity_bq", "sigma_bq", "fitted_bq")


def read_curve_rows(path: Path) -> tuple[Row, ...]:
    """Read a long table of curves, ``region,time_h,activity_bq[,sigma_bq]``, from CSV or Excel (``.xlsx``).

    Parameters
    ----------
    path : Path
        Of a workbook the only sheet with content is read, or the one called ``curves``. Known columns in any case.

    Returns
    -------
    tuple of Row

    Raises
    ------
    RefusalError
        ``CURVES_INVALID``: not readable, a formula, date, error value or truth value in a cell, a column that is
        missing, there twice, in another unit, or looks like errors, cycles or half-lives under another name.
    """
    suffix = path.suffix.lower()
    require(
        suffix not in NOT_READ,
        "CURVES_INVALID",
        found=f"a {suffix} file",
        needed="a CSV or Excel (.xlsx) file",
        do="save the table as .xlsx or .csv",
        where=path.name,
    )
    if suffix in {".xlsx", ".xlsm"}:
        return _excel_rows(path)
    rows = _csv_rows(path)
    columns = _columns(list(rows[0].cells), path)
    return tuple(replace(row, cells=dict(zip(columns, row.cells.values(), strict=True))) for row in rows)


def ignored_columns(rows: Sequence[Row]) -> list[str]:
    """Return the columns of a table that no fit reads."""
    return [column for column in rows[0].cells if column not in KNOWN]


def _csv_rows(path: Path) -> tuple[Row, ...]:
    # The columns are judged apart, by quantity and unit.
    try:
        return read_rows(path, code=CODE, required=())
    except RefusalError as refusal:
        raise RefusalError(
            "CURVES_INVALID",
            found=refusal.found,
            needed=f"a CSV file in UTF-8 with the columns {', '.join(REQUIRED)} and at least one row",
            do=refusal.do,
            where=refusal.where,
        ) from refusal


def _columns(written: Sequence[str], path: Path) -> list[str]:
    """Return the column names with the known ones in lower case, or refuse them."""
    columns = [name.lower() if name.lower() in KNOWN else name for name in written]
    for column in columns:
        quantity = re.split(r"[^a-z]", column.lower())[0]
        wanted = UNITS.get(quantity)
        require(
            wanted in (None, column),
            "CURVES_INVALID",
            found=f"column {column!r}",
            needed=f"{wanted} (hours after the start of the administration, Bq)",
            do=f"convert the values and call the column {wanted}",
            where=path.name,
        )
        _require_indecisive(column, path)
    missing = [column for column in REQUIRED if column not in columns]
    require(
        not missing and len(set(columns)) == len(columns),
        "CURVES_INVALID",
        found=f"columns {list(columns)}",
        needed=f"each once: {', '.join(REQUIRED)}, and sigma_bq where errors were measured",
        do="give the table these column names in its first row",
        where=path.name,
    )
    return columns


def _require_indecisive(column: str, path: Path) -> None:
    words = [] if column in KNOWN else re.findall(r"[a-z]+", column.lower())
    needed = next((text for names, text in DECISIVE.items() if any(re.fullmatch(names, word) for word in words)), "")
    require(
        not needed,
        "CURVES_INVALID",
        found=f"column {column!r}, which is not read but would decide the fit",
        needed=needed,
        do="give the column that name and unit, or take it out of the table",
        where=path.name,
    )


# --- Excel -----------------------------------------------------------------------------------------------------------


def _excel_rows(path: Path) -> tuple[Row, ...]:
    try:
        with path.open("rb") as stream:
            book = openpyxl.load_workbook(stream, read_only=True, data_only=False)
            sheets = {sheet.title: _cells(sheet) for sheet in book.worksheets}
    except (OSError, zipfile.BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        raise RefusalError(
            "CURVES_INVALID",
            found=type(error).__name__,
            needed="a readable Excel file (.xlsx), not protected by a password",
            do="save the table again as .xlsx or .csv",
            where=path.name,
        ) from error
    name, table = _only_table(path, sheets)
    where = f"{path.name}, sheet {name}"
    (header_line, header), *lines = table
    names = [_text(cell, f"header, line {header_line}", where) for cell in header]
    while names and not names[-1]:
        names.pop()
    columns = _columns(names, path)
    require(
        bool(lines), CODE, found="no row below the header", needed="at least one point", do="add points", where=where
    )
    return tuple(_excel_row(columns, line, cells, where) for line, cells in lines)


def _cells(sheet: Any) -> list[tuple[int, Cells]]:
    """Return the rows of a sheet that hold anything, with their numbers."""
    rows = enumerate(sheet.iter_rows(), start=1)
    return [(line, cells) for line, cells in rows if any(_holds_something(cell) for cell in cells)]


def _holds_something(cell: Any) -> bool:
    return cell.value is not None and str(cell.value).strip() != ""


def _only_table(path: Path, sheets: Mapping[str, list[tuple[int, Cells]]]) -> tuple[str, list[tuple[int, Cells]]]:
    filled = {name: rows for name, rows in sheets.items() if rows}
    chosen = {name: rows for name, rows in filled.items() if name.strip().lower() == SHEET} or filled
    require(
        len(chosen) == 1,
        "CURVES_INVALID",
        found=f"sheets with content: {', '.join(filled) or 'none'}",
        needed=f"one sheet with content, or one called {SHEET}",
        do=f"call the sheet that holds the curves {SHEET}",
        where=path.name,
    )
    return next(iter(chosen.items()))


def _excel_row(columns: Sequence[str], line: int, cells: Cells, where: str) -> Row:
    beyond = [cell for cell in cells[len(columns) :] if _holds_something(cell)]
    require(
        not beyond,
        "CURVES_INVALID",
        found=f"a value without a column name in line {line}",
        needed="a name above every column",
        do="name the column, or clear the cells beside the table",
        where=where,
    )
    texts = [_text(cell, f"column {name}, line {line}", where) for name, cell in zip(columns, cells, strict=False)]
    texts += [""] * (len(columns) - len(texts))
    return Row(dict(zip(columns, texts, strict=True)), line, CODE, where)


def _text(cell: Any, place: str, where: str) -> str:
    """Return a cell as the text of its value; what is no plain value is refused."""
    value = cell.value
    kind = _refused_kind(cell)
    if kind:
        raise RefusalError(
            "CURVES_INVALID",
            found=f"{kind} in {place}",
            needed="a number or a name as a plain value",
            do="copy the table and paste it as values",
            where=where,
        )
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value).strip()


def _refused_kind(cell: Any) -> str:
    if cell.data_type == "f":
        return "a formula"
    if cell.data_type == "e":
        return f"the error {cell.value}"
    if isinstance(cell.value, bool):
        return "a truth value"
    if isinstance(cell.value, dt.date | dt.time | dt.timedelta):
        return "a date or time of day"
    return ""


# --- results ---------------------------------------------------------------------------------------------------------


def require_table_path(path: Path, source: Path) -> None:
    """Refuse a result file that is neither CSV nor Excel, or that is the input itself.

    Raises
    ------
    RefusalError
        ``TABLE_FORMAT_UNKNOWN``, ``OUTPUT_IS_INPUT``.
    """
    require(
        path.suffix.lower() in {".csv", ".xlsx"},
        "TABLE_FORMAT_UNKNOWN",
        found=f"a file called {path.name}",
        needed="a name that ends in .csv or .xlsx",
        do="give --out results.csv or --out results.xlsx",
        where="--out",
    )
    require(
        path.resolve() != source.resolve(),
        "OUTPUT_IS_INPUT",
        found=f"{path.name} as input and output",
        needed="another file for the results",
        do="give --out another name",
        where="--out",
    )


def write_fit_table(path: Path, document: Mapping[str, Any]) -> None:
    """Write the document of ``prrt fit``: one line per region; in Excel its points on a second sheet.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.xlsx``.
    document : mapping
    """
    regions = document["regions"]
    results = _table(RESULT_COLUMNS, [_result(region) for region in regions])
    if path.suffix.lower() == ".csv":
        with path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(results)
        return
    book = openpyxl.Workbook()
    first = book.active
    first.title = "fits"
    _fill(first, results)
    _fill(book.create_sheet("points"), _table(POINT_COLUMNS, [p for region in regions for p in _points(region)]))
    book.save(path)


def _table(columns: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Return header and lines; the cycle stands beside the region where there are cycles."""
    with_cycles = any(line.get("cycle") is not None for line in lines)
    shown = [columns[0], "cycle", *columns[1:]] if with_cycles else list(columns)
    return [shown, *([line[column] for column in shown] for line in lines)]


def _result(region: Mapping[str, Any]) -> dict[str, Any]:
    low, high = region.get("tia_ci95_bq_s") or (None, None)
    return dict(region) | {"tia_low95_bq_s": low, "tia_high95_bq_s": high, "flags": " ".join(region["flags"])}


def _points(region: Mapping[str, Any]) -> list[dict[str, Any]]:
    named = {"region": region["region"], "cycle": region.get("cycle")}
    return [named | p | {"time_h": p["time_s"] / SECONDS_PER_HOUR} for p in region["points"]]


def _fill(sheet: Any, lines: Sequence[Sequence[Any]]) -> None:
    for row, line in enumerate(lines, start=1):
        for column, value in enumerate(line, start=1):
            cell = sheet.cell(row, column, value)
            if isinstance(value, str):
                # A name that begins with "=" stays a name.
                cell.data_type = "s"
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    sheet.freeze_panes = "B2"
