"""The command line's root, on which every module of this package hangs its commands."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="prrt",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Image-based dosimetry for 177Lu-DOTATATE therapy: from DICOM to a signed decision.

    **First steps**

    `prrt demo` walks a phantom patient from DICOM to a decision. Step by step: `prrt phantom demo` makes a patient as
    DICOM, with site profile, cycle forms and truth.

    `prrt process demo/cycle-1 --site demo/site.toml --cycle-form demo/cycle-1/cycle.toml --blood demo/cycle-1/blood.csv
    --records sqlite:///demo/records.db --out demo/out-1` quantifies, fits, computes the dose and files it.

    `prrt record`, `prrt sign` and `prrt decide` follow. For your own camera start with `prrt init-site site.toml`.

    **Exit codes**: 0 done; 1 a defect of ours; 2 the input was refused and nothing was filed; 3 done, but a person must
    look.
    """,
)
rules_app = typer.Typer(no_args_is_help=True, help="The clinical rules on their own.")
app.add_typer(rules_app, name="rules")


def _show_version(asked: bool) -> None:
    if not asked:
        return
    from pipeline.files.code_version import code_version

    typer.echo(f"prrt-dosimetry {code_version()}")
    raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of the command itself; its help stands above."""
