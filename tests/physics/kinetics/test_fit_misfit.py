"""A curve that does not lie on its fit has no interval as if it did: zeros are refused, errors widened, doses blocked.

The curve: 7.2 and 2.7 at 24 and 96 h (half-life 50.9 h, so 1.01 at 168 h), its last value lowered.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.domain.kinetics import TiaEstimate, TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.errors import RefusalError
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.physics.kinetics.exponentials import ExponentialSum
from pipeline.physics.kinetics.fit_misfit import Misfit, misfit
from pipeline.physics.kinetics.hierarchical_fit import fit_cycles

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
SCANS_H = (24.0, 96.0, 168.0)


def curve(*values: float, sigma: float | None = None, times_h: tuple[float, ...] = SCANS_H) -> TimeActivityCurve:
    time = np.array(times_h[: len(values)]) * HOUR
    errors = None if sigma is None else np.full(len(values), sigma)
    return TimeActivityCurve(time, np.array(values), errors)


def ends(estimate: TiaEstimate) -> tuple[float, float]:
    low, high = estimate.tia_ci95_bq_s or (math.nan, math.nan)
    return low, high


@pytest.mark.parametrize("last", [0.5, 0.3, 0.1, 0.03, 0.01])
def test_the_interval_of_a_curve_off_its_fit_holds_what_its_other_points_say(last: float) -> None:
    # The TIA by the first two points alone; unwidened, the fit of 0.1 claims 1.17 (1.06-1.29) of it.
    two_points = fit_curve(curve(7.2, 2.7), LU).tia_bq_s
    estimate = fit_curve(curve(7.2, 2.7, last), LU)
    low, high = ends(estimate)
    assert low < two_points < high
    assert "FIT_POOR" in estimate.flags
    assert abs(estimate.tia_bq_s - two_points) < 2.0 * estimate.tia_sigma_bq_s
    assert "Birge" in estimate.interval_method


@pytest.mark.parametrize(("last", "broken"), [(0.5, False), (0.4, False), (0.3, True), (0.03, True)])
def test_broken_is_what_three_times_the_errors_would_not_explain(last: float, broken: bool) -> None:
    estimate = fit_curve(curve(7.2, 2.7, last), LU)
    assert ("FIT_BROKEN" in estimate.flags) is broken
    # The same as asking with 15 % for a poor fit: the fit does not depend on the error assumed.
    assert ("FIT_POOR" in fit_curve(curve(7.2, 2.7, last), LU, relative_error=0.15).flags) is broken


def test_a_poor_fit_widens_sigma_by_the_birge_ratio() -> None:
    # From the fitted values (0.876, 1.247, 0.876 of them): chi-squared of three points, one degree of freedom; exact.
    data = curve(7.2, 2.7, 0.5)
    estimate = fit_curve(data, LU)
    fitted = estimate.parameters["amplitude_bq"] * np.exp(-estimate.parameters["rate_per_s"] * data.time_s)
    birge = math.sqrt(float(np.sum(((data.activity_bq / fitted - 1.0) / 0.05) ** 2)))
    assert birge == pytest.approx(6.05, abs=0.01)
    # With that error assumed from the start nothing is poor, and both are the same.
    assumed = fit_curve(data, LU, relative_error=0.05 * birge)
    assert "FIT_POOR" not in assumed.flags
    assert estimate.tia_sigma_bq_s == pytest.approx(assumed.tia_sigma_bq_s, rel=1e-9)
    assert ends(estimate) == pytest.approx(ends(assumed), rel=1e-9)


def test_measured_sigmas_are_widened_alike() -> None:
    # Sigma 0.05 and the same times the ratio give the same interval.
    data = curve(7.2, 2.7, 0.5, sigma=0.05)
    estimate = fit_curve(data, LU)
    ratio = estimate.tia_sigma_bq_s / fit_curve(curve(7.2, 2.7, 0.5, sigma=0.5), LU).tia_sigma_bq_s * 10.0
    assert ratio > 3.3
    assert "FIT_POOR" in estimate.flags
    again = fit_curve(curve(7.2, 2.7, 0.5, sigma=0.05 * ratio), LU)
    assert "FIT_POOR" not in again.flags
    assert ends(estimate) == pytest.approx(ends(again), rel=1e-6)


def test_two_exponentials_are_widened_too() -> None:
    # Six points, one of them three times too high: two degrees of freedom.
    times = (1.0, 4.0, 24.0, 72.0, 120.0, 168.0)
    exact = [2e7 * 2 ** (-t / 4) + 8e7 * 2 ** (-t / 60) for t in times]
    good = fit_curve(curve(*exact, times_h=times), LU, model="bi")
    bad = fit_curve(curve(*exact[:3], 3.0 * exact[3], *exact[4:], times_h=times), LU, model="bi")
    assert "FIT_POOR" not in good.flags
    assert {"FIT_POOR", "FIT_BROKEN"} <= set(bad.flags)
    assert ends(bad)[0] < good.tia_bq_s < ends(bad)[1]
    assert bad.tia_sigma_bq_s / bad.tia_bq_s > 5.0 * good.tia_sigma_bq_s / good.tia_bq_s


@pytest.mark.parametrize(
    ("degrees", "chi_squared", "flags"),
    [
        # 0.1 % of chi-squared with 1 and 2 degrees of freedom: 10.828 and 13.816 (any table).
        (1, 10.82, ()),
        (1, 10.84, ("FIT_POOR",)),
        (2, 13.80, ()),
        (2, 13.83, ("FIT_POOR",)),
        (1, 9.0 * 10.82, ("FIT_POOR",)),
        (1, 9.0 * 10.84, ("FIT_POOR", "FIT_BROKEN")),
        (0, 1e6, ()),
    ],
)
def test_the_limits_of_chi_squared(degrees: int, chi_squared: float, flags: tuple[str, ...]) -> None:
    found = Misfit(chi_squared, degrees)
    assert found.flags == flags
    assert found.widening == pytest.approx(math.sqrt(chi_squared / degrees) if flags else 1.0)


def test_a_rate_at_its_bound_is_not_free() -> None:
    bounds = rate_bounds(LU)
    for rate, degrees in ((bounds.slowest_per_s, 2), (bounds.fastest_per_s, 2), (4e-6, 1)):
        fit = ExponentialSum(np.array([1.0]), np.array([rate]), np.zeros((2, 2)))
        assert misfit(curve(7.2, 2.7, 1.0), fit, bounds, 0.05).degrees == degrees


def test_two_points_beyond_the_bound_are_no_curve() -> None:
    # Half-life 5 h: 7.2 falls to 1e-4 of it, the fit can follow to 7e-3 only.
    estimate = fit_curve(curve(7.2, 7.2e-4), LU)
    assert {"AT_SHORTEST_LIMIT", "FIT_BROKEN"} <= set(estimate.flags)


@pytest.mark.parametrize("values", [(7.2, 2.7, 0.0), (7.2, 0.0, 1.0), (7.2, -0.1, 1.0), (7.2, 2.7, -0.1)])
@pytest.mark.parametrize("model", ["mono", "auto", "average", "trapezoid"])
def test_a_fitted_point_without_sigma_is_above_zero(values: tuple[float, ...], model: str) -> None:
    with pytest.raises(RefusalError) as refusal:
        fit_curve(curve(*values), LU, model=model)  # type: ignore[arg-type]
    assert refusal.value.code == "CURVE_NOT_POSITIVE"
    assert "sigma" in refusal.value.needed
    with pytest.raises(RefusalError) as refusal:
        fit_cycles([curve(*values), curve(7.0, 2.6, 1.0)], LU)
    assert refusal.value.code == "CURVE_NOT_POSITIVE"


def test_a_zero_before_the_uptake_is_not_fitted_and_not_refused() -> None:
    data = curve(0.0, 7.2, 2.7, 1.01, times_h=(0.0, 24.0, 96.0, 168.0))
    assert fit_curve(data, LU).tia_bq_s == pytest.approx(fit_curve(curve(7.2, 2.7, 1.01), LU).tia_bq_s, rel=1e-12)
    assert math.isfinite(fit_curve(data, LU, model="bi").tia_bq_s)
    # With the physical tail straight lines stand on the points alone.
    zero = fit_curve(curve(7.2, 0.0, 1.0), LU, model="trapezoid", tail_rule="physical")
    assert "NON_POSITIVE_POINT" in zero.flags


def test_a_cycle_off_its_curve_is_flagged_and_tells_the_others_less() -> None:
    good = curve(7.2, 2.7, 1.01)
    one = curve(7.0)
    clean = fit_cycles([good, good, one], LU).cycles
    mixed = fit_cycles([good, curve(7.2, 2.7, 0.03), one], LU).cycles
    assert {"FIT_POOR", "FIT_BROKEN"} <= set(mixed[1].flags)
    assert "FIT_POOR" not in mixed[0].flags
    low, high = ends(mixed[1])
    assert low < clean[1].tia_bq_s < high
    # Unwidened the broken cycle draws the one scan's TIA up by 17 %; the good cycle decides now.
    assert mixed[2].tia_bq_s == pytest.approx(clean[2].tia_bq_s, rel=0.05)
