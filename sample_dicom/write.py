"""Write a phantom: DICOM of every time point, site profile, forms, contours and truth."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipeline.errors import require
from pipeline.units import BQ_PER_MBQ, SECONDS_PER_HOUR
from sample_dicom import documents, scanner
from sample_dicom.calibration import write_calibration_form
from sample_dicom.faults import (
    NONE,
    Fault,
    clock_shift,
    fault_of,
    other_patient,
    sides_swapped,
    stored_with_fault,
    upper_half,
    with_fault,
)
from sample_dicom.headers import Visit
from sample_dicom.phantoms import phantom_of
from sample_dicom.plan import CYCLE_INTERVAL, FIRST_CYCLE, by_label, digits, drawing_grid, motion_of, plan_of
from sample_dicom.recovery import recovery_curve
from sample_dicom.scene import draw, region_labels
from sample_dicom.series import MODEL_OF_DIALECT, SpectImage, write_ct, write_spect
from sample_dicom.truth_document import truth_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from sample_dicom.plan import Cycle, Plan
    from sample_dicom.scene import Labels, Motion

KINDS: Final = ("patient", "nema-iec", "cylinder")
DIALECTS: Final = tuple(MODEL_OF_DIALECT)
BLOOD_SAMPLES_H: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 24.0, 48.0, 96.0, 168.0)
RESIDUAL_BQ: Final = 42.0 * BQ_PER_MBQ


def write_phantom(
    out: Path,
    *,
    kind: str,
    dialect: str = "nm-counts",
    seed: int = 1,
    perfect: bool = False,
    cycles: int = 2,
    fault: str | Fault | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write a phantom into ``out``.

    Parameters
    ----------
    out : Path
        Folder; made where missing.
    kind : {"patient", "nema-iec", "cylinder"}
    dialect : {"nm-counts", "nm-rwv", "pet-bqml"}
        How the SPECT stores its values.
    seed : int
        Anatomy, kinetics, times, motion and noise follow from it; the same call writes the same bytes.
    perfect : bool
        No blur, noise or motion, mono-exponential kinetics, regions of whole SPECT voxels.
    cycles : int
        The test phantoms have one, whatever is asked.
    fault : str or Fault, optional
        What goes wrong in the clinic: a name of ``sample_dicom.faults.FAULTS`` (kind patient only).
    progress : callable, optional
        Told what is being written.

    Returns
    -------
    dict
        The truth, as in ``truth.json``.

    Raises
    ------
    RefusalError
        ``PHANTOM_UNKNOWN`` for a kind, dialect, seed or number of cycles that does not exist.
    """
    _require_known(kind, dialect, seed, cycles)
    wrong = fault if isinstance(fault, Fault) else fault_of(fault, kind)
    tell = progress or (lambda _: None)
    phantom = phantom_of(kind, seed, perfect=perfect)
    plan = plan_of(
        phantom, kind=kind, dialect=dialect, seed=seed, perfect=perfect, cycles=cycles if kind == "patient" else 1
    )
    plan = with_fault(plan, wrong)
    write_acquisitions(out, plan, tell, wrong)
    tell("truth by deposit sampling")
    document = truth_document(plan)
    documents.write_json(out / "truth.json", document)
    _write_site_and_course(out, plan, wrong)
    return document


def write_acquisitions(out: Path, plan: Plan, tell: Callable[[str], None], wrong: Fault = NONE) -> None:
    """Write images and forms of every cycle; for the test phantoms the calibration form too."""
    out.mkdir(parents=True, exist_ok=True)
    for cycle in plan.cycles:
        for number, start in enumerate(cycle.starts, start=1):
            if wrong.lost and number == wrong.time_point:
                continue
            tell(f"cycle {cycle.number}, time point {number} at {start.isoformat()}")
            _write_time_point(out / f"cycle-{cycle.number}" / f"tp-{number}", plan, cycle, number, wrong)
        _write_forms(out / f"cycle-{cycle.number}", plan, cycle, wrong)
        if plan.kind != "patient":
            write_calibration_form(out / "calibration.toml", plan, cycle)


def _require_known(kind: str, dialect: str, seed: int, cycles: int) -> None:
    require(
        kind in KINDS and dialect in DIALECTS and seed >= 0 and cycles >= 1,
        "PHANTOM_UNKNOWN",
        found=f"kind {kind!r}, dialect {dialect!r}, seed {seed}, {cycles} cycles",
        needed=f"a kind of {', '.join(KINDS)}, a dialect of {', '.join(DIALECTS)}, a seed from 0, a cycle or more",
        do="choose one of these",
        where="phantom",
    )


def _visit(plan: Plan, cycle: Cycle, number: int) -> Visit:
    return Visit(
        patient_key=plan.patient_key,
        sex=plan.phantom.sex,
        weight_kg=plan.phantom.weight_kg,
        height_cm=plan.phantom.height_cm,
        administered_at=cycle.administered_at,
        administered_bq=cycle.administered_bq,
        acquisition_start=cycle.starts[number - 1],
        description=f"{plan.kind} cycle {cycle.number} time point {number}",
        identity=(plan.kind, plan.dialect, plan.seed, plan.perfect, cycle.number, number),
    )


