"""How image series and phantoms look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.console import DASH, number, screen
from pipeline.report.text import moment
from pipeline.units import BQ_PER_GBQ, BQ_PER_MBQ

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

Document = dict[str, Any]

END_OF_UID = 16


def show_series(document: Document) -> None:
    """Print what `inspect` found, and why a series may not be used."""
    console = screen()
    console.print(series_table(document["series"]))
    for place, series in enumerate(document["series"], start=1):
        if not series["accepted"]:
            uid = str(series["series_uid"])[-END_OF_UID:]
            console.print(f" [bold]{place}[/] not used: [yellow]{series['reason']}[/] [dim]series ...{uid}[/]")


def series_table(series: list[Document]) -> Table:
    """Return one row for each series, at most 80 columns wide."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title="Series", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("#", "kind", "used", "acquired", "shape", "voxel\nmm", "unit", "given\nMBq"):
        table.add_column(heading, no_wrap=True)
    for place, one in enumerate(series, start=1):
        table.add_row(str(place), *_cells(one))
    return table


def _cells(series: Document) -> list[str]:
    injected, used = series["injected_activity_bq"], "yes" if series["accepted"] else "[bold red]no[/]"
    nuclide = series["radionuclide"] or ""
    return [
        "\n".join(filter(None, (series["kind"], series["dialect"]))),
        used,
        moment(series["acquisition_start"])[:16],
        "x".join(map(str, series["shape"] or [])),
        _spacing(series["spacing_mm"] or []),
        series["unit"] or DASH,
        f"{nuclide}\n{number(injected / BQ_PER_MBQ, 4)}" if injected is not None else nuclide,
    ]


def _spacing(sides_mm: list[float]) -> str:
    """Return the sides of a voxel one below the other, a cube's once."""
    sides = [f"{side:.3g}" for side in sides_mm]
    return sides[0] if len(set(sides)) == 1 else "\n".join(sides)


def show_phantom(truth: Document, out: Path) -> None:
    """Print what a phantom holds, where it lies, and the command that comes next."""
    console = screen()
    for cycle in truth["cycles"]:
        given = f"{cycle['activity_bq'] / BQ_PER_GBQ:.2f} GBq on {moment(cycle['administered_at'])}"
        held = f"scans: {len(cycle['acquisition_starts'])}, regions: {len(cycle['regions'])}"
        console.print(f"cycle {cycle['cycle']}: {given}; {held}")
    console.print(f"wrote {out}: DICOM, site profile, forms, contours, truth.json (what is true; --json prints it)")
    # One line, however wide the terminal is: it is there to be copied.
    console.print(f"next: {_next_command(out, out / 'cycle-1')}", soft_wrap=True)


def _next_command(out: Path, cycle: Path) -> str:
    if (out / "calibration.toml").exists():
        return f"prrt calibrate {cycle} --form {out / 'calibration.toml'} --out {out / 'calibration'}"
    return (
        f"prrt process {cycle} --site {out / 'site.toml'} --cycle-form {cycle / 'cycle.toml'} "
        f"--blood {cycle / 'blood.csv'} --records sqlite:///{out / 'records.db'} --out {out / 'out-1'}"
    )
