"""RECIST 1.1, marker response and grade: vectors of sections 4.3, 4.4 and S-28, S-44 (clinical specification)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from refused import refused

from pipeline.rules.eligibility import BeforeFirstCycle, eligibility_advisories, net_grade
from pipeline.rules.response import (
    TOO_SMALL_TENTHS,
    TargetLesion,
    best_overall_response,
    biochemical_response,
    overall_response,
    target_response,
    target_responses,
    tenths_of_mm,
)


def lesions(*diameters_mm: float | None, nodes: bool = False) -> tuple[TargetLesion, ...]:
    return tuple(TargetLesion(None if d is None else tenths_of_mm(d), nodes) for d in diameters_mm)


@pytest.mark.parametrize(
    ("baseline_mm", "nadir_mm", "now_mm", "response"),
    [
        (100.0, 100.0, 70.0, "PR"),
        (100.0, 100.0, 70.1, "SD"),
        (40.0, 24.0, 29.0, "PD"),  # +20.8 %, +5.0 mm
        (40.0, 20.0, 24.0, "PR"),  # +20 %, +4.0 mm: no PD, and -40 % of 40
        (25.0, 20.0, 24.0, "SD"),
        (36.0, 30.0, 35.9, "SD"),  # +19.7 %
        (36.0, 30.0, 36.0, "PD"),
        (50.0, 30.0, 36.0, "PD"),  # although -28 % of the baseline
        (50.0, 25.0, 30.0, "PD"),  # exactly +20 % and +5.0 mm
        (50.0, 0.0, 0.1, "PD"),  # reappeared
        (50.0, 0.0, 0.0, "CR"),  # still gone
        (1000.0, 100.0, 119.9, "PR"),  # +19.9 %
    ],
)
def test_target_response(baseline_mm, nadir_mm, now_mm, response) -> None:
    found = target_response(lesions(now_mm), tenths_of_mm(baseline_mm), tenths_of_mm(nadir_mm))
    assert found == response


def test_complete_response_of_nodes_alone_keeps_their_real_short_axes() -> None:
    assert target_response(lesions(9.9, 9.9, nodes=True), 400, 300) == "CR"
    assert target_response(lesions(10.0, 9.9, nodes=True), 400, 300) == "PR"
    assert target_response((*lesions(0.0), *lesions(9.9, nodes=True)), 400, 300) == "CR"
    assert target_response((TargetLesion(TOO_SMALL_TENTHS), *lesions(9.9, nodes=True)), 400, 300) == "PR"


def test_too_small_to_measure_is_5_mm() -> None:
    assert tenths_of_mm(5.0) == TOO_SMALL_TENTHS  # RECIST 1.1, default of lesions present but too small


def test_a_missing_measurement_is_not_evaluable_unless_the_rest_proves_progression() -> None:
    assert target_response(lesions(10.0, None), 400, 200) == "NE"
    assert TargetLesion(None).is_clear is False
    assert target_response(lesions(25.0, None), 400, 200) == "PD"
    assert target_response(lesions(24.9, None), 400, 199) == "PD"
    assert target_response(lesions(24.9, None), 400, 200) == "NE"  # what is missing adds nothing to the sum
    assert target_response((), 0, 0) == "NONE"


def test_the_nadir_includes_the_baseline_and_only_complete_visits() -> None:
    visits = [lesions(30.0, 20.0), lesions(20.0, 10.0), lesions(5.0, None), lesions(22.0, 14.0)]
    assert target_responses(visits) == ("PR", "NE", "PD")


def test_an_incomplete_baseline_is_refused() -> None:
    for visits in ([], [lesions(30.0, None)], [lesions(30.0), lesions(20.0, 10.0)]):
        with refused("RECIST_INVALID", where="target lesions", found=f"{len(visits)} visits with"):
            target_responses(visits)


@pytest.mark.parametrize("diameter", [12.34, -1.0, "wide", float("nan"), float("inf")])
def test_diameters_are_never_rounded(diameter) -> None:
    with refused("RECIST_INVALID", where="target lesions", found=f"diameter {diameter} mm"):
        tenths_of_mm(diameter)


def test_a_tenth_of_a_millimetre_and_none_at_all_are_diameters() -> None:
    assert (tenths_of_mm("0.1"), tenths_of_mm(0), tenths_of_mm(12.3)) == (1, 0, 123)


@pytest.mark.parametrize(
    ("target", "non_target", "new_lesion", "overall"),
    [
        ("CR", "CR", False, "CR"),
        ("CR", "NONE", False, "CR"),
        ("CR", "NON_CR_NON_PD", False, "PR"),
        ("CR", "NE", False, "PR"),
        ("PR", "CR", False, "PR"),
        ("PR", "NE", False, "PR"),
        ("SD", "NON_CR_NON_PD", False, "SD"),
        ("NE", "CR", False, "NE"),
        ("PD", "CR", False, "PD"),
        ("CR", "PD", False, "PD"),
        ("CR", "CR", True, "PD"),
        ("NE", "NE", True, "PD"),
        ("NONE", "CR", False, "CR"),
        ("NONE", "NON_CR_NON_PD", False, "NON_CR_NON_PD"),
        ("NONE", "PD", False, "PD"),
        ("NONE", "NONE", False, "NE"),
    ],
)
def test_overall_response(target, non_target, new_lesion, overall) -> None:
    assert overall_response(target, non_target, new_lesion=new_lesion) == overall


def test_no_lesion_is_new_unless_said() -> None:
    assert overall_response("CR", "CR") == "CR"


@pytest.mark.parametrize(
    ("visits", "therapy", "best"),
    [
        ([(90, "SD"), (180, "PR"), (270, "SD")], None, "PR"),
        ([(270, "SD"), (90, "SD"), (180, "PR")], None, "PR"),
        ([(90, "PD"), (180, "CR")], None, "PD"),
        ([(41, "SD")], None, "NE"),
        ([(42, "SD")], None, "SD"),
        ([(41, "SD"), (90, "PD")], None, "PD"),
        ([(90, "SD"), (180, "PR")], 120, "SD"),
        ([(90, "SD"), (180, "PR")], 180, "PR"),  # a visit on the very day of the next therapy counts
        ([(41, "NON_CR_NON_PD")], None, "NE"),
        ([(42, "NON_CR_NON_PD")], None, "NON_CR_NON_PD"),
        ([(41, "PR")], None, "PR"),
        ([], None, "NE"),
    ],
)
def test_best_overall_response(visits, therapy, best) -> None:
    assert best_overall_response(visits, therapy) == best


@pytest.mark.parametrize(
    ("baseline", "lowest", "responds"),
    [
        (100.0, 50.0, True),
        (100.0, 50.1, False),
        (4.0, 2.9, True),
        (4.0, 3.0, True),
        (4.0, 3.1, False),
        (3.0, 1.0, None),
    ],
)
def test_biochemical_response(baseline, lowest, responds) -> None:
    # Upper normal limit 3.0: at least a half, or normal (S-44).
    assert biochemical_response(baseline, lowest, 3.0) is responds


@pytest.mark.parametrize(
    ("ki67", "mitoses", "edition", "grade"),
    [
        (2.0, None, "WHO2010", "G1"),
        (2.5, None, "WHO2010", "AMBIGUOUS"),
        (2.5, None, "WHO2019", "G1"),
        (3.0, None, "WHO2019", "G2"),
        (20.0, None, "WHO2010", "G2"),
        (20.1, None, "WHO2010", "G3"),
        (1.0, 2.0, "WHO2019", "G2"),
        (2.5, 5.0, "WHO2010", "G2"),
        (None, 21.0, "WHO2019", "G3"),
        (None, 20.0, "WHO2019", "G2"),
        (None, 1.9, "WHO2019", "G1"),
        (0.0, 0.0, "WHO2019", "G1"),
        (2.5, 1.0, "WHO2010", "AMBIGUOUS"),  # between G1 and G2, so above the G1 of the mitoses
        (2.5, 25.0, "WHO2010", "G3"),
        (5.0, 25.0, "WHO2019", "G3"),
        (25.0, 5.0, "WHO2019", "G3"),
        (None, None, "WHO2019", None),
    ],
)
def test_net_grade(ki67, mitoses, edition, grade) -> None:
    assert net_grade(ki67, mitoses, edition) == grade


@pytest.mark.parametrize(("ki67", "mitoses"), [(-0.1, None), (5.0, -0.1), (float("nan"), None)])
def test_an_index_below_0_is_refused(ki67, mitoses) -> None:
    found = f"index {ki67 if mitoses is None else mitoses}"
    with refused("NET_GRADE_INVALID", where="pathology", found=found):
        net_grade(ki67, mitoses, "WHO2019")


START = datetime(2026, 3, 31, 10, 0, tzinfo=UTC)
READY = {
    "krenning": 3,
    "chemotherapy_stopped_on": date(2026, 2, 28),
    "long_acting_ssa_on": date(2026, 3, 17),
    "short_acting_ssa_at": datetime(2026, 3, 30, 22, 0, tzinfo=UTC),
    "amino_acids_given": True,
    "baseline_imaging_on": date(2026, 2, 28),
}


def test_a_patient_who_meets_every_condition_has_one_advisory_left() -> None:
    # One calendar month after 28 February is 28 March, before the start on 31 March: the imaging is too old.
    assert eligibility_advisories(BeforeFirstCycle(START, **READY)) == ("BASELINE_IMAGING_NOT_WITHIN_ONE_MONTH",)


@pytest.mark.parametrize(
    ("change", "advisory"),
    [
        ({"krenning": 2}, "KRENNING_BELOW_3"),
        ({"krenning": None}, "KRENNING_NOT_RECORDED"),
        ({"chemotherapy_stopped_on": date(2026, 3, 1)}, "CHEMOTHERAPY_WITHIN_ONE_MONTH"),
        ({"long_acting_ssa_on": date(2026, 3, 18)}, "LONG_ACTING_SSA_WITHIN_14_DAYS"),
        ({"short_acting_ssa_at": datetime(2026, 3, 30, 22, 1, tzinfo=UTC)}, "SHORT_ACTING_SSA_WITHIN_12_HOURS"),
        ({"amino_acids_given": None}, "KIDNEY_PROTECTION_NOT_RECORDED"),
    ],
)
def test_eligibility_advisories(change, advisory) -> None:
    ready = READY | {"baseline_imaging_on": date(2026, 3, 15)}
    assert eligibility_advisories(BeforeFirstCycle(START, **ready)) == ()
    assert eligibility_advisories(BeforeFirstCycle(START, **(ready | change))) == (advisory,)


@pytest.mark.parametrize(
    ("day", "late"),
    [
        (None, True),
        (date(2026, 2, 27), True),
        (date(2026, 3, 1), False),
        (date(2026, 3, 31), False),  # on the day of the start
        (date(2026, 4, 1), True),  # after it
    ],
)
def test_baseline_imaging_is_of_the_month_before_the_start(day, late) -> None:
    advisories = eligibility_advisories(BeforeFirstCycle(START, **(READY | {"baseline_imaging_on": day})))
    assert advisories == (("BASELINE_IMAGING_NOT_WITHIN_ONE_MONTH",) if late else ())


def test_one_month_to_the_day_after_chemotherapy_and_imaging_is_enough() -> None:
    start = datetime(2026, 3, 30, 10, 0, tzinfo=UTC)
    ready = READY | {
        "chemotherapy_stopped_on": date(2026, 2, 28),
        "long_acting_ssa_on": date(2026, 3, 16),
        "short_acting_ssa_at": datetime(2026, 3, 29, 22, 0, tzinfo=UTC),
        "baseline_imaging_on": date(2026, 3, 1),
    }
    assert eligibility_advisories(BeforeFirstCycle(start, **ready)) == ()
    month = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
    same = ready | {"baseline_imaging_on": date(2026, 2, 28), "long_acting_ssa_on": None, "short_acting_ssa_at": None}
    assert eligibility_advisories(BeforeFirstCycle(month, **same)) == ()
