"""Weighted quantiles and histograms on every backend, against NumPy's own definitions and exact cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from kernels.histogram import dose_volume_histogram, weighted_quantiles

if TYPE_CHECKING:
    from kernels.backend import Backend

RNG = np.random.default_rng(7)
FRACTIONS = (0.02, 0.5, 0.98)


def test_equal_weights_agree_with_numpys_hazen_quantiles(backend: Backend) -> None:
    values = RNG.random((5, 6, 7))
    found = weighted_quantiles(backend.send(values), backend.send(np.ones_like(values)), FRACTIONS)
    np.testing.assert_allclose(backend.fetch(found), np.quantile(values, FRACTIONS, method="hazen"), rtol=1e-12)


def test_splitting_a_voxel_changes_nothing(backend: Backend) -> None:
    # 1 Gy in 1 g, 3 Gy in 3 g: the middles lie at 1/8 and 5/8 of the mass, the median at 1 + 2 * (1/2 - 1/8) / (1/2).
    whole = weighted_quantiles(backend.send(np.array([1.0, 3.0])), backend.send(np.array([1.0, 3.0])), (0.5,))
    assert backend.fetch(whole)[0] == pytest.approx(2.5)


def test_one_voxel_and_weightless_voxels(backend: Backend) -> None:
    values, weights = backend.send(np.array([9.0, 4.0, -5.0])), backend.send(np.array([0.0, 2.0, 0.0]))
    np.testing.assert_array_equal(backend.fetch(weighted_quantiles(values, weights, FRACTIONS)), [4.0, 4.0, 4.0])


def test_a_region_without_weight_is_refused(backend: Backend) -> None:
    zeros = backend.send(np.zeros(3))
    with pytest.raises(ValueError, match="no voxel with a positive weight"):
        weighted_quantiles(zeros, zeros, FRACTIONS)


def test_histogram_counts_the_weight_at_or_above(backend: Backend) -> None:
    values, weights = backend.send(np.array([2.0, 1.0, 4.0])), backend.send(np.array([1.0, 2.0, 5.0]))
    found = dose_volume_histogram(values, weights, backend.send(np.array([0.0, 1.0, 1.5, 2.0, 3.9, 4.0, 4.1])))
    np.testing.assert_allclose(backend.fetch(found), [1, 1, 6 / 8, 6 / 8, 5 / 8, 5 / 8, 0], atol=1e-15)
