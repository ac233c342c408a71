"""Doses over cycles: from the record, with the status of each, against the limits."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.report import style
from pipeline.report.history import OrganSum, cycle_doses, organ_sums
from pipeline.report.sections import cycles_left, missing


def test_cycles_come_from_the_record_and_this_one_from_the_document(
    document: dict[str, Any], history: dict[str, Any]
) -> None:
    doses = cycle_doses(history, document)
    assert [dose.cycle for dose in doses] == [1, 2, 3]
    kidneys = [r for r in document["regions"] if r["name"] == "kidney"]
    weighted = sum(r["mass_g"] * r["mean_dose_gy"] for r in kidneys) / sum(r["mass_g"] for r in kidneys)
    assert doses[2].kidney_gy == pytest.approx(weighted, rel=1e-12)
    assert doses[0].kidney_gy == pytest.approx(1.03 * weighted, rel=1e-12)  # the record's first cycle is 3 % higher
    assert doses[2].marrow_gy == pytest.approx(0.118)


def test_a_signature_counts_only_for_the_version_that_is_printed(
    document: dict[str, Any], history: dict[str, Any]
) -> None:
    assert cycle_doses(history, document)[-1].status == "PHYSICIST_SIGNED"
    document["regions"][0]["mean_dose_gy"] += 0.1
    changed = cycle_doses(history, document)[-1]
    assert changed.status == "DRAFT"
    assert changed.signatures == ()


def test_later_cycles_and_no_record(document: dict[str, Any], history: dict[str, Any]) -> None:
    document["cycle"] = 2
    assert [dose.cycle for dose in cycle_doses(history, document)] == [1, 2]
    assert [dose.cycle for dose in cycle_doses(None, document)] == [2]


def test_sums_are_those_of_the_decision(document: dict[str, Any], history: dict[str, Any]) -> None:
    kidney, marrow = organ_sums(document, document["decision"], cycle_doses(history, document))
    assert (kidney.total_gy, kidney.sigma_gy, kidney.limit_gy) == (14.907, 1.42, 23.0)
    assert (marrow.projected_gy, marrow.method) == (0.476, "blood_only")
    assert kidney.p_exceed_projected == pytest.approx(0.0476)
    assert [cycle for cycle, _, _ in kidney.by_cycle] == [1, 2, 3]


def test_the_limit_the_rules_used_wins_over_the_printed_protocol(
    document: dict[str, Any], history: dict[str, Any]
) -> None:
    document["decision"]["cumulative"]["kidney_limit_gy"] = 40.0
    kidney, marrow = organ_sums(document, document["decision"], cycle_doses(history, document))
    assert (kidney.limit_gy, marrow.limit_gy) == (40.0, 2.0)


def _sum(total: float, projected: float | None, limit: float | None) -> OrganSum:
    return OrganSum("Kidneys", style.INK, (), total, None, projected, None, limit, None, None, "")


@pytest.mark.parametrize(
    ("total", "projected", "limit", "left"),
    [
        (18.4, 23.0, 23.0, "1"),  # case D20 of the specification: exactly the limit is allowed
        (19.0, 22.8, 23.0, "1"),  # D19
        (20.0, 24.0, 23.0, "0"),  # D21
        (4.6, 9.2, 23.0, "4"),
        (23.5, 28.0, 23.0, "0"),
        (5.0, None, 23.0, "–"),
        (5.0, 9.0, None, "–"),
    ],
)
def test_cycles_left(total: float, projected: float | None, limit: float | None, left: str) -> None:
    assert cycles_left(_sum(total, projected, limit)) == left


def test_missing_data_are_named(document: dict[str, Any]) -> None:
    document["administration"]["weight_kg"] = None
    document["decision"]["reasons"].append(
        {
            "code": "KIDNEY_DOSIMETRY_MISSING",
            "row": 6,
            "level": "REFER",
            "text": "no signed kidney dose of cycle 2",
            "source": "",
        }
    )
    assert missing(document, document["decision"]) == [
        "KIDNEY_DOSIMETRY_MISSING: no signed kidney dose of cycle 2",
        "not recorded: extravasation yes or no, weight",
    ]
