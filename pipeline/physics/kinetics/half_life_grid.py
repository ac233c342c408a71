"""One exponential whose half-life is known as a distribution: likelihoods, posteriors and the TIA's mean and interval.

Everything of the half-life is a set of weights on a grid in ln(T_eff), so that no part has to be Gaussian; at each
half-life the amplitude is in closed form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from pipeline.errors import require

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pipeline.domain.kinetics import TimeActivityCurve
    from pipeline.physics.kinetics.curve_areas import AreaRule
    from pipeline.physics.kinetics.exponential_fit import RateBounds

    Vector = NDArray[np.float64]

# 0.46 % apart from 10 h to physical decay: a tenth of what three scans with 5 % tell.
GRID_POINTS = 601
TAIL = 0.025


@dataclass(frozen=True, eq=False)
class HalfLifeGrid:
    """Effective half-lives from the shortest allowed to the physical one, evenly spaced in their logarithm.

    Attributes
    ----------
    log_half_life : ndarray, shape (m,)
        Natural logarithm of seconds.
    """

    log_half_life: NDArray[np.float64]

    @property
    def rate_per_s(self) -> Vector:
        """Rates, shape (m,)."""
        return np.asarray(math.log(2.0) * np.exp(-self.log_half_life))

    def log_normal(self, median_s: float, log_sigma: float) -> Vector:
        """Return the weights of a log-normal distribution, cut off at the grid's ends; shape (m,)."""
        spread = max(log_sigma, 0.5 * float(self.log_half_life[1] - self.log_half_life[0]))
        weight = np.exp(-0.5 * ((self.log_half_life - math.log(median_s)) / spread) ** 2)
        return np.asarray(weight / weight.sum())


@dataclass(frozen=True, eq=False)
class CurveLikelihood:
    """What one curve says at every half-life of a grid.

    Attributes
    ----------
    log_likelihood : ndarray, shape (m,)
        Amplitude integrated out (flat in its logarithm), largest value 0; minus infinity where no positive one fits.
    amplitude_bq, relative_sigma : ndarray, shape (m,)
        Best amplitude at t = 0 and its relative error.
    relative_errors : bool
        The errors are a constant part of the fitted activity.
    """

    log_likelihood: NDArray[np.float64]
    amplitude_bq: NDArray[np.float64]
    relative_sigma: NDArray[np.float64]
    relative_errors: bool


@dataclass(frozen=True)
class TiaDistribution:
    """Mean, sigma and 95 % interval of a TIA whose half-life is a distribution.

    Attributes
    ----------
    mean_bq_s, sigma_bq_s : float
    ci95_bq_s : tuple of float
    half_life_variance : float
        Part of the variance that comes from the half-life, whatever is known of it.
    """

    mean_bq_s: float
    sigma_bq_s: float
    ci95_bq_s: tuple[float, float]
    half_life_variance: float


def half_life_grid(bounds: RateBounds) -> HalfLifeGrid:
    """Return the grid between the bounds of the effective rate.

    Parameters
    ----------
    bounds : RateBounds

    Returns
    -------
    HalfLifeGrid
    """
    shortest, longest = math.log(2.0) / bounds.fastest_per_s, math.log(2.0) / bounds.slowest_per_s
    return HalfLifeGrid(np.linspace(math.log(shortest), math.log(longest), GRID_POINTS))


