"""Weighted fits of many voxels, refits of noisy copies, and the memory they take."""

from __future__ import annotations

import importlib.util
import math
import sys
import tracemalloc

import numpy as np
import pytest
from scipy.optimize import curve_fit

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import ActivityMap
from pipeline.domain.nuclide import Radionuclide
from pipeline.errors import RefusalError
from pipeline.physics.voxels import fits as voxel_fits
from pipeline.physics.voxels.fits import Engine, fit_voxels, refitted_tia
from pipeline.physics.voxels.kinetics import tia_map

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
TIMES_S = [24 * HOUR, 96 * HOUR, 168 * HOUR]
NUMBA = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="NEEDS numba: install prrt-dosimetry[dev]")
ENGINES = ["numpy", pytest.param("compiled", marks=NUMBA)]


def curves(voxels: int, relative: float, seed: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True values, noisy ones and sigmas, shape (3, voxels)."""
    rng = np.random.default_rng(seed)
    half_life = rng.uniform(35.0, 100.0, voxels) * HOUR
    true = rng.uniform(1e3, 1e5, voxels) * 2.0 ** (-np.array(TIMES_S)[:, None] / half_life)
    sigma = relative * true * rng.uniform(0.7, 1.3, true.shape)
    return true, true + sigma * rng.standard_normal(true.shape), sigma


@pytest.mark.parametrize("engine", ENGINES)
def test_fits_and_errors_are_those_of_curve_fit(engine: Engine) -> None:
    # TIA within 1e-6 at the 99th percentile; its sigma within 1e-5 (SciPy's Jacobian is a finite difference).
    _, values, sigma = curves(200, 0.08)
    found = fit_voxels(values, TIMES_S, LU, sigma, engine=engine)
    assert found.engine == engine
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


@pytest.mark.parametrize("engine", ENGINES)
def test_refits_agree_with_the_stated_sigma(engine: Engine) -> None:
    # 3 % errors: nearly linear; 400 copies know a standard deviation to 3.5 %, their median over 300 voxels to 0.3 %,
    # and the delta method is within 2 % there.
    true, _, sigma = curves(300, 0.03)
    stated = fit_voxels(true, TIMES_S, LU, sigma)
    found = refitted_tia(true, TIMES_S, LU, sigma, refits=400, seed=1, engine=engine)
    ratio = found.deviation_bq_s_per_ml / stated.tia_sigma_bq_s_per_ml
    assert float(np.median(ratio)) == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(found.mean_bq_s_per_ml, stated.tia_bq_s_per_ml, rtol=0.03)


def test_refits_do_not_depend_on_the_threads() -> None:
    true, _, sigma = curves(40_000, 0.1)
    found = [refitted_tia(true, TIMES_S, LU, sigma, refits=3, seed=7, workers=w) for w in (1, 2)]
    np.testing.assert_array_equal(found[0].mean_bq_s_per_ml, found[1].mean_bq_s_per_ml)
    np.testing.assert_array_equal(found[0].deviation_bq_s_per_ml, found[1].deviation_bq_s_per_ml)


@NUMBA
def test_engines_agree_in_every_field() -> None:
    # Fits to 1e-9 (sigmas 1e-7, taken at a rate of half the digits); refits of the same copies to 1e-5.
    true, values, sigma = curves(20_000, 0.1)
    fits = [fit_voxels(values, TIMES_S, LU, sigma, engine=engine) for engine in ("numpy", "compiled")]
    for field, tolerance in (
        ("tia_bq_s_per_ml", 1e-9),
        ("rate_per_s", 1e-9),
        ("rate_sigma_per_s", 1e-7),
        ("tia_sigma_bq_s_per_ml", 1e-7),
    ):
        np.testing.assert_allclose(getattr(fits[1], field), getattr(fits[0], field), rtol=tolerance, err_msg=field)
    refits = [refitted_tia(true, TIMES_S, LU, sigma, refits=5, engine=engine) for engine in ("numpy", "compiled")]
    assert [each.engine for each in refits] == ["numpy", "compiled"]
    np.testing.assert_allclose(refits[1].mean_bq_s_per_ml, refits[0].mean_bq_s_per_ml, rtol=1e-5)
    np.testing.assert_allclose(refits[1].deviation_bq_s_per_ml, refits[0].deviation_bq_s_per_ml, rtol=1e-5)


@NUMBA
def test_auto_takes_machine_code_only_for_very_many_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    true, _, sigma = curves(50, 0.1)
    monkeypatch.setattr(voxel_fits, "COMPILED_FROM", 100)
    assert fit_voxels(true, TIMES_S, LU, sigma).engine == "numpy"
    assert refitted_tia(true, TIMES_S, LU, sigma, refits=1).engine == "numpy"
    assert refitted_tia(true, TIMES_S, LU, sigma, refits=2).engine == "compiled"
    assert refitted_tia(true, TIMES_S, LU, sigma, refits=2, engine="numpy").engine == "numpy"
    twice = np.hstack([true, true]), np.hstack([sigma, sigma])
    assert fit_voxels(twice[0], TIMES_S, LU, twice[1]).engine == "compiled"


def test_machine_code_without_numba_is_refused_and_auto_says_that_it_took_numpy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true, _, sigma = curves(50, 0.1)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "kernels.voxel_lanes", raising=False)
    monkeypatch.setattr(voxel_fits, "COMPILED_FROM", 1)
    assert fit_voxels(true, TIMES_S, LU, sigma).engine == "numpy"
    with pytest.raises(RefusalError, match=r"COMPILER_MISSING.*numba.*prrt-dosimetry\[compiled\]"):
        refitted_tia(true, TIMES_S, LU, sigma, engine="compiled")


def test_an_engine_that_does_not_exist_is_refused() -> None:
    true, _, sigma = curves(5, 0.1)
    with pytest.raises(RefusalError, match="ENGINE_UNKNOWN"):
        fit_voxels(true, TIMES_S, LU, sigma, engine="fortran")  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ENGINES)
def test_shared_sigmas_and_degenerate_voxels(engine: Engine) -> None:
    values = np.array([[4.0, 0.0, -1.0, np.nan], [2.0, 0.0, -1.0, 1.0], [1.0, 0.0, -2.0, 1.0]])
    found = fit_voxels(values, TIMES_S, LU, np.full((3, 1), 0.1), engine=engine)
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


@pytest.mark.parametrize("engine", ENGINES)
def test_a_body_of_voxels_takes_at_most_12_bytes_each_above_input_and_output(engine: Engine) -> None:
    # Issue: at most 12 bytes a voxel. Output: six doubles.
    _, values, sigma = curves(300_000, 0.05)
    fit_voxels(values[:, :10], TIMES_S, LU, sigma[:, :10], engine=engine)
    tracemalloc.start()
    fit_voxels(values, TIMES_S, LU, sigma, engine=engine)
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


@pytest.mark.parametrize("engine", ENGINES)
def test_a_point_that_carries_all_weight_leaves_finite_sigmas(engine: Engine) -> None:
    # Relative errors from 1e-4 to 10 over 300 h: the normal equations are singular to rounding in some voxels.
    rng, times_h = np.random.default_rng(2), np.array([0.1, 4.0, 300.0])
    half_life_h = np.exp(rng.uniform(math.log(6.0), math.log(300.0), 4000))
    true = 10.0 ** rng.uniform(0.0, 3.0, 4000) * 2.0 ** (-times_h[:, None] / half_life_h)
    sigma = true * 10.0 ** rng.uniform(-4.0, 1.0, true.shape)
    values = true + sigma * rng.standard_normal(true.shape)
    found = fit_voxels(values, list(times_h * 3600.0), LU, sigma, engine=engine)
    lines = (found.tia_bq_s_per_ml, found.tia_sigma_bq_s_per_ml, found.correlation, found.rate_sigma_per_s)
    assert all(bool(np.isfinite(line).all()) for line in lines)
