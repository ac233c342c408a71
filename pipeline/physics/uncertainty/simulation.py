"""Monte Carlo propagation of a dose's uncertainty: every part drawn, the curve refitted, nothing linearised.

The same parts as the analytic budget (module ``budget``; Gear et al., EJNMMI 2018;45:2456), after the method of JCGM
101:2008 (Supplement 1 to the GUM). Drawn once for all regions, times and cycles: the calibration factor, the width of
the recovery curve's Gaussian, the dose per decay. Drawn for each region and cycle, common to its time points: the
contour's diameter. Drawn for each time point: the noise, followed by a refit with the same model.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from kernels.voxel_fit import fit_mono_exponentials
from pipeline.errors import require
from pipeline.physics.quantification.recovery import (
    MOST_LOST,
    equivalent_fwhm_mm,
    sphere_recovery,
    width_relative_sigma,
)
from pipeline.physics.uncertainty.budget import count_slope

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.therapy import RecoveryCurve
    from pipeline.physics.kinetics.curve_areas import AreaRule
    from pipeline.physics.kinetics.exponential_fit import RateBounds

    Vector = NDArray[np.float64]

# A width or diameter is positive; at relative sigmas below 0.2 a draw meets this once in 1e5 or less.
LEAST_FACTOR = 0.1
FEWEST_DRAWS, MOST_DRAWS = 100, 1_000_000
# Equally likely half-lives of which the mean TIA is taken, and a spread that counts as none.
SLICES = 2000
NO_SPREAD = 1e-9
# Spheres of 0.01 mL to 10 m3: those that lose from 95 % down to 0.1 % of their activity to any blur of a camera.
SPHERE_BRACKET = (math.log(1e-2), math.log(1e7))


@dataclass(frozen=True)
class Refit:
    """One exponential through points whose noise is drawn anew.

    Attributes
    ----------
    time_s : tuple of float
        Of the points that were fitted; two or more.
    amplitude_bq, rate_per_s : float
        The filed fit, taken as the truth.
    relative_error : float
        One sigma of each point over the fitted activity.
    rule : AreaRule
    bounds : RateBounds
    """

    time_s: tuple[float, ...]
    amplitude_bq: float
    rate_per_s: float
    relative_error: float
    rule: AreaRule
    bounds: RateBounds


@dataclass(frozen=True)
class ReusedHalfLife:
    """One point, integrated with a half-life known beforehand (log-normal, cut off at the bounds of the rate).

    Attributes
    ----------
    time_s : float
    half_life_s, half_life_log_sigma : float
    relative_error : float
        One sigma of the point.
    rule : AreaRule
    bounds : RateBounds
    filed : {"median", "mean"}
        What the filed TIA is: that at the half-life itself, or the mean over its distribution.
    shared_fraction : float
        Part of the half-life's variance that all cycles reusing it share
        (:mod:`pipeline.physics.kinetics.reused_half_life`).
    """

    time_s: float
    half_life_s: float
    half_life_log_sigma: float
    relative_error: float
    rule: AreaRule
    bounds: RateBounds
    filed: Literal["median", "mean"] = "median"
    shared_fraction: float = 0.0


@dataclass(frozen=True)
class AsFiled:
    """A fit of another kind: its filed relative sigma is drawn as a normal distribution, nothing is refitted."""

    relative_sigma: float


@dataclass(frozen=True)
class RegionParts:
    """What the uncertainty of one region's dose in one cycle is simulated from.

    Attributes
    ----------
    key : str
        Region; with ``cycle`` the name of its random numbers.
    cycle : int
    dose_gy, mass_g : float
    calibration_sigma, s_value_sigma, volume_sigma : float
        Relative, one sigma: of the factor, of the dose per decay, of the contour's volume.
    volume_ml : float
    recovery : RecoveryCurve or None
    recovery_coefficient : float
    spect_fwhm_mm : float
        Of the equivalent Gaussian; 0 without recovery correction.
    fit : Refit, ReusedHalfLife or AsFiled
    kappa : float
        S ~ mass^-kappa.
    """

    key: str
    cycle: int
    dose_gy: float
    mass_g: float
    calibration_sigma: float
    s_value_sigma: float
    volume_sigma: float
    volume_ml: float
    recovery: RecoveryCurve | None
    recovery_coefficient: float
    spect_fwhm_mm: float
    fit: Refit | ReusedHalfLife | AsFiled
    kappa: float = 1.0


@dataclass(frozen=True)
class BloodParts:
    """What the uncertainty of one marrow dose by blood is simulated from (relative sigmas)."""

    cycle: int
    self_gy: float
    cross_gy: float
    tia_sigma: float
    s_value_sigma: float
    cross_sigma: float


@dataclass(frozen=True, eq=False)
class SharedDraws:
    """Standard normal numbers that all regions and cycles share; each of shape (draws,).

    The dose per decay of the marrow by blood (a published S value) is another one than that of the regions.
    """

    seed: int
    calibration: Vector
    recovery: Vector
    s_value: Vector
    marrow_s_value: Vector
    marrow_cross: Vector

    @property
    def count(self) -> int:
        """Number of draws."""
        return int(self.calibration.size)


@dataclass(frozen=True, eq=False)
class RegionDraws:
    """Simulated doses of one region, and the factor that each part brought; all of shape (draws,)."""

    dose_gy: Vector
    mass_g: Vector
    parts: dict[str, Vector]


def shared_draws(draws: int, seed: int) -> SharedDraws:
    """Return what is common to all regions and cycles.

    Raises
    ------
    RefusalError
        ``SIMULATION_SIZE_INVALID``.
    """
    require(
        FEWEST_DRAWS <= draws <= MOST_DRAWS and seed >= 0,
        "SIMULATION_SIZE_INVALID",
        found=f"{draws} draws, seed {seed}",
        needed=f"{FEWEST_DRAWS} to {MOST_DRAWS} draws and a seed of 0 or more",
        do="10000 draws tell a sigma to 0.7 %",
        where="--simulate",
    )
    numbers = np.random.default_rng(np.random.SeedSequence([seed])).standard_normal((5, draws))
    return SharedDraws(seed, *numbers)


def own_generator(shared: SharedDraws, key: str, cycle: int) -> np.random.Generator:
    """Return a region's own random numbers: the same whatever other regions and cycles are simulated with it."""
    return np.random.default_rng(np.random.SeedSequence([shared.seed, cycle, zlib.crc32(key.encode())]))


