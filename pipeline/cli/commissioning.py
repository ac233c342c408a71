"""The command that validates the installed product on the user's machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.application import app
from pipeline.cli.options import EXIT_DEFECT, BackendName, Json, emit


@app.command()
def validate(
    out: Annotated[Path, typer.Option(help="Folder for validation.json and validation.pdf.")],
    backend: Annotated[
        BackendName, typer.Option(help="`gpu` fails without one; `auto` falls back and says so.")
    ] = BackendName.AUTO,
    as_json: Json = False,
) -> None:
    """Run the product's own validation and write the document that a physicist files.

    Takes about half a minute. Exit code 1 where a row fails: a defect of ours or of this installation.

    Example: `prrt validate --out validation`
    """
    from pipeline.console import progress
    from pipeline.console_validation import show_validation
    from pipeline.steps.validate import validate_product

    with progress("Validation", quiet=as_json) as announce:
        document = validate_product(out, backend.value, announce)
    emit(document, as_json, lambda d: show_validation(d, out))
    if document["verdict"] == "fail":
        raise typer.Exit(EXIT_DEFECT)
