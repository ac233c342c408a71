"""Rows 18 to 25 of the decision table: counts, time-out, intervals; days and limits are those of section 2.4."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from course_builders import DECISION_DAY, PANEL, course, cycles, decide, found, panel
from refused import refused

from pipeline.domain.decision import ClinicianFlags
from pipeline.rules.counts import add_months, counts_per_nl

REDUCED = ClinicianFlags(reduce_30_ordered=True)


def last_given(day: date):
    return (replace(cycles(3.5)[0], given_on=day),)


def codes(decision) -> set[str]:
    return {code for _, _, code in found(decision)}


@pytest.mark.parametrize(("last", "stops"), [(date(2025, 10, 20), False), (date(2025, 10, 19), True)])
def test_row_18_timeout_the_day_after_the_anniversary(last, stops) -> None:
    decision = decide(course(*last_given(last), panels=(panel(wbc_per_nl=2.8),)))
    assert ((18, "STOP", "BLOOD_RECOVERY_TIMEOUT") in found(decision)) is stops
    assert decision.deadline == add_months(last, 6)
    assert decision.stop_category == ("BONE_MARROW_TOXICITY" if stops else None)


@pytest.mark.parametrize(("passed_on", "stops"), [(date(2026, 4, 1), False), (date(2026, 4, 2), True)])
def test_row_18_a_pass_on_the_deadline_cancels(passed_on, stops) -> None:
    # Last cycle 2025-10-01, deadline 2026-04-01; failed before, and failing again now.
    panels = (panel(date(2026, 2, 1), wbc_per_nl=2.8), panel(passed_on), panel(wbc_per_nl=2.8))
    decision = decide(course(*last_given(date(2025, 10, 1)), panels=panels))
    assert ("BLOOD_RECOVERY_TIMEOUT" in codes(decision)) is stops
    assert decision.outcome == ("STOP" if stops else "WAIT")


def test_row_18_an_incomplete_panel_is_no_pass_and_does_not_hide_a_failed_count() -> None:
    panels = (
        panel(date(2026, 2, 1), wbc_per_nl=2.8, platelets_per_nl=None),
        panel(date(2026, 3, 1), wbc_per_nl=None),
        PANEL,
    )
    assert "BLOOD_RECOVERY_TIMEOUT" in codes(decide(course(*last_given(date(2025, 10, 1)), panels=panels)))


def test_row_18_before_cycle_1_the_anchor_is_the_first_failing_screening_sample() -> None:
    failing = (panel(date(2025, 10, 19), wbc_per_nl=2.8), panel(wbc_per_nl=2.8))
    assert (18, "STOP", "BLOOD_RECOVERY_TIMEOUT") in found(decide(course(panels=failing)))
    in_time = (panel(date(2025, 10, 20), wbc_per_nl=2.8), panel(wbc_per_nl=2.8))
    assert found(decide(course(panels=in_time))) == {(22, "WAIT", "COUNT_WBC")}


def test_row_19_labs_missing() -> None:
    assert found(decide(course(panels=()))) == {(19, "WAIT", "LABS_MISSING")}
    on_the_day = (panel(date(2026, 3, 2)),)  # a sample must be after the previous administration (S-08)
    assert found(decide(course(*cycles(3.5), panels=on_the_day))) == {(19, "WAIT", "LABS_MISSING")}


@pytest.mark.parametrize(("last", "outcome"), [(date(2025, 10, 20), "WAIT"), (date(2025, 10, 19), "REFER")])
def test_row_19_labs_missing_past_the_timeout(last, outcome) -> None:
    decision = decide(course(*last_given(last), panels=()))
    assert decision.outcome == outcome
    assert ("LABS_MISSING_PAST_TIMEOUT" in codes(decision)) is (outcome == "REFER")
    assert "LABS_MISSING" in codes(decision)


@pytest.mark.parametrize("name", ["wbc_per_nl", "granulocytes_per_nl", "platelets_per_nl"])
def test_row_20_labs_incomplete(name) -> None:
    decision = decide(course(*cycles(3.5), panels=(panel(**{name: None}),)))
    assert found(decision) == {(20, "WAIT", "LABS_INCOMPLETE")}


@pytest.mark.parametrize(("age_days", "waits"), [(14, False), (15, True)])
def test_row_21_labs_stale(age_days, waits) -> None:
    decision = decide(course(*cycles(3.5), panels=(panel(DECISION_DAY - timedelta(days=age_days)),)))
    assert found(decision) == ({(21, "WAIT", "LABS_STALE")} if waits else set())


@pytest.mark.parametrize(
    ("name", "limit", "code"),
    [
        ("wbc_per_nl", 3.0, "COUNT_WBC"),
        ("granulocytes_per_nl", 1.5, "COUNT_GRANULOCYTES"),
        ("platelets_per_nl", 100.0, "COUNT_PLATELETS"),
    ],
)
@pytest.mark.parametrize("given", [0, 1])
def test_row_22_counts_must_be_strictly_above(name, limit, code, given) -> None:
    at_limit = decide(course(*cycles(*[3.5] * given), panels=(panel(**{name: limit}),)))
    assert found(at_limit) == {(22, "WAIT", code)}
    assert at_limit.options == ("REDUCE_30_BY_PHYSICIAN_ORDER",)
    above = decide(course(*cycles(*[3.5] * given), panels=(panel(**{name: limit + 1e-9}),)))
    assert above.outcome == "GIVE"


def test_rows_20_to_22_apply_together() -> None:
    old = panel(DECISION_DAY - timedelta(days=15), wbc_per_nl=2.0, granulocytes_per_nl=1.0, platelets_per_nl=None)
    expected = {
        (20, "WAIT", "LABS_INCOMPLETE"),
        (21, "WAIT", "LABS_STALE"),
        (22, "WAIT", "COUNT_WBC"),
        (22, "WAIT", "COUNT_GRANULOCYTES"),
    }
    assert found(decide(course(*cycles(3.5), panels=(old,)))) == expected


def test_row_22_reduction_order_removes_only_this_row() -> None:
    decision = decide(course(*cycles(3.5), panels=(panel(platelets_per_nl=90.0),), flags=REDUCED))
    assert decision.outcome == "GIVE"
    assert decision.activity_gbq == pytest.approx(5.18, abs=1e-9)  # 7.4 GBq less 30 %, S-10
    assert decision.advisories == ("COUNTS_OVERRIDDEN_REDUCED_ACTIVITY",)
    incomplete = panel(platelets_per_nl=90.0, wbc_per_nl=None)
    assert found(decide(course(*cycles(3.5), panels=(incomplete,), flags=REDUCED))) == {(20, "WAIT", "LABS_INCOMPLETE")}


def test_row_22_reduction_without_failed_counts_still_caps_the_activity() -> None:
    decision = decide(course(*cycles(3.5), flags=REDUCED))
    assert decision.activity_gbq == pytest.approx(5.18, abs=1e-9)
    assert decision.advisories == ("REDUCTION_WITHOUT_FAILED_COUNTS",)


def test_row_22_neutrophils_alone_prove_the_gate_but_fail_it_with_an_advisory() -> None:
    proved = decide(course(*cycles(3.5), panels=(panel(granulocytes_per_nl=1.6, neutrophils_only=True),)))
    assert (proved.outcome, proved.advisories) == ("GIVE", ())
    failed = decide(course(*cycles(3.5), panels=(panel(granulocytes_per_nl=1.5, neutrophils_only=True),)))
    assert found(failed) == {(22, "WAIT", "COUNT_GRANULOCYTES")}
    assert failed.advisories == ("NEUTROPHILS_INSTEAD_OF_GRANULOCYTES",)


def test_panels_of_one_day_are_read_as_one_by_the_lower_value() -> None:
    panels = (panel(), panel(wbc_per_nl=2.8))
    assert found(decide(course(*cycles(3.5), panels=panels))) == {(22, "WAIT", "COUNT_WBC")}


def test_panels_after_the_decision_day_are_named_but_no_evidence() -> None:
    decision = decide(course(*cycles(3.5), panels=(PANEL, panel(DECISION_DAY + timedelta(days=1), wbc_per_nl=1.0))))
    assert (decision.outcome, decision.advisories) == ("GIVE", ("LABS_AFTER_DECISION_DATE",))


@pytest.mark.parametrize(("gap_days", "waits"), [(41, True), (42, False)])
def test_row_23_interval_too_short(gap_days, waits) -> None:
    decision = decide(course(*last_given(DECISION_DAY - timedelta(days=gap_days))))
    assert found(decision) == ({(23, "WAIT", "INTERVAL_TOO_SHORT")} if waits else set())
    assert decision.earliest_date == DECISION_DAY + timedelta(days=42 - gap_days)


@pytest.mark.parametrize(("gap_days", "advisories"), [(56, ()), (57, ("INTERVAL_EXTENDED",))])
def test_row_24_interval_extended_is_an_advisory(gap_days, advisories) -> None:
    decision = decide(course(*last_given(DECISION_DAY - timedelta(days=gap_days))))
    assert (decision.outcome, decision.advisories) == ("GIVE", advisories)


def test_row_25_none_of_the_above_gives_the_planned_activity() -> None:
    decision = decide(course(*cycles(3.5), planned_activity_gbq=6.0))
    assert (decision.outcome, decision.activity_gbq, decision.reasons) == ("GIVE", 6.0, ())


@pytest.mark.parametrize(
    ("day", "later"),
    [
        (date(2025, 8, 31), date(2026, 2, 28)),  # S-09
        (date(2023, 8, 31), date(2024, 2, 29)),
        (date(2025, 12, 31), date(2026, 6, 30)),
        (date(2025, 6, 15), date(2025, 12, 15)),
    ],
)
def test_six_months_clamp_at_the_month_end(day, later) -> None:
    assert add_months(day, 6) == later


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (3.01, "10^9/L"),
        (3.01, "G/L"),
        (3.01, "10³/µL"),
        (3.01, "K/uL"),
        (3010, "/µL"),
        (3010, "/mm³"),
        (3.01, " × 10^9 / L "),
        (3.01, "10³/μL"),
        (3010, "/mm^3"),
        (3010, "cells / uL"),
        (3.01e9, "/L"),
        (3.01, "giga/L"),
    ],
)
def test_units_of_counts(value, unit) -> None:
    assert counts_per_nl(value, unit) == 3.01  # exactly: division by a power of ten rounds once


def test_unknown_unit_of_a_count_is_refused() -> None:
    with refused("DATA_INVALID_UNIT", where="labs", found="'mg/dL'"):
        counts_per_nl(3.0, "mg/dL")


def test_a_value_that_one_panel_of_the_day_lacks_is_missing() -> None:
    # Leaving out a failed value of one of two panels must not let the other one pass for the day (section 2.5).
    panels = (panel(), panel(wbc_per_nl=None))
    assert found(decide(course(*cycles(3.5), panels=panels))) == {(20, "WAIT", "LABS_INCOMPLETE")}


def test_a_cycle_given_on_the_decision_day_is_no_future_cycle() -> None:
    decision = decide(course(*last_given(DECISION_DAY)))
    assert found(decision) == {(19, "WAIT", "LABS_MISSING"), (23, "WAIT", "INTERVAL_TOO_SHORT")}


@pytest.mark.parametrize(
    ("units", "per_nl"),
    [
        ("10^9/L 10*9/L 10e9/L 1e9/L x10^9/L x10e9/L 10⁹/L G/L Gpt/L giga/L /nL 1/nL", 1.0),
        ("10^3/uL 10*3/uL 10e3/uL 1e3/uL x10^3/uL 10³/uL k/uL thousand/uL 10^3/mm3", 1.0),
        ("/uL 1/uL cells/uL /mm3 10^6/L", 1e-3),
        ("/L", 1e-9),
    ],
)
def test_every_spelling_of_a_unit_of_counts(units, per_nl) -> None:
    for unit in units.split(" "):
        assert counts_per_nl(1.0, unit) == pytest.approx(per_nl, rel=1e-15), unit
