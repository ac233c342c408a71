"""Area under exp(-rate t) by the head and tail rules, for many rates at once, and how it goes with the rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.kinetics import HeadRule, TailRule

# Relative step of a central difference in double precision: its error is some 1e-11.
STEP = 1e-5
HEAD_SHARE = {"constant": 1.0, "ramp": 0.5}


def area_under_unit(
    rate: NDArray[np.float64], times: Sequence[float], head_rule: HeadRule, tail_rule: TailRule, slowest: float
) -> NDArray[np.float64]:
    """Return the area under exp(-rate t) from 0 on; 1/rate where both ends follow the fit.

    Parameters
    ----------
    rate : ndarray
        Per unit of the times.
    times : sequence of float
    head_rule, tail_rule : str
        As for :func:`pipeline.physics.kinetics.curve_fit.fit_curve`.
    slowest : float
        Rate of the physical decay.
    """
    if head_rule == "extrapolate" and tail_rule == "fitted":
        return 1.0 / rate
    first, last = (np.exp(-rate * times[0]), np.exp(-rate * times[-1]))
    head = (1.0 - first) / rate if head_rule == "extrapolate" else HEAD_SHARE[head_rule] * times[0] * first
    tail = last / (slowest if tail_rule == "physical" else rate)
    return np.asarray(head + (first - last) / rate + tail)


def log_area_slope(
    rate: NDArray[np.float64], times: Sequence[float], head_rule: HeadRule, tail_rule: TailRule, slowest: float
) -> NDArray[np.float64]:
    """Return d ln(area) / d rate of :func:`area_under_unit`."""
    if head_rule == "extrapolate" and tail_rule == "fitted":
        return -1.0 / rate
    above, below = (
        np.log(area_under_unit(rate * factor, times, head_rule, tail_rule, slowest))
        for factor in (1.0 + STEP, 1.0 - STEP)
    )
    return np.asarray((above - below) / (2.0 * STEP * rate))


def mean_time(rate: NDArray[np.float64], times: Sequence[float]) -> NDArray[np.float64]:
    """Return the mean of the times, weighted with exp(-rate t)."""
    decays = [np.exp(-rate * (time - times[0])) for time in times]
    return np.asarray(sum(d * t for d, t in zip(decays, times, strict=True)) / sum(decays))
