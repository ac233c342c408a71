"""Commands that make patients to try the product on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.application import app
from pipeline.cli.options import Dialect, Json, Kind, emit


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    kind: Annotated[Kind, typer.Option(help="What to make.")] = Kind.PATIENT,
    dialect: Annotated[Dialect, typer.Option(help="How the SPECT is encoded.")] = Dialect.NM_COUNTS,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 1,
    perfect: Annotated[bool, typer.Option("--perfect", help="No blur, noise or motion; mono-exponential.")] = False,
    fault: Annotated[str | None, typer.Option(help="Put a fault in (docs/faults.md lists them).")] = None,
    as_json: Json = False,
) -> None:
    """Make a phantom as real DICOM, with site profile, forms, contours and truth.

    Example: `prrt phantom demo --seed 7`
    """
    from pipeline.console import errors
    from pipeline.console_studies import show_phantom
    from sample_dicom.write import write_phantom

    say = None if as_json else errors().print
    made = write_phantom(
        out, kind=kind.value, dialect=dialect.value, seed=seed, perfect=perfect, fault=fault, progress=say
    )
    emit(made, as_json, lambda truth: show_phantom(truth, out))


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write.")] = Path("demo-out"),
    seed: Annotated[int, typer.Option(help="Same seed, same patient.")] = 1,
) -> None:
    """Make a phantom patient and walk two cycles of it: process, record, sign, decide. Takes two to four minutes.

    Example: `prrt demo demo-out`
    """
    from flows.demo import run_demo

    run_demo(out, seed)