def curve_likelihood(curve: TimeActivityCurve, grid: HalfLifeGrid, relative_error: float) -> CurveLikelihood:
    """Return the likelihood of a curve at every half-life, the amplitude integrated out.

    Without measured sigmas the errors are a constant part r of the fitted activity (quasi-likelihood of the variance
    (r f)^2), whose integral over ln(A) is exact: mean(y e^(l t))^(-n/r^2) e^(l sum(t)/r^2).

    Parameters
    ----------
    curve : TimeActivityCurve
        One point or more.
    grid : HalfLifeGrid
    relative_error : float

    Returns
    -------
    CurveLikelihood

    Raises
    ------
    RefusalError
        ``CURVE_NOT_POSITIVE``.
    """
    rate, points = grid.rate_per_s, curve.time_s.size
    if curve.sigma_bq is None:
        best = (curve.activity_bq * np.exp(np.outer(rate, curve.time_s))).mean(axis=1)
        spread = np.full(rate.size, relative_error / math.sqrt(points))
        score = -np.log(np.where(best > 0.0, best, 1.0)) * points + rate * curve.time_s.sum()
        score = score / relative_error**2
    else:
        shape = np.exp(-np.outer(rate, curve.time_s)) / curve.sigma_bq
        norm = (shape**2).sum(axis=1)
        best = shape @ (curve.activity_bq / curve.sigma_bq) / norm
        positive = np.where(best > 0.0, best, 1.0)
        spread = 1.0 / (np.sqrt(norm) * positive)
        misfit = ((curve.activity_bq / curve.sigma_bq - positive[:, None] * shape) ** 2).sum(axis=1)
        score = -0.5 * misfit + np.log(spread)
    require(
        bool((best > 0.0).any()),
        "CURVE_NOT_POSITIVE",
        found=f"activities {curve.activity_bq.tolist()}, whose best exponential is not positive",
        needed="a region that holds activity",
        do="check the region's contour, or leave the region out",
        where="curve",
    )
    score = np.where(best > 0.0, score, -np.inf)
    return CurveLikelihood(score - score.max(), np.maximum(best, 0.0), spread, curve.sigma_bq is None)


def tia_distribution(
    likelihood: CurveLikelihood, weight: NDArray[np.float64], grid: HalfLifeGrid, rule: AreaRule
) -> TiaDistribution:
    """Return the distribution of a curve's TIA over the half-lives' weights.

    Parameters
    ----------
    likelihood : CurveLikelihood
    weight : ndarray, shape (m,)
        Of each half-life, this curve's own likelihood included; sums to 1.
    grid : HalfLifeGrid
    rule : AreaRule

    Returns
    -------
    TiaDistribution
    """
    used = weight > 1e-12 * weight.max()
    share = weight[used] / weight[used].sum()
    tia = likelihood.amplitude_bq[used] * rule.per_amplitude(grid.rate_per_s[used])
    spread = likelihood.relative_sigma[used]
    mean = float(share @ tia)
    between, within = float(share @ (tia - mean) ** 2), float(share @ (spread * tia) ** 2)

    def below(place: float) -> float:
        # Relative errors: y = f (1 + r z), so the truth lies below where z lies above y/place - 1.
        standard = (1.0 - tia / place) / spread if likelihood.relative_errors else (place / tia - 1.0) / spread
        return float(share @ ndtr(standard))

    return TiaDistribution(mean, math.sqrt(between + within), _quantiles(below, tia, spread), between)


def _quantiles(below: Callable[[float], float], tia: Vector, spread: Vector) -> tuple[float, float]:
    widest = float(np.minimum(8.0 * spread, 0.95).max())
    low, high = float(tia.min()) * (1.0 - widest), float(tia.max()) / (1.0 - widest)
    return (
        float(brentq(lambda place: below(place) - TAIL, low, high, rtol=1e-10)),
        float(brentq(lambda place: below(place) - (1.0 - TAIL), low, high, rtol=1e-10)),
    )


def moments(weight: NDArray[np.float64], grid: HalfLifeGrid) -> tuple[float, float]:
    """Return the median-like centre and the sigma of a half-life: exp(mean ln T) and that times the sigma of ln T.

    Parameters
    ----------
    weight : ndarray, shape (m,)
        Sums to 1.
    grid : HalfLifeGrid

    Returns
    -------
    float
    float
        s.
    """
    centre = float(weight @ grid.log_half_life)
    spread = math.sqrt(max(float(weight @ (grid.log_half_life - centre) ** 2), 0.0))
    return math.exp(centre), math.exp(centre) * spread


def parameter_covariance(
    likelihood: CurveLikelihood, weight: NDArray[np.float64], grid: HalfLifeGrid
) -> NDArray[np.float64]:
    """Return the covariance of (amplitude, rate) over the half-lives' weights, shape (2, 2).

    Parameters
    ----------
    likelihood : CurveLikelihood
    weight : ndarray, shape (m,)
        Sums to 1.
    grid : HalfLifeGrid

    Returns
    -------
    ndarray, shape (2, 2)
    """
    values = np.stack([likelihood.amplitude_bq, grid.rate_per_s])
    offset = values - (values @ weight)[:, None]
    covariance = (offset * weight) @ offset.T
    covariance[0, 0] += float(weight @ (likelihood.amplitude_bq * likelihood.relative_sigma) ** 2)
    return np.asarray(covariance)
