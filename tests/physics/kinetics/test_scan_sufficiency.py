"""When one scan is enough (clinical specification 3.2 (4)), and which scan is missing where it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import RefusalError
from pipeline.physics.kinetics.scan_sufficiency import (
    SingleScanFacts,
    missing_scans,
    require_one_scan_suffices,
    unmet_conditions,
)

HOUR = 3600.0
GOOD = SingleScanFacts(1, 1.0, new_hydronephrosis=False, tumour_volume_ratio=1.0)


def test_all_conditions_hold() -> None:
    assert unmet_conditions(GOOD) == ()
    require_one_scan_suffices(GOOD, 24.0 * HOUR)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cycles_since_full": None}, "no signed earlier cycle"),
        ({"cycles_since_full": 4}, "4 cycles ago"),
        ({"creatinine_ratio": None}, "not on record"),
        ({"creatinine_ratio": 1.25}, "+25 %"),
        ({"creatinine_ratio": 0.75}, "-25 %"),
        ({"new_hydronephrosis": None}, "not stated"),
        ({"new_hydronephrosis": True}, "new hydronephrosis"),
        ({"tumour_volume_ratio": 2.1}, "2.10 times"),
        ({"tumour_volume_ratio": 0.4}, "0.40 times"),
        ({"tumour_volume_ratio": None}, "tumour volume"),
        ({"creatinine_ratio": None, "creatinine_missing": "no creatinine of 2026-06-06 to"}, "of 2026-06-06 to"),
        ({"failed_fits": ("kidney_left (the fit carried a warning)",)}, "kidney_left (the fit"),
        ({"cycles_since_full": None, "unsigned": ("cycle 1, version 1 is a draft",)}, "version 1 is a draft"),
        ({"cycles_since_full": 4, "unsigned": ("cycle 4, version 1 is a draft",)}, "4 cycles ago (cycle 4, version 1"),
    ],
)
def test_each_condition_refuses_alone(change: dict[str, Any], said: str) -> None:
    facts = replace(GOOD, **change)
    assert len(unmet_conditions(facts)) == 1
    with pytest.raises(RefusalError) as refusal:
        require_one_scan_suffices(facts, 24.0 * HOUR)
    assert refusal.value.code == "SINGLE_SCAN_INSUFFICIENT"
    assert said in refusal.value.found
    assert "72-120 h and 144-192 h" in refusal.value.needed


@pytest.mark.parametrize("ok", [{"cycles_since_full": 3}, {"creatinine_ratio": 1.24}, {"creatinine_ratio": 0.76}])
def test_within_the_limits(ok: dict[str, Any]) -> None:
    assert unmet_conditions(replace(GOOD, **ok)) == ()


@pytest.mark.parametrize(
    ("hours", "lacking"),
    [(24.0, "72-120 h and 144-192 h"), (96.0, "18-30 h and 144-192 h"), (168.0, "18-30 h and 72-120 h")],
)
def test_the_scans_that_are_missing(hours: float, lacking: str) -> None:
    assert missing_scans(hours * HOUR) == lacking


@pytest.mark.parametrize("hours", [18.0, 30.0])
def test_the_24_h_scan_may_be_made_within_its_window(hours: float) -> None:
    require_one_scan_suffices(GOOD, hours * HOUR)


@pytest.mark.parametrize("hours", [4.0, 17.0, 31.0, 96.0, 168.0, 240.0])
def test_a_scan_outside_the_window_never_suffices(hours: float) -> None:
    # 4 h: reusing the half-life moved doses by 13 % (section 3.1). Section 3.2 (4) allows the 24 h scan only: 18-30 h.
    with pytest.raises(RefusalError) as refusal:
        require_one_scan_suffices(GOOD, hours * HOUR)
    assert f"{hours:.1f} h, not within 18-30 h" in refusal.value.found
