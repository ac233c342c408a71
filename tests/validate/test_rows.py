"""Rows: what passes, what fails, and that the package's own rows are complete."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pipeline.physics.commissioning.rows import compared, informed, not_run

VERDICTS = {"pass", "fail", "information", "not run"}


@pytest.mark.parametrize(
    ("number", "comparison", "known", "verdict"),
    [
        (1.009, "relative", None, "pass"),
        (1.011, "relative", None, "fail"),
        (0.991, "relative", None, "pass"),
        (2.009, "absolute", None, "fail"),
        (math.nan, "relative", None, "fail"),
        (math.inf, "relative", None, "fail"),
        (1.009, "relative", 0.008, "pass"),
        # within the tolerance, but the stated error has moved by more than half a point
        (1.009, "relative", 0.0, "fail"),
        (math.nan, "relative", 0.0, "fail"),
    ],
)
def test_verdicts(number: float, comparison: Any, known: float | None, verdict: str) -> None:
    row = compared(
        "x", number, 1.0, "Gy", "s", tolerance=0.01, reason="r", comparison=comparison, known_difference=known
    )
    assert row.verdict == verdict
    assert row.number is None or math.isfinite(row.number)


def test_rows_that_judge_nothing() -> None:
    assert informed("x", 3.0, 2.0, "", "s", reason="r").difference == pytest.approx(0.5)
    assert informed("x", 3.0, 2.0, "", "s", reason="r").verdict == "information"
    row = not_run("x", "", "s", tolerance=1.0, reason="no device")
    assert (row.number, row.verdict, row.reason) == (None, "not run", "no device")


def test_every_row_states_what_where_from_and_why(document: dict[str, Any]) -> None:
    assert len(document["rows"]) > 300
    for row in document["rows"]:
        assert row["what"]
        assert row["source"]
        assert row["reason"]
        assert row["verdict"] in VERDICTS
        assert (row["tolerance"] is None) == (row["verdict"] == "information")
        assert (row["number"] is None) == (row["verdict"] == "not run")
        assert (row["reference"] is None) == (row["verdict"] == "not run")


def test_no_row_is_there_twice(document: dict[str, Any]) -> None:
    names = [(row["chapter"], row["what"]) for row in document["rows"]]
    assert len(names) == len(set(names))


def test_this_machine_passes(document: dict[str, Any]) -> None:
    assert [row for row in document["rows"] if row["verdict"] == "fail"] == []
    assert document["verdict"] == "pass"
    counts = document["counts"]
    assert sum(counts.values()) == len(document["rows"])
    assert all(sum(chapter["counts"].values()) > 0 for chapter in document["chapters"])


def test_whole_chapters_the_issue_asks_for_are_there(document: dict[str, Any]) -> None:
    keys = {chapter["key"] for chapter in document["chapters"]}
    asked = {
        "decay_data", "voxel_kernels", "spheres", "organs", "conservation", "convolution", "slabs", "interface",
        "gpu", "torso", "decay_arithmetic", "kinetics", "recovery", "decisions",
    }  # fmt: skip
    assert asked <= keys


def test_known_errors_are_rows_of_their_own(document: dict[str, Any]) -> None:
    # Nothing hidden in an average: each region of both phantoms, and the worst of them plainly.
    known = [row for row in document["rows"] if row["known_difference"] is not None]
    assert len(known) == 80
    assert min(row["difference"] for row in known) < -0.6
    assert max(row["difference"] for row in known) > 1.0


# Issue's limits for organ means in a torso, decays as in a therapy.
TORSO = {
    "left kidney": 0.01, "right kidney": 0.01, "liver": 0.01, "spleen": 0.01, "left lung": 0.04, "right lung": 0.04,
    "body": 0.06, "spine": 0.10,
}  # fmt: skip


@pytest.mark.parametrize(("organ", "limit"), TORSO.items())
def test_torso_is_held_to_the_limits_of_the_issue(document: dict[str, Any], organ: str, limit: float) -> None:
    (row,) = [r for r in document["rows"] if r["what"] == f"decays as in a therapy: mean dose of the {organ}"]
    assert row["tolerance"] <= limit
    assert abs(row["difference"]) <= limit


def test_soft_tissue_is_held_tight(document: dict[str, Any]) -> None:
    # Kidney, liver, spleen rest on these: 0.5 % in slabs, 2 % against OLINDA, 1 % of the self voxel.
    for row in document["rows"]:
        if row["what"].startswith("source in water") and row["what"].endswith(("source block", "source voxel")):
            assert row["tolerance"] <= 0.005
        if row["chapter"] == "organs":
            assert row["tolerance"] <= 0.02
        if row["chapter"] == "voxel_kernels" and "source voxel" in row["what"] and row["verdict"] != "information":
            assert row["tolerance"] <= 0.01
