"""All cycles of a patient together: what a later cycle with one scan gets, and how much of it was assumed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.errors import RefusalError
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.hierarchical_fit import fit_cycles
from pipeline.physics.kinetics.single_scan import HalfLifePrior, fit_single_scan, patient_prior

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
THREE = (24.0, 96.0, 168.0)
POPULATION = HalfLifePrior(51.0 * HOUR, 0.25, "population", "test")


def clean(times_h: tuple[float, ...], half_life_h: float, sigma: float | None = None) -> TimeActivityCurve:
    """Noise-free curve of 1e8 Bq at t = 0."""
    time = np.array(times_h) * HOUR
    values = 1e8 * 2.0 ** (-time / (half_life_h * HOUR))
    return TimeActivityCurve(time, values, None if sigma is None else sigma * values)


def tia(half_life_h: float) -> float:
    """Analytic TIA of 1e8 Bq."""
    return 1e8 * half_life_h * HOUR / math.log(2.0)


@pytest.mark.parametrize("sigma", [None, 0.05])
def test_a_cycle_of_one_scan_takes_the_patients_half_life(sigma: float | None) -> None:
    fit = fit_cycles([clean(THREE, 60.0, sigma), clean((24.0,), 60.0, sigma)], LU)
    full, later = fit.cycles
    # Mean of a skew distribution: within 2 % of the truth, 60 h of the first cycle.
    assert later.tia_bq_s == pytest.approx(tia(60.0), rel=0.02)
    assert later.effective_half_life_s == pytest.approx(60.0 * HOUR, rel=0.01)
    assert full.tia_bq_s == pytest.approx(tia(60.0), rel=0.01)
    assert later.model == full.model == "hierarchical"
    assert later.flags == ("SINGLE_POINT_PRIOR",)
    # Its half-life is another cycle's (5 % / sqrt(2) / 1.41 = 4.3 %) and half-normal 10 % apart twice, so the sigma is
    # |24/60 ln 2 - 1| x 15 % beside 5 %, and most of the variance was assumed.
    assert later.tia_sigma_bq_s / later.tia_bq_s == pytest.approx(math.hypot(0.72 * 0.15, 0.05), rel=0.15)
    assert 0.6 < later.assumed_fraction < 0.9
    assert full.assumed_fraction < 0.05


@pytest.mark.parametrize("half_life_h", [40.0, 51.0, 70.0])
def test_one_earlier_cycle_tells_both_methods_the_same(half_life_h: float) -> None:
    # One statement of how cycles vary: a normal of the same variance (single-patient) for the mixture over omega, whose
    # eight values have 96 % of its root mean square. TIA 0.5 %, sigma 6 %, ends of the interval 3 %.
    full, later = clean(THREE, half_life_h), clean((24.0,), half_life_h)
    together = fit_cycles([full, later], LU).cycles[1]
    told = fit_curve(full, LU)
    prior = patient_prior(told.effective_half_life_s, told.effective_half_life_sigma_s, "cycle 1")
    alone = fit_single_scan(later, LU, prior)
    assert together.tia_bq_s == pytest.approx(alone.tia_bq_s, rel=0.005)
    assert together.tia_sigma_bq_s == pytest.approx(alone.tia_sigma_bq_s, rel=0.06)
    assert together.tia_ci95_bq_s == pytest.approx(alone.tia_ci95_bq_s, rel=0.03)
    assert together.shared_half_life_fraction == pytest.approx(alone.shared_half_life_fraction, rel=0.06)


@pytest.mark.parametrize("full_cycles", [1, 2, 4])
def test_what_later_cycles_of_one_scan_share(full_cycles: int) -> None:
    # n sure cycles leave omega^2/n of the patient's own half-life open, and a later one deviates by omega^2 itself:
    # 1/(n + 1) is common to all later ones, whatever omega. The grid's and the scans' own width: 5 %.
    later = fit_cycles([clean(THREE, 55.0)] * full_cycles + [clean((24.0,), 55.0)], LU, relative_error=0.002).cycles[-1]
    assert later.shared_half_life_fraction == pytest.approx(1.0 / (full_cycles + 1.0), rel=0.05)


def test_full_cycles_stay_what_they_are_alone() -> None:
    # Two well measured cycles 30 % apart are not pulled together by more than 2 %.
    fit = fit_cycles([clean(THREE, 45.0), clean(THREE, 60.0)], LU, relative_error=0.02)
    for estimate, half_life_h in zip(fit.cycles, (45.0, 60.0), strict=True):
        alone = fit_curve(clean(THREE, half_life_h), LU, relative_error=0.02)
        assert estimate.tia_bq_s == pytest.approx(alone.tia_bq_s, rel=0.02)
    # and their difference shows in the spread between cycles (prior mean 0.08).
    assert fit.between_cycles_log_sigma > 0.10


def test_cycles_that_agree_narrow_the_one_with_a_single_scan() -> None:
    def sigma(full_cycles: int) -> float:
        fit = fit_cycles([clean(THREE, 55.0)] * full_cycles + [clean((24.0,), 55.0)], LU)
        return fit.cycles[-1].tia_sigma_bq_s

    assert sigma(3) < 0.85 * sigma(1)


def test_a_cycle_of_one_scan_carries_the_warnings_of_those_that_tell_its_half_life() -> None:
    # 159 h is within 2 % of 177Lu's 159.5 h: a warning that holds for the cycle that takes this half-life too.
    never = clean(THREE, 159.0)
    source, later = fit_cycles([never, clean((24.0,), 60.0)], LU, relative_error=0.01).cycles
    doubts = [flag for flag in source.flags if flag != "SINGLE_POINT_PRIOR"]
    assert "AT_PHYSICAL_LIMIT" in doubts
    assert later.flags == ("SINGLE_POINT_PRIOR", *doubts)
    # A cycle with three scans of its own does not: it knows its half-life.
    bent = TimeActivityCurve(np.array(THREE) * HOUR, np.array([7e7, 5e7, 1e7]), None)
    warned, own, one = fit_cycles([bent, clean(THREE, 60.0), clean((24.0,), 60.0)], LU).cycles
    assert "FIT_WARN" in warned.flags
    assert own.flags == ()
    assert "FIT_WARN" in one.flags
    # What only says how the source was scanned is not carried: two points used, a first one that rises.
    rising = TimeActivityCurve(np.array([1.0, 24.0, 96.0]) * HOUR, np.array([5e7, 8e7, 3e7]), None)
    assert fit_cycles([rising, clean((24.0,), 50.0)], LU).cycles[1].flags == ("SINGLE_POINT_PRIOR",)


def test_the_population_tells_where_no_cycle_does() -> None:
    with pytest.raises(RefusalError) as refusal:
        fit_cycles([clean((24.0,), 50.0), clean((24.0,), 50.0)], LU)
    assert refusal.value.code == "SINGLE_POINT_WITHOUT_PRIOR"
    fit = fit_cycles([clean((24.0,), 51.0), clean((24.0,), 51.0)], LU, population=POPULATION)
    # One scan does not speak for the other's half-life: spread 0.25 and the change between cycles.
    spread = fit.cycles[0].effective_half_life_sigma_s / fit.cycles[0].effective_half_life_s
    assert spread == pytest.approx(math.hypot(0.25, 0.10), rel=0.06)
    assert fit.half_life_sigma_s / fit.half_life_s == pytest.approx(0.25, rel=0.05)


def test_a_rising_point_is_left_out_and_said() -> None:
    rising = TimeActivityCurve(np.array([1.0, 24.0, 96.0]) * HOUR, np.array([5e7, 8e7, 3e7]), None)
    fit = fit_cycles([rising, clean((24.0,), 50.0)], LU)
    assert "UPTAKE_PHASE" in fit.cycles[0].flags
    with pytest.raises(RefusalError) as refusal:
        fit_cycles([rising], LU, head_rule="ramp")
    assert refusal.value.code == "HEAD_RULE_NOT_APPLICABLE"


def test_a_cycle_without_activity_is_refused() -> None:
    empty = TimeActivityCurve(np.array([24.0]) * HOUR, np.array([0.0]), None)
    with pytest.raises(RefusalError) as refusal:
        fit_cycles([clean(THREE, 50.0), empty], LU)
    assert refusal.value.code == "CURVE_NOT_POSITIVE"


def test_simulated_patients() -> None:
    # 100 patients: 95 % has a standard error of 2.2 %, so at least 88.5 %; bias below 0.2 + 3/sqrt(100) sigma.
    rng, hits, errors = np.random.default_rng(4), 0, []
    for _ in range(100):
        patient = 51.0 * math.exp(0.25 * rng.standard_normal())
        spread = 0.10 * abs(rng.standard_normal())
        half_lives = np.clip(patient * np.exp(spread * rng.standard_normal(2)), 10.0, 159.0)
        curves = []
        for times, half_life in zip((THREE, (24.0,)), half_lives, strict=True):
            exact = clean(times, float(half_life))
            noise = 1.0 + 0.05 * rng.standard_normal(len(times))
            curves.append(TimeActivityCurve(exact.time_s, exact.activity_bq * noise, None))
        later = fit_cycles(curves, LU).cycles[1]
        low, high = later.tia_ci95_bq_s or (0.0, 0.0)
        true = tia(float(half_lives[1]))
        hits += low <= true <= high
        errors.append(later.tia_bq_s / true - 1.0)
    assert hits / 100 > 0.885
    assert abs(np.mean(errors) / np.std(errors)) < 0.2 + 3.0 / math.sqrt(100)
