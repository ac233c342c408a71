"""Calibration factor of a camera from phantoms of known activity, with its uncertainty and its plausibility."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.errors import require
from pipeline.physics.plausible_range import PlausibleRange
from pipeline.units import BQ_PER_MBQ, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.therapy import DecayReference

# Counts/s per MBq and head: clinical specification section 5, from published planar sensitivities of 177Lu at 208 keV.
SENSITIVITY_CPS_PER_MBQ: Final = {"ge-me": (4.5, 5.5), "siemens-me": (9.0, 9.5)}
# Section 5: +-5 % and +-15 % of the site's last value.
SENSITIVITY_CHANGE: Final = PlausibleRange((0.95, 1.05), (0.85, 1.15), "clinical specification section 5")
SIGMAS: Final = 2.0
# A scan's own uncertainty is never taken for less (rounding of stored values; project choice).
LEAST_RELATIVE_SIGMA: Final = 1e-4
# Two geometries of one camera that differ by more are worth a look (project choice); sphere against cylinder factors
# changed kidneys by up to 20 % (clinical specification 3.5).
GEOMETRIES_DIFFER: Final = 0.05
# Section 6.4: two scans of one phantom this far apart settle what the stored values refer to.
DECAY_TEST_APART_S: Final = 48.0 * SECONDS_PER_HOUR
# Deviation from the expected decay (as a share of it) that is still agreement; beyond half it is the other convention.
DECAY_AGREES, DECAY_CONTRADICTS = 0.1, 0.5


@dataclass(frozen=True)
class ScanFactor:
    """What one scan of a phantom says about the factor.

    Attributes
    ----------
    series_uid, phantom, kind : str
    known_bq : float
        At the start of the acquisition.
    signal_per_s : float
        Total of the phantom then: counts/s, or Bq for an image in Bq/mL.
    counting_relative_sigma, voi_relative_sigma : float
        Noise of the image; what the choice of the volume changes.
    """

    series_uid: str
    phantom: str
    kind: str
    known_bq: float
    signal_per_s: float
    counting_relative_sigma: float
    voi_relative_sigma: float

    @property
    def factor(self) -> float:
        """Bq s per count (Bq per Bq for an image in Bq/mL)."""
        return self.known_bq / self.signal_per_s

    @property
    def relative_sigma(self) -> float:
        """Of this scan alone, without what all scans share."""
        return max(math.hypot(self.counting_relative_sigma, self.voi_relative_sigma), LEAST_RELATIVE_SIGMA)


@dataclass(frozen=True)
class CalibrationFactor:
    """The factor of a camera.

    Attributes
    ----------
    value : float
        Bq s per count, or known over measured activity for an image in Bq/mL.
    relative_sigma : float
        Dose calibrator and scans in quadrature.
    dose_calibrator_relative_sigma, scans_relative_sigma : float
        The first is common to all scans and does not shrink with their number.
    scatter : float
        Reduced chi-square of the scans about their mean; nan for one scan.
    residual : tuple of float
        Factor of each scan over the mean, less 1.
    """

    value: float
    relative_sigma: float
    dose_calibrator_relative_sigma: float
    scans_relative_sigma: float
    scatter: float
    residual: tuple[float, ...]


def combined_factor(scans: Sequence[ScanFactor], dose_calibrator_relative_sigma: float) -> CalibrationFactor:
    """Return the weighted mean of the scans' factors.

    Scatter beyond the scans' own sigmas widens the uncertainty (Birge); less scatter never narrows it.

    Parameters
    ----------
    scans : sequence of ScanFactor
        One or more.
    dose_calibrator_relative_sigma : float
    """
    factors = np.array([scan.factor for scan in scans])
    weights = np.array([(scan.relative_sigma * scan.factor) ** -2.0 for scan in scans])
    mean = float(np.average(factors, weights=weights))
    own = float(weights.sum() ** -0.5) / mean
    scatter = float(np.sum(weights * (factors - mean) ** 2)) / (len(scans) - 1) if len(scans) > 1 else math.nan
    widened = own * math.sqrt(max(scatter, 1.0)) if len(scans) > 1 else own
    return CalibrationFactor(
        value=mean,
        relative_sigma=math.hypot(dose_calibrator_relative_sigma, widened),
        dose_calibrator_relative_sigma=dose_calibrator_relative_sigma,
        scans_relative_sigma=widened,
        scatter=scatter,
        residual=tuple(float(factor / mean - 1.0) for factor in factors),
    )


def sensitivity_cps_per_mbq(factor_bq_s_per_count: float) -> float:
    """Return the counts per second and MBq of one head.

    Every projection is one head's image of one frame duration, so counts over (frame duration x projections of all
    heads) is the mean rate of one head.
    """
    return BQ_PER_MBQ / factor_bq_s_per_count


def sensitivity_flags(
    factor: CalibrationFactor, collimator: str, previous_factor_bq_s_per_count: float | None
) -> tuple[Flag, ...]:
    """Return what is unusual about the sensitivity: against the literature, and against the site's last value.

    Parameters
    ----------
    factor : CalibrationFactor
        In Bq s per count.
    collimator : str
        A key of :data:`SENSITIVITY_CPS_PER_MBQ`; for another one nothing is compared.
    previous_factor_bq_s_per_count : float or None
    """
    return (
        *_against_literature(factor, collimator),
        *_against_previous(factor.value, previous_factor_bq_s_per_count),
    )


def _against_literature(factor: CalibrationFactor, collimator: str) -> tuple[Flag, ...]:
    sensitivity = sensitivity_cps_per_mbq(factor.value)
    if collimator not in SENSITIVITY_CPS_PER_MBQ:
        text = f"{sensitivity:.3g} counts/s per MBq and head; no published range is known for this collimator"
        return (Flag("SENSITIVITY_NOT_COMPARED", "INFO", text),)
    low, high = SENSITIVITY_CPS_PER_MBQ[collimator]
    slack = SIGMAS * factor.relative_sigma * sensitivity
    if low - slack <= sensitivity <= high + slack:
        return ()
    text = f"{sensitivity:.3g} counts/s per MBq and head; published for {collimator}: {low:g} to {high:g}"
    return (Flag("SENSITIVITY_UNUSUAL", "WARN", text),)


def _against_previous(factor: float, previous: float | None) -> tuple[Flag, ...]:
    if previous is None:
        return ()
    ratio = previous / factor
    level = SENSITIVITY_CHANGE.level(ratio)
    text = f"sensitivity is {ratio:.3f} of the last calibration's (WARN beyond 5 %, BLOCK beyond 15 %)"
    return () if level is None else (Flag("SENSITIVITY_CHANGED", level, text),)


def geometry_flags(factors: dict[str, CalibrationFactor]) -> tuple[Flag, ...]:
    """Return a flag where the factors of two kinds of phantom differ by more than 5 % and three sigma of the scans."""
    if len(factors) < 2:
        return ()
    (one, first), (other, second) = sorted(factors.items())[:2]
    difference = second.value / first.value - 1.0
    if abs(difference) <= max(
        GEOMETRIES_DIFFER, 3.0 * math.hypot(first.scans_relative_sigma, second.scans_relative_sigma)
    ):
        return ()
    text = (
        f"the factor of {other} differs from that of {one} by {difference:+.1%}; recovery holds for its own factor only"
    )
    return (Flag("FACTOR_GEOMETRIES_DIFFER", "WARN", text),)


def scale_flags(known_over_measured: float) -> tuple[Flag, ...]:
    """Return a flag where an image in Bq/mL holds another activity than the phantom (5 % WARN, 15 % BLOCK)."""
    level = SENSITIVITY_CHANGE.level(known_over_measured)
    text = (
        f"the image holds {1.0 / known_over_measured:.3f} of the known activity; a Bq/mL image has no factor to correct"
    )
    return () if level is None else (Flag("ACTIVITY_SCALE_OFF", level, text),)


@dataclass(frozen=True)
class DecayTest:
    """Two scans of one phantom: what the stored values refer to.

    ``followed`` is the share of the physical decay between the scans that the stored totals show: 1 where nothing was
    corrected between scans, 0 where both refer to one moment.
    """

    phantom: str
    apart_s: float
    total_ratio: float
    followed: float
    expected: float


def decay_test(
    phantom: str, apart_s: float, total_ratio: float, nuclide: Radionuclide, reference: DecayReference
) -> DecayTest:
    """Test the stated decay reference with two scans of one phantom (clinical specification 6.4).

    Parameters
    ----------
    phantom : str
    apart_s : float
        48 h or more.
    total_ratio : float
        Stored total of the later scan over that of the earlier one, dead time removed.
    nuclide : Radionuclide
    reference : str
        As stated.

    Raises
    ------
    RefusalError
        ``DECAY_REFERENCE_CONTRADICTORY`` where the totals follow the other convention.
    """
    followed = -math.log(total_ratio) / (nuclide.decay_constant_per_s * apart_s)
    expected = 0.0 if reference == "administration" else 1.0
    require(
        abs(followed - expected) <= DECAY_CONTRADICTS,
        "DECAY_REFERENCE_CONTRADICTORY",
        found=f"{followed:.0%} of the decay between two scans of {phantom}, with decay_reference = {reference}",
        needed='"administration" where stored totals stay the same, else "none" or "acquisition_start"',
        do="correct decay_reference, or check that both scans are of the same filling",
        where=phantom,
    )
    return DecayTest(phantom, apart_s, total_ratio, followed, expected)


def decay_flags(test: DecayTest | None) -> tuple[Flag, ...]:
    """Return what the decay test leaves open."""
    if test is None:
        text = "no phantom was scanned twice 48 h or more apart, so decay_reference is as stated, not tested"
        return (Flag("DECAY_REFERENCE_UNTESTED", "INFO", text),)
    if abs(test.followed - test.expected) <= DECAY_AGREES:
        return ()
    text = f"{test.followed:.0%} of the decay between two scans of {test.phantom}, expected {test.expected:.0%}"
    return (Flag("DECAY_REFERENCE_DOUBTFUL", "WARN", text),)
