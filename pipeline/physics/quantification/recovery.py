"""Partial-volume correction: from the site's recovery curve to a point spread, and between the actual regions.

The recovery curve RC(v) of the site is turned into the Gaussian whose blurred spheres, contoured on their true border,
have that curve best. Loss and spill-in between the regions of a patient follow from that Gaussian by the geometric
transfer matrix (Rousset, Ma, Evans, J Nucl Med 1998;39:904): what a region measures is a known mixture of what all
regions hold, and the mixture is inverted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import erf

from kernels.blur import gaussian_blur, reach_voxels
from pipeline.errors import require
from pipeline.units import MM3_PER_ML

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.maps import ActivityMap
    from pipeline.domain.therapy import RecoveryCurve

    Box = tuple[slice, slice, slice]

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
CURVE_VOLUMES_ML = np.geomspace(1.0, 100.0, 41)
FWHM_SEARCH_MM = (0.1, 60.0)
# The spheres of the NEMA IEC body phantom from 1 mL on (13 to 37 mm; NEMA NU 2): those that a site's recovery sigma is
# the root mean square of.
CALIBRATION_VOLUMES_ML = np.array([1.150, 2.572, 5.575, 11.49, 26.52])
WIDTH_STEP = 1e-3
MOST_LOST = 0.95
# Above this the inversion would multiply the noise of the measured activities a thousandfold.
MAX_CONDITION = 1e3


@dataclass(frozen=True, eq=False)
class RecoveryResult:
    """Activities corrected for partial volume.

    Attributes
    ----------
    activity_bq : ndarray, shape (time, region)
        Negative where the spill-in from neighbours exceeds what was measured; the curve fit flags it.
    recovery_coefficient : ndarray, shape (time, region)
        Measured / corrected; where the corrected activity is not positive, the share of the region's own activity
        that it measures.
    transfer_matrix : ndarray, shape (region + 1, region + 1)
        [i, j]: share of region j's activity measured in region i; the last is the remainder.
    remainder_bq : ndarray, shape (time,)
    """

    activity_bq: NDArray[np.float64]
    recovery_coefficient: NDArray[np.float64]
    transfer_matrix: NDArray[np.float64]
    remainder_bq: NDArray[np.float64]


def sphere_recovery(volume_ml: NDArray[np.float64] | float, fwhm_mm: float) -> NDArray[np.float64]:
    """Return the recovery coefficient of spheres under a Gaussian blur, contoured on their true border.

    The mean of the blurred sphere over itself is the Gaussian's integral over the sphere's self-overlap,
    1 - 3r/(4R) + r3/(16 R3) (Santalo, Integral Geometry and Geometric Probability, 1976), which is closed; own
    derivation, checked against numerical blurring in the tests.

    Parameters
    ----------
    volume_ml : ndarray or float
    fwhm_mm : float

    Returns
    -------
    ndarray
        Between 0 and 1.
    """
    radius_mm = np.cbrt(3.0 * np.asarray(volume_ml, dtype=np.float64) * MM3_PER_ML / (4.0 * math.pi))
    a = math.sqrt(2.0) * radius_mm * FWHM_PER_SIGMA / fwhm_mm
    tail = np.exp(-(a**2))
    second = math.sqrt(math.pi) / 4.0 * erf(a) - a / 2.0 * tail
    third = 0.5 * (1.0 - (1.0 + a**2) * tail)
    fifth = 1.0 - (a**4 / 2.0 + a**2 + 1.0) * tail
    return np.asarray(4.0 / math.sqrt(math.pi) * (second - 1.5 * third / a + 0.5 * fifth / a**3))


def recovery_misfit(curve: RecoveryCurve, fwhm_mm: float) -> float:
    """Return the root mean square difference between the site's curve and that of the Gaussian, 1 to 100 mL."""
    site = np.array([curve.coefficient(float(volume)) for volume in CURVE_VOLUMES_ML])
    return float(np.sqrt(np.mean((sphere_recovery(CURVE_VOLUMES_ML, fwhm_mm) - site) ** 2)))


