"""TIA maps."""

from __future__ import annotations

import math

import array_api_strict
import numpy as np
import pytest
from scipy.optimize import curve_fit

from kernels.backend import Backend
from pipeline.domain.geometry import Grid
from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.maps import ActivityMap
from pipeline.domain.nuclide import Radionuclide
from pipeline.errors import RefusalError
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.voxels.blocks import PHYSICAL_LIMIT, RATE_OF_THE_WHOLE
from pipeline.physics.voxels.kinetics import tia_map
from pipeline.physics.voxels.regularisation import SHARED_HALF_LIFE_FWHM_MM

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
TIMES_S = [24 * HOUR, 96 * HOUR, 168 * HOUR]
SHAPE = (4, 5, 6)
MOMENT = [1e-6] * 3


def maps(values: np.ndarray, shape: tuple[int, int, int] = SHAPE) -> list[ActivityMap]:
    """One map per time, values of shape (time, *shape)."""
    grid = Grid(shape, np.diag([4.8, 4.8, 4.8, 1.0]), "1.2.3")
    return [ActivityMap(grid, value) for value in values]


def noisy(seed: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    decay = 2.0 ** (-np.array(TIMES_S)[:, None, None, None] / (51 * HOUR))
    return 1e5 * decay * (1.0 + 0.1 * rng.standard_normal((3, *SHAPE)))


def test_noise_free_voxels_are_exact() -> None:
    half_life = np.linspace(11.0, 158.0, 120).reshape(SHAPE) * HOUR
    values = 1e5 * 2.0 ** (-np.array(TIMES_S)[:, None, None, None] / half_life)
    found = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT, smoothing_fwhm_mm=0.0)
    # Single precision of the map: 1e-6.
    np.testing.assert_allclose(found.tia.tia_bq_s_per_ml, 1e5 * half_life / math.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(found.effective_half_life_s, half_life, rtol=1e-6)
    at_limit = int((half_life >= 0.98 * LU.half_life_s).sum())
    assert (found.count(RATE_OF_THE_WHOLE), found.count(PHYSICAL_LIMIT)) == (0, at_limit)


@pytest.mark.parametrize("rules", [{}, {"head_rule": "ramp"}, {"head_rule": "constant", "tail_rule": "physical"}])
def test_a_noise_free_voxel_is_integrated_as_a_region_is(rules: dict[str, str]) -> None:
    half_life = np.linspace(20.0, 120.0, 120).reshape(SHAPE) * HOUR
    values = 1e5 * 2.0 ** (-np.array(TIMES_S)[:, None, None, None] / half_life)
    found = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT, smoothing_fwhm_mm=0.0, **rules)
    for index in [(0, 0, 0), (1, 2, 3), (3, 4, 5)]:
        region = fit_curve(TimeActivityCurve(np.array(TIMES_S), values[(slice(None), *index)], None), LU, **rules)
        assert float(found.tia.tia_bq_s_per_ml[index]) == pytest.approx(region.tia_bq_s, rel=1e-6)


def test_an_own_half_life_is_that_of_a_fit_to_counts() -> None:
    # SciPy's weighted fit with variance = fitted value, repeated to its fixed point.
    values = noisy()
    found = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT, smoothing_fwhm_mm=0.0)
    times = np.array(TIMES_S) / HOUR
    for index in [(0, 0, 0), (1, 2, 3), (3, 4, 5)]:
        parameters = np.array([1e5, 0.0136])
        for _ in range(30):
            sigma = np.sqrt(parameters[0] * np.exp(-parameters[1] * times))
            parameters, _ = curve_fit(
                lambda t, a, r: a * np.exp(-r * t), times, values[(slice(None), *index)], parameters, sigma
            )
        expected = parameters[0] / parameters[1] * HOUR
        assert float(found.tia.tia_bq_s_per_ml[index]) == pytest.approx(expected, rel=1e-6)


def test_a_shared_half_life_is_that_of_the_smoothed_maps_and_the_image_stays_sharp() -> None:
    # One hot voxel among equal neighbours, all of 51 h: its half-life and its TIA are untouched by the smoothing.
    values = 2.0 ** (-np.array(TIMES_S)[:, None, None, None] / (51 * HOUR)) * np.ones((3, *SHAPE))
    values[:, 2, 2, 2] *= 50.0
    found = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT)
    np.testing.assert_allclose(found.effective_half_life_s, 51 * HOUR, rtol=1e-5)
    np.testing.assert_allclose(found.tia.tia_bq_s_per_ml[2, 2, 2], 50 * 51 * HOUR / math.log(2.0), rtol=1e-5)
    np.testing.assert_allclose(found.tia.tia_bq_s_per_ml[0, 0, 0], 51 * HOUR / math.log(2.0), rtol=1e-5)
    assert found.smoothing_fwhm_mm == SHARED_HALF_LIFE_FWHM_MM == 20.0


