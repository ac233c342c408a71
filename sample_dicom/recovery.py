"""Recovery curve of the phantom clinic's camera, as a calibration with spheres in air would find it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.optimize import least_squares

from sample_dicom.scanner import FWHM_PER_SIGMA

VOLUMES_ML = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 75.0, 150.0)


def sphere_recovery(volume_ml: float, sigma_mm: float) -> float:
    """Share of a uniform sphere's activity that stays inside its border after a Gaussian blur.

    A point moves by r with the Maxwell density of ``sigma_mm``; it stays with probability 1 - 3r/4R + r^3/16R^3.
    """
    radius = (3.0 * volume_ml * 1000.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
    r = np.linspace(0.0, min(2.0 * radius, 12.0 * sigma_mm), 2001)
    density = np.sqrt(2.0 / np.pi) * r**2 / sigma_mm**3 * np.exp(-(r**2) / (2.0 * sigma_mm**2))
    stays = 1.0 - 0.75 * r / radius + r**3 / (16.0 * radius**3)
    return float(np.trapezoid(density * stays, r))


def effective_sigma_mm(fwhm_mm: float, voxel_mm: float) -> float:
    """Sigma of the stored image: the point spread and, twice, a voxel's box (averaged into it, read out of it)."""
    return float(np.sqrt((fwhm_mm / FWHM_PER_SIGMA) ** 2 + 2.0 * voxel_mm**2 / 12.0))


@lru_cache
def recovery_curve(fwhm_mm: float, voxel_mm: float) -> tuple[float, float]:
    """Fit (b_ml, c) of RC(v) = 1 - 1 / (1 + (v / b)^c) to spheres of 1 to 150 mL seen by the camera."""
    sigma = effective_sigma_mm(fwhm_mm, voxel_mm)
    volumes = np.asarray(VOLUMES_ML)
    seen = np.array([sphere_recovery(v, sigma) for v in volumes])

    def misfit(
        p: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.asarray(1.0 - 1.0 / (1.0 + (volumes / np.exp(p[0])) ** p[1]) - seen)

    b, c = least_squares(misfit, (1.0, 0.8)).x
    return round(float(np.exp(b)), 4), round(float(c), 4)
