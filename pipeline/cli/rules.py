"""Commands on the clinical rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.application import rules_app
from pipeline.cli.options import EXIT_DEFECT, Json, emit


@rules_app.command("check")
def rules_check(
    cases: Annotated[Path, typer.Argument(help="JSON list of cases.")],
    as_json: Json = False,
) -> None:
    """Run decision cases through the rules; exit 1 where one with `expected` disagrees.

    Example: `prrt rules check cases.json`
    """
    from pipeline.console import show_rows
    from pipeline.steps.rules_check import check_rules

    document = check_rules(cases)
    columns = {"id": "case", "outcome": "outcome", "reasons": "reasons", "advisories": "advisories", "agrees": "agrees"}
    emit(document, as_json, lambda d: show_rows("Cases", d["cases"], columns))
    raise typer.Exit(EXIT_DEFECT if any(case["agrees"] is False for case in document["cases"]) else 0)
