"""CTCAE laboratory grades: test points and table of section 4.1 of the clinical specification."""

from __future__ import annotations

from datetime import date

import pytest
from refused import refused

from pipeline.domain.decision import BloodPanel
from pipeline.rules.toxicity import UNGRADED, laboratory_grade, worst_haematological_grade


@pytest.mark.parametrize(
    ("analyte", "value", "limits", "grade"),
    [
        ("haemoglobin", 80.0, {}, 2),
        ("haemoglobin", 79.9, {}, 3),
        ("haemoglobin", 65.0, {}, 3),
        ("haemoglobin", 64.9, {}, 4),
        ("haemoglobin", 100.0, {"lln": 120.0}, 1),
        ("haemoglobin", 99.9, {"lln": 120.0}, 2),
        ("wbc", 3.0, {"lln": 3.5}, 1),
        ("wbc", 2.99, {"lln": 3.5}, 2),
        ("wbc", 1.0, {"lln": 3.5}, 3),
        ("wbc", 0.99, {}, 4),
        ("granulocytes", 1.5, {"lln": 1.8}, 1),
        ("granulocytes", 0.5, {}, 3),
        ("granulocytes", 0.49, {}, 4),
        ("lymphocytes", 0.8, {"lln": 1.0}, 1),
        ("lymphocytes", 0.19, {}, 4),
        ("platelets", 75.0, {"lln": 150.0}, 1),
        ("platelets", 74.9, {"lln": 150.0}, 2),
        ("platelets", 25.0, {}, 3),
        ("platelets", 24.9, {}, 4),
        ("platelets", 150.0, {"lln": 150.0}, 0),
        ("creatinine", 135.0, {"uln": 90.0}, 1),  # 1.5 x
        ("creatinine", 135.9, {"uln": 90.0}, 2),  # 1.51 x
        ("creatinine", 1.8, {"uln": 1.2}, 1),  # 1.5 x, which is 1.7999999999999998 in binary
        ("creatinine", 90.0, {"uln": 90.0}, 0),
        ("alt", 100.0, {"uln": 40.0}, 1),  # 2.5 x
        ("alt", 104.0, {"uln": 40.0}, 2),  # 2.6 x
        ("alt", 800.0, {"uln": 40.0}, 3),
        ("alt", 800.1, {"uln": 40.0}, 4),
        ("bilirubin", 60.0, {"uln": 20.0}, 2),  # 3.0 x
        ("bilirubin", 200.1, {"uln": 20.0}, 4),
        ("gfr", 75.0, {"lln": 100.0}, 0),
        ("gfr", 74.9, {"lln": 100.0}, 1),
        ("gfr", 50.0, {"lln": 100.0}, 1),
        ("gfr", 24.9, {"lln": 100.0}, 3),
        ("albumin", 30.0, {"lln": 35.0}, 1),
        ("albumin", 19.9, {}, 3),
        ("ggt", 120.1, {"uln": 40.0}, 2),
        ("creatinine", 100.0, {"uln": 90.0, "baseline": 50.0}, 1),  # v3.0 knows no baseline
    ],
)
def test_version_3(analyte, value, limits, grade) -> None:
    assert laboratory_grade(analyte, value, "3.0", **limits) == grade


@pytest.mark.parametrize(
    ("analyte", "value", "limits", "grade"),
    [
        ("haemoglobin", 64.9, {}, 3),  # grade 4 is clinical in v5.0
        ("alt", 100.0, {"uln": 40.0}, 1),
        ("alt", 104.0, {"uln": 40.0}, 1),
        ("alt", 120.1, {"uln": 40.0}, 2),
        ("ast", 150.0, {"uln": 40.0, "baseline": 100.0}, 1),  # 1.5 x an abnormal baseline
        ("ast", 149.9, {"uln": 40.0, "baseline": 100.0}, 0),
        ("ast", 300.1, {"uln": 40.0, "baseline": 100.0}, 2),
        ("ast", 100.1, {"uln": 40.0, "baseline": 40.0}, 1),  # a baseline at the ULN is normal
        ("ast", 50.0, {"uln": 40.0, "baseline": 40.0}, 1),  # so multiples of the ULN count from 1, not from 1.5
        ("alp", 240.0, {"uln": 100.0, "baseline": 120.0}, 1),
        ("alp", 239.9, {"uln": 100.0, "baseline": 120.0}, 0),
        ("bilirubin", 30.1, {"uln": 20.0, "baseline": 30.0}, 1),
        ("bilirubin", 30.1, {"uln": 20.0}, 2),
        ("creatinine", 76.0, {"uln": 90.0, "baseline": 50.0}, 2),  # > 1.5 x baseline, within the ULN
        ("creatinine", 151.0, {"uln": 90.0, "baseline": 50.0}, 3),
        ("creatinine", 541.0, {"uln": 90.0, "baseline": 300.0}, 4),
        ("creatinine", 160.0, {"baseline": 50.0}, 3),
        ("gfr", 60.0, {"lln": 90.0}, 1),
        ("gfr", 59.5, {}, 2),  # the gap 59-60 reads below 60 (project choice)
        ("gfr", 30.0, {}, 2),
        ("gfr", 29.9, {}, 3),
        ("gfr", 14.9, {}, 4),
    ],
)
def test_version_5(analyte, value, limits, grade) -> None:
    assert laboratory_grade(analyte, value, "5.0", **limits) == grade


