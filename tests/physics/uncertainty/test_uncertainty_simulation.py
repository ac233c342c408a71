"""Simulated against analytic uncertainty: part by part, together, over cycles, and where they must differ."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.therapy import RecoveryCurve
from pipeline.errors import RefusalError
from pipeline.files.half_life_table import population_prior
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.dose.simulation_comparison import compared, summarised
from pipeline.physics.kinetics.curve_areas import area_rule
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.physics.kinetics.reused_half_life import filed_shared_fraction, shared_fit_relative_sigma, shared_fraction
from pipeline.physics.kinetics.single_scan import fit_single_scan, patient_prior
from pipeline.physics.quantification.recovery import equivalent_fwhm_mm, recovery_relative_sigma
from pipeline.physics.uncertainty.budget import UncertaintyBudget, cumulative_sigma_gy, dose_sigma
from pipeline.physics.uncertainty.simulation import (
    AsFiled,
    BloodParts,
    Refit,
    RegionParts,
    ReusedHalfLife,
    fit_factor,
    mass_weighted,
    shared_draws,
    simulate_blood,
    simulate_region,
    volume_factor,
)
from pipeline.units import SECONDS_PER_HOUR

DRAWS = 20_000
CURVE = RecoveryCurve(b_ml=5.0, c=0.9, relative_sigma=0.05)
LU177 = load_nuclide("Lu-177")
SCANS_H = (24.0, 96.0, 168.0)


def refit(half_life_h: float = 51.0, scans_h: tuple[float, ...] = SCANS_H, error: float = 0.03) -> Refit:
    times = np.array(scans_h) * SECONDS_PER_HOUR
    rule = area_rule(
        times, 0, head_rule="extrapolate", tail_rule="fitted", decay_constant_per_s=LU177.decay_constant_per_s
    )
    rate = math.log(2.0) / (half_life_h * SECONDS_PER_HOUR)
    return Refit(tuple(times), 2e8, rate, error, rule, rate_bounds(LU177))


def linear_fit_sigma(half_life_h: float, scans_h: tuple[float, ...], error: float) -> float:
    """ln TIA = ln A(mean t) + k mean t - ln k of a straight line through ln A: s2 (1/n + (mean t - 1/k)2/S)."""
    times, mean_life = np.array(scans_h), half_life_h / math.log(2.0)
    spread = np.sum((times - times.mean()) ** 2)
    return error * math.sqrt(1.0 / times.size + (times.mean() - mean_life) ** 2 / spread)


def kidney(cycle: int = 1, **changed: object) -> RegionParts:
    parts = RegionParts(
        key="kidney_left",
        cycle=cycle,
        dose_gy=4.0,
        mass_g=157.0,
        calibration_sigma=0.03,
        s_value_sigma=0.015,
        volume_sigma=0.06,
        volume_ml=150.0,
        recovery=CURVE,
        recovery_coefficient=0.85,
        spect_fwhm_mm=equivalent_fwhm_mm(CURVE),
        fit=refit(),
    )
    return replace(parts, **changed)  # type: ignore[arg-type]


def budget(parts: RegionParts, fit_sigma: float):  # type: ignore[no-untyped-def]
    """The analytic budget of the same region; its contour's spacing is chosen to give the same sigma of volume."""
    diameter_mm = math.cbrt(6.0 * parts.volume_ml * 1000.0 / math.pi)
    return dose_sigma(
        parts.dose_gy,
        volume_ml=parts.volume_ml,
        contour_spacing_mm=math.sqrt(6.0) * parts.volume_sigma / 3.0 * diameter_mm,
        contour_fwhm_mm=0.0,
        spect_fwhm_mm=parts.spect_fwhm_mm,
        curve=parts.recovery,
        recovery_coefficient=parts.recovery_coefficient,
        calibration_relative_sigma=parts.calibration_sigma,
        fit_relative_sigma=fit_sigma,
        s_relative_sigma=parts.s_value_sigma,
    )


def test_every_part_of_a_kidney_agrees_with_the_budget() -> None:
    """Within 3 errors of 20000 draws (1.5 %) and the non-linearity 4 u2 of each part (below 2 %)."""
    parts = kidney()
    analytic = budget(parts, linear_fit_sigma(51.0, SCANS_H, 0.03))
    drawn = simulate_region(parts, shared_draws(DRAWS, 7))
    for name in ("calibration", "recovery", "volume", "fit", "s_value"):
        expected = getattr(analytic, name)
        assert drawn.parts[name].std() == pytest.approx(expected, rel=0.015 + 4.0 * expected**2), name


