"""The text files beside the DICOM: site profile, cycle form, blood, laboratory values, imaging, contours."""

from __future__ import annotations

import gzip
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np

from pipeline.units import BQ_PER_MBQ
from sample_dicom.headers import MANUFACTURER
from sample_dicom.scanner import FRAME_DURATION_S, PROJECTIONS
from sample_dicom.series import MODEL_OF_DIALECT
from sample_dicom.tissues import DENSITY_CURVE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from pathlib import Path

    from pipeline.domain.geometry import Grid
    from sample_dicom.scene import Labels, RegionOfTruth

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

SITE = """\
# Site profile of the phantom clinic, written with the phantom it belongs to.
name = "Phantom clinic"

[camera.phantom-{dialect}]
match = {{ Manufacturer = "{manufacturer}", ManufacturerModelName = "{model}" }}
{factor}{sensitivity}calibration_relative_sigma = 0.03
calibrated_on = "2026-01-10"
frame_duration_s = {frame_duration_s}            # one projection
projections = {projections}                  # images of both heads together
heads = 2
dead_time_s = 0.0
decay_reference = "{decay_reference}"
recovery = {recovery}

[ct]
# HU, g/cm3; linear between nodes. Schneider et al., Phys Med Biol 2000;45:459, joined so that it never falls.
density_curve = {density_curve}

[marrow]
limit_method = "blood_only"
blood_to_marrow_ratio = 1.0

[geometry]
frame_of_reference = "required"

{acquisition}[kinetics]
head_rule = "extrapolate"
tail_rule = "fitted"
relative_error = 0.05

[bed]
alpha_beta_gy = 2.6
repair_half_life_h = 2.8

[second_check.tolerance]
kidney = 0.04
spleen = 0.04
lesion = 0.04
liver = 0.08

[protocol]
kidney_limit_gy = 23.0
"""

CYCLE = """\
patient_key = "{patient_key}"
cycle = {cycle}
radionuclide = "Lu-177"
activity_mbq = {activity_mbq}            # measured before
residual_mbq = {residual_mbq}              # left in vial and line, same time
administered_at = "{administered_at}"   # start of the infusion
"""


def write_site(
    path: Path,
    *,
    dialect: str,
    factor_bq_s_per_count: float,
    sensitivity_cps_per_mbq: float,
    recovery: tuple[float, float] | None,
    planned_scans_h: Sequence[float],
) -> None:
    """Write ``site.toml`` for the camera of one dialect."""
    counts = dialect == "nm-counts"
    factor = f"calibration_factor_bq_s_per_count = {factor_bq_s_per_count}\n" if counts else ""
    sensitivity = f"sensitivity_cps_per_mbq = {sensitivity_cps_per_mbq}        # one head, planar\n" if counts else ""
    acquisition = f"[acquisition]\nplanned_scans_h = {list(planned_scans_h)}\n\n" if planned_scans_h else ""
    curve = '"none"'
    if recovery is not None:
        curve = f'{{ model = "logistic", b_ml = {recovery[0]}, c = {recovery[1]}, relative_sigma = 0.05 }}'
    text = SITE.format(
        dialect=dialect,
        manufacturer=MANUFACTURER,
        model=MODEL_OF_DIALECT[dialect],
        factor=factor,
        sensitivity=sensitivity,
        acquisition=acquisition,
        frame_duration_s=FRAME_DURATION_S,
        projections=PROJECTIONS,
        decay_reference="acquisition_start" if dialect == "pet-bqml" else "none",
        recovery=curve,
        density_curve=json.dumps([list(node) for node in DENSITY_CURVE]),
    )
    path.write_text(text, encoding="utf-8")


def write_cycle_form(
    path: Path,
    *,
    patient_key: str,
    cycle: int,
    activity_bq: float,
    residual_bq: float,
    administered_at: datetime,
    person: tuple[float | None, float | None, str | None],
) -> None:
    """Write ``cycle.toml``; ``activity_bq`` is the net administered activity, ``person`` weight, height and sex."""
    text = CYCLE.format(
        patient_key=patient_key,
        cycle=cycle,
        activity_mbq=round((activity_bq + residual_bq) / BQ_PER_MBQ, 3),
        residual_mbq=round(residual_bq / BQ_PER_MBQ, 3),
        administered_at=administered_at.isoformat(),
    )
    for key, value in zip(("weight_kg", "height_cm", "sex"), person, strict=True):
        text += "" if value is None else f"{key} = {json.dumps(value)}\n"
    path.write_text(text, encoding="utf-8")


def write_blood(path: Path, samples: Sequence[tuple[float, float]]) -> None:
    """Write ``blood.csv``: hours after the start of the administration, Bq/mL then (not decay-corrected)."""
    rows = [f"{hours:.4f},{value:.6g}\n" for hours, value in samples]
    path.write_text("time_h,activity_bq_per_ml\n" + "".join(rows), encoding="utf-8")


def write_labs(path: Path, cycle_dates: Sequence[date], seed: int) -> None:
    """Write ``labs.csv``: a panel five days before each cycle; counts fall a little and pass every gate."""
    rng = np.random.default_rng([seed, 4])
    lines = ["date,wbc,granulocytes,platelets,haemoglobin,creatinine\n"]
    for n, day in enumerate(cycle_dates):
        fall = 0.94**n
        wbc, granulocytes = 6.2 * fall + rng.uniform(-0.3, 0.3), 3.9 * fall + rng.uniform(-0.2, 0.2)
        platelets, haemoglobin = 232 * fall + rng.uniform(-12, 12), 131 - 2 * n + rng.uniform(-3, 3)
        drawn = day - timedelta(days=5)
        creatinine = 78 + rng.uniform(-5, 5)
        lines.append(f"{drawn},{wbc:.1f},{granulocytes:.1f},{platelets:.0f},{haemoglobin:.0f},{creatinine:.0f}\n")
    path.write_text("".join(lines), encoding="utf-8")


def write_imaging(path: Path, cycle_dates: Sequence[date]) -> None:
    """Write ``imaging.csv``: a CT with stable disease five weeks after the first cycle and after every second one."""
    lines = ["date,modality,recist\n"]
    lines += [f"{day + timedelta(days=35)},CT,SD\n" for day in cycle_dates[::2]]
    path.write_text("".join(lines), encoding="utf-8")


def write_contours(folder: Path, labels: Labels, grid: Grid, regions: Sequence[RegionOfTruth]) -> None:
    """Write ``contours.nii.gz`` (RAS, first axis to the left of the file) and ``contours.json``."""
    flip = np.eye(4)[[2, 1, 0, 3]]  # file index (x, y, z) -> array index (slice, row, column)
    image = nib.Nifti1Image(np.ascontiguousarray(labels.transpose(2, 1, 0)), LPS_TO_RAS @ grid.affine_mm @ flip)
    image.header.set_xyzt_units("mm")
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=packed, mtime=0) as stream:
        stream.write(image.to_bytes())
    (folder / "contours.nii.gz").write_bytes(packed.getvalue())
    described: dict[str, dict[str, Any]] = {}
    for region in regions:
        entry: dict[str, Any] = {"name": region.name, "laterality": region.laterality, "kind": region.kind}
        entry["edge_fwhm_mm"] = 0.0  # they are the drawing itself
        described[str(region.label)] = entry | ({"host": region.host} if region.host else {})
    write_json(folder / "contours.json", described)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON document, indented, with a final newline."""
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
