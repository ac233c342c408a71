"""What a phantom run will hold, decided before anything is written: drawing, times, activities, motion."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.units import MM_PER_CM
from sample_dicom import scanner
from sample_dicom.scene import Motion, centred_grid, draw
from sample_dicom.shapes import rotation

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from sample_dicom.kinetics import Curve
    from sample_dicom.phantoms import Phantom
    from sample_dicom.scene import Labels

# The clinic's clocks stay at UTC+1 all year.
CLINIC_ZONE: Final = timezone(timedelta(hours=1))
FIRST_CYCLE: Final = datetime(2026, 3, 2, 10, 0, tzinfo=CLINIC_ZONE)
CYCLE_INTERVAL: Final = timedelta(days=49)
PERFECT_FULL_SCALE: Final = 60_000.0
FULL_COUNTS: Final = scanner.FRAME_DURATION_S * scanner.PROJECTIONS


@dataclass(frozen=True, eq=False)
class Cycle:
    """One cycle: when, how much, which curves (by label, Bq)."""

    number: int
    administered_at: datetime
    administered_bq: float
    starts: tuple[datetime, ...]
    curves: dict[int, Curve]
    blood: Curve

    def delay_s(self, start: datetime) -> float:
        """Seconds from the administration to ``start``."""
        return (start - self.administered_at).total_seconds()


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that is decided before anything is written."""

    phantom: Phantom
    kind: str
    dialect: str
    seed: int
    perfect: bool
    labels: Labels  # drawing on the drawing grid, first time point
    drawing_mm: float
    cycles: tuple[Cycle, ...]
    factor_bq_s_per_count: float

    @property
    def model_factor(self) -> int:
        """Drawing voxels along one side of a SPECT voxel."""
        return round(self.phantom.spect_mm / self.drawing_mm)

    @property
    def spect_grid(self) -> Grid:
        """Grid of the SPECT."""
        return centred_grid(self.phantom.spect_shape, self.phantom.spect_mm, "")

    @property
    def drawing_grid(self) -> Grid:
        """Grid of the drawing and of the contours."""
        return drawing_grid(self.phantom, self.drawing_mm)

    @property
    def patient_key(self) -> str:
        """Pseudonym."""
        return f"phantom-{self.seed}" if self.kind == "patient" else f"{self.kind}-{self.seed}"


def drawing_grid(phantom: Phantom, drawing_mm: float) -> Grid:
    """Grid of another spacing over the same space as the SPECT's."""
    factor = round(phantom.spect_mm / drawing_mm)
    z, y, x = (n * factor for n in phantom.spect_shape)
    return centred_grid((z, y, x), drawing_mm, "")


def plan_of(phantom: Phantom, *, kind: str, dialect: str, seed: int, perfect: bool, cycles: int) -> Plan:
    """Decide everything about a run."""
    drawing_mm = phantom.spect_mm if perfect else phantom.drawing_mm
    labels = draw(phantom.scene, drawing_grid(phantom, drawing_mm))
    volume_ml = np.asarray(np.bincount(labels.ravel(), minlength=256) * (drawing_mm / MM_PER_CM) ** 3, dtype=np.float64)
    made = tuple(_cycle(phantom, seed, n, volume_ml, perfect=perfect) for n in range(1, cycles + 1))
    factor = perfect_factor(made, labels) if perfect else scanner.FACTOR_BQ_S_PER_COUNT
    return Plan(phantom, kind, dialect, seed, perfect, labels, drawing_mm, made, factor)


def perfect_factor(cycles: tuple[Cycle, ...], labels: Labels) -> float:
    """Factor (Bq s per count) that puts the hottest voxel near full scale."""
    count = np.bincount(labels.ravel(), minlength=256)
    hottest = max(curve.at(c.delay_s(c.starts[0])) / count[k] for c in cycles for k, curve in c.curves.items())
    return float(f"{hottest * FULL_COUNTS / PERFECT_FULL_SCALE:.4g}")


def _cycle(phantom: Phantom, seed: int, number: int, volume_ml: NDArray[np.float64], *, perfect: bool) -> Cycle:
    rng = np.random.default_rng([seed, 5, number])
    administered_at = FIRST_CYCLE + (number - 1) * CYCLE_INTERVAL + timedelta(minutes=int(rng.integers(0, 50)))
    administered_bq = round(phantom.activity_bq * (1.0 if perfect else rng.uniform(0.985, 1.015)) / 1e5) * 1e5
    starts = tuple(
        administered_at + timedelta(hours=hours, minutes=int(rng.integers(-35, 36))) for hours in phantom.delays_h
    )
    curves, blood = phantom.curves(seed, number, administered_bq, volume_ml, perfect=perfect)
    return Cycle(number, administered_at, administered_bq, starts, curves, blood)


def digits(value: float) -> float:
    """Round to eight digits, so that machines whose exponentials differ in the last bit write the same bytes."""
    return float(f"{value:.8g}")


def by_label(curves: dict[int, Curve], value: Callable[[Curve], float]) -> NDArray[np.float64]:
    """Value of each label's curve, shape (256,)."""
    values = np.zeros(256)
    for label, curve in curves.items():
        values[label] = value(curve)
    return values


def motion_of(plan: Plan, cycle: Cycle, number: int) -> Motion:
    """The patient lies a few mm and up to 2 degrees elsewhere at every later time point."""
    if plan.perfect or number == 1 or not plan.phantom.moves:
        return Motion()
    rng = np.random.default_rng([plan.seed, 6, cycle.number, number])
    direction = rng.standard_normal(3)
    shift = rng.uniform(3.0, 8.0) * direction / np.linalg.norm(direction)
    return Motion((float(shift[0]), float(shift[1]), float(shift[2])), rotation(tuple(rng.uniform(-1.1, 1.1, 3))))
