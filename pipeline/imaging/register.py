"""Rigid registration of one time point's CT onto another's, with a gate on its quality."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from pipeline.domain.geometry import Grid, frozen_array
from pipeline.errors import require
from pipeline.imaging.body import binned, body_of
from pipeline.imaging.convert import from_transform, to_sitk, to_transform
from pipeline.imaging.resample import coverage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pipeline.domain.maps import HounsfieldMap

REGISTRATION_MM = 4.0
AIR_HU = -1000.0
# Metal and its streaks carry no information on position.
HIGHEST_HU = 1000.0
MARGIN_MM = 12.0
# Of the blur before the quality is measured.
QUALITY_SIGMA_MM = 4.0
METRIC_BINS = 50
# From the coarsest level to the finest.
SHRINK_FACTORS = (4, 2, 1)
# Without blur on the finest level, noise pulls the result to whole voxels (0.8 mm measured): linear interpolation
# averages noise away anywhere else, and the metric takes that for a worse match.
SMOOTHING_VOXELS = (3.0, 2.0, 1.0)
# Voxels near the body that the metric looks at, at most, on each level.
SAMPLES = 25_000
SEED = 20260101
# A found motion below this is not told from the registration's own error (measured in tests/imaging).
ACCURACY_MM = 0.5
# Measured after the best rigid fit: the same patient 0.99 and more, other patients 0.2 to 0.7, a body scaled by
# 5 to 8 % per axis 0.90.
LOWEST_CORRELATION = 0.92
LOWEST_COVERAGE = 0.75
LOWEST_BODY_DICE = 0.85
QUALITY = "correlation of CT numbers inside the body"


@dataclass(frozen=True, eq=False)
class Registration:
    """Where one time point's CT lies relative to another's.

    Attributes
    ----------
    transform_mm : ndarray, shape (4, 4)
        LPS mm in the fixed frame to LPS mm in the moving frame.
    motion_mm : float
        Mean displacement over the body of the motion that was found (also where identity was kept).
    quality : str
        Name of the measure.
    value : float
        Pearson correlation of both CTs' numbers inside the common body.
    accepted : bool
        Whether every gate was passed.
    identity_kept : bool
        The motion found is below the registration's own accuracy, so nothing moves.
    gate : str
        Each gate with its value and its limit.
    coverage, body_dice : float
        Part of the fixed body inside the moving field of view, and overlap of both bodies there.
    """

    transform_mm: NDArray[np.float64]
    motion_mm: float
    quality: str
    value: float
    accepted: bool
    identity_kept: bool
    gate: str
    coverage: float
    body_dice: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "transform_mm", frozen_array(self.transform_mm, np.float64))


@dataclass(frozen=True, eq=False)
class _Level:
    """A CT at the spacing of the registration, couch replaced by air."""

    grid: Grid
    image: sitk.Image
    body: NDArray[np.bool_]

    @property
    def body_points_mm(self) -> NDArray[np.float64]:
        """LPS mm of the body's voxels, every eighth."""
        return self.grid.to_lps_mm(np.argwhere(self.body)[::8])


