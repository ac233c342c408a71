"""Fits of two and three exponentials are the best there are: against a grid of all rates, at bounds, and by weights."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import nnls

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.physics.kinetics.exponentials import ExponentialSum
from pipeline.physics.kinetics.multi_exponential_fit import fit_multi

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
BOUNDS = rate_bounds(LU)
PHYSICAL_H = 6.647 * 24.0
EARLY_H = (0.5, 1.0, 4.0, 12.0, 24.0, 48.0, 96.0, 168.0)
LATE_H = (4.0, 6.0, 24.0, 48.0, 96.0, 168.0)


def curve(
    times_h: tuple[float, ...], *components: tuple[float, float], noise: int | None = None, sigma: float | None = None
) -> TimeActivityCurve:
    """Sum of (amplitude, half-life in h), with 4 % of noise from a seed."""
    time = np.array(times_h) * HOUR
    activity = np.sum([a * np.exp(-math.log(2.0) / (t * HOUR) * time) for a, t in components], axis=0)
    if noise is not None:
        activity = activity * (1.0 + 0.04 * np.random.default_rng(noise).standard_normal(time.size))
    return TimeActivityCurve(time, activity, None if sigma is None else sigma * np.abs(activity))


def half_lives_h(fit: ExponentialSum) -> list[float]:
    return [math.log(2.0) / rate / HOUR for rate in fit.rate_per_s]


def best_on_a_grid(data: TimeActivityCurve, sigma: np.ndarray, sizes: tuple[int, ...]) -> float:
    """Lowest sum of squares over rates within the bounds, slowest first, with the best amplitudes nowhere negative."""
    highest = [BOUNDS.fastest_per_s] + [BOUNDS.fastest_component_per_s] * (len(sizes) - 1)
    axes = [np.geomspace(BOUNDS.slowest_per_s, high, size) for high, size in zip(highest, sizes, strict=True)]
    lowest = math.inf
    for rates in itertools.product(*axes):
        if all(slow < fast for slow, fast in itertools.pairwise(rates)):
            shape = np.exp(-np.outer(data.time_s, rates))
            shape[:, :-1] -= shape[:, 1:].copy()
            lowest = min(lowest, nnls(shape / sigma[:, None], data.activity_bq / sigma)[1] ** 2)
    return lowest


def cost(data: TimeActivityCurve, fit: ExponentialSum, sigma: np.ndarray) -> float:
    return float(np.sum(((fit.values(data.time_s) - data.activity_bq) / sigma) ** 2))


@pytest.mark.parametrize("noise", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "components",
    [
        ((1e8, 67.0), (5e7, 6.0)),
        ((1e8, 67.0), (-9e7, 3.0)),  # uptake
        ((1e8, 155.0), (4e8, 1.0)),
        ((1e8, 14.0), (1e7, 0.3)),
    ],
)
def test_no_two_rates_fit_better(components: tuple[tuple[float, float], ...], noise: int) -> None:
    data = curve(EARLY_H, *components, noise=noise, sigma=0.04)
    assert data.sigma_bq is not None
    fit = fit_multi(data, BOUNDS, 0.5, 2)
    assert cost(data, fit, data.sigma_bq) <= best_on_a_grid(data, data.sigma_bq, (40, 60)) * (1.0 + 1e-9)
    assert fit.converged


def test_no_three_rates_fit_better() -> None:
    data = curve(EARLY_H, (1e6, 60.0), (5e6, 12.0), (2e7, 0.8), noise=5, sigma=0.04)
    assert data.sigma_bq is not None
    fit = fit_multi(data, BOUNDS, 0.5, 3)
    assert cost(data, fit, data.sigma_bq) <= best_on_a_grid(data, data.sigma_bq, (12, 16, 16)) * (1.0 + 1e-9)


@pytest.mark.parametrize("noise", [1, 2])
def test_without_sigmas_the_weights_are_those_of_the_fitted_activity(noise: int) -> None:
    # A fixed point: with sigma = r x fitted held, the fit is the best one of the grid again.
    data = curve(EARLY_H, (1e8, 67.0), (5e7, 6.0), noise=noise)
    fit = fit_multi(data, BOUNDS, 0.05, 2)
    sigma = 0.05 * fit.values(data.time_s)
    assert fit.converged
    assert cost(data, fit, sigma) <= best_on_a_grid(data, sigma, (40, 60)) * (1.0 + 1e-9)
    held = fit_multi(TimeActivityCurve(data.time_s, data.activity_bq, sigma), BOUNDS, 0.05, 2)
    np.testing.assert_allclose(held.rate_per_s, fit.rate_per_s, rtol=1e-5)
    np.testing.assert_allclose(held.amplitude_bq, fit.amplitude_bq, rtol=1e-5)


@pytest.mark.parametrize("sigma", [None, 0.05])
def test_the_slowest_component_is_not_slower_than_decay(sigma: float | None) -> None:
    fit = fit_multi(curve(EARLY_H, (1e8, 1000.0), (1e8, 4.0), sigma=sigma), BOUNDS, 0.05, 2)
    assert half_lives_h(fit)[0] == pytest.approx(PHYSICAL_H, rel=1e-9)
    assert half_lives_h(fit)[1] < 10.0


@pytest.mark.parametrize("sigma", [None, 0.05])
def test_the_slowest_component_is_not_faster_than_10_h(sigma: float | None) -> None:
    fit = fit_multi(curve((0.5, 1.0, 2.0, 4.0, 8.0, 16.0), (1e8, 6.0), (1e8, 0.7), sigma=sigma), BOUNDS, 0.05, 2)
    assert half_lives_h(fit)[0] == pytest.approx(10.0, rel=1e-9)


def test_a_component_that_the_first_point_alone_sees_is_not_sought() -> None:
    # A twentieth left from 0.5 h to the second point, at 4.5 h: half-lives from that time / log2(20) on.
    data = curve((0.5, 4.5, 24.0, 48.0, 96.0, 168.0), (1e8, 60.0), (1e9, 0.2))
    fit = fit_multi(data, BOUNDS, 0.05, 2)
    assert half_lives_h(fit)[1] == pytest.approx(4.0 / math.log2(20.0), rel=1e-9)
    # Or from t = 0 to the first point, where that is longer.
    data = curve(LATE_H, (1e8, 60.0), (1e13, 0.2))
    assert half_lives_h(fit_multi(data, BOUNDS, 0.05, 2))[1] == pytest.approx(4.0 / math.log2(20.0), rel=1e-9)
    # From points 50 h apart that limit, 12 h, is slower than 10 h, which always is allowed.
    late = curve((200.0, 250.0, 270.0, 290.0, 340.0), (1e8, 100.0), (1e16, 7.0))
    assert half_lives_h(fit_multi(late, BOUNDS, 0.05, 2))[1] == pytest.approx(10.0, rel=1e-9)


def test_a_high_first_point_adds_no_spike_before_itself() -> None:
    # One exponential of 61.6 h whose first point, at 1 h, is 40 % high. A phase of 6 minutes through that point alone
    # would be 1024 times as high at t = 0 and add 64 % to the area; one that the second point sees adds 1.1 %.
    data = curve((1.0, 4.0, 8.0, 24.0, 48.0, 96.0, 120.0, 168.0), (1e8, 61.6))
    data = replace(data, activity_bq=data.activity_bq * np.array([1.4, 1, 1, 1, 1, 1, 1, 1]))
    fit = fit_multi(data, BOUNDS, 0.10, 2)
    exact = 1e8 * 61.6 * HOUR / math.log(2.0)
    assert float((fit.amplitude_bq / fit.rate_per_s).sum()) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize(
    ("times_h", "first", "second"),
    [
        ((20.0, 24.0, 48.0, 72.0, 96.0, 168.0), 1.04, 0.97),
        ((4.0, 4.5, 24.0, 72.0), 1.05, 0.97),
        ((24.0, 24.5, 72.0, 168.0), 1.05, 0.97),
        ((24.0, 24.05, 72.0, 168.0), 1.05, 0.97),
        ((0.5, 0.55, 4.0, 24.0, 96.0), 1.05, 0.97),
    ],
)
def test_two_scans_close_together_make_no_phase_of_their_difference(
    times_h: tuple[float, ...], first: float, second: float
) -> None:
    # Some per cent of noise in two points minutes to hours apart: followed back to t = 0 as a fast phase, that would be
    # up to 1e58 times the area of the exponential they belong to.
    data = curve(times_h, (1e8, 60.0))
    factors = np.ones(len(times_h))
    factors[:2] = first, second
    fit = fit_multi(replace(data, activity_bq=data.activity_bq * factors), BOUNDS, 0.05, 2)
    exact = 1e8 * 60.0 * HOUR / math.log(2.0)
    assert float((fit.amplitude_bq / fit.rate_per_s).sum()) == pytest.approx(exact, rel=0.10)


def test_no_component_is_faster_than_six_minutes() -> None:
    data = curve((0.02, 0.1, 4.0, 24.0, 96.0, 168.0), (1e8, 60.0), (1e9, 0.05))
    assert half_lives_h(fit_multi(data, BOUNDS, 0.05, 2))[1] == pytest.approx(0.1, rel=1e-9)


@pytest.mark.parametrize("factor", [1e-12, 1e-3, 1e9])
@pytest.mark.parametrize("sigma", [None, 0.05])
def test_the_unit_of_activity_does_not_matter(factor: float, sigma: float | None) -> None:
    one = curve(EARLY_H, (1.0, 67.0), (0.5, 6.0), noise=7, sigma=sigma)
    many = TimeActivityCurve(
        one.time_s, one.activity_bq * factor, None if one.sigma_bq is None else one.sigma_bq * factor
    )
    first, second = fit_multi(one, BOUNDS, 0.05, 2), fit_multi(many, BOUNDS, 0.05, 2)
    np.testing.assert_allclose(second.rate_per_s, first.rate_per_s, rtol=1e-7)
    np.testing.assert_allclose(second.amplitude_bq, first.amplitude_bq * factor, rtol=1e-7)
    np.testing.assert_allclose(
        np.sqrt(np.diag(second.covariance)[::2]), np.sqrt(np.diag(first.covariance)[::2]) * factor, rtol=1e-4
    )


def test_one_exponential_fitted_by_two_is_still_one() -> None:
    fit = fit_multi(curve(EARLY_H, (1e8, 51.0)), BOUNDS, 0.05, 2)
    time = np.linspace(0.5, 168.0, 50) * HOUR
    np.testing.assert_allclose(fit.values(time), 1e8 * np.exp(-math.log(2.0) / (51.0 * HOUR) * time), rtol=1e-7)
