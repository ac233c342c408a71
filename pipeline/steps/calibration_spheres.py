"""Recovery of the spheres of a NEMA phantom's scans, background removed, scans pooled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.errors import require
from pipeline.files.nifti import read_volume
from pipeline.physics.quantification.phantom_counts import phantom_core, uniform_part
from pipeline.physics.quantification.recovery_fit import fit_recovery
from pipeline.physics.quantification.sphere_phantom import Spheres, background_scatter, find_spheres, sphere_means

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from pipeline.physics.quantification.recovery_fit import RecoveryFit
    from pipeline.steps.calibration_scans import PhantomScan

# Background is read this far inside the phantom's core and from any sphere (over four sigma of a 12 mm resolution).
CLEAR_MM: Final = 25.0
# A cold insert of 50 mm may stand in the middle of the ring (NEMA NU 2-2018).
INSERT_RADIUS_MM: Final = 25.0
BACKGROUND_AGREES: Final = 0.1


@dataclass(frozen=True, eq=False)
class SphereScan:
    """The spheres of one scan.

    Attributes
    ----------
    scan : PhantomScan
    spheres : Spheres
    recovery : ndarray, shape (sphere,)
    sigma : ndarray, shape (sphere,), or None
        From the scatter of equal volumes in the background; None where it is cold.
    background_ratio : float
        Measured over known background; nan where it is cold.
    """

    scan: PhantomScan
    spheres: Spheres
    recovery: NDArray[np.float64]
    sigma: NDArray[np.float64] | None
    background_ratio: float


@dataclass(frozen=True, eq=False)
class MeasuredRecovery:
    """Recovery over all scans.

    ``volume_ml``, ``recovery`` and ``sigma`` have one entry per sphere.
    """

    scans: tuple[SphereScan, ...]
    diameter_mm: NDArray[np.float64]
    volume_ml: NDArray[np.float64]
    recovery: NDArray[np.float64]
    sigma: NDArray[np.float64] | None
    fit: RecoveryFit
    filling_relative_sigma: float


def measure_recovery(scans: Sequence[PhantomScan], dead_time_s: float, factor: float) -> MeasuredRecovery | None:
    """Return the recovery curve of the scans with known concentrations; None where there are none.

    Parameters
    ----------
    scans : sequence of PhantomScan
    dead_time_s : float
    factor : float
        Bq s per count (1 for an image in Bq/mL): recovery holds with this factor.

    Raises
    ------
    RefusalError
        ``SPHERES_NOT_FOUND``, ``BACKGROUND_NOT_FOUND``, ``RECOVERY_FIT_FAILED``, ``CALIBRATION_SCANS_MIXED``.
    """
    read = tuple(_sphere_scan(scan, dead_time_s, factor) for scan in scans if scan.phantom.sphere_bq_per_ml is not None)
    if not read:
        return None
    diameters = read[0].spheres.diameter_mm
    require(
        all(np.array_equal(one.spheres.diameter_mm, diameters) for one in read),
        "CALIBRATION_SCANS_MIXED",
        found="phantoms with spheres of different diameters",
        needed="one set of spheres",
        do="calibrate with one of the phantoms",
        where="sphere_diameters_mm",
    )
    recovery, sigma = _pooled(read)
    volume_ml = read[0].spheres.volume_ml
    filling = max(scan.scan.phantom.filling_relative_sigma for scan in read)
    fit = fit_recovery(volume_ml, recovery, sigma)
    return MeasuredRecovery(read, diameters, volume_ml, recovery, sigma, fit, filling)


def _pooled(read: Sequence[SphereScan]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    recovery = np.stack([one.recovery for one in read])
    sigmas = [one.sigma for one in read if one.sigma is not None]
    if len(sigmas) < len(read):
        return recovery.mean(axis=0), None
    weight = np.stack(sigmas) ** -2.0
    return np.average(recovery, axis=0, weights=weight), weight.sum(axis=0) ** -0.5


def _sphere_scan(scan: PhantomScan, dead_time_s: float, factor: float) -> SphereScan:
    phantom, grid, where = scan.phantom, scan.spect.grid, scan.spect.series_uid
    concentration = scan.signal_per_ml(dead_time_s) * (factor / scan.decay)  # Bq/mL at assayed_at
    spheres = _placed(scan, concentration)
    known, known_background = phantom.sphere_bq_per_ml or 0.0, phantom.background_bq_per_ml or 0.0
    means, contrast = sphere_means(concentration, grid, spheres), known - known_background
    if known_background == 0.0:
        return SphereScan(scan, spheres, means / contrast, None, float("nan"))
    clear = _background(concentration, grid, spheres, where)
    background = float(concentration[clear].mean())
    sigma = _sigma(concentration, grid, clear, spheres, means / background) / contrast
    usable = sigma if bool(np.all(np.isfinite(sigma) & (sigma > 0))) else None
    return SphereScan(scan, spheres, (means - background) / contrast, usable, background / known_background)


def _sigma(
    concentration: NDArray[np.floating], grid: Grid, clear: NDArray[np.bool_], spheres: Spheres,
    hotter: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """Scatter of equal volumes in the background, times the root of how much hotter the sphere is (counting noise)."""
    scatter = [background_scatter(concentration, grid, clear, float(diameter)) for diameter in spheres.diameter_mm]
    known = np.array([np.nan if one is None else one for one in scatter])
    return np.asarray(known * np.sqrt(np.maximum(hotter, 1.0)))


def _placed(scan: PhantomScan, concentration: NDArray[np.floating]) -> Spheres:
    phantom, grid = scan.phantom, scan.spect.grid
    diameters = phantom.sphere_diameter_mm
    if phantom.contours is None:
        return find_spheres(concentration, grid, diameters, phantom.circle_radius_mm, scan.spect.series_uid)
    labels, label_grid = read_volume(phantom.contours)
    numbers = np.unique(labels[labels > 0])[-diameters.size :]
    require(
        numbers.size == diameters.size,
        "SPHERES_NOT_FOUND",
        found=f"{numbers.size} labels",
        needed=f"{diameters.size} labels, in the order of the diameters",
        do="write one label per sphere; those of the highest numbers are taken",
        where=phantom.contours.name,
    )
    centres = [label_grid.to_lps_mm(np.argwhere(labels == number).mean(axis=0)) for number in numbers]
    return Spheres(diameters, np.array(centres), float("nan"))


def _background(concentration: NDArray[np.floating], grid: Grid, spheres: Spheres, where: str) -> NDArray[np.bool_]:
    """Voxels deep inside the phantom, far from spheres and from a cold insert in the middle of the ring."""
    clear = uniform_part(phantom_core(concentration, where), grid.spacing_mm, CLEAR_MM)
    points = grid.to_lps_mm(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1))
    for centre, diameter in zip(spheres.centre_mm, spheres.diameter_mm, strict=True):
        clear &= np.linalg.norm(points - centre, axis=-1) > diameter / 2.0 + CLEAR_MM
    axis = spheres.centre_mm.mean(axis=0)
    clear &= np.linalg.norm((points - axis)[..., :2], axis=-1) > INSERT_RADIUS_MM + CLEAR_MM
    require(
        bool(clear.any()),
        "BACKGROUND_NOT_FOUND",
        found=f"no voxel {CLEAR_MM:.0f} mm inside the phantom and away from spheres and insert",
        needed="a body phantom whose background can be read",
        do="check the form's background and the series it names; background_mbq_per_ml = 0.0 for a cold one",
        where=where,
    )
    return clear


def background_flags(measured: MeasuredRecovery | None) -> tuple[Flag, ...]:
    """Return a flag for each scan whose background differs from the known one by more than 10 %."""
    scans = () if measured is None else measured.scans
    return tuple(
        Flag(
            "BACKGROUND_CONTRADICTORY",
            "WARN",
            f"{one.scan.phantom.name}: measured background is {one.background_ratio:.3f} of the known one",
        )
        for one in scans
        if abs(one.background_ratio - 1.0) > BACKGROUND_AGREES
    )