def test_a_nearly_gaussian_dose_agrees_and_its_interval_too() -> None:
    """Total u = 5.4 %: sigma within 2 Monte Carlo errors + 4 u2 (1.2 %), interval ends within 4 errors + 4 u2."""
    analytic = budget(kidney(), linear_fit_sigma(51.0, SCANS_H, 0.03))
    found = compared(simulate_region(kidney(), shared_draws(DRAWS, 7)).dose_gy, 4.0, analytic.sigma_gy)
    assert 0.04 < analytic.relative < 0.07
    assert found.verdict == "agrees"
    assert abs(found.bias_in_sigma) < 0.2
    for simulated, normal, error in zip(
        found.simulated.interval_gy, found.interval_gy, found.simulated.interval_error_gy, strict=True
    ):
        assert simulated == pytest.approx(normal, abs=4.0 * error + 4.0 * analytic.relative * analytic.sigma_gy)


def test_without_calibration_in_the_budget_the_verdict_is_narrower() -> None:
    """A budget that forgets a 6 % calibration against draws that hold it."""
    parts = kidney(calibration_sigma=0.06)
    forgotten = budget(replace(parts, calibration_sigma=0.0), linear_fit_sigma(51.0, SCANS_H, 0.03))
    drawn = simulate_region(parts, shared_draws(DRAWS, 7)).dose_gy
    assert compared(drawn, 4.0, forgotten.sigma_gy).verdict == "analytic is narrower"
    assert compared(drawn, 4.0, 2.0 * forgotten.sigma_gy + 0.3).verdict == "analytic is wider"


def test_correlated_parts_add_linearly_over_cycles_and_independent_ones_in_quadrature() -> None:
    """Four cycles of 4 Gy: calibration, recovery and S alone 4 times one cycle's sigma, contour and fit twice."""
    shared = shared_draws(DRAWS, 3)
    common = [kidney(n, volume_sigma=0.0, fit=AsFiled(0.0)) for n in range(1, 5)]
    own = [kidney(n, calibration_sigma=0.0, s_value_sigma=0.0, recovery=None, fit=AsFiled(0.04)) for n in range(1, 5)]
    one = simulate_region(common[0], shared).dose_gy.std()
    assert sum(simulate_region(p, shared).dose_gy for p in common).std() == pytest.approx(4.0 * one, rel=1e-9)
    each = [simulate_region(p, shared).dose_gy for p in own]
    quadrature = math.sqrt(sum(e.var() for e in each))
    assert sum(each).std() == pytest.approx(quadrature, rel=0.03)  # 4 errors of 20000 draws


def test_the_sum_over_four_cycles_agrees_with_the_analytic_sum() -> None:
    """Both kidneys' rules aside: sum of one kidney, within 3 errors (1.5 %) and 4 u2 (1 %)."""
    shared, fit_sigma = shared_draws(DRAWS, 5), linear_fit_sigma(51.0, SCANS_H, 0.03)
    cycles = [kidney(n, dose_gy=4.0 + 0.3 * n) for n in range(1, 5)]
    analytic = cumulative_sigma_gy(budget(parts, fit_sigma) for parts in cycles)
    total = sum(simulate_region(parts, shared).dose_gy for parts in cycles)
    assert total.std() == pytest.approx(analytic, rel=0.025)


def test_mass_weighted_mean_of_equal_kidneys_loses_the_independent_part() -> None:
    """Left and right drawn apart: sigma of contour and fit alone falls by sqrt 2, 3 % = 4 errors."""
    shared = shared_draws(DRAWS, 9)
    nothing_common = {"calibration_sigma": 0.0, "s_value_sigma": 0.0, "recovery": None, "fit": AsFiled(0.05)}
    sides = [
        simulate_region(kidney(key=key, volume_sigma=0.0, **nothing_common), shared)
        for key in ("kidney_left", "kidney_right")
    ]
    assert mass_weighted(sides).std() == pytest.approx(4.0 * 0.05 / math.sqrt(2.0), rel=0.03)


