"""A patient drawn by others through the whole walk: what was found beside what is true, as Markdown and JSON.

Run: ``python benchmarks/bench_patient15.py --data FOLDER [--auto] [--out FOLDER]``; FOLDER as in
``sample_dicom/public.toml`` (default: the environment variable PRRT_PUBLIC_DATA).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from flows.walk import walk
from pipeline.steps.request import request_document
from pipeline.steps.run_step import run_step
from pipeline.steps.truth import found_against_true
from sample_dicom.patient15 import write_patient15
from sample_dicom.public import public_file


def found_and_true(data: Path, folder: Path, *, automatic: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the filed result and its rows against the truth."""
    patient, out = folder / "patient", folder / "out"
    truth = write_patient15(public_file(data, "phantom_lu177_patient15"), patient)
    cycle = patient / "cycle-1"
    request = request_document(
        studies=[cycle],
        site=patient / "site.toml",
        cycle_form=cycle / "cycle.toml",
        blood=None,
        contours=[] if automatic else [cycle / "contours.nii.gz"],
        engine="convolution",
        backend="cpu",
    )
    out.mkdir(parents=True)
    filed = walk(
        request,
        f"sqlite:///{out / 'records.db'}",
        str(out),
        lambda step, payload: run_step(step, payload, out / ".work"),
        lambda _step, _total: None,
    )
    return filed["result"], found_against_true([filed["result"]], truth)


def table(rows: list[dict[str, Any]]) -> str:
    """Return found against true as Markdown."""
    lines = [
        "| region | volume, true (mL) | activity at 24 h, true (MBq) | dose ± sigma (Gy) | true (Gy) | off |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, rows)])


def _line(row: dict[str, Any]) -> str:
    return (
        f"| {row['region']} | {row['volume_ml']:.1f}, {row['true_volume_ml']:.1f} "
        f"| {row['activity_mbq']:.2f}, {row['true_activity_mbq']:.2f} "
        f"| {row['dose_gy']:.2f} ± {row['dose_sigma_gy']:.2f} | {row['true_dose_gy']:.2f} | {row['off']:+.1%} |"
    )


def keep(folder: Path, result: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Write the artefact: the table, its rows, and the flags of the result."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "patient15.md").write_text(table(rows) + "\n", encoding="utf-8")
    document = {"rows": rows, "flags": result["flags"], "code_version": result["provenance"]["code_version"]}
    (folder / "patient15.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Walk and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("PRRT_PUBLIC_DATA", "public-data")))
    parser.add_argument("--auto", action="store_true", help="automatic contours instead of theirs")
    parser.add_argument("--out", type=Path, help="folder for patient15.md and patient15.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result, rows = found_and_true(options.data, Path(folder), automatic=options.auto)
    if options.out:
        keep(options.out, result, rows)
    print(table(rows))
    for flag in result["flags"]:
        print(f"{flag['level']} {flag['code']} {flag['region'] or ''}: {flag['text']}")


if __name__ == "__main__":
    main()
