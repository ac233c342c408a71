"""Every spelling of a field of a decision case is read as the field it spells, into the course that is decided on."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from course_builders import LIMITS

from pipeline.rules.cases import check_case, check_cases, course_from_case

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.domain.decision import PatientCourse
    from pipeline.rules.limits import ProtocolLimits

Record = dict[str, Any]
# Value, then the spellings of a field; the first one is that of section 2.5 or of the file format.
PATIENT: list[tuple[Any, tuple[str, ...]]] = [
    ("2026-04-21", ("decision_date", "decided_on", "decision", "on")),
    (6.5, ("planned_activity_gbq", "planned_gbq", "planned_activity", "planned", "prescribed_gbq", "activity_gbq")),
    ("2026-01-01", ("phase_started_on", "phase_start", "phase_started", "phase_start_date")),
    (2, ("heme_grade", "haem_grade", "hematological_grade", "haematological_grade", "worst_heme_grade", "worst_grade")),
    ("PR", ("recist", "response")),
    ("2026-04-11", ("imaging_date", "ct_date")),
    ("PET", ("imaging_modality", "modality")),
    ([{"date": "2026-04-01", "recist": "PR"}], ("assessments", "imaging", "responses")),
    ([{"date": "2026-04-14", "wbc": 5.0}], ("labs", "panels", "blood")),
    ("/uL", ("lab_unit", "lab_units", "labs_unit", "labs_units", "count_unit", "units")),
    ({"ordered": True}, ("salvage", "salvage_status")),
    ({"dead": True}, ("flags", "clinician_flags")),
    (
        True,
        (
            "marrow_tox_stop",
            "marrow_toxicity_stop",
            "marrow_stop",
            "bone_marrow_toxicity",
            "bone_marrow_toxicity_stop",
        ),
    ),
    ("2026-04-01", ("death_date", "date_of_death", "died_on")),
    (True, ("dead", "deceased", "died", "death")),
    (True, ("withdrawn", "consent_withdrawn", "withdrew")),
    (
        True,
        (
            "pd_other",
            "progression_non_recist",
            "pd_non_recist",
            "progression_other",
            "pd_scintigraphic",
            "pd_clinical",
            "pd_marker",
        ),
    ),
    (True, ("deterioration", "general_deterioration", "deterioration_stop", "deteriorated")),
    (
        True,
        (
            "tumour_decrease",
            "tumor_decrease",
            "tumour_load_decrease",
            "tumor_load_decrease",
            "tumour_decrease_stop",
            "tumour_load_decrease_stop",
            "load_decrease",
            "tumour_stop",
            "tumor_stop",
        ),
    ),
    (
        True,
        (
            "physician_reduce30",
            "physician_reduce_30",
            "reduce30",
            "reduce_30",
            "reduce_30_ordered",
            "reduce30_ordered",
            "physician_order_reduce30",
            "reduction_ordered",
        ),
    ),
    (True, ("asymmetry_ack", "asym_ack", "asymmetry_acknowledged", "kidney_asymmetry_acknowledged", "lr_ack")),
]
CYCLE: list[tuple[Any, tuple[str, ...]]] = [
    ("2026-03-03", ("date", "given_on", "administered_at", "datetime")),
    (6.0, ("gbq", "activity_gbq", "activity")),
    (4.1, ("kidney", "kidney_gy", "kidney_mean", "kmean")),
    (4.2, ("kl", "kidney_l", "kidney_left", "kidney_left_gy", "k_l")),
    (4.3, ("kr", "kidney_r", "kidney_right", "kidney_right_gy", "k_r")),
    (0.2, ("marrow", "marrow_gy")),
    (0.3, ("ksigma", "kidney_sigma", "kidney_sigma_gy", "ku", "kidney_u")),
    (0.04, ("msigma", "marrow_sigma", "marrow_sigma_gy", "mu", "marrow_u")),
    ("DRAFT", ("kstatus", "kidney_status", "k_status")),
    ("DRAFT", ("mstatus", "marrow_status", "m_status")),
    ("image_vertebra", ("mmethod", "marrow_method", "m_method")),
    ("MBq", ("activity_unit", "unit")),
    ("cGy", ("dose_unit", "dose_units")),
    ("mGy", ("kidney_unit", "kunit")),
    ("mGy", ("marrow_unit", "munit")),
]
PANEL: list[tuple[Any, tuple[str, ...]]] = [
    ("2026-04-14", ("date", "sampled_on", "sample_date")),
    ("/uL", ("unit", "units")),
    ("/uL", ("wbc_unit", "wbc_units")),
    ("/uL", ("plt_unit", "plt_units")),
]
ASSESSMENT: list[tuple[Any, tuple[str, ...]]] = [
    ("2026-04-02", ("date", "assessed_on", "imaging_date")),
    ("PD", ("recist", "category", "response")),
    ("PET", ("modality",)),
]
SALVAGE: list[tuple[Any, tuple[str, ...]]] = [
    (True, ("primary_completed", "completed")),
    (True, ("favourable_response", "favorable_response", "favourable", "favorable")),
    (True, ("progressed_after", "progressed", "progression_after")),
    (True, ("ordered", "order", "physician_order")),
]


def case(**patient: Any) -> Record:
    """Return the base patient of section 2.5 after one cycle, with these fields put over it."""
    record: Record = {
        "decision_date": "2026-04-20",
        "cycles": [{"date": "2026-03-02", "gbq": 7.4, "kidney": 3.5, "marrow": 0.12}],
        "labs": [{"date": "2026-04-15", "wbc": 4.2, "gran": 2.4, "plt": 160}],
        "imaging_date": "2026-04-10",
        "recist": "SD",
    }
    return {"id": "X", "patient": record | patient}


def limits_for(config: Mapping[str, Any]) -> ProtocolLimits:
    assert config == {}
    return LIMITS


def read(record: Record) -> PatientCourse:
    return course_from_case(record, limits_for)[0]


def part(whole: Record, kind: str) -> Record:
    """Return the object of a case that holds the fields of one kind."""
    patient: Record = whole["patient"]
    patient.setdefault("assessments", [{"date": "2026-04-01"}])
    patient.setdefault("salvage", {"primary_completed": False})
    parts = {
        "patient": patient,
        "cycle": patient["cycles"][0],
        "panel": patient["labs"][0],
        "assessment": patient["assessments"][0],
        "salvage": patient["salvage"],
    }
    found: Record = parts[kind]
    return found


def spelled(kind: str, first: str, name: str, value: Any) -> PatientCourse:
    """Read the base case with a field under one of its names, in place of the first one."""
    whole = case()
    record = part(whole, kind)
    if kind == "patient":
        record.pop("assessments")
        record.pop("salvage")
    record.pop(first, None)
    record[name] = value
    return read(whole)


def spellings() -> Iterator[tuple[str, str, str, Any]]:
    kinds = {"patient": PATIENT, "cycle": CYCLE, "panel": PANEL, "assessment": ASSESSMENT, "salvage": SALVAGE}
    for kind, fields in kinds.items():
        for value, names in fields:
            yield from ((kind, names[0], name, value) for name in names)


@pytest.mark.parametrize(("kind", "first", "name", "value"), list(spellings()))
def test_a_spelling_is_read_as_its_field(kind: str, first: str, name: str, value: Any) -> None:
    expected = spelled(kind, first, first, value)
    untouched = case()
    part(untouched, kind)
    assert expected.data_faults == ()
    assert expected not in (read(untouched), read(case()))
    for spelling in (name, name.upper().replace("_", "-"), f" {name} "):
        assert spelled(kind, first, spelling, value) == expected


def test_megabecquerel_are_a_thousandth() -> None:
    for name in ("mbq", "activity_mbq"):
        cycle = {"date": "2026-03-02", name: 7400, "kidney": 3.5, "marrow": 0.12}
        assert read(case(cycles=[cycle])).cycles[0].activity_gbq == pytest.approx(7.4, rel=1e-15)


@pytest.mark.parametrize(("value", "unit"), [(7.4, "GBq"), (7400, "MBq"), (7.4e9, "Bq")])
def test_units_of_an_activity(value: float, unit: str) -> None:
    cycle = {"date": "2026-03-02", "activity": value, "activity_unit": unit}
    assert read(case(cycles=[cycle])).cycles[0].activity_gbq == pytest.approx(7.4, rel=1e-15)


def test_an_activity_that_is_absent_is_not_a_number() -> None:
    assert math.isnan(read(case(cycles=[{"date": "2026-03-02"}])).cycles[0].activity_gbq)


@pytest.mark.parametrize(("unit", "factor"), [("Gy", 1.0), ("cGy", 0.01), (" mGy ", 0.001), ("GY", 1.0)])
def test_one_unit_for_all_doses_of_a_cycle(unit: str, factor: float) -> None:
    cycle = {
        "date": "2026-03-02",
        "gbq": 7.4,
        "kidney": 3.5,
        "kl": 3.4,
        "ksigma": 0.2,
        "marrow": 0.1,
        "dose_unit": unit,
    }
    course = read(case(cycles=[cycle]))
    found = course.cycles[0]
    assert course.data_faults == ()
    doses = (found.kidney_gy, found.kidney_left_gy, found.kidney_sigma_correlated_gy, found.marrow_gy)
    assert doses == pytest.approx((3.5 * factor, 3.4 * factor, 0.2 * factor, 0.1 * factor), rel=1e-15)
    assert (found.kidney_right_gy, found.marrow_sigma_correlated_gy) == (None, 0.0)


def test_an_unknown_unit_of_doses_is_a_fault_and_leaves_the_numbers() -> None:
    cycle = {"date": "2026-03-02", "gbq": 7.4, "kidney": 3.5, "dose_unit": "rad"}
    course = read(case(cycles=[cycle]))
    assert (course.data_faults, course.cycles[0].kidney_gy) == (("DATA_INVALID_UNIT",), 3.5)


def test_sigmas_that_are_not_stated_are_none() -> None:
    cycle = read(case()).cycles[0]
    assert (cycle.kidney_sigma_correlated_gy, cycle.marrow_sigma_correlated_gy) == (0.0, 0.0)


def test_a_status_that_is_not_known_is_a_draft_and_no_status_is_a_signed_dose() -> None:
    unknown = case(cycles=[{"date": "2026-03-02", "gbq": 7.4, "kidney": 3.5, "kstatus": "PERHAPS"}])
    course = read(unknown)
    assert (course.cycles[0].kidney_status, course.cycles[0].marrow_status) == ("DRAFT", "SIGNED")
    assert course.data_faults == ("DATA_INVALID_FIELD",)


def test_a_count_has_its_own_unit_before_that_of_the_panel() -> None:
    panel = {"date": "2026-04-15", "unit": "10^9/L", "wbc": 4200, "wbc_unit": "/uL", "gran": 2.4, "plt": 160}
    found = read(case(labs=[panel])).panels[0]
    assert (found.wbc_per_nl, found.granulocytes_per_nl, found.platelets_per_nl) == (4.2, 2.4, 160)


@pytest.mark.parametrize(
    ("counts", "granulocytes", "only"),
    [
        ({"gran": 2.4}, 2.4, False),
        ({"gran": 2.4, "anc": 2.0}, 2.4, False),
        ({"anc": 2.0}, 2.0, True),
        ({"anc": 2.0, "eos": 0.25}, 2.25, False),
        ({"anc": 2.0, "eos": 0.25, "baso": 0.125}, 2.375, False),
        ({"eos": 0.25}, None, False),
    ],
)
def test_granulocytes_from_what_the_laboratory_gives(counts: Record, granulocytes: float | None, only: bool) -> None:
    found = read(case(labs=[{"date": "2026-04-15"} | counts])).panels[0]
    assert (found.granulocytes_per_nl, found.neutrophils_only) == (granulocytes, only)


@pytest.mark.parametrize(
    ("word", "stop", "go_on", "faults"),
    [
        ("stop", True, False, ()),
        ("continue", False, True, ()),
        ("Continued", False, True, ()),
        (" go_on ", False, True, ()),
        ("perhaps", False, False, ("DATA_INVALID_FIELD",)),
        (True, False, True, ()),
        (False, False, False, ()),
        (None, False, False, ()),
        (3, False, False, ("DATA_INVALID_FIELD",)),
    ],
)
def test_the_decision_on_haematological_toxicity(word: Any, stop: bool, go_on: bool, faults: tuple[str, ...]) -> None:
    course = read(case(heme_decision=word))
    assert (course.flags.marrow_toxicity_stop, course.flags.marrow_toxicity_continue) == (stop, go_on)
    assert course.data_faults == faults


def test_an_assessment_without_a_modality_is_a_ct_or_mri() -> None:
    course = read(case(assessments=[{"date": "2026-04-01", "recist": "PR"}]))
    assert [(a.assessed_on, a.modality, a.recist) for a in course.assessments] == [
        (date(2026, 4, 1), "CT/MRI", "PR"),
        (date(2026, 4, 10), "CT/MRI", None),
    ]


@pytest.mark.parametrize(
    ("patient", "faults"),
    [
        ({"assessments": [{"recist": "PD"}]}, ("DATA_INVALID_DATES",)),
        ({"assessments": [{"date": "2026-04-01", "lesions": 3}]}, ("DATA_INVALID_FIELD",)),
        ({"assessments": [3]}, ("DATA_INVALID_DATES", "DATA_INVALID_FIELD")),
        ({"labs": [{"wbc": 4.2}]}, ("DATA_INVALID_DATES",)),
        ({"cycles": [{"gbq": 7.4}]}, ("DATA_INVALID_DATES",)),
        ({"cycles": [{"date": "2026-03-02", "gbq": 7.4, "mmethod": 3}]}, ("DATA_INVALID_FIELD",)),
        ({"dead": True, "died": False}, ("DATA_INVALID_FIELD",)),
        ({"Recist": "SD"}, ("DATA_INVALID_FIELD",)),
        ({"decision_date": "soon"}, ("DATA_INVALID_DATES",)),
        ({"lab_unit": 3}, ("DATA_INVALID_UNIT",)),
    ],
)
def test_exactly_these_faults(patient: Record, faults: tuple[str, ...]) -> None:
    assert read(case(**patient)).data_faults == faults


def test_a_case_without_a_readable_date_is_seen_on_the_latest_day_on_record() -> None:
    assert read(case(decision_date=None)).decided_on == date(2026, 4, 15)
    assert read(case(decision_date=None, labs=[])).decided_on == date(2026, 3, 2)
    empty = read(case(decision_date=None, labs=[], cycles=[]))
    assert empty.decided_on <= date(1970, 1, 1)


def test_cases_without_an_identifier_are_numbered_from_1() -> None:
    rows = check_cases([{"patient": {}}, case(), {"patient": {}}], limits_for)["cases"]
    assert [row["id"] for row in rows] == ["case 1", "X", "case 3"]


def test_an_expected_activity_where_none_is_given_does_not_agree() -> None:
    waits = case(labs=[]) | {"expected": {"outcome": "WAIT", "activity_gbq": 7.4}}
    assert check_case(waits, 1, limits_for)["agrees"] is False
    waits["expected"]["activity_gbq"] = None
    assert check_case(waits, 1, limits_for)["agrees"] is True


def test_a_row_states_the_activity_and_an_expectation_that_is_no_object_does_not_agree() -> None:
    row = check_case(case() | {"expected": "GIVE"}, 1, limits_for)
    assert (row["outcome"], row["activity_gbq"], row["agrees"]) == ("GIVE", 7.4, False)
    assert check_case(case(labs=[]), 1, limits_for)["activity_gbq"] is None


def test_what_a_case_does_not_state_is_the_guided_protocol_in_the_primary_phase() -> None:
    assert (read(case()).protocol, read(case()).phase) == ("DOSIMETRY_GUIDED", "PRIMARY")
    assert read(case() | {"config": 3}).data_faults == ("DATA_INVALID_FIELD",)
