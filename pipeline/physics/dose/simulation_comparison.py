"""A simulated dose beside the analytic one: sigma, 95 % interval, probability above a limit, and whether they agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Verdict = Literal["agrees", "analytic is wider", "analytic is narrower"]

Z_95: Final = NormalDist().inv_cdf(0.975)
# Next order of the propagation: of the parts of this budget the reciprocal of a normal number bends most, its sigma is
# that of the linear form times 1 + 4 u2 (from Var g = g'^2 s2 + (g''^2/2 + g' g''') s4 with g = 1/x).
NON_LINEARITY: Final = 4.0
# A difference of two standard errors of the simulation is chance.
ERRORS_ALLOWED: Final = 2.0


@dataclass(frozen=True)
class Simulated:
    """What a sample of doses says, with its Monte Carlo errors (one sigma).

    ``p_exceed`` and its error are None without a limit.
    """

    mean_gy: float
    sigma_gy: float
    sigma_error_gy: float
    interval_gy: tuple[float, float]
    interval_error_gy: tuple[float, float]
    p_exceed: float | None
    p_exceed_error: float | None


@dataclass(frozen=True)
class Comparison:
    """A dose with its analytic and its simulated uncertainty."""

    dose_gy: float
    sigma_gy: float
    p_exceed: float | None
    simulated: Simulated

    @property
    def interval_gy(self) -> tuple[float, float]:
        """Analytic 95 % interval, normal."""
        return (self.dose_gy - Z_95 * self.sigma_gy, self.dose_gy + Z_95 * self.sigma_gy)

    @property
    def difference(self) -> float:
        """Simulated sigma over analytic sigma, less 1; 0 where neither has one."""
        if self.sigma_gy == 0.0:
            return 0.0 if self.simulated.sigma_gy == 0.0 else math.inf
        return self.simulated.sigma_gy / self.sigma_gy - 1.0

    @property
    def monte_carlo_error(self) -> float:
        """One sigma of :attr:`difference` by the number of draws."""
        return self.simulated.sigma_error_gy / self.sigma_gy if self.sigma_gy > 0.0 else 0.0

    @property
    def non_linearity(self) -> float:
        """Difference that the next order of the propagation may bring, 4 u2."""
        return NON_LINEARITY * (self.sigma_gy / self.dose_gy) ** 2 if self.dose_gy > 0.0 else 0.0

    @property
    def bias_in_sigma(self) -> float:
        """Mean of the simulation less the filed dose, in simulated sigmas."""
        sigma = self.simulated.sigma_gy
        return (self.simulated.mean_gy - self.dose_gy) / sigma if sigma > 0.0 else 0.0

    @property
    def verdict(self) -> Verdict:
        """Whether both sigmas agree within two Monte Carlo errors and the non-linearity."""
        allowed = ERRORS_ALLOWED * self.monte_carlo_error + self.non_linearity
        if abs(self.difference) <= allowed:
            return "agrees"
        return "analytic is narrower" if self.difference > 0.0 else "analytic is wider"


def summarised(draws_gy: NDArray[np.float64], limit_gy: float | None = None) -> Simulated:
    """Return mean, sigma, 95 % interval and the part above a limit of a sample, with their errors.

    The error of sigma takes the sample's own fourth moment (Kendall, Stuart, The Advanced Theory of Statistics 1,
    10.6); that of the interval's ends the order statistics one binomial sigma away; that of the probability counts one
    success and one failure more, so that none is never without an error.

    Parameters
    ----------
    draws_gy : ndarray, shape (draws,)
    limit_gy : float, optional

    Returns
    -------
    Simulated
    """
    count, mean = draws_gy.size, float(draws_gy.mean())
    sigma = float(draws_gy.std(ddof=1))
    fourth = float(np.mean((draws_gy - mean) ** 4))
    error = math.sqrt(max(fourth - sigma**4, 0.0) / count) / (2.0 * sigma) if sigma > 0.0 else 0.0
    above = None if limit_gy is None else float(np.mean(draws_gy > limit_gy))
    guess = None if above is None else (above * count + 1.0) / (count + 2.0)
    (low, low_error), (high, high_error) = (_quantile(draws_gy, part) for part in (0.025, 0.975))
    return Simulated(
        mean_gy=mean,
        sigma_gy=sigma,
        sigma_error_gy=error,
        interval_gy=(low, high),
        interval_error_gy=(low_error, high_error),
        p_exceed=above,
        p_exceed_error=None if guess is None else math.sqrt(guess * (1.0 - guess) / count),
    )


def _quantile(draws: NDArray[np.float64], part: float) -> tuple[float, float]:
    step = math.sqrt(part * (1.0 - part) / draws.size)
    beside = [max(part - step, 0.0), part, min(part + step, 1.0)]
    low, value, high = (float(v) for v in np.quantile(draws, beside))
    return value, (high - low) / 2.0


def compared(
    draws_gy: NDArray[np.float64], dose_gy: float, sigma_gy: float, limit_gy: float | None = None
) -> Comparison:
    """Return the analytic dose and sigma beside the sample.

    Parameters
    ----------
    draws_gy : ndarray, shape (draws,)
    dose_gy, sigma_gy : float
        Analytic.
    limit_gy : float, optional

    Returns
    -------
    Comparison
        Analytic probability by the normal approximation, as in the rules.
    """
    p_exceed = None
    if limit_gy is not None and sigma_gy > 0.0:
        p_exceed = 1.0 - NormalDist(dose_gy, sigma_gy).cdf(limit_gy)
    return Comparison(dose_gy, sigma_gy, p_exceed, summarised(draws_gy, limit_gy))