def simulate_region(parts: RegionParts, shared: SharedDraws) -> RegionDraws:
    """Return the simulated doses of one region in one cycle.

    Parameters
    ----------
    parts : RegionParts
    shared : SharedDraws

    Returns
    -------
    RegionDraws
        ``parts``: calibration, recovery, volume, fit, s_value, each as a factor of the filed dose.
    """
    own = own_generator(shared, parts.key, parts.cycle)
    volume = _positive(1.0 + parts.volume_sigma / 3.0 * own.standard_normal(shared.count)) ** 3
    factors = {
        "calibration": 1.0 + parts.calibration_sigma * shared.calibration,
        "recovery": _recovery_factor(parts, shared.recovery),
        "volume": volume_factor(parts, volume),
        "fit": fit_factor(parts.fit, shared.count, own, _patient_deviation(parts, shared)),
        "s_value": 1.0 + parts.s_value_sigma * shared.s_value,
    }
    dose = parts.dose_gy * np.prod(list(factors.values()), axis=0)
    return RegionDraws(dose, parts.mass_g * volume, factors)


def simulate_blood(parts: BloodParts, shared: SharedDraws) -> Vector:
    """Return the simulated marrow doses by blood, shape (draws,).

    The dose per decay is one for all cycles; so is the error of the photon dose from the imaged sources, which is that
    of their calibration.
    """
    own = own_generator(shared, "marrow", parts.cycle).standard_normal(shared.count)
    blood = (1.0 + parts.tia_sigma * own) * (1.0 + parts.s_value_sigma * shared.marrow_s_value)
    return np.asarray(parts.self_gy * blood + parts.cross_gy * (1.0 + parts.cross_sigma * shared.marrow_cross))


def simulate_as_filed(
    dose_gy: float, correlated_gy: float, independent_gy: float, key: str, cycle: int, shared: SharedDraws
) -> Vector:
    """Return draws of a dose of which only the two parts of sigma are known; the correlated one as calibration."""
    own = own_generator(shared, key, cycle).standard_normal(shared.count)
    return np.asarray(dose_gy + correlated_gy * shared.calibration + independent_gy * own)


def mass_weighted(sides: list[RegionDraws]) -> Vector:
    """Return the mass-weighted mean dose of several regions; each draw weighs with its own masses."""
    doses, masses = np.stack([s.dose_gy for s in sides]), np.stack([s.mass_g for s in sides])
    return np.asarray(np.sum(doses * masses, axis=0) / np.sum(masses, axis=0))


def volume_factor(parts: RegionParts, volume: Vector) -> Vector:
    """Return what a contour of ``volume`` times the filed volume does to the dose.

    Counts follow v^(phi/2R), the mass v^-kappa; recovery follows the site's curve itself.

    Parameters
    ----------
    parts : RegionParts
    volume : ndarray, shape (draws,)
        Relative.

    Returns
    -------
    ndarray, shape (draws,)
    """
    counts = count_slope(parts.volume_ml, parts.spect_fwhm_mm) / (2.0 * parts.recovery_coefficient)
    factor = volume ** (counts - parts.kappa)
    if parts.recovery is None:
        return np.asarray(factor)
    curve, at_filed = parts.recovery, parts.recovery.coefficient(parts.volume_ml)
    at_drawn = 1.0 - 1.0 / (1.0 + (parts.volume_ml * volume / curve.b_ml) ** curve.c)
    return np.asarray(factor * at_filed / at_drawn)


