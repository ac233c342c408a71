"""The calibration form that belongs to a test phantom, and a decaying source scanned by a camera with a dead time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipeline.units import BQ_PER_GBQ, BQ_PER_MBQ, SECONDS_PER_HOUR
from sample_dicom import documents, nema, scanner
from sample_dicom.headers import Visit
from sample_dicom.kinetics import LU177_HALF_LIFE_H, Curve, rate_per_s
from sample_dicom.plan import FIRST_CYCLE, digits
from sample_dicom.scene import centred_grid, draw
from sample_dicom.series import SpectImage, write_spect

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sample_dicom.plan import Cycle, Plan

# One sigma of a phantom clinic's dose calibrator and of its weighing.
DOSE_CALIBRATOR_RELATIVE_SIGMA: Final = 0.025
FILLING_RELATIVE_SIGMA: Final = 0.01

SOURCE_BQ: Final = 14.0 * BQ_PER_GBQ
SOURCE_DELAYS_H: Final = (1.0, 72.0, 168.0, 336.0, 504.0, 672.0)
# Apparent dead time against the counts in the reconstructed window; 31 % are lost at 14 GBq.
SOURCE_DEAD_TIME_S: Final = 3.0e-6
SOURCE_SHAPE: Final = (50, 52, 52)
SOURCE_VOXEL_MM: Final = 4.8
# A source is put back to its place and a reconstruction repeated with this reproducibility.
SOURCE_RELATIVE_SIGMA: Final = 0.001

FORM = """\
# Calibration form of the phantom clinic, written with the scans it belongs to.
camera_id = "phantom-{dialect}"
radionuclide = "Lu-177"
match = ["Manufacturer", "ManufacturerModelName"]
frame_duration_s = {frame_duration_s}
projections = {projections}
heads = {heads}
decay_reference = "{decay_reference}"
dead_time_s = {dead_time}
dose_calibrator_relative_sigma = {dose_calibrator}
collimator = "siemens-me"
"""


def write_calibration_form(path: Path, plan: Plan, cycle: Cycle) -> None:
    """Write ``calibration.toml`` of a cylinder or NEMA phantom: what was filled in, and when."""
    phantom: dict[str, Any] = {
        "name": plan.kind,
        "kind": plan.kind,
        "scans": [f"cycle-{cycle.number}/tp-{n}/spect" for n in range(1, len(cycle.starts) + 1)],
        "activity_mbq": cycle.administered_bq / BQ_PER_MBQ,
        "assayed_at": cycle.administered_at.isoformat(),
    }
    if plan.kind == "nema-iec" and not plan.perfect:
        strength = cycle.administered_bq / nema.nema_activity_bq()
        phantom["sphere_mbq_per_ml"] = digits(strength * nema.SPHERE_BQ_PER_ML / BQ_PER_MBQ)
        phantom["background_mbq_per_ml"] = digits(strength * nema.BACKGROUND_BQ_PER_ML / BQ_PER_MBQ)
        phantom["filling_relative_sigma"] = FILLING_RELATIVE_SIGMA
    path.write_text(_form(plan.dialect, "0.0") + _entry(phantom), encoding="utf-8")


def _form(dialect: str, dead_time: str) -> str:
    return FORM.format(
        dialect=dialect,
        frame_duration_s=scanner.FRAME_DURATION_S,
        projections=scanner.PROJECTIONS,
        heads=scanner.HEADS,
        decay_reference="acquisition_start" if dialect == "pet-bqml" else "none",
        dead_time=dead_time,
        dose_calibrator=DOSE_CALIBRATOR_RELATIVE_SIGMA,
    )


def _entry(values: dict[str, Any]) -> str:
    return "\n[[phantom]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def write_dead_time_series(out: Path, *, seed: int = 1) -> dict[str, Any]:
    """Write SPECT of a strong source that decays under a camera with a paralysable dead time.

    Parameters
    ----------
    out : Path
        Gets ``tp-1`` to ``tp-6`` (NM, counts), ``calibration.toml`` and ``truth.json``.
    seed : int
        Of the scans' reproducibility.

    Returns
    -------
    dict
        The truth: factor, dead time, activity at the start of each acquisition.
    """
    curve = Curve(((SOURCE_BQ, rate_per_s(LU177_HALF_LIFE_H)),))
    starts = [delay_h * SECONDS_PER_HOUR for delay_h in SOURCE_DELAYS_H]
    rng = np.random.default_rng([seed, 9])
    for number, start_s in enumerate(starts, start=1):
        seen = curve.mean(start_s, start_s + scanner.ACQUISITION_S) * (
            1.0 + SOURCE_RELATIVE_SIGMA * float(rng.standard_normal())
        )
        _write_source(out / f"tp-{number}" / "spect", digits(seen), number, seed)
    names = [f"tp-{n}/spect" for n in range(1, len(starts) + 1)]
    filled = {"activity_mbq": SOURCE_BQ / BQ_PER_MBQ, "assayed_at": FIRST_CYCLE.isoformat()}
    source = _entry({"name": "decaying source", "kind": "dead-time", "scans": names, **filled})
    cylinder = _entry({"name": "weakest scan", "kind": "cylinder", "scans": names[-1:], **filled})
    (out / "calibration.toml").write_text(_form("nm-counts", '"fit"') + source + cylinder, encoding="utf-8")
    truth = {
        "calibration_factor_bq_s_per_count": scanner.FACTOR_BQ_S_PER_COUNT,
        "dead_time_s": SOURCE_DEAD_TIME_S,
        "acquisition_starts": [_start(number).isoformat() for number in range(1, len(starts) + 1)],
        "activity_bq": [digits(curve.at(start_s)) for start_s in starts],
    }
    documents.write_json(out / "truth.json", truth)
    return truth


def observed_share(activity_bq: float) -> float:
    """Return the share of the true counts that a paralysable detector shows: exp(-r tau), r per head."""
    return float(np.exp(-activity_bq / scanner.FACTOR_BQ_S_PER_COUNT * SOURCE_DEAD_TIME_S))


def _start(number: int) -> datetime:
    return FIRST_CYCLE + timedelta(hours=SOURCE_DELAYS_H[number - 1])


def _write_source(folder: Path, seen_bq: float, number: int, seed: int) -> None:
    grid = centred_grid(SOURCE_SHAPE, SOURCE_VOXEL_MM, "")
    labels = draw(nema.cylinder_scene(), grid)
    held = np.zeros(256)
    held[nema.WATER] = seen_bq * observed_share(seen_bq)
    image = scanner.voxel_activity(labels, held, spacing_mm=SOURCE_VOXEL_MM, factor=1, fwhm_mm=scanner.FWHM_MM)
    visit = Visit(
        patient_key=f"dead-time-{seed}",
        sex=None,
        weight_kg=None,
        height_cm=None,
        administered_at=FIRST_CYCLE,
        administered_bq=SOURCE_BQ,
        acquisition_start=_start(number),
        description=f"decaying source, scan {number}",
        identity=("dead-time", seed, number),
    )
    write_spect(folder, visit, SpectImage(grid, image, None, scanner.FACTOR_BQ_S_PER_COUNT), "nm-counts")
