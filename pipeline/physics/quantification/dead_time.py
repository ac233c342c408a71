"""Dead time of a paralysable detector from scans of one decaying source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.errors import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_SCANS: Final = 4
# The straight line needs a long arm: activities that differ by this factor or more (project choice).
LEAST_SPAN: Final = 4.0
SIGMAS: Final = 2.0


@dataclass(frozen=True, eq=False)
class DeadTimeFit:
    """Dead time and sensitivity of m = r exp(-r tau), r = s A.

    Attributes
    ----------
    dead_time_s : float
        Not below 0.
    dead_time_sigma_s : float
    sensitivity_per_bq_s : float
        Counts per second and Bq without dead time.
    sensitivity_relative_sigma : float
    residual : ndarray, shape (scan,)
        Observed over fitted rate, less 1.
    significant : bool
        Whether the dead time exceeds two sigma.
    """

    dead_time_s: float
    dead_time_sigma_s: float
    sensitivity_per_bq_s: float
    sensitivity_relative_sigma: float
    residual: NDArray[np.float64]
    significant: bool


def fit_dead_time(activity_bq: NDArray[np.float64], observed_rate_per_s: NDArray[np.float64]) -> DeadTimeFit:
    """Fit the paralysable model to a decaying source.

    m = s A exp(-s A tau) makes ln(m/A) = ln s - (s tau) A: a straight line in the activity (decaying-source method,
    Sorenson, J Nucl Med 1975;16:284). The scans weigh alike, their scatter about the line is the uncertainty.

    Parameters
    ----------
    activity_bq : ndarray, shape (scan,)
        Mean over each acquisition, true up to a common factor.
    observed_rate_per_s : ndarray, shape (scan,)
        As the product sees it: all counts over frame duration and number of projections.

    Returns
    -------
    DeadTimeFit

    Raises
    ------
    RefusalError
        ``DEAD_TIME_SERIES_INVALID`` for fewer than 4 scans, less than a factor of 4 in activity, or rates that are not
        positive.
    """
    activity, rate = np.asarray(activity_bq, dtype=np.float64), np.asarray(observed_rate_per_s, dtype=np.float64)
    _require_series(activity, rate)
    load = activity / activity.max()
    design = np.stack([np.ones_like(load), -load], axis=1)
    line = np.log(rate / activity)
    (log_s, slope), *_ = np.linalg.lstsq(design, line)
    residual = line - design @ np.array([log_s, slope])
    variance = float(residual @ residual) / (load.size - 2)
    covariance = variance * np.linalg.inv(design.T @ design)
    highest_rate = float(np.exp(log_s) * activity.max())
    tau, slope_sigma = float(slope) / highest_rate, float(np.sqrt(covariance[1, 1]))
    # d tau / tau = d slope / slope - d ln s
    tau_variance = covariance[1, 1] - 2.0 * slope * covariance[0, 1] + slope**2 * covariance[0, 0]
    return DeadTimeFit(
        dead_time_s=max(tau, 0.0),
        dead_time_sigma_s=float(np.sqrt(max(tau_variance, 0.0))) / highest_rate,
        sensitivity_per_bq_s=float(np.exp(log_s)),
        sensitivity_relative_sigma=float(np.sqrt(covariance[0, 0])),
        residual=np.expm1(residual),
        significant=bool(slope > SIGMAS * slope_sigma),
    )


def _require_series(activity_bq: NDArray[np.float64], rate_per_s: NDArray[np.float64]) -> None:
    positive = bool(np.all(activity_bq > 0) and np.all(rate_per_s > 0))
    span = float(activity_bq.max() / activity_bq.min()) if positive and activity_bq.size else 0.0
    require(
        activity_bq.size >= FEWEST_SCANS and span >= LEAST_SPAN,
        "DEAD_TIME_SERIES_INVALID",
        found=f"{activity_bq.size} scans, activity falling by a factor of {span:.2f}",
        needed=f"{FEWEST_SCANS} or more scans of one source, activity falling by a factor of {LEAST_SPAN:g} or more",
        do="add later scans of the same source (177Lu falls by a factor of 4 in 13.3 days), or set dead_time_s",
        where="phantom.dead-time",
    )
