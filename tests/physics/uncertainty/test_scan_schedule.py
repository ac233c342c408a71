"""Expected errors of scan schedules: linear design against the fit's own sigma, simulation against both, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.errors import RefusalError
from pipeline.files.half_life_table import population_prior
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.kinetics.curve_areas import area_rule
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.physics.kinetics.half_life_grid import curve_likelihood, half_life_grid, tia_distribution
from pipeline.physics.kinetics.scan_schedule import (
    best_added_scan,
    drawn_truth,
    expectations,
    linear_variance,
    parse_schedule,
    with_prior_tia,
)
from pipeline.physics.kinetics.single_scan import HalfLifePrior
from pipeline.physics.kinetics.single_time_point import prior_relative_sigma

HOUR_S = 3600.0
LU177 = load_nuclide("Lu-177")
BOUNDS = rate_bounds(LU177)
DRAWS = 10_000


def _spread(half_life_h: float, log_sigma: float) -> HalfLifePrior:
    return HalfLifePrior(half_life_h * HOUR_S, log_sigma, "patient", "test")


def _expected(scans_h: tuple[float, ...], spread: HalfLifePrior, error: float = 0.05):  # type: ignore[no-untyped-def]
    truth = drawn_truth(spread, LU177, BOUNDS, error, seed=2)
    return {row.method: row for row in expectations(scans_h, truth, spread)}


@pytest.mark.parametrize("scans_h", [(24.0, 96.0), (24.0, 168.0), (24.0, 96.0, 168.0), (4.0, 24.0, 72.0, 120.0)])
@pytest.mark.parametrize("half_life_h", [35.0, 51.0, 110.0])
def test_linear_design_is_the_sigma_that_the_fit_states(scans_h: tuple[float, ...], half_life_h: float) -> None:
    """A noise-free curve fitted with 5 % states sigma/TIA; the closed form gives the same to 1e-9."""
    times = np.array(scans_h) * HOUR_S
    rate = math.log(2.0) / (half_life_h * HOUR_S)
    fit = fit_curve(TimeActivityCurve(times, 1e8 * np.exp(-rate * times), None), LU177, relative_error=0.05)
    variance = linear_variance(scans_h, np.array([rate]), 0.05, math.inf)
    assert math.sqrt(variance[0]) == pytest.approx(fit.tia_sigma_bq_s / fit.tia_bq_s, rel=1e-9)


def test_one_scan_has_the_form_of_the_specification() -> None:
    """(t ln2/T - 1) u(T)/T and the point's own error in quadrature (3.7); 24 h, 51 h, 12 %, 5 %."""
    variance = linear_variance((24.0,), np.array([math.log(2.0) / (51.0 * HOUR_S)]), 0.05, 0.12)
    expected = math.hypot(prior_relative_sigma(24.0, 51.0, 0.12), 0.05)
    assert math.sqrt(variance[0]) == pytest.approx(expected, rel=1e-12)


def test_a_prior_never_hurts_and_a_perfect_one_leaves_the_scans_noise() -> None:
    rate = np.array([math.log(2.0) / (51.0 * HOUR_S)])
    free, some, all_known = (linear_variance((24.0, 96.0), rate, 0.05, s)[0] for s in (math.inf, 0.2, 1e-9))
    assert free > some > all_known
    assert all_known == pytest.approx(0.05**2 / 2.0, rel=1e-9)


@pytest.mark.parametrize("scans_h", [(24.0, 96.0), (24.0, 96.0, 168.0)])
def test_simulated_fit_agrees_with_the_linear_design(scans_h: tuple[float, ...]) -> None:
    """2 % noise, 10 % of half-life: 3 errors of 10000 draws (2.1 %) and 4 u2; bias below 0.2 sigma."""
    row = _expected(scans_h, _spread(51.0, 0.10), 0.02)["fit"]
    assert row.relative_sigma == pytest.approx(row.linear_sigma, rel=0.021 + 4.0 * row.linear_sigma**2)
    assert abs(row.bias) < 0.2 * row.relative_sigma
    assert row.interval == pytest.approx((1 - 1.96 * row.linear_sigma, 1 + 1.96 * row.linear_sigma), abs=0.003)


def test_one_scan_with_a_prior_agrees_with_the_linear_design_where_that_is_linear() -> None:
    """5 % of half-life at 24 h, 2 % noise: 3 errors of 10000 draws and 4 u2."""
    rows = _expected((24.0,), _spread(51.0, 0.05), 0.02)
    for method in ("prior", "madsen 2018"):
        row = rows[method]
        assert row.relative_sigma == pytest.approx(row.linear_sigma, rel=0.021 + 4.0 * row.linear_sigma**2), method
        assert abs(row.bias) < 0.2 * row.relative_sigma


@pytest.mark.parametrize(
    ("half_life_h", "time_h", "ratio"),
    [(51.0, 96.0, 1.02), (67.0, 72.0, 1.02), (77.0, 168.0, 0.96), (40.0, 96.0, 0.91)],
)
def test_the_form_of_2018_has_the_bias_of_the_table(half_life_h: float, time_h: float, ratio: float) -> None:
    """Clinical specification 3.4, printed to two digits; a half-life without spread, 1 % noise over 10000 draws."""
    row = _expected((time_h,), _spread(half_life_h, 1e-6), 0.01)["haenscheid 2018"]
    assert 1.0 + row.bias == pytest.approx(ratio, abs=0.0055)
    assert row.linear_sigma is None