def equivalent_fwhm_mm(curve: RecoveryCurve) -> float:
    """Return the width of the Gaussian whose blurred spheres of 1 to 100 mL have the site's recovery curve best.

    Parameters
    ----------
    curve : RecoveryCurve

    Returns
    -------
    float
        FWHM in mm; :func:`recovery_misfit` tells how well it fits.
    """
    found = minimize_scalar(lambda fwhm: recovery_misfit(curve, fwhm), bounds=FWHM_SEARCH_MM, method="bounded")
    return float(found.x)


def width_sensitivity(volume_ml: NDArray[np.float64] | float, fwhm_mm: float) -> NDArray[np.float64]:
    """Return -d ln RC / d ln FWHM of spheres, positive; parameters as :func:`sphere_recovery`."""
    wider, narrower = (sphere_recovery(volume_ml, fwhm_mm * (1.0 + step)) for step in (WIDTH_STEP, -WIDTH_STEP))
    return np.asarray(np.log(narrower / wider) / (2.0 * WIDTH_STEP))


def width_relative_sigma(curve: RecoveryCurve) -> float:
    """Return the relative sigma of the equivalent Gaussian's width that the curve's relative sigma stands for.

    The curve's sigma is the root mean square over the spheres it was measured on (NEMA IEC, 1 mL and more); a width
    that is off moves every sphere by its own sensitivity.

    Parameters
    ----------
    curve : RecoveryCurve

    Returns
    -------
    float
    """
    sensitivity = width_sensitivity(CALIBRATION_VOLUMES_ML, equivalent_fwhm_mm(curve))
    return float(curve.relative_sigma / np.sqrt(np.mean(sensitivity**2)))


def recovery_relative_sigma(curve: RecoveryCurve, recovery_coefficient: float) -> float:
    """Return the relative sigma of a region's corrected activity that comes from the recovery curve.

    The correction uses of the curve only its Gaussian's width, so a region that lost little to blur is uncertain by
    little, as in Gear et al. 2018, where u(R) is that of the fitted curve at the region's own volume. A region loses as
    a sphere with its coefficient does; what a warm surrounding gives back (coefficients near or above 1) is not lost.

    Parameters
    ----------
    curve : RecoveryCurve
    recovery_coefficient : float
        Measured / corrected, positive.

    Returns
    -------
    float
    """
    lost = abs(1.0 - recovery_coefficient)
    if lost == 0.0:
        return 0.0
    fwhm_mm = equivalent_fwhm_mm(curve)
    alike = 1.0 - min(lost, MOST_LOST)

    def misses(log_ml: float) -> float:
        return float(sphere_recovery(math.exp(log_ml), fwhm_mm)) - alike

    # spheres of 0.01 mL to 10 m3 bracket every loss from 0.95 down to about 1e-3; less than that is as good as nothing
    bracket = (math.log(1e-2), math.log(1e7))
    if misses(bracket[1]) < 0.0:
        return 0.0
    volume_ml = math.exp(brentq(misses, *bracket))
    per_loss = float(width_sensitivity(volume_ml, fwhm_mm)) * alike / (1.0 - alike)
    return per_loss * lost / recovery_coefficient * width_relative_sigma(curve)


def grid_fwhm_mm(fwhm_mm: float, spacing_mm: Sequence[float], voxel_averages: int) -> tuple[float, float, float]:
    """Return the width of the blur along each axis without the averaging over voxels that the width contains.

    Parameters
    ----------
    fwhm_mm : float
    spacing_mm : sequence of 3 floats
    voxel_averages : int
        0: the width is the camera's alone. 2: it came from a recovery curve measured on this grid (the image averages
        over voxels once, the partial voxels of the contour once more). Each average over h has the variance h2/12.

    Returns
    -------
    tuple of 3 floats
        mm; 0 where the averaging explains the whole width.
    """
    widths = (math.sqrt(max(fwhm_mm**2 - voxel_averages * (FWHM_PER_SIGMA * h) ** 2 / 12.0, 0.0)) for h in spacing_mm)
    z, y, x = widths
    return (z, y, x)


