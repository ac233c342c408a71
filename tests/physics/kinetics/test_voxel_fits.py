"""Weighted fits of many voxels, refits of noisy copies, and the memory they take."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy.optimize import curve_fit

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import ActivityMap
from pipeline.domain.nuclide import Radionuclide
from pipeline.errors import RefusalError
from pipeline.physics.voxel_fits import fit_voxels, refitted_tia
from pipeline.physics.voxel_kinetics import tia_map

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
TIMES_S = [24 * HOUR, 96 * HOUR, 168 * HOUR]


def curves(voxels: int, relative: float, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True values, noisy ones and sigmas, shape (3, voxels)."""
    rng = np.random.default_rng(seed)
    half_life = rng.uniform(35.0, 100.0, voxels) * HOUR
    true = rng.uniform(1e3, 1e5, voxels) * 2.0 ** (-np.array(TIMES_S)[:, None] / half_life)
    sigma = relative * true * rng.uniform(0.7, 1.3, true.shape)
    return true, true + sigma * rng.standard_normal(true.shape), sigma


def test_fits_and_errors_are_those_of_curve_fit() -> None:
    # TIA within 1e-6 at the 99th percentile; its sigma within 1e-5 (SciPy's Jacobian is a finite difference).
    _, values, sigma = curves(200, 0.08)
    found = fit_voxels(values, TIMES_S, LU, sigma)
    times = np.array(TIMES_S) / HOUR
    off, sigmas = [], []
    for voxel in range(200):
        (a, r), covariance = curve_fit(
            lambda t, a, r: a * np.exp(-r * t),
            times,
            values[:, voxel],
            (values[0, voxel] * 1.4, 0.012),
            sigma[:, voxel],
            absolute_sigma=True,
            ftol=1e-12,
            xtol=1e-12,
        )
        relative = math.sqrt(covariance[0, 0] / a**2 + covariance[1, 1] / r**2 - 2.0 * covariance[0, 1] / (a * r))
        if math.log(2.0) / 159.528 < r < math.log(2.0) / 10.0:
            off.append(found.tia_bq_s_per_ml[voxel] / (a / r * HOUR) - 1.0)
            sigmas.append(found.tia_sigma_bq_s_per_ml[voxel] / (a / r * HOUR * relative) - 1.0)
    assert len(off) > 190
    assert float(np.percentile(np.abs(off), 99)) < 1e-6
    assert float(np.max(np.abs(sigmas))) < 1e-5


def test_refits_agree_with_the_stated_sigma() -> None:
    # 3 % errors: nearly linear; 400 copies know a standard deviation to 3.5 %, their median over 300 voxels to 0.3 %,
    # and the delta method is within 2 % there.
    true, _, sigma = curves(300, 0.03)
    stated = fit_voxels(true, TIMES_S, LU, sigma)
    mean, deviation = refitted_tia(true, TIMES_S, LU, sigma, refits=400, seed=1)
    assert float(np.median(deviation / stated.tia_sigma_bq_s_per_ml)) == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(mean, stated.tia_bq_s_per_ml, rtol=0.03)


def test_refits_do_not_depend_on_the_threads() -> None:
    true, _, sigma = curves(40_000, 0.1)
    found = [refitted_tia(true, TIMES_S, LU, sigma, refits=3, seed=7, workers=w) for w in (1, 2)]
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_shared_sigmas_and_degenerate_voxels() -> None:
    values = np.array([[4.0, 0.0, -1.0, np.nan], [2.0, 0.0, -1.0, 1.0], [1.0, 0.0, -2.0, 1.0]])
    found = fit_voxels(values, TIMES_S, LU, np.full((3, 1), 0.1))
    assert found.tia_bq_s_per_ml[0] == pytest.approx(4.0 * 2.0 ** (24 / 72) * 72 * HOUR / math.log(2.0), rel=1e-9)
    assert list(found.tia_bq_s_per_ml[1:]) == list(found.tia_sigma_bq_s_per_ml[1:]) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("values", "times", "sigma"),
    [
        (np.ones((3, 4)), TIMES_S[::-1], np.ones((3, 4))),
        (np.ones((2, 4)), TIMES_S, np.ones((3, 4))),
        (np.ones((3, 4)), TIMES_S, np.zeros((3, 4))),
        (np.ones((3, 4)), TIMES_S, np.full((3, 4), np.nan)),
        (np.ones((3, 4)), TIMES_S, np.ones((3, 5))),
    ],
)
def test_curves_that_cannot_be_fitted_are_refused(values: np.ndarray, times: list[float], sigma: np.ndarray) -> None:
    with pytest.raises(RefusalError) as refusal:
        fit_voxels(values, times, LU, sigma)
    assert refusal.value.code in {"CURVE_TIMES_INVALID", "CURVE_INVALID"}


def test_a_body_of_voxels_takes_at_most_12_bytes_each_above_input_and_output() -> None:
    # Issue: at most 12 bytes a voxel. Output: six doubles.
    _, values, sigma = curves(300_000, 0.05)
    tracemalloc.start()
    fit_voxels(values, TIMES_S, LU, sigma)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / 300_000 - 6 * 8 < 12.0


def test_a_tia_map_takes_at_most_12_bytes_a_voxel_above_input_and_output() -> None:
    # Of a 128 x 128 x 128 grid with a body of a quarter of it. Output: four maps of 4 bytes and the status.
    shape = (128, 128, 128)
    grid = Grid(shape, np.diag([4.8, 4.8, 4.8, 1.0]), "1.2.3")
    maps = [ActivityMap(grid, np.full(shape, 1e4 * 2.0 ** (-t / (60 * HOUR)), dtype=np.float32)) for t in TIMES_S]
    body = np.zeros(shape, dtype=bool)
    body[:, 40:90, 24:104] = True
    assert body.mean() == pytest.approx(0.24, abs=0.01)
    tracemalloc.start()
    tia_map(maps, TIMES_S, LU, acquisition_duration_s=[1800.0] * 3, mask=body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / body.size - 17.0 < 12.0
