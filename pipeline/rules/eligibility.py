"""Grade of the tumour and advisories before cycle 1 (sections 1A, 1C, 4.4); none of them stops a decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from pipeline.errors import require
from pipeline.rules.counts import add_months
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from datetime import date, datetime

GradeEdition = Literal["WHO2010", "WHO2019"]
NetGrade = Literal["G1", "G2", "G3", "AMBIGUOUS"]
RANKS: Final[dict[NetGrade, int]] = {"G1": 1, "AMBIGUOUS": 2, "G2": 3, "G3": 4}
KRENNING_NEEDED: Final = 3
LONG_ACTING_SSA_DAYS: Final = 14
SHORT_ACTING_SSA_S: Final = 12 * SECONDS_PER_HOUR


def _ki67_grade(ki67_percent: float, edition: GradeEdition) -> NetGrade:
    if ki67_percent > 20:
        return "G3"
    if ki67_percent >= 3:
        return "G2"
    if ki67_percent <= 2 or edition == "WHO2019":
        return "G1"
    return "AMBIGUOUS"


def _mitotic_grade(mitoses_per_2mm2: float) -> NetGrade:
    if mitoses_per_2mm2 > 20:
        return "G3"
    return "G2" if mitoses_per_2mm2 >= 2 else "G1"


def net_grade(ki67_percent: float | None, mitoses_per_2mm2: float | None, edition: GradeEdition) -> NetGrade | None:
    """Grade of a well differentiated neuroendocrine tumour: the higher of the two indices; None without either.

    Ki-67 between 2 and 3 % has no grade in WHO 2010 (``AMBIGUOUS``) and is G1 in WHO 2019 (S-28). Poorly
    differentiated carcinoma (NEC) is a diagnosis, not a grade of this scale.

    Source: PMC5087808 table 1 (WHO 2010); WHO 2019 as tabulated in section 4.4 of the clinical specification.
    """
    for index in (ki67_percent, mitoses_per_2mm2):
        require(
            index is None or index >= 0,
            "NET_GRADE_INVALID",
            found=f"index {index}",
            needed="Ki-67 in % and mitoses per 2 mm2, 0 or more",
            do="correct the pathology entry",
            where="pathology",
        )
    grades: list[NetGrade] = []
    if ki67_percent is not None:
        grades.append(_ki67_grade(ki67_percent, edition))
    if mitoses_per_2mm2 is not None:
        grades.append(_mitotic_grade(mitoses_per_2mm2))
    return max(grades, key=lambda grade: RANKS[grade], default=None)


@dataclass(frozen=True)
class BeforeFirstCycle:
    """What is known before cycle 1; None: not recorded."""

    starts_at: datetime
    krenning: int | None = None
    chemotherapy_stopped_on: date | None = None
    long_acting_ssa_on: date | None = None
    short_acting_ssa_at: datetime | None = None
    amino_acids_given: bool | None = None
    baseline_imaging_on: date | None = None


def _imaging_is_late(course: BeforeFirstCycle) -> bool:
    day, start = course.baseline_imaging_on, course.starts_at.date()
    return day is None or day > start or add_months(day, 1) < start


def _within(earlier: date | None, days: int, start: date) -> bool:
    return earlier is not None and start - earlier < timedelta(days=days)


def eligibility_advisories(course: BeforeFirstCycle) -> tuple[str, ...]:
    """Advisories of S-11 to S-15 before cycle 1.

    Source: Fröss-Baron et al., Neuroendocrinology 2021;111:330-343 (methods).
    """
    start, stopped, short = course.starts_at.date(), course.chemotherapy_stopped_on, course.short_acting_ssa_at
    conditions = {
        "KRENNING_NOT_RECORDED": course.krenning is None,
        "KRENNING_BELOW_3": course.krenning is not None and course.krenning < KRENNING_NEEDED,
        "CHEMOTHERAPY_WITHIN_ONE_MONTH": stopped is not None and add_months(stopped, 1) > start,
        "LONG_ACTING_SSA_WITHIN_14_DAYS": _within(course.long_acting_ssa_on, LONG_ACTING_SSA_DAYS, start),
        "SHORT_ACTING_SSA_WITHIN_12_HOURS": short is not None
        and (course.starts_at - short).total_seconds() < SHORT_ACTING_SSA_S,
        "KIDNEY_PROTECTION_NOT_RECORDED": course.amino_acids_given is not True,
        "BASELINE_IMAGING_NOT_WITHIN_ONE_MONTH": _imaging_is_late(course),
    }
    return tuple(code for code, holds in conditions.items() if holds)
