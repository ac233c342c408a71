"""Write a phantom: DICOM of every time point, site profile, forms, contours and truth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pipeline.errors import require
from pipeline.units import BQ_PER_MBQ, MM_PER_CM, SECONDS_PER_HOUR
from sample_dicom import documents, scanner, truth
from sample_dicom.headers import Visit
from sample_dicom.phantoms import Phantom, phantom_of
from sample_dicom.recovery import recovery_curve
from sample_dicom.scene import Motion, centred_grid, draw, region_labels
from sample_dicom.series import MODEL_OF_DIALECT, SpectImage, write_ct, write_spect
from sample_dicom.shapes import rotation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from sample_dicom.kinetics import Curve
    from sample_dicom.scene import Labels

KINDS: Final = ("patient", "nema-iec", "cylinder")
DIALECTS: Final = tuple(MODEL_OF_DIALECT)
# The clinic's clocks stay at UTC+1 all year.
CLINIC_ZONE: Final = timezone(timedelta(hours=1))
FIRST_CYCLE: Final = datetime(2026, 3, 2, 10, 0, tzinfo=CLINIC_ZONE)
CYCLE_INTERVAL: Final = timedelta(days=49)
BLOOD_SAMPLES_H: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 24.0, 48.0, 96.0, 168.0)
RESIDUAL_BQ: Final = 42.0 * BQ_PER_MBQ
PERFECT_FULL_SCALE: Final = 60_000.0
FULL_COUNTS: Final = scanner.FRAME_DURATION_S * scanner.PROJECTIONS


def write_phantom(
    out: Path,
    *,
    kind: str,
    dialect: str = "nm-counts",
    seed: int = 1,
    perfect: bool = False,
    cycles: int = 2,
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
    tell = progress or (lambda _: None)
    phantom = phantom_of(kind, seed, perfect=perfect)
    plan = _plan(phantom, kind, dialect, seed, perfect, cycles if kind == "patient" else 1)
    out.mkdir(parents=True, exist_ok=True)
    for cycle in plan.cycles:
        for number, start in enumerate(cycle.starts, start=1):
            tell(f"cycle {cycle.number}, time point {number} at {start.isoformat()}")
            _write_time_point(out / f"cycle-{cycle.number}" / f"tp-{number}", plan, cycle, number)
        _write_forms(out / f"cycle-{cycle.number}", plan, cycle)
    tell("truth by deposit sampling")
    document = _truth(plan)
    documents.write_json(out / "truth.json", document)
    _write_site_and_course(out, plan)
    return document


def _require_known(kind: str, dialect: str, seed: int, cycles: int) -> None:
    require(
        kind in KINDS and dialect in DIALECTS and seed >= 0 and cycles >= 1,
        "PHANTOM_UNKNOWN",
        found=f"kind {kind!r}, dialect {dialect!r}, seed {seed}, {cycles} cycles",
        needed=f"a kind of {', '.join(KINDS)}, a dialect of {', '.join(DIALECTS)}, a seed from 0, a cycle or more",
        do="choose one of these",
        where="phantom",
    )


@dataclass(frozen=True, eq=False)
class _Cycle:
    """One cycle: when, how much, which curves (by label, Bq)."""

    number: int
    administered_at: datetime
    administered_bq: float
    starts: tuple[datetime, ...]
    curves: dict[int, Curve]
    blood: Curve

    def delay_s(self, start: datetime) -> float:
        return (start - self.administered_at).total_seconds()


@dataclass(frozen=True, eq=False)
class _Plan:
    """Everything that is decided before anything is written."""

    phantom: Phantom
    kind: str
    dialect: str
    seed: int
    perfect: bool
    labels: Labels  # drawing on the drawing grid, first time point
    drawing_mm: float
    cycles: tuple[_Cycle, ...]
    factor_bq_s_per_count: float

    @property
    def model_factor(self) -> int:
        """Drawing voxels along one side of a SPECT voxel."""
        return round(self.phantom.spect_mm / self.drawing_mm)

    @property
    def spect_grid(self) -> Grid:
        return centred_grid(self.phantom.spect_shape, self.phantom.spect_mm, "")

    @property
    def drawing_grid(self) -> Grid:
        return _drawing_grid(self.phantom, self.drawing_mm)

    @property
    def patient_key(self) -> str:
        return f"phantom-{self.seed}" if self.kind == "patient" else f"{self.kind}-{self.seed}"


def _drawing_grid(phantom: Phantom, drawing_mm: float) -> Grid:
    factor = round(phantom.spect_mm / drawing_mm)
    z, y, x = (n * factor for n in phantom.spect_shape)
    return centred_grid((z, y, x), drawing_mm, "")


def _plan(phantom: Phantom, kind: str, dialect: str, seed: int, perfect: bool, cycles: int) -> _Plan:
    drawing_mm = phantom.spect_mm if perfect else phantom.drawing_mm
    labels = draw(phantom.scene, _drawing_grid(phantom, drawing_mm))
    volume_ml = np.asarray(np.bincount(labels.ravel(), minlength=256) * (drawing_mm / MM_PER_CM) ** 3, dtype=np.float64)
    made = tuple(_cycle(phantom, seed, n, volume_ml, perfect) for n in range(1, cycles + 1))
    factor = _perfect_factor(made, labels) if perfect else scanner.FACTOR_BQ_S_PER_COUNT
    return _Plan(phantom, kind, dialect, seed, perfect, labels, drawing_mm, made, factor)


def _perfect_factor(cycles: tuple[_Cycle, ...], labels: Labels) -> float:
    """Factor (Bq s per count) that puts the hottest voxel near full scale."""
    count = np.bincount(labels.ravel(), minlength=256)
    hottest = max(curve.at(c.delay_s(c.starts[0])) / count[k] for c in cycles for k, curve in c.curves.items())
    return float(f"{hottest * FULL_COUNTS / PERFECT_FULL_SCALE:.4g}")


def _cycle(phantom: Phantom, seed: int, number: int, volume_ml: NDArray[np.float64], perfect: bool) -> _Cycle:
    rng = np.random.default_rng([seed, 5, number])
    administered_at = FIRST_CYCLE + (number - 1) * CYCLE_INTERVAL + timedelta(minutes=int(rng.integers(0, 50)))
    administered_bq = round(phantom.activity_bq * (1.0 if perfect else rng.uniform(0.985, 1.015)) / 1e5) * 1e5
    starts = tuple(
        administered_at + timedelta(hours=hours, minutes=int(rng.integers(-35, 36))) for hours in phantom.delays_h
    )
    curves, blood = phantom.curves(seed, number, administered_bq, volume_ml, perfect=perfect)
    return _Cycle(number, administered_at, administered_bq, starts, curves, blood)


def _digits(value: float) -> float:
    """Round to eight digits, so that machines whose exponentials differ in the last bit write the same bytes."""
    return float(f"{value:.8g}")


def _by_label(curves: dict[int, Curve], value: Callable[[Curve], float]) -> NDArray[np.float64]:
    """Value of each label's curve, shape (256,)."""
    values = np.zeros(256)
    for label, curve in curves.items():
        values[label] = value(curve)
    return values


