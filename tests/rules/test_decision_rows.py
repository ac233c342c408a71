"""One test per row of the decision table (section 2.4 of the clinical specification); rows and codes as there."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from course_builders import CT, DECISION_DAY, LAST_CYCLE_DAY, course, cycles, decide, found, panel

from pipeline.domain.decision import ClinicianFlags, ResponseAssessment, SalvageStatus
from pipeline.rules.decide import ROWS
from pipeline.rules.rows_data import FAULT_TEXTS

CONDITIONS = ("primary_completed", "favourable_response", "progressed_after", "ordered")
ELIGIBLE = SalvageStatus(**dict.fromkeys(CONDITIONS, True))


def flagged(**flags: bool) -> ClinicianFlags:
    return ClinicianFlags(**flags)


def test_every_row_of_the_table_has_its_function() -> None:
    # 25 rows of section 2.4: 24 is an advisory, 25 is "none of the above"; 26 is the product's own.
    assert [row.number for row in ROWS] == [*range(1, 24), 26]


def test_row_01_death() -> None:
    decision = decide(course(*cycles(3.5), panels=(), flags=flagged(dead=True)))
    assert decision.outcome == "STOP"
    assert [r.code for r in decision.winning_reasons] == ["DEATH"]
    assert found(decision) == {(1, "STOP", "DEATH"), (19, "WAIT", "LABS_MISSING")}


def test_row_02_withdrawn() -> None:
    assert found(decide(course(*cycles(3.5), flags=flagged(withdrawn=True)))) == {(2, "STOP", "WITHDRAWN")}


@pytest.mark.parametrize(
    ("patient", "code"),
    [
        (course(*reversed(cycles(3.5, 3.5))), "DATA_INVALID_DATES"),
        (course(*cycles(3.5), *cycles(3.5)), "DATA_INVALID_DATES"),
        (course(replace(cycles(3.5)[0], given_on=DECISION_DAY + timedelta(days=1))), "DATA_INVALID_DATES"),
        (course(replace(cycles(3.5)[0], activity_gbq=0.0)), "DATA_INVALID_ACTIVITY"),
        (course(*cycles(3.5), planned_activity_gbq=-7.4), "DATA_INVALID_ACTIVITY"),
        (course(*cycles(3.5), planned_activity_gbq=float("nan")), "DATA_INVALID_ACTIVITY"),
        (course(*cycles(-0.1)), "DATA_INVALID_DOSE"),
        (course(*cycles(float("nan"))), "DATA_INVALID_DOSE"),
        (course(*cycles(3.5, marrow_gy=-0.1)), "DATA_INVALID_DOSE"),
        (course(*cycles(3.5, kidney_left_gy=-1.0, kidney_right_gy=-1.0)), "DATA_INVALID_DOSE"),
        (course(*cycles(3.5), panels=(panel(), panel(date(2026, 4, 14), wbc_per_nl=-1.0))), "DATA_INVALID_COUNTS"),
        (course(*cycles(3.5), panels=(panel(platelets_per_nl=10001.0),)), "DATA_INVALID_COUNTS"),
        (course(*cycles(3.5), panels=(panel(granulocytes_per_nl=57.0),)), "DATA_INVALID_COUNTS"),
        (course(*cycles(3.5), panels=(panel(granulocytes_per_nl=4.411),)), "DATA_INVALID_COUNTS"),
        (course(*cycles(3.5), panels=(panel(granulocytes_per_nl=57.0, wbc_per_nl=2.0),)), "DATA_INVALID_COUNTS"),
        (course(*cycles(3.5), panels=(panel(granulocytes_per_nl=57.0, neutrophils_only=True),)), "DATA_INVALID_COUNTS"),
        (course(replace(cycles(3.5)[0], activity_gbq=100.1)), "DATA_INVALID_ACTIVITY"),
        (course(*cycles(3.5), worst_haematological_grade=6), "DATA_INVALID_GRADE"),
        (course(*cycles(3.5), data_faults=("DATA_INVALID_UNIT",)), "DATA_INVALID_UNIT"),
    ],
)
def test_row_03_data_invalid(patient, code) -> None:
    decision = decide(patient)
    assert decision.outcome == "REFER"
    assert (3, "REFER", code) in found(decision)


@pytest.mark.parametrize(
    ("wbc", "granulocytes", "outcome"), [(4.2, 4.4, "GIVE"), (2.0, 2.4, "WAIT"), (3.01, 3.16, "GIVE")]
)
def test_row_03_granulocytes_within_five_percent_of_the_leukocytes_are_usable(wbc, granulocytes, outcome) -> None:
    # 1.05 x wbc, and 1.05 x 3.0 where the leukocytes themselves are below their gate (project choice).
    patient = course(*cycles(3.5), panels=(panel(wbc_per_nl=wbc, granulocytes_per_nl=granulocytes),))
    assert decide(patient).outcome == outcome


def test_row_03_every_fault_that_can_be_found_is_said_in_words() -> None:
    from pipeline.records.course import ERROR_FAULT, GAP_FAULT

    for code in (GAP_FAULT, ERROR_FAULT):
        reasons = [r for r in decide(course(*cycles(3.5), data_faults=(code,))).reasons if r.code == code]
        assert [reason.text for reason in reasons] == [FAULT_TEXTS[code]]


def test_row_04_kidney_dose_reached_even_if_another_cycle_is_missing() -> None:
    decision = decide(course(*cycles(11.5, None, 11.5)))
    assert found(decision) == {(4, "STOP", "KIDNEY_DOSE_REACHED"), (6, "REFER", "KIDNEY_DOSIMETRY_MISSING")}
    assert decision.stop_category == "KIDNEY_DOSE"


@pytest.mark.parametrize(("kidney_gy", "stops"), [(23.0 - 0.9e-6, True), (23.0 - 1.1e-6, False)])
def test_row_04_tolerance_is_one_microgray(kidney_gy, stops) -> None:
    codes = {code for _, _, code in found(decide(course(*cycles(kidney_gy)), kidney_rule="reached"))}
    assert ("KIDNEY_DOSE_REACHED" in codes) is stops


def test_row_04_ten_cycles_of_2_3_gy_are_reached() -> None:
    # 10 x 2.3 is 23.000000000000004 or 22.999999999999996 in binary, by the order of the additions (section 2.5).
    assert (4, "STOP", "KIDNEY_DOSE_REACHED") in found(decide(course(*cycles(*[2.3] * 10)), kidney_rule="reached"))


def test_row_05_marrow_dose_reached() -> None:
    assert found(decide(course(*cycles(3.5, marrow_gy=2.0)))) == {(5, "STOP", "MARROW_DOSE_REACHED")}


@pytest.mark.parametrize("status", ["MISSING", "DRAFT"])
def test_row_06_kidney_dosimetry_missing(status) -> None:
    decision = decide(course(*cycles(3.5, kidney_status=status)))
    assert found(decision) == {(6, "REFER", "KIDNEY_DOSIMETRY_MISSING")}
    assert decision.cumulative["kidney_gy"] == 0.0
    assert decision.projected["kidney_gy"] is None


def test_row_06_a_signed_imputed_dose_counts() -> None:
    decision = decide(course(*cycles(3.5, kidney_status="IMPUTED_SIGNED")))
    assert decision.outcome == "GIVE"
    assert decision.cumulative["kidney_gy"] == 3.5


def test_row_07_marrow_dosimetry_missing() -> None:
    expected = {(7, "REFER", "MARROW_DOSIMETRY_MISSING")}
    assert found(decide(course(*cycles(3.5, marrow_gy=None)))) == expected
    assert found(decide(course(*cycles(3.5, marrow_status="DRAFT")))) == expected


def test_row_07_image_based_marrow_is_never_tested_against_the_blood_based_limit() -> None:
    # Section 0, fact 3: 9 Gy by vertebral SPECT is a REFER, not a STOP.
    decision = decide(course(*cycles(3.5, marrow_gy=9.0, marrow_method="image_vertebra")))
    assert found(decision) == {(7, "REFER", "MARROW_METHOD_MISMATCH")}
    assert decision.cumulative["marrow_gy"] == 0.0


def test_row_07_missing_and_mismatch_may_both_be_listed() -> None:
    given = cycles(3.5, 3.5, 3.5)
    mixed = (replace(given[0], marrow_gy=None), replace(given[1], marrow_method="image_aorta"), given[2])
    codes = {code for _, _, code in found(decide(course(*mixed)))}
    assert codes == {"MARROW_DOSIMETRY_MISSING", "MARROW_METHOD_MISMATCH"}


@pytest.mark.parametrize(
    ("left_gy", "right_gy", "refers"),
    [(3.45, 2.55, False), (3.46, 2.54, True), (4.6, 3.4, False), (3.0, None, False), (0.0, 0.0, False)],
)
def test_row_08_asymmetry_above_30_percent_of_the_mean(left_gy, right_gy, refers) -> None:
    # 3.45 and 2.55 differ by exactly 0.30 of their mean, which is 0.3000000000000001 in binary.
    given = cycles(3.0, kidney_left_gy=left_gy, kidney_right_gy=right_gy)
    expected = {(8, "REFER", "KIDNEY_ASYMMETRY")} if refers else set()
    assert found(decide(course(*given))) == expected
    acknowledged = replace(given[0], asymmetry_acknowledged=True)
    assert decide(course(acknowledged)).outcome == "GIVE"
    assert found(decide(course(*given, protocol="ROTTERDAM_4"))) == expected


@pytest.mark.parametrize(("kidney_gy", "stops"), [(11.5, False), (11.5 + 0.4e-6, False), (11.5 + 0.6e-6, True)])
def test_row_09_the_projection_must_exceed_the_limit(kidney_gy, stops) -> None:
    # One cycle of D: projected 2 D against 23 Gy + 1e-6 Gy.
    expected = {(9, "STOP", "KIDNEY_DOSE_PROJECTED")} if stops else set()
    assert found(decide(course(*cycles(kidney_gy)))) == expected


def test_row_09_reached_rule_gives_with_an_advisory() -> None:
    decision = decide(course(*cycles(12.0)), kidney_rule="reached")
    assert (decision.outcome, decision.advisories) == ("GIVE", ("KIDNEY_PROJECTED_ABOVE_LIMIT",))


def test_row_09_projection_uses_the_planned_activity_before_the_reduction() -> None:
    patient = course(*cycles(12.0), planned_activity_gbq=3.7, flags=flagged(reduce_30_ordered=True))
    assert decide(patient).projected["kidney_gy"] == pytest.approx(18.0, abs=1e-12)


@pytest.mark.parametrize(("source", "projected_gy"), [("last", 8.0), ("mean", 9.0), ("max", 10.0)])
def test_row_09_projection_sources(source, projected_gy) -> None:
    # Doses 4 and 2 Gy of 7.4 GBq each: 6 + 2, 6 + 3, 6 + 4 Gy.
    decision = decide(course(*cycles(4.0, 2.0)), projection_source=source)
    assert decision.projected["kidney_gy"] == pytest.approx(projected_gy, abs=1e-12)


def test_row_10_marrow_dose_projected() -> None:
    assert found(decide(course(*cycles(3.5, marrow_gy=1.1)))) == {(10, "STOP", "MARROW_DOSE_PROJECTED")}
    decision = decide(course(*cycles(3.5, marrow_gy=1.1)), marrow_rule="reached")
    assert (decision.outcome, decision.advisories) == ("GIVE", ("MARROW_PROJECTED_ABOVE_LIMIT",))


def test_rows_09_and_10_the_rules_are_independent() -> None:
    decision = decide(course(*cycles(12.0, marrow_gy=1.1)), kidney_rule="reached")
    assert found(decision) == {(10, "STOP", "MARROW_DOSE_PROJECTED")}


@pytest.mark.parametrize("number", [4, 5])
def test_row_11_standard_protocol_complete(number) -> None:
    decision = decide(course(*cycles(*[3.5] * number), protocol="ROTTERDAM_4"))
    assert found(decision) == {(11, "STOP", "STANDARD_PROTOCOL_COMPLETE")}


def test_rows_04_to_10_do_not_apply_to_rotterdam_in_the_primary_phase() -> None:
    decision = decide(course(*cycles(24.0, marrow_gy=2.5), protocol="ROTTERDAM_4"))
    assert (decision.outcome, decision.reasons) == ("GIVE", ())
    assert decision.advisories == ("KIDNEY_LIMIT_EXCEEDED", "MARROW_LIMIT_EXCEEDED")  # S-07
    salvage = decide(course(*cycles(41.0), protocol="ROTTERDAM_4", phase="SALVAGE", salvage=ELIGIBLE))
    assert found(salvage) == {(4, "STOP", "KIDNEY_DOSE_REACHED")}


@pytest.mark.parametrize("missing", CONDITIONS)
def test_row_12_salvage_needs_all_four_conditions(missing) -> None:
    status = replace(ELIGIBLE, **{missing: False})
    decision = decide(course(*cycles(3.5), phase="SALVAGE", salvage=status))
    assert found(decision) == {(12, "REFER", "SALVAGE_NOT_ELIGIBLE")}


def test_row_12_salvage_has_its_own_kidney_limit() -> None:
    assert decide(course(*cycles(19.0), phase="SALVAGE", salvage=ELIGIBLE)).outcome == "GIVE"
    projected = decide(course(*cycles(20.1), phase="SALVAGE", salvage=ELIGIBLE))
    assert found(projected) == {(9, "STOP", "KIDNEY_DOSE_PROJECTED")}


def test_row_13_progression_since_the_start_of_this_phase() -> None:
    disease = ResponseAssessment(date(2026, 4, 10), "CT", "PD")
    assert found(decide(course(*cycles(3.5), assessments=(disease, CT)))) == {(13, "STOP", "PROGRESSION")}
    assert found(decide(course(*cycles(3.5), recorded_response="PD"))) == {(13, "STOP", "PROGRESSION")}
    earlier = course(*cycles(3.5), assessments=(disease,), phase_started_on=date(2026, 4, 11))
    assert decide(earlier).outcome == "GIVE"


def test_row_13_later_progression_is_named_but_is_no_evidence_on_the_day() -> None:
    later = ResponseAssessment(date(2026, 5, 1), "CT", "PD")
    decision = decide(course(*cycles(3.5), assessments=(CT, later)))
    assert (decision.outcome, decision.advisories) == ("GIVE", ("PROGRESSION_AFTER_DECISION_DATE",))


def test_row_14_progression_that_is_not_recist() -> None:
    decision = decide(course(*cycles(3.5), flags=flagged(progression_non_recist=True)))
    assert found(decision) == {(14, "REFER", "PROGRESSION_NON_RECIST")}


@pytest.mark.parametrize(
    ("flag", "code", "category"),
    [
        ("deterioration", "GENERAL_DETERIORATION", "DETERIORATION"),
        ("tumour_load_decrease", "TUMOUR_LOAD_DECREASE", "TUMOUR_DECREASE"),
        ("marrow_toxicity_stop", "BONE_MARROW_TOXICITY", "BONE_MARROW_TOXICITY"),
    ],
)
def test_row_15_physician_stops(flag, code, category) -> None:
    decision = decide(course(*cycles(3.5), flags=flagged(**{flag: True})))
    assert found(decision) == {(15, "STOP", code)}
    assert decision.stop_category == category


@pytest.mark.parametrize(("grade", "refers"), [(None, False), (2, False), (3, True), (4, True)])
def test_row_16_haematotoxicity(grade, refers) -> None:
    expected = {(16, "REFER", "HAEMATOTOXICITY_G3")} if refers else set()
    assert found(decide(course(*cycles(3.5), worst_haematological_grade=grade))) == expected
    assert found(decide(course(worst_haematological_grade=grade))) == expected  # before cycle 1 too


def test_row_16_only_the_marrow_decision_clears_it() -> None:
    reduced = course(*cycles(3.5), worst_haematological_grade=3, flags=flagged(reduce_30_ordered=True))
    assert decide(reduced).outcome == "REFER"
    decided = course(*cycles(3.5), worst_haematological_grade=3, flags=flagged(marrow_toxicity_continue=True))
    assert decide(decided).outcome == "GIVE"


@pytest.mark.parametrize(
    ("number", "assessments", "refers"),
    [
        (1, (), False),
        (2, (), True),
        (3, (), False),
        (4, (), True),
        (2, (replace(CT, assessed_on=LAST_CYCLE_DAY - timedelta(days=49)),), True),  # on the day of cycle 1
        (2, (replace(CT, assessed_on=LAST_CYCLE_DAY - timedelta(days=48)),), False),
        (2, (replace(CT, assessed_on=DECISION_DAY + timedelta(days=1)),), True),
        (2, (replace(CT, modality="SPECT/CT"),), True),
        (2, (replace(CT, modality="mri"),), False),
    ],
)
def test_row_17_response_imaging(number, assessments, refers) -> None:
    decision = decide(course(*cycles(*[3.5] * number), assessments=assessments))
    assert found(decision) == ({(17, "REFER", "RESPONSE_IMAGING_MISSING")} if refers else set())
    assert decide(course(*cycles(*[3.5] * number), assessments=()), response_imaging_required=False).outcome == "GIVE"


def test_row_26_second_check_failed() -> None:
    decision = decide(course(*cycles(3.5, second_check_failed=True)))
    assert found(decision) == {(26, "REFER", "SECOND_CHECK_FAILED")}
