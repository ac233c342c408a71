"""The worked cases of section 2.5, spellings of their fields, and cases that cannot be read."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RefusalError
from pipeline.rules.cases import check_case, course_from_case
from pipeline.rules.decide import evaluate
from pipeline.settings import load_protocol_limits
from pipeline.steps.rules_check import check_rules

GOLDEN = Path(__file__).parents[2] / "pipeline" / "data" / "commissioning" / "decision_cases.json"
CASES = json.loads(GOLDEN.read_text(encoding="utf-8"))


def run(case: object) -> dict[str, Any]:
    return check_case(case, 1, load_protocol_limits)


def base(number: int = 1, **patient: Any) -> dict[str, Any]:
    """Return the base patient of section 2.5 with 1 to 3 cycles and these fields of the patient put over it."""
    days = ["2025-11-24", "2026-01-12", "2026-03-02"][3 - number :]
    record = {
        "decision_date": "2026-04-20",
        "cycles": [{"date": day, "GBq": 7.4, "kidney": 3.5, "marrow": 0.12} for day in days],
        "labs": [{"date": "2026-04-15", "wbc": 4.2, "gran": 2.4, "plt": 160}],
        "imaging_date": "2026-04-10",
        "recist": "SD",
    }
    return {"id": "X", "patient": record | patient, "config": {}}


def with_cycle(**fields: Any) -> dict[str, Any]:
    case = base()
    case["patient"]["cycles"][0] |= fields
    return case


def with_lab(**fields: Any) -> dict[str, Any]:
    case = base()
    case["patient"]["labs"][0] |= fields
    return case


def outcome(case: object) -> tuple[str, set[str]]:
    row = run(case)
    return row["outcome"], set(row["reasons"])


GIVE: tuple[str, set[str]] = ("GIVE", set())


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_worked_case(case) -> None:
    row = run(case)
    assert row["agrees"] is True, row
    also = case["also_expected"]
    assert row["advisories"] == also["advisories"]
    assert row["options"] == also["options"]
    decision = evaluate(*course_from_case(case, load_protocol_limits))
    assert decision.cumulative["kidney_gy"] == pytest.approx(also["cum_kidney"], abs=1e-9)
    assert decision.cumulative["marrow_gy"] == pytest.approx(also["cum_marrow"], abs=1e-9)
    # Printed to three decimals; absent where rows 9 and 10 do not apply.
    expected = also.get("projected_kidney_Gy")
    assert decision.projected["kidney_gy"] == (None if expected is None else pytest.approx(expected, abs=5e-4))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (with_cycle(kL=4.0, kR=2.0), ("REFER", {"KIDNEY_ASYMMETRY"})),
        (with_cycle(kL=4.0, kR=2.0, asymmetry_ack=True), GIVE),
        (base(asymmetry_ack=True) | {"description": "acknowledged, nothing to acknowledge"}, GIVE),
        (with_cycle(kstatus="IMPUTED_SIGNED"), GIVE),
        (with_cycle(kstatus="MISSING"), ("REFER", {"KIDNEY_DOSIMETRY_MISSING"})),
        (with_cycle(mstatus="DRAFT"), ("REFER", {"MARROW_DOSIMETRY_MISSING"})),
        (with_cycle(second_check_failed=True), ("REFER", {"SECOND_CHECK_FAILED"})),
        (base(withdrawn=True), ("STOP", {"WITHDRAWN"})),
        (base(deterioration=True), ("STOP", {"GENERAL_DETERIORATION"})),
        (base(tumour_decrease=True), ("STOP", {"TUMOUR_LOAD_DECREASE"})),
        (base(flags={"tumour_load_decrease": True}), ("STOP", {"TUMOUR_LOAD_DECREASE"})),
        (base(heme_grade=3), ("REFER", {"HAEMATOTOXICITY_G3"})),
        (base(heme_grade=3, heme_decision="continue"), GIVE),
        (base(heme_grade=3, heme_ack=True), GIVE),
        (base(heme_grade=3, heme_decision="stop"), ("STOP", {"BONE_MARROW_TOXICITY"})),
        (base(phase="SALVAGE"), ("REFER", {"SALVAGE_NOT_ELIGIBLE"})),
        (base(recist="PD", imaging_date=None), ("STOP", {"PROGRESSION"})),
        (base(2, imaging_date=None, assessments=[{"date": "2026-04-10", "modality": "MRI", "recist": "SD"}]), GIVE),
        (with_lab(unit="10^9/L"), GIVE),
        (with_lab(wbc=4200, gran=2400, plt=160000, unit="/uL"), GIVE),
        (with_lab(wbc=3000, gran=2400, plt=160000, unit="/µL"), ("WAIT", {"COUNT_WBC"})),
        (with_lab(wbc=4200, units={"wbc": "/uL"}), GIVE),
        (with_lab(granulocytes=1500, gran=None, units={"granulocytes": "/uL"}), ("REFER", {"DATA_INVALID_FIELD"})),
        (base(units={"activity": "GBq", "dose": "Gy", "counts": "G/L"}), GIVE),
        (with_lab(hb=120, creatinine=80), GIVE),
        (with_cycle(kidney=3500, kidney_unit="mGy"), GIVE),
    ],
)
def test_fields_beyond_the_worked_cases(case, expected) -> None:
    assert outcome(case) == expected


def test_neutrophils_alone() -> None:
    case = base()
    case["patient"]["labs"] = [{"date": "2026-04-15", "wbc": 4.2, "anc": 1.4, "plt": 160}]
    assert outcome(case) == ("WAIT", {"COUNT_GRANULOCYTES"})
    case["patient"]["labs"][0] |= {"eos": 0.2}
    assert outcome(case) == GIVE


def test_missing_labs_after_six_months_refer() -> None:
    case = base(labs=[])
    case["patient"]["cycles"][0]["date"] = "2025-10-19"
    assert outcome(case) == ("REFER", {"LABS_MISSING_PAST_TIMEOUT"})


def test_config_of_one_case() -> None:
    case = base(cycles=[{"date": "2026-03-02", "GBq": 7.4, "kidney": 12.0, "marrow": 0.12}])
    assert outcome(case) == ("STOP", {"KIDNEY_DOSE_PROJECTED"})
    case["config"] = {"kidney_rule": "reached"}
    assert (outcome(case), run(case)["advisories"]) == (GIVE, ["KIDNEY_PROJECTED_ABOVE_LIMIT"])
    case["config"] = {"kidney_limit": 24.0}
    assert outcome(case) == GIVE
    image = with_cycle(mmethod="image_vertebra")
    image["config"] = {"marrow_limit_method": "image_vertebra"}
    assert outcome(image) == GIVE


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (base(unheard_of=1), "DATA_INVALID_FIELD"),
        (base() | {"extra": 1}, "DATA_INVALID_FIELD"),
        (with_cycle(bed=3.0), "DATA_INVALID_FIELD"),
        (with_lab(psa=3.0), "DATA_INVALID_FIELD"),
        (base(dead="no"), "DATA_INVALID_FIELD"),
        (base(recist="BETTER"), "DATA_INVALID_FIELD"),
        (base(protocol="OTHER"), "DATA_INVALID_FIELD"),
        (base(salvage={"order_number": 3}), "DATA_INVALID_FIELD"),
        (base(cycles=None), "DATA_INVALID_FIELD"),
        (base(cycles="none"), "DATA_INVALID_FIELD"),
        (base() | {"patient": None}, "DATA_INVALID_FIELD"),
        (base() | {"config": {"kidney_limits": 30}}, "DATA_INVALID_FIELD"),
        (base() | {"config": {"kidney_rule": "never"}}, "DATA_INVALID_CONFIG"),
        (base() | {"config": {"kidney_limit": -1}}, "DATA_INVALID_CONFIG"),
        (with_cycle(kidney=-3.5), "DATA_INVALID_DOSE"),
        (with_cycle(kidney="3.5"), "DATA_INVALID_DOSE"),
        (with_cycle(marrow=True), "DATA_INVALID_DOSE"),
        (with_cycle(kL=-1.0, kR=3.0), "DATA_INVALID_DOSE"),
        (with_cycle(GBq=0), "DATA_INVALID_ACTIVITY"),
        (with_cycle(GBq=None), "DATA_INVALID_ACTIVITY"),
        (with_cycle(GBq=10**400), "DATA_INVALID_ACTIVITY"),
        (with_cycle(date="2026-05-01"), "DATA_INVALID_DATES"),
        (with_cycle(date="02/03/2026"), "DATA_INVALID_DATES"),
        (with_cycle(date="2026-02-30"), "DATA_INVALID_DATES"),
        (base(decision_date=None), "DATA_INVALID_DATES"),
        (base(imaging_date="soon"), "DATA_INVALID_DATES"),
        (with_lab(date=20260415), "DATA_INVALID_DATES"),
        (with_lab(unit="mg/dL"), "DATA_INVALID_UNIT"),
        (with_lab(units={"thrombos": "/uL"}), "DATA_INVALID_UNIT"),
        (base(units={"dose": "mGy"}), "DATA_INVALID_UNIT"),
        (with_lab(plt=90000), "DATA_INVALID_COUNTS"),
        (with_cycle(GBq=7400), "DATA_INVALID_ACTIVITY"),
        (with_cycle(kidney_unit="rad/h"), "DATA_INVALID_UNIT"),
        (with_cycle(activity_unit="mCi"), "DATA_INVALID_UNIT"),
        (with_lab(wbc="4.2"), "DATA_INVALID_COUNTS"),
        (with_lab(plt=-160), "DATA_INVALID_COUNTS"),
        (base(heme_grade=7), "DATA_INVALID_GRADE"),
        (base(heme_grade="three"), "DATA_INVALID_GRADE"),
    ],
)
def test_what_cannot_be_read_refers(case, code) -> None:
    found, reasons = outcome(case)
    assert found == "REFER"
    assert code in reasons


def test_a_stop_is_still_seen_beside_bad_data() -> None:
    found, reasons = outcome(base(dead=True, unheard_of=1))
    assert (found, reasons) == ("STOP", {"DEATH"})


@pytest.mark.parametrize("case", [None, 3, "D01", [], {}])
def test_a_case_that_is_none_refers(case) -> None:
    assert run(case)["outcome"] == "REFER"


def test_agrees_is_none_without_expected_and_false_where_it_differs() -> None:
    assert run(base())["agrees"] is None
    right = {"outcome": "GIVE", "reasons": [], "activity_GBq": 7.4}
    assert run(base() | {"expected": right})["agrees"] is True
    for wrong in (
        {"outcome": "WAIT"},
        {"reasons": ["COUNT_WBC"]},
        {"activity_GBq": 7.4 + 2e-9},
        {"activity_GBq": None},
    ):
        assert run(base() | {"expected": right | wrong})["agrees"] is False
    assert run(base() | {"expected": {"reasons": []}})["agrees"] is False


def test_one_bad_case_leaves_the_others_alone(tmp_path) -> None:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([CASES[0], {"id": "BAD", "patient": 3}, CASES[1]]), encoding="utf-8")
    rows = check_rules(path)["cases"]
    assert [row["id"] for row in rows] == ["D01", "BAD", "D02"]
    assert [row["agrees"] for row in rows] == [True, None, True]


def test_a_key_given_twice_refers(tmp_path) -> None:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([base()]).replace('"wbc": 4.2', '"wbc": 4.2, "wbc": 2.0'), encoding="utf-8")
    row = check_rules(path)["cases"][0]
    assert (row["outcome"], row["reasons"]) == ("REFER", ["DATA_INVALID_FIELD"])


@pytest.mark.parametrize("text", ["", "{", "3", '{"cases": 3}', "[" * 100_000])
def test_a_bad_file_is_refused(tmp_path, text) -> None:
    path = tmp_path / "cases.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RefusalError) as refusal:
        check_rules(path)
    assert refusal.value.code == "CASES_INVALID"


def test_a_missing_file_is_refused(tmp_path) -> None:
    with pytest.raises(RefusalError) as refusal:
        check_rules(tmp_path / "none.json")
    assert refusal.value.code == "CASES_INVALID"


def test_reading_a_case_leaves_it_as_it_was() -> None:
    before = copy.deepcopy(CASES)
    for case in CASES:
        run(case)
    assert before == CASES
