"""Property tests of section 2.5 of the clinical specification; each holds for any patient."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

from course_builders import DECISION_DAY, decide
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.decision import (
    BloodPanel,
    ClinicianFlags,
    GivenCycle,
    PatientCourse,
    ResponseAssessment,
    SalvageStatus,
)
from pipeline.rules.counts import counts_per_nl
from pipeline.rules.decide import SEVERITY

DOSE_FIELDS = ("kidney_gy", "marrow_gy")
COUNT_FIELDS = ("wbc_per_nl", "granulocytes_per_nl", "platelets_per_nl")
# Near the limits more often than not.
COUNT_VALUES = {
    "wbc_per_nl": st.sampled_from([2.0, 3.0, 3.01, 4.0]),
    "granulocytes_per_nl": st.sampled_from([1.0, 1.5, 1.51, 2.4]),
    "platelets_per_nl": st.sampled_from([60.0, 100.0, 101.0, 160.0]),
}
EXAMPLES = settings(max_examples=250, deadline=None)


@st.composite
def given_cycles(draw) -> tuple[GivenCycle, ...]:
    gaps = draw(st.lists(st.sampled_from([30, 42, 49, 56, 100]), max_size=6))
    last = draw(st.sampled_from([41, 42, 49, 57, 182, 183, 200]))
    days = [DECISION_DAY - timedelta(days=last + sum(gaps[i:])) for i in range(len(gaps))]
    return tuple(
        GivenCycle(
            given_on=day,
            activity_gbq=draw(st.sampled_from([3.7, 5.18, 7.4])),
            kidney_gy=draw(st.one_of(st.none(), st.sampled_from([0.0, 2.3, 3.5, 4.6, 5.75, 11.5]))),
            kidney_status=draw(st.sampled_from(["SIGNED", "SIGNED", "IMPUTED_SIGNED", "DRAFT"])),
            marrow_gy=draw(st.one_of(st.none(), st.sampled_from([0.0, 0.12, 0.5, 1.0]))),
            marrow_method=draw(st.sampled_from(["blood_planar", "blood_planar", "image_vertebra"])),
        )
        for day in days
    )


@st.composite
def panels(draw) -> BloodPanel:
    age = draw(st.sampled_from([0, 5, 14, 15, 30, 60, 120, 190]))
    values = {name: draw(st.one_of(st.none(), values)) for name, values in COUNT_VALUES.items()}
    return BloodPanel(DECISION_DAY - timedelta(days=age), **values)


@st.composite
def courses(draw) -> PatientCourse:
    assessments = st.builds(
        ResponseAssessment,
        st.sampled_from([DECISION_DAY - timedelta(days=n) for n in (5, 60, 400)]),
        st.sampled_from(["CT", "MRI", "PET/CT"]),
        st.sampled_from(["SD", "PR", "PD", None]),
    )
    return PatientCourse(
        decided_on=DECISION_DAY,
        cycles=draw(given_cycles()),
        panels=tuple(draw(st.lists(panels(), max_size=5))),
        assessments=tuple(draw(st.lists(assessments, max_size=3))),
        protocol=draw(st.sampled_from(["DOSIMETRY_GUIDED", "DOSIMETRY_GUIDED", "ROTTERDAM_4"])),
        phase=draw(st.sampled_from(["PRIMARY", "PRIMARY", "SALVAGE"])),
        salvage=SalvageStatus(primary_completed=True, favourable_response=True, progressed_after=True, ordered=True),
        flags=ClinicianFlags(reduce_30_ordered=draw(st.booleans())),
    )


rules = st.fixed_dictionaries(
    {
        "kidney_rule": st.sampled_from(["projected", "reached"]),
        "marrow_rule": st.sampled_from(["projected", "reached"]),
        "projection_source": st.sampled_from(["last", "mean", "max"]),
        "response_imaging_required": st.booleans(),
    }
)


def with_cycle(patient: PatientCourse, index: int, **changes: object) -> PatientCourse:
    changed = [replace(c, **changes) if i == index else c for i, c in enumerate(patient.cycles)]
    return replace(patient, cycles=tuple(changed))


def with_panel(patient: PatientCourse, index: int, **changes: object) -> PatientCourse:
    changed = [replace(p, **changes) if i == index else p for i, p in enumerate(patient.panels)]
    return replace(patient, panels=tuple(changed))


def severity(patient: PatientCourse, limits: dict[str, object]) -> int:
    return SEVERITY[decide(patient, **limits).outcome]


@EXAMPLES
@given(courses(), rules, st.data())
def test_severity_never_falls_when_a_dose_rises(patient, limits, data) -> None:
    before = severity(patient, limits)
    for index, cycle in enumerate(patient.cycles):
        for field in DOSE_FIELDS:
            dose = getattr(cycle, field)
            if dose is not None:
                more = dose + data.draw(st.sampled_from([1e-7, 0.1, 1.0, 5.0, 20.0]))
                assert severity(with_cycle(patient, index, **{field: more}), limits) >= before


@EXAMPLES
@given(courses(), rules, st.data())
def test_severity_never_falls_when_a_count_falls(patient, limits, data) -> None:
    before = severity(patient, limits)
    for index, blood in enumerate(patient.panels):
        for field in COUNT_FIELDS:
            count = getattr(blood, field)
            if count is not None:
                less = count * data.draw(st.sampled_from([0.0, 0.3, 0.7, 0.999]))
                assert severity(with_panel(patient, index, **{field: less}), limits) >= before


@EXAMPLES
@given(courses(), rules)
def test_blanking_never_turns_another_outcome_into_give(patient, limits) -> None:
    if decide(patient, **limits).outcome == "GIVE":
        return
    for index in range(len(patient.cycles)):
        for field in DOSE_FIELDS:
            assert decide(with_cycle(patient, index, **{field: None}), **limits).outcome != "GIVE"
    latest = max((panel.sampled_on for panel in patient.panels), default=None)
    for index, blood in enumerate(patient.panels):
        for field in COUNT_FIELDS if blood.sampled_on == latest else ():
            assert decide(with_panel(patient, index, **{field: None}), **limits).outcome != "GIVE"


@EXAMPLES
@given(courses(), rules, st.integers(0, 2**32))
def test_the_order_of_panels_and_assessments_changes_nothing(patient, limits, seed) -> None:
    shuffle = random.Random(seed)
    blood, images = list(patient.panels), list(patient.assessments)
    shuffle.shuffle(blood)
    shuffle.shuffle(images)
    shuffled = replace(patient, panels=tuple(blood), assessments=tuple(images))
    assert decide(shuffled, **limits) == decide(patient, **limits)


@EXAMPLES
@given(courses(), rules)
def test_never_more_than_planned_and_only_with_give(patient, limits) -> None:
    decision = decide(patient, **limits)
    assert (decision.activity_gbq is not None) == (decision.outcome == "GIVE")
    assert decision.activity_gbq is None or decision.activity_gbq <= patient.planned_activity_gbq
    assert decision.winning_reasons == decision.reasons[: len(decision.winning_reasons)]


@given(st.integers(1, 400_000))
def test_unit_conversion_of_counts_changes_nothing(per_microlitre) -> None:
    # x / 1000 is the double nearest to the printed decimal, as the reading of that decimal is.
    assert counts_per_nl(float(per_microlitre), "/uL") == float(f"{per_microlitre // 1000}.{per_microlitre % 1000:03d}")


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 2.3, 3.7]), min_size=2, max_size=8), st.randoms())
def test_the_cumulative_dose_does_not_depend_on_the_order_of_addition(doses, shuffle) -> None:
    def total(values: list[float]) -> float:
        given_on = [DECISION_DAY - timedelta(days=49 * (len(values) - i)) for i in range(len(values))]
        cycles = tuple(GivenCycle(day, 7.4, dose) for day, dose in zip(given_on, values, strict=True))
        return decide(PatientCourse(DECISION_DAY, cycles=cycles)).cumulative["kidney_gy"]

    shuffled = list(doses)
    shuffle.shuffle(shuffled)
    assert total(shuffled) == total(doses)