def _motion(plan: _Plan, cycle: _Cycle, number: int) -> Motion:
    """The patient lies a few mm and up to 2 degrees elsewhere at every later time point."""
    if plan.perfect or number == 1 or not plan.phantom.moves:
        return Motion()
    rng = np.random.default_rng([plan.seed, 6, cycle.number, number])
    direction = rng.standard_normal(3)
    shift = rng.uniform(3.0, 8.0) * direction / np.linalg.norm(direction)
    return Motion((float(shift[0]), float(shift[1]), float(shift[2])), rotation(tuple(rng.uniform(-1.1, 1.1, 3))))


def _visit(plan: _Plan, cycle: _Cycle, number: int) -> Visit:
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


def _write_time_point(folder: Path, plan: _Plan, cycle: _Cycle, number: int) -> None:
    """Scan and store one time point."""
    start = cycle.delay_s(cycle.starts[number - 1])
    activity = _by_label(cycle.curves, lambda c: _digits(c.mean(start, start + scanner.ACQUISITION_S)))
    labels = plan.labels
    motion = _motion(plan, cycle, number)
    if motion.shift_mm != (0.0, 0.0, 0.0):
        labels = draw(plan.phantom.scene, plan.drawing_grid, motion)
    rng = np.random.default_rng([plan.seed, 7, cycle.number, number])
    visit = _visit(plan, cycle, number)
    image = _spect_image(plan, cycle, labels, activity, rng)
    write_spect(folder / "spect", visit, image, plan.dialect)
    grid, drawn = _on_ct_grid(plan, labels, motion)
    density = plan.phantom.scene.density_by_label
    write_ct(folder / "ct", visit, grid, scanner.hounsfield(drawn, density, None if plan.perfect else rng))


def _on_ct_grid(plan: _Plan, labels: Labels, motion: Motion) -> tuple[Grid, Labels]:
    """The drawing on the CT's grid: repeated (perfect), as it is, or drawn anew where it was finer."""
    ct_mm = plan.phantom.ct_mm
    grid = _drawing_grid(plan.phantom, ct_mm)
    if plan.drawing_mm > ct_mm:
        return grid, scanner.repeat(labels, round(plan.drawing_mm / ct_mm))
    return grid, labels if plan.drawing_mm == ct_mm else draw(plan.phantom.scene, grid, motion)


def _spect_image(
    plan: _Plan, cycle: _Cycle, labels: Labels, activity_bq: NDArray[np.float64], rng: np.random.Generator
) -> SpectImage:
    """Form the SPECT image: blur, average, noise."""
    fwhm = 0.0 if plan.perfect else scanner.FWHM_MM
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


