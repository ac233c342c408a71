"""CSV files that people export, read row by row: a bad column, date or number is refused by line and name."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from pipeline.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One line of a CSV file: column -> text."""

    cells: dict[str, str]
    line: int
    code: str
    file: str

    def refusal(self, column: str, found: str, needed: str) -> RefusalError:
        """Return the refusal of one cell."""
        return RefusalError(
            self.code,
            found=f"{found} in column {column}, line {self.line}",
            needed=needed,
            do="correct the file",
            where=self.file,
        )

    def text(self, column: str) -> str:
        """Return a cell as text; empty where there is none."""
        return self.cells.get(column, "").strip()

    def number(self, column: str, *, least: float = -math.inf, most: float = math.inf) -> float:
        """Return a cell as a finite number within its bounds, with a decimal point."""
        needed = "a number" + (f" from {least:g}" if least > -math.inf else "") + (f" to {most:g}" * (most < math.inf))
        try:
            value = float(self.text(column))
        except ValueError:
            raise self.refusal(column, repr(self.text(column)), needed + " with a decimal point") from None
        if not math.isfinite(value) or not least <= value <= most:
            raise self.refusal(column, f"{value:g}", needed)
        return value

    def day(self, column: str) -> date:
        """Return a cell as a date."""
        try:
            return date.fromisoformat(self.text(column))
        except ValueError:
            raise self.refusal(column, repr(self.text(column)), "a date as 2026-03-02") from None


def corrected_entry(row: Row) -> dict[str, str]:
    """Return ``supersedes``, the id of the recorded entry that a row corrects; empty where it corrects none."""
    corrects = row.text("supersedes")
    return {"supersedes": corrects} if corrects else {}


def read_rows(path: Path, *, code: str, required: Sequence[str]) -> tuple[Row, ...]:
    """Read a CSV file with a header line (comma, or semicolon where the header has no comma).

    Raises
    ------
    RefusalError
        ``code`` where the file cannot be read, has no rows, or lacks a required column.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(code, path, type(error).__name__, required) from error
    header = content.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(content), delimiter=";" if ";" in header and "," not in header else ",")
    lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    columns = [cell.strip() for cell in lines[0][1]] if lines else []
    missing = [column for column in required if column not in columns]
    if missing or len(set(columns)) != len(columns) or len(lines) < 2:
        raise _unreadable(code, path, f"columns {columns}, {max(len(lines) - 1, 0)} rows", required)
    for line, cells in lines[1:]:
        if len(cells) != len(columns):
            raise _unreadable(code, path, f"{len(cells)} cells for {len(columns)} columns in line {line}", required)
    return tuple(Row(dict(zip(columns, cells, strict=True)), line, code, path.name) for line, cells in lines[1:])


def _unreadable(code: str, path: Path, found: str, required: Sequence[str]) -> RefusalError:
    return RefusalError(
        code,
        found=found,
        needed=f"a CSV file in UTF-8 with the columns {', '.join(required)} and at least one row",
        do="export the table again with these columns, each once",
        where=path.name,
    )
