"""Every boundary of the laboratory grades of CTCAE (section 4.1 of the clinical specification), at it and beyond it."""

from __future__ import annotations

import pytest

from pipeline.rules import toxicity
from pipeline.rules.toxicity import laboratory_grade

# Analyte, edition, boundaries of grades 1 to 4 in multiples of the ULN; x above the boundary has the grade.
OF_ULN = [
    *((analyte, "3.0", (1.0, 2.5, 5.0, 20.0)) for analyte in ("alt", "ast", "alp", "ggt")),
    *((analyte, "5.0", (1.0, 3.0, 5.0, 20.0)) for analyte in ("alt", "ast")),
    ("alp", "5.0", (1.0, 2.5, 5.0, 20.0)),
    *(("bilirubin", edition, (1.0, 1.5, 3.0, 10.0)) for edition in ("3.0", "5.0")),
    *(("creatinine", edition, (1.0, 1.5, 3.0, 6.0)) for edition in ("3.0", "5.0")),
]
# v5.0 from an abnormal baseline: grades 2 to 4 above these multiples of it; grade 1 from the first one on.
OF_BASELINE = [
    ("alt", 1.5, (3.0, 5.0, 20.0)),
    ("ast", 1.5, (3.0, 5.0, 20.0)),
    ("alp", 2.0, (2.5, 5.0, 20.0)),
]
# Falling values: (boundary, grade of a value below it); above the first one grade 1 or 0, by the LLN.
FALLING = [
    ("haemoglobin", "3.0", ((100.0, 2), (80.0, 3), (65.0, 4)), 1),
    ("haemoglobin", "5.0", ((100.0, 2), (80.0, 3)), 1),
    *(("wbc", edition, ((3.0, 2), (2.0, 3), (1.0, 4)), 1) for edition in ("3.0", "5.0", "6.0")),
    *(("granulocytes", edition, ((1.5, 2), (1.0, 3), (0.5, 4)), 1) for edition in ("3.0", "5.0")),
    ("granulocytes", "6.0", ((1.5, 1), (1.0, 2), (0.5, 3), (0.1, 4)), 0),
    *(("lymphocytes", edition, ((0.8, 2), (0.5, 3), (0.2, 4)), 1) for edition in ("3.0", "5.0")),
    *(("platelets", edition, ((75.0, 2), (50.0, 3), (25.0, 4)), 1) for edition in ("3.0", "5.0")),
    ("platelets", "6.0", ((75.0, 2), (50.0, 3), (10.0, 4)), 1),
    ("gfr", "5.0", ((60.0, 2), (30.0, 3), (15.0, 4)), 1),
    ("albumin", "3.0", ((30.0, 2), (20.0, 3)), 1),
]


@pytest.mark.parametrize(("analyte", "edition", "multiples"), OF_ULN)
def test_multiples_of_the_upper_limit(analyte, edition, multiples) -> None:
    for grade, multiple in enumerate(multiples, start=1):
        assert laboratory_grade(analyte, 40.0 * multiple, edition, uln=40.0) == grade - 1
        assert laboratory_grade(analyte, 40.0 * multiple + 0.1, edition, uln=40.0) == grade


@pytest.mark.parametrize(("analyte", "first", "multiples"), OF_BASELINE)
def test_multiples_of_an_abnormal_baseline(analyte, first, multiples) -> None:
    limits = {"uln": 40.0, "baseline": 100.0}
    assert laboratory_grade(analyte, 100.0 * first - 0.1, "5.0", **limits) == 0
    assert laboratory_grade(analyte, 100.0 * first, "5.0", **limits) == 1
    for grade, multiple in enumerate(multiples, start=2):
        assert laboratory_grade(analyte, 100.0 * multiple, "5.0", **limits) == grade - 1
        assert laboratory_grade(analyte, 100.0 * multiple + 0.1, "5.0", **limits) == grade


def test_bilirubin_from_an_abnormal_baseline() -> None:
    for grade, multiple in enumerate((1.0, 1.5, 3.0, 10.0), start=1):
        limits = {"uln": 20.0, "baseline": 30.0}
        assert laboratory_grade("bilirubin", 30.0 * multiple, "5.0", **limits) == grade - 1
        assert laboratory_grade("bilirubin", 30.0 * multiple + 0.1, "5.0", **limits) == grade


def test_creatinine_of_the_own_baseline() -> None:
    limits = {"uln": 1000.0, "baseline": 50.0}
    for value, grade in ((75.0, 0), (75.1, 2), (150.0, 2), (150.1, 3)):
        assert laboratory_grade("creatinine", value, "5.0", **limits) == grade


@pytest.mark.parametrize(("analyte", "edition", "steps", "above"), FALLING)
def test_falling_values(analyte, edition, steps, above) -> None:
    before = above
    for boundary, grade in steps:
        assert laboratory_grade(analyte, boundary, edition, lln=1000.0) == before
        assert laboratory_grade(analyte, boundary - 0.01, edition, lln=1000.0) == grade
        before = grade


def test_gfr_of_version_3_in_parts_of_the_lower_limit() -> None:
    for value, grade in ((75.0, 0), (74.9, 1), (50.0, 1), (49.9, 2), (25.0, 2), (24.9, 3)):
        assert laboratory_grade("gfr", value, "3.0", lln=100.0) == grade


def test_conversions_to_the_units_of_the_table() -> None:
    # Section 4.1: haemoglobin 16.114 g per mmol of monomer; creatinine 113.12 g/mol; bilirubin 584.7 g/mol.
    assert toxicity.HAEMOGLOBIN_G_PER_L_PER_G_PER_DL == 10.0
    assert pytest.approx(16.114, abs=1e-9) == toxicity.HAEMOGLOBIN_G_PER_L_PER_MMOL_PER_L
    assert pytest.approx(1e4 / 113.12, abs=0.05) == toxicity.CREATININE_UMOL_PER_L_PER_MG_PER_DL
    assert pytest.approx(1e4 / 584.7, abs=0.05) == toxicity.BILIRUBIN_UMOL_PER_L_PER_MG_PER_DL
