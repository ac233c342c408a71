"""How a patient's half-life varies between cycles, stated once for all methods, and what cycles reusing one share.

ln T of a cycle is normal about ln T of the patient with sigma omega, the patient's own, half-normal over patients. What
reusing cycles share of a half-life's error adds linearly over them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.domain.kinetics import TiaEstimate

# Scale of omega, and so its root mean square. Project choice, at the upper end of what two figures imply: with the
# first cycle's half-life in later cycles, kidney doses were off by 2 % on average from 24 h scans and by 13 % from 4 h
# scans (abstract of EJNMMI Phys 2018, doi 10.1186/s40658-018-0232-9): 3 and 14 % of half-life between two cycles, which
# is 2 and 10 % of each about the patient's own.
BETWEEN_CYCLES_LOG_SIGMA = 0.10
# Root mean square difference of two cycles, which both deviate. Used as the sigma of a normal distribution: the exact
# one is a mixture of normals over omega, which changes coverage by 0.6 points at most (docs/validation.md).
TWO_CYCLES_LOG_SIGMA = math.sqrt(2.0) * BETWEEN_CYCLES_LOG_SIGMA


def shared_fraction(log_sigma: float) -> float:
    """Return the part of a reused half-life's variance (of its logarithm) that all cycles reusing it share.

    A later cycle deviates from the patient's own half-life by itself, with the variance of one cycle. All else is the
    same in every later cycle: the deviation of the earlier cycle whose half-life they take and the error of its fit, or
    the spread of the population.

    Parameters
    ----------
    log_sigma : float
        Of the half-life as it is used, the later cycle's own deviation included.

    Returns
    -------
    float
        0 to 1.
    """
    if log_sigma <= 0.0:
        return 0.0
    return max(0.0, 1.0 - (BETWEEN_CYCLES_LOG_SIGMA / log_sigma) ** 2)


def shared_fit_relative_sigma(estimate: TiaEstimate) -> float:
    """Return the part of the TIA's relative sigma that comes from a half-life shared with other cycles.

    Parameters
    ----------
    estimate : TiaEstimate
        ``assumed_fraction`` of its variance was not told by its own scans, and ``shared_half_life_fraction`` of that is
        the same in other cycles.

    Returns
    -------
    float
        0 for a curve whose own points told its half-life.
    """
    if estimate.tia_bq_s <= 0.0:
        return 0.0
    share = estimate.assumed_fraction * estimate.shared_half_life_fraction
    return estimate.tia_sigma_bq_s / estimate.tia_bq_s * math.sqrt(share)


def filed_shared_fraction(fit: float, fit_shared: float, assumed_fraction: float) -> float:
    """Return the shared part of a reused half-life's variance from a filed budget, the inverse of the above.

    Parameters
    ----------
    fit, fit_shared : float
        Relative sigmas of the budget.
    assumed_fraction : float
        Of the estimate.

    Returns
    -------
    float
        0 to 1; 0 where nothing was reused.
    """
    if fit <= 0.0 or assumed_fraction <= 0.0:
        return 0.0
    return min(1.0, (fit_shared / fit) ** 2 / assumed_fraction)
