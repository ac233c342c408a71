"""The fault gallery: what goes wrong in a clinic, put into a phantom as the clinic would suffer it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.domain.geometry import Grid
from pipeline.errors import RefusalError
from pipeline.units import SECONDS_PER_HOUR
from sample_dicom import anatomy, scanner, tissues
from sample_dicom.kinetics import LN2, LU177_HALF_LIFE_H, Curve, rate_per_s
from sample_dicom.plan import perfect_factor
from sample_dicom.scene import Motion, Part, draw
from sample_dicom.shapes import Column, sphere

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.regions import Laterality
    from sample_dicom.plan import Cycle, Plan
    from sample_dicom.scene import Labels, RegionOfTruth
    from sample_dicom.series import SpectImage

ARM, DEPOT = 40, 41
ARM_MM: Final = (222.0, 0.0, 0.0)
DEPOT_MM: Final = (224.0, 0.0, 40.0)
DEPOT_ML: Final = 200.0
# Effective half-life of what stays at the injection site: a choice of the phantom.
DEPOT_HALF_LIFE_H: Final = 30.0
HEADROOM: Final = 1.25
# Another adult: 8 % broader, 10 % deeper, 6 % taller, with organs of other sizes and places.
OTHER_SEED_STEP: Final = 1000
OTHER_SIZE: Final = (1.06, 1.10, 1.08)  # slices, rows, columns


@dataclass(frozen=True)
class Fault:
    """One fault; the defaults are a clinic without it.

    Attributes
    ----------
    text : str
        What happened.
    factor : float
        Calibration factor of the site profile over the true one.
    sides_swapped : bool
        Left and right kidney exchanged in ``contours.json``.
    time_point : int
        The scan that is hit (from 1), where a single one is.
    clock_h : float
        Added to the clock of one scan's SPECT, and of its CT unless ``spect_clock_only``.
    days : int
        Added to the date of the administration in the cycle form.
    extravasated : float
        Part of the dose that stayed in the arm.
    arm_in_field : bool
    lost : bool
        The scan is not there.
    other_ct : bool
        The scan's CT is another patient's, under this patient's name.
    half_spect, half_ct : bool
        The lower half of the slices was not exported.
    fwhm_mm : float
        Point spread of the images; the site's recovery curve stays that of ``scanner.FWHM_MM``.
    corrected_to : {"", "administration", "later"}
        The workstation's decay correction, which the site profile does not know of: "administration" multiplies by the
        decay since then; "later" divides, as where a profile says "administration" of values that are not corrected.
    """

    text: str
    factor: float = 1.0
    sides_swapped: bool = False
    time_point: int = 2
    clock_h: float = 0.0
    spect_clock_only: bool = False
    days: int = 0
    extravasated: float = 0.0
    arm_in_field: bool = True
    lost: bool = False
    other_ct: bool = False
    half_spect: bool = False
    half_ct: bool = False
    fwhm_mm: float = scanner.FWHM_MM
    corrected_to: str = ""


NONE: Final = Fault("nothing")
FAULTS: Final[dict[str, Fault]] = {
    "calibration-factor-x2": Fault("the site profile holds twice the calibration factor", factor=2.0),
    "sides-swapped": Fault("left and right kidney are exchanged in the contours", sides_swapped=True),
    "clock-1h": Fault("camera and CT clock of the second scan are 1 h ahead", clock_h=1.0),
    "date-1d": Fault("the cycle form dates the administration a day early", days=-1),
    "extravasation": Fault("half of the dose stays in the arm, which lies in the field", extravasated=0.5),
    "lost-scan": Fault("the second scan is not there", lost=True),
    "wrong-ct": Fault("the CT of the second scan is another patient's, under this one's name", other_ct=True),
    "half-slices": Fault("half of the slices of the second SPECT were not exported", half_spect=True),
    "double-recovery": Fault("images corrected for resolution are corrected for recovery again", fwhm_mm=5.0),
    "decay-reference": Fault(
        "the workstation corrects values to the administration, the profile says none", corrected_to="administration"
    ),
}


def fault_of(name: str | None, kind: str) -> Fault:
    """Return the fault of a name, ``NONE`` for no name; refuse others (``PHANTOM_UNKNOWN``)."""
    if name is None:
        return NONE
    if name not in FAULTS or kind != "patient":
        raise RefusalError(
            "PHANTOM_UNKNOWN",
            found=f"fault {name!r} of a phantom of kind {kind!r}",
            needed=f"kind patient and a fault of {', '.join(FAULTS)}",
            do="choose one of these",
            where="phantom",
        )
    return FAULTS[name]


def clock_shift(fault: Fault, number: int, *, spect: bool) -> timedelta:
    """Return by how much the clock of a scan's SPECT or CT is ahead."""
    hit = number == fault.time_point and (spect or not fault.spect_clock_only)
    return timedelta(hours=fault.clock_h if hit else 0.0)


