"""Where region kinetics changes its mind, to the exact value: refusals, flags, choice of points; and sums by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from refused import refused

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.exponential_fit import aicc, fit_mono, fitted_sigma, rate_bounds
from pipeline.physics.kinetics.exponentials import ExponentialSum, Quantity, fisher_covariance
from pipeline.physics.kinetics.single_time_point import haenscheid_2018_tia

HOUR = 3600.0
PHYSICAL_H = 6.647 * 24.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
SCANS_H = (24.0, 96.0, 168.0)


def nuclide(half_life_h: float) -> Radionuclide:
    return Radionuclide("X-1", half_life_h * HOUR, 0.1, 0.0, 0.0, "test", "test")


def falling(times_h: tuple[float, ...], half_life_h: float = 51.0, amplitude: float = 1e8) -> TimeActivityCurve:
    time = np.array(times_h) * HOUR
    return TimeActivityCurve(time, amplitude * np.exp(-math.log(2.0) / (half_life_h * HOUR) * time), None)


def points(times_h: tuple[float, ...], *values: float, sigma: tuple[float, ...] | None = None) -> TimeActivityCurve:
    return TimeActivityCurve(np.array(times_h) * HOUR, np.array(values), None if sigma is None else np.array(sigma))


def two_phases(times_h: tuple[float, ...]) -> TimeActivityCurve:
    slow, fast = falling(times_h, 67.0), falling(times_h, 12.0)
    return TimeActivityCurve(slow.time_s, slow.activity_bq + 2.0 * fast.activity_bq, None)


@pytest.mark.parametrize("relative_error", [0.0, 1.0, -0.1, math.nan])
def test_a_relative_error_is_between_0_and_1(relative_error: float) -> None:
    with refused("RELATIVE_ERROR_INVALID", where="kinetics.relative_error", found=f"relative error {relative_error}"):
        fit_curve(falling(SCANS_H), LU, relative_error=relative_error)


def test_an_error_of_nearly_everything_is_still_an_error() -> None:
    estimate = fit_curve(falling(SCANS_H), LU, relative_error=0.999)
    half = fit_curve(falling(SCANS_H), LU, relative_error=0.4995)
    assert estimate.tia_sigma_bq_s == pytest.approx(2.0 * half.tia_sigma_bq_s, rel=1e-9)


def test_five_percent_is_the_error_that_is_assumed() -> None:
    assumed, stated = fit_curve(falling(SCANS_H), LU), fit_curve(falling(SCANS_H), LU, relative_error=0.05)
    assert assumed.tia_sigma_bq_s == stated.tia_sigma_bq_s


def test_the_last_time_is_within_20_half_lives() -> None:
    # 20 x 10 h: at 200 h a millionth is left.
    assert fit_curve(falling((24.0, 200.0), 9.9), nuclide(10.0)).tia_bq_s > 0.0
    with refused(
        "CURVE_TIMES_INVALID", where="curve", found="a point 201 h after", needed="within 20 half-lives of X-1"
    ):
        fit_curve(falling((24.0, 201.0), 9.9), nuclide(10.0))


@pytest.mark.parametrize(("model", "few", "found"), [("bi", 3, "3 points for 2"), ("tri", 5, "5 points for 3")])
def test_exponentials_need_two_points_each(model: str, few: int, found: str) -> None:
    times_h = (1.0, 4.0, 24.0, 48.0, 96.0, 168.0, 240.0)
    with refused("TOO_FEW_POINTS", where="curve", found=found, needed=f"at least {few + 1} points"):
        fit_curve(two_phases(times_h[:few]), LU, model=model)
    enough = fit_curve(two_phases(times_h[: few + 1]), LU, model=model)
    assert enough.model == model
    assert "NO_DEGREES_OF_FREEDOM" in enough.flags
    assert "NO_DEGREES_OF_FREEDOM" not in fit_curve(two_phases(times_h[: few + 2]), LU, model=model).flags


def test_one_point_says_what_would_help() -> None:
    with refused("SINGLE_POINT_WITHOUT_PRIOR", where="curve", found="one time point", needed="two time points"):
        fit_curve(falling((24.0,)), LU)


@pytest.mark.parametrize(
    ("values", "model", "uptake"),
    [
        ((9.0, 6.0, 4.0, 2.0), "mono", False),
        ((9.0, 9.0, 6.0, 4.0), "mono", False),  # flat is no uptake
        ((5.0, 9.0, 6.0, 4.0), "mono-last-3", True),
        ((5.0, 6.0, 6.0, 4.0), "mono-last-3", True),  # flat between the last three is no rise
        ((5.0, 6.0, 9.0, 4.0), "mono-last-2", True),
        ((5.0, 9.0, 4.0), "mono-last-2", True),
        ((9.0, 5.0, 4.0), "mono", False),
        ((5.0, 9.0), "mono", True),
        ((5.0, 5.0), "mono", False),
    ],
)
def test_points_that_are_fitted_after_an_uptake(values: tuple[float, ...], model: str, uptake: bool) -> None:
    estimate = fit_curve(points((4.0, 24.0, 72.0, 168.0)[: len(values)], *values), LU)
    assert (estimate.model, "UPTAKE_PHASE" in estimate.flags) == (model, uptake)


@pytest.mark.parametrize(
    ("times_h", "flags"),
    [
        ((4.0, 24.0, 48.0), ()),
        ((4.0, 24.0, 47.9), ("FIT_WARN", "NO_POINT_AFTER_48_H")),
        ((24.0, 72.0), ("TWO_POINT",)),
        ((24.0, 71.9), ("TWO_POINT", "FIT_WARN", "TWO_POINTS_WITHIN_48_H")),
        ((24.0, 60.0, 71.9), ()),
    ],
)
def test_48_hours_are_enough(times_h: tuple[float, ...], flags: tuple[str, ...]) -> None:
    assert fit_curve(falling(times_h), LU).flags == flags


@pytest.mark.parametrize(
    ("range_h", "outside"), [((51.0, 60.0), False), ((40.0, 51.0), False), ((51.1, 60.0), True), ((40.0, 50.9), True)]
)
def test_the_plausible_range_of_half_lives(range_h: tuple[float, float], outside: bool) -> None:
    widened = (range_h[0] - 1e-6, range_h[1] + 1e-6)
    flags = fit_curve(falling(SCANS_H), LU, half_life_range_h=widened).flags
    assert ("HALF_LIFE_OUTSIDE_RANGE" in flags) is outside


@pytest.mark.parametrize(("factor", "warned"), [(1.149, False), (1.151, True), (0.851, False), (0.849, True)])
def test_a_residual_above_15_percent_of_the_fitted_activity(factor: float, warned: bool) -> None:
    # The sigma of the last point is a millionfold, so the fit goes through the first two.
    true = falling(SCANS_H).activity_bq
    values = true * np.array([1.0, 1.0, factor])
    data = TimeActivityCurve(np.array(SCANS_H) * HOUR, values, true * np.array([1e-6, 1e-6, 1.0]))
    assert ("RESIDUAL_ABOVE_15_PERCENT" in fit_curve(data, LU).flags) is warned


def test_the_rising_point_is_no_residual() -> None:
    data = points((4.0, 24.0, 96.0, 168.0), 10.0, 80.0, 40.0, 20.0)
    assert fit_curve(data, LU).flags == ("UPTAKE_PHASE",)


@pytest.mark.parametrize(("half_life_h", "flagged"), [(10.19, True), (10.22, False)])
def test_near_the_shortest_half_life(half_life_h: float, flagged: bool) -> None:
    # Within 2 % of the fastest rate: 10 h / 0.98 = 10.204 h.
    flags = fit_curve(falling((4.0, 24.0, 60.0), half_life_h), LU).flags
    assert ("AT_SHORTEST_LIMIT" in flags) is flagged


@pytest.mark.parametrize(("half_life_h", "flagged"), [(0.981 * PHYSICAL_H, True), (0.979 * PHYSICAL_H, False)])
def test_near_the_physical_half_life(half_life_h: float, flagged: bool) -> None:
    assert ("AT_PHYSICAL_LIMIT" in fit_curve(falling(SCANS_H, half_life_h), LU).flags) is flagged


@pytest.mark.parametrize(("last", "rises"), [(20.0, False), (40.0, False), (40.1, True)])
def test_a_rise_at_the_end_is_said(last: float, rises: bool) -> None:
    assert ("RISING_AT_THE_END" in fit_curve(points(SCANS_H, 80.0, 40.0, last), LU).flags) is rises


@pytest.mark.parametrize(
    ("values", "flags"),
    [
        ((80.0, 60.0, 30.0, 15.0), ()),
        ((10.0, 80.0, 40.0, 20.0), ()),  # only the last three are fitted
        ((80.0, 60.0, 30.0, 29.0), ("FIT_WARN", "RESIDUAL_ABOVE_15_PERCENT")),
    ],
)
def test_straight_lines_are_flagged_by_their_tail(values: tuple[float, ...], flags: tuple[str, ...]) -> None:
    estimate = fit_curve(points((4.0, 24.0, 96.0, 168.0), *values), LU, model="trapezoid")
    assert (estimate.model, estimate.flags) == ("trapezoid", flags)


def test_a_zero_is_no_positive_point_and_the_physical_tail_is_an_upper_bound() -> None:
    zero = TimeActivityCurve(np.array(SCANS_H) * HOUR, np.array([10.0, 5.0, 0.0]), np.full(3, 0.5))
    assert "NON_POSITIVE_POINT" in fit_curve(zero, LU).flags
    estimate = fit_curve(falling(SCANS_H), LU, tail_rule="physical", head_rule="ramp")
    assert estimate.flags == ("TAIL_PHYSICAL_UPPER_BOUND",)
    assert (estimate.head_rule, estimate.tail_rule) == ("ramp", "physical")


def test_numbers_of_an_estimate_by_hand() -> None:
    # ln f has sigma r: var(lambda) = r^2 / sum (t - mean t)^2, and u(T)/T = u(lambda)/lambda.
    estimate = fit_curve(falling(SCANS_H, 51.0, 2e8), LU, relative_error=0.04)
    spread = math.sqrt(sum((t - 96.0) ** 2 for t in SCANS_H)) * HOUR
    rate = math.log(2.0) / (51.0 * HOUR)
    assert estimate.parameters == pytest.approx({"amplitude_bq": 2e8, "rate_per_s": rate}, rel=1e-10)
    assert estimate.effective_half_life_sigma_s == pytest.approx(51.0 * HOUR * 0.04 / spread / rate, rel=1e-9)
    before, after = 1.0 - 2.0 ** (-24.0 / 51.0), 2.0 ** (-168.0 / 51.0)
    assert estimate.extrapolated_fraction == pytest.approx(before + after, rel=1e-9)


# --- sums of exponentials

SUM = ExponentialSum(np.array([3.0, -1.0]), np.array([0.1, 0.5]), np.eye(4) * np.array([0.04, 1e-4, 0.09, 4e-4]))


def changed(index: int, step: float) -> ExponentialSum:
    amplitude, rate = SUM.amplitude_bq.copy(), SUM.rate_per_s.copy()
    (amplitude if index % 2 == 0 else rate)[index // 2] += step
    return ExponentialSum(amplitude, rate, SUM.covariance)


@pytest.mark.parametrize(("begin_s", "end_s"), [(0.0, math.inf), (2.0, 7.0), (2.0, math.inf)])
def test_area_by_the_antiderivative_and_its_gradient_by_differences(begin_s: float, end_s: float) -> None:
    def upto(time_s: float) -> float:
        return sum(a / k * math.exp(-k * time_s) for a, k in ((3.0, 0.1), (-1.0, 0.5)))

    area = SUM.area(begin_s, end_s)
    assert area.value == pytest.approx(upto(begin_s) - (0.0 if math.isinf(end_s) else upto(end_s)), rel=1e-12)
    step = 1e-6
    slopes = [(changed(i, step).area(begin_s, end_s).value - area.value) / step for i in range(4)]
    np.testing.assert_allclose(area.gradient, slopes, rtol=1e-4)


def test_value_at_one_time_and_at_many() -> None:
    value = SUM.at(2.0)
    expected = 3.0 * math.exp(-0.2) - math.exp(-1.0)
    assert value.value == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(SUM.values(np.array([2.0, 0.0])), [expected, 2.0], rtol=1e-14)
    slopes = [(changed(i, 1e-6).at(2.0).value - expected) / 1e-6 for i in range(4)]
    np.testing.assert_allclose(value.gradient, slopes, rtol=1e-4)


def test_quantities_add_and_scale_with_their_gradients() -> None:
    total = (Quantity(2.0, np.array([1.0, 3.0])) + Quantity(5.0, np.array([10.0, 20.0]))).scaled(2.0)
    assert total.value == 14.0
    np.testing.assert_array_equal(total.gradient, [22.0, 46.0])


def test_sigma_by_the_delta_method() -> None:
    # Uncorrelated parameters: sqrt(1 x 0.04 + 4 x 1e-4 + 9 x 0.09).
    quantity = Quantity(1.0, np.array([1.0, 2.0, 3.0, 0.0]))
    assert SUM.sigma_of(quantity) == pytest.approx(math.sqrt(0.04 + 4e-4 + 0.81), rel=1e-14)
    negative = ExponentialSum(np.array([1.0]), np.array([0.1]), -1e-20 * np.eye(2))
    assert negative.sigma_of(Quantity(1.0, np.array([1.0, 0.0]))) == 0.0


def test_parameters_of_further_components_are_numbered() -> None:
    assert SUM.parameters() == {
        "amplitude_bq": 3.0,
        "rate_per_s": 0.1,
        "amplitude_2_bq": -1.0,
        "rate_2_per_s": 0.5,
    }
    assert SUM.converged is True


def test_covariance_of_one_exponential_by_hand() -> None:
    # J = (e^-kt, -A t e^-kt); (J^T W J)^-1 of 2 x 2.
    time, sigma = np.array([1.0, 3.0, 8.0]), np.array([0.1, 0.2, 0.05])
    shape = np.exp(-0.3 * time)
    jacobian = np.stack([shape, -2.0 * time * shape], axis=1) / sigma[:, None]
    expected = np.linalg.inv(jacobian.T @ jacobian)
    found = fisher_covariance(time, np.array([2.0]), np.array([0.3]), sigma)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    # Without amplitude there is no error of the rate, and that of the amplitude is 1/sum(w e^-2kt).
    empty = fisher_covariance(time, np.array([0.0]), np.array([0.3]), sigma)
    np.testing.assert_allclose(empty, [[1.0 / float(np.sum((shape / sigma) ** 2)), 0.0], [0.0, 0.0]], rtol=1e-10)


# --- fits


@pytest.mark.parametrize(
    ("physical_h", "shortest_h", "component_h"), [(PHYSICAL_H, 10.0, 0.1), (20.0, 5.0, 0.1), (2.0, 0.5, 0.05)]
)
def test_bounds_of_rates(physical_h: float, shortest_h: float, component_h: float) -> None:
    bounds = rate_bounds(nuclide(physical_h))
    half_lives_h = [
        math.log(2.0) / rate / HOUR
        for rate in (bounds.slowest_per_s, bounds.fastest_per_s, bounds.fastest_component_per_s)
    ]
    assert half_lives_h == pytest.approx([physical_h, shortest_h, component_h], rel=1e-12)


def test_a_weighted_fit_is_the_zero_of_its_derivatives() -> None:
    # Two exponentials' worth of disagreement: at the optimum both normal equations vanish.
    data = points((4.0, 24.0, 96.0, 168.0), 90.0, 70.0, 35.0, 9.0, sigma=(3.0, 2.0, 1.0, 0.5))
    fit = fit_mono(data, rate_bounds(LU), 0.05)
    shape = np.exp(-fit.rate_per_s[0] * data.time_s)
    residual = (data.activity_bq - fit.amplitude_bq[0] * shape) / data.sigma_bq**2
    assert float(residual @ shape) == pytest.approx(0.0, abs=1e-9)
    assert float(residual @ (data.time_s / HOUR * shape)) == pytest.approx(0.0, abs=1e-6)


def test_a_relative_fit_is_the_zero_of_its_normal_equations() -> None:
    # Weights 1/f^2: sum (y - f)/f = 0 and sum (y - f) t/f = 0.
    data = points((4.0, 24.0, 96.0, 168.0), 90.0, 70.0, 35.0, 9.0)
    fit = fit_mono(data, rate_bounds(LU), 0.05)
    fitted = fit.values(data.time_s)
    relative = data.activity_bq / fitted - 1.0
    assert float(relative.sum()) == pytest.approx(0.0, abs=1e-10)
    assert float(relative @ data.time_s) / HOUR == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize(("true_h", "half_life_h"), [(6.0, 10.0), (400.0, PHYSICAL_H)])
@pytest.mark.parametrize("measured", [False, True])
def test_a_fit_at_its_bound_has_the_best_amplitude_there(true_h: float, half_life_h: float, measured: bool) -> None:
    curve = falling((4.0, 12.0, 24.0), true_h)
    sigma = 0.1 * curve.activity_bq if measured else None
    fit = fit_mono(TimeActivityCurve(curve.time_s, curve.activity_bq, sigma), rate_bounds(LU), 0.05)
    assert math.log(2.0) / fit.rate_per_s[0] / HOUR == pytest.approx(half_life_h, rel=1e-12)
    shape = np.exp(-fit.rate_per_s[0] * curve.time_s)
    if measured:
        weight = 1.0 / curve.activity_bq**2
        best = float(np.sum(weight * curve.activity_bq * shape) / np.sum(weight * shape**2))
    else:
        best = float(np.mean(curve.activity_bq / shape))
    assert fit.amplitude_bq[0] == pytest.approx(best, rel=1e-9)


def test_information_by_hand() -> None:
    # chi2 = 1 + 4 = 5 beside a perfect third point; 2 sum ln sigma; 2 k = 4; no correction for k = 2 and 3 points.
    fit = ExponentialSum(np.array([100.0]), np.array([0.0]), np.zeros((2, 2)))
    data = points((1.0, 2.0, 3.0), 102.0, 92.0, 100.0, sigma=(2.0, 4.0, 1.0))
    assert aicc(data, fit, 0.05) == pytest.approx(5.0 + 2.0 * math.log(8.0) + 4.0, rel=1e-12)
    more = points((1.0, 2.0, 3.0, 4.0), 102.0, 92.0, 100.0, 100.0, sigma=(2.0, 4.0, 1.0, 1.0))
    # n = 4: 2 k (k + 1)/(n - k - 1) = 12.
    assert aicc(more, fit, 0.05) == pytest.approx(5.0 + 2.0 * math.log(8.0) + 4.0 + 12.0, rel=1e-12)
    five = points((1.0, 2.0, 3.0, 4.0, 5.0), 102.0, 92.0, 100.0, 100.0, 100.0, sigma=(2.0, 4.0, 1.0, 1.0, 1.0))
    double = ExponentialSum(np.array([50.0, 50.0]), np.array([0.0, 0.0]), np.zeros((4, 4)))
    assert aicc(five, double, 0.05) == math.inf
    six = points((1.0, 2.0, 3.0, 4.0, 5.0, 6.0), 102.0, 92.0, 100.0, 100.0, 100.0, 100.0, sigma=(2.0, 4.0, 1, 1, 1, 1))
    assert aicc(six, double, 0.05) == pytest.approx(5.0 + 2.0 * math.log(8.0) + 8.0 + 40.0, rel=1e-12)


def test_sigmas_a_fit_stands_on() -> None:
    data = points((1.0, 2.0, 3.0), 5.0, 4.0, 3.0)
    fitted = np.array([200.0, -100.0, 0.0])
    np.testing.assert_allclose(fitted_sigma(data, fitted, 0.1), [20.0, 10.0, 0.1 * 200.0 * 1e-6], rtol=1e-14)
    measured = points((1.0, 2.0), 5.0, 4.0, sigma=(0.5, 0.25))
    np.testing.assert_array_equal(fitted_sigma(measured, np.array([1.0, 1.0]), 0.1), [0.5, 0.25])


def test_a_curve_without_activity_is_told_its_values() -> None:
    with refused("CURVE_NOT_POSITIVE", where="curve", found="activities [0.0, 0.0]", needed="holds activity"):
        fit_mono(points((24.0, 96.0), 0.0, 0.0), rate_bounds(LU), 0.05)


def test_the_2018_form_begins_at_three_quarters_of_a_half_life() -> None:
    assert haenscheid_2018_tia(1.0, 0.75 * 48.0, expected_half_life_s=48.0) > 0.0
    with refused("SINGLE_POINT_TOO_EARLY", where="curve", found="a point at 35 s for an expected", needed="at 36 s or"):
        haenscheid_2018_tia(1.0, 35.0, expected_half_life_s=48.0)
