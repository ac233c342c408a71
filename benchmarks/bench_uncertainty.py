"""Do the stated intervals hold? Each seed is a clinic of its own, with its own errors of calibration, and one patient.

The clinic calibrates its camera with ``prrt calibrate`` from noisy scans of a cylinder and the NEMA phantom, whose
stated activities are off by a draw from what its form states (dose calibrator 2.5 %, filling 1 %; one draw of the dose
calibrator for both). Each scan of its patient is off as a whole by a draw from the scatter that its site profile states
(``kinetics.relative_error``, 5 %). The patient is processed with that profile, with true and with automatic contours.

Run: ``python benchmarks/bench_uncertainty.py --seeds 20 --rows rows.jsonl`` (about a minute per seed on two cores; a
seed that stands in the file is not made again). The tables are those of ``docs/validation.md``.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from bench_phantoms import group_of, processed

from pipeline.steps.calibrate import calibrate_scans
from pipeline.steps.truth import found_against_true
from sample_dicom.calibration import DOSE_CALIBRATOR_RELATIVE_SIGMA, FILLING_RELATIVE_SIGMA
from sample_dicom.write import write_phantom

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGMAS_OF_95_PERCENT = 1.96
CONTOURS = ("true", "automatic")
PARTS = ("calibration", "recovery", "volume", "fit", "s_value")
HEAD = "| region | n | mean off | rms off | stated sigma (median) | rms of off / sigma | in 95 % interval |"
# What the method itself says it does not see: blood before the first scan, marrow's microscopic structure.
BY_MODEL = ("aorta", "marrow")


def clinic_camera(seed: int, folder: Path) -> str:
    """Calibrate the clinic's camera from scans with this seed's errors; return the camera's section as TOML."""
    rng = np.random.default_rng([seed, 71])
    calibrator = 1.0 + DOSE_CALIBRATOR_RELATIVE_SIGMA * float(rng.standard_normal())
    filling = 1.0 + FILLING_RELATIVE_SIGMA * float(rng.standard_normal())
    entries = ""
    for kind in ("cylinder", "nema-iec"):
        write_phantom(folder / kind, kind=kind, seed=seed)
        form = (folder / kind / "calibration.toml").read_text(encoding="utf-8")
        entries += _entry(tomllib.loads(form)["phantom"][0], f"{kind}/", calibrator, filling)
    path = folder / "calibration.toml"
    path.write_text(form.split("[[phantom]]")[0] + entries, encoding="utf-8")
    calibrate_scans([folder / "cylinder", folder / "nema-iec"], path, folder / "calibrated")
    return (folder / "calibrated" / "camera.toml").read_text(encoding="utf-8")


def _entry(phantom: dict[str, Any], prefix: str, calibrator: float, filling: float) -> str:
    stated = dict(phantom, scans=[prefix + scan for scan in phantom["scans"]])
    stated["activity_mbq"] *= calibrator
    for key in ("sphere_mbq_per_ml", "background_mbq_per_ml"):
        if key in stated:
            stated[key] *= calibrator * filling
    return "\n[[phantom]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in stated.items())


def with_camera(site: str, camera: str) -> str:
    """Return the site profile with another camera section."""
    head, rest = site.split("[camera.", 1)
    return head + camera + "\n[ct]" + rest.split("[ct]", 1)[1]


def scatter_scans(cycle: Path, seed: int, relative_sigma: float) -> None:
    """Scale the counts of each scan by a draw of its own, as a camera that drifts from day to day."""
    rng = np.random.default_rng([seed, 72])
    for path in sorted(cycle.glob("tp-*/spect/*.dcm")):
        scan = pydicom.dcmread(path)
        counts = scan.pixel_array * (1.0 + relative_sigma * float(rng.standard_normal()))
        scan.PixelData = np.rint(np.minimum(counts, np.iinfo(np.uint16).max)).astype("<u2").tobytes()
        scan.save_as(path)


