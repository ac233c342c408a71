"""Commands on uncertainty: of what is filed, and of what a scan schedule promises."""

from __future__ import annotations

from datetime import UTC, datetime
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
    from pipeline.records.store import open_store
    from pipeline.steps.uncertainty import simulate_uncertainty

    day = parse_date(on, "--on") if on else datetime.now(UTC).date()
    with open_store(records) as store:
        document = simulate_uncertainty(store, patient, on=day, draws=simulate, seed=seed, cycle=cycle)
    emit(document, as_json, show_uncertainty)
