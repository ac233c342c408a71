"""Flags of a fit at both sides of their limits: phases that the first points do not carry, fits that did not rest."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.physics.kinetics import fit_curve
from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.physics.kinetics.exponentials import ExponentialSum
from pipeline.physics.kinetics.fit_flags import fast_phase_at_limit, quality_flags

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
BOUNDS = rate_bounds(LU)
TIMES_H = (1.0, 4.0, 24.0, 72.0, 168.0)
# A twentieth left after the 3 h between the first two points.
SHORTEST_H = 3.0 / math.log2(20.0)


def summed(*components: tuple[float, float], converged: bool = True) -> ExponentialSum:
    """Sum of (amplitude, half-life in h)."""
    rates = np.array([math.log(2.0) / (t * HOUR) for _, t in components])
    amplitudes = np.array([a for a, _ in components])
    return ExponentialSum(amplitudes, rates, np.eye(2 * rates.size), converged)


def curve_of(fit: ExponentialSum, *factors: float) -> TimeActivityCurve:
    time = np.array(TIMES_H) * HOUR
    return TimeActivityCurve(time, fit.values(time) * np.array(factors or (1.0,) * time.size), None)


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        (((1e8, 60.0), (1e8, SHORTEST_H)), True),
        (((1e8, 60.0), (1e8, 1.01 * SHORTEST_H)), True),
        (((1e8, 60.0), (1e8, 1.03 * SHORTEST_H)), False),
        (((1e8, 60.0), (1e8, 8.0)), False),
        (((1e8, 60.0), (1e8, 8.0), (1e8, SHORTEST_H)), True),
        # The second phase or the third may be the one.
        (((1e8, 60.0), (1e8, SHORTEST_H), (0.0, 0.5 * SHORTEST_H)), True),
        # What has no amplitude adds no area.
        (((1e8, 60.0), (50.0, SHORTEST_H)), False),
        (((1e8, 60.0), (1e4, SHORTEST_H)), True),
        (((1e8, 60.0), (-1e8, SHORTEST_H)), True),
        (((1e8, SHORTEST_H),), False),
    ],
)
def test_a_phase_as_fast_as_the_points_can_show_is_told(
    components: tuple[tuple[float, float], ...], *, expected: bool
) -> None:
    fit = summed(*components)
    assert fast_phase_at_limit(curve_of(summed((1e8, 60.0))), fit, BOUNDS) is expected


def test_a_fit_whose_area_the_limit_chose_warns() -> None:
    # Two points 3 h apart, 30 % high and right: a phase between them that nothing else carries.
    estimate = fit_curve(curve_of(summed((1e8, 60.0)), 1.3, 1.0, 1.0, 1.0, 1.0), LU, model="bi")
    assert {"FIT_WARN", "FAST_PHASE_AT_LIMIT"} <= set(estimate.flags)
    carried = fit_curve(curve_of(summed((1e8, 60.0), (8e7, 6.0))), LU, model="bi")
    assert "FAST_PHASE_AT_LIMIT" not in carried.flags
    assert "FIT_WARN" not in carried.flags


@pytest.mark.parametrize("converged", [True, False])
def test_a_fit_that_did_not_come_to_rest_warns(*, converged: bool) -> None:
    fit = summed((1e8, 60.0), (8e7, 6.0), converged=converged)
    flags = quality_flags(curve_of(fit), fit, 0, bounds=BOUNDS, tail_rule="fitted", half_life_range_h=None)
    assert flags == (() if converged else ("FIT_WARN", "FIT_NOT_CONVERGED"))
