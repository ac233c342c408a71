"""Commands on uncertainty: of what is filed, and of what a scan schedule promises."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.application import app
from pipeline.cli.options import Json, Patient, Records, emit, parse_date


@app.command()
def uncertainty(
    patient: Patient,
    records: Records,
    simulate: Annotated[int, typer.Option(help="Draws; 10000 tell a sigma to 0.7 %.")] = 10_000,
    cycle: Annotated[int | None, typer.Option(help="Only this cycle's regions; sums go over all cycles.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same numbers.")] = 1,
    on: Annotated[str | None, typer.Option(help="Day of the projection, YYYY-MM-DD; default today.")] = None,
    as_json: Json = False,
) -> None:
    """Propagate the uncertainty of the filed doses by Monte Carlo and set it beside the analytic budget.

    Each region's sigma and 95 % interval, the cumulative kidney and marrow dose, and the probability of exceeding the
    limit now and after the next cycle. Nothing is filed.

    Example: `prrt uncertainty phantom-1 --records sqlite:///demo/records.db --simulate 10000`
    """
    from pipeline.console_uncertainty import show_uncertainty
    from pipeline.records.store import open_existing
    from pipeline.steps.uncertainty import simulate_uncertainty

    day = parse_date(on, "--on") if on else datetime.now(UTC).date()
    with open_existing(records) as store:
        document = simulate_uncertainty(store, patient, on=day, draws=simulate, seed=seed, cycle=cycle)
    emit(document, as_json, show_uncertainty)


@app.command()
def schedule(
    candidates: Annotated[list[str], typer.Option(help='Hours of the scans, as "24,96"; may be given again.')],
    nuclide: Annotated[str, typer.Option(help="As Lu-177.")],
    population: Annotated[str | None, typer.Option(help="kidney, liver, spleen or lesion (177Lu-DOTATATE).")] = None,
    patient: Annotated[str | None, typer.Option(help="Patient key: the patient's own half-life.")] = None,
    records: Annotated[str | None, typer.Option(help="Record database, with --patient.")] = None,
    region: Annotated[str, typer.Option(help="Region of the patient.")] = "kidney",
    relative_error: Annotated[float, typer.Option(help="One sigma of each scan's activity.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Same seed, same numbers.", min=0)] = 1,
    out: Annotated[Path | None, typer.Option(help="Picture, .png or .svg.")] = None,
    as_json: Json = False,
) -> None:
    """Say what error of the time-integrated activity each scan schedule promises, and which scan would help most.

    Example: `prrt schedule --nuclide Lu-177 --population kidney --candidates "24,96" --candidates "24,168"
    --candidates 96 --out schedule.png`
    """
    from pipeline.console_uncertainty import show_schedule
    from pipeline.records.store import open_existing
    from pipeline.steps.schedule import half_life_of, schedule_document, write_schedule_plot

    with ExitStack() as opened:
        store = opened.enter_context(open_existing(records)) if records else None
        spread = half_life_of(nuclide_name=nuclide, population=population, patient=patient, store=store, region=region)
    document = schedule_document(
        spread=spread, nuclide_name=nuclide, candidates=candidates, relative_error=relative_error, seed=seed
    )
    if out is not None:
        write_schedule_plot(out, document)
    emit(document, as_json, show_schedule)
