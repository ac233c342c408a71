"""A patient drawn by others: 177Lu-DOTATATE phantom "patient15" (Pells, Page, Auer; MIT) as a DICOM study.

CT values, liver, spleen, kidneys and three tumours are theirs (a low-dose CT of the Christie NHS Foundation Trust,
segmented by a physicist there). Kinetics, camera and noise are ours, so that a truth exists. The file
``sample_dicom/public.toml`` says where theirs come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from zipfile import BadZipFile, ZipFile

import numpy as np
from scipy import ndimage

from pipeline.errors import RefusalError
from pipeline.units import BQ_PER_GBQ, BQ_PER_MBQ
from sample_dicom import documents, scanner
from sample_dicom.headers import Visit
from sample_dicom.kinetics import Curve, washout
from sample_dicom.phantoms import Phantom
from sample_dicom.plan import FIRST_CYCLE, Cycle, Plan, by_label, digits, drawing_grid
from sample_dicom.recovery import recovery_curve
from sample_dicom.scene import Motion, RegionOfTruth, Scene, Tissue, region_labels
from sample_dicom.series import SpectImage, write_ct, write_spect
from sample_dicom.shapes import rotation
from sample_dicom.tissues import AIR_HU, density_of_hu
from sample_dicom.truth_document import truth_document

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from sample_dicom.scene import Labels

SHAPE: Final = (90, 70, 108)
SPACING_MM: Final = (4.4196, 3.9063, 3.9063)
# Their attenuation file holds HU + 1000; the couch has a number of its own.
HU_OFFSET: Final = 1000
COUCH: Final = 3000
COUCH_HU: Final = -100
# Body: above lung's lower border, the couch taken away.
BODY_ABOVE_HU: Final = -800

GAS, LUNG, FAT, SOFT, BONE = 1, 2, 3, 4, 5
# Upper HU of the tissues of the body outside the organs: borders of the phantom's own material table, less 1000.
TISSUES_UP_TO_HU: Final = {GAS: -780.0, LUNG: -500.0, FAT: -50.0, SOFT: 150.0, BONE: 4000.0}
NAMES: Final = {GAS: "gas", LUNG: "lung", FAT: "fat", SOFT: "soft tissue", BONE: "bone"}
REGION_OF_NUMBER: Final = {
    17000: RegionOfTruth(1, "kidney", "left", "organ", (11,)),
    18000: RegionOfTruth(2, "kidney", "right", "organ", (12,)),
    15000: RegionOfTruth(3, "liver", None, "organ", (13,)),
    16000: RegionOfTruth(4, "spleen", None, "organ", (14,)),
    19000: RegionOfTruth(11, "lesion-1", None, "lesion", (15,)),
    20000: RegionOfTruth(12, "lesion-2", None, "lesion", (16,)),
    21000: RegionOfTruth(13, "lesion-3", None, "lesion", (17,)),
}
LIVER: Final = 13

ADMINISTERED_BQ: Final = 7.4 * BQ_PER_GBQ
DELAYS_H: Final = (24.0, 96.0, 168.0)
# Part of the administered activity per mL at t = 0 and effective half-life: as the phantom patient's mean
# (sample_dicom/uptake.py, with its sources): 0.38-0.57 Gy/GBq in kidneys, 60-110 h in tumours.
KINETICS: Final[dict[int, tuple[float, float]]] = {
    11: (7.6e-5, 52.0),
    12: (7.6e-5, 52.0),
    13: (3.3e-5, 69.0),
    14: (1.0e-4, 67.0),
    15: (2.6e-4, 85.0),
    16: (2.1e-4, 95.0),
    17: (3.0e-4, 72.0),
    SOFT: (1.4e-6, 52.0),
    FAT: (3.5e-7, 52.0),
    LUNG: (5.0e-7, 52.0),
    BONE: (7.0e-7, 52.0),
}
UPTAKE_HALF_LIFE_H: Final = 0.6
# The patient lies elsewhere at the second and third scan.
MOTIONS: Final = (
    Motion(),
    Motion((3.5, -2.0, 4.0), rotation((0.6, -0.8, 0.5))),
    Motion((-2.5, 3.0, -5.0), rotation((-0.7, 0.4, -0.9))),
)
SPECT_MM: Final = 4.8
DRAWING_MM: Final = 2.4
SPECT_SHAPE: Final = (84, 72, 96)
SEED: Final = 15


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Their two volumes, as (slice from feet to head, row to the back, column to the left)."""

    number: NDArray[np.int32]
    hu: NDArray[np.float32]


