"""Radioactive decay between the moments a value may refer to.

Convention of the house: every activity map refers to the *start* of its acquisition, corrected with physical decay
only. A region's curve is evaluated at the *middle* of the acquisition (``at_middle``). Why both: the stored value is
the mean over the acquisition, of length T, of an activity that falls with k = physical + biological rate. The mean is
the value at the middle times (kT/2)/sinh(kT/2), so going from the mean to the start and on to the middle with the
physical rate p alone leaves the factor (pT/2)/sinh(pT/2) in place of (kT/2)/sinh(kT/2): an error of (k2 - p2) T2/24.
It is of second order (2e-6 for 30 min and 51 h), while the value at the start alone is wrong by (k - p) T/2 (0.2 %).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.therapy import DecayReference, TimePointTiming


def decay_factor(nuclide: Radionuclide, elapsed_s: float) -> float:
    """Return exp(-lambda t): activity after ``elapsed_s`` (negative: before) relative to now."""
    return math.exp(-nuclide.decay_constant_per_s * elapsed_s)


def mean_over_acquisition(nuclide: Radionuclide, duration_s: float) -> float:
    """Return the mean activity over an acquisition relative to that at its start.

    (1 - exp(-lambda T)) / (lambda T); IAEA Human Health Reports 9 (2014), decay during acquisition.
    """
    exponent = nuclide.decay_constant_per_s * duration_s
    return -math.expm1(-exponent) / exponent if exponent > 0 else 1.0


def start_factor(nuclide: Radionuclide, timing: TimePointTiming, reference: DecayReference) -> float:
    """Return the factor from a stored value to the activity at the start of the acquisition.

    Parameters
    ----------
    nuclide : Radionuclide
    timing : TimePointTiming
    reference : {"none", "acquisition_start", "administration"}
        What the stored value refers to: ``none`` is the mean over the acquisition; values that refer to the
        administration were corrected for the decay since then, which is undone here.

    Returns
    -------
    float
    """
    if reference == "none":
        return 1.0 / mean_over_acquisition(nuclide, timing.acquisition_duration_s)
    if reference == "administration":
        return decay_factor(nuclide, timing.delay_s)
    return 1.0


def to_acquisition_start(
    value: float, nuclide: Radionuclide, timing: TimePointTiming, reference: DecayReference
) -> float:
    """Return ``value`` (any unit of activity) at the start of the acquisition, physical decay only."""
    return value * start_factor(nuclide, timing, reference)


def middle_factor(nuclide: Radionuclide, acquisition_duration_s: float) -> float:
    """Return the factor from the start of an acquisition to its middle, exp(-lambda T / 2)."""
    return decay_factor(nuclide, acquisition_duration_s / 2.0)


def at_middle(activity_at_start: float, nuclide: Radionuclide, timing: TimePointTiming) -> tuple[float, float]:
    """Return (delay of the middle in s, activity then): the point of a time-activity curve.

    Parameters
    ----------
    activity_at_start : float
        From :func:`to_acquisition_start`; any unit of activity.
    nuclide : Radionuclide
    timing : TimePointTiming

    Returns
    -------
    tuple of float
        Seconds after the start of the administration, and the activity in the unit given.
    """
    return timing.middle_delay_s, activity_at_start * middle_factor(nuclide, timing.acquisition_duration_s)
