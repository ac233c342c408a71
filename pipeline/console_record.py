"""How a patient's record looks in a terminal: what is on it, what was added, who signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.console import DASH, number, screen
from pipeline.report.text import moment
from pipeline.units import BQ_PER_GBQ

if TYPE_CHECKING:
    from rich.padding import Padding
    from rich.table import Table

Document = dict[str, Any]

# Of an entry's identity as much as names it; `supersedes` takes it.
ID_LENGTH = 8
UNITS = {"wbc": "10^9/L", "granulocytes": "10^9/L", "platelets": "10^9/L", "haemoglobin": "g/L", "creatinine": "umol/L"}
STATUS: dict[str, str] = {"DRAFT": "draft", "PHYSICIST_SIGNED": "signed", "PHYSICIAN_DECIDED": "decided"}
ABOUT = frozenset({"entry_id", "kind", "date", "supersedes", "superseded_by", "recorded_by", "recorded_at"})


def show_record(document: Document) -> None:
    """Print the cycles with version, status and doses, then every entry in the order of its day."""
    from rich.markup import escape

    console = screen()
    seen = f", as recorded by {document['as_of']}" if document["as_of"] else ""
    console.print(f"[bold]{escape(document['patient_key'])}[/]{seen}")
    console.print(_cycles_table(document["cycles"]))
    entries = [entry | {"kind": kind} for kind in ("labs", "imaging", "events") for entry in document[kind]]
    for entry in sorted(entries, key=lambda one: str(one["date"])):
        replaced = " [dim](corrected by a later entry)[/]" if entry["superseded_by"] else ""
        console.print(_hanging(f"{entry_line(entry)}{replaced}", 1))
    audit = document["audit"]
    state = "intact" if audit["intact"] else f"[bold red]NOT INTACT[/]: {escape('; '.join(audit['problems']))}"
    console.print(f" [dim]audit log of {audit['entries']} entries:[/] {state}")
    console.print(" [dim]everything, with the results themselves: --json[/]")


def _cycles_table(cycles: list[Document]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("cycle", "version", "given", "GBq", "kidneys Gy", "marrow Gy", "status"):
        table.add_column(heading, no_wrap=True)
    table.add_column("signed by", overflow="fold")
    for cycle in cycles:
        table.add_row(*_cycle_cells(cycle))
    return table


def _cycle_cells(cycle: Document) -> list[str]:
    latest = cycle["versions"][-1]
    result = latest["result"]
    given = result["administration"]
    kidneys = [r["mean_dose_gy"] for r in result["regions"] if r["name"] == "kidney"]
    marrow = [r["mean_dose_gy"] for r in result["regions"] if r["name"] == "marrow"]
    return [
        str(cycle["cycle"]),
        str(cycle["version"]),
        str(given["start"])[:10],
        f"{given['activity_bq'] / BQ_PER_GBQ:.2f}",
        ", ".join(number(dose) for dose in kidneys) or DASH,
        ", ".join(number(dose) for dose in marrow) or DASH,
        STATUS.get(cycle["status"], str(cycle["status"])),
        ", ".join(dict.fromkeys(s["signed_by"] for s in latest["signatures"])) or DASH,
    ]


def show_recorded(document: Document) -> None:
    """Print what was added to the record and how much was there already."""
    from rich.markup import escape

    console = screen()
    made = ", a new patient" if document["patient_created"] else ""
    console.print(f"[bold]{escape(document['patient_key'])}[/]{made}: {len(document['added'])} added")
    for entry in document["added"]:
        console.print(_hanging(entry_line(entry), 2))
    if document["already_there"]:
        console.print(f"  [dim]{len(document['already_there'])} were there already: nothing changed[/]")


def entry_line(entry: Document) -> str:
    """Return one entry as mark-up: identity, day, kind and what it says."""
    from rich.markup import escape

    said = [f"{name} {_value(name, value)}" for name, value in entry.items() if name not in ABOUT and value is not None]
    kind = str(entry["kind"]).removesuffix("s")
    return f"[dim]{entry['entry_id'][:ID_LENGTH]}[/] {entry['date']} {kind:<8} {escape(', '.join(said))}"


def _value(name: str, value: object) -> str:
    if isinstance(value, list):
        return "; ".join(_item(one) for one in value)
    unit = f" {UNITS[name]}" if name in UNITS else ""
    return f"{str(value).lower() if isinstance(value, bool) else value}{unit}"


def _item(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    return f"({', '.join(f'{name} {one}' for name, one in value.items() if one is not None)})"


def _hanging(line: str, indent: int) -> Padding:
    from rich.padding import Padding

    return Padding(line, (0, 0, 0, indent), expand=False)


def show_signature(document: Document) -> None:
    """Print who signed which version, with which meaning."""
    from rich.markup import escape

    console = screen()
    version = f"cycle {document['cycle']}, version {document['version']} of {escape(document['patient_key'])}"
    done = "[yellow]was signed already[/]" if document["already_signed"] else "[green]signed[/]"
    console.print(f"{version}: {done} by {escape(document['signed_by'])}, {document['role']}, {_when(document)}")
    console.print(f"  [dim]{escape(document['meaning'])}[/]")
    if document["reason"]:
        console.print(f"  reason: {escape(document['reason'])}")


def _when(document: Document) -> str:
    return moment(document["signed_at_local"])
