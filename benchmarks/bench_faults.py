"""The fault gallery: which gate catches which fault, at what size; good phantoms beside it, which no gate may stop.

Run: ``python benchmarks/bench_faults.py --out faults.json`` (about a minute per row on two cores).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.walk import walk
from pipeline.errors import RefusalError
from pipeline.steps.request import request_document
from pipeline.steps.run_step import run_step
from pipeline.steps.truth import found_against_true
from sample_dicom.faults import FAULTS, NONE, Fault
from sample_dicom.write import write_phantom

GOOD_SEEDS = (1, 2, 3, 4, 5)
SEED = 3


@dataclass(frozen=True)
class Row:
    """One walk of the gallery."""

    name: str
    size: str
    fault: Fault
    dialect: str = "nm-counts"
    seed: int = SEED
    blood: bool = True
    sensitivity: bool = True


def gallery() -> list[Row]:
    """Return the ten faults as named, then other sizes and circumstances."""
    named = [Row(name, "as named", fault) for name, fault in FAULTS.items()]
    return [*named, *_sizes()]


def _sizes() -> list[Row]:
    clock, arm, decay = FAULTS["clock-1h"], FAULTS["extravasation"], FAULTS["decay-reference"]
    factor, sharp, ct = FAULTS["calibration-factor-x2"], FAULTS["double-recovery"], FAULTS["wrong-ct"]
    half = FAULTS["half-slices"]
    unstated = {"sensitivity": False}
    return [
        Row("calibration-factor-x2", "x 1.2", replace(factor, factor=1.2)),
        Row("calibration-factor-x2", "x 1.4", replace(factor, factor=1.4)),
        Row("calibration-factor-x2", "x 2, no planar sensitivity stated", factor, **unstated),
        Row("calibration-factor-x2", "x 4, no planar sensitivity stated", replace(factor, factor=4.0), **unstated),
        Row("calibration-factor-x2", "x 0.5, no planar sensitivity stated", replace(factor, factor=0.5), **unstated),
        Row("clock-1h", "SPECT console alone", replace(clock, spect_clock_only=True)),
        Row("clock-1h", "24 h", replace(clock, clock_h=24.0)),
        Row("date-1d", "a day late", replace(FAULTS["date-1d"], days=1)),
        Row("date-1d", "a day early, pet-bqml", FAULTS["date-1d"], dialect="pet-bqml"),
        Row("extravasation", "10 % in an arm in the field", replace(arm, extravasated=0.1)),
        Row("extravasation", "1 % in an arm in the field", replace(arm, extravasated=0.01)),
        Row("extravasation", "50 % in an arm outside the field", replace(arm, arm_in_field=False)),
        Row("wrong-ct", "of the first scan", replace(ct, time_point=1)),
        Row("half-slices", "of the first SPECT", replace(half, time_point=1)),
        Row("half-slices", "of the second CT", replace(half, half_spect=False, half_ct=True)),
        Row("half-slices", "of the first CT", replace(half, half_spect=False, half_ct=True, time_point=1)),
        Row("double-recovery", "resolution 9 mm instead of 12 mm", replace(sharp, fwhm_mm=9.0)),
        Row("decay-reference", "site says administration, values are not", replace(decay, corrected_to="later")),
        Row("decay-reference", "another patient", decay, seed=5),
    ]


def good() -> list[Row]:
    """Return walks without a fault."""
    seeds = [Row("none", f"seed {seed}", NONE, seed=seed) for seed in GOOD_SEEDS]
    return seeds + [Row("none", f"seed {SEED}, {dialect}", NONE, dialect=dialect) for dialect in ("nm-rwv", "pet-bqml")]


def outcome(row: Row, folder: Path) -> dict[str, Any]:
    """Return what became of one phantom: refused with which code, filed with which flags, kidneys off by how much."""
    patient, out = folder / "patient", folder / "out"
    truth = write_phantom(patient, kind="patient", dialect=row.dialect, seed=row.seed, cycles=1, fault=row.fault)
    if not row.sensitivity:
        _forget_sensitivity(patient / "site.toml")
    found: dict[str, Any] = {"fault": row.name, "size": row.size, "text": row.fault.text, "seed": row.seed}
    try:
        result = _processed(patient, out)
    except RefusalError as refusal:
        return found | {"refused": refusal.code, "found": refusal.found, "blocking": [], "warning": [], "kidneys": None}
    rows = found_against_true([result], truth)
    kidneys = [one["dose_gy"] / one["true_dose_gy"] - 1.0 for one in rows if one["region"].endswith("kidney")]
    failed = [f"second check of {check['region']}" for check in result["second_check"] if not check["passed"]]
    return found | {
        "refused": None,
        "found": None,
        "blocking": sorted({f["code"] for f in result["flags"] if f["level"] == "BLOCK"} | set(failed)),
        "warning": sorted({f["code"] for f in result["flags"] if f["level"] == "WARN"}),
        "texts": [f["text"] for f in result["flags"] if f["level"] == "BLOCK"],
        "kidneys": sum(kidneys) / len(kidneys),
    }


def _forget_sensitivity(site: Path) -> None:
    lines = site.read_text(encoding="utf-8").splitlines(keepends=True)
    site.write_text("".join(line for line in lines if "sensitivity_cps" not in line), encoding="utf-8")


def _processed(patient: Path, out: Path) -> dict[str, Any]:
    cycle = patient / "cycle-1"
    request = request_document(
        studies=[cycle],
        site=patient / "site.toml",
        cycle_form=cycle / "cycle.toml",
        blood=cycle / "blood.csv",
        contours=[cycle / "contours.nii.gz"],
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
    result: dict[str, Any] = filed["result"]
    return result


def caught(found: dict[str, Any]) -> bool:
    """Tell whether a dose was not filed, or cannot be signed without a reason."""
    return bool(found["refused"] or found["blocking"])


def table(rows: list[dict[str, Any]]) -> str:
    """Return the outcomes as Markdown."""
    lines = ["| fault | size | caught by | warnings | kidney dose off |", "|---|---|---|---|---|"]
    for row in rows:
        gate = f"refused: `{row['refused']}`" if row["refused"] else ", ".join(f"`{c}`" for c in row["blocking"])
        warned = ", ".join(f"`{code}`" for code in row["warning"] if code != "PVE_LIMITED") or "-"
        off = "not filed" if row["kidneys"] is None else f"{row['kidneys']:+.1%}"
        lines.append(f"| {row['fault']} | {row['size']} | {gate or '**nothing**'} | {warned} | {off} |")
    return "\n".join(lines)


def main() -> None:
    """Walk all rows and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, help="JSON of all outcomes; rows that it holds already are not walked again"
    )
    parser.add_argument("--only", help="rows whose name contains this")
    options = parser.parse_args()
    done = json.loads(options.out.read_text(encoding="utf-8")) if options.out and options.out.exists() else []
    known = {(one["fault"], one["size"]) for one in done}
    for row in [*gallery(), *good()]:
        if (row.name, row.size) in known or (options.only and options.only not in row.name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            done.append(outcome(row, Path(folder)))
        print(table(done[-1:]).splitlines()[-1], flush=True)
        if options.out:
            options.out.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
    named = [one for one in done if one["size"] == "as named"]
    print(f"\n{sum(map(caught, named))} of {len(named)} named faults are caught\n\n{table(done)}")


if __name__ == "__main__":
    main()