def test_recovery_bends_as_the_sphere_that_loses_as_much() -> None:
    """A lesion that keeps 40 %: linear sigma within 3 errors + 4 u2; a region above 1 falls where one below rises."""
    shared = shared_draws(DRAWS, 2)
    lesion = simulate_region(kidney(recovery_coefficient=0.4, volume_ml=6.0), shared).parts["recovery"]
    linear = recovery_relative_sigma(CURVE, 0.4)
    assert lesion.std() == pytest.approx(linear, rel=0.015 + 4.0 * linear**2)
    warm = simulate_region(kidney(recovery_coefficient=1.1), shared).parts["recovery"]
    cold = simulate_region(kidney(recovery_coefficient=0.9), shared).parts["recovery"]
    assert np.corrcoef(warm, cold)[0, 1] == pytest.approx(-1.0, abs=0.01)
    assert np.corrcoef(lesion, cold)[0, 1] == pytest.approx(1.0, abs=0.01)


def test_volume_factor_has_the_slope_of_the_budget_and_the_curve_of_the_site() -> None:
    """d ln D/d ln v = phi/2R - beta - 1 by central differences (1e-4); without blur and recovery v^-1/2."""
    parts = kidney()
    step = np.array([1.0 + 1e-4, 1.0 - 1e-4])
    slope = np.diff(np.log(volume_factor(parts, step)))[0] / np.diff(np.log(step))[0]
    analytic = budget(parts, 0.0).volume / parts.volume_sigma
    assert abs(slope) == pytest.approx(analytic, rel=1e-6)
    bare = replace(parts, recovery=None, recovery_coefficient=1.0, spect_fwhm_mm=0.0)
    assert volume_factor(bare, np.array([4.0])) == pytest.approx([0.5], rel=1e-12)


@pytest.mark.parametrize(("half_life_h", "scans_h"), [(51.0, SCANS_H), (67.0, (24.0, 168.0)), (40.0, (24.0, 96.0))])
def test_refitted_tia_has_the_sigma_of_the_linear_form(half_life_h: float, scans_h: tuple[float, ...]) -> None:
    """2 % noise, 3 errors of 20000 draws (1.5 %) and 4 u2."""
    drawn = fit_factor(refit(half_life_h, scans_h, 0.02), DRAWS, np.random.default_rng(1))
    expected = linear_fit_sigma(half_life_h, scans_h, 0.02)
    assert drawn.std() == pytest.approx(expected, rel=0.015 + 4.0 * expected**2)
    assert drawn.mean() == pytest.approx(1.0, abs=0.2 * expected)


def test_refit_without_noise_gives_the_filed_tia_for_every_rule() -> None:
    """1e-9: head constant and tail physical go through the same rule as the filed TIA."""
    for head, tail in (("extrapolate", "fitted"), ("constant", "fitted"), ("ramp", "physical")):
        times = np.array(SCANS_H) * SECONDS_PER_HOUR
        rule = area_rule(times, 0, head_rule=head, tail_rule=tail, decay_constant_per_s=LU177.decay_constant_per_s)  # type: ignore[arg-type]
        still = replace(refit(error=0.0), rule=rule)
        assert fit_factor(still, 5, np.random.default_rng(1)) == pytest.approx(np.ones(5), rel=1e-9)


def test_refit_near_physical_decay_stops_there() -> None:
    """T_eff 155 h, 10 % noise: half of the draws would be slower than 159.5 h; the linear sigma is too wide."""
    drawn = fit_factor(refit(155.0, (24.0, 96.0, 168.0), 0.10), DRAWS, np.random.default_rng(1))
    assert drawn.std() < 0.8 * linear_fit_sigma(155.0, SCANS_H, 0.10)


def reused(half_life_h: float, log_sigma: float, error: float, **changed: object) -> ReusedHalfLife:
    time_s = np.array([24.0 * SECONDS_PER_HOUR])
    rule = area_rule(
        time_s, 0, head_rule="extrapolate", tail_rule="fitted", decay_constant_per_s=LU177.decay_constant_per_s
    )
    half_life_s = half_life_h * SECONDS_PER_HOUR
    return replace(
        ReusedHalfLife(float(time_s[0]), half_life_s, log_sigma, error, rule, rate_bounds(LU177)),
        **changed,  # type: ignore[arg-type]
    )


def test_reused_half_life_has_the_error_of_madsen() -> None:
    """(t ln2/T - 1) u(T)/T beside the point's own; clinical specification 3.7; 24 h, 51 h, 10 %; 3 errors + 4 u2."""
    expected = math.hypot((24.0 * math.log(2.0) / 51.0 - 1.0) * 0.10, 0.02)
    drawn = fit_factor(reused(51.0, 0.10, 0.02), DRAWS, np.random.default_rng(4))
    assert drawn.std() == pytest.approx(expected, rel=0.015 + 4.0 * expected**2)


