"""Input that no honest TIA comes from, line by line as in docs/method.md: a flag or a refusal, never a bare number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.errors import RefusalError
from pipeline.physics.kinetics.curve_fit import fit_curve

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
DOCUMENT = Path(__file__).parents[3] / "docs" / "method.md"

REFUSED = {
    "two equal times": ([24.0, 24.0], [1.0, 1.0], "CURVE_TIMES_INVALID"),
    "times that go back": ([96.0, 24.0], [1.0, 1.0], "CURVE_TIMES_INVALID"),
    "all zero": ([24.0, 96.0, 168.0], [0.0, 0.0, 0.0], "CURVE_NOT_POSITIVE"),
    "all negative": ([24.0, 96.0, 168.0], [-1.0, -2.0, -1.0], "CURVE_NOT_POSITIVE"),
    "a negative last value without sigmas": ([24.0, 96.0, 168.0], [10.0, 4.0, -0.5], "CURVE_NOT_POSITIVE"),
    "a zero without sigmas": ([24.0, 96.0, 168.0], [7.2, 2.7, 0.0], "CURVE_NOT_POSITIVE"),
    "a single point without prior": ([24.0], [1.0], "SINGLE_POINT_WITHOUT_PRIOR"),
    "a point before the start": ([-1.0, 24.0, 96.0], [1.0, 2.0, 1.0], "CURVE_TIMES_INVALID"),
    "a value that is not a number": ([24.0, 96.0], [1.0, float("nan")], "CURVE_INVALID"),
    "an infinite value": ([24.0, 96.0], [float("inf"), 1.0], "CURVE_INVALID"),
    "seconds given as hours": ([86400.0, 345600.0], [2.0, 1.0], "CURVE_TIMES_INVALID"),
}
FLAGGED = {
    "rising to the end": (
        [24.0, 96.0, 168.0],
        [5.0, 8.0, 9.0],
        {"UPTAKE_PHASE", "AT_PHYSICAL_LIMIT", "FIT_WARN", "RISING_AT_THE_END"},
    ),
    "two rising points": (
        [24.0, 96.0],
        [5.0, 8.0],
        {"TWO_POINT", "UPTAKE_PHASE", "AT_PHYSICAL_LIMIT", "FIT_WARN", "RISING_AT_THE_END"},
    ),
    "rising at first": ([4.0, 24.0, 96.0], [5.0, 8.0, 4.0], {"UPTAKE_PHASE"}),
    "half-life at the physical one": ([24.0, 96.0, 168.0], [10.0, 7.4, 5.5], {"AT_PHYSICAL_LIMIT"}),
    "half-life at 10 h": ([24.0, 96.0, 168.0], [1.0, 1e-3, 1e-6], {"AT_SHORTEST_LIMIT"}),
    "two points within 48 h": ([24.0, 70.0], [2.0, 1.0], {"TWO_POINT", "FIT_WARN", "TWO_POINTS_WITHIN_48_H"}),
    "no point after 48 h": ([4.0, 24.0, 47.0], [4.0, 3.0, 2.2], {"FIT_WARN", "NO_POINT_AFTER_48_H"}),
    "a point off the curve": (
        [24.0, 96.0, 168.0],
        [7.2, 2.7, 0.5],
        {"FIT_WARN", "RESIDUAL_ABOVE_15_PERCENT", "FIT_POOR"},
    ),
    "a point far off the curve": (
        [24.0, 96.0, 168.0],
        [7.2, 2.7, 0.03],
        {"FIT_WARN", "RESIDUAL_ABOVE_15_PERCENT", "FIT_POOR", "FIT_BROKEN"},
    ),
}


@pytest.mark.parametrize("model", ["mono", "auto", "average", "trapezoid"])
@pytest.mark.parametrize("line", REFUSED)
def test_refused(line: str, model: str) -> None:
    times_h, values, code = REFUSED[line]
    with pytest.raises(RefusalError) as refusal:
        fit_curve(TimeActivityCurve(np.array(times_h) * HOUR, np.array(values), None), LU, model=model)
    assert refusal.value.code == code
    assert refusal.value.found
    assert refusal.value.needed
    assert refusal.value.do


@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize("line", FLAGGED)
def test_flagged_and_finite(line: str, measured: bool) -> None:
    times_h, values, flags = FLAGGED[line]
    sigma = np.full(len(values), 0.05 * max(values)) if measured else None
    estimate = fit_curve(TimeActivityCurve(np.array(times_h) * HOUR, np.array(values), sigma), LU)
    if not measured:
        assert flags <= set(estimate.flags)
    low, high = estimate.tia_ci95_bq_s or (np.nan, np.nan)
    numbers = [low, high, estimate.tia_bq_s, estimate.tia_sigma_bq_s, estimate.effective_half_life_s]
    assert np.isfinite([*numbers, estimate.effective_half_life_sigma_s, *estimate.covariance.ravel()]).all()
    assert 0.0 <= low <= estimate.tia_bq_s <= high
    assert estimate.flags


@pytest.mark.parametrize("last", [0.0, -0.5])
def test_a_value_not_above_zero_with_sigmas_is_flagged(last: float) -> None:
    values = np.array([10.0, 4.0, last])
    estimate = fit_curve(TimeActivityCurve(np.array([24.0, 96.0, 168.0]) * HOUR, values, np.full(3, 0.5)), LU)
    assert {"NON_POSITIVE_POINT", "FIT_WARN", "RESIDUAL_ABOVE_15_PERCENT"} <= set(estimate.flags)
    assert np.isfinite([estimate.tia_bq_s, *(estimate.tia_ci95_bq_s or (np.nan,))]).all()


@pytest.mark.parametrize("line", [*REFUSED, *FLAGGED])
def test_the_page_lists_every_line(line: str) -> None:
    rows = [row for row in DOCUMENT.read_text(encoding="utf-8").splitlines() if row.startswith(f"| {line} |")]
    assert len(rows) == 1
    code = {REFUSED[line][2]} if line in REFUSED else FLAGGED[line][2]
    assert all(f"`{one}`" in rows[0] for one in code)