@pytest.mark.parametrize(
    ("analyte", "value", "limits", "grade"),
    [
        ("granulocytes", 1.5, {}, 0),
        ("granulocytes", 1.49, {}, 1),
        ("granulocytes", 0.49, {}, 3),
        ("granulocytes", 0.09, {}, 4),
        ("platelets", 10.0, {}, 3),
        ("platelets", 9.9, {}, 4),
        ("alp", 101.0, {"uln": 100.0, "baseline": 100.5}, 1),
        ("alp", 101.0, {"uln": 100.0, "baseline": 120.0}, 0),
        ("alp", 100.0, {"uln": 100.0, "baseline": 90.0}, 0),  # above both, not at one
        ("alp", 101.0, {"uln": 100.0, "baseline": 101.0}, 0),
    ],
)
def test_version_6_moves_the_boundaries(analyte, value, limits, grade) -> None:
    assert laboratory_grade(analyte, value, "6.0", **limits) == grade


@pytest.mark.parametrize(
    ("analyte", "value", "edition", "limits"),
    [
        ("wbc", 3.2, "3.0", {}),  # grade 1 or 0, by the missing LLN
        ("haemoglobin", 110.0, "5.0", {}),
        ("alt", 900.0, "3.0", {}),  # multiples of a missing ULN
        ("gfr", 20.0, "3.0", {}),
        ("creatinine", 60.0, "5.0", {"baseline": 50.0}),
        ("alp", 900.0, "6.0", {"uln": 100.0}),
        ("albumin", 10.0, "5.0", {}),  # the table has no v5.0 grades of albumin
    ],
)
def test_a_missing_limit_leaves_the_value_ungraded(analyte, value, edition, limits) -> None:
    assert laboratory_grade(analyte, value, edition, **limits) == UNGRADED


@pytest.mark.parametrize(
    ("analyte", "edition", "found"),
    [("wbc", "4.0", "wbc in CTCAE 4.0"), ("sodium", "3.0", "sodium in CTCAE 3.0")],
)
def test_an_edition_or_analyte_outside_the_table_is_refused(analyte, edition, found) -> None:
    with refused("CTCAE_UNKNOWN", where="", found=found, needed="platelets, gfr"):
        laboratory_grade(analyte, 3.0, edition)
    with refused("CTCAE_UNKNOWN", where="", needed="3.0, 5.0, 6.0"):
        laboratory_grade(analyte, 3.0, edition)


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ({"value": -0.1}, "alt -0.1"),
        ({"value": float("nan")}, "alt nan"),
        ({"value": float("inf")}, "alt inf"),
        ({"lln": -1.0}, "LLN -1.0"),
        ({"uln": float("nan")}, "ULN nan"),
        ({"baseline": -1.0}, "baseline -1.0"),
    ],
)
def test_numbers_that_no_laboratory_reports_are_refused(numbers, found) -> None:
    with refused("LAB_VALUE_INVALID", where="labs", found=found):
        laboratory_grade("alt", **({"value": 30.0, "edition": "5.0", "uln": 40.0, "baseline": 30.0} | numbers))


def test_a_count_of_nothing_is_a_value() -> None:
    assert laboratory_grade("platelets", 0.0, "3.0") == 4
    assert laboratory_grade("ggt", 0.0, "3.0", uln=40.0) == 0


LLN = {"wbc": 3.5, "granulocytes": 1.8, "platelets": 150.0}


@pytest.mark.parametrize(
    ("panels", "lln", "worst"),
    [
        ([], LLN, None),
        ([(4.2, 2.4, 160.0)], LLN, 0),
        ([(4.2, 2.4, 160.0)], None, None),  # grade 0 or 1, hidden by the missing limits
        ([(4.2, 2.4, 60.0)], None, 2),
        ([(4.2, 2.4, 160.0), (4.0, 2.0, 49.9), (4.2, 2.4, 120.0)], LLN, 3),
        ([(None, None, None)], LLN, None),
        ([(0.9, None, 24.0)], LLN, 4),
        ([(4.2, 2.4, 149.0)], LLN, 1),
        ([(4.2, 2.4, None), (None, None, 160.0)], {"wbc": 3.5, "granulocytes": 1.8}, None),
    ],
)
def test_worst_haematological_grade(panels, lln, worst) -> None:
    read = [BloodPanel(date(2026, 4, 1 + i), *values) for i, values in enumerate(panels)]
    assert worst_haematological_grade(read, "3.0", lln) == worst