def test_one_scan_with_a_prior_agrees_with_the_products_own_estimate() -> None:
    """Sigma of single-population (lesion, 24 h, 5 %) within 3 errors of 20000 draws; mean the filed TIA (1 %)."""
    prior = population_prior("Lu-177", "lesion")
    curve = TimeActivityCurve(np.array([24.0 * SECONDS_PER_HOUR]), np.array([1e8]), None)
    estimate = fit_single_scan(curve, LU177, prior, relative_error=0.05)
    half_life_h = prior.median_s / SECONDS_PER_HOUR
    drawn = fit_factor(reused(half_life_h, prior.log_sigma, 0.05, filed="mean"), DRAWS, np.random.default_rng(4))
    assert drawn.std() == pytest.approx(estimate.tia_sigma_bq_s / estimate.tia_bq_s, rel=0.02)
    assert drawn.mean() == pytest.approx(1.0, abs=0.01)
    assert np.quantile(drawn, 0.975) == pytest.approx(estimate.tia_ci95_bq_s[1] / estimate.tia_bq_s, rel=0.02)


def test_what_cycles_that_reuse_a_half_life_share() -> None:
    """All but a later cycle's own deviation (0.10): 1 - (0.10/s)2, half of what two cycles differ by."""
    assert [shared_fraction(s) for s in (0.0, 0.05, 0.10, 0.20)] == pytest.approx([0.0, 0.0, 0.0, 0.75])
    assert shared_fraction(math.sqrt(2.0) * 0.10) == pytest.approx(0.5)
    curve = TimeActivityCurve(np.array([24.0 * SECONDS_PER_HOUR]), np.array([1e8]), None)
    prior = patient_prior(51.0 * SECONDS_PER_HOUR, 0.0, "cycle 1")
    estimate = fit_single_scan(curve, LU177, prior, relative_error=0.05)
    # (24 ln2/51 - 1) 0.141 of the half-life, half of its variance; the distribution is not quite linear: 3 %
    expected = abs(24.0 * math.log(2.0) / 51.0 - 1.0) * 0.10
    shared = shared_fit_relative_sigma(estimate)
    assert shared == pytest.approx(expected, rel=0.03)
    # and the simulation finds that half again in the filed budget
    whole = estimate.tia_sigma_bq_s / estimate.tia_bq_s
    assert filed_shared_fraction(whole, shared, estimate.assumed_fraction) == pytest.approx(0.5, rel=1e-9)
    assert filed_shared_fraction(whole, 0.0, 0.0) == 0.0
    three = TimeActivityCurve(np.array(SCANS_H) * SECONDS_PER_HOUR, np.array([7e7, 2.6e7, 1e7]), None)
    assert shared_fit_relative_sigma(fit_curve(three, LU177)) == 0.0


def test_a_half_life_reused_in_three_cycles_adds_linearly() -> None:
    """Simulated sum against the analytic one with the shared part: 3 errors and 4 u2; without it 10 % too small."""
    shared, sigma = shared_draws(DRAWS, 5), 0.15
    fit = reused(51.0, sigma, 0.03, shared_fraction=shared_fraction(sigma))
    nothing_else = {"calibration_sigma": 0.0, "s_value_sigma": 0.0, "volume_sigma": 0.0, "recovery": None}
    cycles = [kidney(n, fit=fit, **nothing_else) for n in (1, 2, 3)]
    simulated = sum(simulate_region(parts, shared).dose_gy for parts in cycles).std()
    from_half_life = abs(24.0 * math.log(2.0) / 51.0 - 1.0) * sigma
    whole = math.hypot(from_half_life, 0.03)
    common = from_half_life * math.sqrt(shared_fraction(sigma))
    told = [UncertaintyBudget(4.0, 0.0, 0.0, 0.0, whole, 0.0, fit_shared=common)] * 3
    untold = [UncertaintyBudget(4.0, 0.0, 0.0, 0.0, whole, 0.0)] * 3
    assert simulated == pytest.approx(cumulative_sigma_gy(told), rel=0.015 + 4.0 * whole**2)
    assert cumulative_sigma_gy(untold) < 0.9 * simulated


def test_both_kidneys_share_the_error_of_a_reused_half_life() -> None:
    fit = reused(51.0, 0.2, 0.0, shared_fraction=1.0)
    nothing_else = {"calibration_sigma": 0.0, "s_value_sigma": 0.0, "volume_sigma": 0.0, "recovery": None}
    shared = shared_draws(500, 5)
    left, right = (
        simulate_region(kidney(key=f"kidney_{side}", fit=fit, **nothing_else), shared).dose_gy
        for side in ("left", "right")
    )
    assert left == pytest.approx(right, rel=1e-12)
    assert simulate_region(kidney(key="spleen", fit=fit, **nothing_else), shared).dose_gy != pytest.approx(left)