def _ball_margin(body: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    distance = ndimage.distance_transform_edt(~body, sampling=grid.spacing_mm)
    return np.asarray(distance <= MARGIN_MM)


def _level(ct: HounsfieldMap, which: str) -> _Level:
    values, grid = binned(ct.ct_number_hu, ct.grid, REGISTRATION_MM)
    body = body_of(np.clip(values / 1000.0 + 1.0, 0.0, None), grid)
    require(
        bool(body.any()),
        "CT_WITHOUT_BODY",
        found=f"no body in the {which} CT ({values.min():.0f} to {values.max():.0f} HU)",
        needed="a CT of the patient in HU",
        do="check that the right CT series belongs to this time point",
        where=which,
    )
    near = _ball_margin(body, grid)
    clean = np.where(near, np.clip(values, AIR_HU, HIGHEST_HU), AIR_HU).astype(np.float32)
    return _Level(grid, to_sitk(clean, grid), body)


def _starts(fixed: _Level, moving: _Level) -> list[NDArray[np.float64]]:
    """Return identity and the shift of the bodies' centres as transforms to start from."""
    by_centre = np.eye(4)
    by_centre[:3, 3] = moving.body_points_mm.mean(axis=0) - fixed.body_points_mm.mean(axis=0)
    return [np.eye(4), by_centre]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Set the number of threads; the metric listens to SimpleITK's global value only."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(count)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _method(fixed: _Level) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(METRIC_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    near = _ball_margin(fixed.body, fixed.grid)
    fractions = [min(1.0, SAMPLES * shrink**3 / float(near.sum())) for shrink in SHRINK_FACTORS]
    method.SetMetricSamplingPercentagePerLevel(fractions, SEED)
    method.SetMetricFixedMask(to_sitk(near, fixed.grid))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel(list(SHRINK_FACTORS))
    method.SetSmoothingSigmasPerLevel(list(SMOOTHING_VOXELS))
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.005, 60, 0.5, 1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    return method


def _rigid(fixed: _Level, start: NDArray[np.float64]) -> sitk.Euler3DTransform:
    """Return a rigid transform that starts as the shift ``start``, turning about the body's centre."""
    rigid = sitk.Euler3DTransform()
    rigid.SetCenter(fixed.body_points_mm.mean(axis=0).tolist())
    rigid.SetTranslation(start[:3, 3].tolist())
    return rigid


def _optimised(fixed: _Level, moving: _Level, start: NDArray[np.float64], threads: int) -> NDArray[np.float64]:
    rigid = _rigid(fixed, start)
    method = _method(fixed)
    method.SetInitialTransform(rigid, inPlace=True)
    try:
        with _threads(threads):
            method.Execute(fixed.image, moving.image)
    except RuntimeError:
        # SimpleITK's only error type; here: the bodies no longer overlap. The gates judge where the search stopped.
        return start
    # Below any meaning; keeps the last bits of other processors out of the record.
    return np.round(from_transform(rigid), 7)


def _smooth(level: _Level, like: _Level, transform_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a level's CT on the voxels of ``like``, blurred so that thin bone does not rule the correlation."""
    blurred = sitk.SmoothingRecursiveGaussian(level.image, QUALITY_SIGMA_MM)
    image = sitk.Resample(blurred, like.image, to_transform(transform_mm), sitk.sitkLinear, AIR_HU, sitk.sitkFloat32)
    return np.asarray(sitk.GetArrayFromImage(image))


def _apply(transform_mm: NDArray[np.float64], points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points_mm @ transform_mm[:3, :3].T + transform_mm[:3, 3])


def _correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Return the Pearson correlation of paired values; 0 where one of them does not vary."""
    if a.size < 2 or float(a.std()) == 0.0 or float(b.std()) == 0.0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


@dataclass(frozen=True)
class _Gates:
    """What the gates look at."""

    value: float
    coverage: float
    body_dice: float

    @property
    def accepted(self) -> bool:
        return (
            self.value >= LOWEST_CORRELATION and self.coverage >= LOWEST_COVERAGE and self.body_dice >= LOWEST_BODY_DICE
        )

    @property
    def text(self) -> str:
        return (
            f"{QUALITY} {self.value:.3f} (at least {LOWEST_CORRELATION:.2f}); body inside the other CT "
            f"{self.coverage:.2f} (at least {LOWEST_COVERAGE:.2f}); bodies overlap, Dice {self.body_dice:.3f} "
            f"(at least {LOWEST_BODY_DICE:.2f})"
        )


def _gates(fixed: _Level, moving: _Level, transform_mm: NDArray[np.float64]) -> _Gates:
    inside = coverage(moving.grid, fixed.grid, transform_mm)
    common = fixed.body & inside
    if not common.any():
        return _Gates(0.0, 0.0, 0.0)
    moved_body = _moved_body(fixed, moving, transform_mm) & inside
    dice = 2.0 * float((common & moved_body).sum()) / float(common.sum() + moved_body.sum())
    both = common & moved_body
    value = _correlation(_smooth(fixed, fixed, np.eye(4))[both], _smooth(moving, fixed, transform_mm)[both])
    return _Gates(value, float(inside[fixed.body].mean()), dice)


def _moved_body(fixed: _Level, moving: _Level, transform_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    body = to_sitk(moving.body, moving.grid)
    return np.asarray(
        sitk.GetArrayFromImage(
            sitk.Resample(body, fixed.image, to_transform(transform_mm), sitk.sitkNearestNeighbor, 0.0)
        )
        > 0
    )


def _search(fixed: _Level, moving: _Level, threads: int) -> tuple[NDArray[np.float64], _Gates]:
    """Start from where the scanner says; where that fails, from the bodies' centres; keep the better."""
    found: list[tuple[NDArray[np.float64], _Gates]] = []
    for start in _starts(fixed, moving):
        transform_mm = _optimised(fixed, moving, start, threads)
        found.append((transform_mm, _gates(fixed, moving, transform_mm)))
        if found[-1][1].accepted:
            return found[-1]
    return max(found, key=lambda pair: pair[1].value * pair[1].coverage)


def mean_displacement_mm(transform_mm: NDArray[np.float64], points_mm: NDArray[np.float64]) -> float:
    """Return the mean distance that points, shape (n, 3), are moved."""
    return float(np.linalg.norm(_apply(transform_mm, points_mm) - points_mm, axis=1).mean())


def register_ct(fixed: HounsfieldMap, moving: HounsfieldMap, *, threads: int = 1) -> Registration:
    """Register one CT rigidly onto another (Mattes mutual information near 4 mm, couch masked out).

    Frames of reference differ between time points by design; the transform leads from one to the other.

    Parameters
    ----------
    fixed, moving : HounsfieldMap
        CT of the reference time point and of another one, in HU.
    threads : int
        With 1 every run gives the same bits; with more, sums in changing order move the result by about 1e-7 mm.

    Returns
    -------
    Registration
        ``accepted`` is False for another patient's CT, half a CT, or a failed search: such a transform may not be used.

    Raises
    ------
    RefusalError
        ``CT_WITHOUT_BODY``.

    References
    ----------
    Mattes et al., IEEE Trans Med Imaging 22 (2003) 120.
    """
    fixed_level, moving_level = _level(fixed, "fixed"), _level(moving, "moving")
    transform_mm, gates = _search(fixed_level, moving_level, threads)
    motion_mm = mean_displacement_mm(transform_mm, fixed_level.body_points_mm)
    keep = gates.accepted and motion_mm < ACCURACY_MM
    return Registration(
        transform_mm=np.eye(4) if keep else transform_mm,
        motion_mm=motion_mm,
        quality=QUALITY,
        value=gates.value,
        accepted=gates.accepted,
        identity_kept=keep,
        gate=gates.text + (f"; motion {motion_mm:.2f} mm is below {ACCURACY_MM} mm: nothing is moved" if keep else ""),
        coverage=gates.coverage,
        body_dice=gates.body_dice,
    )