def read_patient15(archive: Path) -> Anatomy:
    """Read ``patient_LuDOTATATE_phantoms.zip``; refuse another file (``PUBLIC_DATA_INVALID``)."""
    try:
        with ZipFile(archive) as opened:
            source, attenuation = (_volume(opened, name) for name in ("src", "attn"))
    except (OSError, BadZipFile, KeyError, ValueError) as error:
        raise RefusalError(
            "PUBLIC_DATA_INVALID",
            found=f"{archive.name}: {error}",
            needed="patient_LuDOTATATE_phantoms.zip with its two volumes of 90 x 70 x 108",
            do="get it as sample_dicom/public.toml says; `python -m sample_dicom.public FOLDER` checks it",
            where=archive.name,
        ) from error
    hu = np.where(attenuation == COUCH, COUCH_HU, attenuation - HU_OFFSET)
    return Anatomy(source, hu.astype(np.float32))


def _volume(archive: ZipFile, name: str) -> NDArray[np.int32]:
    stored = np.frombuffer(archive.read(f"patient15_LuDOTATATE_{name}.i33"), dtype="<u2").reshape(SHAPE)
    # Theirs run from head to feet and from back to front (flipped for GATE): the couch lies at row 0.
    return np.ascontiguousarray(stored[::-1, ::-1].astype(np.int32))


def tissue_labels(anatomy: Anatomy) -> Labels:
    """Return the label of each of their voxels: an organ, a tissue by its HU, or 0 outside the body."""
    solid = anatomy.hu > BODY_ABOVE_HU
    trunk = ndimage.binary_opening(solid, iterations=3)
    parts, _ = ndimage.label(trunk)
    largest = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    near = ndimage.binary_dilation(largest, iterations=2) & solid
    body = np.stack([ndimage.binary_fill_holes(plane) for plane in near])
    tissue = 1 + np.searchsorted(list(TISSUES_UP_TO_HU.values()), anatomy.hu)
    labels = np.where(body, tissue, 0).astype(np.uint8)
    for number, region in REGION_OF_NUMBER.items():
        labels[anatomy.number == number] = region.parts[0]
    return labels


def sampled(
    values: Labels | NDArray[np.float32], grid: Grid, motion: Motion, *, order: Literal[0, 1], outside: float
) -> NDArray[Any]:
    """Return their volume, moved, on another centred grid (order 0: nearest, 1: linear)."""
    back = motion.turn.T
    to_xyz = grid.affine_mm[:3, :3]
    reorder = np.eye(3)[::-1] / np.asarray(SPACING_MM)[:, None]
    matrix = reorder @ back @ to_xyz
    offset = reorder @ back @ (grid.affine_mm[:3, 3] - np.asarray(motion.shift_mm)) + (np.asarray(SHAPE) - 1) / 2.0
    moved = ndimage.affine_transform(
        values, matrix, offset, output_shape=grid.shape, order=order, cval=outside, mode="constant"
    )
    return np.asarray(moved)


def patient15_plan(anatomy: Anatomy, dialect: str = "nm-counts") -> Plan:
    """Return the plan of one cycle of this patient."""
    labels = tissue_labels(anatomy)
    phantom = _phantom(_scene(labels, anatomy))
    grid = drawing_grid(phantom, DRAWING_MM)
    drawn = sampled(labels, grid, Motion(), order=0, outside=0)
    return Plan(
        phantom=phantom,
        kind="patient15",
        dialect=dialect,
        seed=SEED,
        perfect=False,
        labels=drawn,
        drawing_mm=DRAWING_MM,
        cycles=(_cycle(drawn),),
        factor_bq_s_per_count=scanner.FACTOR_BQ_S_PER_COUNT,
    )


def _scene(labels: Labels, anatomy: Anatomy) -> Scene:
    density = density_of_hu(anatomy.hu)
    named = NAMES | {region.parts[0]: region.name for region in REGION_OF_NUMBER.values()}
    tissues = {label: Tissue(name, float(density[labels == label].mean())) for label, name in named.items()}
    return Scene((), tissues, tuple(REGION_OF_NUMBER.values()))


def _phantom(scene: Scene) -> Phantom:
    return Phantom(
        scene=scene,
        curves=lambda *_, **__: ({}, Curve(())),
        activity_bq=ADMINISTERED_BQ,
        delays_h=DELAYS_H,
        spect_shape=SPECT_SHAPE,
        spect_mm=SPECT_MM,
        ct_mm=DRAWING_MM,
        drawing_mm=DRAWING_MM,
        noise_reference_label=LIVER,
        moves=True,
        sex="female",
    )


