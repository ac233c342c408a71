"""Laboratory toxicity grades of CTCAE v3.0, v5.0 and v6.0 (section 4.1 of the clinical specification).

Sources of the thresholds: v3.0 from the NCI caAERS grade file (NCIP/caaers commit d4880ce), v5.0 and v6.0 from the
pharmaverse admiral grading metadata (commit 6eb5125). v6.0 moves the boundaries of neutrophils and platelets, so
grades of different editions are never pooled: the edition is stored with every grade.

"<LLN - 3.0" reads ``3.0 <= x < LLN``; ">ULN - 2.5x" reads ``ULN < x <= 2.5 ULN``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from pipeline.errors import require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.domain.decision import BloodPanel

Edition = Literal["3.0", "5.0", "6.0"]
Grade = int | Literal["UNGRADED"]
UNGRADED: Final = "UNGRADED"
# Section 4.1: v3.0 reproduces the seed, v5.0 is for new patients.
SEED_EDITION: Final[Edition] = "3.0"
NEW_PATIENT_EDITION: Final[Edition] = "5.0"
EDITIONS: Final = ("3.0", "5.0", "6.0")

# Section 4.1, conversions to the units of the table.
HAEMOGLOBIN_G_PER_L_PER_G_PER_DL: Final = 10.0
HAEMOGLOBIN_G_PER_L_PER_MMOL_PER_L: Final = 16.114
CREATININE_UMOL_PER_L_PER_MG_PER_DL: Final = 88.4
BILIRUBIN_UMOL_PER_L_PER_MG_PER_DL: Final = 17.1


@dataclass(frozen=True)
class FallingScale:
    """Grades of a value that is worse the lower: ``x < threshold`` has at least its grade.

    ``grade_1_below_lln``: grade 1 lies between the first threshold and the laboratory's lower limit.
    ``in_lln``: the thresholds are multiples of that limit.
    """

    below: tuple[tuple[float, int], ...]
    grade_1_below_lln: bool = True
    in_lln: bool = False


@dataclass(frozen=True)
class RisingScale:
    """Grades of a value that is worse the higher, in multiples of the ULN or, from an abnormal baseline, of that.

    ``above``: ``x > multiple`` has at least its grade. ``of_baseline`` replaces it if the baseline is above the ULN;
    ``first_from`` is then the multiple from which (inclusive) grade 1 counts.
    """

    above: tuple[tuple[float, int], ...]
    of_baseline: tuple[tuple[float, int], ...] | None = None
    first_from: float | None = None


_TRANSAMINASE_V3: Final = RisingScale(((1.0, 1), (2.5, 2), (5.0, 3), (20.0, 4)))
_TRANSAMINASE_V5: Final = RisingScale(
    ((1.0, 1), (3.0, 2), (5.0, 3), (20.0, 4)), of_baseline=((3.0, 2), (5.0, 3), (20.0, 4)), first_from=1.5
)
_BILIRUBIN_STEPS: Final = ((1.0, 1), (1.5, 2), (3.0, 3), (10.0, 4))

FALLING: Final[dict[str, dict[str, FallingScale]]] = {
    "haemoglobin": {  # g/L; v5.0 grade 4 is clinical and cannot be graded from the laboratory
        "3.0": FallingScale(((100.0, 2), (80.0, 3), (65.0, 4))),
        "5.0": FallingScale(((100.0, 2), (80.0, 3))),
    },
    "wbc": {edition: FallingScale(((3.0, 2), (2.0, 3), (1.0, 4))) for edition in EDITIONS},  # 10^9/L
    "granulocytes": {  # 10^9/L
        "3.0": FallingScale(((1.5, 2), (1.0, 3), (0.5, 4))),
        "5.0": FallingScale(((1.5, 2), (1.0, 3), (0.5, 4))),
        "6.0": FallingScale(((1.5, 1), (1.0, 2), (0.5, 3), (0.1, 4)), grade_1_below_lln=False),
    },
    "lymphocytes": {edition: FallingScale(((0.8, 2), (0.5, 3), (0.2, 4))) for edition in ("3.0", "5.0")},  # 10^9/L
    "platelets": {  # 10^9/L
        "3.0": FallingScale(((75.0, 2), (50.0, 3), (25.0, 4))),
        "5.0": FallingScale(((75.0, 2), (50.0, 3), (25.0, 4))),
        "6.0": FallingScale(((75.0, 2), (50.0, 3), (10.0, 4))),
    },
    "gfr": {  # v3.0 in LLN, grade 4 is dialysis; v5.0 in mL/min/1.73 m2, the gaps 59-60 and 29-30 read >= 60, >= 30
        "3.0": FallingScale(((0.75, 1), (0.50, 2), (0.25, 3)), grade_1_below_lln=False, in_lln=True),
        "5.0": FallingScale(((60.0, 2), (30.0, 3), (15.0, 4))),
    },
    "albumin": {"3.0": FallingScale(((30.0, 2), (20.0, 3)))},  # g/L
}
RISING: Final[dict[str, dict[str, RisingScale]]] = {
    "alt": {"3.0": _TRANSAMINASE_V3, "5.0": _TRANSAMINASE_V5},
    "ast": {"3.0": _TRANSAMINASE_V3, "5.0": _TRANSAMINASE_V5},
    "alp": {
        "3.0": _TRANSAMINASE_V3,
        "5.0": RisingScale(_TRANSAMINASE_V3.above, ((2.5, 2), (5.0, 3), (20.0, 4)), first_from=2.0),
    },
    "bilirubin": {"3.0": RisingScale(_BILIRUBIN_STEPS), "5.0": RisingScale(_BILIRUBIN_STEPS, _BILIRUBIN_STEPS)},
    "ggt": {"3.0": _TRANSAMINASE_V3},
    "creatinine": {edition: RisingScale(((1.0, 1), (1.5, 2), (3.0, 3), (6.0, 4))) for edition in ("3.0", "5.0")},
}
# v5.0 creatinine: > 1.5 times the patient's own baseline is grade 2, > 3 times grade 3, whatever the ULN.
CREATININE_V5_OF_BASELINE: Final = ((1.5, 2), (3.0, 3))
ANALYTES: Final = (*FALLING, *RISING)


def _exact(value: float) -> Decimal:
    """Return the decimal that was printed: 1.8 is 1.5 x 1.2 exactly, which binary numbers would miss."""
    return Decimal(str(value))


def _worst_above(value: float, unit: float, steps: tuple[tuple[float, int], ...]) -> int:
    return max((grade for multiple, grade in steps if _exact(value) > _exact(multiple) * _exact(unit)), default=0)


def _grade_falling(value: float, lln: float | None, scale: FallingScale) -> Grade:
    if scale.in_lln and lln is None:
        return UNGRADED
    unit = _exact(lln) if scale.in_lln and lln is not None else Decimal(1)
    numeric = max((grade for level, grade in scale.below if _exact(value) < _exact(level) * unit), default=0)
    if numeric or not scale.grade_1_below_lln:
        return numeric
    if lln is None:
        return UNGRADED
    return 1 if value < lln else 0


def _grade_rising(value: float, uln: float | None, baseline: float | None, scale: RisingScale) -> Grade:
    if uln is None:
        return UNGRADED
    if scale.of_baseline is None or baseline is None or baseline <= uln:
        return _worst_above(value, uln, scale.above)
    first = scale.first_from is not None and _exact(value) >= _exact(scale.first_from) * _exact(baseline)
    return max(int(first), _worst_above(value, baseline, scale.of_baseline))


def _grade_creatinine(value: float, uln: float | None, baseline: float | None, edition: Edition) -> Grade:
    grade = _grade_rising(value, uln, None, RISING["creatinine"][edition])
    if edition != "5.0" or baseline is None:
        return grade
    own = _worst_above(value, baseline, CREATININE_V5_OF_BASELINE)
    return (own or UNGRADED) if grade == UNGRADED else max(int(grade), own)


def _grade_alp_v6(value: float, uln: float | None, baseline: float | None) -> Grade:
    if uln is None or baseline is None:
        return UNGRADED
    return int(value > uln and value > baseline)


def _check(value: float | None, what: str) -> None:
    require(
        value is None or (math.isfinite(value) and value >= 0),
        "LAB_VALUE_INVALID",
        found=f"{what} {value}",
        needed="a finite value, not negative",
        do="correct the laboratory table",
        where="labs",
    )


def laboratory_grade(
    analyte: str,
    value: float,
    edition: Edition,
    *,
    lln: float | None = None,
    uln: float | None = None,
    baseline: float | None = None,
) -> Grade:
    """Grade one laboratory value.

    Parameters
    ----------
    analyte : str
        ``haemoglobin`` and ``albumin`` in g/L; ``wbc``, ``granulocytes``, ``lymphocytes``, ``platelets`` in 10^9/L;
        ``gfr`` in mL/min/1.73 m2; ``creatinine``, ``alt``, ``ast``, ``alp``, ``bilirubin``, ``ggt`` in the unit of
        ``uln`` and ``baseline``.
    lln, uln : float, optional
        Limits of the laboratory that measured the value.
    baseline : float, optional
        The patient's own value before treatment; without one v5.0 reads multiples of the ULN.

    Returns
    -------
    int or "UNGRADED"
        0 to 4. ``UNGRADED`` if a limit that decides is missing and no numeric grade is met already, or if the
        edition's table has no laboratory grade of this analyte.

    Raises
    ------
    RefusalError
        ``CTCAE_UNKNOWN``: edition or analyte; ``LAB_VALUE_INVALID``: a negative or non-finite number.
    """
    require(
        edition in EDITIONS and analyte in ANALYTES,
        "CTCAE_UNKNOWN",
        found=f"{analyte} in CTCAE {edition}",
        needed=f"one of {', '.join(ANALYTES)} in one of {', '.join(EDITIONS)}",
        do="name the edition and the analyte as in the list",
    )
    for number, what in ((value, analyte), (lln, "LLN"), (uln, "ULN"), (baseline, "baseline")):
        _check(number, what)
    if analyte == "alp" and edition == "6.0":
        return _grade_alp_v6(value, uln, baseline)
    if edition in FALLING.get(analyte, {}):
        return _grade_falling(value, lln, FALLING[analyte][edition])
    if edition not in RISING.get(analyte, {}):
        return UNGRADED
    if analyte == "creatinine":
        return _grade_creatinine(value, uln, baseline, edition)
    return _grade_rising(value, uln, baseline, RISING[analyte][edition])


def _panel_grades(panel: BloodPanel, edition: Edition, lln: Mapping[str, float]) -> list[Grade]:
    values = {"wbc": panel.wbc_per_nl, "granulocytes": panel.granulocytes_per_nl, "platelets": panel.platelets_per_nl}
    return [
        laboratory_grade(name, value, edition, lln=lln.get(name)) for name, value in values.items() if value is not None
    ]


def worst_haematological_grade(
    panels: Iterable[BloodPanel], edition: Edition, lln: Mapping[str, float] | None = None
) -> int | None:
    """Worst grade of WBC, granulocytes and platelets over all panels given (row 16 wants those since the last cycle).

    Parameters
    ----------
    lln : mapping, optional
        ``wbc``, ``granulocytes``, ``platelets`` -> lower limit of normal in 10^9/L, where known.

    Returns
    -------
    int or None
        None if nothing could be graded, or if nothing graded is above 0 while a missing limit hides a possible grade 1.
    """
    grades = [grade for panel in panels for grade in _panel_grades(panel, edition, lln or {})]
    numeric = max((grade for grade in grades if isinstance(grade, int)), default=0)
    hidden = not grades or UNGRADED in grades
    return None if numeric == 0 and hidden else numeric
