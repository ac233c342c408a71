"""Curves of many voxels with sigmas of their own: weighted fits with standard errors, and refits of noisy copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from kernels.blocks import BLOCK, in_blocks
from kernels.voxel_compiled import (
    CURE,
    CompilerMissingError,
    compiled_lanes,
    fit_mono_exponentials_compiled,
    refit_areas,
)
from kernels.voxel_fit import CurveFits, fit_areas, fit_mono_exponentials
from pipeline.errors import RefusalError, require
from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.nuclide import Radionuclide

Engine = Literal["auto", "numpy", "compiled"]
EngineUsed = Literal["numpy", "compiled"]
# Fits from which `auto` takes machine code. A fit takes NumPy 0.3 us of processor time, machine code 0.07 us after a
# start of 0.5 s, or of 4 to 5 s where it must be compiled first: paid back even then (docs/performance.md).
COMPILED_FROM = 20_000_000


@dataclass(frozen=True, eq=False)
class VoxelFits:
    """Weighted mono-exponential fits, each array of shape (voxel,).

    Attributes
    ----------
    amplitude_bq_per_ml, amplitude_sigma_bq_per_ml : ndarray
        At t = 0; 0 where nothing positive was measured or a value is not finite.
    rate_per_s, rate_sigma_per_s, correlation : ndarray
    chi_squared : ndarray
        Of ``time points - 2`` degrees of freedom.
    engine : {"numpy", "compiled"}
        What computed it; the results differ by rounding only.
    """

    amplitude_bq_per_ml: NDArray[np.float64]
    rate_per_s: NDArray[np.float64]
    amplitude_sigma_bq_per_ml: NDArray[np.float64]
    rate_sigma_per_s: NDArray[np.float64]
    correlation: NDArray[np.float64]
    chi_squared: NDArray[np.float64]
    engine: EngineUsed

    @property
    def tia_bq_s_per_ml(self) -> NDArray[np.float64]:
        """Time-integrated activity from 0 on."""
        return self.amplitude_bq_per_ml / self.rate_per_s

    @property
    def tia_sigma_bq_s_per_ml(self) -> NDArray[np.float64]:
        """One standard deviation of the TIA: (u_A/A)^2 + (u_r/r)^2 - 2 cov/(A r), section 3.7 of the specification."""
        measured = self.amplitude_bq_per_ml > 0
        relative = np.divide(
            self.amplitude_sigma_bq_per_ml, self.amplitude_bq_per_ml, out=np.zeros_like(self.rate_per_s), where=measured
        )
        of_rate = self.rate_sigma_per_s / self.rate_per_s
        variance = relative**2 + of_rate**2 - 2.0 * self.correlation * relative * of_rate
        return self.tia_bq_s_per_ml * np.sqrt(np.maximum(variance, 0.0))


@dataclass(frozen=True, eq=False)
class RefittedTia:
    """Mean and standard deviation of each voxel's TIA over fits of noisy copies, each of shape (voxel,)."""

    mean_bq_s_per_ml: NDArray[np.float64]
    deviation_bq_s_per_ml: NDArray[np.float64]
    engine: EngineUsed