def rows_of(seed: int, folder: Path, contours: Sequence[str]) -> list[dict[str, Any]]:
    """Return found-against-true rows of the seed's first cycle for each kind of contours, with each sigma's parts."""
    patient = folder / "patient"
    write_phantom(patient, kind="patient", seed=seed, cycles=1)
    site = patient / "site.toml"
    site.write_text(with_camera(site.read_text(encoding="utf-8"), clinic_camera(seed, folder)), encoding="utf-8")
    relative_error = tomllib.loads(site.read_text(encoding="utf-8"))["kinetics"]["relative_error"]
    scatter_scans(patient / "cycle-1", seed, relative_error)
    return [
        row | {"seed": seed, "contours": kind}
        for kind in contours
        for row in _with_budgets(*processed(patient, folder / kind, automatic=kind == "automatic"))
    ]


def _with_budgets(result: dict[str, Any], truth: dict[str, Any]) -> list[dict[str, Any]]:
    budgets = {region["mean_dose_gy"]: region.get("uncertainty") for region in result["regions"]}
    return [row | {"budget": budgets[row["dose_gy"]]} for row in found_against_true([result], truth)]


def pull(row: dict[str, Any]) -> float:
    """Return how many stated sigma the dose is off."""
    return float((row["dose_gy"] - row["true_dose_gy"]) / row["dose_sigma_gy"])


def table(rows: list[dict[str, Any]]) -> str:
    """Return the coverage per region as Markdown."""
    groups = defaultdict(list)
    for row in rows:
        groups[group_of(row)].append(row)
    judged = [row for row in rows if group_of(row) not in BY_MODEL]
    lines = [
        HEAD,
        "|---|---|---|---|---|---|---|",
        *(_line(group, members) for group, members in sorted(groups.items())),
        _line("**all but aorta and marrow**", judged),
    ]
    return "\n".join(lines)


def _line(name: str, rows: list[dict[str, Any]]) -> str:
    off, pulls = [row["off"] for row in rows], [pull(row) for row in rows]
    stated = statistics.median(row["dose_sigma_gy"] / row["dose_gy"] for row in rows)
    inside = statistics.mean(abs(value) <= SIGMAS_OF_95_PERCENT for value in pulls)
    return (
        f"| {name} | {len(rows)} | {statistics.mean(off):+.1%} | {_rms(off):.1%} | {stated:.1%} | {_rms(pulls):.2f} "
        f"| {inside:.0%} |"
    )


def _rms(values: list[float]) -> float:
    return math.sqrt(statistics.mean(value**2 for value in values))


def parts_table(rows: list[dict[str, Any]]) -> str:
    """Return the median parts of the stated sigma per region as Markdown."""
    groups = defaultdict(list)
    for row in rows:
        if row["budget"]:
            groups[group_of(row)].append(row["budget"])
    lines = ["| region | " + " | ".join(PARTS) + " |", "|---" * (len(PARTS) + 1) + "|"]
    for group, budgets in sorted(groups.items()):
        parts = (f"{statistics.median(budget[part] for budget in budgets):.1%}" for part in PARTS)
        lines.append(f"| {group} | " + " | ".join(parts) + " |")
    return "\n".join(lines)


def main() -> None:
    """Make what is missing of the rows and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rows", type=Path, required=True, help="JSON lines, one per region; resumed")
    parser.add_argument("--contours", nargs="+", choices=CONTOURS, default=CONTOURS)
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.rows.read_text().splitlines()] if options.rows.exists() else []
    there = {(row["seed"], row["contours"]) for row in rows}
    for seed in range(1, options.seeds + 1):
        missing = [kind for kind in options.contours if (seed, kind) not in there]
        if not missing:
            continue
        with tempfile.TemporaryDirectory() as folder:
            made = rows_of(seed, Path(folder), missing)
        with options.rows.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in made)
        rows += made
    for contours in options.contours:
        chosen = [row for row in rows if row["contours"] == contours]
        print(f"{len({row['seed'] for row in chosen})} seeds, {contours} contours\n\n{table(chosen)}\n")
        print(f"Parts of the stated sigma (median)\n\n{parts_table(chosen)}\n")


if __name__ == "__main__":
    main()
