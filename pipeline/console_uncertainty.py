"""How analytic and simulated uncertainty look in a terminal, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.console import DASH, number, screen
from pipeline.units import PERCENT, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from rich.table import Table

Document = dict[str, Any]

PART_TITLES = {
    "calibration": "calibration",
    "recovery": "recovery",
    "volume": "contour",
    "fit": "fit",
    "s_value": "dose per decay",
}
VERDICT_STYLE = {"agrees": "green", "analytic is wider": "yellow", "analytic is narrower": "bold red"}


def show_uncertainty(document: Document) -> None:
    """Print the regions, what dominates each, the sums against their limits, and the verdict."""
    from rich.markup import escape

    console = screen()
    console.print(
        f"[bold]{escape(document['patient_key'])}[/]: analytic budget and {document['draws']} Monte Carlo draws, "
        f"seed {document['seed']}"
    )
    if document["drafts"]:
        console.print(f"[yellow]not signed yet, counted here: cycle {', '.join(map(str, document['drafts']))}[/]")
    console.print(_table([(f"{row['cycle']} {row['region'].replace('_', ' ')}", row) for row in document["regions"]]))
    for organ, found in document["cumulative"].items():
        rows = [(f"{organ} {row['sum']}", row) for row in found["sums"]]
        cycles = "1 cycle" if found["cycles"] == 1 else f"{found['cycles']} cycles"
        console.print(f"[bold]{organ}[/] over {cycles}, limit {found['limit_gy']:g} Gy")
        console.print(_table(rows, limits=True))
    for item in document["not_simulated"]:
        console.print(f"[dim]cycle {item['cycle']}, {item['region']}: not simulated, {escape(item['why'])}[/]")
    _show_verdict(document["verdict"])


def _table(rows: list[tuple[str, Document]], *, limits: bool = False) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("dose")
    for heading in ("Gy", "sigma\nsimulated", "95 % interval\nsimulated"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("above limit\nsimulated" if limits else "dominated by", justify="right" if limits else "left")
    table.add_column("verdict\nsigma off, %")
    for title, row in rows:
        table.add_row(*_cells(title, row, _above(row) if limits else _dominant(row["parts"])))
    return table


def _cells(title: str, row: Document, last: str) -> tuple[str, ...]:
    """Return two lines for each row: the analytic value over the simulated one."""
    analytic, simulated = row["analytic"], row["simulated"]
    sigma = f"{number(simulated['sigma_gy'])} ± {number(simulated['sigma_error_gy'], 1)}"
    differs = _percent(row["sigma_difference"], row["monte_carlo_error"])
    return (
        title,
        number(row["dose_gy"]),
        f"{number(analytic['sigma_gy'])}\n{sigma}",
        f"{_interval(analytic['interval_gy'])}\n{_interval(simulated['interval_gy'])}",
        last,
        f"[{VERDICT_STYLE[row['verdict']]}]{row['verdict']}[/]\n{differs}",
    )


def _interval(ends: list[float]) -> str:
    return " to ".join(number(end) for end in ends)


def _percent(difference: float | None, error: float) -> str:
    return DASH if difference is None else f"{PERCENT * difference:+.1f} ± {PERCENT * error:.1f}"


def _above(row: Document) -> str:
    analytic, simulated = row["analytic"]["p_exceed"], row["simulated"]["p_exceed"]
    first = DASH if analytic is None else f"{PERCENT * analytic:.1f} %"
    return f"{first}\n{PERCENT * simulated:.1f} ± {PERCENT * row['simulated']['p_exceed_error']:.1f} %"


def _dominant(parts: Document) -> str:
    """Return the part with the largest share of the variance, with its share."""
    variances = {name: part["simulated"] ** 2 for name, part in parts.items()}
    total = sum(variances.values())
    if not total:
        return DASH
    name = max(variances, key=lambda part: variances[part])
    return f"{PART_TITLES[name]}\n{PERCENT * variances[name] / total:.0f} %"


def _show_verdict(verdict: Document) -> None:
    console = screen()
    worst = verdict["largest_sigma_difference"]
    within = "" if worst is None else f"; largest difference of sigma {PERCENT * worst:.1f} %"
    if verdict["agrees"]:
        console.print(
            f"[green]analytic and simulated sigma agree[/] in all {verdict['rows']} rows, within two Monte Carlo "
            f"errors and the non-linearity of 4 u²{within}"
        )
        return
    console.print(
        f"[bold red]analytic and simulated sigma differ[/]: analytic narrower in {verdict['analytic_narrower']} rows, "
        f"wider in {verdict['analytic_wider']} of {verdict['rows']}{within}; look at the rows marked"
    )


def show_schedule(document: Document) -> None:
    """Print the expected errors of the candidate schedules, the best ones, and the scan that would help most."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    spread, console = document["half_life"], screen()
    console.print(
        f"half-life {spread['median_s'] / SECONDS_PER_HOUR:.1f} h, sigma of its logarithm {spread['log_sigma']:.2f}: "
        f"{escape(spread['source'])}; {PERCENT * document['relative_error']:g} % per scan"
    )
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for column in ("scans h", "method", "error", "linear", "bias", "95 % of TIA/true"):
        table.add_column(column, justify="left" if column in {"scans h", "method"} else "right")
    for row in document["candidates"]:
        table.add_row(_scans(row["scans_h"]), row["method"], *_expected(row))
    console.print(table)
    for best in document["best"]:
        console.print(
            f"best of {best['scans']}: [bold]{_scans(best['scans_h'])} h[/] by {best['method']}, "
            f"{PERCENT * best['relative_sigma']:.1f} %"
        )
    for added in document["best_added_scan"]:
        console.print(
            f"[dim]to {_scans(added['scans_h'])} h a scan at {added['time_h']:g} h adds most: "
            f"{PERCENT * added['without']:.1f} % to {PERCENT * added['relative_sigma']:.1f} % (linear design)[/]"
        )


def _scans(hours: list[float]) -> str:
    return " + ".join(f"{hour:g}" for hour in hours)


def _expected(row: Document) -> tuple[str, ...]:
    if row["relative_sigma"] is None:
        return ("refused", "", "", row["refused"])
    interval = row["interval"]
    return (
        f"{PERCENT * row['relative_sigma']:.1f} %",
        DASH if row["linear_sigma"] is None else f"{PERCENT * row['linear_sigma']:.1f} %",
        DASH if row["bias"] is None else f"{PERCENT * row['bias']:+.1f} %",
        DASH if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}",
    )
