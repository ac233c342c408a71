"""How results look in a terminal: tables and colours; no arithmetic beyond unit changes for the eye."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.units import BQ_PER_GBQ, PERCENT, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

Document = dict[str, Any]

OUTCOME_STYLE = {"GIVE": "bold green", "WAIT": "bold yellow", "REFER": "bold magenta", "STOP": "bold red"}
LEVEL_STYLE = {"INFO": "dim", "WARN": "yellow", "BLOCK": "bold red"}
DASH = "–"


def screen() -> Console:
    """Return a console on standard output."""
    from rich.console import Console

    return Console(highlight=False)


def errors() -> Console:
    """Return a console on standard error; progress and refusals go there."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(document: Document) -> None:
    """Write the one JSON document of a ``--json`` call to standard output."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def show_refusal(document: Document) -> None:
    """Say what was found, what is needed and what to do."""
    from rich.markup import escape

    error = document["error"]
    console = errors()
    console.print(f"[bold red]Refused[/] [bold]{error['code']}[/] {escape(error['where'])}")
    for name in ("found", "needed", "do"):
        console.print(f"  [dim]{name:>6}[/]  {escape(error[name])}")


@contextmanager
def progress(title: str, *, quiet: bool) -> Iterator[Callable[[str, int], None]]:
    """Show a progress bar on standard error; yields ``announce(step, steps_in_all)``."""
    if quiet:
        yield lambda _step, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors(), transient=False) as bar:
        running = bar.add_task(title, total=None, completed=-1)

        def announce(step: str, total: int) -> None:
            bar.update(running, description=f"{title}: {step}", total=total, advance=1)

        yield announce
        bar.update(running, description=title, completed=bar.tasks[0].total or 1)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with significant digits, or a dash for a missing one."""
    if value is None:
        return DASH
    # From 1000 on, significant digits would turn into an exponent.
    return f"{value:.0f}" if abs(value) >= 10.0**digits else f"{value:.{digits}g}"


def with_sigma(value: float | None, sigma: float | None, digits: int | None = None) -> str:
    """Return ``value ± sigma`` with the same number of decimals; none asked for: two from 1 on, three below."""
    if value is None:
        return DASH
    digits = (2 if value >= 1.0 else 3) if digits is None else digits
    return f"{value:.{digits}f}" if sigma is None else f"{value:.{digits}f} ± {sigma:.{digits}f}"


def title_of(region: Document) -> str:
    """Return ``left kidney`` for a kidney with laterality, the name otherwise."""
    name = str(region["name"]).replace("_", " ")
    return f"{region['laterality']} {name}" if region.get("laterality") else name


def show_result(result: Document) -> None:
    """Print the regions, checks and flags of a processed cycle."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = f"Cycle {result['cycle']} of {result['patient_key']}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("region", "mL", "T_eff h", "GBq h", "Gy", "Gy/GBq", "method"):
        table.add_column(column, justify="left" if column in {"region", "method"} else "right")
    given_gbq = result["administration"]["activity_bq"] / BQ_PER_GBQ
    for region in result["regions"]:
        dose, half_life_s, tia = region["mean_dose_gy"], region["effective_half_life_s"], region["tia_bq_s"]
        table.add_row(
            title_of(region),
            number(region["volume_ml"]),
            number(None if half_life_s is None else half_life_s / SECONDS_PER_HOUR),
            number(None if tia is None else tia / BQ_PER_GBQ / SECONDS_PER_HOUR),
            with_sigma(dose, region["mean_dose_sigma_gy"]),
            number(None if dose is None else dose / given_gbq),
            region["method"],
        )
    screen().print(table)
    checks = result["second_check"]
    passed = sum(check["passed"] for check in checks)
    style = "green" if passed == len(checks) else "bold red"
    screen().print(f"[{style}]Second check: {passed} of {len(checks)} values agree within their tolerance[/]")
    show_flags(result["flags"])


def show_flags(flags: list[Document]) -> None:
    """Print every flag with its level; equal ones once, with the regions they concern."""
    from rich.markup import escape
    from rich.padding import Padding

    from pipeline.report.flag_groups import gravest_first, grouped

    console = screen()
    for group in grouped(gravest_first(flags)):
        place = f" [dim]{escape(group.regions)}[/]" if any(group.region_keys) else ""
        console.print(f"[{LEVEL_STYLE[group.level]}]{group.level:>5}[/] {group.code}{place}")
        for line in group.lines:
            console.print(Padding(escape(line), (0, 0, 0, 6)))


def show_decision(decision: Document) -> None:
    """Print the decision with every reason and its source."""
    from rich.markup import escape

    console = screen()
    activity = f" {decision['activity_gbq']:.2f} GBq" if decision["activity_gbq"] is not None else ""
    console.print(
        f"Decision on {decision['on']}: [{OUTCOME_STYLE[decision['outcome']]}]{decision['outcome']}{activity}[/]"
        "  [dim](a proposal; the physician decides)[/]"
    )
    for reason in decision["reasons"]:
        console.print(
            f"  [{OUTCOME_STYLE[reason['level']]}]{reason['level']:>5}[/] {reason['code']} "
            f"(row {reason['row']}): {escape(reason['text'])} [dim]({escape(reason['source'])})[/]"
        )
    for name in ("advisories", "options"):
        if decision[name]:
            console.print(f"  [dim]{name}:[/] {escape(', '.join(decision[name]))}")
    cumulative, projected = decision["cumulative"], decision["projected"]
    console.print(
        f"  kidney {with_sigma(cumulative['kidney_gy'], cumulative['kidney_sigma_gy'])} Gy signed so far, "
        f"{number(projected.get('kidney_gy'))} Gy after the next cycle; marrow "
        f"{with_sigma(cumulative['marrow_gy'], cumulative['marrow_sigma_gy'])} Gy ({cumulative['marrow_method']})"
    )
    console.print(
        f"  earliest {decision['earliest_date'] or DASH}, deadline for recovery {decision['deadline'] or DASH}"
    )


STATE_STYLE = {"processed": "bold green", "waiting": "yellow", "refused": "bold red"}


def show_study(study: Document) -> None:
    """Print one line about a study of an inbox: processed, waiting (what for), refused (why)."""
    from rich.markup import escape

    look = "  [bold magenta]a person must look[/]" if study["needs_a_person"] else ""
    screen().print(
        f"[{STATE_STYLE[study['state']]}]{study['state']:<9}[/] [bold]{escape(study['name'])}[/]  "
        f"{escape(_about(study))}{look}",
        soft_wrap=True,
    )


def _about(study: Document) -> str:
    if study["state"] == "waiting":
        return f"for {study['waiting_for']}"
    if study["state"] == "refused":
        error = study["error"]
        return f"{error['code']}: found {error['found']}; needed {error['needed']}; {error['do']}"
    return f"{study['patient_key']}, cycle {study['cycle']}, version {study['version']}: {study['out']}"


def show_study_count(document: Document) -> None:
    """Print how many studies of an inbox are in which state."""
    states = [study["state"] for study in document["studies"]]
    counts = [f"{states.count(state)} {state}" for state in STATE_STYLE if state in states]
    if document["ignored"]:
        counts.append(f"{document['ignored']} loose files left aside")
    screen().print(f"[dim]{', '.join(counts) or 'no study'}[/]")


def show_rows(title: str, rows: list[Document], columns: dict[str, str]) -> None:
    """Print a plain table of ``rows``; ``columns`` maps key to heading."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading in columns.values():
        table.add_column(heading)
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in columns))
    screen().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return DASH if value is None else str(value)


