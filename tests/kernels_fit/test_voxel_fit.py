"""Batched fits on every array backend, against SciPy one curve at a time."""

from __future__ import annotations

import math

import array_api_strict
import numpy as np
import pytest
from array_api_compat import numpy as numpy_namespace
from scipy.optimize import curve_fit

from kernels.backend import Backend, DeviceMissingError, choose_backend
from kernels.blocks import in_blocks
from kernels.voxel_fit import AmplitudeFits, CurveFits, amplitudes_at, fit_areas, fit_mono_exponentials

SLOWEST, FASTEST = math.log(2.0) / 159.528, math.log(2.0) / 10.0
TIMES = (24.0, 96.0, 168.0)


@pytest.fixture(params=["numpy", "strict", pytest.param("gpu", marks=pytest.mark.gpu)])
def place(request: pytest.FixtureRequest) -> Backend:
    """Host, a fake device that NumPy cannot read, and a card where there is one."""
    if request.param == "numpy":
        return Backend("cpu", "cpu", numpy_namespace)
    if request.param == "strict":
        return Backend("gpu", "strict", array_api_strict, place=array_api_strict.Device("device1"))
    try:
        return choose_backend("gpu")
    except DeviceMissingError as missing:
        pytest.skip(str(missing))


def fit(
    place: Backend,
    values: np.ndarray,
    times: tuple[float, ...] = TIMES,
    *,
    weights: np.ndarray | None = None,
    power: int = 0,
    fallback: float = SLOWEST,
) -> CurveFits:
    sent = None if weights is None else place.send(weights, "float64")
    found = fit_mono_exponentials(
        place.send(values, "float64"), times, SLOWEST, FASTEST, fallback, weights=sent, power=power
    )
    return CurveFits(*(place.fetch(line) for line in found))


def noisy(
    curves: int, relative: float, times: tuple[float, ...] = TIMES, seed: int = 11
) -> tuple[np.ndarray, np.ndarray]:
    """Curves of 30 to 110 h with errors of about ``relative``, and their sigmas."""
    rng = np.random.default_rng(seed)
    half_life = rng.uniform(30.0, 110.0, curves)
    true = rng.uniform(0.5, 5.0, curves) * 2.0 ** (-np.array(times)[:, None] / half_life)
    sigma = relative * true * rng.uniform(0.7, 1.3, true.shape)
    return true + sigma * rng.standard_normal(true.shape), sigma


@pytest.mark.parametrize("power", [0, 1, 2])
@pytest.mark.parametrize("times", [(24.0, 96.0), TIMES, (20.0, 70.0, 110.0, 170.0)])
def test_noise_free_voxels_are_exact(place: Backend, times: tuple[float, ...], power: int) -> None:
    half_life = np.linspace(10.5, 159.0, 500)
    amplitude = np.geomspace(1e-2, 1e7, 500)
    values = amplitude * 2.0 ** (-np.array(times)[:, None] / half_life)
    found = fit(place, values, times, power=power)
    np.testing.assert_allclose(found.amplitude, amplitude, rtol=1e-10)
    np.testing.assert_allclose(math.log(2.0) / found.rate, half_life, rtol=1e-10)
    # Relative residuals of at most some 1e-6.
    assert float(np.max(found.chi_squared / np.max(values, axis=0) ** (2 - power))) < 1e-12


@pytest.mark.parametrize("relative", [0.05, 0.15, 0.3])
def test_weighted_fits_are_those_of_curve_fit(place: Backend, relative: float) -> None:
    # Issue: TIA within 1e-6 at the 99th percentile of SciPy's fit with ftol = xtol = 1e-12; sigmas of its covariance
    # (its Jacobian is a finite difference: 1e-5).
    values, sigma = noisy(150, relative)
    found = fit(place, values, weights=1.0 / sigma**2)
    inside, off, sigmas = 0, [], []
    for voxel in range(values.shape[1]):
        parameters, covariance = curve_fit(
            lambda t, a, r: a * np.exp(-r * t),
            np.array(TIMES),
            values[:, voxel],
            (1.2 * values[0, voxel] * math.exp(0.01 * 24.0), 0.011),
            sigma[:, voxel],
            absolute_sigma=True,
            ftol=1e-12,
            xtol=1e-12,
            maxfev=5000,
        )
        if not SLOWEST < parameters[1] < FASTEST:
            continue
        inside += 1
        off.append(found.amplitude[voxel] / found.rate[voxel] / (parameters[0] / parameters[1]) - 1.0)
        expected = [math.sqrt(covariance[0, 0]), math.sqrt(covariance[1, 1])]
        ours = [found.amplitude_sigma[voxel], found.rate_sigma[voxel]]
        sigmas += [ours[0] / expected[0] - 1.0, ours[1] / expected[1] - 1.0]
        assert found.correlation[voxel] == pytest.approx(covariance[0, 1] / expected[0] / expected[1], abs=1e-5)
    assert inside > 120
    assert float(np.percentile(np.abs(off), 99)) < 1e-6
    assert float(np.max(np.abs(sigmas))) < 1e-5


