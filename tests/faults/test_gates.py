"""Each gate at both sides of its limit; limits are those of pipeline/physics/gates.py, with their sources there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.physics import gates
from pipeline.physics.quantification.image_fit import edge_fwhm_mm

HOUR_S = 3600.0
PHYSICAL_H = 159.53  # ICRP 107


def levels(flags) -> list[tuple[str, str]]:
    return [(flag.code, flag.level) for flag in flags]


def test_factor_of_both_heads_instead_of_one_contradicts_the_sensitivity():
    assert gates.sensitivity_per_head(1.11e5) == pytest.approx(9.009, abs=1e-3)
    assert gates.sensitivities_agree(1.11e5, 9.0)
    assert gates.sensitivities_agree(1.11e5 * 1.2, 9.0)  # geometry alone moves a factor by up to 20 %
    assert not gates.sensitivities_agree(1.11e5 * 2.0, 9.0)
    assert not gates.sensitivities_agree(1.11e5 / 2.0, 9.0)


@pytest.mark.parametrize(
    ("ct_after_min", "level"), [(0, None), (-14, None), (-16, "BLOCK"), (44, None), (46, "BLOCK"), (-60, "BLOCK")]
)
def test_ct_stands_beside_its_spect(ct_after_min, level):
    """A SPECT of 30 min: its CT starts within 15 min before it or after its end."""
    flags = gates.session_clock_flags(ct_after_min * 60.0, 1800.0, where="x")
    assert levels(flags) == ([("SESSION_CLOCKS_DIFFER", level)] if level else [])


@pytest.mark.parametrize(("off_min", "level"), [(9, None), (-11, "WARN"), (29, "WARN"), (31, "BLOCK"), (1440, "BLOCK")])
def test_start_of_the_infusion_in_header_and_form(off_min, level):
    flags = gates.administration_start_flags(off_min * 60.0)
    assert levels(flags) == ([("ADMINISTRATION_TIME_DIFFERS", level)] if level else [])


@pytest.mark.parametrize(
    ("delays_h", "expected", "found"),
    [
        ((24, 96, 168), None, []),
        ((23.4, 96.6, 168.2), None, []),
        ((24, 168), None, [("SCAN_MISSING", "BLOCK")]),
        ((24,), 1, []),
        ((24, 96), 3, [("SCAN_MISSING", "BLOCK")]),
        ((48, 120, 192), None, [("ADMINISTRATION_DATE_DOUBTFUL", "BLOCK")]),
        ((0.2, 72, 144), None, [("ADMINISTRATION_DATE_DOUBTFUL", "BLOCK")]),
        ((24, 120, 168), None, [("SCAN_TIME_OFF_PLAN", "WARN")]),
        ((48, 120, 168), None, [("SCAN_TIME_OFF_PLAN", "WARN")] * 2),
    ],
)
def test_scans_against_the_plan(delays_h, expected, found):
    flags = gates.scan_plan_flags([h * HOUR_S for h in delays_h], (24.0, 96.0, 168.0), expected)
    assert levels(flags) == found


def test_without_a_plan_nothing_is_said():
    assert gates.scan_plan_flags([48 * HOUR_S], ()) == ()


def test_a_field_cannot_gain_activity():
    assert gates.field_activity_flags([0.10, 0.06, 0.037]) == ()
    assert gates.field_activity_flags([0.10, 0.11]) == ()
    assert levels(gates.field_activity_flags([0.10, 0.06, 0.08])) == [("FIELD_ACTIVITY_RISES", "BLOCK")]
    assert gates.field_activity_flags([0.10]) == ()


def test_two_regions_without_washout_doubt_the_decay_correction():
    assert gates.washout_flags(["lesion-1"]) == ()
    assert levels(gates.washout_flags(["lesion-1", "lesion-2"])) == [("DECAY_REFERENCE_DOUBTFUL", "BLOCK")]


def test_activity_in_an_arm():
    assert gates.arm_flags(0.02) == ()
    assert levels(gates.arm_flags(0.05)) == [("ACTIVITY_IN_ARM", "WARN")]
    assert levels(gates.arm_flags(0.12)) == [("ACTIVITY_IN_ARM", "BLOCK")]


@pytest.mark.parametrize(
    ("ratios", "found"),
    [
        ((0.66, 0.86, 0.42), []),  # the worst of the phantoms without a fault
        ((2.0, 2.0, 2.0), [("BLOOD_LEVEL_DIFFERS", "WARN")]),
        ((0.4, 0.4, 0.4), [("BLOOD_LEVEL_DIFFERS", "BLOCK")]),
        ((1.0, 0.6, 0.4), [("BLOOD_DRIFTS", "BLOCK")]),
    ],
)
def test_blood_in_the_aorta_against_blood_in_the_tube(ratios, found):
    assert levels(gates.blood_pool_flags(ratios)) == found


def test_an_image_sharper_than_its_recovery_curve():
    assert gates.sharpness_flags(12.2, 13.0) == ()
    assert levels(gates.sharpness_flags(7.3, 13.0)) == [("RECOVERY_DOUBTFUL", "BLOCK")]
    assert levels(gates.sharpness_flags(18.0, 13.0)) == [("RECOVERY_DOUBTFUL", "WARN")]


@pytest.mark.parametrize("fwhm_mm", [6.0, 9.0, 12.0, 16.0])
def test_the_width_of_an_image_is_found_from_its_edges(fwhm_mm):
    """Two ellipsoids of other levels in a warm background, 4 % noise: FWHM within 0.5 mm."""
    step_mm = 4.0
    z, y, x = np.indices((40, 40, 48), dtype=np.float64)
    left = ((z - 20) / 12) ** 2 + ((y - 20) / 7) ** 2 + ((x - 13) / 7) ** 2 <= 1
    right = ((z - 18) / 12) ** 2 + ((y - 20) / 7) ** 2 + ((x - 34) / 7) ** 2 <= 1
    fractions = np.stack([left, right, ~(left | right)]).astype(np.float32)
    true = 10.0 * left + 8.0 * right + 0.5
    sigma = fwhm_mm / (2.0 * math.sqrt(2.0 * math.log(2.0))) / step_mm
    image = gaussian_filter(true, sigma, truncate=5.0)
    image *= 1.0 + 0.04 * np.random.default_rng(1).standard_normal(image.shape)
    assert edge_fwhm_mm(image, fractions, (0, 1), (step_mm,) * 3) == pytest.approx(fwhm_mm, abs=0.5)
