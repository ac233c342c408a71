"""What the rows of the decision table look at, derived once from a patient's course."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pipeline.rules.counts import CountReading, add_months, has_timed_out, readings_since_last_cycle, timeout_anchor
from pipeline.rules.dose_account import DoseAccount, kidney_account, marrow_account

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from pipeline.domain.decision import Outcome, PatientCourse
    from pipeline.rules.limits import ProtocolLimits


@dataclass(frozen=True)
class Situation:
    """One decision's view of a course: doses against limits, counts since the last cycle, days."""

    course: PatientCourse
    limits: ProtocolLimits
    kidney: DoseAccount
    marrow: DoseAccount
    readings: tuple[CountReading, ...]
    gap_days: int | None
    earliest_date: date | None
    deadline: date | None
    timed_out: bool

    @property
    def latest(self) -> CountReading | None:
        """The reading of the latest day with a panel."""
        return self.readings[-1] if self.readings else None

    @property
    def given(self) -> int:
        """Number of cycles given."""
        return len(self.course.cycles)


@dataclass(frozen=True)
class Finding:
    """What a row found: code, level and one sentence."""

    code: str
    level: Outcome
    text: str


@dataclass(frozen=True)
class Row:
    """One row of the decision table: its number, its test and where it comes from."""

    number: int
    test: Callable[[Situation], tuple[Finding, ...]]
    source: str
    overridable_by: str


def derive(course: PatientCourse, limits: ProtocolLimits) -> Situation:
    """Derive the situation; the last cycle is the last one listed (wrong order is row 3)."""
    last = course.cycles[-1].given_on if course.cycles else None
    readings = readings_since_last_cycle(course, limits)
    anchor = timeout_anchor(course, readings)
    deadline = add_months(anchor, limits.timeout_months) if anchor else None
    return Situation(
        course=course,
        limits=limits,
        kidney=kidney_account(course, limits),
        marrow=marrow_account(course, limits),
        readings=readings,
        gap_days=(course.decided_on - last).days if last else None,
        earliest_date=last + timedelta(days=limits.interval_min_days) if last else None,
        deadline=deadline,
        timed_out=has_timed_out(course.decided_on, readings, deadline),
    )
