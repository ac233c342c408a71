"""The 95 % interval of a TIA by profile likelihood, and averaged models."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from pipeline.domain.kinetics import TiaEstimate, TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.physics.kinetics.curve_areas import AreaRule, CurveArea, area_rule, fitted_area
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.exponential_fit import fit_mono, rate_bounds
from pipeline.physics.kinetics.model_average import akaike_weights
from pipeline.physics.kinetics.tia_interval import fitted_interval

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
SCANS_H = (24.0, 96.0, 168.0)
EIGHT_H = (1.0, 4.0, 8.0, 24.0, 48.0, 96.0, 120.0, 168.0)
MANY_H = (1.0, 4.0, 24.0, 48.0, 96.0, 168.0)
RULES = [("extrapolate", "fitted"), ("ramp", "physical"), ("constant", "fitted")]


def noisy(
    times_h: tuple[float, ...], relative: float, seed: int, *components: tuple[float, float], measured: bool = False
) -> TimeActivityCurve:
    """Sum of (amplitude, half-life in h) with relative noise."""
    time = np.array(times_h) * HOUR
    exact = sum(a * np.exp(-math.log(2.0) / (t * HOUR) * time) for a, t in components)
    values = exact * (1.0 + relative * np.random.default_rng(seed).standard_normal(time.size))
    return TimeActivityCurve(time, values, relative * exact if measured else None)


@pytest.mark.parametrize(("head", "tail"), RULES)
@pytest.mark.parametrize("rising", [False, True])
def test_the_rule_integrates_as_the_area_does(head: str, tail: str, rising: bool) -> None:
    # The TIA is amplitude times the rule, plus what was measured before the fit: exact to rounding.
    values = [20.0, 80.0, 40.0, 22.0] if rising else [95.0, 80.0, 40.0, 22.0]
    curve = TimeActivityCurve(np.array([4.0, 24.0, 96.0, 168.0]) * HOUR, np.array(values), None)
    first, decay = int(rising), LU.decay_constant_per_s
    fit = fit_mono(curve.part(first), rate_bounds(LU), 0.05)
    rules = {"head_rule": head, "tail_rule": tail, "decay_constant_per_s": decay}
    area = fitted_area(curve, fit, first, relative_error=0.05, **rules)
    rule = area_rule(curve.time_s, first, **rules)
    fitted = float(rule.per_amplitude(fit.rate_per_s) @ fit.amplitude_bq)
    assert fitted + area.measured_bq_s == pytest.approx(area.total_bq_s, rel=1e-12)


@pytest.mark.parametrize("measured", [True, False])
def test_the_interval_is_where_the_constrained_deviance_is_3_84(measured: bool) -> None:
    # Against a general optimiser on (ln A, ln rate) with the TIA fixed: both ends to 1e-4.
    curve = noisy(SCANS_H, 0.10, 11, (1e8, 90.0), measured=measured)
    estimate = fit_curve(curve, LU, relative_error=0.10)
    decay = LU.decay_constant_per_s

    def deviance(tia: float) -> float:
        def at(rate: float) -> float:
            fitted = tia * rate * np.exp(-rate * curve.time_s)
            if measured:
                return float(np.sum(((curve.activity_bq - fitted) / curve.sigma_bq) ** 2))
            return float(2.0 / 0.10**2 * np.sum(curve.activity_bq / fitted + np.log(fitted)))

        start = [math.log(math.log(2.0) / estimate.effective_half_life_s)]
        found = minimize(lambda x: at(math.exp(x[0])), start, bounds=[(math.log(decay), -8.0)], tol=1e-14)
        return float(found.fun)

    lowest = deviance(estimate.tia_bq_s)
    for end in estimate.tia_ci95_bq_s or ():
        assert deviance(end) - lowest == pytest.approx(3.8415, rel=2e-3)


def test_a_small_error_gives_the_symmetric_interval() -> None:
    # 1 % noise at 51 h: curvature is negligible, so the ends lie at 1.96 sigma within 3 %.
    estimate = fit_curve(noisy(SCANS_H, 0.01, 5, (1e8, 51.0)), LU, relative_error=0.01)
    low, high = estimate.tia_ci95_bq_s or (0.0, 0.0)
    half = 1.959964 * estimate.tia_sigma_bq_s
    assert estimate.tia_bq_s - low == pytest.approx(half, rel=0.03)
    assert high - estimate.tia_bq_s == pytest.approx(half, rel=0.03)
    assert estimate.nearly_gaussian
    assert estimate.interval_method == "profile likelihood"


def test_the_interval_ends_at_physical_decay() -> None:
    # At physical decay no slower washout exists: above, only the amplitude is left. With x = best/amplitude its end is
    # x - 1 - ln x = 3.8415 r^2/(2 n), 12.1 % for r = 0.1 and n = 3; below, the rate is free too and the part is longer.
    estimate = fit_curve(noisy(SCANS_H, 0.0, 0, (1e8, 159.528)), LU, relative_error=0.10)
    low, high = estimate.tia_ci95_bq_s or (0.0, 0.0)
    x = brentq(lambda x: x - 1.0 - math.log(x) - 3.841459 * 0.01 / 6.0, 0.5, 1.0)
    assert high / estimate.tia_bq_s == pytest.approx(1.0 / x, rel=1e-4)
    assert estimate.tia_bq_s - low > 1.5 * (high - estimate.tia_bq_s)
    assert not estimate.nearly_gaussian


def test_measured_head_points_widen_the_interval() -> None:
    # Uptake: 70 at 20 h is outside the fit; constant to 20 h and half the step to 24 h give it 22 h x 5 % of 70,
    # added in quadrature to the fit's own part, which is that of the two later points.
    curve = TimeActivityCurve(np.array([20.0, 24.0, 96.0]) * HOUR, np.array([70.0, 80.0, 40.0]), None)
    estimate = fit_curve(curve, LU, head_rule="constant")
    fit = fit_mono(curve.part(1), rate_bounds(LU), 0.05)
    rule = AreaRule(2.0 * HOUR, 24.0 * HOUR, 96.0 * HOUR, None)
    value = float(rule.per_amplitude(fit.rate_per_s) @ fit.amplitude_bq)
    own = fitted_interval(curve, fit, 1, rule, CurveArea(value, 0.0, 0.0, 0.0), rate_bounds(LU), 0.05)
    head = 1.959964 * 0.05 * 70.0 * 22.0 * HOUR
    low, high = estimate.tia_ci95_bq_s or (0.0, 0.0)
    assert estimate.tia_bq_s - low == pytest.approx(math.hypot(value - own[0], head), rel=1e-6)
    assert high - estimate.tia_bq_s == pytest.approx(math.hypot(own[1] - value, head), rel=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("components", [((1e8, 67.0), (5e7, 10.0)), ((1e8, 67.0), (-8e7, 6.0))])
def test_the_profile_of_two_exponentials_agrees_with_sigma_where_errors_are_small(
    components: tuple[tuple[float, float], ...], rule: tuple[str, str]
) -> None:
    # 0.2 % noise: the profile's half widths are 1.96 sigma within 10 %.
    curve = noisy(MANY_H, 0.0, 3, *components)
    estimate = fit_curve(curve, LU, model="bi", relative_error=0.002, head_rule=rule[0], tail_rule=rule[1])
    low, high = estimate.tia_ci95_bq_s or (0.0, 0.0)
    assert high - low == pytest.approx(2.0 * 1.959964 * estimate.tia_sigma_bq_s, rel=0.10)
    assert low < estimate.tia_bq_s < high


def test_akaike_weights_by_hand() -> None:
    # Difference 2: exp(-1) = 0.3679, so 1/1.3679 = 0.7311.
    weights = akaike_weights({"mono": 10.0, "bi": 12.0})
    assert weights["mono"] == pytest.approx(0.7311, abs=5e-5)
    assert sum(weights.values()) == pytest.approx(1.0, rel=1e-14)


def _each(curve: TimeActivityCurve) -> tuple[TiaEstimate, TiaEstimate, TiaEstimate]:
    average, mono, bi = (fit_curve(curve, LU, model=model) for model in ("average", "mono", "bi"))
    return average, mono, bi


def test_the_average_holds_the_spread_of_its_models() -> None:
    # A second phase at the edge of what eight points with 5 % show.
    average, mono, bi = _each(noisy(EIGHT_H, 0.05, 7, (1e8, 60.0), (2.5e7, 8.0)))
    share = average.model_weights["bi"]
    assert 0.02 < share < 0.98
    assert average.tia_bq_s == pytest.approx((1 - share) * mono.tia_bq_s + share * bi.tia_bq_s, rel=1e-12)
    spread = (1 - share) * share * (mono.tia_bq_s - bi.tia_bq_s) ** 2
    own = (1 - share) * mono.tia_sigma_bq_s**2 + share * bi.tia_sigma_bq_s**2
    assert average.tia_sigma_bq_s**2 == pytest.approx(own + spread, rel=1e-9)
    low, high = average.tia_ci95_bq_s or (0.0, 0.0)
    ends = [end for estimate in (mono, bi) for end in estimate.tia_ci95_bq_s or ()]
    assert min(ends) <= low < average.tia_bq_s < high <= max(ends)


def test_three_points_carry_one_model_only() -> None:
    # AICc of two exponentials does not exist below six points, so their weight is not zero but absent.
    curve = noisy(SCANS_H, 0.05, 1, (1e8, 51.0))
    average, mono = fit_curve(curve, LU, model="average"), fit_curve(curve, LU)
    assert average.model_weights == {"mono": 1.0}
    assert average.tia_bq_s == pytest.approx(mono.tia_bq_s, rel=1e-12)
    assert average.tia_ci95_bq_s == pytest.approx(mono.tia_ci95_bq_s, rel=1e-6)


def test_a_clear_second_phase_gets_nearly_all_the_weight() -> None:
    average = fit_curve(noisy(MANY_H, 0.02, 2, (1e8, 67.0), (2e8, 5.0)), LU, model="average", relative_error=0.02)
    assert average.model_weights["bi"] > 0.99


def test_the_trapezoid_states_its_bias_and_no_interval() -> None:
    # Straight lines from 24 to 96 to 168 h over 51 h: (72/2)(f24 + 2 f96 + f168) against the exponential between.
    curve = noisy(SCANS_H, 0.0, 0, (1e8, 51.0))
    estimate = fit_curve(curve, LU, model="trapezoid")
    exact = 1e8 * 51.0 * HOUR / math.log(2.0)
    assert estimate.tia_ci95_bq_s is None
    assert estimate.interval_method == ""
    low, high = estimate.bias_relative or (0.0, 0.0)
    assert low < estimate.tia_bq_s / exact - 1.0 < high
    assert estimate.tia_bq_s / exact - 1.0 == pytest.approx(0.04, abs=0.02)


def test_the_chosen_models_interval_knows_of_the_choice() -> None:
    # Value of the best model, interval of all: wider than the best one's own, and it holds the value.
    curve = noisy(EIGHT_H, 0.05, 7, (1e8, 60.0), (2.5e7, 8.0))
    auto = fit_curve(curve, LU, model="auto")
    average, mono, bi = _each(curve)
    best = mono if average.model_weights["mono"] > average.model_weights["bi"] else bi
    assert auto.tia_bq_s == best.tia_bq_s
    assert auto.model == best.model
    low, high = auto.tia_ci95_bq_s or (0.0, 0.0)
    assert low <= auto.tia_bq_s <= high
    assert (low, high) == pytest.approx(average.tia_ci95_bq_s, rel=1e-12)
    assert auto.model_weights == average.model_weights