def upper_half(grid: Grid) -> Grid:
    """Return the grid of the slices nearer to the head."""
    affine = grid.affine_mm.copy()
    affine[:3, 3] += affine[:3, 0] * (grid.shape[0] // 2)
    return Grid((grid.shape[0] - grid.shape[0] // 2, *grid.shape[1:]), affine, grid.frame_of_reference_uid)


def with_fault(plan: Plan, fault: Fault) -> Plan:
    """Return the plan of a patient whose arm holds a part of the dose; other faults change nothing in the patient."""
    if fault.extravasated != 0.0:
        plan = _with_arm(plan, fault)
    if not plan.perfect or (fault.extravasated == 0.0 and not fault.corrected_to):
        return plan
    # A perfect camera fills its 16 bits: it needs room for a depot and for values that a workstation raises.
    return replace(plan, factor_bq_s_per_count=HEADROOM * perfect_factor(plan.cycles, plan.labels))


def _with_arm(plan: Plan, fault: Fault) -> Plan:
    scene = plan.phantom.scene
    parts = (*scene.parts, *_arm()) if fault.arm_in_field else scene.parts
    more = {ARM: tissues.SOFT, DEPOT: tissues.SOFT} if fault.arm_in_field else {}
    changed = replace(scene, parts=parts, tissues=scene.tissues | more)
    phantom = replace(plan.phantom, scene=changed)
    labels = draw(changed, plan.drawing_grid)
    return replace(plan, phantom=phantom, labels=labels, cycles=tuple(_extravasated(c, fault) for c in plan.cycles))


def _arm() -> tuple[Part, ...]:
    """Return an arm beside the trunk, as it lies in many scans, with what stayed at the elbow."""
    arm = Column(ARM_MM, (44.0, 44.0), anatomy.HALF_HEIGHT_MM)
    return (Part(ARM, arm, over=(0,)), Part(DEPOT, sphere(DEPOT_MM, DEPOT_ML), over=(ARM,)))


def _extravasated(cycle: Cycle, fault: Fault) -> Cycle:
    reached = 1.0 - fault.extravasated
    curves = {label: curve.scaled(reached) for label, curve in cycle.curves.items()}
    if fault.arm_in_field:
        held_bq = cycle.administered_bq * fault.extravasated
        curves[DEPOT] = Curve(((held_bq, rate_per_s(DEPOT_HALF_LIFE_H)),))
    return replace(cycle, curves=curves, blood=cycle.blood.scaled(reached))


def stored_with_fault(image: SpectImage, fault: Fault, delay_s: float, *, hit: bool) -> SpectImage:
    """Return an image as a workstation at fault stores it: corrected for decay, or half of it."""
    if fault.corrected_to:
        factor = float(np.exp(LN2 * delay_s / SECONDS_PER_HOUR / LU177_HALF_LIFE_H))
        scale = np.float32(factor if fault.corrected_to == "administration" else 1.0 / factor)
        image = replace(image, activity_bq=image.activity_bq * scale)
    if fault.half_spect and hit:
        middle = image.grid.shape[0] // 2
        labels = None if image.labels is None else image.labels[middle:]
        image = replace(image, grid=upper_half(image.grid), activity_bq=image.activity_bq[middle:], labels=labels)
    return image


def sides_swapped(regions: tuple[RegionOfTruth, ...]) -> tuple[RegionOfTruth, ...]:
    """Return the regions with left and right exchanged."""
    other: dict[str | None, Laterality | None] = {"left": "right", "right": "left", None: None}
    return tuple(replace(region, laterality=other[region.laterality]) for region in regions)


def other_patient(plan: Plan, motion: Motion) -> Labels:
    """Return another adult drawn on the plan's grid: other organs, and a larger body."""
    scene = anatomy.adult(plan.seed + OTHER_SEED_STEP, finest_voxel_mm=plan.drawing_mm)
    labels = draw(scene, plan.drawing_grid, motion)
    place = np.ix_(*[_shrunk(n, size) for n, size in zip(labels.shape, OTHER_SIZE, strict=True)])
    return np.asarray(labels[place])


def _shrunk(count: int, size: float) -> NDArray[np.int64]:
    """Return the index of the unscaled drawing at each index of one that is ``size`` times larger."""
    middle = (count - 1) / 2.0
    return np.asarray(np.clip(np.rint((np.arange(count) - middle) / size + middle), 0, count - 1), dtype=np.int64)
