"""Time-integrated activity from one time point; each form is refused where it does not hold."""

from __future__ import annotations

import math

from pipeline.errors import require

# Below 0.75 effective half-lives the form of 2018 underestimates by more than 11 % (clinical specification 3.4).
EARLIEST_HALF_LIVES = 0.75


def haenscheid_2018_tia(activity_bq: float, time_s: float, *, expected_half_life_s: float) -> float:
    """Return the TIA from one late point without knowing the half-life: A(t) 2 t / ln 2.

    Haenscheid et al., J Nucl Med 2018;59:75. For a true mono-exponential the ratio to the exact TIA is 2 x 2^-x with
    x = t/T_eff: within -11 and +6 % for 0.75 to 2.5 half-lives.

    Parameters
    ----------
    activity_bq : float
        Activity (or concentration) at ``time_s``.
    time_s : float
        After the start of the administration.
    expected_half_life_s : float
        Effective half-life expected of the region; guards the use only.

    Returns
    -------
    float
        Bq s (unit of ``activity_bq`` times s).

    Raises
    ------
    RefusalError
        ``SINGLE_POINT_TOO_EARLY`` before 0.75 expected half-lives.
    """
    require(
        time_s >= EARLIEST_HALF_LIVES * expected_half_life_s,
        "SINGLE_POINT_TOO_EARLY",
        found=f"a point at {time_s:.0f} s for an expected effective half-life of {expected_half_life_s:.0f} s",
        needed=f"a point at {EARLIEST_HALF_LIVES * expected_half_life_s:.0f} s or later",
        do="scan later, or use the patient's own half-life from an earlier cycle",
        where="curve",
    )
    return activity_bq * 2.0 * time_s / math.log(2.0)


def haenscheid_2018_ratio(time_s: float, effective_half_life_s: float) -> float:
    """Return the ratio of the 2018 form to the exact TIA of a mono-exponential, 2 x 2^-x with x = t/T_eff."""
    x = time_s / effective_half_life_s
    return float(2.0 * x * 2.0**-x)


def madsen_2018_tia(activity_bq: float, time_s: float, half_life_s: float) -> float:
    """Return the TIA from one point and a half-life known beforehand: A(t) exp(k t)/k.

    Madsen et al., Med Phys 2018;45:2318; the form of Haenscheid et al. 2017 with known T_eff is the same.

    Parameters
    ----------
    activity_bq, time_s : float
    half_life_s : float
        Effective half-life of the population, or of the patient's earlier cycle.

    Returns
    -------
    float
        Bq s (unit of ``activity_bq`` times s).
    """
    rate = math.log(2.0) / half_life_s
    return activity_bq * math.exp(rate * time_s) / rate


def prior_relative_sigma(time_s: float, half_life_s: float, half_life_relative_sigma: float) -> float:
    """Return the relative error that a reused half-life gives the TIA of one point, |t ln2/T - 1| u(T)/T.

    Derivative of Madsen's form (clinical specification 3.7); it vanishes at t = T/ln 2.

    Parameters
    ----------
    time_s, half_life_s, half_life_relative_sigma : float

    Returns
    -------
    float
    """
    return abs(time_s * math.log(2.0) / half_life_s - 1.0) * half_life_relative_sigma
