"""The chart of uncertainty budgets names the part that dominates."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.report.figures import BUDGET_PARTS, dominant_part


@pytest.mark.parametrize(
    ("sigmas", "text"),
    [
        ({"calibration": 0.03, "volume": 0.06, "fit": 0.02}, ", contour volume 73 %"),  # 36 of 9 + 36 + 4
        ({"calibration": 0.03, "recovery": 0.01}, ", calibration 90 %"),
        ({"recovery": 0.09, "s_value": 0.03}, ", recovery 90 %"),
        ({"fit": 0.05}, ", time-activity fit 100 %"),
        ({"s_value": 0.2, "fit": 0.1}, ", dose per decay 80 %"),
        ({}, ""),
    ],
)
def test_the_largest_share_of_the_variance_is_named(sigmas: dict[str, float], text: str) -> None:
    assert dominant_part(np.array([sigmas.get(part, 0.0) ** 2 for part in BUDGET_PARTS])) == text