def test_the_form_of_2018_is_refused_before_three_quarters_of_the_half_life() -> None:
    """Kidney before 38 h (specification 3.4)."""
    row = _expected((24.0,), _spread(51.0, 0.2))["haenscheid 2018"]
    assert (row.relative_sigma, row.bias) == (None, None)
    assert "38 h" in row.refused


def test_the_best_single_scan_of_kidneys_is_at_three_days() -> None:
    """The literature's optimum for DOTATATE is 72 h (PMC8882881); the least error from 24 to 168 h lies within 12 h."""
    spread = population_prior("Lu-177", "kidney")
    hours = [float(hour) for hour in range(24, 169, 12)]
    errors = {hour: _expected((hour,), spread)["prior"].relative_sigma for hour in hours}
    assert min(errors, key=lambda hour: errors[hour]) in {60.0, 72.0, 84.0}
    assert errors[24.0] > 2.0 * errors[72.0]


def test_half_lives_follow_the_distribution_and_end_at_physical_decay() -> None:
    """Median and sigma of ln T to 1e-3; a tumour's distribution is cut at 159.5 h and 10 h."""
    truth = drawn_truth(_spread(51.0, 0.15), LU177, BOUNDS, 0.05, 1)
    log_half_life = np.log(math.log(2.0) / truth.rate_per_s / HOUR_S)
    assert np.median(log_half_life) == pytest.approx(math.log(51.0), abs=1e-3)
    assert log_half_life.std() == pytest.approx(0.15, abs=1e-3)
    wide = drawn_truth(_spread(120.0, 0.9), LU177, BOUNDS, 0.05, 1)
    hours = math.log(2.0) / wide.rate_per_s / HOUR_S
    assert hours.max() <= 159.53
    assert hours.min() >= 10.0


def test_the_added_scan_is_the_best_of_all() -> None:
    spread = population_prior("Lu-177", "lesion")
    truth = drawn_truth(spread, LU177, BOUNDS, 0.05, 1)
    added = best_added_scan((24.0,), truth, spread)
    others = [
        math.sqrt(linear_variance((24.0, hour), truth.slice_rate_per_s, 0.05, spread.log_sigma).mean())
        for hour in (30.0, 72.0, 96.0, 120.0, 168.0, 192.0)
    ]
    assert added.relative_sigma <= min(others)
    assert added.relative_sigma < 0.2 * added.without
    assert added.time_h > 96.0


def test_the_mean_over_the_prior_is_that_of_the_products_own_method() -> None:
    """Two and three noisy scans of a tumour, one by one by half_life_grid, together here on every fourth half-life."""
    spread, grid = population_prior("Lu-177", "lesion"), half_life_grid(BOUNDS)
    truth = drawn_truth(spread, LU177, BOUNDS, 0.05, 1)
    prior = grid.log_normal(spread.median_s, spread.log_sigma)
    for scans_h in ((24.0, 96.0), (24.0, 96.0, 168.0)):
        times = np.array(scans_h) * HOUR_S
        rates = math.log(2.0) / (np.array([45.0, 80.0, 140.0]) * HOUR_S)
        noise = 1.0 + 0.05 * np.random.default_rng(5).standard_normal((times.size, 3))
        measured = rates * np.exp(-np.outer(times, rates)) * noise
        found = with_prior_tia(scans_h, measured, truth, spread)
        rule = area_rule(
            times, 0, head_rule="extrapolate", tail_rule="fitted", decay_constant_per_s=LU177.decay_constant_per_s
        )
        for values, one in zip(measured.T, found, strict=True):
            likelihood = curve_likelihood(TimeActivityCurve(times, values, None), grid, 0.05)
            weight = prior * np.exp(likelihood.log_likelihood)
            exact = tia_distribution(likelihood, weight / weight.sum(), grid, rule)
            assert one == pytest.approx(exact.mean_bq_s, rel=2e-3)


def test_a_prior_helps_where_scans_are_poor_and_does_no_harm_where_they_are_good() -> None:
    """20 % noise, kidneys: the prior takes a fifth off the error of 24 + 96 h; 5 %, three scans: within 3 %."""
    spread = population_prior("Lu-177", "kidney")
    poor, good = _expected((24.0, 96.0), spread, 0.20), _expected((24.0, 96.0, 168.0), spread, 0.05)
    assert poor["fit with prior"].relative_sigma < 0.8 * poor["fit"].relative_sigma
    assert good["fit with prior"].relative_sigma == pytest.approx(good["fit"].relative_sigma, rel=0.03)


def test_same_seed_same_numbers() -> None:
    spread = _spread(51.0, 0.2)
    assert _expected((24.0, 96.0), spread) == _expected((24.0, 96.0), spread)


@pytest.mark.parametrize(
    "text", ["", "24,,96", "96,24", "24,24", "0,24", "-4", "24;96", "a", "24,1e9", "nan", "24,inf"]
)
def test_schedules_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(RefusalError) as caught:
        parse_schedule(text)
    assert caught.value.code == "SCHEDULE_INVALID"
    assert caught.value.found == text


def test_schedules_as_written() -> None:
    assert parse_schedule(" 24, 96.5 ") == (24.0, 96.5)


@pytest.mark.parametrize(("error", "half_life_h"), [(0.0, 51.0), (1.0, 51.0), (0.05, 5.0), (0.05, 200.0)])
def test_an_impossible_error_or_half_life_is_refused(error: float, half_life_h: float) -> None:
    with pytest.raises(RefusalError) as caught:
        drawn_truth(_spread(half_life_h, 0.1), LU177, BOUNDS, error, 1)
    assert caught.value.code == "SCHEDULE_INVALID"