def fit_voxels(
    activity_bq_per_ml: NDArray[np.floating],
    time_s: Sequence[float],
    nuclide: Radionuclide,
    sigma_bq_per_ml: NDArray[np.floating],
    *,
    workers: int = 2,
    engine: Engine = "auto",
) -> VoxelFits:
    """Fit A exp(-r t) to every voxel by weighted least squares with known sigmas, which stay absolute.

    The optimum is that of ``scipy.optimize.curve_fit(..., sigma=..., absolute_sigma=True)``, with r between physical
    decay and the shortest effective half-life (10 h): the one nearest to the rate of the values' mean time. Very noisy
    values may have another, lower one (at 4, 24 and 192 h with errors of 30 %, in 1 % of voxels).

    Parameters
    ----------
    activity_bq_per_ml : ndarray, shape (time, voxel)
    time_s : sequence of float
        After the start of the administration, increasing.
    nuclide : Radionuclide
    sigma_bq_per_ml : ndarray, shape (time, voxel) or (time, 1)
    workers : int
        Threads; the result does not depend on it.
    engine : {"auto", "numpy", "compiled"}
        ``auto`` takes machine code (the extra ``compiled``) from :data:`COMPILED_FROM` fits on, where it is installed.

    Returns
    -------
    VoxelFits

    Raises
    ------
    RefusalError
        ``CURVE_TIMES_INVALID``, ``CURVE_INVALID``, ``ENGINE_UNKNOWN``, ``COMPILER_MISSING``.
    """
    _require_curves(activity_bq_per_ml, time_s, sigma_bq_per_ml)
    used = _engine_for(engine, activity_bq_per_ml.shape[1])
    low, high = _bounds_per_h(nuclide)
    times_h = [time / SECONDS_PER_HOUR for time in time_s]
    if used == "compiled":
        fits = fit_mono_exponentials_compiled(
            activity_bq_per_ml,
            times_h,
            low,
            high,
            low,
            sigmas=sigma_bq_per_ml,
            rate_unit=1.0 / SECONDS_PER_HOUR,
            threads=workers,
        )
    else:
        fits = _fitted_in_blocks(activity_bq_per_ml, times_h, (low, high), sigma_bq_per_ml, workers)
    return VoxelFits(
        fits.amplitude, fits.rate, fits.amplitude_sigma, fits.rate_sigma, fits.correlation, fits.chi_squared, used
    )


def _fitted_in_blocks(
    activity: NDArray[np.floating],
    times_h: list[float],
    bounds_per_h: tuple[float, float],
    sigma: NDArray[np.floating],
    workers: int,
) -> CurveFits:
    low, high = bounds_per_h
    found = [np.empty(activity.shape[1]) for _ in range(6)]

    def work(part: slice) -> None:
        values = activity[:, part].astype(np.float64, copy=False)
        fits = fit_mono_exponentials(values, times_h, low, high, low, weights=_weights(sigma, part))
        for line, fitted in zip(found, fits, strict=True):
            line[part] = fitted

    in_blocks(work, activity.shape[1], workers=workers)
    found[1] /= SECONDS_PER_HOUR
    found[3] /= SECONDS_PER_HOUR
    return CurveFits(*found)


def refitted_tia(
    activity_bq_per_ml: NDArray[np.floating],
    time_s: Sequence[float],
    nuclide: Radionuclide,
    sigma_bq_per_ml: NDArray[np.floating],
    *,
    refits: int = 200,
    seed: int = 0,
    workers: int = 2,
    engine: Engine = "auto",
) -> RefittedTia:
    """Return mean and standard deviation of each voxel's TIA over fits of noisy copies of its values.

    Parameters
    ----------
    activity_bq_per_ml : ndarray, shape (time, voxel)
        Fitted values (Monte Carlo propagation) or measured ones (parametric bootstrap).
    time_s, nuclide, sigma_bq_per_ml, workers, engine
        As of :func:`fit_voxels`; the noise of the copies is normal with these sigmas, and they weight the fits.
    refits : int
        Copies; the standard deviation has a relative error of 1/sqrt(2 refits).
    seed : int
        Each block of voxels has a stream of its own, so that the result does not depend on the number of threads.

    Returns
    -------
    RefittedTia
        A copy without positive amplitude counts as TIA 0. Both engines draw the same copies.

    Raises
    ------
    RefusalError
        As of :func:`fit_voxels`.
    """
    _require_curves(activity_bq_per_ml, time_s, sigma_bq_per_ml)
    used = _engine_for(engine, activity_bq_per_ml.shape[1] * refits)
    bounds = _bounds_per_h(nuclide)
    times_h = [time / SECONDS_PER_HOUR for time in time_s]
    if used == "compiled":
        mean, deviation = refit_areas(
            activity_bq_per_ml,
            times_h,
            *bounds,
            bounds[0],
            sigmas=sigma_bq_per_ml,
            refits=refits,
            seed=seed,
            threads=workers,
        )
    else:
        mean, deviation = _refitted_in_blocks(
            activity_bq_per_ml, times_h, bounds, sigma_bq_per_ml, (refits, seed), workers
        )
    return RefittedTia(mean * SECONDS_PER_HOUR, deviation * SECONDS_PER_HOUR, used)


