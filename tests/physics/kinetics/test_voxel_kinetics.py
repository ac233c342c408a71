"""TIA maps."""

from __future__ import annotations

import math

import array_api_strict
import numpy as np
import pytest

from kernels.backend import Backend
from pipeline.domain.geometry import Grid
from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.maps import ActivityMap
from pipeline.domain.nuclide import Radionuclide
from pipeline.errors import RefusalError
from pipeline.physics.kinetics import fit_curve
from pipeline.physics.voxel_kinetics import tia_map

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
    found = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT)
    # Single precision of the map: 1e-6.
    np.testing.assert_allclose(found.tia.tia_bq_s_per_ml, 1e5 * half_life / math.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(found.effective_half_life_s, half_life, rtol=1e-6)
    assert (found.fallback_voxels, found.physical_limit_voxels) == (0, int((half_life >= 0.98 * LU.half_life_s).sum()))


@pytest.mark.parametrize("rules", [{}, {"head_rule": "ramp"}, {"head_rule": "constant", "tail_rule": "physical"}])
def test_a_voxel_is_fitted_as_a_region_is(rules: dict[str, str]) -> None:
    values = noisy()
    found = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT, **rules)
    for index in [(0, 0, 0), (1, 2, 3), (3, 4, 5)]:
        curve = TimeActivityCurve(np.array(TIMES_S), values[(slice(None), *index)], None)
        region = fit_curve(curve, LU, **rules)
        assert float(found.tia.tia_bq_s_per_ml[index]) == pytest.approx(region.tia_bq_s, rel=1e-6)
        if not rules:
            sigma = region.tia_sigma_bq_s / region.tia_bq_s
            assert float(found.tia_relative_sigma[index]) == pytest.approx(sigma, rel=1e-5)


def test_maps_at_the_start_are_brought_to_the_middle() -> None:
    values = noisy()
    moment = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT)
    half_hour = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=[1800.0] * 3)
    expected = math.exp(-LU.decay_constant_per_s * 900.0)
    np.testing.assert_allclose(half_hour.tia.tia_bq_s_per_ml, moment.tia.tia_bq_s_per_ml * expected, rtol=1e-5)


def test_mask_zeros_and_single_values() -> None:
    values = np.ones((3, *SHAPE)) * np.array([4.0, 2.0, 1.0])[:, None, None, None]
    values[:, 0, 0, 0] = 0.0
    values[:, 0, 0, 1] = (3.0, 0.0, -1.0)
    mask = np.ones(SHAPE, dtype=bool)
    mask[3] = False
    found = tia_map(maps(values), TIMES_S, LU, acquisition_duration_s=MOMENT, mask=mask)
    tia = found.tia.tia_bq_s_per_ml
    assert (tia[3] == 0.0).all()
    assert tia[0, 0, 0] == 0.0
    # One positive value of three: the rate of the mean curve (about 72 h), amplitude a third of that value at t = 0.
    rate = math.log(2.0) / float(found.effective_half_life_s[0, 0, 1])
    assert rate == pytest.approx(math.log(2.0) / (72 * HOUR), rel=0.02)
    assert float(tia[0, 0, 1]) == pytest.approx(math.exp(rate * TIMES_S[0]) / rate, rel=1e-5)
    assert found.fallback_voxels == 1
    assert np.isfinite(tia).all()


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
