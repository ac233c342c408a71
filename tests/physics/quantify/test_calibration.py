"""Counts to Bq/mL."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refused import refused

from pipeline.domain.nuclide import Radionuclide
from pipeline.domain.therapy import CameraProfile, TimePointTiming
from pipeline.physics.decay import mean_over_acquisition
from pipeline.physics.quantification.calibration import activity_concentration, calibration_steps, paralysable_true_rate

LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
TIMING = TimePointTiming(datetime(2026, 3, 2, 10, tzinfo=UTC), 1800.0, 86400.0)
CAMERA = CameraProfile("a", (), 4.5, 0.03, 30.0, 120, 0.0, "acquisition_start", None, "2026-01-10")
NUMBERS: dict[str, Any] = {
    "frame_duration_s": None,
    "projections": None,
    "timing": TIMING,
    "nuclide": LU,
    "voxel_volume_ml": 0.1,
}


def test_counts_by_hand() -> None:
    # 7200 counts / (30 s x 120) = 2 counts/s, x 4.5 = 9 Bq, / 0.1 mL = 90 Bq/mL.
    value = activity_concentration(np.full((1, 1, 2), 7200.0), "counts", CAMERA, **NUMBERS)
    np.testing.assert_allclose(value, 90.0, rtol=1e-14)


def test_mean_over_acquisition_is_brought_to_the_start() -> None:
    camera = replace(CAMERA, decay_reference="none")
    value = activity_concentration(np.full((1, 1, 1), 7200.0), "counts", camera, **NUMBERS)
    exponent = LU.decay_constant_per_s * 1800.0
    assert float(value[0, 0, 0]) == pytest.approx(90.0 * exponent / (1.0 - math.exp(-exponent)), rel=1e-12)


def test_images_in_activity_pass_and_keep_their_precision() -> None:
    stored = np.array([[[1.5, 2.5]]], dtype=np.float32)
    value = activity_concentration(stored, "Bq/mL", replace(CAMERA, projections=None), **NUMBERS)
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, stored)


def test_the_ledger_multiplies_back() -> None:
    steps = calibration_steps("counts", CAMERA, **NUMBERS)
    assert [step.name for step in steps] == ["count_rate", "calibration", "voxel_volume", "decay_to_acquisition_start"]
    assert 7200.0 * math.prod(step.factor for step in steps) == pytest.approx(90.0, rel=1e-14)
    assert [step.relative_sigma for step in steps] == [0.0, 0.03, 0.0, 0.0]


def test_site_stands_above_the_header() -> None:
    numbers = NUMBERS | {"frame_duration_s": 10.0, "projections": 60}
    value = activity_concentration(np.full((1, 1, 1), 7200.0), "counts", CAMERA, **numbers)
    assert float(value[0, 0, 0]) == pytest.approx(90.0)
    silent = replace(CAMERA, frame_duration_s=None, projections=None)
    value = activity_concentration(np.full((1, 1, 1), 7200.0), "counts", silent, **numbers)
    assert float(value[0, 0, 0]) == pytest.approx(90.0 * 6.0)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"calibration_factor_bq_s_per_count": None}, "CALIBRATION_MISSING"),
        ({"calibration_factor_bq_s_per_count": 0.0}, "CALIBRATION_MISSING"),
        ({"frame_duration_s": None}, "FRAME_TIMING_MISSING"),
        ({"projections": None}, "FRAME_TIMING_MISSING"),
        ({"frame_duration_s": 0.0}, "FRAME_TIMING_MISSING"),
        ({"projections": 0}, "FRAME_TIMING_MISSING"),
        ({"decay_reference": None}, "DECAY_REFERENCE_UNKNOWN"),
    ],
)
def test_what_is_missing_is_refused(change: dict[str, Any], code: str) -> None:
    with refused(code, where="camera.a"):
        activity_concentration(np.ones((1, 1, 1)), "counts", replace(CAMERA, **change), **NUMBERS)


def test_the_header_says_the_decay_reference_where_the_site_does_not() -> None:
    camera = replace(CAMERA, decay_reference=None)
    value = activity_concentration(
        np.full((1, 1, 1), 7200.0), "counts", camera, **NUMBERS, header_decay_reference="administration"
    )
    assert float(value[0, 0, 0]) == pytest.approx(90.0 * 2.0 ** (-1.0 / 6.647), rel=1e-12)


@given(st.floats(0.0, 0.999), st.floats(1e-7, 1e-4))
def test_dead_time_is_undone(load: float, dead_time_s: float) -> None:
    true_rate = load / dead_time_s
    observed = true_rate * math.exp(-true_rate * dead_time_s)
    assert paralysable_true_rate(observed, dead_time_s) == pytest.approx(true_rate, rel=1e-6)


def test_rate_above_the_maximum_of_the_curve_is_refused() -> None:
    # 1/(e tau) = 367 879 counts/s at 1 us.
    with refused("DEAD_TIME_EXCEEDED", where="camera.dead_time_s", found="370000 counts/s", needed="367879 counts/s"):
        paralysable_true_rate(0.37e6, 1e-6)


def test_the_maximum_of_the_curve_itself_is_the_last_rate_that_has_a_true_one() -> None:
    # At m tau = 1/e the two branches meet, at n = 1/tau.
    assert paralysable_true_rate(math.exp(-1.0) / 1e-6, 1e-6) == pytest.approx(1e6, rel=1e-12)


def test_dead_time_enters_the_activity() -> None:
    # 7200 counts / 3600 s = 2 counts/s at the start of the acquisition; the detector saw the mean m over it.
    # n tau = 0.1: n exp(-0.1) = m, tau = 0.1/n.
    seen = 2.0 * mean_over_acquisition(LU, TIMING.acquisition_duration_s)
    true_rate = seen * math.exp(0.1)
    camera = replace(CAMERA, dead_time_s=0.1 / true_rate)
    value = activity_concentration(np.full((1, 1, 1), 7200.0), "counts", camera, **NUMBERS)
    assert float(value[0, 0, 0]) == pytest.approx(90.0 * math.exp(0.1), rel=1e-12)


def test_dead_time_sees_the_mean_that_is_stored() -> None:
    # Stored values that are the mean over the acquisition are what the detector saw: 2 counts/s, whatever the decay.
    camera = replace(CAMERA, decay_reference="none", dead_time_s=0.1 / (2.0 * math.exp(0.1)))
    value = activity_concentration(np.full((1, 1, 1), 7200.0), "counts", camera, **NUMBERS)
    without = activity_concentration(np.full((1, 1, 1), 7200.0), "counts", replace(camera, dead_time_s=0.0), **NUMBERS)
    assert float(value[0, 0, 0] / without[0, 0, 0]) == pytest.approx(math.exp(0.1), rel=1e-12)


def test_dead_time_of_a_weak_scan_is_in_the_ledger_and_of_an_empty_one_is_not() -> None:
    # 0.5 counts/s with 0.2 s: n exp(-0.2 n) = 0.5 at n = 0.5592 (Newton's rule by hand).
    camera = replace(CAMERA, dead_time_s=0.2)
    steps = calibration_steps("counts", camera, total_counts=0.5 * 3600.0, **NUMBERS)
    step = next(step for step in steps if step.name == "dead_time")
    rate = 0.5 * mean_over_acquisition(LU, TIMING.acquisition_duration_s)
    assert step.factor * rate * math.exp(-step.factor * rate * 0.2) == pytest.approx(rate, rel=1e-12)
    assert step.factor == pytest.approx(0.5592 / 0.5, rel=1e-3)
    for total in (0.0, -10.0):
        names = [step.name for step in calibration_steps("counts", camera, total_counts=total, **NUMBERS)]
        assert "dead_time" not in names


def test_nothing_is_counted_unless_a_total_is_given() -> None:
    steps = calibration_steps("counts", replace(CAMERA, dead_time_s=0.2), **NUMBERS)
    assert "dead_time" not in [step.name for step in steps]


def test_the_ledger_names_units_and_sources() -> None:
    camera = replace(CAMERA, dead_time_s=1e-6)
    steps = calibration_steps("counts", camera, total_counts=7200.0, **NUMBERS)
    assert [step.unit for step in steps] == ["counts/s", "counts/s", "Bq", "Bq/mL", "Bq/mL"]
    assert [step.relative_sigma for step in steps] == [0.0, 0.0, 0.03, 0.0, 0.0]
    sources = {step.name: step.source for step in steps}
    assert "Ljungberg" in sources["count_rate"]
    assert "Sorenson" in sources["dead_time"]
    assert "2026-01-10" in sources["calibration"]
    assert "grid" in sources["voxel_volume"]
    assert sources["decay_to_acquisition_start"] == "decay_reference = acquisition_start"
    undated = calibration_steps("counts", replace(camera, calibrated_on=None), **NUMBERS)
    assert "not stated" in next(step.source for step in undated if step.name == "calibration")


def test_one_projection_of_less_than_a_second_and_a_small_factor_are_used() -> None:
    camera = replace(CAMERA, frame_duration_s=0.5, projections=1, calibration_factor_bq_s_per_count=0.4)
    value = activity_concentration(np.full((1, 1, 1), 5.0), "counts", camera, **NUMBERS)
    assert float(value[0, 0, 0]) == pytest.approx(5.0 / 0.5 * 0.4 / 0.1, rel=1e-14)


def test_a_camera_without_dead_time_has_no_such_factor() -> None:
    assert paralysable_true_rate(5.0, 0.0) == 5.0
    assert paralysable_true_rate(0.0, 1e-6) == 0.0
    names = [step.name for step in calibration_steps("counts", CAMERA, total_counts=7200.0, **NUMBERS)]
    assert "dead_time" not in names
