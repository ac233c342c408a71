"""What a person should know about a fitted curve (clinical specification 3.3, fit QA)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pipeline.physics.kinetics.multi_exponential_fit import component_bounds
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from pipeline.domain.kinetics import TailRule, TimeActivityCurve
    from pipeline.physics.kinetics.exponential_fit import RateBounds
    from pipeline.physics.kinetics.exponentials import ExponentialSum
    from pipeline.physics.kinetics.fit_misfit import Misfit

# A TIA that the points do not carry: the curve lies off its fit, or the lower bound of the half-life chose it.
NOT_CARRIED = frozenset({"FIT_BROKEN", "AT_SHORTEST_LIMIT"})
LIMIT_MARGIN = 0.02
RESIDUAL_WARNING = 0.15
# Of the largest amplitude: what is less adds nothing that could be seen.
PRESENT = 1e-6
LATE_ENOUGH_S = 48.0 * SECONDS_PER_HOUR


def quality_flags(
    curve: TimeActivityCurve,
    fit: ExponentialSum,
    first: int,
    found: Misfit | None = None,
    *,
    bounds: RateBounds,
    tail_rule: TailRule,
    half_life_range_h: tuple[float, float] | None,
) -> tuple[str, ...]:
    """Return the flags of a fit through the points from index ``first`` on.

    Parameters
    ----------
    curve : TimeActivityCurve
    fit : ExponentialSum
    first : int
    found : Misfit, optional
        Of these points; None where the TIA does not stand on the fit (trapezoid).
    bounds : RateBounds
    tail_rule : str
    half_life_range_h : tuple of float, optional
        Plausible effective half-lives of the region.

    Returns
    -------
    tuple of str
        ``FIT_WARN`` stands before the warnings that raised it.
    """
    warnings = (*_warnings(curve, fit, first, half_life_range_h, bounds), *(found.flags if found else ()))
    rate = float(fit.rate_per_s[0])
    facts = {
        "TWO_POINT": curve.time_s.size == 2,
        "NON_POSITIVE_POINT": bool((curve.activity_bq <= 0.0).any()),
        "AT_PHYSICAL_LIMIT": rate <= bounds.slowest_per_s / (1.0 - LIMIT_MARGIN),
        "AT_SHORTEST_LIMIT": fit.rate_per_s.size == 1 and rate >= bounds.fastest_per_s * (1.0 - LIMIT_MARGIN),
        "TAIL_PHYSICAL_UPPER_BOUND": tail_rule == "physical",
        "FIT_WARN": bool(warnings),
    }
    return (*(code for code, holds in facts.items() if holds), *warnings)


def fast_phase_at_limit(curve: TimeActivityCurve, fit: ExponentialSum, bounds: RateBounds) -> bool:
    """Tell whether a phase beside the slowest is as fast as the points can show: the limit chose its area.

    Parameters
    ----------
    curve : TimeActivityCurve
    fit : ExponentialSum
    bounds : RateBounds

    Returns
    -------
    bool
        False for one exponential, and for a phase without amplitude.
    """
    components = fit.rate_per_s.size
    _, fastest = component_bounds(bounds, curve.time_s, 1.0, components)
    at_limit = fit.rate_per_s >= fastest * (1.0 - LIMIT_MARGIN)
    present = np.abs(fit.amplitude_bq) > PRESENT * np.abs(fit.amplitude_bq).max()
    return bool((at_limit & present)[1:].any())


def _warnings(
    curve: TimeActivityCurve,
    fit: ExponentialSum,
    first: int,
    half_life_range_h: tuple[float, float] | None,
    bounds: RateBounds,
) -> tuple[str, ...]:
    # Two points count only where they are at least 48 h apart (clinical specification 3.2).
    fitted = fit.values(curve.time_s[first:])
    residual = np.abs(curve.activity_bq[first:] - fitted)
    half_life_h = math.log(2.0) / float(fit.rate_per_s[0]) / SECONDS_PER_HOUR
    shortest, longest = half_life_range_h or (0.0, math.inf)
    points, span_s = curve.time_s.size, float(curve.time_s[-1] - curve.time_s[0])
    facts = {
        "RESIDUAL_ABOVE_15_PERCENT": bool((residual > RESIDUAL_WARNING * fitted).any()),
        "HALF_LIFE_OUTSIDE_RANGE": not shortest <= half_life_h <= longest,
        "NO_POINT_AFTER_48_H": float(curve.time_s[-1]) < LATE_ENOUGH_S,
        "TWO_POINTS_WITHIN_48_H": points == 2 and span_s < LATE_ENOUGH_S,
        "RISING_AT_THE_END": points > 1 and float(curve.activity_bq[-1]) > float(curve.activity_bq[-2]),
        "FIT_NOT_CONVERGED": not fit.converged,
        "FAST_PHASE_AT_LIMIT": fast_phase_at_limit(curve, fit, bounds),
    }
    return tuple(code for code, holds in facts.items() if holds)
