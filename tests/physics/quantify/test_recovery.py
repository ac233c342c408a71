"""Recovery curve, point spread and the geometric transfer matrix, against blurring on a fine grid by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.optimize import curve_fit

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import ActivityMap
from pipeline.domain.therapy import RecoveryCurve
from pipeline.errors import RefusalError
from pipeline.physics.quantification.recovery import (
    FWHM_PER_SIGMA,
    equivalent_fwhm_mm,
    grid_fwhm_mm,
    measured_activity_bq,
    recovered_activities,
    recovery_misfit,
    recovery_relative_sigma,
    sphere_recovery,
    spill_out_map,
    transfer_matrix,
    width_relative_sigma,
)

SPACING = (4.0, 4.0, 4.0)
FINE_MM = 1.0
FACTOR = 4


@pytest.mark.parametrize(
    ("fwhm_mm", "volume_ml", "expected"),
    [
        (12, 4, 0.44),
        (12, 8, 0.54),
        (12, 20, 0.65),
        (12, 150, 0.82),
        (15, 4, 0.33),
        (15, 8, 0.44),
        (15, 20, 0.57),
        (15, 150, 0.77),
    ],
)
def test_recovery_of_blurred_spheres(fwhm_mm: float, volume_ml: float, expected: float) -> None:
    # Clinical specification 3.5, to its printed 0.01.
    assert float(sphere_recovery(volume_ml, fwhm_mm)) == pytest.approx(expected, abs=0.01)


def test_recovery_of_a_sphere_by_blurring() -> None:
    # 20 mL, 12 mm, on a 1 mm grid: staircase border, so 1 %.
    sphere = _ball((40, 40, 40), (3 * 20e3 / (4 * np.pi)) ** (1 / 3), 81)
    blurred = gaussian_filter(sphere, 12.0 / FWHM_PER_SIGMA)
    assert float(sphere_recovery(20.0, 12.0)) == pytest.approx(float((sphere * blurred).sum() / sphere.sum()), rel=0.01)


@pytest.mark.parametrize("fwhm_mm", [8.0, 12.0, 15.0])
def test_width_comes_back_from_a_logistic_fit_to_its_curve(fwhm_mm: float) -> None:
    volumes = np.geomspace(1.0, 100.0, 41)
    logistic, _ = curve_fit(
        lambda v, b, c: 1 - 1 / (1 + (v / b) ** c), volumes, sphere_recovery(volumes, fwhm_mm), (5, 0.6)
    )
    curve = RecoveryCurve(*(float(x) for x in logistic))
    found = equivalent_fwhm_mm(curve)
    assert found == pytest.approx(fwhm_mm, abs=0.1)
    assert recovery_misfit(curve, found) < min(recovery_misfit(curve, found + 0.5), recovery_misfit(curve, found - 0.5))


def test_voxel_averages_are_taken_off_the_width() -> None:
    # Variances: 12 mm -> (12/2.3548)2; two boxes of 4.8 mm -> 2 x 4.82/12.
    expected = FWHM_PER_SIGMA * ((12.0 / FWHM_PER_SIGMA) ** 2 - 2 * 4.8**2 / 12) ** 0.5
    assert grid_fwhm_mm(12.0, (4.8, 4.8, 4.8), 2) == pytest.approx((expected,) * 3)
    assert grid_fwhm_mm(12.0, (4.8, 4.8, 4.8), 0) == pytest.approx((12.0,) * 3)


def test_width_sigma_moves_the_calibration_spheres_by_the_curves_sigma() -> None:
    # By definition, checked by moving the width by one sigma: root mean square over NEMA's spheres from 13 to 37 mm.
    curve = RecoveryCurve(3.2, 0.9, 0.02)
    fwhm, spheres = equivalent_fwhm_mm(curve), np.pi / 6e3 * np.array([13.0, 17.0, 22.0, 28.0, 37.0]) ** 3
    moved = sphere_recovery(spheres, fwhm * (1.0 + width_relative_sigma(curve))) / sphere_recovery(spheres, fwhm) - 1.0
    assert float(np.sqrt(np.mean(moved**2))) == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize("background", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("radius_mm", [12.0, 20.0, 34.0])
def test_a_width_that_is_off_moves_the_corrected_activity_as_stated(radius_mm: float, background: float) -> None:
    # A blurred sphere in a warm body, corrected with the right width and with one that is one sigma too wide.
    curve = RecoveryCurve(3.2, 0.9, 0.05)
    fwhm, spacing = equivalent_fwhm_mm(curve), (FINE_MM * 2,) * 3
    ball = _ball((44, 44, 44), radius_mm, 89).astype(np.float32)[::2, ::2, ::2]
    fractions = np.stack([ball, 1 - ball]).astype(np.float32)
    image = gaussian_filter(ball + background * (1 - ball), fwhm / FWHM_PER_SIGMA / spacing[0])
    measured = np.array([np.sum(row * image) for row in fractions]) * spacing[0] ** 3 / 1e3
    right, wide = (
        recovered_activities(measured[None, :1], measured[1:], fractions, spacing, width)
        for width in (fwhm, fwhm * (1.0 + width_relative_sigma(curve)))
    )
    moved = abs(float(wide.activity_bq[0, 0] / right.activity_bq[0, 0]) - 1.0)
    stated = recovery_relative_sigma(curve, float(right.recovery_coefficient[0, 0]))
    # The small sphere in half its concentration is 21 % off: what surrounds it is changed by the width, too.
    assert stated == pytest.approx(moved, rel=0.25, abs=0.002)


def test_nothing_lost_is_nothing_uncertain() -> None:
    curve = RecoveryCurve(3.2, 0.9, 0.05)
    assert recovery_relative_sigma(curve, 1.0) == 0.0
    assert recovery_relative_sigma(curve, 0.999) < 1e-3
    # spill-in beyond the own loss: the mirror image, on what is held
    assert recovery_relative_sigma(curve, 1.2) == pytest.approx(recovery_relative_sigma(curve, 0.8) * 0.8 / 1.2)


def _ball(centre: tuple[float, ...], radius_mm: float, size: int) -> np.ndarray:
    z, y, x = np.indices((size, size, size))
    return ((((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) * FINE_MM**2) <= radius_mm**2) * 1.0


def _coarse(fine: np.ndarray) -> np.ndarray:
    n = fine.shape[0] // FACTOR
    return fine.reshape(n, FACTOR, n, FACTOR, n, FACTOR).mean(axis=(1, 3, 5))


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spheres of 8 and 33 mL, 42 mm apart, in a warm body: fractions, true activities (Bq), blurred image (Bq/mL)."""
    size = 128
    kidney, lesion = _ball((64, 64, 42), 20.0, size), _ball((64, 64, 84), 12.4, size)
    body = _ball((64, 64, 64), 60.0, size) - kidney - lesion
    regions = np.stack([kidney, lesion, body])
    concentration = np.array([1000.0, 4000.0, 50.0])
    image = gaussian_filter(np.tensordot(concentration, regions, 1), 10.0 / FWHM_PER_SIGMA, mode="constant")
    fractions = np.stack([_coarse(region) for region in regions]).astype(np.float32)
    truth = concentration * regions.sum(axis=(1, 2, 3)) * FINE_MM**3 / 1000.0
    return fractions, truth, _coarse(image)


