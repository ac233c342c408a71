"""The whole walk without Prefect, on phantoms: what the flow runs, step by step in this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flows.walk import walk
from pipeline.steps.request import request_document
from pipeline.steps.run_step import run_step
from pipeline.steps.truth import found_against_true

if TYPE_CHECKING:
    from pathlib import Path

Document = dict[str, Any]


def walk_cycle(patient: Path, out: Path, *, cycle: int = 1, contours: bool = True) -> Document:
    """Return the filed result of one cycle of a phantom."""
    folder = patient / f"cycle-{cycle}"
    blood = folder / "blood.csv"
    request = request_document(
        studies=[folder],
        site=patient / "site.toml",
        cycle_form=folder / "cycle.toml",
        blood=blood if blood.exists() else None,
        contours=[folder / "contours.nii.gz"] if contours else [],
        engine="convolution",
        backend="cpu",
    )
    work = out / ".work"
    out.mkdir(parents=True, exist_ok=True)
    records = f"sqlite:///{out / 'records.db'}"
    filed = walk(request, records, str(out), lambda step, payload: run_step(step, payload, work), lambda _s, _n: None)
    result: Document = filed["result"]
    return result


def against_truth(patient: Path, result: Document) -> dict[str, Document]:
    """Return found-against-true rows by region."""
    truth = json.loads((patient / "truth.json").read_text(encoding="utf-8"))
    return {row["region"]: row for row in found_against_true([result], truth)}