def measured_activity_bq(activity_map: ActivityMap, fractions: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the activity that each region contains on the map.

    Parameters
    ----------
    activity_map : ActivityMap
        Bq/mL.
    fractions : ndarray, shape (region, slices, rows, columns)
        Part of each voxel that lies in each region.

    Returns
    -------
    ndarray, shape (region,)
        Bq.
    """
    concentration = activity_map.activity_bq_per_ml
    volume_ml = activity_map.grid.voxel_volume_ml
    sums = [float(np.sum(row[box] * concentration[box], dtype=np.float64)) for row, box in _with_boxes(fractions)]
    return np.asarray(sums, dtype=np.float64) * volume_ml


def transfer_matrix(
    fractions: NDArray[np.float32], spacing_mm: Sequence[float], fwhm_mm: float | None, *, voxel_averages: int = 0
) -> NDArray[np.float64]:
    """Return the geometric transfer matrix of regions under a Gaussian blur (Rousset et al. 1998).

    [i, j] = sum(f_i x blur(f_j)) / sum(f_j): the share of region j's activity that region i measures. The fractions
    are averages over voxels already, as an image is, so the blur is the camera's alone.

    Parameters
    ----------
    fractions : ndarray, shape (region, slices, rows, columns)
    spacing_mm : sequence of 3 floats
        (slice, row, column).
    fwhm_mm : float or None
        None: no blur, the unit matrix.
    voxel_averages : int
        As for :func:`grid_fwhm_mm`.

    Returns
    -------
    ndarray, shape (region, region)

    Raises
    ------
    RefusalError
        ``REGION_EMPTY``.
    """
    if fwhm_mm is None:
        return np.eye(fractions.shape[0])
    sigma = _sigma_voxels(spacing_mm, grid_fwhm_mm(fwhm_mm, spacing_mm, voxel_averages))
    rows = _with_boxes(fractions)
    columns = []
    for row, box in rows:
        wide = _grown(box, sigma, row.shape)
        blurred = gaussian_blur(np.ascontiguousarray(row[wide], dtype=np.float32), sigma)
        measured = [_shared(other, other_box, blurred, wide) for other, other_box in rows]
        columns.append(np.array(measured) / float(row.sum(dtype=np.float64)))
    return np.stack(columns, axis=1)


def recovered_activities(
    measured_bq: NDArray[np.float64],
    remainder_bq: NDArray[np.float64],
    fractions: NDArray[np.float32],
    spacing_mm: Sequence[float],
    fwhm_mm: float | None,
    *,
    voxel_averages: int = 0,
) -> RecoveryResult:
    """Return the activities of regions corrected for loss and spill-in between them and the remainder.

    Parameters
    ----------
    measured_bq : ndarray, shape (time, region)
        As :func:`measured_activity_bq` gives, all times on one grid.
    remainder_bq : ndarray, shape (time,)
        Measured in the body outside the regions.
    fractions : ndarray, shape (region + 1, slices, rows, columns)
        Part of each voxel in each region; the last row is the remainder (body less the regions).
    spacing_mm : sequence of 3 floats
    fwhm_mm : float or None
        From :func:`equivalent_fwhm_mm`; None leaves everything as measured.
    voxel_averages : int
        As for :func:`grid_fwhm_mm`.

    Returns
    -------
    RecoveryResult

    Raises
    ------
    RefusalError
        ``REGION_EMPTY``, ``RECOVERY_ILL_CONDITIONED``.
    """
    mixed = np.concatenate([np.atleast_2d(measured_bq), np.reshape(remainder_bq, (-1, 1))], axis=1).astype(np.float64)
    transfer = transfer_matrix(fractions, spacing_mm, fwhm_mm, voxel_averages=voxel_averages)
    condition = float(np.linalg.cond(transfer))
    require(
        condition <= MAX_CONDITION,
        "RECOVERY_ILL_CONDITIONED",
        found=f"regions that cannot be told apart at a resolution of {fwhm_mm} mm (condition {condition:.0f})",
        needed=f"regions larger or further apart (condition at most {MAX_CONDITION:.0f})",
        do="merge or remove the smallest regions in the contours",
        where="contours",
    )
    solved = np.asarray(np.linalg.solve(transfer, mixed.T).T, dtype=np.float64)
    coefficient = np.broadcast_to(np.diag(transfer), solved.shape).copy()
    np.divide(mixed, solved, out=coefficient, where=solved > 0)
    return RecoveryResult(solved[:, :-1], coefficient[:, :-1], transfer, solved[:, -1])


def spill_out_map(
    activity_bq: NDArray[np.float64],
    fractions: NDArray[np.float32],
    spacing_mm: Sequence[float],
    fwhm_mm: float | None,
    *,
    voxel_averages: int = 0,
) -> NDArray[np.float32]:
    """Return the image that the regions alone would make: uniform in each, blurred.

    Parameters
    ----------
    activity_bq : ndarray, shape (region,)
        Corrected activity (Bq) or TIA (Bq s) of each region.
    fractions : ndarray, shape (region, slices, rows, columns)
        Without the remainder.
    spacing_mm : sequence of 3 floats
    fwhm_mm : float or None
    voxel_averages : int
        As for :func:`grid_fwhm_mm`.

    Returns
    -------
    ndarray, shape (slices, rows, columns)
        Bq/mL (or Bq s/mL).
    """
    voxel_ml = math.prod(spacing_mm) / MM3_PER_ML
    widths = (0.0, 0.0, 0.0) if fwhm_mm is None else grid_fwhm_mm(fwhm_mm, spacing_mm, voxel_averages)
    sigma = _sigma_voxels(spacing_mm, widths)
    image = np.zeros(fractions.shape[1:], dtype=np.float32)
    for (row, box), activity in zip(_with_boxes(fractions), activity_bq, strict=True):
        wide = _grown(box, sigma, row.shape)
        scale = float(activity) / (float(row.sum(dtype=np.float64)) * voxel_ml)
        image[wide] += gaussian_blur(np.ascontiguousarray(row[wide], dtype=np.float32), sigma) * np.float32(scale)
    return image


def _shared(row: NDArray[np.float32], box: Box, blurred: NDArray[np.float32], wide: Box) -> float:
    """Return sum(row x blurred), where ``blurred`` covers ``wide`` and ``row`` is 0 outside ``box``."""
    bounds = [(max(b.start, w.start), min(b.stop, w.stop)) for b, w in zip(box, wide, strict=True)]
    if any(stop <= start for start, stop in bounds):
        return 0.0
    here = tuple(slice(start, stop) for start, stop in bounds)
    there = tuple(slice(start - w.start, stop - w.start) for (start, stop), w in zip(bounds, wide, strict=True))
    return float(np.sum(row[here] * blurred[there], dtype=np.float64))


def _sigma_voxels(spacing_mm: Sequence[float], fwhm_mm: Sequence[float]) -> tuple[float, ...]:
    return tuple(w / FWHM_PER_SIGMA / h for w, h in zip(fwhm_mm, spacing_mm, strict=True))


def _grown(box: Box, sigma_voxels: Sequence[float], shape: tuple[int, ...]) -> Box:
    z, y, x = (
        slice(max(side.start - reach_voxels(s), 0), min(side.stop + reach_voxels(s), n))
        for side, s, n in zip(box, sigma_voxels, shape, strict=True)
    )
    return (z, y, x)


def _with_boxes(fractions: NDArray[np.float32]) -> list[tuple[NDArray[np.float32], Box]]:
    return [(row, _bounding_box(row, index)) for index, row in enumerate(fractions)]


def _bounding_box(row: NDArray[np.float32], index: int) -> Box:
    sides = []
    for axis in range(3):
        occupied = np.flatnonzero(row.any(axis=tuple(other for other in range(3) if other != axis)))
        require(
            occupied.size > 0,
            "REGION_EMPTY",
            found=f"no voxel in region number {index + 1}",
            needed="regions of at least part of a voxel on the SPECT grid",
            do="check the contours and their position against the SPECT",
            where="contours",
        )
        sides.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    z, y, x = sides
    return (z, y, x)