def show_found_against_true(rows: list[Document]) -> None:
    """Print the phantom's truth beside what the product found; the dose with its stated sigma."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title="Found against true", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("cycle, region")
    for column in ("MBq", "true", "GBq h", "true", "Gy", "true", "off"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            f"{row['cycle']} {row['region']}",
            number(row["activity_mbq"]),
            number(row["true_activity_mbq"]),
            number(row["tia_gbq_h"]),
            number(row["true_tia_gbq_h"]),
            with_sigma(row["dose_gy"], row["dose_sigma_gy"]),
            number(row["true_dose_gy"]),
            f"{row['off'] * PERCENT:+.1f} %",
        )
    console = screen()
    console.print(table)
    console.print(
        "[dim]MBq at the first scan; TIA; mean dose with its stated sigma. Marrow is by blood and the published S "
        "value of marrow in bone, the phantom's is a uniform solid; the aorta's early phase is not seen "
        "(docs/validation.md).[/]"
    )


def show_calibration(document: Document) -> None:
    """Print the factor, sensitivity, recovery and dead time of a calibration, its flags and files."""
    console = screen()
    calibration, sensitivity = document["calibration"], document["sensitivity"]
    console.print(f"Camera {document['camera_id']}: {document['geometry']}")
    if calibration:
        factor, sigma = calibration["calibration_factor_bq_s_per_count"], calibration["relative_sigma"]
        console.print(f"  factor       {factor:.6g} Bq s per count ± {PERCENT * sigma:.1f} %")
    if sensitivity:
        console.print(f"  sensitivity  {sensitivity['cps_per_mbq_per_head']:.3g} counts/s per MBq and head")
    if document["recovery"]:
        recovery = document["recovery"]
        console.print(f"  recovery     b {recovery['b_ml']:.3g} mL, c {recovery['c']:.3g}")
    if document["dead_time"]:
        console.print(f"  dead time    {document['dead_time']['dead_time_s']:.3g} s")
    show_flags(document["flags"])
    for path in document["files"].values() if isinstance(document["files"], dict) else document["files"]:
        console.print(f"  wrote {path}")


def show_kernel(document: Document) -> None:
    """Print the central S values, the energy they hold, and what was written."""
    columns = {"k": "k (z, y, x)", "electron": "electron", "photon": "photon", "total": "total"}
    show_rows(f"S values, {document['unit']}", document["s_values"][:40], columns)
    energy = document["energy"]
    screen().print(
        f"{energy['total_kev']:.2f} keV per decay inside ({energy['electron_kev']:.2f} electrons, "
        f"{energy['photon_kev']:.2f} photons)"
    )
    for path in document["files"].values():
        screen().print(f"wrote {path}")


def show_kernel_comparison(document: Document) -> None:
    """Print a kernel from elsewhere beside ours."""
    rows = [
        row
        | {
            "off": DASH if row["difference"] is None else f"{PERCENT * row['difference']:+.2f} %",
            "may": f"{PERCENT * row['tolerance']:g} %",
            "verdict": "within" if row["within"] else "BEYOND",
        }
        for row in document["rows"]
    ]
    columns = {"place": "place", "at": "at", "ours": "ours", "theirs": "theirs", "off": "off", "may": "may be"}
    title = f"{document['file']} against {document['nuclide']} in {document['medium']}"
    show_rows(f"{title}, {document['unit']} (energy: keV per decay)", rows, columns | {"verdict": ""})
