"""Commands on time-activity curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.application import app
from pipeline.cli.options import Head, Json, Model, Tail, emit


@app.command()
def fit(
    curves: Annotated[Path, typer.Argument(help="CSV `region,time_h,activity_bq[,sigma_bq]`.")],
    nuclide: Annotated[str, typer.Option(help="As Lu-177.")],
    model: Annotated[
        Model, typer.Option(help="`auto` chooses by AICc among what the points carry, `average` weighs them by it.")
    ] = Model.AUTO,
    head: Annotated[Head, typer.Option(help="Before the first point.")] = Head.EXTRAPOLATE,
    tail: Annotated[Tail, typer.Option(help="After the last point.")] = Tail.FITTED,
    as_json: Json = False,
) -> None:
    """Fit time-activity curves and integrate them.

    Example: `prrt fit curves.csv --nuclide Lu-177 --head constant`
    """
    from pipeline.console import show_rows
    from pipeline.steps.fit_curves import fit_file

    columns = {
        "region": "region",
        "model": "model",
        "effective_half_life_s": "T_eff s",
        "tia_bq_s": "TIA Bq s",
        "tia_sigma_bq_s": "sigma Bq s",
        "tia_ci95_bq_s": "95 % Bq s",
        "extrapolated_fraction": "extrapolated",
        "flags": "flags",
    }
    document = fit_file(curves, nuclide, model.value, head.value, tail.value)
    emit(document, as_json, lambda d: show_rows("Fits", d["regions"], columns))