def _cycle(drawn: Labels) -> Cycle:
    volume_ml = np.bincount(drawn.ravel(), minlength=256) * DRAWING_MM**3 / 1000.0
    curves = {
        label: washout(ADMINISTERED_BQ * per_ml * float(volume_ml[label]), half_life_h, UPTAKE_HALF_LIFE_H)
        for label, (per_ml, half_life_h) in KINETICS.items()
    }
    starts = tuple(FIRST_CYCLE + timedelta(hours=hours) for hours in DELAYS_H)
    return Cycle(1, FIRST_CYCLE, ADMINISTERED_BQ, starts, curves, Curve(()))


def write_patient15(archive: Path, out: Path, *, dialect: str = "nm-counts") -> dict[str, Any]:
    """Write the study, its forms, contours and truth into ``out``; return the truth.

    Parameters
    ----------
    archive : Path
        Their zip file.
    out : Path
    dialect : {"nm-counts", "nm-rwv", "pet-bqml"}
    """
    anatomy = read_patient15(archive)
    plan = patient15_plan(anatomy, dialect)
    folder = out / "cycle-1"
    for number in range(1, len(DELAYS_H) + 1):
        _write_time_point(folder / f"tp-{number}", plan, anatomy, number)
    _write_forms(folder, plan)
    document = truth_document(plan)
    documents.write_json(out / "truth.json", document)
    documents.write_site(
        out / "site.toml",
        dialect=dialect,
        factor_bq_s_per_count=plan.factor_bq_s_per_count,
        sensitivity_cps_per_mbq=float(f"{BQ_PER_MBQ / plan.factor_bq_s_per_count:.3g}"),
        recovery=recovery_curve(scanner.FWHM_MM, SPECT_MM),
        planned_scans_h=DELAYS_H,
    )
    return document


def _visit(plan: Plan, number: int) -> Visit:
    cycle = plan.cycles[0]
    return Visit(
        patient_key="patient15",
        sex=plan.phantom.sex,
        weight_kg=None,
        height_cm=None,
        administered_at=cycle.administered_at,
        administered_bq=cycle.administered_bq,
        acquisition_start=cycle.starts[number - 1],
        description=f"patient15 time point {number}",
        identity=("patient15", plan.dialect, number),
    )


def _write_time_point(folder: Path, plan: Plan, anatomy: Anatomy, number: int) -> None:
    cycle, motion, visit = plan.cycles[0], MOTIONS[number - 1], _visit(plan, number)
    start_s = cycle.delay_s(cycle.starts[number - 1])
    drawn = sampled(tissue_labels(anatomy), plan.drawing_grid, motion, order=0, outside=0)
    mean_bq = by_label(cycle.curves, lambda c: digits(c.mean(start_s, start_s + scanner.ACQUISITION_S)))
    voxel_bq = scanner.voxel_activity(
        drawn, mean_bq, spacing_mm=DRAWING_MM, factor=plan.model_factor, fwhm_mm=scanner.FWHM_MM
    )
    noisy_bq = scanner.noisy(
        voxel_bq,
        reference_counts=_liver_voxel_bq(plan),
        cov=scanner.LIVER_COV_AT_24_H,
        spacing_mm=SPECT_MM,
        rng=np.random.default_rng([SEED, 7, number]),
    )
    write_spect(
        folder / "spect", visit, SpectImage(plan.spect_grid, noisy_bq, None, plan.factor_bq_s_per_count), plan.dialect
    )
    hu = sampled(anatomy.hu, plan.drawing_grid, motion, order=1, outside=AIR_HU)
    write_ct(folder / "ct", visit, plan.drawing_grid, np.rint(hu).astype(np.int16))


def _liver_voxel_bq(plan: Plan) -> float:
    """Activity (Bq) of a liver voxel of the SPECT at the first scan: what the noise level refers to."""
    cycle = plan.cycles[0]
    held_bq = cycle.curves[LIVER].at(cycle.delay_s(cycle.starts[0]))
    return held_bq * plan.model_factor**3 / float(np.count_nonzero(plan.labels == LIVER))


def _write_forms(folder: Path, plan: Plan) -> None:
    cycle = plan.cycles[0]
    documents.write_cycle_form(
        folder / "cycle.toml",
        patient_key="patient15",
        cycle=1,
        activity_bq=cycle.administered_bq,
        residual_bq=0.0,
        administered_at=cycle.administered_at,
        person=(None, None, plan.phantom.sex),
    )
    regions = plan.phantom.scene.regions
    documents.write_contours(folder, region_labels(plan.phantom.scene, plan.labels), plan.drawing_grid, regions)
