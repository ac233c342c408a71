"""The three kinds of phantom behind one face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.units import BQ_PER_GBQ
from sample_dicom import anatomy, nema
from sample_dicom.uptake import patient_curves

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sample_dicom.kinetics import Curve
    from sample_dicom.scene import Scene


class Curves(Protocol):
    """Activity curve (Bq) of each label and the blood's concentration curve (Bq/mL) of one cycle."""

    def __call__(
        self, seed: int, cycle: int, administered_bq: float, volume_ml: NDArray[np.float64], *, perfect: bool
    ) -> tuple[dict[int, Curve], Curve]:
        """Return the curves for labels of the given volumes, shape (256,)."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """A scene with the grids it is scanned on and the activity it holds."""

    scene: Scene
    curves: Curves
    activity_bq: float
    delays_h: tuple[float, ...]
    spect_shape: tuple[int, int, int]
    spect_mm: float
    ct_mm: float
    drawing_mm: float
    noise_reference_label: int
    moves: bool
    sex: str | None = None
    weight_kg: float | None = None
    height_cm: float | None = None


def phantom_of(kind: str, seed: int, *, perfect: bool) -> Phantom:
    """Return the phantom of a kind."""
    return {"patient": patient, "nema-iec": nema_iec, "cylinder": cylinder}[kind](seed, perfect=perfect)


def patient(seed: int, *, perfect: bool) -> Phantom:
    """The adult: CT and drawing at 2.4 mm, SPECT at 4.8 mm, scans at about 24, 96 and 168 h."""
    return Phantom(
        scene=anatomy.adult(seed, finest_voxel_mm=4.8 if perfect else 2.4),
        curves=patient_curves,
        activity_bq=7.4 * BQ_PER_GBQ,
        delays_h=(24.0, 96.0, 168.0),
        spect_shape=(90, 128, 128),
        spect_mm=4.8,
        ct_mm=2.4,
        drawing_mm=2.4,
        noise_reference_label=anatomy.LIVER,
        moves=True,
        sex="male",
        weight_kg=anatomy.REFERENCE_WEIGHT_KG,
        height_cm=anatomy.REFERENCE_HEIGHT_CM,
    )


def nema_iec(seed: int, *, perfect: bool) -> Phantom:
    """The NEMA IEC body phantom, drawn at 1.2 mm so that the 10 mm sphere is round; scans 72 h apart."""
    del seed, perfect
    return Phantom(
        scene=nema.nema_scene(),
        curves=nema.nema_curves,
        activity_bq=nema.nema_activity_bq(),
        delays_h=(2.0, 74.0),
        spect_shape=(46, 80, 80),
        spect_mm=4.8,
        ct_mm=2.4,
        drawing_mm=1.2,
        noise_reference_label=nema.WATER,
        moves=False,
    )


def cylinder(seed: int, *, perfect: bool) -> Phantom:
    """The uniform cylinder; scans 72 h apart."""
    del seed, perfect
    return Phantom(
        scene=nema.cylinder_scene(),
        curves=nema.cylinder_curves,
        activity_bq=nema.cylinder_activity_bq(),
        delays_h=(2.0, 74.0),
        spect_shape=(50, 64, 64),
        spect_mm=4.8,
        ct_mm=2.4,
        drawing_mm=2.4,
        noise_reference_label=nema.WATER,
        moves=False,
    )
