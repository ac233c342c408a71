"""How a ledger looks in a terminal; no arithmetic beyond unit changes for the eye."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.console import DASH, screen, title_of, with_sigma
from pipeline.report.ledger_text import compact, signed_value, step_title, unit_text, with_parts
from pipeline.units import PERCENT, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from rich.table import Table

Document = dict[str, Any]


def show_ledger(document: Document) -> None:
    """Print the ledger of one dose: factors with their sigmas and what stands there after each, then the sources."""
    from rich.markup import escape

    console = screen()
    name = title_of({"name": document["region"], "laterality": document["laterality"]})
    console.print(
        f"[bold]{escape(name)}[/], cycle {document['cycle']} of {escape(document['patient_key'])}, version "
        f"{document['version']} ({document['status'].lower().replace('_', ' ')}), {escape(document['method'])}"
    )
    console.print(_factors(document["entries"]))
    dose = with_sigma(document["mean_dose_gy"], document["mean_dose_sigma_gy"], 4)
    filed = with_sigma(document["filed"]["mean_dose_gy"], document["filed"]["mean_dose_sigma_gy"], 4)
    console.print(f"multiplied back [bold]{dose} Gy[/]; filed {filed} Gy\n")
    _show_sources(document["entries"])
    _show_time_points(document["time_points"])
    check = document["second_check"]
    if check:
        difference = f"{PERCENT * check['difference']:+.1f} %"
        console.print(f"second check {check['mean_dose_gy']:.3f} Gy ({difference}): [dim]{escape(check['method'])}[/]")


def _factors(entries: list[Document]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for column in ("step", "value", "unit", "sigma", "dose", "then", "unit"):
        is_unit = column == "unit"
        left = is_unit or column == "step"
        table.add_column(column, justify="left" if left else "right", no_wrap=not is_unit, overflow="fold")
    for depth, entry in with_parts(entries):
        table.add_row(
            " " * depth + step_title(entry),
            signed_value(entry),
            unit_text(entry["unit"]),
            _percent(entry["relative_sigma"]),
            _percent(entry["dose_relative_sigma"] or None),
            compact(entry["after"]),
            unit_text(entry["after_unit"]),
            style="dim" if depth else "",
        )
    return table


def _percent(part: float | None) -> str:
    if part is None:
        return DASH
    return f"{PERCENT * part:.2f} %" if part else "exact"


def _show_sources(entries: list[Document]) -> None:
    from rich.markup import escape

    for entry in entries:
        screen().print(
            f"[bold]{step_title(entry)}[/] gives the {entry['gives']}: {escape(entry['source'])}\n"
            f"  [dim]changed in: {escape(entry['changed_in'])}[/]"
        )


def _show_time_points(points: list[Document]) -> None:
    for point in (one for one in points if one["entries"]):
        chain = " ".join(f"{signed_value(e)} {unit_text(e['unit'])}".strip() for e in point["entries"])
        hours = point["delay_s"] / SECONDS_PER_HOUR
        screen().print(f"[dim]at {hours:.1f} h:[/] {chain} = {compact(point['activity_bq'])} Bq")
