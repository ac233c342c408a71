"""All cycles of one patient together: each has a half-life of its own about the patient's, with a between-cycle spread.

ln T_j ~ N(mu, omega^2) for cycle j, mu the patient's (flat, or log-normal about the population's), omega half-normal.
Solved on a grid in ln T without Gaussian approximation; omega is integrated out. So a later cycle with one scan gets
the half-lives that its patient's other cycles leave open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from pipeline.domain.kinetics import TiaEstimate
from pipeline.errors import require
from pipeline.physics.kinetics.curve_areas import area_rule
from pipeline.physics.kinetics.exponential_fit import fit_mono, rate_bounds
from pipeline.physics.kinetics.exponentials import ExponentialSum
from pipeline.physics.kinetics.fit_flags import quality_flags
from pipeline.physics.kinetics.fit_misfit import Misfit, misfit, require_relative_errors, widened
from pipeline.physics.kinetics.half_life_grid import (
    curve_likelihood,
    half_life_grid,
    moments,
    parameter_covariance,
    tia_distribution,
)
from pipeline.physics.kinetics.reused_half_life import BETWEEN_CYCLES_LOG_SIGMA
from pipeline.physics.kinetics.tia_interval import nearly_gaussian

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.kinetics import HeadRule, TailRule, TimeActivityCurve
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.kinetics.curve_areas import AreaRule
    from pipeline.physics.kinetics.half_life_grid import CurveLikelihood, HalfLifeGrid
    from pipeline.physics.kinetics.single_scan import HalfLifePrior

    Vector = NDArray[np.float64]

SPREADS = 8
# Flags that speak of a cycle's own scans; all others doubt the half-life that it tells the other cycles.
OF_ITS_OWN_SCANS = frozenset({"SINGLE_POINT_PRIOR", "TAIL_PHYSICAL_UPPER_BOUND", "TWO_POINT", "UPTAKE_PHASE"})
# A cycle reuses the others' half-life where it knows less of its own than they tell.
MOSTLY = 0.5
# Less than any likelihood that could still matter beside another.
FLOOR = 1e-300
# An amplitude's relative error above a half has no 97.5 % quantile.
WIDEST_AMPLITUDE = 0.4


@dataclass(frozen=True, eq=False)
class HierarchicalFit:
    """Estimates of all cycles and what they have in common.

    Attributes
    ----------
    cycles : tuple of TiaEstimate
        In the order given.
    half_life_s, half_life_sigma_s : float
        Of the patient, about which the cycles vary.
    between_cycles_log_sigma : float
        Posterior mean of omega.
    """

    cycles: tuple[TiaEstimate, ...]
    half_life_s: float
    half_life_sigma_s: float
    between_cycles_log_sigma: float


def fit_cycles(
    curves: Sequence[TimeActivityCurve],
    nuclide: Radionuclide,
    *,
    population: HalfLifePrior | None = None,
    between_cycles_log_sigma: float = BETWEEN_CYCLES_LOG_SIGMA,
    head_rule: HeadRule = "extrapolate",
    tail_rule: TailRule = "fitted",
    relative_error: float = 0.05,
) -> HierarchicalFit:
    """Fit one region's curves of all cycles of a patient together.

    Parameters
    ----------
    curves : sequence of TimeActivityCurve
        Per cycle one; a single point is allowed where another cycle, or the population, tells the half-life. A cycle
        that rises at first is used from its second point on.
    nuclide : Radionuclide
    population : HalfLifePrior, optional
        Of the patient's half-life; without it all between 10 h and physical decay are alike (flat in the logarithm).
    between_cycles_log_sigma : float
        Scale of the half-normal distribution of omega.
    head_rule, tail_rule : str
        ``extrapolate`` only where a cycle rises at first.
    relative_error : float

    Returns
    -------
    HierarchicalFit
        Each estimate's ``assumed_fraction`` is the part of its TIA's variance that comes from the half-life and was
        told by the other cycles and the population, not by its own scans. One that knows less of its half-life than
        the others tell carries their warnings (``FIT_WARN``, ``AT_PHYSICAL_LIMIT``) too.

    Raises
    ------
    RefusalError
        ``SINGLE_POINT_WITHOUT_PRIOR`` where no cycle has two points and no population is given,
        ``CURVE_NOT_POSITIVE``.
    """
    require(
        population is not None or any(curve.time_s.size > 1 for curve in curves),
        "SINGLE_POINT_WITHOUT_PRIOR",
        found=f"{len(curves)} cycles of one time point each and no population's half-life",
        needed="a cycle with two time points or more, or a prior of the half-life",
        do="add a time point to one cycle, or name a prior",
        where="curve",
    )
    grid = half_life_grid(rate_bounds(nuclide))
    parts = [_washout(curve, head_rule) for curve in curves]
    misfits = [_misfit(part, nuclide, relative_error) for part in parts]
    likelihoods = [_likelihood(part, grid, relative_error, m) for part, m in zip(parts, misfits, strict=True)]
    joint = _joint(
        [_own(part, likelihood) for part, likelihood in zip(parts, likelihoods, strict=True)],
        _patient_prior(population, grid),
        grid,
        between_cycles_log_sigma,
    )
    context = _Context(nuclide, grid, head_rule, tail_rule)
    shared = [_shared_fraction(*known, grid) for known in zip(joint.behind, joint.told, strict=True)]
    cycles = zip(curves, parts, misfits, likelihoods, joint.own, joint.told, shared, strict=True)
    half_life_s, half_life_sigma_s = moments(joint.patient, grid)
    estimates = [_estimate(context, *cycle) for cycle in cycles]
    return HierarchicalFit(_with_warnings(estimates, joint, grid), half_life_s, half_life_sigma_s, joint.between)


@dataclass(frozen=True)
class _Context:
    nuclide: Radionuclide
    grid: HalfLifeGrid
    head_rule: HeadRule
    tail_rule: TailRule


@dataclass(frozen=True, eq=False)
class _Joint:
    """What is known of half-lives.

    Per cycle by its own scans, and by all else: of its own half-life, and of the patient's (``behind``). Of the
    patient's by everything; mean omega.
    """

    own: list[Vector]
    told: list[Vector]
    behind: list[Vector]
    patient: Vector
    between: float


def _washout(curve: TimeActivityCurve, head_rule: HeadRule) -> TimeActivityCurve:
    if curve.time_s.size == 1:
        return curve
    first = int(np.argmax(curve.activity_bq[:-1]))
    require(
        first == 0 or head_rule == "extrapolate",
        "HEAD_RULE_NOT_APPLICABLE",
        found=f"a cycle that rises at first, head rule {head_rule}",
        needed="extrapolate where a rising point is left out",
        do="use --head extrapolate, or fit the cycles one by one",
        where="curve",
    )
    return curve.part(first)


def _misfit(part: TimeActivityCurve, nuclide: Radionuclide, relative_error: float) -> Misfit:
    if part.time_s.size == 1:
        return Misfit(0.0, 0)
    require_relative_errors(part)
    bounds = rate_bounds(nuclide)
    return misfit(part, fit_mono(part, bounds, relative_error), bounds, relative_error)


def _likelihood(part: TimeActivityCurve, grid: HalfLifeGrid, relative_error: float, found: Misfit) -> CurveLikelihood:
    # A cycle that lies off its own exponential tells less of the half-life, its own and that of the others.
    factor = found.widening
    if part.sigma_bq is None:
        factor = max(min(factor, WIDEST_AMPLITUDE * math.sqrt(part.time_s.size) / relative_error), 1.0)
    used, error = widened(part, relative_error, factor)
    return curve_likelihood(used, grid, error)


def _own(part: TimeActivityCurve, likelihood: CurveLikelihood) -> Vector:
    # One point with its amplitude free says nothing of the half-life.
    if part.time_s.size == 1:
        return np.ones(likelihood.log_likelihood.size)
    return np.asarray(np.exp(likelihood.log_likelihood))


def _patient_prior(population: HalfLifePrior | None, grid: HalfLifeGrid) -> Vector:
    if population is None:
        return np.full(grid.log_half_life.size, 1.0 / grid.log_half_life.size)
    return grid.log_normal(population.median_s, population.log_sigma)


def _joint(own: list[Vector], prior: Vector, grid: HalfLifeGrid, scale: float) -> _Joint:
    # Equally likely values of a half-normal omega.
    omegas = scale * ndtri(0.5 + (np.arange(SPREADS) + 0.5) / (2.0 * SPREADS))
    spacing = float(grid.log_half_life[1] - grid.log_half_life[0])
    kernels = [_kernel(round(float(omega) / spacing, 6), grid.log_half_life.size) for omega in omegas]
    # ln of what cycle j says of the patient's half-life, shape (omega, cycle, m).
    heard = np.log(np.maximum([[kernel @ weight for weight in own] for kernel in kernels], FLOOR))
    whole = heard.sum(axis=1) + np.log(np.maximum(prior, FLOOR))
    evidence = np.exp(_from_its_largest(whole))
    told, behind = [], []
    for cycle in range(len(own)):
        others = np.exp(_from_its_largest(whole - heard[:, cycle]))
        weight = sum(row @ kernel for row, kernel in zip(others, kernels, strict=True))
        told.append(np.asarray(weight / np.sum(weight)))
        behind.append(np.asarray(others.sum(axis=0) / others.sum()))
    each = evidence.sum(axis=1)
    return _Joint(own, told, behind, evidence.sum(axis=0) / evidence.sum(), float(each @ omegas / each.sum()))


def _from_its_largest(log_weight: Vector) -> Vector:
    return np.asarray(log_weight - log_weight.max())


@lru_cache(maxsize=2 * SPREADS)
def _kernel(width: float, points: int) -> Vector:
    """Return p(ln T of a cycle | ln T of the patient), shape (patient, cycle); ``width`` in steps of the grid."""
    offset = np.arange(points)
    raw = np.exp(-0.5 * ((offset[None, :] - offset[:, None]) / max(width, 0.5)) ** 2)
    return np.asarray(raw / raw.sum(axis=1, keepdims=True))


def _estimate(
    context: _Context,
    curve: TimeActivityCurve,
    part: TimeActivityCurve,
    found: Misfit,
    likelihood: CurveLikelihood,
    own: Vector,
    told: Vector,
    shared: float,
) -> TiaEstimate:
    grid, decay = context.grid, context.nuclide.decay_constant_per_s
    rules: Any = {"head_rule": context.head_rule, "tail_rule": context.tail_rule}
    rule = area_rule(part.time_s, 0, decay_constant_per_s=decay, **rules)
    weight = own * told / float(own @ told)
    tia = tia_distribution(likelihood, weight, grid, rule)
    half_life_s, half_life_sigma_s = moments(weight, grid)
    rate = math.log(2.0) / half_life_s
    amplitude = tia.mean_bq_s / float(rule.per_amplitude(np.array([rate]))[0])
    covariance = parameter_covariance(likelihood, weight, grid)
    fit = ExponentialSum(np.array([amplitude]), np.array([rate]), covariance)
    return TiaEstimate(
        model="hierarchical",
        parameters=fit.parameters(),
        covariance=covariance,
        effective_half_life_s=half_life_s,
        effective_half_life_sigma_s=half_life_sigma_s,
        tia_bq_s=tia.mean_bq_s,
        tia_sigma_bq_s=tia.sigma_bq_s,
        extrapolated_fraction=_outside(curve, fit, rule),
        flags=_flags(context, curve, part, found, fit),
        tia_ci95_bq_s=tia.ci95_bq_s,
        interval_method="quantiles over the half-life's distribution",
        nearly_gaussian=nearly_gaussian(tia.mean_bq_s, tia.sigma_bq_s, tia.ci95_bq_s),
        assumed_fraction=tia.half_life_variance / tia.sigma_bq_s**2 * _told_share(own, told, grid),
        shared_half_life_fraction=shared,
        **rules,
    )


def _with_warnings(estimates: list[TiaEstimate], joint: _Joint, grid: HalfLifeGrid) -> tuple[TiaEstimate, ...]:
    """Return the estimates, those that reuse the others' half-life with the others' warnings."""
    shares = [_told_share(own, told, grid) for own, told in zip(joint.own, joint.told, strict=True)]
    doubts = [[flag for flag in estimate.flags if flag not in OF_ITS_OWN_SCANS] for estimate in estimates]
    every = [flag for each in doubts for flag in each]
    return tuple(
        replace(estimate, flags=tuple(dict.fromkeys((*estimate.flags, *every)))) if share > MOSTLY else estimate
        for estimate, share in zip(estimates, shares, strict=True)
    )


def _told_share(own: Vector, told: Vector, grid: HalfLifeGrid) -> float:
    """Return the part of the half-life's information that is not this cycle's own (precisions add)."""
    own_sigma, told_sigma = (moments(weight / weight.sum(), grid) for weight in (own, told))
    own_precision, told_precision = ((half / sigma) ** 2 for half, sigma in (own_sigma, told_sigma))
    if np.ptp(own) == 0.0:
        return 1.0
    return float(told_precision / (own_precision + told_precision))


def _shared_fraction(behind: Vector, told: Vector, grid: HalfLifeGrid) -> float:
    """Return the part of what is left open of a reused half-life that is the patient's, not the one cycle's own."""
    patient, cycle = (sigma / half for half, sigma in (moments(weight, grid) for weight in (behind, told)))
    return min(1.0, (patient / cycle) ** 2)


def _outside(curve: TimeActivityCurve, fit: ExponentialSum, rule: AreaRule) -> float:
    if curve.time_s.size == 1:
        return 1.0
    inside = fit.area(float(curve.time_s[0]), float(curve.time_s[-1])).value
    whole = float(rule.per_amplitude(fit.rate_per_s) @ fit.amplitude_bq)
    return 1.0 - inside / whole


def _flags(
    context: _Context, curve: TimeActivityCurve, part: TimeActivityCurve, found: Misfit, fit: ExponentialSum
) -> tuple[str, ...]:
    if curve.time_s.size == 1:
        upper = ("TAIL_PHYSICAL_UPPER_BOUND",) if context.tail_rule == "physical" else ()
        return ("SINGLE_POINT_PRIOR", *upper)
    quality = quality_flags(
        curve,
        fit,
        curve.time_s.size - part.time_s.size,
        found,
        bounds=rate_bounds(context.nuclide),
        tail_rule=context.tail_rule,
        half_life_range_h=None,
    )
    return (("UPTAKE_PHASE",) if part.time_s.size < curve.time_s.size else ()) + quality
