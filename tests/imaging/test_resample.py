"""Resampling: identity, conservation, area averages."""

from __future__ import annotations

import numpy as np
import pytest
from torso_images import FRAME, centred_grid, rigid

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import ActivityMap, DensityMap
from pipeline.domain.regions import Region, Segmentation
from pipeline.errors import RefusalError
from pipeline.imaging.averaging import average_to_grid, overlap_matrix, region_fractions
from pipeline.imaging.convert import from_sitk, to_sitk
from pipeline.imaging.resample import coverage, density_on_grid, labels_on_grid, resample_activity

TILTED = Grid((4, 5, 6), rigid((10.0, -20.0, 30.0), (5.0, -7.0, 11.0)) @ np.diag([3.0, 2.0, 1.5, 1.0]), FRAME)


def _blob(grid, centre_mm, sigma_mm):
    points = grid.to_lps_mm(np.argwhere(np.ones(grid.shape, bool))).reshape(*grid.shape, 3)
    return np.exp(-0.5 * ((points - np.asarray(centre_mm)) ** 2).sum(axis=-1) / sigma_mm**2)


def _total_bq(activity):
    return float(np.sum(activity.activity_bq_per_ml, dtype=np.float64)) * activity.grid.voxel_volume_ml


def test_conversion_keeps_every_voxel_where_it_is():
    values = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    image = to_sitk(values, TILTED)
    np.testing.assert_allclose(
        image.TransformIndexToPhysicalPoint((5, 2, 3)), TILTED.to_lps_mm([3, 2, 5]), atol=1e-9
    )  # (column, row, slice) against (slice, row, column)
    assert image.GetPixel(5, 2, 3) == values[3, 2, 5]
    back, grid = from_sitk(image, FRAME)
    np.testing.assert_array_equal(back, values)
    grid.require_same(TILTED)


def test_identity_on_the_same_lattice_changes_no_bit():
    grid = centred_grid((12, 14, 16), (4.8, 4.8, 4.8))
    values = np.random.default_rng(0).normal(100.0, 50.0, grid.shape).astype(np.float32)
    moved = resample_activity(ActivityMap(grid, values), Grid(grid.shape, grid.affine_mm, "another"), np.eye(4))
    np.testing.assert_array_equal(moved.activity_bq_per_ml, values)
    assert moved.grid.frame_of_reference_uid == "another"


def test_activity_is_conserved_and_lands_where_the_transform_says():
    source = centred_grid((40, 48, 48), (4.8, 4.8, 4.8))
    target = centred_grid((44, 50, 46), (4.6, 4.6, 4.6), "target")
    activity = ActivityMap(source, 1e5 * _blob(source, (10.0, -20.0, 5.0), 10.0))
    target_to_source = rigid((3.0, -4.0, 2.0), (6.3, -4.1, 8.7))
    moved = resample_activity(activity, target, target_to_source)
    # The blob lies well inside both fields of view: the renormalisation conserves its total to rounding.
    assert _total_bq(moved) == pytest.approx(_total_bq(activity), rel=1e-6)
    expected = np.linalg.inv(target_to_source) @ [10.0, -20.0, 5.0, 1.0]
    weights = np.asarray(moved.activity_bq_per_ml)
    points = target.to_lps_mm(np.argwhere(weights > -1)).reshape(*target.shape, 3)
    centroid = np.tensordot(weights, points, 3) / weights.sum()
    np.testing.assert_allclose(centroid, expected[:3], atol=0.01)  # mm; a half-voxel slip would be 2.4


def test_a_body_cut_by_the_field_of_view_keeps_its_concentration():
    """A uniform column that leaves both fields of view stays at its value: edges do not enter the factor."""
    grid = centred_grid((30, 32, 32), (4.8, 4.8, 4.8))
    values = np.zeros(grid.shape)
    values[:, 8:24, 8:24] = 1000.0
    moved = resample_activity(ActivityMap(grid, values), grid, rigid((0, 0, 0), (0.0, 0.0, 7.0)))
    inner = np.asarray(moved.activity_bq_per_ml)[2:28, 12:20, 12:20]
    np.testing.assert_allclose(inner, 1000.0, rtol=1e-3)


def test_undershoot_is_cut_only_where_the_source_is_not_negative():
    grid = centred_grid((16, 16, 16), (4.8, 4.8, 4.8))
    values = np.zeros(grid.shape)
    values[4:7, 4:7, 4:7] = 1000.0
    shift = rigid((0, 0, 0), (2.0, 1.0, 0.5))
    assert np.asarray(resample_activity(ActivityMap(grid, values), grid, shift).activity_bq_per_ml).min() == 0.0
    values[12, 12, 12] = -300.0
    moved = np.asarray(resample_activity(ActivityMap(grid, values), grid, shift).activity_bq_per_ml)
    assert moved[10:, 10:, 10:].min() < -50.0
    assert moved[:9, :9, :9].min() == 0.0


