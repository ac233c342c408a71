"""CT numbers to density."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.errors import RefusalError
from pipeline.physics.dose.density import density_from_hu, validate_curve

# Schneider et al., Phys Med Biol 2000;45:459, made monotone at its branches.
CURVE = [(-1000.0, 0.00121), (-98.0, 0.93), (0.0, 1.018), (23.0, 1.03), (100.0, 1.076), (1600.0, 1.964), (3000.0, 2.8)]


@given(hnp.arrays(np.int16, 50, elements=st.integers(-32768, 32767)))
def test_density_never_rises_as_hu_falls(hu: np.ndarray) -> None:
    density = density_from_hu(np.sort(hu), CURVE)
    assert (np.diff(density) >= 0).all()
    assert density.min() >= np.float32(0.00121)
    assert density.max() <= np.float32(2.8)


def test_extremes_of_int16_do_not_wrap() -> None:
    density = density_from_hu(np.array([-32768, -1051, -1000, 3000, 32767], dtype=np.int16), CURVE)
    np.testing.assert_allclose(density, [0.00121, 0.00121, 0.00121, 2.8, 2.8], rtol=1e-6)


@pytest.mark.parametrize(("hu", "density"), [(0.0, 1.018), (61.5, 1.053), (-549.0, 0.465605), (1600.0, 1.964)])
def test_values_between_nodes_are_linear(hu: float, density: float) -> None:
    assert float(density_from_hu(np.array([hu]), CURVE)[0]) == pytest.approx(density, rel=1e-6)


def test_table_and_interpolation_agree() -> None:
    hu = np.arange(-2000, 4000, 7)
    np.testing.assert_array_equal(density_from_hu(hu.astype(np.int16), CURVE), density_from_hu(hu, CURVE))


@pytest.mark.parametrize(
    "curve",
    [
        [(0.0, 1.0)],
        [(0.0, 1.0), (0.0, 1.1)],
        [(0.0, 1.1), (10.0, 1.0)],
        [(0.0, 0.0), (10.0, 1.0)],
        [(0.0, 1.0), (10.0, 50.0)],
        [(0.0, 1.0), (float("nan"), 2.0)],
    ],
)
def test_a_curve_that_cannot_be_is_refused(curve: list[tuple[float, float]]) -> None:
    with pytest.raises(RefusalError) as refusal:
        validate_curve(curve)
    assert refusal.value.code == "DENSITY_CURVE_INVALID"
