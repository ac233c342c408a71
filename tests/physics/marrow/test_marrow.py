"""Marrow dose, by method."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.errors import RefusalError
from pipeline.physics.dose.marrow import (
    BloodSamples,
    blood_tia,
    marrow_dose_blood,
    marrow_dose_vertebra,
    marrow_mass_g,
    planar_method_missing,
)
from pipeline.physics.kinetics import fit_curve

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")


def blood(times_h: list[float], *components: tuple[float, float]) -> BloodSamples:
    time = np.array(times_h) * HOUR
    return BloodSamples(time, sum(a * 2.0 ** (-time / (t * HOUR)) for a, t in components))


def test_self_dose_by_hand() -> None:
    # 1e9 Bq s/mL / 1.06 g/mL x 1170 g = 1.1038e6 MBq s; x 1.15e-5 mGy/(MBq s) = 12.69 mGy.
    dose = marrow_dose_blood(1e9, LU, 0.05, tia_sigma_bq_s_per_ml=1e8, cross_sigma_gy=0.005)
    assert dose.self_gy == pytest.approx(0.01269, abs=1e-5)
    assert dose.total_gy == pytest.approx(0.06269, abs=1e-5)
    assert dose.sigma_gy == pytest.approx(math.hypot(0.001269, 0.005), rel=1e-3)
    assert dose.method == "blood_only"
    assert marrow_dose_blood(1e9, LU, 0.05, ratio=2.0).self_gy == pytest.approx(2 * dose.self_gy)


def test_mass_cancels_in_the_self_dose() -> None:
    # TIA x m_pat and S_ref m_ref/m_pat written out for a patient of 95 kg give the function's value.
    mass_g = marrow_mass_g(95.0)
    tia_mbq_s = 1e9 / 1.06 * mass_g / 1e6
    s_patient = 1.15e-5 * 1170.0 / mass_g
    assert marrow_dose_blood(1e9, LU, 0.0).self_gy == pytest.approx(tia_mbq_s * s_patient / 1000.0, rel=1e-12)
    assert marrow_mass_g(73.0) == 1170.0


def test_aorta_stands_for_blood_under_its_own_name() -> None:
    dose = marrow_dose_blood(1e9, LU, 0.0, method="image_aorta")
    assert dose.method == "image_aorta"
    assert dose.self_gy == marrow_dose_blood(1e9, LU, 0.0).self_gy


def test_vertebra_by_hand() -> None:
    # 0.14798 MeV x 1.602177e-10 Gy g/MeV / 1.18 g/mL x 3e9 = 0.0603 Gy.
    dose = marrow_dose_vertebra(3e9, LU, 0.02)
    assert dose.method == "image_vertebra"
    assert dose.self_gy == pytest.approx(0.14798 * 1.602177e-10 / 1.18 * 3e9, rel=1e-6)
    assert dose.self_gy == pytest.approx(0.0603, abs=1e-4)


def test_other_nuclides_need_their_s_value() -> None:
    yttrium = Radionuclide("Y-90", 64.1 * HOUR, 0.933, 0.0, 0.0, "ICRP-107", "test")
    with pytest.raises(RefusalError) as refusal:
        marrow_dose_blood(1e9, yttrium, 0.0)
    assert refusal.value.code == "MARROW_S_VALUE_MISSING"
    assert marrow_dose_blood(1e9, yttrium, 0.0, self_s_mgy_per_mbq_s=1.15e-5).self_gy > 0.0


@pytest.mark.parametrize(
    ("times_h", "components", "model", "tolerance"),
    [
        ([4.0, 24.0, 96.0, 168.0], ((2e5, 40.0),), "mono", 1e-9),
        ([1.0, 24.0, 96.0], ((2e5, 40.0),), "mono", 1e-9),
        ([0.5, 4.0, 24.0, 96.0], ((2e6, 2.0), (2e5, 40.0)), "bi", 1e-6),
        ([0.5, 1.0, 2.0, 4.0, 24.0, 72.0, 168.0], ((2e6, 2.0), (2e5, 40.0)), "bi", 1e-6),
        # The usual three phases; straight lines had made 1.125 of them.
        ([1 / 12, 0.5, 1.0, 2.0, 4.0, 24.0, 96.0, 168.0], ((8e6, 0.5), (1.5e6, 2.5), (5e5, 50.0)), "tri", 1e-6),
    ],
)
def test_blood_curves_are_exact(
    times_h: list[float], components: tuple[tuple[float, float], ...], model: str, tolerance: float
) -> None:
    found = blood_tia(blood(times_h, *components), LU)
    assert found.model == model
    exact = sum(a * t * HOUR / math.log(2.0) for a, t in components)
    assert found.tia_bq_s == pytest.approx(exact, rel=tolerance)


def test_what_no_exponential_follows_is_integrated_by_straight_lines() -> None:
    # Three samples, too few for two exponentials: the fast phase is kept by straight lines.
    samples = blood([0.5, 4.0, 24.0], (2e6, 1.5), (2e5, 40.0))
    found = blood_tia(samples, LU)
    assert found.model == "trapezoid"
    assert found.effective_half_life_s <= LU.half_life_s
    assert "BLOOD_BY_STRAIGHT_LINES" in found.flags
    # Their bias counts as a rectangular distribution, beside the noise of the samples.
    plain = fit_curve(TimeActivityCurve(samples.time_s, samples.activity_bq_per_ml, None), LU, model="trapezoid")
    bias = max(abs(bound) for bound in plain.bias_relative or ()) / math.sqrt(3.0)
    assert found.tia_bq_s == plain.tia_bq_s
    assert found.tia_sigma_bq_s == pytest.approx(math.hypot(plain.tia_sigma_bq_s, bias * plain.tia_bq_s), rel=1e-12)


def test_a_fast_phase_between_the_first_samples_is_flagged_and_nearer_than_straight_lines() -> None:
    samples = blood([0.5, 4.0, 24.0, 96.0, 168.0], (9e6, 0.6), (1e6, 30.0))
    exact = (9e6 * 0.6 + 1e6 * 30.0) * HOUR / math.log(2.0)
    found, lines = blood_tia(samples, LU), blood_tia(samples, LU, model="trapezoid")
    assert found.model == "bi"
    assert "FAST_PHASE_AT_LIMIT" in found.flags
    assert found.tia_bq_s == pytest.approx(exact, rel=0.02)
    assert lines.tia_bq_s == pytest.approx(1.20 * exact, rel=0.01)


@pytest.mark.parametrize("activity", [[1.0], [1.0, -1.0]])
def test_samples_that_cannot_be_are_refused(activity: list[float]) -> None:
    with pytest.raises(RefusalError) as refusal:
        BloodSamples(np.arange(len(activity)) * HOUR, np.array(activity))
    assert refusal.value.code == "BLOOD_SAMPLES_INVALID"


def test_impossible_inputs_are_refused() -> None:
    for attempt in (lambda: marrow_dose_blood(-1.0, LU, 0.0), lambda: marrow_dose_vertebra(1.0, LU, math.nan)):
        with pytest.raises(RefusalError) as refusal:
            attempt()
        assert refusal.value.code == "MARROW_INPUT_INVALID"


def test_planar_is_never_replaced_in_silence() -> None:
    flag = planar_method_missing()
    assert (flag.code, flag.level, flag.region) == ("MARROW_PLANAR_UNAVAILABLE", "BLOCK", "marrow")
