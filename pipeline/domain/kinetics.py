"""Time-activity curves and what is estimated from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.domain.geometry import frozen_array
from pipeline.errors import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

HeadRule = Literal["extrapolate", "constant", "ramp"]
TailRule = Literal["fitted", "physical"]
ModelName = Literal["auto", "average", "mono", "bi", "tri", "trapezoid"]


@dataclass(frozen=True, eq=False)
class TimeActivityCurve:
    """Activity of one region over time (not decay-corrected).

    Attributes
    ----------
    time_s : ndarray, shape (n,)
        After the start of the administration, strictly increasing, >= 0.
    activity_bq : ndarray, shape (n,)
    sigma_bq : ndarray, shape (n,) or None
        Measured one-sigma errors (random part); None: a relative error of the fitted activity is assumed.
    """

    time_s: NDArray[np.float64]
    activity_bq: NDArray[np.float64]
    sigma_bq: NDArray[np.float64] | None

    def __post_init__(self) -> None:
        time = np.asarray(self.time_s, dtype=np.float64)
        activity = np.asarray(self.activity_bq, dtype=np.float64)
        sigma = None if self.sigma_bq is None else np.asarray(self.sigma_bq, dtype=np.float64)
        consistent = time.ndim == 1 and time.size > 0 and time.shape == activity.shape
        consistent = consistent and (sigma is None or sigma.shape == time.shape)
        finite = consistent and bool(np.isfinite(time).all() and np.isfinite(activity).all())
        finite = finite and (sigma is None or bool(np.isfinite(sigma).all() and (sigma > 0).all()))
        require(
            finite,
            "CURVE_INVALID",
            found=f"times {time.tolist()}, activities {activity.tolist()}",
            needed="as many finite activities (and positive sigmas) as times, at least one",
            do="check the curve's values",
            where="curve",
        )
        require(
            bool((np.diff(time) > 0).all()) and float(time[0]) >= 0.0,
            "CURVE_TIMES_INVALID",
            found=f"times {time.tolist()} s",
            needed="strictly increasing times from the start of the administration on",
            do="remove duplicate time points and check the clocks",
            where="curve",
        )
        object.__setattr__(self, "time_s", frozen_array(time))
        object.__setattr__(self, "activity_bq", frozen_array(activity))
        object.__setattr__(self, "sigma_bq", None if sigma is None else frozen_array(sigma))

    def part(self, first: int) -> TimeActivityCurve:
        """Return the curve from the point with index ``first`` on."""
        sigma = None if self.sigma_bq is None else self.sigma_bq[first:]
        return TimeActivityCurve(self.time_s[first:], self.activity_bq[first:], sigma)


@dataclass(frozen=True, eq=False)
class TiaEstimate:
    """Time-integrated activity of one region, with the model it came from.

    Attributes
    ----------
    model : str
        As ``mono`` or ``mono-last-2`` (rising first point left to the head rule).
    parameters : dict
        ``amplitude_bq`` (at t = 0), ``rate_per_s``; further ones numbered.
    covariance : ndarray
        Of the parameters, in their order.
    effective_half_life_s, tia_bq_s, tia_sigma_bq_s : float
        Sigma is the random (fit) part only.
    extrapolated_fraction : float
        Part of the TIA before the first and after the last point.
    head_rule, tail_rule : str
    flags : tuple of str
    bias_correction_bq_s : float
        Taken off the area under the fitted curve, which several exponentials through noisy points overestimate.
    tia_ci95_bq_s : tuple of float or None
        Lower and upper 95 % bound of the TIA: random part and what was assumed of the half-life. None where the
        method's error is systematic and ``bias_relative`` states its bounds instead.
    interval_method : str
        How the interval was found; empty where there is none.
    nearly_gaussian : bool
        Each half of the interval is 1.96 sigma within 10 %, so that sigma alone tells the same.
    bias_relative : tuple of float or None
        Bounds of the method's systematic error, TIA/true - 1, where it has one.
    assumed_fraction : float
        Part of the TIA's variance that comes from what was assumed of the half-life and not from this cycle's scans.
    shared_half_life_fraction : float
        Part of the assumed half-life's variance that every cycle reusing it has in common.
    model_weights : dict
        Akaike weights of averaged models; empty otherwise.
    half_life_source : str
        Where a half-life that this cycle's scans do not tell comes from; empty where they do.
    """

    model: str
    parameters: dict[str, float]
    covariance: NDArray[np.float64]
    effective_half_life_s: float
    effective_half_life_sigma_s: float
    tia_bq_s: float
    tia_sigma_bq_s: float
    extrapolated_fraction: float
    head_rule: HeadRule
    tail_rule: TailRule
    flags: tuple[str, ...]
    tia_ci95_bq_s: tuple[float, float] | None = None
    interval_method: str = ""
    nearly_gaussian: bool = False
    bias_relative: tuple[float, float] | None = None
    assumed_fraction: float = 0.0
    shared_half_life_fraction: float = 0.0
    model_weights: dict[str, float] = field(default_factory=dict)
    half_life_source: str = ""
    bias_correction_bq_s: float = 0.0
