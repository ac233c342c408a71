"""A TIA from one scan: by a half-life known as a distribution, or by a published form that states its bias.

Each method has its id as the estimate's model: ``single-patient``, ``single-population``, ``single-file`` (the
half-life is a distribution, the interval holds what it leaves open), ``single-madsen-2018`` and
``single-haenscheid-2018``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.domain.kinetics import TiaEstimate
from pipeline.errors import RefusalError, require
from pipeline.physics.kinetics.curve_areas import area_rule
from pipeline.physics.kinetics.exponential_fit import fitted_sigma, rate_bounds, require_positive
from pipeline.physics.kinetics.half_life_grid import (
    curve_likelihood,
    half_life_grid,
    moments,
    parameter_covariance,
    tia_distribution,
)
from pipeline.physics.kinetics.reused_half_life import TWO_CYCLES_LOG_SIGMA, shared_fraction
from pipeline.physics.kinetics.single_time_point import haenscheid_2018_tia, madsen_2018_tia
from pipeline.physics.kinetics.tia_interval import Z_95, nearly_gaussian
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from pipeline.domain.kinetics import HeadRule, TailRule, TimeActivityCurve
    from pipeline.domain.nuclide import Radionuclide

PriorOrigin = Literal["patient", "population", "file"]
SingleForm = Literal["prior", "madsen", "haenscheid"]


@dataclass(frozen=True)
class HalfLifePrior:
    """What is known of an effective half-life before the scan: log-normal.

    A log-normal describes effective half-lives better than a normal distribution does: Hou et al., J Nucl Med
    2021;62:1006.

    Attributes
    ----------
    median_s, log_sigma : float
    origin : {"patient", "population", "file"}
    source : str
        Where it comes from, for the report.
    scan_time_s : tuple of float
        First and last time of a scan that it may be used with.
    """

    median_s: float
    log_sigma: float
    origin: PriorOrigin
    source: str
    scan_time_s: tuple[float, float] = (0.0, math.inf)


def patient_prior(half_life_s: float, sigma_s: float, source: str) -> HalfLifePrior:
    """Return the prior of the patient's own earlier cycle: its fit's error and the difference of two cycles.

    Parameters
    ----------
    half_life_s, sigma_s : float
        Of the earlier cycle.
    source : str

    Returns
    -------
    HalfLifePrior
    """
    return HalfLifePrior(half_life_s, math.hypot(sigma_s / half_life_s, TWO_CYCLES_LOG_SIGMA), "patient", source)


def fit_single_scan(
    curve: TimeActivityCurve,
    nuclide: Radionuclide,
    prior: HalfLifePrior,
    *,
    form: SingleForm = "prior",
    head_rule: HeadRule = "extrapolate",
    tail_rule: TailRule = "fitted",
    relative_error: float = 0.05,
) -> TiaEstimate:
    """Return the TIA of a curve of one point.

    Parameters
    ----------
    curve : TimeActivityCurve
        One point.
    nuclide : Radionuclide
    prior : HalfLifePrior
    form : {"prior", "madsen", "haenscheid"}
        ``prior``: mean over the half-life's distribution, with interval. ``madsen``: A(t) exp(k t)/k at the median
        (Madsen et al., Med Phys 2018;45:2318; with the patient's own half-life this is the form of Haenscheid et al.
        2017). ``haenscheid``: 2 t A(t)/ln 2 (Haenscheid et al., J Nucl Med 2018;59:75). The two published forms state
        the bias over the middle 95 % of the distribution, and claim no interval.
    head_rule, tail_rule : str
        ``haenscheid`` exists for ``extrapolate`` and ``fitted`` only.
    relative_error : float

    Returns
    -------
    TiaEstimate
        ``assumed_fraction`` is the part of the variance that the half-life's distribution brought in.

    Raises
    ------
    RefusalError
        ``TOO_MANY_POINTS``, ``PRIOR_INVALID``, ``PRIOR_OUT_OF_RANGE``, ``SINGLE_POINT_TOO_EARLY``,
        ``SINGLE_POINT_RULES``, ``CURVE_NOT_POSITIVE``.
    """
    _require_usable(curve, nuclide, prior)
    require_positive(float(curve.activity_bq[0]), curve)
    estimate = _by_distribution(curve, nuclide, prior, head_rule, tail_rule, relative_error)
    if form == "prior":
        return estimate
    value = _published(curve, prior, form, head_rule, tail_rule)
    return _with_bias(estimate, curve, prior, value, form, relative_error)


def _require_usable(curve: TimeActivityCurve, nuclide: Radionuclide, prior: HalfLifePrior) -> None:
    require(
        curve.time_s.size == 1,
        "TOO_MANY_POINTS",
        found=f"{curve.time_s.size} points",
        needed="one point: more carry a half-life of their own",
        do="fit the curve",
        where="curve",
    )
    bounds = rate_bounds(nuclide)
    rate = math.log(2.0) / max(prior.median_s, 1.0)
    require(
        bounds.slowest_per_s <= rate * 1.02 and rate <= bounds.fastest_per_s and 0.0 <= prior.log_sigma <= 1.0,
        "PRIOR_INVALID",
        found=f"effective half-life {prior.median_s} s, sigma of its logarithm {prior.log_sigma}",
        needed="an effective half-life from the shortest allowed (10 h) to the physical one, sigma up to 1",
        do="check the earlier cycle's fit or the file of half-lives",
        where="prior",
    )
    shortest, longest = (time_s / SECONDS_PER_HOUR for time_s in prior.scan_time_s)
    require(
        prior.scan_time_s[0] <= float(curve.time_s[0]) <= prior.scan_time_s[1],
        "PRIOR_OUT_OF_RANGE",
        found=f"a scan at {float(curve.time_s[0]) / SECONDS_PER_HOUR:.1f} h",
        needed=f"a scan from {shortest:g} to {longest:g} h, the range of {prior.source}",
        do="add a second scan, or use the patient's own half-life from an earlier cycle",
        where="curve",
    )


def _by_distribution(
    curve: TimeActivityCurve,
    nuclide: Radionuclide,
    prior: HalfLifePrior,
    head_rule: HeadRule,
    tail_rule: TailRule,
    relative_error: float,
) -> TiaEstimate:
    grid = half_life_grid(rate_bounds(nuclide))
    weight = grid.log_normal(prior.median_s, prior.log_sigma)
    rule = area_rule(
        curve.time_s,
        0,
        head_rule=head_rule,
        tail_rule=tail_rule,
        decay_constant_per_s=nuclide.decay_constant_per_s,
    )
    likelihood = curve_likelihood(curve, grid, relative_error)
    found = tia_distribution(likelihood, weight, grid, rule)
    half_life_s, half_life_sigma_s = moments(weight, grid)
    rate = math.log(2.0) / half_life_s
    amplitude = found.mean_bq_s / float(rule.per_amplitude(np.array([rate]))[0])
    return TiaEstimate(
        model=f"single-{prior.origin}",
        parameters={"amplitude_bq": amplitude, "rate_per_s": rate},
        covariance=parameter_covariance(likelihood, weight, grid),
        effective_half_life_s=half_life_s,
        effective_half_life_sigma_s=half_life_sigma_s,
        tia_bq_s=found.mean_bq_s,
        tia_sigma_bq_s=found.sigma_bq_s,
        # One point: all before it and all after it.
        extrapolated_fraction=1.0,
        head_rule=head_rule,
        tail_rule=tail_rule,
        flags=("SINGLE_POINT_PRIOR", *(("TAIL_PHYSICAL_UPPER_BOUND",) if tail_rule == "physical" else ())),
        tia_ci95_bq_s=found.ci95_bq_s,
        interval_method="quantiles over the half-life's distribution",
        nearly_gaussian=nearly_gaussian(found.mean_bq_s, found.sigma_bq_s, found.ci95_bq_s),
        assumed_fraction=found.half_life_variance / found.sigma_bq_s**2,
        shared_half_life_fraction=shared_fraction(prior.log_sigma),
        half_life_source=prior.source,
    )


def _published(
    curve: TimeActivityCurve, prior: HalfLifePrior, form: SingleForm, head_rule: HeadRule, tail_rule: TailRule
) -> float:
    if (head_rule, tail_rule) != ("extrapolate", "fitted"):
        raise RefusalError(
            "SINGLE_POINT_RULES",
            found=f"head rule {head_rule}, tail rule {tail_rule}",
            needed="extrapolate and fitted: the published forms integrate one exponential from 0 to infinity",
            do="use these rules, or a prior of the half-life",
            where=form,
        )
    activity, time_s = float(curve.activity_bq[0]), float(curve.time_s[0])
    if form == "madsen":
        return madsen_2018_tia(activity, time_s, prior.median_s)
    return haenscheid_2018_tia(activity, time_s, expected_half_life_s=prior.median_s)


def _with_bias(
    estimate: TiaEstimate,
    curve: TimeActivityCurve,
    prior: HalfLifePrior,
    value: float,
    form: SingleForm,
    relative_error: float,
) -> TiaEstimate:
    """Return the estimate of a published form: its value, its bias over the distribution, both errors in quadrature."""
    activity, time_s = float(curve.activity_bq[0]), float(curve.time_s[0])
    standard = np.linspace(-Z_95, Z_95, 201)
    half_life = prior.median_s * np.exp(prior.log_sigma * standard)
    true = np.array([madsen_2018_tia(activity, time_s, one) for one in half_life])
    bias = value / true - 1.0
    density = np.exp(-(standard**2) / 2.0)
    systematic = value * math.sqrt(float(density @ bias**2 / density.sum()))
    point = value * float(fitted_sigma(curve, curve.activity_bq, relative_error)[0]) / activity
    sigma = math.hypot(systematic, point)
    rate = math.log(2.0) / prior.median_s
    madsen = {"amplitude_bq": activity * math.exp(rate * time_s), "rate_per_s": rate}
    return replace(
        estimate,
        model="single-madsen-2018" if form == "madsen" else "single-haenscheid-2018",
        # The form of 2018 knows no half-life.
        parameters=madsen if form == "madsen" else {},
        covariance=np.zeros((2, 2)) if form == "madsen" else np.zeros((0, 0)),
        tia_bq_s=value,
        tia_sigma_bq_s=sigma,
        tia_ci95_bq_s=None,
        interval_method="",
        nearly_gaussian=False,
        bias_relative=(float(bias.min()), float(bias.max())),
        assumed_fraction=(systematic / sigma) ** 2,
    )
