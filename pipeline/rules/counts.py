"""How blood panels are read: which one counts, what fails, what passes, when the time-out is (rows 18 to 22)."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from pipeline.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.domain.decision import BloodPanel, PatientCourse
    from pipeline.rules.limits import ProtocolLimits

COUNTS: Final = ("wbc", "granulocytes", "platelets")
REASON_CODES: Final = {"wbc": "COUNT_WBC", "granulocytes": "COUNT_GRANULOCYTES", "platelets": "COUNT_PLATELETS"}
# Granulocytes are part of the leukocytes; 5 % for two analysers (project choice). Below 3 x 10^9/L, where the gate of
# the leukocytes fails anyway, rounding and a differential of few cells count for more, and the 3 itself is compared.
GRANULOCYTES_OF_LEUKOCYTES: Final = 1.05
COMPARED_FROM_PER_NL: Final = 3.0
# Divisors to 10^9/L = 1/nL; 10^3/uL, G/L and giga/L are the same number.
DIVISORS_TO_PER_NL: Final[dict[str, float]] = {
    "10^9/l": 1.0,
    "10*9/l": 1.0,
    "10e9/l": 1.0,
    "1e9/l": 1.0,
    "x10^9/l": 1.0,
    "x10e9/l": 1.0,
    "10⁹/l": 1.0,
    "g/l": 1.0,
    "gpt/l": 1.0,
    "giga/l": 1.0,
    "/nl": 1.0,
    "1/nl": 1.0,
    "10^3/ul": 1.0,
    "10*3/ul": 1.0,
    "10e3/ul": 1.0,
    "1e3/ul": 1.0,
    "x10^3/ul": 1.0,
    "10³/ul": 1.0,
    "k/ul": 1.0,
    "thousand/ul": 1.0,
    "10^3/mm3": 1.0,
    "/ul": 1000.0,
    "1/ul": 1000.0,
    "cells/ul": 1000.0,
    "/mm3": 1000.0,
    "10^6/l": 1000.0,
    "/l": 1e9,
}


def _plain_unit(unit: str) -> str:
    plain = unit.strip().lower().replace(" ", "").replace("×", "x")
    return plain.replace("µ", "u").replace("μ", "u").replace("mm³", "mm3").replace("mm^3", "mm3")


def counts_per_nl(value: float, unit: str) -> float:
    """Convert a blood count to 10^9/L (= 1/nL).

    Raises
    ------
    RefusalError
        ``DATA_INVALID_UNIT``: the unit is not one of the known spellings; it is never guessed from the value.
    """
    divisor = DIVISORS_TO_PER_NL.get(_plain_unit(unit))
    if divisor is None:
        raise RefusalError(
            "DATA_INVALID_UNIT",
            found=f"unit {unit!r}",
            needed="10^9/L, G/L, 10^3/uL or /uL",
            do="state the unit of the blood count",
            where="labs",
        )
    return value / divisor


def exceeds_leukocytes(granulocytes_per_nl: float | None, wbc_per_nl: float | None) -> bool:
    """Tell whether granulocytes (or neutrophils) are more than the leukocytes they are part of: percent, most likely.

    A percentage passes the gate of 1.5 x 10^9/L whatever the patient's count is.
    """
    if granulocytes_per_nl is None or wbc_per_nl is None:
        return False
    return granulocytes_per_nl > GRANULOCYTES_OF_LEUKOCYTES * max(wbc_per_nl, COMPARED_FROM_PER_NL)


def add_months(day: date, months: int) -> date:
    """Add calendar months; a day that the target month lacks becomes its last one (31 Aug + 6 = 28 or 29 Feb)."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


@dataclass(frozen=True)
class CountReading:
    """All panels of one day read as one.

    The lower value counts, and a value that any of them lacks is missing: neither the order of two panels nor leaving
    a value out can turn a failed day into a passed one.
    """

    sampled_on: date
    missing: tuple[str, ...]
    failed: tuple[str, ...]
    below_text: tuple[str, ...]
    neutrophils_failed: bool

    @property
    def passes(self) -> bool:
        """Tell whether all three counts are present and strictly above their limits."""
        return not self.missing and not self.failed


def _values(panel: BloodPanel) -> dict[str, float | None]:
    return {"wbc": panel.wbc_per_nl, "granulocytes": panel.granulocytes_per_nl, "platelets": panel.platelets_per_nl}


def _limits_of_counts(limits: ProtocolLimits) -> dict[str, float]:
    return {
        "wbc": limits.wbc_above_per_nl,
        "granulocytes": limits.granulocytes_above_per_nl,
        "platelets": limits.platelets_above_per_nl,
    }


def read_day(panels: Iterable[BloodPanel], limits: ProtocolLimits) -> CountReading:
    """Read the panels of one day (at least one) against the gates.

    A value fails at or below its limit; neutrophils reported alone count as failed there too (S-08), with an advisory.
    """
    day = list(panels)
    thresholds = _limits_of_counts(limits)
    present = {name: [v for p in day if (v := _values(p)[name]) is not None] for name in COUNTS}
    failed = tuple(name for name in COUNTS if any(not v > thresholds[name] for v in present[name]))
    lowest = {name: min(present[name]) for name in failed}
    return CountReading(
        sampled_on=day[0].sampled_on,
        missing=tuple(name for name in COUNTS if len(present[name]) < len(day)),
        failed=failed,
        below_text=tuple(f"{name} {lowest[name]:g} not above {thresholds[name]:g} x 10^9/L" for name in failed),
        neutrophils_failed="granulocytes" in failed and any(p.neutrophils_only for p in day),
    )


def readings_since_last_cycle(course: PatientCourse, limits: ProtocolLimits) -> tuple[CountReading, ...]:
    """Readings by day, oldest first: after the last administration, on or before the decision day."""
    after = course.cycles[-1].given_on if course.cycles else date.min
    days: dict[date, list[BloodPanel]] = {}
    for panel in course.panels:
        if (not course.cycles or panel.sampled_on > after) and panel.sampled_on <= course.decided_on:
            days.setdefault(panel.sampled_on, []).append(panel)
    return tuple(read_day(days[day], limits) for day in sorted(days))


def timeout_anchor(course: PatientCourse, readings: tuple[CountReading, ...]) -> date | None:
    """Day the time-out counts from: the last administration, before cycle 1 the first failing screening sample."""
    if course.cycles:
        return course.cycles[-1].given_on
    return next((reading.sampled_on for reading in readings if reading.failed), None)


def has_timed_out(decided_on: date, readings: tuple[CountReading, ...], deadline: date | None) -> bool:
    """Tell whether row 18 holds: failed counts, no full pass on or before the deadline, and that day is over.

    A pass before the first failing screening sample counts too: were it not so, one more failed sample could move the
    anchor back and turn a STOP into a GIVE.
    """
    if deadline is None or decided_on <= deadline:
        return False
    failed = any(reading.failed for reading in readings)
    return failed and not any(reading.passes and reading.sampled_on <= deadline for reading in readings)
