"""Commands that set a site up: calibration and forms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.application import app
from pipeline.cli.options import Json, emit


@app.command()
def calibrate(
    scans: Annotated[list[Path], typer.Argument(help="Folders of the phantom scans.")],
    form: Annotated[Path, typer.Option(help="Calibration form (see `prrt init-calibration`).")],
    out: Annotated[Path, typer.Option(help="Folder for camera.toml, calibration.json and the page.")],
    as_json: Json = False,
) -> None:
    """Turn phantom scans with known activities into a camera's section of the site profile.

    Example: `prrt calibrate cylinder/cycle-1 nema/cycle-1 --form calibration.toml --out calibration`
    """
    from pipeline.console import show_calibration
    from pipeline.steps.calibrate import calibrate_scans

    emit(calibrate_scans(scans, form, out), as_json, show_calibration)


@app.command("init-calibration")
def init_calibration(path: Annotated[Path, typer.Argument(help="File to write.")] = Path("calibration.toml")) -> None:
    """Write a commented calibration form to fill in."""
    from pipeline.steps.init_files import write_calibration_form_template

    write_calibration_form_template(path)
    typer.echo(f"wrote {path}: fill it in, then run `prrt calibrate --form {path}`")


@app.command("init-site")
def init_site(path: Annotated[Path, typer.Argument(help="File to write.")] = Path("site.toml")) -> None:
    """Write a commented site profile to fill in."""
    from pipeline.steps.init_files import write_site_template

    write_site_template(path)
    typer.echo(f"wrote {path}: fill in what has no default, then run `prrt process --site {path}`")


@app.command("init-cycle")
def init_cycle(path: Annotated[Path, typer.Argument(help="File to write.")] = Path("cycle.toml")) -> None:
    """Write a commented cycle form to fill in."""
    from pipeline.steps.init_files import write_cycle_form_template

    write_cycle_form_template(path)
    typer.echo(f"wrote {path}: fill it in, then run `prrt process --cycle-form {path}`")
