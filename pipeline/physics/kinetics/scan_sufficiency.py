"""Whether one scan is enough for a later cycle, and which scan is missing where it is not.

Clinical specification 3.2 (4), "24 h scan only": a full cycle within the last three, creatinine changed by less than
25 %, no new hydronephrosis, tumour volume not changed extremely, and a previous fit that passed; else a full series.
Project choices of the specification; what is extreme, and how old creatinine may be, is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import require
from pipeline.units import PERCENT, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

WITHIN_CYCLES = 3
CREATININE_CHANGE = 0.25
# Half or twice. Project choice.
TUMOUR_VOLUME_RATIO = (0.5, 2.0)
# Days: creatinine counts as that of an administration up to this long before it (S-08 of the specification: samples at
# most 14 days old), and as that of the full cycle up to as long after it. Project choice.
CREATININE_DAYS = 14
# Accepted windows of a full cycle's scans (clinical specification 3.2).
WINDOWS_H = ((18.0, 30.0), (72.0, 120.0), (144.0, 192.0))
# The specification allows "24 h scan only": the figure behind it (2 % off with the patient's own half-life, 13 % from a
# scan at 4 h; section 3.1) is of 24 h scans. A later scan is less sensitive to the half-life, but not provided for.
ONE_SCAN_WINDOW_H = WINDOWS_H[0]


@dataclass(frozen=True)
class SingleScanFacts:
    """What the conditions are judged by; None: not known, which does not meet a condition.

    Attributes
    ----------
    cycles_since_full : int or None
        1: the cycle before had two scans or more.
    creatinine_ratio : float or None
        Now over then.
    creatinine_missing : str
        Which value is missing, in words, where there is no ratio.
    new_hydronephrosis : bool or None
    tumour_volume_ratio : float or None
        Of all lesions, now over then; 1 where there are none.
    failed_fits : tuple of str
        Regions of the full cycle that no dose can do without and whose half-life may not be reused, with the reason.
    unsigned : tuple of str
        Earlier full cycles that do not count because no physicist signed their doses.
    """

    cycles_since_full: int | None
    creatinine_ratio: float | None
    new_hydronephrosis: bool | None
    tumour_volume_ratio: float | None
    failed_fits: tuple[str, ...] = ()
    creatinine_missing: str = ""
    unsigned: tuple[str, ...] = ()


def unmet_conditions(facts: SingleScanFacts) -> tuple[str, ...]:
    """Return the conditions that do not hold, each in words.

    Parameters
    ----------
    facts : SingleScanFacts

    Returns
    -------
    tuple of str
    """
    unsigned = f" ({', '.join(facts.unsigned)}: no physicist signed the doses)" if facts.unsigned else ""
    if facts.cycles_since_full is None:
        return (f"no signed earlier cycle with two scans or more on record{unsigned}",)
    texts = (
        _of_cycles(facts.cycles_since_full, unsigned),
        _of_creatinine(facts.creatinine_ratio, facts.creatinine_missing),
        _of_hydronephrosis(facts.new_hydronephrosis),
        _of_volume(facts.tumour_volume_ratio),
        f"no half-life to reuse of {'; '.join(facts.failed_fits)}" if facts.failed_fits else "",
    )
    return tuple(text for text in texts if text)


def _of_cycles(cycles: int, unsigned: str) -> str:
    return f"the last full cycle is {cycles} cycles ago{unsigned}" if cycles > WITHIN_CYCLES else ""


def _of_creatinine(ratio: float | None, missing: str) -> str:
    if ratio is None:
        return missing or "creatinine of then or now is not on record"
    # Ratios are compared as both fall and rise by a quarter.
    changed = not 1.0 - CREATININE_CHANGE < ratio < 1.0 + CREATININE_CHANGE
    return f"creatinine changed by {(ratio - 1.0) * PERCENT:+.0f} %" if changed else ""


def _of_hydronephrosis(found: bool | None) -> str:
    if found is None:
        return "new_hydronephrosis is not stated in [extras] of the cycle form"
    return "new hydronephrosis" if found else ""


def _of_volume(ratio: float | None) -> str:
    if ratio is None:
        return "tumour volume of then is not on record"
    low, high = TUMOUR_VOLUME_RATIO
    return "" if low <= ratio <= high else f"tumour volume is {ratio:.2f} times that of then"


def missing_scans(delay_s: float) -> str:
    """Return which scans of a full series a cycle with one scan lacks, in words.

    Parameters
    ----------
    delay_s : float
        Of the scan there is.

    Returns
    -------
    str
    """
    hours = delay_s / SECONDS_PER_HOUR
    lacking = [f"{low:.0f}-{high:.0f} h" for low, high in WINDOWS_H if not low <= hours <= high]
    return " and ".join(lacking)


def require_one_scan_suffices(facts: SingleScanFacts, delay_s: float) -> None:
    """Refuse a cycle of one scan unless every condition holds.

    Parameters
    ----------
    facts : SingleScanFacts
    delay_s : float
        Of the scan after the administration.

    Raises
    ------
    RefusalError
        ``SINGLE_SCAN_INSUFFICIENT`` with the conditions that do not hold and the scans that are missing.
    """
    hours = delay_s / SECONDS_PER_HOUR
    first, last = ONE_SCAN_WINDOW_H
    off = () if first <= hours <= last else (f"a scan at {hours:.1f} h, not within {first:.0f}-{last:.0f} h",)
    unmet: Sequence[str] = (*off, *unmet_conditions(facts))
    require(
        not unmet,
        "SINGLE_SCAN_INSUFFICIENT",
        found="one scan, and " + "; ".join(unmet),
        needed=f"a second scan, {missing_scans(delay_s)} after the administration",
        do="scan again and process the cycle with all its scans, or put on record what is missing",
        where="time points",
    )
