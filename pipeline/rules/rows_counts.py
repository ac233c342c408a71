"""Rows 18 to 22 of the decision table: blood counts before every cycle, the first included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.rules.counts import REASON_CODES
from pipeline.rules.situation import Finding, Row

if TYPE_CHECKING:
    from pipeline.rules.situation import Situation

SEED: Final = "Fröss-Baron et al., Neuroendocrinology 2021;111:330-343"


def blood_recovery_timeout(situation: Situation) -> tuple[Finding, ...]:
    """Row 18: counts failed, none passed on or before the deadline, and the deadline has gone by."""
    if not situation.timed_out:
        return ()
    text = f"counts were not met by {situation.deadline}"
    return (Finding("BLOOD_RECOVERY_TIMEOUT", "STOP", text),)


def labs_missing(situation: Situation) -> tuple[Finding, ...]:
    """Row 19: no sample since the last cycle; after the deadline a person must look."""
    if situation.readings:
        return ()
    missing = Finding("LABS_MISSING", "WAIT", "no blood sample since the last cycle")
    if situation.deadline is None or situation.course.decided_on <= situation.deadline:
        return (missing,)
    text = f"no blood sample since the last cycle, deadline {situation.deadline} passed"
    return (Finding("LABS_MISSING_PAST_TIMEOUT", "REFER", text), missing)


def labs_incomplete(situation: Situation) -> tuple[Finding, ...]:
    """Row 20: the latest panel lacks one of the three counts."""
    latest = situation.latest
    if latest is None or not latest.missing:
        return ()
    return (Finding("LABS_INCOMPLETE", "WAIT", f"latest panel lacks {', '.join(latest.missing)}"),)


def labs_stale(situation: Situation) -> tuple[Finding, ...]:
    """Row 21: the latest panel is older than allowed."""
    latest, longest = situation.latest, situation.limits.lab_max_age_days
    if latest is None:
        return ()
    age = (situation.course.decided_on - latest.sampled_on).days
    if age <= longest:
        return ()
    return (Finding("LABS_STALE", "WAIT", f"latest panel is {age} days old, at most {longest} allowed"),)


def counts_not_met(situation: Situation) -> tuple[Finding, ...]:
    """Row 22: a count at or below its limit; a physician's -30 % order removes this row and no other."""
    latest = situation.latest
    if latest is None or situation.course.flags.reduce_30_ordered:
        return ()
    pairs = zip(latest.failed, latest.below_text, strict=True)
    return tuple(Finding(REASON_CODES[name], "WAIT", text) for name, text in pairs)


COUNT_ROWS: Final = (
    Row(18, blood_recovery_timeout, f"S-09: {SEED}", "physician"),
    Row(19, labs_missing, f"S-08: {SEED}", "nobody"),
    Row(20, labs_incomplete, f"S-08: {SEED}", "nobody"),
    Row(21, labs_stale, "S-08; 14 days: project choice", "nobody"),
    Row(22, counts_not_met, f"S-08, S-10: {SEED}", "physician's -30 % order"),
)
