"""Does the SPECT lie on its CT? Found from the images, for series that do not share a frame of reference."""

from __future__ import annotations

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


def spect_shift_mm(counts: NDArray[np.floating], spect: Grid, ct: HounsfieldMap) -> NDArray[np.float64]:
    """Return how far the SPECT would have to move to lie best on the CT (Mattes mutual information, shift only).

    Parameters
    ----------
    counts : ndarray, shape of ``spect``
        Any unit; negative values count as 0.
    spect : Grid
    ct : HounsfieldMap

    Returns
    -------
    ndarray, shape (3,)
        LPS mm.

    References
    ----------
    Mattes et al., IEEE Trans Med Imaging 22 (2003) 120.
    """
    fixed = _ct_image(ct)
    values, grid = binned(np.sqrt(np.clip(counts, 0.0, None)), spect, SEARCH_MM)
    moving = to_sitk(values.astype(np.float32), grid)
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
    # The transform leads from CT to SPECT: the SPECT has to move the other way.
    return -np.asarray(shift.GetParameters(), dtype=np.float64)


def _ct_image(ct: HounsfieldMap) -> sitk.Image:
    values, grid = binned(ct.ct_number_hu, ct.grid, SEARCH_MM)
    clean = np.clip(values, LOWEST_HU, HIGHEST_HU).astype(np.float32)
    return sitk.SmoothingRecursiveGaussian(to_sitk(clean, grid), CT_SIGMA_MM)
