"""Batched fits and blur on every array backend."""

from __future__ import annotations

import math

import array_api_strict
import numpy as np
import pytest
from array_api_compat import numpy as numpy_namespace
from scipy.ndimage import gaussian_filter
from scipy.optimize import curve_fit

from kernels.backend import Backend, DeviceMissingError, choose_backend
from kernels.blur import blur_matrix, gaussian_blur
from kernels.voxel_fit import fit_mono_exponentials

SLOWEST, FASTEST = math.log(2.0) / 159.528, math.log(2.0) / 10.0


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


def _fit(place: Backend, values: np.ndarray, times: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    found = fit_mono_exponentials(place.send(values, "float64"), times, SLOWEST, FASTEST, SLOWEST)
    return place.fetch(found[0]), place.fetch(found[1])


@pytest.mark.parametrize("times", [(24.0, 96.0), (24.0, 96.0, 168.0), (20.0, 70.0, 110.0, 170.0)])
def test_noise_free_voxels_are_exact(place: Backend, times: tuple[float, ...]) -> None:
    half_life = np.linspace(10.5, 159.0, 500)
    amplitude = np.geomspace(1e-2, 1e7, 500)
    values = amplitude * 2.0 ** (-np.array(times)[:, None] / half_life)
    found = _fit(place, values, times)
    np.testing.assert_allclose(found[0], amplitude, rtol=1e-9)
    np.testing.assert_allclose(math.log(2.0) / found[1], half_life, rtol=1e-9)


def test_noisy_voxels_agree_with_iterated_curve_fit(place: Backend) -> None:
    # Independent: SciPy's weighted fit with sigma = fitted value, repeated to its fixed point.
    times = np.array([20.0, 70.0, 110.0, 170.0])
    rng = np.random.default_rng(11)
    values = 100.0 * 2.0 ** (-times[:, None] / 60.0) * (1.0 + 0.15 * rng.standard_normal((4, 20)))
    amplitude, rate = _fit(place, values, tuple(times))
    for voxel in range(20):
        parameters = np.array([100.0, math.log(2.0) / 60.0])
        for _ in range(40):
            sigma = parameters[0] * np.exp(-parameters[1] * times)
            parameters, _ = curve_fit(lambda t, a, r: a * np.exp(-r * t), times, values[:, voxel], parameters, sigma)
        assert amplitude[voxel] == pytest.approx(parameters[0], rel=1e-6)
        assert rate[voxel] == pytest.approx(parameters[1], rel=1e-6)


def test_rules_for_zeros_and_bounds(place: Backend) -> None:
    # Columns: nothing; one positive value; late zeros; early zeros; rising; slower than decay; faster than 10 h.
    values = np.array(
        [
            [0.0, 5.0, 5.0, 0.0, 1.0, 1.0, 1.0],
            [0.0, 0.0, 3.0, 2.0, 2.0, 0.99, 1e-3],
            [0.0, 0.0, 0.0, 2.0, 3.0, 0.98, 1e-6],
        ]
    )
    amplitude, rate = _fit(place, values, (24.0, 90.0, 168.0))
    np.testing.assert_allclose(rate, [SLOWEST, SLOWEST, FASTEST, SLOWEST, SLOWEST, SLOWEST, FASTEST], rtol=1e-12)
    assert amplitude[0] == 0.0
    assert (amplitude[1:] > 0.0).all()
    assert amplitude[1] == pytest.approx(5.0 * math.exp(SLOWEST * 24.0) / 3.0, rel=1e-12)


def test_blur_is_that_of_scipy(place: Backend) -> None:
    volume = np.random.default_rng(2).random((7, 9, 11))
    found = place.fetch(gaussian_blur(place.send(volume, "float64"), (0.9, 1.3, 2.0)))
    expected = gaussian_filter(volume, (0.9, 1.3, 2.0), mode="reflect", truncate=6.0)
    # The tails beyond 4.5 sigma are left out here, beyond 6 sigma there.
    np.testing.assert_allclose(found, expected, rtol=2e-5)


@pytest.mark.parametrize(("size", "sigma"), [(1, 1.0), (5, 0.0), (5, 3.0), (40, 1.1)])
def test_blur_keeps_the_total_and_is_symmetric(size: int, sigma: float) -> None:
    matrix = blur_matrix(size, sigma)
    np.testing.assert_allclose(matrix.sum(axis=0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-15)
