"""How a validation looks in a terminal: one line for each chapter, and every row that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.console import DASH, errors, number, screen

if TYPE_CHECKING:
    from pathlib import Path

STYLE = {"pass": "bold green", "fail": "bold red"}


def show_validation(document: dict[str, Any], out: Path) -> None:
    """Print the verdict of each chapter and the failed rows."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("chapter")
    for heading in ("pass", "fail", "information", "not run", "s"):
        table.add_column(heading, justify="right")
    for chapter in document["chapters"]:
        counts = [str(n) if n else DASH for n in chapter["counts"].values()]
        table.add_row(chapter["title"], *counts, f"{chapter['seconds']:.1f}")
    screen().print(table)
    for row in document["rows"]:
        if row["verdict"] == "fail":
            found = f"{number(row['number'], 4)} against {number(row['reference'], 4)} {row['unit']}"
            errors().print(f"[bold red]fail[/] {escape(row['what'])}: {escape(found)}")
    verdict = document["verdict"]
    screen().print(f"[{STYLE[verdict]}]{verdict.upper()}[/]  {escape(str(out / 'validation.pdf'))}")
