"""Does the SPECT lie on its CT? Found from the images, for series that do not share a frame of reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import SimpleITK as sitk  # noqa: N813

from pipeline.imaging.body import binned
from pipeline.imaging.convert import to_sitk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from pipeline.domain.maps import HounsfieldMap

SEARCH_MM: Final = 5.0
# Of the blur that brings the CT near the SPECT's resolution.
CT_SIGMA_MM: Final = 5.0
LOWEST_HU: Final = -1000.0
HIGHEST_HU: Final = 300.0
# Uptake spans two decades; its root lets the body's outline and liver count beside kidneys and lesions.
METRIC_BINS: Final = 32
SHRINK_FACTORS: Final = (4, 2, 1)
SMOOTHING_VOXELS: Final = (2.0, 1.0, 0.0)
# Voxels that the metric looks at, at most, on each level.
SAMPLES: Final = 40_000
SEED: Final = 20260102


# Axes (slice, row, column) that a header which lost its order may have turned round: each alone, and the half turns.
FLIPS: Final = ((0,), (1,), (2,), (1, 2), (0, 1), (0, 2))


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where a SPECT lies best on its CT.

    Attributes
    ----------
    shift_mm : ndarray, shape (3,)
        LPS mm by which the SPECT would have to move.
    likeness : float
        Mutual information there; more is more alike.
    """

    shift_mm: NDArray[np.float64]
    likeness: float


def best_alignment(counts: NDArray[np.floating], spect: Grid, ct: HounsfieldMap) -> Alignment:
    """Return how far the SPECT would have to move to lie best on the CT (Mattes mutual information, shift only).

    Parameters
    ----------
    counts : ndarray, shape of ``spect``
        Any unit, not the same everywhere; negative values count as 0.
    spect : Grid
    ct : HounsfieldMap

    Returns
    -------
    Alignment

    References
    ----------
    Mattes et al., IEEE Trans Med Imaging 22 (2003) 120.
    """
    return _aligned(_spect_image(counts, spect), _ct_image(ct))


def better_flip(
    counts: NDArray[np.floating], spect: Grid, ct: HounsfieldMap, likeness: float
) -> tuple[int, ...] | None:
    """Return axes (slice, row, column) along which the SPECT, turned round, is more like the CT than ``likeness``.

    A mirrored or upside-down SPECT still lies best at a shift of nearly nothing: only the likeness tells. None where as
    it is is best.
    """
    fixed = _ct_image(ct)
    turned = ((axes, _aligned(_spect_image(np.flip(counts, axes), spect), fixed)) for axes in FLIPS)
    return next((axes for axes, found in turned if found.likeness > likeness), None)


def _aligned(moving: sitk.Image, fixed: sitk.Image) -> Alignment:
    shift = sitk.TranslationTransform(3)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(METRIC_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    voxels = float(np.prod(fixed.GetSize()))
    fractions = [min(1.0, SAMPLES * shrink**3 / voxels) for shrink in SHRINK_FACTORS]
    method.SetMetricSamplingPercentagePerLevel(fractions, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel(list(SHRINK_FACTORS))
    method.SetSmoothingSigmasPerLevel(list(SMOOTHING_VOXELS))
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetOptimizerAsRegularStepGradientDescent(4.0, 0.05, 60, 0.5, 1e-8)
    method.SetInitialTransform(shift, inPlace=True)
    method.Execute(fixed, moving)
    # The transform leads from CT to SPECT: the SPECT has to move the other way. The optimiser minimises.
    return Alignment(-np.asarray(shift.GetParameters(), dtype=np.float64), -float(method.GetMetricValue()))


def _spect_image(counts: NDArray[np.floating], spect: Grid) -> sitk.Image:
    values, grid = binned(np.sqrt(np.clip(counts, 0.0, None)), spect, SEARCH_MM)
    return to_sitk(values.astype(np.float32), grid)


def _ct_image(ct: HounsfieldMap) -> sitk.Image:
    values, grid = binned(ct.ct_number_hu, ct.grid, SEARCH_MM)
    clean = np.clip(values, LOWEST_HU, HIGHEST_HU).astype(np.float32)
    return sitk.SmoothingRecursiveGaussian(to_sitk(clean, grid), CT_SIGMA_MM)
