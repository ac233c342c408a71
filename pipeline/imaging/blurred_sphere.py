"""A uniform sphere under a Gaussian blur: where its border lies between background and inside.

A lesion's border is found as for a sphere of its size: Schaefer et al., Eur J Nucl Med Mol Imaging 2008;35:1989
(threshold adapted to background and size); van Dalen et al., Nucl Med Commun 2007;28:485 (threshold from the point
spread, iterated).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erf

if TYPE_CHECKING:
    from numpy.typing import NDArray

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
# The deep part of a sphere: within half its radius, in shells of equal thickness.
DEEP = 0.5
SHELLS = 20


def profile(r_mm: NDArray[np.float64], radius_mm: float, sigma_mm: float) -> NDArray[np.float64]:
    """Return what a Gaussian blur leaves of a uniform sphere of height 1, at distances ``r_mm`` > 0 from its centre.

    The integral of the Gaussian over the sphere is elementary (own derivation; checked against numerical blurring).
    """
    inner, outer = radius_mm - r_mm, radius_mm + r_mm
    root = math.sqrt(2.0) * sigma_mm
    mound = np.exp(-((inner / root) ** 2)) - np.exp(-((outer / root) ** 2))
    return np.asarray(
        0.5 * (erf(inner / root) + erf(outer / root)) - sigma_mm / (math.sqrt(2 * math.pi) * r_mm) * mound
    )


def border_level(radius_mm: float, fwhm_mm: float) -> float:
    """Return the level on the border over the mean level within half the radius (both above background).

    About 0.5 for a large sphere, 0.37 to 0.40 for 6 to 30 mL under 12 mm.

    Parameters
    ----------
    radius_mm, fwhm_mm : float
        Above 0.
    """
    sigma_mm = fwhm_mm / FWHM_PER_SIGMA
    r_mm = (np.arange(SHELLS) + 0.5) / SHELLS * DEEP * radius_mm
    deep = float(np.average(profile(r_mm, radius_mm, sigma_mm), weights=r_mm**2))
    return float(profile(np.asarray([radius_mm]), radius_mm, sigma_mm)[0]) / deep
