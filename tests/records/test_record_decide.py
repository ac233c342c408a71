"""From the record to a decision: the walk of the contract (REFER, sign, GIVE, WAIT) and the fail-safe cases."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from record_examples import AT, IMAGING, LABS, SETTINGS, file_cycle, region, result

from pipeline.files.schema import validate_result
from pipeline.records import RecordStore
from pipeline.steps.decide import decide_next, preview_decision
from pipeline.steps.file_result import file_result
from pipeline.steps.record_events import record
from pipeline.steps.sign import sign_cycle

# 49 days after the first administration, as the base patient of section 2.5.
ON = date(2026, 4, 20)


def physicist(store: RecordStore, cycle: int = 1, reason: str = "", version: int | None = None) -> dict[str, Any]:
    who = {"role": "physicist", "by": "A. Physicist", "reason": reason}
    return sign_cycle(store, "phantom-1", cycle=cycle, **who, at=AT, version=version)


def codes(decision: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in decision["reasons"] if reason["level"] == decision["outcome"]]


@pytest.fixture
def ready(store: RecordStore) -> RecordStore:
    """One signed cycle with good counts."""
    file_cycle(store)
    record(store, "phantom-1", labs=[LABS], imaging=[IMAGING], at=AT)
    physicist(store)
    return store


def test_an_unsigned_dose_refers_a_signed_one_gives_and_ten_days_later_waits(store: RecordStore) -> None:
    file_cycle(store)
    unsigned = decide_next(store, "phantom-1", ON)
    assert unsigned["outcome"] == "REFER"
    assert {"KIDNEY_DOSIMETRY_MISSING", "MARROW_DOSIMETRY_MISSING"} <= set(codes(unsigned))
    record(store, "phantom-1", labs=[LABS], imaging=[IMAGING], at=AT)
    physicist(store)
    given = decide_next(store, "phantom-1", ON)
    assert (given["outcome"], given["activity_gbq"], given["reasons"]) == ("GIVE", 7.4, [])
    soon = decide_next(store, "phantom-1", date(2026, 3, 12))
    assert soon["outcome"] == "WAIT"
    assert "INTERVAL_TOO_SHORT" in codes(soon)


def test_the_decision_names_its_protocol_and_whether_somebody_recorded_it(ready: RecordStore) -> None:
    def told() -> tuple[str, str, bool]:
        decision = decide_next(ready, "phantom-1", ON)
        return decision["protocol"], decision["phase"], decision["protocol_recorded"]

    assert told() == ("DOSIMETRY_GUIDED", "PRIMARY", False)
    later = {"date": str(ON + timedelta(days=1)), "by": "Dr B", "reason": "tumour board", "protocol": "ROTTERDAM_4"}
    record(ready, "phantom-1", event=later, at=AT)
    assert told() == ("DOSIMETRY_GUIDED", "PRIMARY", False)
    record(ready, "phantom-1", event=later | {"date": str(ON)}, at=AT)
    assert told() == ("ROTTERDAM_4", "PRIMARY", True)


def test_the_kidney_value_is_the_mass_weighted_mean_and_sigmas_follow_their_kind(ready: RecordStore) -> None:
    # (160*4 + 140*3)/300 = 3.5333 Gy; independent sigmas: hypot(160*0.4, 140*0.3)/300 = 0.25517 Gy.
    cumulative = decide_next(ready, "phantom-1", ON)["cumulative"]
    assert cumulative["kidney_gy"] == pytest.approx(3.533333, abs=1e-6)
    assert cumulative["kidney_sigma_gy"] == pytest.approx(0.255169, abs=1e-6)
    assert cumulative["marrow_gy"] == pytest.approx(0.12, abs=1e-12)


def test_correlated_sigmas_add_linearly_over_the_kidneys(store: RecordStore) -> None:
    kidneys = [
        region("kidney", 4.0, mass_g=160.0, laterality="left",
               uncertainty={"correlated_gy": 0.30, "independent_gy": 0.2}),
        region("kidney", 3.0, mass_g=140.0, laterality="right",
               uncertainty={"correlated_gy": 0.24, "independent_gy": 0.1}),
    ]  # fmt: skip
    file_cycle(store, result(regions=kidneys))
    cycle = store.course("phantom-1", ON, 7.4)[0].cycles[0]
    # (160*0.30 + 140*0.24)/300 and hypot(160*0.2, 140*0.1)/300.
    assert cycle.kidney_sigma_correlated_gy == pytest.approx(0.272, abs=1e-9)
    assert cycle.kidney_sigma_independent_gy == pytest.approx(0.116428, abs=1e-6)
    assert (cycle.marrow_gy, cycle.marrow_status) == (None, "MISSING")


def test_a_signed_cycle_whose_marrow_was_left_out_refers(store: RecordStore) -> None:
    # Row 7: what is missing is never taken as 0, whoever signed the rest.
    regions = [one for one in result()["regions"] if one["name"] != "marrow"]
    file_cycle(store, result(regions=regions))
    record(store, "phantom-1", labs=[LABS], imaging=[IMAGING], at=AT)
    physicist(store)
    found = decide_next(store, "phantom-1", ON)
    assert (found["outcome"], codes(found)) == ("REFER", ["MARROW_DOSIMETRY_MISSING"])


def test_the_sigma_of_the_marrow_without_a_split_is_shared_by_the_cycles(ready: RecordStore) -> None:
    # 0.012 Gy in each of two cycles: 0.024 Gy, not 0.012 x sqrt(2) = 0.017 Gy. A split that is filed is used as it is.
    file_cycle(ready, result(cycle=2, start="2026-04-20T10:00:00+02:00"))
    physicist(ready, cycle=2)
    assert decide_next(ready, "phantom-1", date(2026, 6, 8))["cumulative"]["marrow_sigma_gy"] == pytest.approx(0.024)
    split = region("marrow", 0.12, kind="marrow", method="blood_only",
                   uncertainty={"correlated_gy": 0.003, "independent_gy": 0.004})  # fmt: skip
    file_cycle(ready, result(regions=[*result()["regions"][:3], split]), key="key-2")
    first = ready.course("phantom-1", ON, 7.4)[0].cycles[0]
    assert (first.marrow_sigma_correlated_gy, first.marrow_sigma_independent_gy) == (0.003, 0.004)


def test_doses_from_one_scan_are_named_with_their_method(store: RecordStore) -> None:
    """Once signed; the marrow by the aorta's blood has the aorta's method, a marrow by blood samples none."""
    assumed: dict[str, Any] = {"flags": ["SINGLE_POINT_PRIOR"], "curve": {"model": "hierarchical"}}
    kidneys = [region("kidney", 3.0, laterality=side, **assumed) for side in ("left", "right")]
    aorta = region("aorta", 0.2, kind="blood", **assumed)
    by_aorta = region("marrow", 0.1, kind="marrow", method="image_aorta", flags=["SINGLE_POINT_PRIOR"], curve=None)
    file_cycle(store, result(regions=[*kidneys, aorta, by_aorta]))
    cycle = store.course("phantom-1", ON, 7.4)[0].cycles[0]
    assert (cycle.kidney_one_scan_method, cycle.marrow_one_scan_method) == ("hierarchical", "hierarchical")
    assert decide_next(store, "phantom-1", ON)["advisories"] == []
    physicist(store)
    # The limit is one of blood_only: a marrow dose by the aorta does not count.
    assert "KIDNEY_DOSE_FROM_ONE_SCAN(cycle 1: hierarchical)" in decide_next(store, "phantom-1", ON)["advisories"]
    assert not [a for a in decide_next(store, "phantom-1", ON)["advisories"] if a.startswith("MARROW")]
    samples = region("marrow", 0.1, kind="marrow", method="blood_only", curve=None)
    file_cycle(store, result(regions=[*kidneys, aorta, samples]), key="key-2")
    assert store.course("phantom-1", ON, 7.4)[0].cycles[0].marrow_one_scan_method == ""


def test_a_single_kidney_counts_alone_and_small_regions_do_not_count(store: RecordStore) -> None:
    regions = [region("kidney", 5.0, laterality="right"), region("kidney", 9.0, laterality="left", kind="small_voi")]
    file_cycle(store, result(regions=regions))
    cycle = store.course("phantom-1", ON, 7.4)[0].cycles[0]
    assert (cycle.kidney_gy, cycle.kidney_left_gy, cycle.kidney_right_gy) == (5.0, None, 5.0)


def test_marrow_by_the_method_of_the_limit_counts_another_refers(store: RecordStore) -> None:
    vertebral = region("marrow", 0.5, kind="marrow", method="image_vertebra")
    both = result(regions=[vertebral, *result()["regions"]])
    file_cycle(store, both)
    assert store.course("phantom-1", ON, 7.4)[0].cycles[0].marrow_gy == pytest.approx(0.12)
    file_cycle(store, result(regions=[*result()["regions"][:3], vertebral]), key="key-2")
    physicist(store, version=2)
    assert "MARROW_METHOD_MISMATCH" in codes(decide_next(store, "phantom-1", ON))


def test_a_newer_unsigned_version_takes_the_signature_away_until_it_is_signed(ready: RecordStore) -> None:
    filed = file_cycle(ready, result(regions=[region("kidney", 3.0), *result()["regions"][2:]]), key="key-2")
    assert (filed.version, filed.created) == (2, True)
    assert "KIDNEY_DOSIMETRY_MISSING" in codes(decide_next(ready, "phantom-1", ON))
    assert physicist(ready, version=2)["version"] == 2
    decision = decide_next(ready, "phantom-1", ON)
    assert decision["outcome"] == "GIVE"
    assert decision["cumulative"]["kidney_gy"] == pytest.approx(3.0)


def test_a_missing_cycle_number_refers(ready: RecordStore) -> None:
    file_cycle(ready, result(cycle=3, start="2026-06-20T10:00:00+02:00"))
    physicist(ready, cycle=3)
    late = decide_next(ready, "phantom-1", date(2026, 8, 10))
    assert late["outcome"] == "REFER"
    assert "DATA_INVALID_CYCLES" in codes(late)


def test_a_cycle_given_elsewhere_counts_and_its_imputed_dose_can_be_signed(ready: RecordStore) -> None:
    stated = {"cycle": 2, "given_on": "2026-04-20", "activity_gbq": 7.4}
    event = {"date": "2026-04-21", "by": "A. Physicist", "reason": "given elsewhere", "given_cycles": [stated]}
    record(ready, "phantom-1", event=event, at=AT)
    later = date(2026, 6, 8)
    assert "KIDNEY_DOSIMETRY_MISSING" in codes(decide_next(ready, "phantom-1", later))
    imputed = {"cycle": 2, "kidney_gy": 3.6, "marrow_gy": 0.12, "marrow_method": "blood_only"}
    record(ready, "phantom-1", event={**event, "imputed": [imputed]}, at=AT)
    record(ready, "phantom-1", labs=[LABS | {"date": "2026-06-04"}], at=AT)
    record(ready, "phantom-1", imaging=[IMAGING | {"date": "2026-06-01"}], at=AT)
    decision = decide_next(ready, "phantom-1", later)
    assert decision["outcome"] == "GIVE"
    assert decision["cumulative"]["kidney_gy"] == pytest.approx(3.533333 + 3.6, abs=1e-6)


def test_events_count_up_to_the_day_and_orders_only_until_the_next_cycle(ready: RecordStore) -> None:
    who = {"by": "A. Physician", "reason": "as discussed"}
    record(ready, "phantom-1", event={"date": "2026-03-01", "reduce_30_ordered": True} | who, at=AT)
    record(ready, "phantom-1", event={"date": "2026-04-25", "withdrawn": True} | who, at=AT)
    assert decide_next(ready, "phantom-1", ON)["activity_gbq"] == pytest.approx(7.4)
    assert codes(decide_next(ready, "phantom-1", date(2026, 4, 25))) == ["WITHDRAWN"]
    record(ready, "phantom-1", event={"date": "2026-04-16", "reduce_30_ordered": True} | who, at=AT)
    # 7.4 GBq x 0.70, section 2.4.
    assert decide_next(ready, "phantom-1", ON)["activity_gbq"] == pytest.approx(5.18)


GRADE_3 = [
    LABS | {"date": "2026-03-20", "platelets": 49.0},
    LABS | {"date": "2026-03-20", "haemoglobin": 79.0},
]


@pytest.mark.parametrize("panel", GRADE_3, ids=["platelets", "haemoglobin"])
def test_a_grade_3_since_the_last_cycle_refers_until_a_physician_goes_on(
    ready: RecordStore, panel: dict[str, Any]
) -> None:
    # CTCAE 5.0, section 4.1: platelets below 50 x 10^9/L, haemoglobin below 80 g/L; recovered since.
    record(ready, "phantom-1", labs=[panel], at=AT)
    assert codes(decide_next(ready, "phantom-1", ON)) == ["HAEMATOTOXICITY_G3"]
    who = {"by": "A. Physician", "reason": "recovered"}
    record(ready, "phantom-1", event={"date": "2026-04-16", "worst_haematological_grade": 1} | who, at=AT)
    assert codes(decide_next(ready, "phantom-1", ON)) == ["HAEMATOTOXICITY_G3"]
    record(ready, "phantom-1", event={"date": "2026-04-17", "marrow_toxicity_continue": True} | who, at=AT)
    assert decide_next(ready, "phantom-1", ON)["outcome"] == "GIVE"


def test_a_grade_before_the_last_cycle_is_over_and_a_stated_one_counts(ready: RecordStore) -> None:
    record(ready, "phantom-1", labs=[LABS | {"date": "2026-02-20", "platelets": 30.0}], at=AT)
    assert decide_next(ready, "phantom-1", ON)["outcome"] == "GIVE"
    event = {"date": "2026-04-01", "by": "A. Physician", "reason": "transfused", "worst_haematological_grade": 3}
    record(ready, "phantom-1", event=event, at=AT)
    assert codes(decide_next(ready, "phantom-1", ON)) == ["HAEMATOTOXICITY_G3"]


SALVAGE = {"phase": "SALVAGE", "primary_completed": True, "favourable_response": True, "progressed_after": True,
           "ordered": True}  # fmt: skip


def test_salvage_does_not_keep_the_start_of_the_primary_phase_nor_take_the_day_of_the_event(ready: RecordStore) -> None:
    who = {"by": "A. Physician", "reason": "as discussed"}
    record(ready, "phantom-1", imaging=[IMAGING | {"date": "2026-04-01", "recist": "PD"}], at=AT)
    primary = {"date": "2026-01-05", "phase": "PRIMARY", "phase_started_on": "2026-04-02"}
    record(ready, "phantom-1", event=primary | who, at=AT)
    assert decide_next(ready, "phantom-1", ON)["outcome"] == "GIVE"
    record(ready, "phantom-1", event={"date": "2026-04-16"} | SALVAGE | who, at=AT)
    assert ready.course("phantom-1", ON, 7.4)[0].phase_started_on is None
    assert codes(decide_next(ready, "phantom-1", ON)) == ["PROGRESSION"]
    record(ready, "phantom-1", event={"date": "2026-04-17", "phase_started_on": "2026-04-03"} | who, at=AT)
    restated = {"date": "2026-04-18", "phase": "SALVAGE"}
    record(ready, "phantom-1", event=restated | who, at=AT)
    assert ready.course("phantom-1", ON, 7.4)[0].phase_started_on == date(2026, 4, 3)
    assert decide_next(ready, "phantom-1", ON)["outcome"] == "GIVE"


def test_an_ordered_activity_is_planned_unless_another_is_asked_for(ready: RecordStore) -> None:
    event = {"date": "2026-04-16", "by": "A. Physician", "reason": "weight", "planned_activity_gbq": 6.0}
    record(ready, "phantom-1", event=event, at=AT)
    assert decide_next(ready, "phantom-1", ON)["activity_gbq"] == pytest.approx(6.0)
    assert decide_next(ready, "phantom-1", ON, 5.0)["activity_gbq"] == pytest.approx(5.0)


def test_a_corrected_panel_replaces_the_one_it_corrects(ready: RecordStore) -> None:
    typo = record(ready, "phantom-1", labs=[LABS | {"date": "2026-04-16", "platelets": 16.0}], at=AT)
    assert "COUNT_PLATELETS" in [r["code"] for r in decide_next(ready, "phantom-1", ON)["reasons"]]
    wrong = typo["added"][0]["entry_id"][:12]
    record(ready, "phantom-1", labs=[LABS | {"date": "2026-04-16", "supersedes": wrong}], at=AT)
    assert decide_next(ready, "phantom-1", ON)["outcome"] == "GIVE"


def test_before_the_first_cycle_the_protocol_defaults_decide_and_say_so(store: RecordStore) -> None:
    assert record(store, "phantom-2", labs=[LABS], at=AT)["patient_created"] is True
    decision = decide_next(store, "phantom-2", ON)
    assert (decision["outcome"], decision["activity_gbq"]) == ("GIVE", 7.4)
    assert "NO_SITE_PROFILE_FILED" in decision["advisories"]


def test_a_failed_second_check_refers_until_a_physicist_signs_with_a_reason(store: RecordStore) -> None:
    failed = [result()["second_check"][0] | {"passed": False}]
    file_cycle(store, result(second_check=failed))
    record(store, "phantom-1", labs=[LABS], at=AT)
    assert "SECOND_CHECK_FAILED" in codes(decide_next(store, "phantom-1", ON))
    physicist(store, reason="sphere model does not fit a horseshoe kidney")
    assert decide_next(store, "phantom-1", ON)["outcome"] == "GIVE"


def test_a_second_check_that_is_shown_only_or_without_a_verdict(store: RecordStore) -> None:
    shown_only = result()["second_check"][0] | {"tolerance": None, "passed": None}
    file_cycle(store, result(second_check=[shown_only]))
    assert store.course("phantom-1", ON, 7.4)[0].cycles[0].second_check_failed is False
    file_cycle(store, result(second_check=[shown_only | {"tolerance": 0.04}]), key="key-2")
    assert store.course("phantom-1", ON, 7.4)[0].cycles[0].second_check_failed is True


def test_a_kidney_without_a_value_leaves_the_rule_without_one(store: RecordStore) -> None:
    nothing = region("kidney", 4.0, laterality="left") | {"mean_dose_gy": None, "mean_dose_sigma_gy": None}
    regions = [region("kidney", 5.0, laterality="right"), nothing]
    file_cycle(store, result(regions=regions))
    physicist(store)
    cycle = store.course("phantom-1", ON, 7.4)[0].cycles[0]
    assert (cycle.kidney_gy, cycle.kidney_status, cycle.kidney_right_gy) == (None, "MISSING", 5.0)


def test_a_filed_result_keeps_to_the_schema(store: RecordStore) -> None:
    # The document made by hand here is the interface's, with the decision that filing puts in.
    validate_result(file_result(store, result(), "key-1", SETTINGS, AT)["result"])


def test_the_preview_inside_a_result_treats_the_cycle_as_a_draft_and_is_filed(store: RecordStore) -> None:
    filed = file_result(store, result(), "key-1", SETTINGS, AT)
    preview = filed["result"]["decision"]
    assert preview["outcome"] == "REFER"
    assert preview["on"] == (date(2026, 3, 2) + timedelta(days=42)).isoformat()
    again = file_result(store, result(flags=[{"code": "X", "level": "INFO", "text": "", "region": None}]), "key-1",
                        SETTINGS, AT)  # fmt: skip
    assert (again["created"], again["result"]) == (False, filed["result"])


def test_the_preview_of_an_earlier_cycle_does_not_see_the_later_one(ready: RecordStore) -> None:
    file_cycle(ready, result(cycle=2, start="2026-04-20T10:00:00+02:00"))
    assert preview_decision(ready, result(), SETTINGS)["cumulative"]["kidney_gy"] == 0.0
    second = preview_decision(ready, result(cycle=2, start="2026-04-20T10:00:00+02:00"), SETTINGS)
    assert second["cumulative"]["kidney_gy"] == pytest.approx(3.533333, abs=1e-6)


def test_a_decision_names_its_inputs_and_settings(ready: RecordStore) -> None:
    decision = decide_next(ready, "phantom-1", ON)
    shown = ready.show("phantom-1")
    version = shown["cycles"][0]["versions"][0]
    assert decision["inputs"]["cycles"][0]["result_hash"] == version["result_hash"]
    assert decision["settings_hash"] == version["settings_hash"]
    assert set(decision["inputs"]["entries"]) == {e["entry_id"] for e in [*shown["labs"], *shown["imaging"]]}