def _refitted_in_blocks(
    activity: NDArray[np.floating],
    times_h: list[float],
    bounds_per_h: tuple[float, float],
    sigma: NDArray[np.floating],
    copies: tuple[int, int],
    workers: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    (low, high), (refits, seed) = bounds_per_h, copies
    mean, deviation = np.zeros((2, activity.shape[1]))

    def work(part: slice) -> None:
        random = np.random.default_rng([seed, part.start])
        values = activity[:, part].astype(np.float64, copy=False)
        spread = np.broadcast_to(sigma[:, part] if sigma.shape[1] > 1 else sigma, values.shape)
        weights = _weights(sigma, part)
        first = fit_areas(values, times_h, low, high, low, weights=weights)
        # Sums of differences from the first fit: no digits are lost between the mean and the mean square.
        for _ in range(refits):
            copy = random.standard_normal(values.shape)
            copy *= spread
            copy += values
            off = fit_areas(copy, times_h, low, high, low, weights=weights) - first
            mean[part] += off
            off *= off
            deviation[part] += off
        mean[part] /= refits
        deviation[part] = np.sqrt(np.maximum(deviation[part] / refits - mean[part] ** 2, 0.0))
        mean[part] += first

    in_blocks(work, activity.shape[1], block=BLOCK, workers=workers)
    return mean, deviation


def _engine_for(engine: Engine, fits: int) -> EngineUsed:
    require(
        engine in {"auto", "numpy", "compiled"},
        "ENGINE_UNKNOWN",
        found=f"engine {engine!r}",
        needed='"auto", "numpy" or "compiled"',
        do="name one of them",
        where="voxel curves",
    )
    if engine == "numpy" or (engine == "auto" and fits < COMPILED_FROM):
        return "numpy"
    try:
        compiled_lanes()
    except CompilerMissingError as error:
        if engine == "auto":
            return "numpy"
        raise RefusalError(
            "COMPILER_MISSING", found=error.found, needed="Numba", do=CURE, where="voxel curves"
        ) from error
    return "compiled"


def _bounds_per_h(nuclide: Radionuclide) -> tuple[float, float]:
    bounds = rate_bounds(nuclide)
    return bounds.slowest_per_s * SECONDS_PER_HOUR, bounds.fastest_per_s * SECONDS_PER_HOUR


def _weights(sigma: NDArray[np.floating], part: slice) -> NDArray[np.float64]:
    chosen = sigma if sigma.shape[1] == 1 else sigma[:, part]
    inverse = 1.0 / chosen.astype(np.float64, copy=False)
    inverse *= inverse
    return inverse


def _require_curves(activity: NDArray[np.floating], time_s: Sequence[float], sigma: NDArray[np.floating]) -> None:
    points = len(time_s)
    require(
        points >= 2 and activity.ndim == 2 and activity.shape[0] == points and bool((np.diff(time_s) > 0).all()),
        "CURVE_TIMES_INVALID",
        found=f"values of shape {activity.shape} at {list(time_s)} s",
        needed="values of shape (time, voxel) at two or more increasing times",
        do="give one row of values for each time",
        where="voxel curves",
    )
    # Neither of them where one is missing (NaN).
    least, most = (sigma.min(), sigma.max()) if sigma.size else (1.0, 1.0)
    require(
        sigma.shape in {activity.shape, (points, 1)} and bool(0 < least <= most < np.inf),
        "CURVE_INVALID",
        found=f"sigmas of shape {sigma.shape} from {least:g} to {most:g}",
        needed=f"finite positive sigmas of shape {activity.shape} or ({points}, 1)",
        do="give one standard deviation for each value",
        where="voxel curves",
    )