def counts(shape: tuple[int, int, int], scale: float, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Noise-free maps of 60 h and copies with normal, white noise of variance ``scale`` x value."""
    true = 2.0 ** (-np.array(TIMES_S)[:, None, None, None] / (60 * HOUR)) * np.geomspace(2e3, 2e4, shape[2])
    true = np.broadcast_to(true, (3, *shape))
    return true, true + np.sqrt(scale * true) * np.random.default_rng(seed).standard_normal(true.shape)


@pytest.mark.parametrize("width_mm", [0.0, 20.0])
def test_sigma_and_chi_squared_are_those_of_the_noise(width_mm: float) -> None:
    # 8000 voxels, errors of 3 to 15 %: the noise scale is found within 8 %, 68.3 +- 3 % of the voxels lie within one
    # sigma, and chi-squared has mean 1 (0.05; smoothing leaves a little less than two degrees of freedom).
    true, measured = counts((20, 20, 20), 20.0)
    found = tia_map(
        maps(measured, (20, 20, 20)), TIMES_S, LU, acquisition_duration_s=MOMENT, smoothing_fwhm_mm=width_mm
    )
    assert found.noise.of_values.source == "residuals"
    np.testing.assert_allclose(found.noise.of_values.at(np.geomspace(4e3, 3e4, 5)), 20.0, rtol=0.08)
    expected = true[0] * 2.0 ** (24 / 60) * 60 * HOUR / math.log(2.0)
    off = np.abs(found.tia.tia_bq_s_per_ml - expected) / found.tia.tia_bq_s_per_ml
    assert float(np.mean(off <= found.tia_relative_sigma)) == pytest.approx(0.683, abs=0.03)
    assert float(found.reduced_chi_squared.mean()) == pytest.approx(1.0, abs=0.05)


def test_shared_half_lives_remove_the_bias_and_most_of_the_noise_of_the_rate() -> None:
    # Errors of 15 to 30 %: own half-lives bias the sum by more than 2 %, shared ones by less than 0.5 %.
    true, measured = counts((20, 20, 20), 400.0)
    true_sum = float(true[0].sum() * 2.0 ** (24 / 60) * 60 * HOUR / math.log(2.0))
    sums = {
        width: float(
            tia_map(
                maps(measured, (20, 20, 20)), TIMES_S, LU, acquisition_duration_s=MOMENT, smoothing_fwhm_mm=width
            ).tia.tia_bq_s_per_ml.sum(dtype=np.float64)
        )
        for width in (0.0, 20.0)
    }
    assert sums[0.0] / true_sum - 1.0 > 0.02
    assert abs(sums[20.0] / true_sum - 1.0) < 0.005


def test_two_time_points_state_an_upper_bound_or_the_assumed_error() -> None:
    _, measured = counts((10, 10, 10), 20.0)
    given = maps(measured[:2], (10, 10, 10)), TIMES_S[:2], LU
    shared = tia_map(*given, acquisition_duration_s=MOMENT[:2])
    own = tia_map(*given, acquisition_duration_s=MOMENT[:2], smoothing_fwhm_mm=0.0, relative_error=0.05)
    assert (shared.noise.of_values.source, own.noise.of_values.source) == ("residuals", "assumed")
    assert (own.reduced_chi_squared == 0.0).all()
    # Two points with 5 % each, 24 and 96 h: (u/TIA)^2 = u_A^2 + (m - 1/r)^2 u_r^2 at equal relative errors.
    index, times = (5, 5, 5), np.array([24.0, 96.0])
    rate = math.log(2.0) / float(own.effective_half_life_s[index]) * HOUR
    weights = np.exp(-rate * times) / np.exp(-rate * times).sum()
    mean = float(weights @ times)
    level = float(measured[:2, 5, 5, 5].sum())
    scale = 0.05**2 * level / 2
    variance = scale / level * (1.0 + (mean - 1.0 / rate) ** 2 / float(weights @ (times - mean) ** 2))
    assert float(own.tia_relative_sigma[index]) == pytest.approx(math.sqrt(variance), rel=1e-4)


def test_threads_and_blocks_change_nothing() -> None:
    _, measured = counts((30, 30, 40), 20.0)
    one, two = (
        tia_map(maps(measured, (30, 30, 40)), TIMES_S, LU, acquisition_duration_s=MOMENT, workers=w) for w in (1, 2)
    )
    np.testing.assert_array_equal(one.tia.tia_bq_s_per_ml, two.tia.tia_bq_s_per_ml)
    np.testing.assert_array_equal(one.tia_relative_sigma, two.tia_relative_sigma)


def test_maps_at_the_start_are_brought_to_the_middle() -> None:
    values = noisy()
    moment = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT)
    half_hour = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=[1800.0] * 3)
    expected = math.exp(-LU.decay_constant_per_s * 900.0)
    np.testing.assert_allclose(half_hour.tia.tia_bq_s_per_ml, moment.tia.tia_bq_s_per_ml * expected, rtol=1e-5)


def test_degenerate_voxels_have_a_defined_result_and_are_counted() -> None:
    values = np.ones((3, *SHAPE)) * np.array([4.0, 2.0, 1.0])[:, None, None, None]
    values[:, 0, 0, 0] = 0.0  # nothing
    values[:, 0, 0, 1] = (3.0, 0.0, -1.0)  # one positive value
    values[:, 0, 0, 2] = (1.0, 2.0, 3.0)  # rising
    values[:, 0, 0, 3] = (-2.0, -1.0, -1.0)  # negative
    values[:, 0, 0, 4] = (8.0, 1e-5, 1e-9)  # faster than 10 h
    mask = np.ones(SHAPE, dtype=bool)
    mask[3] = False
    found = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT, mask=mask, smoothing_fwhm_mm=0.0)
    tia = found.tia.tia_bq_s_per_ml
    assert list(found.status[0, 0, :6]) == [6, 5, 3, 6, 4, 2]
    assert (found.status[3] == 0).all()
    assert [found.count(status) for status in range(7)] == [30, 0, 85, 1, 1, 1, 2]
    assert (tia[3] == 0.0).all()
    assert tia[0, 0, 0] == tia[0, 0, 3] == 0.0
    # One positive value of three: the rate of the mean curve (about 72 h), the amplitude of its sum, 3 + 0 - 1.
    rate = math.log(2.0) / float(found.effective_half_life_s[0, 0, 1])
    assert rate == pytest.approx(math.log(2.0) / (72 * HOUR), rel=0.02)
    decays = sum(math.exp(-rate * t) for t in TIMES_S)
    assert float(tia[0, 0, 1]) == pytest.approx(2.0 / decays / rate, rel=1e-5)
    # Rising: physical decay through the sum of its values.
    rate = LU.decay_constant_per_s
    assert float(tia[0, 0, 2]) == pytest.approx(6.0 / sum(math.exp(-rate * t) for t in TIMES_S) / rate, rel=1e-5)
    for volume in (tia, found.effective_half_life_s, found.tia_relative_sigma, found.reduced_chi_squared):
        assert np.isfinite(volume).all()


def test_what_is_not_finite_is_refused_before_it_is_fitted() -> None:
    values = noisy()
    values[1, 0, 0, 0] = np.nan
    with pytest.raises(RefusalError) as refusal:
        maps(values)
    assert refusal.value.code == "VALUE_OUT_OF_RANGE"


def test_an_empty_mask_gives_an_empty_map() -> None:
    found = tia_map(maps(noisy()), TIMES_S, LU, acquisition_duration_s=MOMENT, mask=np.zeros(SHAPE, dtype=bool))
    assert float(found.tia.tia_bq_s_per_ml.sum()) == 0.0


def test_a_single_time_point_needs_a_prior() -> None:
    one = maps(noisy()[:1])
    with pytest.raises(RefusalError) as refusal:
        tia_map(one, TIMES_S[:1], LU, acquisition_duration_s=MOMENT[:1])
    assert refusal.value.code == "SINGLE_POINT_WITHOUT_PRIOR"
    found = tia_map(one, TIMES_S[:1], LU, acquisition_duration_s=MOMENT[:1], prior_half_life_s=51 * HOUR)
    expected = one[0].activity_bq_per_ml * 2.0 ** (24 / 51) * 51 * HOUR / math.log(2.0)
    np.testing.assert_allclose(found.tia.tia_bq_s_per_ml, expected, rtol=1e-6)


def test_other_grids_and_times_are_refused() -> None:
    other = maps(noisy()[:1])[0]
    shifted = ActivityMap(Grid(SHAPE, np.diag([4.8, 4.8, 5.0, 1.0]), "1.2.3"), other.activity_bq_per_ml)
    with pytest.raises(RefusalError) as refusal:
        tia_map([other, shifted], TIMES_S[:2], LU, acquisition_duration_s=MOMENT[:2])
    assert refusal.value.code == "GRID_MISMATCH"
    with pytest.raises(RefusalError) as refusal:
        tia_map([other, other], [TIMES_S[1], TIMES_S[0]], LU, acquisition_duration_s=MOMENT[:2])
    assert refusal.value.code == "CURVE_TIMES_INVALID"


def test_a_device_gives_the_same_map() -> None:
    device = Backend("gpu", "strict", array_api_strict, place=array_api_strict.Device("device1"))
    values = noisy()
    host = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT)
    there = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT, backend=device)
    np.testing.assert_allclose(there.tia.tia_bq_s_per_ml, host.tia.tia_bq_s_per_ml, rtol=1e-6)
    np.testing.assert_allclose(there.tia_relative_sigma, host.tia_relative_sigma, rtol=1e-5)
