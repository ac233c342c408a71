"""Commands on studies: what they are, and their way to a filed dose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.application import app
from pipeline.cli.options import EXIT_LOOK, BackendName, Document, Engine, Json, Records, emit


@app.command()
def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders of DICOM.")],
    as_json: Json = False,
) -> None:
    """Say what each series is, how it is encoded, and whether it may be used.

    Example: `prrt inspect demo/cycle-1`
    """
    from pipeline.console_studies import show_series
    from pipeline.steps.inspect_series import inspect_paths

    emit(inspect_paths(paths), as_json, show_series)


@app.command()
def process(
    studies: Annotated[list[Path], typer.Argument(help="Folders of one patient and one cycle.")],
    site: Annotated[Path, typer.Option(help="Site profile (see `prrt init-site`).")],
    records: Records,
    out: Annotated[Path, typer.Option(help="Folder for result.json, report.pdf, maps and pictures.")],
    cycle_form: Annotated[Path | None, typer.Option(help="Cycle form (see `prrt init-cycle`).")] = None,
    blood: Annotated[Path | None, typer.Option(help="CSV `time_h,activity_bq_per_ml`.")] = None,
    contours: Annotated[list[Path] | None, typer.Option(help="Label map (.nii.gz, its .json beside it).")] = None,
    engine: Annotated[Engine, typer.Option(help="Dose engine.")] = Engine.CONVOLUTION,
    backend: Annotated[BackendName, typer.Option(help="`gpu` fails without one; `auto` falls back and says so.")] = (
        BackendName.AUTO
    ),
    as_json: Json = False,
) -> None:
    """Process one cycle: DICOM to dose, filed with its provenance and reported.

    An interrupted run resumes: give the same command again.

    Example: `prrt process demo/cycle-1 --site demo/site.toml --cycle-form demo/cycle-1/cycle.toml
    --records sqlite:///demo/records.db --out demo/out-1`
    """
    from pipeline.console import progress, show_decision, show_result
    from pipeline.steps.attention import needs_a_person
    from pipeline.steps.request import request_document, require_forms

    request = request_document(
        studies=studies,
        site=site,
        cycle_form=cycle_form,
        blood=blood,
        contours=contours or [],
        engine=engine.value,
        backend=backend.value,
        out=out,
    )
    require_forms(request)
    with progress("process", quiet=as_json) as announce:
        from flows.cycle import run_cycle

        filed = run_cycle(request, records=records, out=out, announce=announce)

    def show(result: Document) -> None:
        show_result(result)
        show_decision(result["decision"])
        typer.echo(f"page     {out / 'index.html'}\nreport   {out / 'report.pdf'}\nresult   {out / 'result.json'}")
        typer.echo(
            "filed as a draft: sign it with `prrt sign`"
            if filed["created"]
            else "already filed before: nothing changed"
        )

    result = filed["result"]
    emit(result, as_json, show)
    raise typer.Exit(EXIT_LOOK if needs_a_person(result) else 0)


@app.command()
def watch(
    inbox: Annotated[Path, typer.Argument(help="Folder that receives studies: one sub-folder or zip per cycle.")],
    site: Annotated[Path, typer.Option(help="Site profile (see `prrt init-site`).")],
    records: Records,
    out: Annotated[Path, typer.Option(help="Folder for the results, one sub-folder per study.")],
    once: Annotated[bool, typer.Option("--once", help="Handle what is there and end.")] = False,
    parallel: Annotated[int, typer.Option(help="Studies at the same time.", min=1, max=64)] = 2,
    stable_s: Annotated[float, typer.Option(help="A study is whole when nothing changed for so long.", min=0.1)] = 10.0,
    give_up_h: Annotated[float, typer.Option(help="A study that waits longer needs a person.", min=0.0)] = 24.0,
    engine: Annotated[Engine, typer.Option(help="Dose engine.")] = Engine.CONVOLUTION,
    backend: Annotated[BackendName, typer.Option(help="`gpu` fails without one; `auto` falls back and says so.")] = (
        BackendName.AUTO
    ),
    as_json: Json = False,
) -> None:
    """Process every study that arrives complete in a folder, each once; say what the others wait for.

    A study holds the DICOM of one cycle, its `cycle.toml`, and `blood.csv` and `contours.nii.gz` where there are any.
    A watch that was killed loses nothing: start it again.

    Example: `prrt watch inbox --site site.toml --records sqlite:///records.db --out results --once`
    """
    from flows.watch import WatchWish
    from flows.watch import watch as watch_inbox
    from pipeline.console import show_study, show_study_count

    wish = WatchWish(inbox, site, records, out, parallel, stable_s, give_up_h, engine.value, backend.value)
    handled = watch_inbox(wish, once=once, tell=(lambda _: None) if as_json else show_study)
    emit(handled, as_json, show_study_count)
    raise typer.Exit(EXIT_LOOK if any(study["needs_a_person"] for study in handled["studies"]) else 0)
