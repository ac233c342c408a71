"""Row 3 of the decision table: data that may not be used."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pipeline.rules.counts import exceeds_leukocytes
from pipeline.rules.situation import Finding, Row

if TYPE_CHECKING:
    from pipeline.domain.decision import GivenCycle, PatientCourse
    from pipeline.rules.situation import Situation

# Project choice: beyond any patient, so the unit is wrong. MBq read as GBq lowers a projection, and /uL read as 10^9/L
# passes every gate; both would end in a false GIVE.
HIGHEST_ACTIVITY_GBQ: Final = 100.0
HIGHEST_LEUKOCYTES_PER_NL: Final = 1000.0
HIGHEST_PLATELETS_PER_NL: Final = 10000.0

FAULT_TEXTS: Final[dict[str, str]] = {
    "DATA_INVALID_DATES": "cycle dates do not strictly increase, lie after the decision day, or cannot be read",
    "DATA_INVALID_ACTIVITY": "an activity is missing, not above 0, not a number, or beyond 100 GBq",
    "DATA_INVALID_DOSE": "a dose or its sigma is negative or not a number",
    "DATA_INVALID_COUNTS": "a blood count is negative, not a number, or beyond any patient's (wrong unit?), or the "
    "granulocytes are more than the leukocytes (percent?)",
    "DATA_INVALID_CYCLES": "the numbers of the cycles leave one out",
    "DATA_INVALID_FILED_IN_ERROR": "a cycle is stated to be filed in error and is not filed anew yet",
    "DATA_INVALID_GRADE": "the haematological grade is not a whole number from 0 to 5",
    "DATA_INVALID_UNIT": "a unit is unknown",
    "DATA_INVALID_FIELD": "a field is unknown, missing or of the wrong type",
    "DATA_INVALID_CONFIG": "a limit of the protocol has an unusable value",
    "DATA_INVALID_CASE": "the case cannot be read",
}


def _is_bad(value: float | None, highest: float = math.inf) -> bool:
    return value is not None and not (math.isfinite(value) and 0 <= value <= highest)


def _doses(cycle: GivenCycle) -> tuple[float | None, ...]:
    return (
        cycle.kidney_gy,
        cycle.kidney_left_gy,
        cycle.kidney_right_gy,
        cycle.marrow_gy,
        cycle.kidney_sigma_correlated_gy,
        cycle.kidney_sigma_independent_gy,
        cycle.marrow_sigma_correlated_gy,
        cycle.marrow_sigma_independent_gy,
    )


def _dates_invalid(course: PatientCourse) -> bool:
    days = [cycle.given_on for cycle in course.cycles]
    return any(a >= b for a, b in pairwise(days)) or any(day > course.decided_on for day in days)


def _activity_invalid(course: PatientCourse) -> bool:
    activities = [cycle.activity_gbq for cycle in course.cycles] + [course.planned_activity_gbq]
    return any(_is_bad(activity, HIGHEST_ACTIVITY_GBQ) or activity == 0 for activity in activities)


def _dose_invalid(course: PatientCourse) -> bool:
    return any(_is_bad(dose) for cycle in course.cycles for dose in _doses(cycle))


def _counts_invalid(course: PatientCourse) -> bool:
    return any(
        _is_bad(panel.wbc_per_nl, HIGHEST_LEUKOCYTES_PER_NL)
        or _is_bad(panel.granulocytes_per_nl, HIGHEST_LEUKOCYTES_PER_NL)
        or _is_bad(panel.platelets_per_nl, HIGHEST_PLATELETS_PER_NL)
        or exceeds_leukocytes(panel.granulocytes_per_nl, panel.wbc_per_nl)
        for panel in course.panels
    )


def _grade_invalid(course: PatientCourse) -> bool:
    return course.worst_haematological_grade is not None and course.worst_haematological_grade not in range(6)


def data_invalid(situation: Situation) -> tuple[Finding, ...]:
    """Row 3: dates not strictly increasing, future cycle, activity <= 0, negative dose or count, unknown unit."""
    course = situation.course
    checks = {
        "DATA_INVALID_DATES": _dates_invalid,
        "DATA_INVALID_ACTIVITY": _activity_invalid,
        "DATA_INVALID_DOSE": _dose_invalid,
        "DATA_INVALID_COUNTS": _counts_invalid,
        "DATA_INVALID_GRADE": _grade_invalid,
    }
    found = {code for code, check in checks.items() if check(course)} | set(course.data_faults)
    return tuple(Finding(code, "REFER", FAULT_TEXTS.get(code, "data that cannot be used")) for code in sorted(found))


DATA_ROWS: Final = (Row(3, data_invalid, "fail safe: bad data is never guessed (section 6.3)", "corrected data"),)
