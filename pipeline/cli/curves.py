"""Commands on time-activity curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.application import app
from pipeline.cli.options import Head, Json, Model, Tail, emit


@app.command()
def fit(
    curves: Annotated[Path, typer.Argument(help="CSV or .xlsx `region,time_h,activity_bq[,sigma_bq]`.")],
    nuclide: Annotated[str, typer.Option(help="As Lu-177.")],
    model: Annotated[
        Model, typer.Option(help="`auto` chooses by AICc among what the points carry, `average` weighs them by it.")
    ] = Model.AUTO,
    head: Annotated[Head, typer.Option(help="Before the first point.")] = Head.EXTRAPOLATE,
    tail: Annotated[Tail, typer.Option(help="After the last point.")] = Tail.FITTED,
    out: Annotated[Path | None, typer.Option(help="Table of the results, .csv or .xlsx.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture, .png or .svg: points, fit, 95 % band, residuals.")] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            help="For curves of one point: `population`, `haenscheid`, `madsen`, or a CSV with `region`, "
            "`half_life_h`, `half_life_sigma_h`. Without it one point is refused."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit time-activity curves and integrate them.

    With a column `cycle`, all cycles of a region share the patient's half-life: a cycle of one scan has a TIA too.

    Example: `prrt fit curves.csv --nuclide Lu-177 --head constant --out fits.xlsx --plot fits.svg`
    """
    from pipeline.console_fits import show_fits
    from pipeline.steps.fit_curves import fit_file
    from pipeline.steps.fit_outputs import require_fit_outputs, write_fit_outputs

    require_fit_outputs(curves, out, plot)
    document = fit_file(curves, nuclide, model.value, head.value, tail.value, prior)
    write_fit_outputs(document, out, plot)
    emit(document, as_json, show_fits)
