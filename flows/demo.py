"""`make demo`: a phantom patient through the whole walk, and what was found beside what is true."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from pipeline.console import errors, progress, screen, show_decision, show_found_against_true
from pipeline.records.store import open_store
from pipeline.steps.decide import decide_next
from pipeline.steps.record_events import record_files
from pipeline.steps.request import request_document
from pipeline.steps.sign import sign_cycle
from pipeline.steps.truth import found_against_true
from sample_dicom.write import write_phantom

if TYPE_CHECKING:
    from pathlib import Path

Document = dict[str, Any]

CYCLES = 2


def run_demo(out: Path, seed: int) -> None:
    """Make the phantom, process and sign its cycles, decide about the next one, and show all of it."""
    console = errors()
    patient = out / "patient"
    console.print("[bold]1[/] a phantom patient as DICOM, two cycles, three SPECT/CT each")
    shutil.rmtree(patient, ignore_errors=True)
    write_phantom(patient, kind="patient", dialect="nm-counts", seed=seed, perfect=False)
    truth = json.loads((patient / "truth.json").read_text(encoding="utf-8"))
    url = f"sqlite:///{(out / 'records.db').resolve()}"
    results = [_process_and_sign(patient, out, url, cycle) for cycle in range(1, CYCLES + 1)]
    key = results[0]["patient_key"]
    on = _next_date(results[-1], truth)
    with open_store(url) as store:
        record_files(
            store, key, labs=patient / "labs.csv", imaging=patient / "imaging.csv", event=None, at=datetime.now(UTC)
        )
        decision = decide_next(store, key, on=on, planned_activity_gbq=None)
    _show(results, truth, decision, out)


def _process_and_sign(patient: Path, out: Path, url: str, cycle: int) -> Document:
    from flows.cycle import run_cycle

    errors().print(f"[bold]{cycle + 1}[/] cycle {cycle}: DICOM to dose, report and record; then the physicist signs")
    folder = patient / f"cycle-{cycle}"
    request = request_document(
        studies=[folder],
        site=patient / "site.toml",
        cycle_form=folder / "cycle.toml",
        blood=folder / "blood.csv",
        contours=[],
        engine="convolution",
        backend="auto",
        out=out / f"cycle-{cycle}",
    )
    with progress(f"cycle {cycle}", quiet=False) as announce:
        filed = run_cycle(request, records=url, out=out / f"cycle-{cycle}", announce=announce)
    result: Document = filed["result"]
    with open_store(url) as store:
        sign_cycle(
            store,
            result["patient_key"],
            cycle=cycle,
            role="physicist",
            by="Demo Physicist",
            reason="demonstration on a phantom",
            at=datetime.now(UTC),
            version=filed["version"],
        )
    return result


def _next_date(last: Document, truth: Document) -> date:
    """Return the day a third cycle would be due: the phantom's own interval after its last cycle."""
    days = [date.fromisoformat(c["administered_at"][:10]) for c in truth["cycles"]]
    return date.fromisoformat(last["administration"]["start"][:10]) + (days[-1] - days[-2])


def _show(results: list[Document], truth: Document, decision: Document, out: Path) -> None:
    show_found_against_true(found_against_true(results, truth))
    show_decision(decision)
    console = screen()
    for cycle in range(1, CYCLES + 1):
        folder = out / f"cycle-{cycle}"
        console.print(f"[dim]cycle {cycle}[/]  page {folder / 'index.html'}, report {folder / 'report.pdf'}")
        console.print(f"         pictures {folder / 'pictures'}, DICOM {folder / 'dicom'}")
    console.print(f"[dim]record[/]   {out / 'records.db'}")