def test_no_start_beats_the_optimum_found() -> None:
    # At 40 % noise the sum of squares can have a valley beside the main one; 300 trial rates between the bounds must
    # not lie more than 1e-6 below what was found in more than 1 % of the curves.
    values, sigma = noisy(2000, 0.4)
    weights = 1.0 / sigma**2
    found = fit_mono_exponentials(values, TIMES, SLOWEST, FASTEST, SLOWEST, weights=weights)
    usable = (found.amplitude > 0) & ((values > 0).sum(axis=0) >= 2)
    best = np.full(values.shape[1], np.inf)
    for rate in np.linspace(SLOWEST, FASTEST, 300):
        decay = np.exp(-rate * np.array(TIMES))[:, None]
        amplitude = (weights * decay * values).sum(axis=0) / (weights * decay**2).sum(axis=0)
        best = np.minimum(best, (weights * (values - amplitude * decay) ** 2).sum(axis=0))
    assert float(np.mean((found.chi_squared > best * (1.0 + 1e-6) + 1e-9)[usable])) < 0.01


@pytest.mark.parametrize(("power", "exponent"), [(1, 0.5), (2, 1.0)])
def test_iterated_weights_agree_with_iterated_curve_fit(place: Backend, power: int, exponent: float) -> None:
    # Independent: SciPy's weighted fit with sigma = fitted value ** (power / 2), repeated to its fixed point.
    times = np.array([20.0, 70.0, 110.0, 170.0])
    values, _ = noisy(12, 0.15, tuple(times))
    found = fit(place, values, tuple(times), power=power)
    within = 0
    for voxel in range(12):
        parameters = np.array([values[0, voxel], 0.011])
        for _ in range(40):
            sigma = (parameters[0] * np.exp(-parameters[1] * times)) ** exponent
            parameters, _ = curve_fit(
                lambda t, a, r: a * np.exp(-r * t), times, values[:, voxel], parameters, sigma, ftol=1e-12, xtol=1e-12
            )
        if not SLOWEST < parameters[1] < FASTEST:
            assert found.rate[voxel] in (pytest.approx(SLOWEST), pytest.approx(FASTEST))
            continue
        within += 1
        assert found.amplitude[voxel] == pytest.approx(parameters[0], rel=1e-6)
        assert found.rate[voxel] == pytest.approx(parameters[1], rel=1e-6)
    assert within >= 8


@pytest.mark.parametrize("power", [0, 1, 2])
def test_degenerate_curves_have_a_defined_result(place: Backend, power: int) -> None:
    # Columns: nothing; one positive value; rising; slower than decay; faster than 10 h; all negative; not finite twice.
    values = np.array(
        [
            [0.0, 5.0, 1.0, 1.0, 1.0, -1.0, np.nan, 1.0],
            [0.0, 0.0, 2.0, 0.99, 1e-4, -1.0, 1.0, np.inf],
            [0.0, 0.0, 3.0, 0.98, 1e-8, -2.0, 1.0, 1.0],
        ]
    )
    found = fit(place, values, power=power, fallback=0.012)
    np.testing.assert_allclose(found.rate, [0.012, 0.012, SLOWEST, SLOWEST, FASTEST, 0.012, 0.012, 0.012], rtol=1e-12)
    np.testing.assert_array_equal(found.amplitude > 0, [False, True, True, True, True, False, False, False])
    assert all(np.isfinite(line).all() for line in found)
    assert float(found.chi_squared[0]) == float(found.amplitude_sigma[5]) == float(found.rate_sigma[6]) == 0.0


