"""Found against true over phantom seeds, with blur, noise and motion: root mean square and stated sigma per region.

Run: ``python benchmarks/bench_phantoms.py --seeds 10 [--auto]`` (about half a minute per seed on two cores).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from flows.walk import walk
from pipeline.steps.request import request_document
from pipeline.steps.run_step import run_step
from pipeline.steps.truth import found_against_true
from sample_dicom.write import write_phantom

LARGE_ML = 10.0


def rows_of(seed: int, folder: Path, *, automatic: bool) -> list[dict[str, Any]]:
    """Return found-against-true rows of one seed's first cycle."""
    write_phantom(folder / "patient", kind="patient", seed=seed, cycles=1)
    result, truth = processed(folder / "patient", folder / "out", automatic=automatic)
    return found_against_true([result], truth)


def processed(patient: Path, out: Path, *, automatic: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Process a phantom's first cycle; return its result document and its truth."""
    cycle = patient / "cycle-1"
    request = request_document(
        studies=[cycle],
        site=patient / "site.toml",
        cycle_form=cycle / "cycle.toml",
        blood=cycle / "blood.csv",
        contours=[] if automatic else [cycle / "contours.nii.gz"],
        engine="convolution",
        backend="cpu",
    )
    out.mkdir()
    filed = walk(
        request,
        f"sqlite:///{out / 'records.db'}",
        str(out),
        lambda step, payload: {} if step == "report" else run_step(step, payload, out / ".work"),
        lambda _step, _total: None,
    )
    return filed["result"], json.loads((patient / "truth.json").read_text(encoding="utf-8"))


def group_of(row: dict[str, Any]) -> str:
    """Return the line of the table a row belongs to."""
    if row["kind"] == "lesion":
        return f"lesions {'from' if row['true_volume_ml'] >= LARGE_ML else 'below'} {LARGE_ML:.0f} mL"
    return "kidneys" if row["region"].endswith("kidney") else row["region"]


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--auto", action="store_true", help="automatic contours instead of the true ones")
    options = parser.parse_args()
    rows = defaultdict(list)
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            for row in rows_of(seed, Path(folder), automatic=options.auto):
                rows[group_of(row)].append(row)
    print(f"{options.seeds} seeds, {'automatic' if options.auto else 'true'} contours, dose found against true\n")
    print("| region | n | mean | root mean square | stated sigma (median) | truth within 2 sigma |")
    print("|---|---|---|---|---|---|")
    for group, members in sorted(rows.items()):
        off = [row["off"] for row in members]
        stated = [row["dose_sigma_gy"] / row["dose_gy"] for row in members]
        inside = sum(abs(row["dose_gy"] - row["true_dose_gy"]) <= 2 * row["dose_sigma_gy"] for row in members)
        rms = math.sqrt(sum(value**2 for value in off) / len(off))
        print(
            f"| {group} | {len(off)} | {statistics.mean(off):+.1%} | {rms:.1%} | {statistics.median(stated):.1%} "
            f"| {inside} of {len(off)} |"
        )


if __name__ == "__main__":
    main()
