"""The ends of the rows of the decision table, to the exact value, and what each row says in numbers (section 2.4)."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

import pytest
from course_builders import CT, DECISION_DAY, PANEL, course, cycles, decide, found, panel

from pipeline.domain.decision import ClinicianFlags, GivenCycle, PatientCourse, ResponseAssessment, SalvageStatus
from pipeline.rules.counts import exceeds_leukocytes
from pipeline.rules.decide import evaluate
from pipeline.settings import load_protocol_limits

GIVEN = cycles(3.5)[0]
ELIGIBLE = SalvageStatus(primary_completed=True, favourable_response=True, progressed_after=True, ordered=True)
TINY = 1e-12


def codes(patient: PatientCourse, **limits: object) -> set[str]:
    return {code for _, _, code in found(decide(patient, **limits))}


def given(kidney_gy: float | None, activity_gbq: float = 7.4, days: int = 49, **fields: object) -> GivenCycle:
    day = DECISION_DAY - timedelta(days=days)
    return replace(GIVEN, given_on=day, kidney_gy=kidney_gy, activity_gbq=activity_gbq, **fields)


@pytest.mark.parametrize(
    ("patient", "code"),
    [
        (course(replace(GIVEN, activity_gbq=100.0), planned_activity_gbq=100.0), "DATA_INVALID_ACTIVITY"),
        (course(replace(GIVEN, activity_gbq=TINY), planned_activity_gbq=TINY), "DATA_INVALID_ACTIVITY"),
        (course(replace(GIVEN, kidney_gy=0.0, marrow_gy=0.0)), "DATA_INVALID_DOSE"),
        (course(GIVEN, panels=(panel(wbc_per_nl=1000.0, granulocytes_per_nl=1000.0),)), "DATA_INVALID_COUNTS"),
        (course(GIVEN, panels=(panel(platelets_per_nl=10000.0),)), "DATA_INVALID_COUNTS"),
        (course(GIVEN, panels=(panel(wbc_per_nl=0.0, granulocytes_per_nl=0.0),)), "DATA_INVALID_COUNTS"),
        (course(GIVEN, panels=(panel(wbc_per_nl=4.0, granulocytes_per_nl=4.2),)), "DATA_INVALID_COUNTS"),
        (course(GIVEN, worst_haematological_grade=0), "DATA_INVALID_GRADE"),
        (course(GIVEN, worst_haematological_grade=5), "DATA_INVALID_GRADE"),
        (course(given(3.5, days=0)), "DATA_INVALID_DATES"),
    ],
)
def test_row_03_the_last_value_that_is_valid(patient, code) -> None:
    assert code not in codes(patient)


@pytest.mark.parametrize(
    ("patient", "code"),
    [
        (course(replace(GIVEN, activity_gbq=math.nextafter(100.0, 101.0))), "DATA_INVALID_ACTIVITY"),
        (course(replace(GIVEN, activity_gbq=math.inf)), "DATA_INVALID_ACTIVITY"),
        (course(planned_activity_gbq=0.0), "DATA_INVALID_ACTIVITY"),
        (course(replace(GIVEN, kidney_right_gy=-TINY)), "DATA_INVALID_DOSE"),
        (course(replace(GIVEN, kidney_left_gy=math.inf)), "DATA_INVALID_DOSE"),
        (course(replace(GIVEN, kidney_sigma_correlated_gy=-TINY)), "DATA_INVALID_DOSE"),
        (course(replace(GIVEN, kidney_sigma_independent_gy=math.nan)), "DATA_INVALID_DOSE"),
        (course(replace(GIVEN, marrow_sigma_correlated_gy=-TINY)), "DATA_INVALID_DOSE"),
        (course(replace(GIVEN, marrow_sigma_independent_gy=math.inf)), "DATA_INVALID_DOSE"),
        (course(GIVEN, panels=(panel(wbc_per_nl=1000.1),)), "DATA_INVALID_COUNTS"),
        (course(GIVEN, panels=(panel(wbc_per_nl=None, granulocytes_per_nl=1000.1),)), "DATA_INVALID_COUNTS"),
        (course(GIVEN, panels=(panel(granulocytes_per_nl=-TINY),)), "DATA_INVALID_COUNTS"),
        (course(GIVEN, worst_haematological_grade=-1), "DATA_INVALID_GRADE"),
    ],
)
def test_row_03_the_first_value_that_is_not(patient, code) -> None:
    assert code in codes(patient)


def test_row_03_granulocytes_need_leukocytes_to_be_compared_with() -> None:
    assert exceeds_leukocytes(57.0, None) is False
    assert exceeds_leukocytes(None, 4.2) is False
    assert exceeds_leukocytes(4.2, 4.0) is False  # exactly 1.05
    assert exceeds_leukocytes(4.21, 4.0) is True
    assert exceeds_leukocytes(3.15, 0.0) is False  # 1.05 x 3.0, whatever is below
    assert exceeds_leukocytes(3.16, 0.0) is True


@pytest.mark.parametrize(("marrow_gy", "stops"), [(2.0 - 0.9e-6, True), (2.0 - 1.1e-6, False)])
def test_row_05_tolerance_is_one_microgray(marrow_gy, stops) -> None:
    assert ("MARROW_DOSE_REACHED" in codes(course(replace(GIVEN, marrow_gy=marrow_gy)), marrow_rule="reached")) is stops


def test_row_08_the_tolerance_is_added_to_the_ratio() -> None:
    # Mean 3 Gy: 0.30 of it is 0.9 Gy, and 1e-6 Gy more are allowed.
    for excess_gy, refers in ((0.9e-6, False), (1.1e-6, True)):
        left, right = 3.45 + excess_gy / 2.0, 2.55 - excess_gy / 2.0
        patient = course(replace(GIVEN, kidney_left_gy=left, kidney_right_gy=right))
        assert ("KIDNEY_ASYMMETRY" in codes(patient)) is refers


def test_row_09_each_dose_is_scaled_by_its_own_activity() -> None:
    # 4 Gy of 8 GBq and 3 Gy of 4 GBq, next 6 GBq: last 3 x 1.5, max of 3.0 and 4.5, mean of both.
    patient = course(given(4.0, 8.0, 98), given(3.0, 4.0), planned_activity_gbq=6.0)
    for source, next_gy in (("last", 4.5), ("max", 4.5), ("mean", 3.75)):
        assert decide(patient, projection_source=source).projected["kidney_gy"] == pytest.approx(7.0 + next_gy)
    turned = course(given(3.0, 4.0, 98), given(4.0, 8.0), planned_activity_gbq=6.0)
    for source, next_gy in (("last", 3.0), ("max", 4.5)):
        assert decide(turned, projection_source=source).projected["kidney_gy"] == pytest.approx(7.0 + next_gy)


def test_row_09_the_uncertainty_of_a_projection_follows_its_weights() -> None:
    # Weights (0, 1): correlated 0.1 + 2 x 0.2 = 0.5; independent 0.3 and 2 x 0.4; hypot = sqrt(0.25 + 0.09 + 0.64).
    first = given(4.0, days=98, kidney_sigma_correlated_gy=0.1, kidney_sigma_independent_gy=0.3)
    second = given(4.0, kidney_sigma_correlated_gy=0.2, kidney_sigma_independent_gy=0.4)
    decision = decide(course(first, second))
    assert decision.projected["kidney_sigma_gy"] == pytest.approx(0.98**0.5, rel=1e-12)
    assert decision.cumulative["kidney_sigma_gy"] == pytest.approx((0.3**2 + 0.3**2 + 0.4**2) ** 0.5, rel=1e-12)


@pytest.mark.parametrize("planned", [0.0, -1.0, math.inf, math.nan])
def test_row_09_nothing_is_projected_from_an_activity_that_is_none(planned) -> None:
    assert decide(course(GIVEN, planned_activity_gbq=planned)).projected["kidney_gy"] is None


@pytest.mark.parametrize("activity", [0.0, -7.4, math.nan, math.inf])
def test_row_09_nothing_is_projected_from_a_cycle_of_no_activity(activity) -> None:
    decision = decide(course(given(3.5, activity, 98), given(3.5)))
    assert decision.projected["kidney_gy"] is None


def test_row_09_small_activities_are_projected() -> None:
    decision = decide(course(given(0.5, 0.5), planned_activity_gbq=0.25))
    assert decision.projected["kidney_gy"] == pytest.approx(0.75)


@pytest.mark.parametrize(("kidney_gy", "projected"), [(23.0 - 1.1e-6, True), (23.0 - 0.9e-6, False)])
def test_row_09_nothing_is_projected_once_the_limit_is_reached(kidney_gy, projected) -> None:
    assert (decide(course(given(kidney_gy))).projected["kidney_gy"] is not None) is projected


@pytest.mark.parametrize(
    ("fields", "total_gy"),
    [
        ({}, 3.5),
        ({"kidney_status": "DRAFT"}, 0.0),
        ({"kidney_sigma_correlated_gy": -0.1}, 0.0),
        ({"kidney_sigma_independent_gy": math.inf}, 0.0),
        ({"activity_gbq": math.nan}, 0.0),
        ({"kidney_gy": math.nan}, 0.0),
        ({"kidney_gy": -1.0}, 0.0),
    ],
)
def test_a_dose_counts_once_it_is_signed_and_all_its_numbers_are_numbers(fields, total_gy) -> None:
    assert decide(course(replace(GIVEN, **fields))).cumulative["kidney_gy"] == total_gy


def test_a_missing_dose_of_one_organ_is_not_one_of_the_other() -> None:
    decision = decide(course(given(3.5, marrow_gy=None)))
    assert (decision.cumulative["marrow_gy"], decision.projected["marrow_gy"]) == (0.0, None)
    assert decision.projected["kidney_gy"] == pytest.approx(7.0)


@pytest.mark.parametrize(("kidney_gy", "fits"), [(23.0 / 1.7 + 0.5e-6, True), (23.0 / 1.7 + 0.7e-6, False)])
def test_reduced_activity_fits_up_to_the_tolerance(kidney_gy, fits) -> None:
    # D + 0.7 D = 23 Gy + 1e-6 Gy at D = 13.529 Gy + 0.59e-6 Gy.
    options = decide(course(given(kidney_gy))).options
    assert ("REDUCED_ACTIVITY_WOULD_FIT(not in seed)" in options) is fits


def test_a_dose_at_the_limit_to_the_last_bit() -> None:
    # Numbers that binary holds exactly: tolerance 1/128 Gy.
    exact = {"dose_tolerance_gy": 1.0 / 128.0, "kidney_limit_gy": 24.0 - 1.0 / 128.0, "reduced_factor": 0.5}
    assert codes(course(given(24.0 - 2.0 / 128.0)), **exact) == {"KIDNEY_DOSE_REACHED"}
    assert codes(course(given(12.0)), **exact) == set()  # projected 24 Gy: the limit and the tolerance
    # Kidneys of 4 Gy mean that differ by a quarter of it and the tolerance.
    half = (1.0 + 1.0 / 128.0) / 2.0
    kidneys = given(4.0, kidney_left_gy=4.0 + half, kidney_right_gy=4.0 - half)
    assert codes(course(kidneys), kidney_asymmetry=0.25, **exact) == set()
    reduced = decide(course(given(16.0)), **exact)  # 16 Gy and half of it
    assert "REDUCED_ACTIVITY_WOULD_FIT(not in seed)" in reduced.options


def test_row_13_progression_on_the_day_counts_and_so_does_the_first_day_of_the_phase() -> None:
    today = ResponseAssessment(DECISION_DAY, "CT", "PD")
    assert found(decide(course(GIVEN, assessments=(today,)))) == {(13, "STOP", "PROGRESSION")}
    start = course(
        GIVEN, assessments=(replace(today, assessed_on=date(2026, 4, 1)),), phase_started_on=date(2026, 4, 1)
    )
    assert found(decide(start)) == {(13, "STOP", "PROGRESSION")}
    assert decide(course(GIVEN, assessments=(today,))).advisories == ()


def test_row_17_imaging_on_the_day_of_the_decision_counts() -> None:
    two = cycles(3.5, 3.5)
    assert decide(course(*two, assessments=(replace(CT, assessed_on=DECISION_DAY),))).outcome == "GIVE"
    spaced = replace(CT, modality=" ct/mri ")
    assert decide(course(*two, assessments=(spaced,))).outcome == "GIVE"


def test_row_11_three_cycles_of_rotterdam_are_not_four() -> None:
    assert decide(course(*cycles(3.5, 3.5, 3.5), protocol="ROTTERDAM_4")).outcome == "GIVE"
    assert decide(course(*cycles(3.5, 3.5, 3.5, 3.5))).outcome != "STOP"


def test_a_panel_of_the_day_of_the_decision_counts_and_raises_no_advisory() -> None:
    decision = decide(course(GIVEN, panels=(panel(DECISION_DAY),)))
    assert (decision.outcome, decision.advisories) == ("GIVE", ())


def test_panels_of_two_days_are_read_in_the_order_of_their_days() -> None:
    later = panel(date(2026, 4, 16), wbc_per_nl=2.0)
    assert codes(course(GIVEN, panels=(later, PANEL))) == codes(course(GIVEN, panels=(PANEL, later))) == {"COUNT_WBC"}


# What a person reads: dates, numbers and names of each row.
TEXTS = [
    (course(given(24.0)), 4, "signed kidney dose 24.000 Gy, limit 23 Gy"),
    (course(given(3.5, marrow_gy=2.25)), 5, "signed marrow dose 2.250 Gy, limit 2 Gy"),
    (course(given(None, days=98), given(3.5), given(None, days=0)), 6, "no signed kidney dose of cycle 1, 3"),
    (course(given(3.5, marrow_gy=None)), 7, "no signed marrow dose of cycle 1"),
    (
        course(given(3.5, marrow_method="image_aorta")),
        7,
        "marrow dose of cycle 1 by another method than blood_planar, to which the limit belongs",
    ),
    (
        course(given(3.0, kidney_left_gy=4.0, kidney_right_gy=2.0)),
        8,
        "kidneys differ by more than 30% of their mean in cycle 1",
    ),
    (
        course(given(12.0)),
        9,
        "kidney dose 12.000 Gy so far, 24.000 Gy expected with the planned activity, limit 23 Gy",
    ),
    (course(*cycles(3.5, 3.5, 3.5, 3.5), protocol="ROTTERDAM_4"), 11, "4 cycles of ROTTERDAM_4 given"),
    (
        course(GIVEN, phase="SALVAGE", salvage=replace(ELIGIBLE, favourable_response=False, ordered=False)),
        12,
        "salvage lacks: favourable response, physician's order",
    ),
    (
        course(GIVEN, phase="SALVAGE", salvage=replace(ELIGIBLE, primary_completed=False, progressed_after=False)),
        12,
        "salvage lacks: primary treatment completed, progression after it",
    ),
    (course(GIVEN, worst_haematological_grade=4), 16, "haematological grade 4, no decision on record"),
    (course(*cycles(3.5, 3.5), assessments=()), 17, "no CT or MRI after cycle 1, due before cycle 3"),
    (course(given(3.5, days=200), panels=(panel(wbc_per_nl=2.0),)), 18, "counts were not met by 2026-04-02"),
    (course(given(3.5, days=200), panels=()), 19, "no blood sample since the last cycle, deadline 2026-04-02 passed"),
    (course(panels=()), 19, "no blood sample since the last cycle"),
    (
        course(GIVEN, panels=(panel(wbc_per_nl=None, platelets_per_nl=None),)),
        20,
        "latest panel lacks wbc, platelets",
    ),
    (course(GIVEN, panels=(panel(date(2026, 4, 1)),)), 21, "latest panel is 19 days old, at most 14 allowed"),
    (course(GIVEN, panels=(panel(wbc_per_nl=2.5),)), 22, "wbc 2.5 not above 3 x 10^9/L"),
    (course(given(3.5, days=41)), 23, "41 days since the last cycle, at least 42 intended"),
    (
        course(given(3.5, days=98, second_check_failed=True), given(3.5)),
        26,
        "second dose check failed in cycle 1",
    ),
    (course(GIVEN, data_faults=("DATA_INVALID_NEWS",)), 3, "data that cannot be used"),
]


@pytest.mark.parametrize(("patient", "row", "text"), TEXTS, ids=[f"row {row}" for _, row, _ in TEXTS])
def test_a_row_says_its_numbers(patient, row, text) -> None:
    assert text in [reason.text for reason in decide(patient).reasons if reason.row == row]


@pytest.mark.parametrize(
    ("patient", "words"),
    [
        (course(GIVEN, flags=ClinicianFlags(dead=True)), "died"),
        (course(GIVEN, flags=ClinicianFlags(withdrawn=True)), "consent"),
        (course(GIVEN, recorded_response="PD"), "RECIST"),
        (course(GIVEN, flags=ClinicianFlags(progression_non_recist=True)), "not by RECIST"),
        (course(GIVEN, flags=ClinicianFlags(deterioration=True)), "deterioration"),
        (course(GIVEN, flags=ClinicianFlags(tumour_load_decrease=True)), "tumour load"),
        (course(GIVEN, flags=ClinicianFlags(marrow_toxicity_stop=True)), "bone marrow"),
    ],
)
def test_a_row_without_numbers_says_what_happened(patient, words) -> None:
    assert words in decide(patient).reasons[0].text


def test_a_decision_names_its_day_its_rules_and_its_probabilities() -> None:
    decision = evaluate(course(given(21.5, kidney_sigma_independent_gy=1.8)), load_protocol_limits())
    assert (decision.on, decision.rule_version) == (DECISION_DAY, "2.4-1")
    assert decision.p_exceed["kidney"] == pytest.approx(0.2023, abs=5e-5)
    # Projected 43 Gy with twice the sigma: 20/3.6 = 5.6 sigma above the limit.
    assert decision.p_exceed["kidney_projected"] == pytest.approx(1.0, abs=1e-7)
    assert decision.p_exceed["marrow"] is None
    assert set(decision.cumulative) == {
        "kidney_gy",
        "kidney_sigma_gy",
        "marrow_gy",
        "marrow_sigma_gy",
        "marrow_method",
    }
    assert set(decision.projected) == {"kidney_gy", "kidney_sigma_gy", "marrow_gy", "marrow_sigma_gy"}
    assert decision.activity_gbq is None


def test_the_worst_level_comes_first_and_then_the_order_of_the_rows() -> None:
    patient = course(
        given(24.0, days=41, marrow_gy=2.5),
        flags=ClinicianFlags(withdrawn=True),
        worst_haematological_grade=3,
        panels=(),
    )
    assert [(r.level, r.row) for r in decide(patient).reasons] == [
        ("STOP", 2),
        ("STOP", 4),
        ("STOP", 5),
        ("REFER", 16),
        ("WAIT", 19),
        ("WAIT", 23),
    ]


def test_a_refer_of_a_late_row_stands_before_a_wait_of_an_early_one() -> None:
    patient = course(given(3.5, second_check_failed=True), panels=())
    assert [(r.level, r.row) for r in decide(patient).reasons] == [("REFER", 26), ("WAIT", 19)]
    stopped = course(given(3.5, second_check_failed=True), recorded_response="PD", worst_haematological_grade=3)
    assert [(r.level, r.row) for r in decide(stopped).reasons] == [("STOP", 13), ("REFER", 16), ("REFER", 26)]
    dead = course(given(None), recorded_response="PD")
    assert [(r.level, r.row) for r in decide(dead).reasons] == [("STOP", 13), ("REFER", 6)]
