"""Separable blur."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest
from array_api_compat import numpy as numpy_namespace
from scipy.ndimage import gaussian_filter

from kernels.backend import Backend
from kernels.blur import blur_matrix, gaussian_blur

PLACES = [
    Backend("cpu", "cpu", numpy_namespace),
    Backend("gpu", "strict", array_api_strict, place=array_api_strict.Device("device1")),
]


@pytest.mark.parametrize("place", PLACES, ids=["numpy", "strict"])
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