def test_outside_the_source_nothing_was_measured():
    grid = centred_grid((10, 12, 14), (5.0, 5.0, 5.0))
    seen = coverage(grid, grid, rigid((0, 0, 0), (0.0, 0.0, 10.0)))
    np.testing.assert_array_equal(seen.sum(axis=(1, 2)) > 0, [True] * 8 + [False] * 2)
    with pytest.raises(RefusalError, match="REGISTRATION_NO_OVERLAP"):
        resample_activity(ActivityMap(grid, np.ones(grid.shape)), grid, rigid((0, 0, 0), (0.0, 0.0, 500.0)))


def test_overlap_matrix_of_a_known_case():
    # Source voxels [-0.5, 0.5), [0.5, 1.5), ...; target voxel 0 is 1.5 wide about 0.25: [-0.5, 1.0).
    np.testing.assert_allclose(overlap_matrix(3, 1, 1.5, 0.25), [[1.0 / 1.5, 0.5 / 1.5, 0.0]], atol=1e-12)


@pytest.mark.parametrize("mirrored", [False, True])
def test_block_average_is_the_block_mean(mirrored):
    source = centred_grid((8, 12, 16), (2.0, 1.5, 1.0))
    target = centred_grid((4, 6, 8), (4.0, 3.0, 2.0))
    if mirrored:
        affine = target.affine_mm @ np.diag([-1.0, 1.0, -1.0, 1.0])
        affine[:3, 3] = target.to_lps_mm([3, 0, 7])
        target = Grid(target.shape, affine, FRAME)
    values = np.random.default_rng(1).uniform(0.0, 2.0, source.shape)
    expected = values.reshape(4, 2, 6, 2, 8, 2).mean(axis=(1, 3, 5))
    if mirrored:
        expected = expected[::-1, :, ::-1]
    np.testing.assert_allclose(average_to_grid(values, source, target, 0.0), expected, rtol=1e-6)


def test_average_on_a_rotated_grid_keeps_a_smooth_map():
    source = centred_grid((40, 40, 40), (2.0, 2.0, 2.0))
    target = Grid((12, 12, 12), rigid((0, 0, 20), (-22, -22, -22)) @ np.diag([4.0, 4.0, 4.0, 1.0]), FRAME)
    ramp = np.broadcast_to(np.arange(40.0)[:, None, None], source.shape)
    averaged = average_to_grid(ramp, source, target, 0.0)
    centres = target.to_lps_mm(np.argwhere(np.ones(target.shape, bool))).reshape(*target.shape, 3)
    expected = source.to_index(centres)[..., 0]
    inner = (expected > 5) & (expected < 34)
    np.testing.assert_allclose(averaged[inner], expected[inner], atol=0.02)


def test_density_conserves_mass_and_is_air_outside():
    source = centred_grid((20, 40, 40), (3.0, 1.1, 1.1))
    target = centred_grid((20, 20, 20), (4.8, 4.8, 4.8))
    values = np.random.default_rng(2).uniform(0.3, 1.2, source.shape).astype(np.float32)
    density = density_on_grid(DensityMap(source, values), target)
    mass_g = float(np.sum(values, dtype=np.float64)) * source.voxel_volume_ml
    outside_ml = np.prod(target.shape) * target.voxel_volume_ml - np.prod(source.shape) * source.voxel_volume_ml
    found_g = float(np.sum(density.density_g_per_cm3, dtype=np.float64)) * target.voxel_volume_ml
    assert found_g == pytest.approx(mass_g + outside_ml * 1.205e-3, rel=1e-5)
    assert float(density.density_g_per_cm3[0, 0, 0]) == pytest.approx(1.205e-3, rel=1e-4)


def _two_regions():
    grid = centred_grid((20, 30, 30), (2.0, 1.7, 1.7))
    label = np.zeros(grid.shape, dtype=np.int16)
    label[4:12, 5:20, 6:21] = 1
    label[12:16, 5:20, 6:21] = 2
    regions = (
        Region(1, "liver", None, "organ", "test"),
        Region(2, "spleen", None, "organ", "test"),
        Region(3, "lesion-1", None, "lesion", "test"),
    )
    return Segmentation(grid, label, regions, "test")


def test_region_fractions_conserve_volume_and_stay_disjoint():
    segmentation = _two_regions()
    target = centred_grid((16, 20, 20), (4.8, 4.8, 4.8))
    fractions = region_fractions(segmentation, target)
    assert fractions.shape == (3, 16, 20, 20)
    for region, fraction in zip(segmentation.regions, fractions, strict=True):
        volume_ml = segmentation.mask(region).sum() * segmentation.grid.voxel_volume_ml
        assert fraction.sum(dtype=np.float64) * target.voxel_volume_ml == pytest.approx(volume_ml, rel=1e-5, abs=1e-9)
    assert fractions.sum(axis=0).max() <= 1.0 + 1e-6
    labels = labels_on_grid(segmentation, target)
    assert set(np.unique(labels)) == {0, 1, 2}