def _recovery_factor(parts: RegionParts, normal: Vector) -> Vector:
    """Return corrected activity over filed activity when the Gaussian's width is drawn.

    A region loses as the sphere with its coefficient does (``recovery_relative_sigma`` of the module ``recovery``),
    here with that sphere's whole curve instead of its slope.
    """
    lost = 1.0 - parts.recovery_coefficient
    if parts.recovery is None or lost == 0.0:
        return np.ones_like(normal)
    fwhm_mm = equivalent_fwhm_mm(parts.recovery)
    alike = 1.0 - min(abs(lost), MOST_LOST)
    volume_ml = _sphere_that_keeps(alike, fwhm_mm)
    if volume_ml is None:
        return np.ones_like(normal)
    widths = fwhm_mm * _positive(1.0 + width_relative_sigma(parts.recovery) * normal)
    coefficient = 1.0 - lost / (1.0 - alike) * (1.0 - _sphere_recoveries(volume_ml, widths))
    return np.asarray(parts.recovery_coefficient / coefficient)


def _sphere_that_keeps(coefficient: float, fwhm_mm: float) -> float | None:
    def misses(log_ml: float) -> float:
        return float(sphere_recovery(math.exp(log_ml), fwhm_mm)) - coefficient

    if misses(SPHERE_BRACKET[1]) < 0.0:
        return None
    return math.exp(brentq(misses, *SPHERE_BRACKET))


def _sphere_recoveries(volume_ml: float, widths_mm: Vector) -> Vector:
    # The recovery depends on radius over width alone: a wider blur is a smaller sphere.
    reference_mm = float(widths_mm[0])
    return sphere_recovery(volume_ml * (reference_mm / widths_mm) ** 3, reference_mm)


def _patient_deviation(parts: RegionParts, shared: SharedDraws) -> Vector | None:
    """Return the error that cycles and sides reusing a half-life have in common; None where none is reused."""
    if not isinstance(parts.fit, ReusedHalfLife):
        return None
    organ = parts.key.removesuffix("_left").removesuffix("_right")
    return own_generator(shared, f"half-life of {organ}", 0).standard_normal(shared.count)


def fit_factor(
    fit: Refit | ReusedHalfLife | AsFiled, draws: int, own: np.random.Generator, common: Vector | None = None
) -> Vector:
    """Return TIA over filed TIA when the points' noise is drawn.

    Parameters
    ----------
    fit : Refit, ReusedHalfLife or AsFiled
    draws : int
    own : numpy.random.Generator
    common : ndarray, shape (draws,), optional
        Standard normal numbers that all cycles reusing the half-life share.

    Returns
    -------
    ndarray, shape (draws,)
    """
    if isinstance(fit, AsFiled):
        return np.asarray(1.0 + fit.relative_sigma * own.standard_normal(draws))
    if isinstance(fit, ReusedHalfLife):
        return _reused(fit, draws, own, common)
    time, scale_s = np.asarray(fit.time_s), fit.time_s[-1]
    noise = 1.0 + fit.relative_error * own.standard_normal((time.size, draws))
    found = fit_mono_exponentials(
        np.exp(-fit.rate_per_s * time)[:, None] * noise,
        tuple(time / scale_s),
        fit.bounds.slowest_per_s * scale_s,
        fit.bounds.fastest_per_s * scale_s,
        fit.rate_per_s * scale_s,
        power=2,
    )
    area = found.amplitude * fit.rule.per_amplitude(found.rate / scale_s)
    return np.asarray(area / fit.rule.per_amplitude(np.array([fit.rate_per_s]))[0])


def _reused(fit: ReusedHalfLife, draws: int, own: np.random.Generator, common: Vector | None) -> Vector:
    # Madsen et al., Med Phys 2018;45:2318: A(t) exp(k t)/k, here with the half-life drawn instead of its derivative.
    deviation, point = own.standard_normal((2, draws))
    if common is not None:
        share = fit.shared_fraction
        deviation = math.sqrt(share) * common + math.sqrt(1.0 - share) * deviation
    area = _area_at(fit, ndtr(deviation))
    if fit.filed == "mean":
        filed = float(_area_at(fit, (np.arange(SLICES) + 0.5) / SLICES).mean())
    else:
        filed = float(_area_of_rates(fit, np.array([math.log(2.0) / fit.half_life_s]))[0])
    return np.asarray(area / filed * (1.0 + fit.relative_error * point))


def _area_at(fit: ReusedHalfLife, places: Vector) -> Vector:
    """Return the area per measured activity at these places (0 to 1) of the half-life's distribution."""
    spread = max(fit.half_life_log_sigma, NO_SPREAD)
    ends = [math.log(math.log(2.0) / rate / fit.half_life_s) / spread for rate in _ends(fit.bounds)]
    low, high = (float(ndtr(end)) for end in ends)
    half_life_s = fit.half_life_s * np.exp(spread * ndtri(low + (high - low) * places))
    return _area_of_rates(fit, math.log(2.0) / half_life_s)


def _ends(bounds: RateBounds) -> tuple[float, float]:
    return bounds.fastest_per_s, bounds.slowest_per_s


def _area_of_rates(fit: ReusedHalfLife, rate_per_s: Vector) -> Vector:
    return np.asarray(np.exp(rate_per_s * fit.time_s) * fit.rule.per_amplitude(rate_per_s))


def _positive(factor: Vector) -> Vector:
    return np.maximum(factor, LEAST_FACTOR)
