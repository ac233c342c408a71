"""Decay between reference moments."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.nuclide import Radionuclide
from pipeline.domain.therapy import TimePointTiming
from pipeline.physics.decay import at_middle, decay_factor, mean_over_acquisition, start_factor, to_acquisition_start

LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
EFFECTIVE = math.log(2.0) / (51.0 * 3600.0)


def _timing(duration_s: float, delay_s: float = 86400.0) -> TimePointTiming:
    return TimePointTiming(datetime(2026, 3, 2, 10, tzinfo=UTC), duration_s, delay_s)


@given(st.floats(-1e7, 1e7))
def test_decay_and_back_is_the_identity(elapsed_s: float) -> None:
    assert decay_factor(LU, elapsed_s) * decay_factor(LU, -elapsed_s) == pytest.approx(1.0, rel=1e-12)


def test_half_is_left_after_one_half_life() -> None:
    assert decay_factor(LU, LU.half_life_s) == pytest.approx(0.5, rel=1e-14)


def test_mean_over_acquisition_by_numbers() -> None:
    # One half-life: (1 - 1/2)/ln 2 = 0.721348; a moment: 1 - lambda T / 2 to first order.
    assert mean_over_acquisition(LU, LU.half_life_s) == pytest.approx(0.5 / math.log(2.0), rel=1e-14)
    assert mean_over_acquisition(LU, 1.0) == pytest.approx(1.0 - LU.decay_constant_per_s / 2.0, rel=1e-12)


def test_an_acquisition_of_no_length_is_a_moment() -> None:
    assert mean_over_acquisition(LU, 0.0) == 1.0
    assert mean_over_acquisition(LU, 1e-9) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("reference", ["none", "acquisition_start", "administration"])
def test_every_reference_leads_to_the_start(reference: str) -> None:
    # Purely physical decay from 1 Bq at the administration: what each convention would store, written out.
    timing = _timing(1800.0)
    start = 2.0 ** (-86400.0 / LU.half_life_s)
    rate = math.log(2.0) / LU.half_life_s
    mean = start * (1.0 - math.exp(-rate * 1800.0)) / (rate * 1800.0)
    stored = {"none": mean, "acquisition_start": start, "administration": 1.0}[reference]
    assert to_acquisition_start(stored, LU, timing, reference) == pytest.approx(start, rel=1e-12)


def test_middle_is_right_to_second_order_although_clearance_is_biological_too() -> None:
    # Activity falls with 51 h; the mean over 30 min is taken to the start and on to the middle with physical decay.
    timing = _timing(1800.0)
    mean = (1.0 - math.exp(-EFFECTIVE * 1800.0)) / (EFFECTIVE * 1800.0)
    start = mean * start_factor(LU, timing, "none")
    time_s, middle = at_middle(start, LU, timing)
    assert time_s == 86400.0 + 900.0
    assert middle / math.exp(-EFFECTIVE * 900.0) - 1.0 == pytest.approx(
        -(EFFECTIVE**2 - LU.decay_constant_per_s**2) * 1800.0**2 / -24.0, rel=1e-2
    )
    assert abs(middle / math.exp(-EFFECTIVE * 900.0) - 1.0) < 2e-6
    assert abs(start - 1.0) == pytest.approx(0.0023, rel=0.02)
