"""Areas under curves by hand: heads, tails, straight lines, and the errors of their points."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.physics.kinetics.curve_areas import last_points
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.exponential_fit import fit_mono, rate_bounds

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
PHYSICAL = LU.decay_constant_per_s
FASTEST = math.log(2.0) / (10.0 * HOUR)


def points(times_h: tuple[float, ...], *values: float, sigma: tuple[float, ...] | None = None) -> TimeActivityCurve:
    return TimeActivityCurve(np.array(times_h) * HOUR, np.array(values), None if sigma is None else np.array(sigma))


@pytest.mark.parametrize(
    ("values", "used"),
    [
        ((9.0, 5.0), 2),
        ((9.0, 5.0, 4.0), 3),
        ((5.0, 5.0, 4.0), 3),  # flat is no rise
        ((4.0, 5.0, 4.0), 2),
        ((4.0, 9.0, 5.0, 4.0), 3),
        ((9.0, 4.0, 5.0, 4.0), 2),
        ((9.0, 8.0, 5.0, 5.0, 4.0), 3),
    ],
)
def test_last_points(values: tuple[float, ...], used: int) -> None:
    curve = points((4.0, 24.0, 72.0, 120.0, 168.0)[: len(values)], *values)
    np.testing.assert_array_equal(last_points(curve).activity_bq, values[-used:])
    np.testing.assert_array_equal(last_points(curve).time_s, curve.time_s[-used:])


@pytest.mark.parametrize(
    ("values", "rate_per_s"),
    [
        ((10.0, 6.0, 4.0), math.log(10.0 / 6.0) / (10.0 * HOUR)),
        ((0.5, 0.4, 0.1), math.log(5.0 / 4.0) / (10.0 * HOUR)),
        ((10.0, 9.9, 4.0), PHYSICAL),  # slower than decay: decay
        ((6.0, 10.0, 4.0), PHYSICAL),  # rising
        ((10.0, 1.0, 0.5), FASTEST),
        ((10.0, 0.0, 0.5), FASTEST),
        ((10.0, -1.0, 0.5), FASTEST),
    ],
)
def test_the_head_of_straight_lines_goes_back_with_the_rate_of_the_first_two(
    values: tuple[float, ...], rate_per_s: float
) -> None:
    # y (e^(k t) - 1)/k before the first point at 10 h.
    curve = points((10.0, 20.0, 60.0), *values)
    head = values[0] * math.expm1(rate_per_s * 10.0 * HOUR) / rate_per_s
    positive = [max(value, 0.0) for value in values]
    inside = (10.0 * (positive[0] + positive[1]) / 2.0 + 40.0 * (positive[1] + positive[2]) / 2.0) * HOUR
    estimate = fit_curve(curve, LU, model="trapezoid", tail_rule="physical")
    tail = values[2] / PHYSICAL
    assert estimate.tia_bq_s == pytest.approx(head + inside + tail, rel=1e-12)
    assert estimate.extrapolated_fraction == pytest.approx((head + tail) / (head + inside + tail), rel=1e-12)


def test_nothing_at_first_leaves_nothing_before() -> None:
    estimate = fit_curve(points((10.0, 20.0, 60.0), 0.0, 6.0, 4.0), LU, model="trapezoid", tail_rule="physical")
    assert estimate.tia_bq_s == pytest.approx((30.0 + 200.0) * HOUR + 4.0 / PHYSICAL, rel=1e-12)


@pytest.mark.parametrize("sigma", [None, (0.3, 0.2, 0.5)])
@pytest.mark.parametrize(("head_rule", "share"), [("constant", 1.0), ("ramp", 0.5)])
def test_errors_of_straight_lines_add_in_quadrature(
    sigma: tuple[float, ...] | None, head_rule: str, share: float
) -> None:
    # With these heads and the physical tail the area is linear: weights in h of 10, 6, 4 at 10, 20, 60 h.
    weights = np.array([10.0 * share + 5.0, 5.0 + 20.0, 20.0]) * HOUR + np.array([0.0, 0.0, 1.0 / PHYSICAL])
    values = np.array([10.0, 6.0, 4.0])
    errors = 0.08 * values if sigma is None else np.array(sigma)
    estimate = fit_curve(
        points((10.0, 20.0, 60.0), *values, sigma=sigma),
        LU,
        model="trapezoid",
        head_rule=head_rule,
        tail_rule="physical",
        relative_error=0.08,
    )
    assert estimate.tia_bq_s == pytest.approx(float(weights @ values), rel=1e-12)
    assert estimate.tia_sigma_bq_s == pytest.approx(float(np.linalg.norm(weights * errors)), rel=1e-9)


def test_errors_of_a_fitted_tail_follow_its_rate() -> None:
    # Two points y1, y2, tail y2/k with k = ln(y1/y2)/dt: derivatives of 5 h y1 + 5 h y2 + ... written out.
    curve = points((10.0, 40.0), 10.0, 6.0, sigma=(0.02, 0.03))
    rate, span = math.log(10.0 / 6.0) / (30.0 * HOUR), 30.0 * HOUR
    slope_1 = 10.0 * HOUR + 15.0 * HOUR - 6.0 / rate**2 / (10.0 * span)
    slope_2 = 15.0 * HOUR + 1.0 / rate + 6.0 / rate**2 / (6.0 * span)
    estimate = fit_curve(curve, LU, model="trapezoid", head_rule="constant")
    assert estimate.tia_sigma_bq_s == pytest.approx(math.hypot(0.02 * slope_1, 0.03 * slope_2), rel=1e-6)


def test_measured_sigmas_decide_the_rate_of_the_tail() -> None:
    # The last point has hardly a weight, so the tail falls with the rate of the two before it: half in 48 h.
    curve = points((24.0, 72.0, 168.0), 8.0, 4.0, 3.0, sigma=(0.001, 0.001, 100.0))
    estimate = fit_curve(curve, LU, model="trapezoid", head_rule="ramp")
    expected = (0.5 * 24.0 * 8.0 + 48.0 * 6.0 + 96.0 * 3.5 + 3.0 * 48.0 / math.log(2.0)) * HOUR
    assert estimate.tia_bq_s == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("head_rule", "share"), [("constant", 1.0), ("ramp", 0.5)])
@pytest.mark.parametrize("tail_rule", ["fitted", "physical"])
def test_an_uptake_is_straight_lines_up_to_the_first_fitted_point(head_rule: str, share: float, tail_rule: str) -> None:
    # 20, 60, then 80, 50, 20 fitted from 24 h on: trapezoids of measured values, the last corner the fitted one.
    curve = points((2.0, 8.0, 24.0, 96.0, 168.0), 20.0, 60.0, 80.0, 50.0, 20.0)
    fit = fit_mono(curve.part(2), rate_bounds(LU), 0.05)
    amplitude, rate = float(fit.amplitude_bq[0]), float(fit.rate_per_s[0])

    def fitted(time_h: float) -> float:
        return amplitude * math.exp(-rate * time_h * HOUR)

    measured = np.array([2.0 * share + 3.0, 3.0 + 8.0]) * HOUR
    end = fitted(168.0) / (rate if tail_rule == "fitted" else PHYSICAL)
    area = float(measured @ [20.0, 60.0]) + 8.0 * HOUR * fitted(24.0) + (fitted(24.0) - fitted(168.0)) / rate + end
    estimate = fit_curve(curve, LU, head_rule=head_rule, tail_rule=tail_rule)
    assert estimate.model == "mono-last-3"
    assert estimate.tia_bq_s == pytest.approx(area, rel=1e-12)
    head = share * 2.0 * HOUR * 20.0
    assert estimate.extrapolated_fraction == pytest.approx((head + end) / area, rel=1e-12)


def test_errors_of_an_uptake_are_those_of_its_points_and_of_the_fit() -> None:
    # Physical tail from 96 h; two fitted points: f(24) and f(96) are the measured ones, with 5 % each.
    curve = points((4.0, 24.0, 96.0), 50.0, 80.0, 40.0)
    rate, span = math.log(2.0) / (72.0 * HOUR), 72.0 * HOUR
    # 10 h f1 + (f1 - f2)/k + f2/p with k = ln(f1/f2)/span; relative derivatives.
    inside = (80.0 - 40.0) / rate
    slope_1 = 10.0 * HOUR * 80.0 + 80.0 / rate - inside / (rate * span)
    slope_2 = -40.0 / rate + inside / (rate * span) + 40.0 / PHYSICAL
    measured = (4.0 + 10.0) * HOUR * 50.0
    expected = 0.05 * math.sqrt(slope_1**2 + slope_2**2 + measured**2)
    estimate = fit_curve(curve, LU, head_rule="constant", tail_rule="physical")
    assert estimate.tia_sigma_bq_s == pytest.approx(expected, rel=1e-9)


def test_a_first_point_below_zero_adds_nothing_but_its_error() -> None:
    curve = points((4.0, 24.0, 96.0), -5.0, 80.0, 40.0, sigma=(3.0, 4.0, 2.0))
    estimate = fit_curve(curve, LU, head_rule="ramp")
    assert estimate.tia_bq_s == pytest.approx(10.0 * HOUR * 80.0 + 80.0 * 72.0 * HOUR / math.log(2.0), rel=1e-9)
    without = fit_curve(points((4.0, 24.0, 96.0), -5.0, 80.0, 40.0, sigma=(1e-9, 4.0, 2.0)), LU, head_rule="ramp")
    assert estimate.tia_sigma_bq_s**2 - without.tia_sigma_bq_s**2 == pytest.approx((12.0 * HOUR * 3.0) ** 2, rel=1e-6)


@pytest.mark.parametrize(("half_life_h", "relative"), [(51.0, 0.05), (12.0, 0.2), (150.0, 0.3)])
def test_the_bias_of_straight_lines_is_that_of_the_tail_and_two_sigma_beside_it(
    half_life_h: float, relative: float
) -> None:
    # On one exponential of rate k head and tail are exact, so lines/true = k (head + trapezoids + tail) with f(0) = 1.
    times = np.array([24.0, 72.0, 168.0]) * HOUR
    rate = math.log(2.0) / (half_life_h * HOUR)
    estimate = fit_curve(
        TimeActivityCurve(times, np.exp(-rate * times), None), LU, model="trapezoid", relative_error=relative
    )
    spread = relative / math.sqrt(float(np.sum((times - times.mean()) ** 2)))

    def bias(k: float) -> float:
        values = np.exp(-k * times)
        return k * float(np.trapezoid(values, times)) + (1.0 - values[0]) + values[-1] - 1.0

    rates = [min(max(k, PHYSICAL), FASTEST) for k in (rate - 2.0 * spread, rate, rate + 2.0 * spread)]
    expected = (min(bias(k) for k in rates), max(bias(k) for k in rates))
    assert estimate.bias_relative == pytest.approx(expected, rel=1e-9)


def test_the_bias_with_a_ramp_and_a_physical_tail_includes_theirs() -> None:
    times = np.array([24.0, 72.0, 168.0]) * HOUR
    rate = math.log(2.0) / (51.0 * HOUR)
    estimate = fit_curve(
        TimeActivityCurve(times, np.exp(-rate * times), None),
        LU,
        model="trapezoid",
        head_rule="ramp",
        tail_rule="physical",
        relative_error=1e-9,
    )
    values = np.exp(-rate * times)
    lines = 12.0 * HOUR * values[0] + float(np.trapezoid(values, times)) + values[-1] / PHYSICAL
    exact = 12.0 * HOUR * values[0] + (values[0] - values[-1]) / rate + values[-1] / PHYSICAL
    assert estimate.bias_relative == pytest.approx((lines / exact - 1.0,) * 2, rel=1e-6)
