"""BED of kidneys: golden values and table of clinical specification 3.8."""

from __future__ import annotations

import pytest

from pipeline.errors import RefusalError
from pipeline.physics.dose.bed import bed_of_cycle, bed_over_cycles

HOUR = 3600.0


def bed(doses: list[float], half_life_h: float = 51.0) -> float:
    return bed_over_cycles(doses, [half_life_h * HOUR] * len(doses), alpha_beta_gy=2.6, repair_half_life_s=2.8 * HOUR)


@pytest.mark.parametrize(
    ("doses", "expected"), [([5.75] * 4, 25.647), ([4.6] * 5, 25.118), ([3.5], 3.745), ([5.0] * 8, 44.003)]
)
def test_golden_values(doses: list[float], expected: float) -> None:
    assert bed(doses) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("cycles", "at_23", "at_40"), [(3, 26.5, 50.7), (4, 25.6, 48.0), (5, 25.1, 46.4), (10, 24.1, 43.2)]
)
def test_table_of_equal_cycles(cycles: int, at_23: float, at_40: float) -> None:
    assert bed([23.0 / cycles] * cycles) == pytest.approx(at_23, abs=0.06)
    assert bed([40.0 / cycles] * cycles) == pytest.approx(at_40, abs=0.06)


def test_each_cycle_has_its_own_half_life() -> None:
    two = bed_over_cycles([5.0, 6.0], [51 * HOUR, 40 * HOUR], alpha_beta_gy=2.6, repair_half_life_s=2.8 * HOUR)
    assert two == pytest.approx(bed([5.0]) + bed([6.0], 40.0), rel=1e-12)


@pytest.mark.parametrize(("dose", "half_life"), [(-1.0, 1.0), (1.0, 0.0)])
def test_nonsense_is_refused(dose: float, half_life: float) -> None:
    with pytest.raises(RefusalError) as refusal:
        bed_of_cycle(dose, half_life, alpha_beta_gy=2.6, repair_half_life_s=1.0)
    assert refusal.value.code == "BED_INPUT_INVALID"
