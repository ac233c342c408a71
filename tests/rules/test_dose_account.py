"""Uncertainty of cumulative and projected doses, P(exceed), options and the seed's stop categories."""

from __future__ import annotations

from dataclasses import replace

import pytest
from course_builders import LIMITS, course, cycles, decide

from pipeline.domain.decision import ClinicianFlags
from pipeline.rules.dose_account import kidney_account, projection_weights
from pipeline.rules.stop_category import seed_stop_category


def test_probability_of_section_2_4() -> None:
    # Section 2.4: 21.5 Gy with u = 1.8 Gy against 23 Gy -> 20 % (20.23 % by the normal distribution).
    decision = decide(course(*cycles(21.5, kidney_sigma_independent_gy=1.8)), kidney_rule="reached")
    assert decision.p_exceed["kidney"] == pytest.approx(0.2023, abs=5e-5)


def test_probability_is_unknown_without_a_sigma() -> None:
    assert set(decide(course(*cycles(3.5))).p_exceed.values()) == {None}


def test_correlated_sigmas_add_linearly_and_independent_ones_in_quadrature() -> None:
    # Two cycles: hypot(0.3 + 0.3, 0.4, 0.4) = sqrt(0.36 + 0.32) Gy.
    given = cycles(4.0, 4.0, kidney_sigma_correlated_gy=0.3, kidney_sigma_independent_gy=0.4)
    decision = decide(course(*given))
    assert decision.cumulative["kidney_sigma_gy"] == pytest.approx(0.68**0.5, rel=1e-12)
    # Projected 4 + 2 x 4 Gy (the last dose is repeated): hypot(0.3 + 0.6, 0.4, 0.8).
    assert decision.projected["kidney_gy"] == pytest.approx(12.0, rel=1e-12)
    assert decision.projected["kidney_sigma_gy"] == pytest.approx((0.81 + 0.16 + 0.64) ** 0.5, rel=1e-12)
    assert decision.p_exceed["kidney_projected"] == pytest.approx(0.0, abs=1e-12)


def test_marrow_sigma_and_probability() -> None:
    decision = decide(course(*cycles(3.5, marrow_gy=1.0, marrow_sigma_correlated_gy=0.5)))
    assert decision.cumulative["marrow_sigma_gy"] == pytest.approx(0.5)
    assert decision.p_exceed["marrow"] == pytest.approx(0.02275, abs=5e-6)  # 2 sigma below 2 Gy
    assert decision.p_exceed["marrow_projected"] == pytest.approx(0.5, abs=1e-12)  # projected exactly 2 Gy


@pytest.mark.parametrize(
    ("kidney_gy", "marrow_gy", "fits"),
    [(12.0, 0.12, True), (22.0, 0.12, False), (12.0, 1.3, False), (12.0, None, False)],
)
def test_reduced_activity_option_needs_both_organs_to_fit(kidney_gy, marrow_gy, fits) -> None:
    # 12 + 0.7 x 12 = 20.4 Gy fits 23 Gy, 22 + 15.4 does not; 1.3 + 0.91 Gy does not fit 2 Gy; unknown never fits.
    decision = decide(course(*cycles(kidney_gy, marrow_gy=marrow_gy)))
    assert decision.outcome == "STOP"
    assert ("REDUCED_ACTIVITY_WOULD_FIT(not in seed)" in decision.options) is fits


def test_document_of_the_interface() -> None:
    decision = decide(course(*cycles(3.5)))
    document = decision.document(patient_key="k", settings_hash="h")
    assert document["earliest_date"] == "2026-04-13"  # 2026-03-02 + 42 days
    assert document["deadline"] == "2026-09-02"  # 2026-03-02 + 6 months
    assert document["cumulative"]["marrow_method"] == "blood_planar"
    first = decide(course()).document(patient_key="k", settings_hash="h")
    assert (first["earliest_date"], first["deadline"], first["projected"]["kidney_gy"]) == (None, None, None)


def test_reasons_name_row_level_text_and_source() -> None:
    reason = decide(course(*cycles(24.0))).reasons[0]
    assert (reason.row, reason.level, reason.code) == (4, "STOP", "KIDNEY_DOSE_REACHED")
    assert reason.text == "signed kidney dose 24.000 Gy, limit 23 Gy"
    assert "Fröss-Baron" in reason.source


@pytest.mark.parametrize(
    ("codes", "primary", "category"),
    [
        ((), None, None),
        (("KIDNEY_DOSE_REACHED",), None, "KIDNEY_DOSE"),
        (("KIDNEY_DOSE_PROJECTED",), None, "KIDNEY_DOSE"),
        (("MARROW_DOSE_PROJECTED",), None, "MARROW_DOSE"),
        (("BLOOD_RECOVERY_TIMEOUT", "BONE_MARROW_TOXICITY"), None, "BONE_MARROW_TOXICITY"),
        (("STANDARD_PROTOCOL_COMPLETE",), None, "STANDARD_PROTOCOL"),
        (("DEATH", "PROGRESSION"), None, "DEATH"),
        (("DEATH", "PROGRESSION"), "PROGRESSION", "DEATH"),
        (("PROGRESSION", "BONE_MARROW_TOXICITY"), None, "COMBINATION(BONE_MARROW_TOXICITY+PROGRESSION)"),
        (("PROGRESSION", "BONE_MARROW_TOXICITY"), "PROGRESSION", "PROGRESSION"),
    ],
)
def test_seed_stop_category(codes, primary, category) -> None:
    assert seed_stop_category(codes, primary) == category


def test_combination_from_a_decision() -> None:
    stopped = course(*cycles(24.0), flags=ClinicianFlags(marrow_toxicity_stop=True))
    assert decide(stopped).stop_category == "COMBINATION(BONE_MARROW_TOXICITY+KIDNEY_DOSE)"
    assert decide(replace(stopped, flags=ClinicianFlags())).stop_category == "KIDNEY_DOSE"


@pytest.mark.parametrize(("source", "weights"), [("last", (0.0, 1.5)), ("mean", (0.375, 0.75)), ("max", (0.0, 1.5))])
def test_the_part_of_each_dose_that_the_next_cycle_repeats(source, weights) -> None:
    # 4 Gy of 8 GBq and 3 Gy of 4 GBq, next 6 GBq: ratios 0.75 and 1.5, repeated doses 3 and 4.5 Gy.
    first, second = cycles(4.0, 3.0)
    account = kidney_account(course(replace(first, activity_gbq=8.0), replace(second, activity_gbq=4.0)), LIMITS)
    assert projection_weights(account, 6.0, source) == pytest.approx(weights, rel=1e-15)


def test_a_counted_dose_from_one_scan_is_an_advisory_with_cycle_and_method() -> None:
    """It decides nothing; a draft is not counted, nor a marrow dose of another method than the limit's."""
    one, two, three = cycles(3.5, 3.5, 3.5)
    later = (
        replace(two, kidney_one_scan_method="single-patient", marrow_one_scan_method="single-patient"),
        replace(three, kidney_one_scan_method="hierarchical"),
    )
    decision = decide(course(one, *later))
    assert decision.advisories == (
        "KIDNEY_DOSE_FROM_ONE_SCAN(cycle 2: single-patient; cycle 3: hierarchical)",
        "MARROW_DOSE_FROM_ONE_SCAN(cycle 2: single-patient)",
    )
    assert decision.outcome == decide(course(one, two, three)).outcome == "GIVE"
    draft = replace(later[0], kidney_status="DRAFT", marrow_method="image_aorta")
    assert not [a for a in decide(course(one, draft)).advisories if "ONE_SCAN" in a]