def test_late_negative_values_are_values_like_any_other(place: Backend) -> None:
    # (4, 2, -0.1) at equal weights: SciPy's unweighted fit.
    values = np.array([[4.0], [2.0], [-0.1]])
    found = fit(place, values)
    expected, _ = curve_fit(
        lambda t, a, r: a * np.exp(-r * t), np.array(TIMES), values[:, 0], (5.0, 0.012), ftol=1e-12, xtol=1e-12
    )
    assert found.amplitude[0] == pytest.approx(expected[0], rel=1e-6)
    assert found.rate[0] == pytest.approx(expected[1], rel=1e-6)


def test_single_precision_keeps_five_digits(place: Backend) -> None:
    values, _ = noisy(300, 0.1)
    double = fit(place, values, power=1)
    found = fit_mono_exponentials(place.send(values, "float32"), TIMES, SLOWEST, FASTEST, SLOWEST, power=1)
    assert str(found.rate.dtype).endswith("float32")
    np.testing.assert_allclose(place.fetch(found.rate), double.rate, rtol=3e-5)
    np.testing.assert_allclose(place.fetch(found.amplitude), double.amplitude, rtol=3e-5)


def test_amplitudes_at_known_rates(place: Backend) -> None:
    # Power 0 at one rate is a straight line through 0: A = sum(w e y)/sum(w e^2), sigma = 1/sqrt(sum(w e^2)); the gain
    # of a free rate is, to first order, that of the fit itself (1 % at 3 % noise).
    values, sigma = noisy(50, 0.03)
    weights, rate = 1.0 / sigma**2, np.full(50, 0.0115)
    found = amplitudes_at(
        place.send(values, "float64"), TIMES, place.send(rate, "float64"), weights=place.send(weights, "float64")
    )
    found = AmplitudeFits(*(place.fetch(line) for line in found))
    decay = np.exp(-0.0115 * np.array(TIMES))[:, None]
    precision = (weights * decay**2).sum(axis=0)
    amplitude = (weights * decay * values).sum(axis=0) / precision
    np.testing.assert_allclose(found.amplitude, amplitude, rtol=1e-12)
    np.testing.assert_allclose(found.amplitude_sigma, 1.0 / np.sqrt(precision), rtol=1e-12)
    np.testing.assert_allclose(found.chi_squared, (weights * (values - amplitude * decay) ** 2).sum(axis=0), rtol=1e-9)
    free = fit(place, values, weights=weights)
    near = fit_rate_moved(place, values, weights, free.rate)
    np.testing.assert_allclose(near.chi_squared - near.chi_squared_of_rate, free.chi_squared, rtol=0.01, atol=0.01)


def fit_rate_moved(place: Backend, values: np.ndarray, weights: np.ndarray, rate: np.ndarray) -> AmplitudeFits:
    sent = [place.send(array, "float64") for array in (values, rate * 1.01, weights)]
    return AmplitudeFits(*(place.fetch(line) for line in amplitudes_at(sent[0], TIMES, sent[1], weights=sent[2])))


def test_areas_are_amplitude_over_rate(place: Backend) -> None:
    values, sigma = noisy(200, 0.2)
    values[:, 7] = -1.0
    weights = 1.0 / sigma**2
    whole = fit(place, values, weights=weights)
    sent = place.send(values, "float64"), place.send(weights, "float64")
    areas = place.fetch(fit_areas(sent[0], TIMES, SLOWEST, FASTEST, SLOWEST, weights=sent[1]))
    # Without the last half step.
    np.testing.assert_allclose(areas, whole.amplitude / whole.rate, rtol=1e-5)
    assert float(areas[7]) == 0.0


@pytest.mark.parametrize("workers", [1, 2])
def test_blocks_cover_everything_once_and_pass_errors_on(workers: int) -> None:
    touched = np.zeros(1000, dtype=int)

    def work(part: slice) -> None:
        touched[part] += 1

    in_blocks(work, 1000, block=130, workers=workers)
    assert (touched == 1).all()

    def failing(part: slice) -> None:
        if part.start == 260:
            raise ValueError("block 3")

    with pytest.raises(ValueError, match="block 3"):
        in_blocks(failing, 1000, block=130, workers=workers)