def test_activities_are_recovered(scene: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    fractions, truth, image = scene
    grid = Grid(image.shape, np.diag([*SPACING, 1.0]), "1.2.3")
    measured = measured_activity_bq(ActivityMap(grid, image), fractions)
    # Uncorrected, the lesion has lost a third and more: the test could not pass without the correction.
    assert measured[1] / truth[1] < 0.65
    found = recovered_activities(measured[None, :2], measured[2:], fractions, SPACING, 10.0)
    # The same model on another grid: 1 % (sampling of the blur at 4 mm).
    np.testing.assert_allclose(found.activity_bq[0], truth[:2], rtol=0.01)
    np.testing.assert_allclose(found.remainder_bq, truth[2:], rtol=0.02)
    np.testing.assert_allclose(found.recovery_coefficient[0], measured[:2] / found.activity_bq[0], rtol=1e-12)


def test_spill_out_is_the_image_of_the_regions_alone(scene: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    fractions, truth, image = scene
    background = spill_out_map(truth[2:], fractions[2:], SPACING, 10.0)
    hot = spill_out_map(truth[:2], fractions[:2], SPACING, 10.0)
    # 2 % of the image's maximum in every voxel.
    np.testing.assert_allclose(hot + background, image, atol=0.02 * image.max())
    assert float(hot.sum()) * 0.064 == pytest.approx(float(truth[:2].sum()), rel=1e-5)


def test_no_recovery_leaves_everything(scene: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    fractions, truth, _ = scene
    found = recovered_activities(truth[None, :2], truth[2:], fractions, SPACING, None)
    np.testing.assert_array_equal(found.activity_bq[0], truth[:2])
    np.testing.assert_array_equal(found.recovery_coefficient[0], 1.0)


@given(st.lists(st.floats(1.0, 1e9), min_size=3, max_size=3))
def test_correction_undoes_the_transfer(activities: list[float]) -> None:
    fractions = np.zeros((3, 8, 8, 16), dtype=np.float32)
    fractions[0, 2:6, 2:6, 2:6] = 1.0
    fractions[1, 3:5, 3:6, 8:11] = 0.5
    fractions[2] = 1.0 - fractions[0] - fractions[1]
    matrix = transfer_matrix(fractions, SPACING, 9.0)
    mixed = matrix @ np.array(activities)
    found = recovered_activities(mixed[None, :2], mixed[2:], fractions, SPACING, 9.0)
    # The 1.5 mL region recovers a fifth of itself only; relative to the largest activity.
    np.testing.assert_allclose(found.activity_bq[0], activities[:2], atol=1e-9 * max(activities))


def test_nothing_is_lost_where_regions_fill_the_field() -> None:
    fractions = np.zeros((2, 6, 6, 12), dtype=np.float32)
    fractions[0, :, :, :5] = 1.0
    fractions[1] = 1.0 - fractions[0]
    np.testing.assert_allclose(transfer_matrix(fractions, SPACING, 10.0).sum(axis=0), 1.0, rtol=1e-6)


def test_an_empty_region_is_refused() -> None:
    fractions = np.zeros((2, 4, 4, 4), dtype=np.float32)
    fractions[1] = 1.0
    with pytest.raises(RefusalError) as refusal:
        transfer_matrix(fractions, SPACING, 10.0)
    assert refusal.value.code == "REGION_EMPTY"


def test_regions_in_one_place_are_refused() -> None:
    fractions = np.zeros((3, 6, 6, 6), dtype=np.float32)
    fractions[0, 2:4] = fractions[1, 2:4] = 0.5
    fractions[2] = 1.0 - fractions[0] - fractions[1]
    with pytest.raises(RefusalError) as refusal:
        recovered_activities(np.ones((1, 2)), np.ones(1), fractions, SPACING, 10.0)
    assert refusal.value.code == "RECOVERY_ILL_CONDITIONED"