def _write_time_point(folder: Path, plan: Plan, cycle: Cycle, number: int, wrong: Fault) -> None:
    """Scan and store one time point."""
    start = cycle.delay_s(cycle.starts[number - 1])
    activity = by_label(cycle.curves, lambda c: digits(c.mean(start, start + scanner.ACQUISITION_S)))
    labels = plan.labels
    motion = motion_of(plan, cycle, number)
    if motion.shift_mm != (0.0, 0.0, 0.0):
        labels = draw(plan.phantom.scene, plan.drawing_grid, motion)
    rng = np.random.default_rng([plan.seed, 7, cycle.number, number])
    visit = _visit(plan, cycle, number)
    image = _spect_image(plan, cycle, labels, activity, rng, wrong.fwhm_mm)
    hit = number == wrong.time_point
    image = stored_with_fault(image, wrong, start, hit=hit)
    write_spect(folder / "spect", _clocked(visit, clock_shift(wrong, number, spect=True)), image, plan.dialect)
    grid, drawn = _on_ct_grid(plan, other_patient(plan, motion) if wrong.other_ct and hit else labels, motion)
    density = plan.phantom.scene.density_by_label
    hu = scanner.hounsfield(drawn, density, None if plan.perfect else rng)
    if wrong.half_ct and hit:
        grid, hu = upper_half(grid), hu[hu.shape[0] // 2 :]
    write_ct(folder / "ct", _clocked(visit, clock_shift(wrong, number, spect=False)), grid, hu)


def _clocked(visit: Visit, ahead: timedelta) -> Visit:
    return replace(visit, acquisition_start=visit.acquisition_start + ahead)


def _on_ct_grid(plan: Plan, labels: Labels, motion: Motion) -> tuple[Grid, Labels]:
    """The drawing on the CT's grid: repeated (perfect), as it is, or drawn anew where it was finer."""
    ct_mm = plan.phantom.ct_mm
    grid = drawing_grid(plan.phantom, ct_mm)
    if plan.drawing_mm > ct_mm:
        return grid, scanner.repeat(labels, round(plan.drawing_mm / ct_mm))
    return grid, labels if plan.drawing_mm == ct_mm else draw(plan.phantom.scene, grid, motion)


def _spect_image(
    plan: Plan,
    cycle: Cycle,
    labels: Labels,
    activity_bq: NDArray[np.float64],
    rng: np.random.Generator,
    fwhm_mm: float,
) -> SpectImage:
    """Form the SPECT image: blur, average, noise."""
    fwhm = 0.0 if plan.perfect else fwhm_mm
    voxel_bq = scanner.voxel_activity(
        labels, activity_bq, spacing_mm=plan.drawing_mm, factor=plan.model_factor, fwhm_mm=fwhm
    )
    if not plan.perfect:
        voxel_bq = scanner.noisy(
            voxel_bq,
            reference_counts=_reference_bq(plan, cycle),
            cov=scanner.LIVER_COV_AT_24_H,
            spacing_mm=plan.phantom.spect_mm,
            rng=rng,
        )
    return SpectImage(plan.spect_grid, voxel_bq, labels if plan.perfect else None, plan.factor_bq_s_per_count)


def _reference_bq(plan: Plan, cycle: Cycle) -> float:
    """Activity (Bq) of a SPECT voxel of the reference label (liver, background) at the first time point."""
    label = plan.phantom.noise_reference_label
    volume_mm3 = np.count_nonzero(plan.labels == label) * plan.drawing_mm**3
    return cycle.curves[label].at(cycle.delay_s(cycle.starts[0])) * plan.phantom.spect_mm**3 / volume_mm3


def _write_forms(folder: Path, plan: Plan, cycle: Cycle, wrong: Fault) -> None:
    """Cycle form, blood samples and contours of one cycle."""
    documents.write_cycle_form(
        folder / "cycle.toml",
        patient_key=plan.patient_key,
        cycle=cycle.number,
        activity_bq=cycle.administered_bq,
        residual_bq=RESIDUAL_BQ,
        administered_at=cycle.administered_at + timedelta(days=wrong.days),
        person=(plan.phantom.weight_kg, plan.phantom.height_cm, plan.phantom.sex),
    )
    rng = np.random.default_rng([plan.seed, 8, cycle.number])
    sigma = 0.0 if plan.perfect else 0.02
    times = BLOOD_SAMPLES_H if cycle.blood.terms else ()
    samples = [(h, cycle.blood.at(h * SECONDS_PER_HOUR) * (1.0 + sigma * float(rng.standard_normal()))) for h in times]
    documents.write_blood(folder / "blood.csv", samples)
    regions = plan.phantom.scene.regions
    named = sides_swapped(regions) if wrong.sides_swapped else regions
    documents.write_contours(folder, region_labels(plan.phantom.scene, plan.labels), plan.drawing_grid, named)


def _write_site_and_course(out: Path, plan: Plan, wrong: Fault) -> None:
    recovery = None if plan.perfect else recovery_curve(scanner.FWHM_MM, plan.phantom.spect_mm)
    documents.write_site(
        out / "site.toml",
        dialect=plan.dialect,
        factor_bq_s_per_count=plan.factor_bq_s_per_count * wrong.factor,
        sensitivity_cps_per_mbq=float(f"{BQ_PER_MBQ / plan.factor_bq_s_per_count:.3g}"),
        recovery=recovery,
        planned_scans_h=plan.phantom.delays_h if plan.kind == "patient" else (),
    )
    dates = [(FIRST_CYCLE + n * CYCLE_INTERVAL).date() for n in range(len(plan.cycles) + 1)]
    documents.write_labs(out / "labs.csv", dates, plan.seed)
    documents.write_imaging(out / "imaging.csv", dates)
