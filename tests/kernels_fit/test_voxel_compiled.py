"""Machine code of the voxel fits against the NumPy path: same results but for rounding, same special cases."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernels import blocks, voxel_compiled
from kernels.voxel_compiled import CompilerMissingError, fit_mono_exponentials_compiled, refit_areas
from kernels.voxel_fit import CurveFits, fit_areas, fit_mono_exponentials

if importlib.util.find_spec("numba") is None:
    if os.environ.get("CI"):
        pytest.fail("CI must install numba: prrt-dosimetry[dev]", pytrace=False)
    pytest.skip("NEEDS numba: install prrt-dosimetry[dev]", allow_module_level=True)

from kernels import voxel_lanes

SLOWEST, FASTEST, FALLBACK = math.log(2.0) / 159.528, math.log(2.0) / 10.0, 0.012
TIMES = {
    2: (24.0, 96.0),
    3: (24.0, 96.0, 168.0),
    4: (20.0, 70.0, 110.0, 170.0),
    5: (4.0, 24.0, 50.0, 96.0, 168.0),
    6: (1.0, 4.0, 24.0, 50.0, 96.0, 168.0),
}
ROOT = Path(__file__).parents[2]


def noisy(curves: int, relative: float, times: tuple[float, ...], seed: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """Curves of 6 to 300 h (a part of them beyond the bounds) over six decades with errors of about ``relative``."""
    rng = np.random.default_rng(seed)
    half_life = np.exp(rng.uniform(math.log(6.0), math.log(300.0), curves))
    true = 10.0 ** rng.uniform(-1.0, 5.0, curves) * 2.0 ** (-np.array(times)[:, None] / half_life)
    sigma = relative * true * rng.uniform(0.5, 2.0, true.shape)
    return true + sigma * rng.standard_normal(true.shape), sigma


def both(
    values: np.ndarray, times: tuple[float, ...], weights: np.ndarray | None, power: int
) -> tuple[CurveFits, CurveFits]:
    given = (times, SLOWEST, FASTEST, FALLBACK)
    return (
        fit_mono_exponentials(values, *given, weights=weights, power=power),
        fit_mono_exponentials_compiled(values, *given, weights=weights, power=power),
    )


@pytest.mark.parametrize("sharing", ["equal", "shared", "own"])
@pytest.mark.parametrize("power", [0, 1, 2])
@pytest.mark.parametrize("points", [2, 3, 4, 5, 6])
def test_machine_code_gives_what_numpy_gives(points: int, power: int, sharing: str) -> None:
    # 3000 curves, errors of 2.5 to 10 %: parameters to 1e-9; sigmas to 1e-7, as they are taken at a rate of half the
    # digits; chi-squared to 1e-9 of the curve's squared values (two points leave nothing but rounding).
    times = TIMES[points]
    values, sigma = noisy(3000, 0.05, times)
    weights = {"equal": None, "shared": np.linspace(0.5, 2.0, points)[:, None], "own": 1.0 / sigma ** (2 - power)}
    numpy, machine = both(values, times, weights[sharing], power)
    for field, tolerance in zip(CurveFits._fields[:5], [1e-9, 1e-9, 1e-7, 1e-7, 1e-7], strict=True):
        np.testing.assert_allclose(getattr(machine, field), getattr(numpy, field), rtol=tolerance, err_msg=field)
    weight = 1.0 if weights[sharing] is None else np.max(weights[sharing], axis=0)
    scale = weight * np.abs(values).max(axis=0) ** (2 - power)
    assert float(np.max(np.abs(machine.chi_squared - numpy.chi_squared) / scale)) < 1e-9


@pytest.mark.parametrize("power", [0, 1])
def test_wild_curves_end_in_the_same_optimum(power: int) -> None:
    # Errors of 50 to 200 %: every path of the bracket. NumPy leaves its last curves at a step of 1e-3, so 99.8 % must
    # agree to 1e-6, and the machine code's chi-squared lies nowhere 1e-6 above NumPy's where that is what is minimised.
    values, sigma = noisy(20_000, 1.0, TIMES[3])
    numpy, machine = both(values, TIMES[3], 1.0 / sigma**2, power)
    assert float(np.mean(np.abs(machine.rate / numpy.rate - 1.0) < 1e-6)) > 0.998
    assert np.array_equal(machine.amplitude > 0, numpy.amplitude > 0)
    assert all(np.isfinite(line).all() for line in machine)
    if power == 0:
        assert (machine.chi_squared <= numpy.chi_squared * (1.0 + 1e-6)).all()


@pytest.mark.parametrize("power", [0, 1, 2])
def test_degenerate_curves_have_a_defined_result(power: int) -> None:
    # Columns: nothing; one positive value; rising; slower than decay; faster than 10 h; negative; not finite thrice.
    values = np.array(
        [
            [0.0, 5.0, 1.0, 1.0, 1.0, -1.0, np.nan, 1.0, -np.inf],
            [0.0, 0.0, 2.0, 0.99, 1e-4, -1.0, 1.0, np.inf, np.inf],
            [0.0, 0.0, 3.0, 0.98, 1e-8, -2.0, 1.0, 1.0, 1.0],
        ]
    )
    finite = fit_mono_exponentials_compiled(values[:, :6], TIMES[3], SLOWEST, FASTEST, FALLBACK, power=power)
    found = fit_mono_exponentials_compiled(values, TIMES[3], SLOWEST, FASTEST, FALLBACK, power=power)
    expected = [FALLBACK, FALLBACK, SLOWEST, SLOWEST, FASTEST, *[FALLBACK] * 4]
    np.testing.assert_allclose(found.rate, expected, rtol=1e-12)
    np.testing.assert_array_equal(found.amplitude > 0, [False, True, True, True, True, False, False, False, False])
    for line, alone in zip(found, finite, strict=True):
        assert np.isfinite(line).all()
        # A curve that is not finite changes nothing of those beside it.
        np.testing.assert_array_equal(line[:6], alone)
        assert line is found.rate or (line[5:] == 0.0).all()
    with np.errstate(invalid="ignore"):
        numpy, _ = both(values, TIMES[3], None, power)
    np.testing.assert_allclose(found.amplitude, numpy.amplitude, rtol=1e-9)


@pytest.mark.parametrize("curves", [0, 1, 127, 128, 129, 16_385])
def test_any_number_of_curves(curves: int) -> None:
    values, _ = noisy(curves, 0.05, TIMES[3])
    numpy, machine = both(values, TIMES[3], np.array([[1.0], [2.0], [3.0]]), 1)
    np.testing.assert_allclose(machine.amplitude, numpy.amplitude, rtol=1e-9)
    np.testing.assert_allclose(machine.rate, numpy.rate, rtol=1e-9)


def test_single_precision_strided_and_locked_input_is_computed_in_double_precision() -> None:
    values, sigma = noisy(1000, 0.05, TIMES[3])
    single = values.astype(np.float32)
    expected = both(single.astype(np.float64), TIMES[3], 1.0 / sigma**2, 0)[1]
    strided = np.repeat(single, 2, axis=1)[:, ::2]
    strided.flags.writeable = False
    for given in (single, np.asfortranarray(single), strided):
        found = fit_mono_exponentials_compiled(given, TIMES[3], SLOWEST, FASTEST, FALLBACK, sigmas=sigma)
        assert found.rate.dtype == np.float64
        np.testing.assert_allclose(found.amplitude, expected.amplitude, rtol=1e-12)


def test_rates_come_in_the_unit_asked_for() -> None:
    values, sigma = noisy(500, 0.05, TIMES[3])
    given = (values, TIMES[3], SLOWEST, FASTEST, FALLBACK)
    hour = fit_mono_exponentials_compiled(*given, sigmas=sigma)
    second = fit_mono_exponentials_compiled(*given, sigmas=sigma, rate_unit=1.0 / 3600.0)
    np.testing.assert_allclose(second.rate * 3600.0, hour.rate, rtol=1e-14)
    np.testing.assert_allclose(second.rate_sigma * 3600.0, hour.rate_sigma, rtol=1e-14)
    np.testing.assert_array_equal(second.amplitude, hour.amplitude)


def test_the_number_of_threads_changes_nothing() -> None:
    values, sigma = noisy(50_000, 0.1, TIMES[3])
    given = (values, TIMES[3], SLOWEST, FASTEST, FALLBACK)
    one, three = (fit_mono_exponentials_compiled(*given, sigmas=sigma, threads=n) for n in (1, 3))
    for line, other in zip(one, three, strict=True):
        np.testing.assert_array_equal(line, other)
    one, three = (refit_areas(*given, sigmas=sigma, refits=2, seed=5, threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one.mean, three.mean)
    np.testing.assert_array_equal(one.deviation, three.deviation)


@pytest.mark.parametrize("shared", [True, False])
def test_refits_draw_the_copies_that_numpy_draws(shared: bool) -> None:
    # One block's copies fitted by NumPy, 1e-5: both leave the rate of an area after a step of 1e-3, and shared sigmas
    # drown the faintest curves.
    values, sigma = noisy(700, 0.05, TIMES[3])
    sigma = np.array([[0.3], [0.2], [0.1]]) if shared else sigma
    given = (TIMES[3], SLOWEST, FASTEST, FALLBACK)
    found = refit_areas(values, *given, sigmas=sigma, refits=20, seed=3)
    rng, weights = np.random.default_rng([3, 0]), 1.0 / sigma**2
    copies = [fit_areas(values + sigma * rng.standard_normal(values.shape), *given, weights=weights) for _ in range(20)]
    np.testing.assert_allclose(found.mean, np.mean(copies, axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.deviation, np.std(copies, axis=0), rtol=1e-5)


def test_each_block_of_refits_has_the_stream_of_its_first_curve() -> None:
    values, sigma = noisy(2 * blocks.BLOCK, 0.05, TIMES[3])
    given = (TIMES[3], SLOWEST, FASTEST, FALLBACK)
    whole = refit_areas(values, *given, sigmas=sigma, refits=1, seed=3)
    second = slice(blocks.BLOCK, None)
    noise = np.random.default_rng([3, blocks.BLOCK]).standard_normal(values[:, second].shape)
    copy = values[:, second] + sigma[:, second] * noise
    expected = fit_areas(copy, *given, weights=1.0 / sigma[:, second] ** 2)
    np.testing.assert_allclose(whole.mean[second], expected, rtol=1e-5)


def test_exponential_is_exact_to_seven_units_in_the_last_place() -> None:
    # 1.5e-15 over the whole range, against NumPy's.
    x = np.linspace(-700.0, 700.0, 20_001)
    found = np.array([voxel_lanes.exponential(each) for each in x])
    assert float(np.max(np.abs(found / np.exp(x) - 1.0))) < 1.6e-15


def test_inputs_that_mean_nothing_are_refused() -> None:
    values = np.ones((3, 4))
    with pytest.raises(ValueError, match="leave the other out"):
        fit_mono_exponentials_compiled(values, TIMES[3], SLOWEST, FASTEST, FALLBACK, weights=values, sigmas=values)
    with pytest.raises(ValueError, match="scale the times"):
        fit_mono_exponentials_compiled(values, [0.0, 1e4, 2e5], SLOWEST, FASTEST, FALLBACK)


def test_without_numba_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "kernels.voxel_lanes")
    with pytest.raises(CompilerMissingError, match=r"prrt-dosimetry\[compiled\]"):
        voxel_compiled.fit_mono_exponentials_compiled(np.ones((3, 4)), TIMES[3], SLOWEST, FASTEST, FALLBACK)


PROGRAM = """
import sys
import numpy as np
import kernels.voxel_compiled as door
assert "numba" not in sys.modules
found = door.fit_mono_exponentials_compiled(np.array([[4.0], [2.0], [1.0]]), [24.0, 96.0, 168.0], 0.004, 0.07, 0.01)
from kernels import voxel_lanes
print(door.__file__, type(voxel_lanes.fit_part._cache).__name__, float(np.log(2.0) / found.rate[0]))
"""


def test_an_install_without_a_writable_folder_works_and_numba_comes_late(tmp_path: Path) -> None:
    # Neither a folder beside the code nor one of the user can be made: files stand in their places.
    shutil.copytree(ROOT / "kernels", tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for blocked in (tmp_path / "kernels" / "__pycache__", tmp_path / "home"):
        blocked.write_text("not a folder", encoding="utf-8")
    home = str(tmp_path / "home")
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=kept | {"PYTHONPATH": str(tmp_path), "HOME": home, "XDG_CACHE_HOME": home},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    where, cache, half_life = ran.stdout.split()
    assert Path(where).is_relative_to(tmp_path)
    assert cache == "NullCache"
    assert float(half_life) == pytest.approx(72.0, rel=1e-12)
