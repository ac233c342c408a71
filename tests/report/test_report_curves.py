"""What is drawn of a fit: head and tail by their rules, through the points of the document."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pipeline.report.curve_shape import CurvePart, CurveShape, curve_shape

HOUR = 3600.0
HALF_LIFE_S = 50 * HOUR
PHYSICAL_S = 159.53 * HOUR  # 177Lu, 6.647 d (ICRP 107)
RATE = math.log(2) / HALF_LIFE_S


def _region(**changes: Any) -> dict[str, Any]:
    times = (20 * HOUR, 70 * HOUR, 120 * HOUR)
    curve = {
        "model": "mono",
        "head_rule": "extrapolate",
        "tail_rule": "fitted",
        "parameters": {"amplitude_bq": 100.0, "rate_per_s": RATE},
        "fit_points": 3,
    }
    points = [{"delay_s": t, "activity_bq": 100.0 * math.exp(-RATE * t)} for t in times]
    return {"activity": points, "curve": curve | changes}


def _drawn(region: dict[str, Any], half_life_s: float | None, end_s: float) -> CurveShape:
    shape = curve_shape(region, half_life_s, end_s)
    assert shape is not None
    return shape


def _part(part: CurvePart | None) -> CurvePart:
    assert part is not None
    return part


def test_the_fit_is_drawn_from_zero_to_the_end_of_the_axis() -> None:
    shape = _drawn(_region(), None, 170 * HOUR)
    assert _part(shape.head).activity_bq[0] == pytest.approx(100.0, rel=1e-12)  # amplitude
    assert shape.inside.activity_bq[-1] == pytest.approx(100.0 * 2 ** (-120 / 50), rel=1e-12)
    assert _part(shape.tail).activity_bq[-1] == pytest.approx(100.0 * 2 ** (-170 / 50), rel=1e-12)


@pytest.mark.parametrize(("rule", "at_zero"), [("constant", 100.0 * 2 ** (-20 / 50)), ("ramp", 0.0)])
def test_other_head_rules_are_straight_lines(rule: str, at_zero: float) -> None:
    shape = _drawn(_region(head_rule=rule), None, 170 * HOUR)
    assert _part(shape.head).time_s.tolist() == [0.0, 20 * HOUR]
    assert _part(shape.head).activity_bq[0] == pytest.approx(at_zero, rel=1e-12)


def test_a_rising_first_point_is_in_the_head_not_in_the_fit() -> None:
    region = _region(model="mono-last-2", fit_points=2, head_rule="constant")
    region["activity"][0]["activity_bq"] = 10.0
    shape = _drawn(region, None, 170 * HOUR)
    assert shape.inside.time_s[0] == 70 * HOUR
    assert _part(shape.head).activity_bq == pytest.approx([10.0, 10.0, 100.0 * 2 ** (-70 / 50)], rel=1e-12)


def test_a_physical_tail_halves_in_the_physical_half_life() -> None:
    shape = _drawn(_region(tail_rule="physical"), PHYSICAL_S, 120 * HOUR + PHYSICAL_S)
    assert _part(shape.tail).activity_bq[-1] == pytest.approx(shape.inside.activity_bq[-1] / 2, rel=1e-12)
    unknown = _drawn(_region(tail_rule="physical"), None, 170 * HOUR)
    assert unknown.tail is None


def test_a_trapezoid_goes_through_the_points() -> None:
    region = _region(model="trapezoid")
    region["activity"][1]["activity_bq"] = 55.0
    shape = _drawn(region, PHYSICAL_S, 170 * HOUR)
    assert shape.inside.activity_bq.tolist() == [p["activity_bq"] for p in region["activity"]]
    # back from the first point with the slope of the first two
    first = region["activity"][0]["activity_bq"]
    slope = math.log(first / 55.0) / (50 * HOUR)
    assert _part(shape.head).activity_bq[0] == pytest.approx(first * math.exp(slope * 20 * HOUR), rel=1e-12)
    assert _part(shape.tail).activity_bq[-1] == pytest.approx(region["activity"][2]["activity_bq"] * 0.5, rel=1e-12)


def test_terms_of_a_bi_exponential_add() -> None:
    two = {"amplitude_bq": 60.0, "rate_per_s": RATE, "amplitude_2_bq": 40.0, "rate_2_per_s": 10 * RATE}
    shape = _drawn(_region(model="bi", parameters=two), None, 170 * HOUR)
    expected = 60.0 * 2 ** (-20 / 50) + 40.0 * 2 ** (-200 / 50)
    assert shape.inside.activity_bq[0] == pytest.approx(expected, rel=1e-12)


def test_no_curve_no_drawing() -> None:
    assert curve_shape(_region() | {"curve": None}, None, 1.0) is None
    assert curve_shape(_region() | {"activity": []}, None, 1.0) is None


def test_parts_join() -> None:
    shape = _drawn(_region(), None, 170 * HOUR)
    assert np.isclose(_part(shape.head).activity_bq[-1], shape.inside.activity_bq[0], rtol=1e-12)
    assert np.isclose(_part(shape.tail).activity_bq[0], shape.inside.activity_bq[-1], rtol=1e-12)
