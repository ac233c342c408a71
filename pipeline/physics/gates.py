"""Gates: what a cycle's own data contradict, whatever the literature says.

A plausibility range asks whether a number has been seen before; a gate asks whether two facts that were recorded apart
can both be true. Limits without a citation are project choices; ``docs/faults.md`` shows what they catch and what not.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pipeline.domain.dose import Flag
from pipeline.units import BQ_PER_MBQ, PERCENT, SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE

if TYPE_CHECKING:
    from collections.abc import Sequence

# Planar sensitivity and SPECT factor of one camera: geometry moves the factor by up to 20 % (clinical specification
# 3.5), the rest is room for the reconstruction. A factor per head instead of both heads is 2.
SENSITIVITY_AGREEMENT: Final = 0.30
# The CT directly precedes or follows the SPECT on one table.
SESSION_SLACK_S: Final = 15.0 * SECONDS_PER_MINUTE
# Start of the infusion as the form and as the image header have it: minutes apart where both are typed.
START_WARN_S: Final = 10.0 * SECONDS_PER_MINUTE
START_BLOCK_S: Final = 30.0 * SECONDS_PER_MINUTE
# Clinical specification 5: scan time against plan, +-6 h.
SCAN_WITHIN_PLAN_S: Final = 6.0 * SECONDS_PER_HOUR
# Activity left of the dose in the field may not rise: nothing is administered between two scans. Two images of one
# camera agree to 3 % (noise of the sum, position); the rest is room for a table position that differs.
FIELD_RISE: Final = 0.15
# Two regions that fall no faster than decay: one may be a tumour that keeps everything, two are the clock or the
# decay correction (effective half-lives of tumours 60-110 h, of organs 45-80 h; clinical specification 5).
REGIONS_WITHOUT_WASHOUT: Final = 2
# Half the breadth of nearly every trunk stays below; further out lie arms, and fat that takes nothing up.
ARM_MM: Final = 200.0
ARM_WARN: Final = 0.03
ARM_BLOCK: Final = 0.10
# Blood in the aorta on the image against blood in the tube: 0.66 to 0.99 at 24 h, drift 0.63 to 1.1, on phantoms with
# blur and noise (the aorta is a small cold region beside hot ones).
BLOOD_WARN: Final = 1.7
BLOOD_BLOCK: Final = 2.2
BLOOD_DRIFT: Final = 2.2
# Width of the image's edges over that of the site's recovery curve: 0.93 to 0.96 on phantoms with blur and noise.
SHARPER_BLOCK: Final = 0.7
WIDER_WARN: Final = 1.35


def sensitivity_per_head(factor_bq_s_per_count: float) -> float:
    """Return the sensitivity of one head (counts/s per MBq) that a calibration factor says."""
    return BQ_PER_MBQ / factor_bq_s_per_count


def sensitivities_agree(factor_bq_s_per_count: float, sensitivity_cps_per_mbq: float) -> bool:
    """Tell whether a calibration factor and a planar sensitivity can be of one camera."""
    ratio = sensitivity_per_head(factor_bq_s_per_count) / sensitivity_cps_per_mbq
    return 1.0 / (1.0 + SENSITIVITY_AGREEMENT) <= ratio <= 1.0 + SENSITIVITY_AGREEMENT


def session_clock_flags(ct_after_spect_s: float, acquisition_duration_s: float, *, where: str) -> tuple[Flag, ...]:
    """Return BLOCK where the CT is neither directly before nor directly after its SPECT: two clocks disagree.

    Parameters
    ----------
    ct_after_spect_s : float
        Start of the CT less start of the SPECT.
    """
    if -SESSION_SLACK_S <= ct_after_spect_s <= acquisition_duration_s + SESSION_SLACK_S:
        return ()
    text = (
        f"{where}: the CT starts {ct_after_spect_s / SECONDS_PER_MINUTE:.0f} min after the SPECT, which lasts "
        f"{acquisition_duration_s / SECONDS_PER_MINUTE:.0f} min; one of the two clocks is off, or the CT is of "
        "another session"
    )
    return (Flag("SESSION_CLOCKS_DIFFER", "BLOCK", text),)


def administration_start_flags(header_after_form_s: float) -> tuple[Flag, ...]:
    """Return the flags of the start of the infusion in the image header against that of the cycle form."""
    off = abs(header_after_form_s)
    if off <= START_WARN_S:
        return ()
    text = (
        f"the image header has the administration {header_after_form_s / SECONDS_PER_MINUTE:+.0f} min from the cycle "
        "form's; check which clock is right"
    )
    return (Flag("ADMINISTRATION_TIME_DIFFERS", "BLOCK" if off > START_BLOCK_S else "WARN", text),)


def scan_plan_flags(
    delays_s: Sequence[float], planned_h: Sequence[float], expected: int | None = None
) -> tuple[Flag, ...]:
    """Return the flags of the scans against the site's plan.

    Parameters
    ----------
    delays_s : sequence of float
        After the administration, rising.
    planned_h : sequence of float
        The site's plan; empty where there is none.
    expected : int, optional
        Number of scans of this cycle as the cycle form has it; else that of the plan.
    """
    wanted = expected or len(planned_h)
    if len(delays_s) < wanted:
        hours = ", ".join(f"{delay / SECONDS_PER_HOUR:.0f}" for delay in delays_s)
        text = f"{len(delays_s)} of {wanted} planned scans ({hours} h after the administration); one may be lost"
        return (Flag("SCAN_MISSING", "BLOCK", text),)
    if len(delays_s) != len(planned_h):
        return ()
    return _plan_times(delays_s, planned_h)


def _plan_times(delays_s: Sequence[float], planned_h: Sequence[float]) -> tuple[Flag, ...]:
    off = [delay - hours * SECONDS_PER_HOUR for delay, hours in zip(delays_s, planned_h, strict=True)]
    days = {round(late / SECONDS_PER_DAY) for late in off}
    whole = all(abs(late - round(late / SECONDS_PER_DAY) * SECONDS_PER_DAY) <= SCAN_WITHIN_PLAN_S for late in off)
    if whole and len(days) == 1 and days != {0}:
        text = f"every scan lies {days.pop():+d} day(s) off its plan: check the date of the administration"
        return (Flag("ADMINISTRATION_DATE_DOUBTFUL", "BLOCK", text),)
    return tuple(
        Flag("SCAN_TIME_OFF_PLAN", "WARN", f"scan at {delay / SECONDS_PER_HOUR:.1f} h, planned {hours:.0f} h")
        for delay, hours, late in zip(delays_s, planned_h, off, strict=True)
        if abs(late) > SCAN_WITHIN_PLAN_S
    )


def field_activity_flags(fractions_left: Sequence[float]) -> tuple[Flag, ...]:
    """Return BLOCK where the field holds a growing part of what can be left of the dose.

    Parameters
    ----------
    fractions_left : sequence of float
        Activity in the field over the administered activity after decay, one per scan.
    """
    highest_rise = max((later / earlier - 1.0 for earlier, later in pairwise(fractions_left)), default=0.0)
    if highest_rise <= FIELD_RISE:
        return ()
    parts = ", ".join(f"{PERCENT * fraction:.1f}" for fraction in fractions_left)
    text = (
        f"{parts} % of the decayed administered activity in the field of the scans: it cannot grow; check clocks, "
        "decay reference, calibration and fields of view"
    )
    return (Flag("FIELD_ACTIVITY_RISES", "BLOCK", text),)


def washout_flags(without_washout: Sequence[str]) -> tuple[Flag, ...]:
    """Return BLOCK where several regions fall no faster than physical decay (their keys are given)."""
    if len(without_washout) < REGIONS_WITHOUT_WASHOUT:
        return ()
    text = (
        f"{', '.join(without_washout)} fall no faster than physical decay: check the camera's decay_reference (values "
        "may be corrected to the administration) and the scan times"
    )
    return (Flag("DECAY_REFERENCE_DOUBTFUL", "BLOCK", text),)


def arm_flags(fraction: float) -> tuple[Flag, ...]:
    """Return the flags of the part of the field's activity further than an arm's distance from the midline."""
    if fraction <= ARM_WARN:
        return ()
    text = (
        f"{PERCENT * fraction:.0f} % of the field's activity lies more than {ARM_MM:.0f} mm beside the midline, where "
        "an arm lies: check the injection site; what stayed there never reached the organs"
    )
    return (Flag("ACTIVITY_IN_ARM", "BLOCK" if fraction > ARM_BLOCK else "WARN", text),)


def blood_pool_flags(image_to_sample: Sequence[float]) -> tuple[Flag, ...]:
    """Return the flags of the aorta's concentration on the image over that of the blood samples, one per scan.

    The samples are measured in a counter that knows nothing of the camera: a level other than 1 doubts the camera's
    calibration (or the counter's), a drift between the scans the times or the decay correction.
    """
    level, drift = image_to_sample[0], image_to_sample[-1] / image_to_sample[0]
    worst = max(level, 1.0 / level)
    ratios = ", ".join(f"{ratio:.2f}" for ratio in image_to_sample)
    flags = []
    if worst > BLOOD_WARN:
        text = (
            f"blood in the aorta on the image over blood samples: {ratios}; check the calibration of camera and counter"
        )
        flags.append(Flag("BLOOD_LEVEL_DIFFERS", "BLOCK" if worst > BLOOD_BLOCK else "WARN", text, "aorta"))
    if max(drift, 1.0 / drift) > BLOOD_DRIFT:
        text = f"aorta on the image over blood samples: {ratios}; check scan times and decay reference"
        flags.append(Flag("BLOOD_DRIFTS", "BLOCK", text, "aorta"))
    return tuple(flags)


def sharpness_flags(image_fwhm_mm: float, curve_fwhm_mm: float) -> tuple[Flag, ...]:
    """Return the flags of the width found at the organs' edges against that of the site's recovery curve."""
    ratio = image_fwhm_mm / curve_fwhm_mm
    if SHARPER_BLOCK <= ratio <= WIDER_WARN:
        return ()
    sharper = ratio < SHARPER_BLOCK
    doubt = (
        "the image may be corrected for recovery already, which would correct it twice"
        if sharper
        else "motion, contours that do not fit, or a recovery curve of another reconstruction"
    )
    text = (
        f"edges of kidneys and spleen are blurred by {image_fwhm_mm:.1f} mm, the site's recovery curve means "
        f"{curve_fwhm_mm:.1f} mm: {doubt}"
    )
    return (Flag("RECOVERY_DOUBTFUL", "BLOCK" if sharper else "WARN", text),)