def test_the_split_of_a_budget_keeps_its_whole() -> None:
    budget_with = UncertaintyBudget(4.0, 0.03, 0.01, 0.05, 0.08, 0.015, fit_shared=0.06)
    assert math.hypot(budget_with.correlated_gy, budget_with.independent_gy) == pytest.approx(budget_with.sigma_gy)
    assert budget_with.correlated_gy == pytest.approx(4.0 * math.hypot(0.03, 0.01, 0.015, 0.06))


def test_a_reused_half_life_never_passes_physical_decay() -> None:
    """150 h with 30 %: the TIA is at most that of 159.5 h, without noise; without spread it is the filed one."""
    drawn = fit_factor(reused(150.0, 0.3, 0.0), DRAWS, np.random.default_rng(4))
    longest_h = LU177.half_life_s / SECONDS_PER_HOUR
    top = 2.0 ** (24.0 / longest_h) * longest_h / (2.0 ** (24.0 / 150.0) * 150.0)
    assert drawn.max() <= top * (1.0 + 1e-9)
    assert drawn.max() > 0.999 * top
    assert fit_factor(reused(51.0, 0.0, 0.0), 5, np.random.default_rng(4)) == pytest.approx(np.ones(5), rel=1e-8)


def test_marrow_by_blood_shares_the_dose_per_decay_between_cycles() -> None:
    """Three cycles: S 20 % adds linearly, the samples' 6 % in quadrature; 3 errors of 20000 draws."""
    shared = shared_draws(DRAWS, 8)
    doses = [simulate_blood(BloodParts(n, 0.08, 0.0, 0.06, 0.20, 0.0), shared) for n in (1, 2, 3)]
    expected = 0.08 * math.hypot(3 * 0.20, math.sqrt(3) * 0.06)
    assert sum(doses).std() == pytest.approx(expected, rel=0.02)


def test_same_seed_same_numbers_and_cycles_do_not_disturb_one_another() -> None:
    first = simulate_region(kidney(2), shared_draws(500, 4)).dose_gy
    shared = shared_draws(500, 4)
    simulate_region(kidney(1), shared)
    assert np.array_equal(simulate_region(kidney(2), shared).dose_gy, first)
    assert not np.array_equal(simulate_region(kidney(2), shared_draws(500, 5)).dose_gy, first)
    assert not np.array_equal(
        simulate_region(kidney(3), shared).parts["fit"], simulate_region(kidney(2), shared).parts["fit"]
    )


@pytest.mark.parametrize(("draws", "seed"), [(99, 1), (1_000_001, 1), (1000, -1)])
def test_a_size_without_meaning_is_refused(draws: int, seed: int) -> None:
    with pytest.raises(RefusalError) as caught:
        shared_draws(draws, seed)
    assert caught.value.code == "SIMULATION_SIZE_INVALID"


def test_monte_carlo_errors_are_the_spread_of_repeated_samples() -> None:
    """300 samples of 2000 normal numbers: errors of sigma, interval ends and P(> 1 sigma) within 15 % (4 errors)."""
    rng = np.random.default_rng(6)
    found = [summarised(10.0 + rng.standard_normal(2000), 11.0) for _ in range(300)]
    for value, error in (
        ([f.sigma_gy for f in found], np.mean([f.sigma_error_gy for f in found])),
        ([f.interval_gy[0] for f in found], np.mean([f.interval_error_gy[0] for f in found])),
        ([f.interval_gy[1] for f in found], np.mean([f.interval_error_gy[1] for f in found])),
        ([f.p_exceed for f in found], np.mean([f.p_exceed_error for f in found])),
    ):
        assert np.std(value) == pytest.approx(error, rel=0.16)
    assert np.mean([f.p_exceed for f in found]) == pytest.approx(0.158655, abs=0.002)


def test_probability_is_the_normal_one_where_the_dose_is_normal() -> None:
    draws = np.random.default_rng(1).normal(22.0, 1.0, 100_000)
    found = compared(draws, 22.0, 1.0, 23.0)
    assert found.p_exceed == pytest.approx(0.158655, abs=1e-6)
    assert found.simulated.p_exceed == pytest.approx(found.p_exceed, abs=4.0 * found.simulated.p_exceed_error)
    assert compared(draws, 22.0, 1.0, 40.0).simulated.p_exceed_error > 0.0
