"""Recovery and dead-time fits: true parameters, coverage of the covariance, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.errors import RefusalError
from pipeline.physics.quantification.dead_time import fit_dead_time
from pipeline.physics.quantification.recovery_fit import curve_sigma, fit_recovery, logistic

VOLUMES = math.pi / 6.0 * np.array([1.0, 1.3, 1.7, 2.2, 2.8, 3.7]) ** 3
B_ML, C = 6.0, 0.8
TRUE = logistic(VOLUMES, B_ML, C)
# 95 % of a chi-square of two degrees of freedom.
INSIDE_95 = 5.991


def test_logistic_by_hand() -> None:
    # v = b: 1 - 1/2; v = 4 b with c = 0.5: 1 - 1/(1 + 2).
    np.testing.assert_allclose(logistic(np.array([6.0]), 6.0, 0.8), 0.5, rtol=1e-12)
    np.testing.assert_allclose(logistic(np.array([24.0]), 6.0, 0.5), 2.0 / 3.0, rtol=1e-12)


def test_exact_coefficients_give_the_exact_curve() -> None:
    fit = fit_recovery(VOLUMES, TRUE, np.full(6, 0.01))
    assert (fit.b_ml, fit.c) == (pytest.approx(B_ML, rel=1e-6), pytest.approx(C, rel=1e-6))
    assert fit.misfit_relative < 1e-6


@pytest.mark.parametrize("known", [True, False], ids=["sigmas known", "from the scatter"])
def test_covariance_covers_the_truth(known: bool) -> None:
    """400 noisy sets: the 95 % ellipse holds the truth in 95 %; the sampling error of that share is 1.1 %.

    With known sigmas the covariance is widened by scatter but never narrowed, so it covers a little more; from the
    scatter of four degrees of freedom a Gaussian ellipse covers less (F distribution: 82 %).
    """
    rng = np.random.default_rng(11)
    sigma = 0.03 * TRUE + 0.004
    inside = 0
    for _ in range(400):
        fit = fit_recovery(VOLUMES, TRUE + sigma * rng.standard_normal(6), sigma if known else None)
        off = np.array([fit.b_ml - B_ML, fit.c - C])
        inside += bool(off @ np.linalg.inv(fit.covariance) @ off <= INSIDE_95)
    low, high = (0.93, 0.99) if known else (0.76, 0.90)
    assert low <= inside / 400 <= high


def test_scatter_beyond_the_sigmas_widens_the_covariance() -> None:
    shifted = TRUE * np.array([1.1, 0.9, 1.1, 0.9, 1.1, 0.9])
    narrow, wide = (fit_recovery(VOLUMES, recovery, np.full(6, 0.005)) for recovery in (TRUE, shifted))
    assert wide.reduced_chi_square > 10.0
    ratio = np.sqrt(wide.covariance[0, 0] / narrow.covariance[0, 0])
    assert ratio == pytest.approx(math.sqrt(wide.reduced_chi_square), rel=0.3)


def test_sigma_of_the_curve_is_that_of_the_spheres() -> None:
    fit = fit_recovery(VOLUMES, TRUE, np.full(6, 0.01))
    np.testing.assert_allclose(curve_sigma(fit, VOLUMES), fit.fitted_sigma, rtol=1e-12)


def test_profile_sigma_holds_misfit_fit_and_filling() -> None:
    fit = fit_recovery(VOLUMES, TRUE * np.array([1.02, 0.98, 1.02, 0.98, 1.02, 0.98]), np.full(6, 0.005))
    own = float(np.sqrt(np.mean((fit.fitted_sigma / fit.fitted) ** 2)))
    expected = math.sqrt(fit.misfit_relative**2 + own**2 + 0.03**2)
    assert fit.curve(0.03).relative_sigma == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("volumes", "recovery"),
    [(VOLUMES[:3], TRUE[:3]), (VOLUMES, TRUE[::-1]), (VOLUMES, TRUE - 0.3)],
    ids=["three spheres", "falling with the volume", "negative"],
)
def test_what_is_not_a_recovery_curve_is_refused(volumes: np.ndarray, recovery: np.ndarray) -> None:
    with pytest.raises(RefusalError) as refusal:
        fit_recovery(volumes, recovery, None)
    assert refusal.value.code == "RECOVERY_FIT_FAILED"


ACTIVITY = 14e9 * 0.5 ** np.arange(6)
SENSITIVITY, TAU = 9e-6, 3e-6


def observed(tau_s: float) -> np.ndarray:
    rate = SENSITIVITY * ACTIVITY
    return rate * np.exp(-rate * tau_s)


def test_dead_time_of_exact_rates() -> None:
    fit = fit_dead_time(ACTIVITY, observed(TAU))
    assert fit.dead_time_s == pytest.approx(TAU, rel=1e-9)
    assert fit.sensitivity_per_bq_s == pytest.approx(SENSITIVITY, rel=1e-12)
    assert fit.significant


def test_dead_time_sigma_is_that_of_its_scatter() -> None:
    """300 sets with 0.5 % scatter: the mean stated variance is the variance found, within 15 %; no bias above 2 %."""
    rng = np.random.default_rng(4)
    fits = [fit_dead_time(ACTIVITY, observed(TAU) * (1.0 + 0.005 * rng.standard_normal(6))) for _ in range(300)]
    found = np.array([fit.dead_time_s for fit in fits])
    stated = np.array([fit.dead_time_sigma_s for fit in fits])
    assert found.mean() == pytest.approx(TAU, rel=0.02)
    assert float(np.sqrt(np.mean(stated**2))) == pytest.approx(float(found.std()), rel=0.15)


def test_no_dead_time_is_zero_and_not_significant() -> None:
    fit = fit_dead_time(ACTIVITY, observed(0.0) * (1.0 + 1e-4 * np.array([2.0, -1.0, -1.0, -1.0, 0.0, 1.0])))
    assert fit.dead_time_s == 0.0
    assert not fit.significant


@pytest.mark.parametrize(
    ("activity", "rate"),
    [
        (ACTIVITY[:3], observed(TAU)[:3]),
        (ACTIVITY[0] * 0.9 ** np.arange(6), observed(TAU)),
        (ACTIVITY, np.append(observed(TAU)[:5], 0.0)),
    ],
    ids=["three scans", "too little decay", "no counts"],
)
def test_a_series_without_a_long_arm_is_refused(activity: np.ndarray, rate: np.ndarray) -> None:
    with pytest.raises(RefusalError) as refusal:
        fit_dead_time(activity, rate)
    assert refusal.value.code == "DEAD_TIME_SERIES_INVALID"