def _reference_bq(plan: _Plan, cycle: _Cycle) -> float:
    """Activity (Bq) of a SPECT voxel of the reference label (liver, background) at the first time point."""
    label = plan.phantom.noise_reference_label
    volume_mm3 = np.count_nonzero(plan.labels == label) * plan.drawing_mm**3
    return cycle.curves[label].at(cycle.delay_s(cycle.starts[0])) * plan.phantom.spect_mm**3 / volume_mm3


def _write_forms(folder: Path, plan: _Plan, cycle: _Cycle) -> None:
    """Cycle form, blood samples and contours of one cycle."""
    documents.write_cycle_form(
        folder / "cycle.toml",
        patient_key=plan.patient_key,
        cycle=cycle.number,
        activity_bq=cycle.administered_bq,
        residual_bq=RESIDUAL_BQ,
        administered_at=cycle.administered_at,
        person=(plan.phantom.weight_kg, plan.phantom.height_cm, plan.phantom.sex),
    )
    rng = np.random.default_rng([plan.seed, 8, cycle.number])
    sigma = 0.0 if plan.perfect else 0.02
    times = BLOOD_SAMPLES_H if cycle.blood.terms else ()
    samples = [(h, cycle.blood.at(h * SECONDS_PER_HOUR) * (1.0 + sigma * float(rng.standard_normal()))) for h in times]
    documents.write_blood(folder / "blood.csv", samples)
    documents.write_contours(
        folder, region_labels(plan.phantom.scene, plan.labels), plan.drawing_grid, plan.phantom.scene.regions
    )


def _write_site_and_course(out: Path, plan: _Plan) -> None:
    recovery = None if plan.perfect else recovery_curve(scanner.FWHM_MM, plan.phantom.spect_mm)
    documents.write_site(
        out / "site.toml",
        dialect=plan.dialect,
        factor_bq_s_per_count=plan.factor_bq_s_per_count,
        recovery=recovery,
    )
    dates = [(FIRST_CYCLE + n * CYCLE_INTERVAL).date() for n in range(len(plan.cycles) + 1)]
    documents.write_labs(out / "labs.csv", dates, plan.seed)
    documents.write_imaging(out / "imaging.csv", dates)


def _truth(plan: _Plan) -> dict[str, Any]:
    """Truth of every cycle: volumes from the label map, TIA analytic, dose by deposit sampling."""
    scene = plan.phantom.scene
    parts = [region.parts for region in scene.regions]
    deposits = truth.sample_deposits(plan.labels, plan.drawing_mm, scene.density_by_label, parts, plan.seed)
    centroids = _centroids_lps_mm(plan)
    return {"cycles": [_cycle_truth(plan, cycle, deposits, centroids) for cycle in plan.cycles]}


def _cycle_truth(plan: _Plan, cycle: _Cycle, deposits: truth.Deposits, centroids: list[list[float]]) -> dict[str, Any]:
    tia = _by_label(cycle.curves, lambda c: c.integral())
    dose = deposits.mean_dose_gy(tia)
    regions = []
    for k, region in enumerate(plan.phantom.scene.regions):
        labels = list(region.parts)
        curves = [cycle.curves[p] for p in labels if p in cycle.curves]
        regions.append(
            {
                "name": region.name,
                "laterality": region.laterality,
                "kind": region.kind,
                "volume_ml": _digits(deposits.volume_ml[labels].sum()),
                "mass_g": _digits((deposits.volume_ml * deposits.density_g_per_cm3)[labels].sum()),
                "centroid_lps_mm": centroids[k],
                "activity_bq": [_digits(sum(c.at(cycle.delay_s(s)) for c in curves)) for s in cycle.starts],
                "tia_bq_s": _digits(tia[labels].sum()),
                "mean_dose_gy": _digits(dose[k]),
            }
        )
    everything = cycle.curves.values()
    return {
        "cycle": cycle.number,
        "administered_at": cycle.administered_at.isoformat(),
        "activity_bq": cycle.administered_bq,
        "acquisition_starts": [s.isoformat() for s in cycle.starts],
        "total_activity_bq": [_digits(sum(c.at(cycle.delay_s(s)) for c in everything)) for s in cycle.starts],
        "total_tia_bq_s": _digits(tia.sum()),
        "regions": regions,
    }


def _centroids_lps_mm(plan: _Plan) -> list[list[float]]:
    """Centroid of each region's voxels."""
    regions = region_labels(plan.phantom.scene, plan.labels)
    used = np.argwhere(regions)
    label = regions[tuple(used.T)]
    found = []
    for region in plan.phantom.scene.regions:
        middle = plan.drawing_grid.to_lps_mm(used[label == region.label].mean(axis=0))
        found.append([round(float(v), 4) + 0.0 for v in middle])
    return found
