"""What cycles that reuse one half-life have in common: its error, which therefore adds linearly over them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.physics.single_scan import BETWEEN_CYCLES_LOG_SIGMA

if TYPE_CHECKING:
    from pipeline.domain.kinetics import TiaEstimate


def shared_fraction(log_sigma: float) -> float:
    """Return the part of a reused half-life's variance (of its logarithm) that all cycles reusing it share.

    A later cycle differs from the one whose half-life it takes by d_later - d_earlier, two deviations of equal size
    from the patient's own half-life: half of that variance, the earlier cycle's, and the error of the earlier fit (or
    the spread of the population) are the same in every later cycle.

    Parameters
    ----------
    log_sigma : float
        Of the half-life as it was used, the change between cycles included.

    Returns
    -------
    float
        0 to 1.
    """
    if log_sigma <= 0.0:
        return 0.0
    return max(0.0, 1.0 - 0.5 * (BETWEEN_CYCLES_LOG_SIGMA / log_sigma) ** 2)


def shared_fit_relative_sigma(estimate: TiaEstimate) -> float:
    """Return the part of the TIA's relative sigma that comes from a half-life shared with other cycles.

    Parameters
    ----------
    estimate : TiaEstimate
        ``assumed_fraction`` of its variance was not told by its own scans.

    Returns
    -------
    float
        0 for a curve whose own points told its half-life.
    """
    if estimate.assumed_fraction <= 0.0 or estimate.tia_bq_s <= 0.0 or estimate.effective_half_life_s <= 0.0:
        return 0.0
    log_sigma = estimate.effective_half_life_sigma_s / estimate.effective_half_life_s
    share = estimate.assumed_fraction * shared_fraction(log_sigma)
    return estimate.tia_sigma_bq_s / estimate.tia_bq_s * math.sqrt(share)
