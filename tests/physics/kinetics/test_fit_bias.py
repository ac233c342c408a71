"""The bias of the area under several exponentials: against refits of noisy copies, and where nothing is taken off."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.kinetics import ModelName, TiaEstimate, TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.physics.kinetics.curve_areas import area_rule
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.physics.kinetics.fit_bias import LARGEST_SIGMAS, correction, curvature_bias
from pipeline.physics.kinetics.fit_misfit import Misfit
from pipeline.physics.kinetics.multi_exponential_fit import fit_multi

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
BOUNDS = rate_bounds(LU)
TIMES_H = (1.0, 4.0, 8.0, 24.0, 48.0, 96.0, 120.0, 168.0)
TWO_PHASES = ((1e8, 60.0), (8e7, 8.0))


def curve(*components: tuple[float, float], sigma: float | None = None) -> TimeActivityCurve:
    """Noise-free sum of (amplitude, half-life in h); sigmas, where given, a part of the activity."""
    time = np.array(TIMES_H) * HOUR
    activity = np.sum([a * np.exp(-math.log(2.0) / (t * HOUR) * time) for a, t in components], axis=0)
    return TimeActivityCurve(time, activity, None if sigma is None else sigma * activity)


def area_bq_s(components: tuple[tuple[float, float], ...]) -> float:
    return sum(a * t * HOUR / math.log(2.0) for a, t in components)


def bias_of(data: TimeActivityCurve, relative_error: float) -> float:
    fit = fit_multi(data, BOUNDS, relative_error, 2)
    rule = area_rule(
        data.time_s, 0, head_rule="extrapolate", tail_rule="fitted", decay_constant_per_s=LU.decay_constant_per_s
    )
    return curvature_bias(data, fit, rule, BOUNDS, relative_error)


def mean_of_pairs_bq_s(data: TimeActivityCurve, relative: float, pairs: int) -> np.ndarray:
    # Noise and its opposite: what is linear in the noise cancels within a pair, its curvature stays.
    rng = np.random.default_rng(3)
    found = []
    for noise in relative * rng.standard_normal((pairs, data.time_s.size)):
        fits = [
            fit_multi(replace(data, activity_bq=data.activity_bq * (1.0 + each)), BOUNDS, relative, 2)
            for each in (noise, -noise)
        ]
        found.append(np.mean([(fit.amplitude_bq / fit.rate_per_s).sum() for fit in fits]))
    return np.array(found)


def moved(data: TimeActivityCurve, *factors: float) -> TimeActivityCurve:
    return replace(data, activity_bq=data.activity_bq * np.array(factors))


@pytest.mark.parametrize("sigma", [None, 0.03])
def test_the_bias_is_that_of_noisy_copies(sigma: float | None) -> None:
    # 60 pairs at 3 % noise: within three standard errors and the fourth order of the noise (a tenth of the bias).
    data, exact = curve(*TWO_PHASES, sigma=sigma), area_bq_s(TWO_PHASES)
    excess = mean_of_pairs_bq_s(data, 0.03, 60) - exact
    found = bias_of(data, 0.03)
    error = excess.std() / math.sqrt(excess.size)
    assert error < 0.25 * found
    assert abs(found - excess.mean()) < 3.0 * error + 0.1 * found


def test_the_bias_goes_with_the_square_of_the_noise() -> None:
    data = curve(*TWO_PHASES)
    assert bias_of(data, 0.02) / bias_of(data, 0.01) == pytest.approx(4.0, rel=0.05)


def test_a_curve_at_physical_decay_shows_no_bias() -> None:
    # Noise can only make the slow phase faster there: refits lie below the fit.
    assert bias_of(curve((1e8, 400.0), (8e7, 8.0)), 0.05) == 0.0


def test_points_on_the_curve_keep_the_exact_area() -> None:
    estimate = fit_curve(curve(*TWO_PHASES), LU, model="bi", relative_error=0.10)
    assert estimate.tia_bq_s == pytest.approx(area_bq_s(TWO_PHASES), rel=1e-10)
    assert estimate.bias_correction_bq_s < 1e-15 * estimate.tia_bq_s


def test_what_was_taken_off_is_stated() -> None:
    noisy = moved(curve(*TWO_PHASES), 1.05, 0.93, 1.08, 0.96, 1.09, 0.92, 0.97, 1.1)
    estimate = fit_curve(noisy, LU, model="bi", relative_error=0.10)
    amplitudes = [estimate.parameters[f"amplitude{number}_bq"] for number in ("", "_2")]
    rates = [estimate.parameters[f"rate{number}_per_s"] for number in ("", "_2")]
    fitted = sum(a / r for a, r in zip(amplitudes, rates, strict=True))
    assert estimate.bias_correction_bq_s > 0.0
    assert estimate.tia_bq_s + estimate.bias_correction_bq_s == pytest.approx(fitted, rel=1e-12)
    low, high = interval(estimate)
    assert low <= estimate.tia_bq_s <= high


def test_one_exponential_is_left_alone() -> None:
    estimate = fit_curve(moved(curve((1e8, 60.0)), 1.05, 0.93, 1.08, 0.96, 1.09, 0.92, 0.97, 1.1), LU)
    assert estimate.bias_correction_bq_s == 0.0


def test_two_phases_through_one_state_the_sigma_of_their_interval() -> None:
    # The second phase is not there: the delta method divides by nearly nothing and states several times the interval.
    noisy = moved(curve((1e8, 60.0)), 1.02, 0.97, 1.01, 0.99, 1.03, 0.98, 1.0, 1.01)
    estimate = fit_curve(noisy, LU, model="bi", relative_error=0.05)
    low, high = interval(estimate)
    assert estimate.tia_sigma_bq_s == pytest.approx((high - low) / 3.9199, rel=0.02)


def interval(estimate: TiaEstimate) -> tuple[float, float]:
    assert estimate.tia_ci95_bq_s is not None
    return estimate.tia_ci95_bq_s


@pytest.mark.parametrize("model", ["bi", "tri", "auto", "average"])
@pytest.mark.parametrize("seed", range(6))
def test_points_without_a_curve_in_them_give_a_tia_inside_its_interval(model: ModelName, seed: int) -> None:
    # Log-normal values over four decades, errors of 20 %: sigmas above the TIA, models that contradict each other.
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0.0, 300.0, 9)) * HOUR
    scattered = TimeActivityCurve(time, 1e8 * rng.lognormal(0.0, 3.0, time.size), None)
    estimate = fit_curve(scattered, LU, model=model, relative_error=0.20)
    low, high = interval(estimate)
    assert 0.0 <= low <= estimate.tia_bq_s <= high < math.inf
    # No points beyond those measured: straight lines from t = 0 hold the order of magnitude.
    lines = np.trapezoid(np.append(scattered.activity_bq[0], scattered.activity_bq), np.append(0.0, scattered.time_s))
    assert 0.0 < estimate.tia_bq_s < 50.0 * lines
    assert estimate.bias_correction_bq_s <= estimate.tia_bq_s - low + 1e-9 * estimate.tia_bq_s


@pytest.mark.parametrize("seed", range(4))
def test_nearly_gaussian_is_said_of_what_is_stated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noisy = moved(curve(*TWO_PHASES), *(1.0 + 0.05 * rng.standard_normal(len(TIMES_H))))
    estimate = fit_curve(noisy, LU, model="bi", relative_error=0.05)
    low, high = interval(estimate)
    halves = np.array([estimate.tia_bq_s - low, high - estimate.tia_bq_s]) / (1.959964 * estimate.tia_sigma_bq_s)
    assert estimate.nearly_gaussian == bool((np.abs(halves - 1.0) <= 0.10).all())


@pytest.mark.parametrize(
    ("chi_squared", "degrees", "expected"),
    [(4.0, 4, 2.0), (8.0, 4, 2.0), (2.0, 4, 1.0), (0.0, 4, 0.0), (1.0, 1, 2.0), (4.0, 0, 0.0)],
)
def test_the_correction_follows_the_scatter_up_to_the_stated_noise(
    chi_squared: float, degrees: int, expected: float
) -> None:
    assert correction(2.0, 10.0, 100.0, Misfit(chi_squared, degrees)) == pytest.approx(expected, rel=1e-12)


def test_the_correction_is_at_most_half_a_sigma() -> None:
    assert correction(20.0, 10.0, 100.0, Misfit(4.0, 4)) == pytest.approx(LARGEST_SIGMAS * 10.0, rel=1e-12)


def test_the_correction_goes_at_most_half_way_to_the_end_of_the_interval() -> None:
    assert correction(20.0, 10.0, 6.0, Misfit(4.0, 4)) == pytest.approx(3.0, rel=1e-12)
    assert correction(2.0, 10.0, 6.0, Misfit(4.0, 4)) == pytest.approx(2.0, rel=1e-12)
