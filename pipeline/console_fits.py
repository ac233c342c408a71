"""How fitted curves look in a terminal: units in the heads, nothing cut off at 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.console import screen
from pipeline.report.text import DASH, decimals_for, fixed, hours, percent, signed_percent, with_sigma
from pipeline.units import BQ_PER_GBQ, BQ_PER_MBQ, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from rich.table import Table

Document = dict[str, Any]

UNITS = ((BQ_PER_GBQ, "GBq h"), (BQ_PER_MBQ, "MBq h"), (1.0, "Bq h"))


def show_fits(document: Document) -> None:
    """Print one row for each curve, then what is to be known about single ones: flags, and what was assumed."""
    from rich.markup import escape
    from rich.padding import Padding

    console = screen()
    console.print(fits_table(document))
    for fit in document["regions"]:
        for note in notes_of(fit):
            console.print(Padding(f"[bold]{escape(_title(fit))}[/]: {note}", (0, 0, 0, 1), expand=False))
    if document["ignored_columns"]:
        console.print(f" [yellow]columns not read:[/] {escape(', '.join(document['ignored_columns']))}")


def fits_table(document: Document) -> Table:
    """Return the table of all fits; the TIA is in the unit that suits the largest."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    fits = document["regions"]
    factor, unit = _unit_for(max(fit["tia_bq_s"] for fit in fits))
    title = f"Fits of {document['nuclide']}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("region", overflow="fold", min_width=10)
    table.add_column("model", overflow="fold")
    for heading in ("T_eff\nh", f"TIA\n{unit}", f"95 % interval\n{unit}", "outside\npoints"):
        table.add_column(heading, justify="right", no_wrap=True)
    for fit in fits:
        table.add_row(escape(_title(fit)), fit["model"], *_numbers(fit, factor))
    return table


def _unit_for(largest_bq_s: float) -> tuple[float, str]:
    """Return the largest unit of which there is at least one, as Bq s and its name."""
    suited = [(bq * SECONDS_PER_HOUR, name) for bq, name in UNITS if largest_bq_s >= bq * SECONDS_PER_HOUR]
    return suited[0] if suited else (UNITS[-1][0] * SECONDS_PER_HOUR, UNITS[-1][1])


def _title(fit: Document) -> str:
    return fit["region"] if fit["cycle"] is None else f"{fit['region']}, cycle {fit['cycle']}"


def _numbers(fit: Document, factor: float) -> tuple[str, str, str, str]:
    half_life, half_life_sigma = fit["effective_half_life_s"], fit.get("effective_half_life_sigma_s")
    sigma = fit["tia_sigma_bq_s"]
    decimals = decimals_for(None if sigma is None else sigma / factor)
    interval = fit["tia_ci95_bq_s"]
    return (
        hours(half_life) + ("" if half_life_sigma is None else f" ± {hours(half_life_sigma)}"),
        with_sigma(fit["tia_bq_s"] / factor, None if sigma is None else sigma / factor),
        DASH if interval is None else " to ".join(fixed(end / factor, decimals) for end in interval),
        percent(fit["extrapolated_fraction"]),
    )


def notes_of(fit: Document) -> list[str]:
    """Return, as mark-up, flags of a fit and where its half-life was assumed."""
    from rich.markup import escape

    notes = [f"[yellow]{', '.join(fit['flags'])}[/]"] if fit["flags"] else []
    if fit["half_life_source"]:
        notes.append(f"half-life from {escape(fit['half_life_source'])}, {percent(fit['assumed_fraction'])} assumed")
    if fit["bias_relative"]:
        notes.append(f"bias of the method {' to '.join(signed_percent(end) for end in fit['bias_relative'])}")
    return notes
