"""Automatic regions on the synthetic torso: volumes known from its formulas."""

from __future__ import annotations

import numpy as np
import pytest
from torso_images import (
    KIDNEY_MM,
    KIDNEY_SEMI_AXES_MM,
    LESION_MM,
    LESION_RADIUS_MM,
    LIVER_SEMI_AXES_MM,
    SPLEEN_MM,
    SPLEEN_SEMI_AXES_MM,
    centred_grid,
    draw_torso,
    draw_uptake,
    ellipsoid_ml,
    rigid,
)

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import DensityMap, HounsfieldMap
from pipeline.imaging.segment import segment
from pipeline.imaging.torso import contour_grid

CT_GRID = centred_grid((64, 86, 92), (4.6, 4.2, 4.2))
SPECT_GRID = centred_grid((62, 76, 80), (4.8, 4.8, 4.8))


def _density(ct):
    return DensityMap(ct.grid, np.clip(1.0 + np.asarray(ct.ct_number_hu) / 1000.0, 0.0, None).astype(np.float32))


def _segmented(pose=None, *, kidneys=("left", "right"), lesion=True, spleen_mm=SPLEEN_MM):
    ct = draw_torso(CT_GRID, pose, noise_hu=15.0, kidneys=kidneys, spleen_mm=spleen_mm)
    uptake = draw_uptake(SPECT_GRID, pose, kidneys=kidneys, lesion=lesion, spleen_mm=spleen_mm)
    return segment(ct, _density(ct), uptake, fwhm_mm=12.5)


def _volume_ml(result, key):
    region = next(r for r in result.segmentation.regions if r.key == key)
    return np.count_nonzero(result.segmentation.mask(region)) * result.segmentation.grid.voxel_volume_ml


def _centre_mm(result, key):
    region = next(r for r in result.segmentation.regions if r.key == key)
    return result.segmentation.grid.to_lps_mm(np.argwhere(result.segmentation.mask(region))).mean(axis=0)


@pytest.fixture(scope="module")
def upright():
    return _segmented()


@pytest.mark.parametrize("key", ["kidney_left", "kidney_right"])
def test_kidney_volume_and_place(upright, key):
    """Within 5 % and 2 mm of the ellipsoid that was drawn (voxels of 81 mm3, 161 mL)."""
    assert _volume_ml(upright, key) == pytest.approx(ellipsoid_ml(KIDNEY_SEMI_AXES_MM), rel=0.05)
    np.testing.assert_allclose(_centre_mm(upright, key), KIDNEY_MM[key.removeprefix("kidney_")], atol=2.0)


def test_liver_and_spleen_volume(upright):
    lesion_ml = ellipsoid_ml((LESION_RADIUS_MM,) * 3)
    # Kidney fat cuts a little out of the liver's ellipsoid: 10 %.
    assert _volume_ml(upright, "liver") + lesion_ml == pytest.approx(ellipsoid_ml(LIVER_SEMI_AXES_MM), rel=0.10)
    assert _volume_ml(upright, "spleen") == pytest.approx(ellipsoid_ml(SPLEEN_SEMI_AXES_MM), rel=0.10)


def test_lesion_of_20_ml(upright):
    """Volume within 30 % of the sphere (aim for lesions of 10 mL and more), hosted by the liver, the only one."""
    lesions = [r for r in upright.segmentation.regions if r.kind == "lesion"]
    assert [(r.key, r.host) for r in lesions] == [("lesion-1", "liver")]
    assert _volume_ml(upright, "lesion-1") == pytest.approx(ellipsoid_ml((LESION_RADIUS_MM,) * 3), rel=0.30)
    np.testing.assert_allclose(_centre_mm(upright, "lesion-1"), LESION_MM, atol=3.0)


def test_what_is_not_there_is_flagged_and_not_guessed(upright):
    """No aorta is drawn; the spine is."""
    assert ("REGION_NOT_FOUND", "WARN", "aorta") in {(f.code, f.level, f.region) for f in upright.flags}
    assert not [f for f in upright.flags if f.level == "BLOCK"]
    assert {f.level for f in _segmented(kidneys=("right",)).flags if f.region == "kidney_left"} == {"BLOCK"}
    assert "aorta" not in {r.name for r in upright.segmentation.regions}
    assert 20.0 < _volume_ml(upright, "marrow") < 300.0
    assert {r.method for r in upright.segmentation.regions} == {"auto-ct-spect-2"}


def test_a_turned_and_shifted_patient_keeps_sides_and_volumes():
    pose = rigid((4.0, -3.0, 7.0), (14.0, -8.0, 6.0))
    result = _segmented(pose)
    for side, centre in KIDNEY_MM.items():
        expected_mm = (pose @ [*centre, 1.0])[:3]
        np.testing.assert_allclose(_centre_mm(result, f"kidney_{side}"), expected_mm, atol=3.0)
        assert _volume_ml(result, f"kidney_{side}") == pytest.approx(ellipsoid_ml(KIDNEY_SEMI_AXES_MM), rel=0.08)


def test_a_spleen_is_not_taken_for_a_missing_left_kidney():
    result = _segmented(kidneys=("right",), lesion=False)
    keys = {r.key for r in result.segmentation.regions}
    assert "kidney_left" not in keys
    assert {"kidney_right", "spleen", "liver"} <= keys
    assert "kidney_left" in {f.region for f in result.flags}
    assert not any(r.kind == "lesion" for r in result.segmentation.regions)


def test_a_spleen_that_lies_on_the_kidney_is_told_apart():
    """No fat between them over 18 mm of shared height: each within 15 % of its ellipsoid (the kidney cuts 5 % off)."""
    result = _segmented(spleen_mm=(85.0, 35.0, 45.0), lesion=False)
    assert _volume_ml(result, "kidney_left") == pytest.approx(ellipsoid_ml(KIDNEY_SEMI_AXES_MM), rel=0.15)
    assert _volume_ml(result, "kidney_right") == pytest.approx(ellipsoid_ml(KIDNEY_SEMI_AXES_MM), rel=0.05)
    assert _volume_ml(result, "spleen") == pytest.approx(ellipsoid_ml(SPLEEN_SEMI_AXES_MM), rel=0.15)
    assert {(f.code, f.region) for f in result.flags} >= {("ORGANS_TOUCH", "kidney_left")}


def test_without_a_body_everything_is_flagged():
    empty = HounsfieldMap(CT_GRID, np.full(CT_GRID.shape, -1000, dtype=np.int16))
    result = segment(empty, _density(empty), draw_uptake(SPECT_GRID))
    assert len(result.flags) == 6
    assert result.segmentation.regions == ()


def test_contour_grid_is_upright_and_keeps_the_lattice():
    upright_ct = centred_grid((10, 20, 30), (3.0, 1.2, 1.2))
    fine = contour_grid(upright_ct)
    assert fine.shape == (10, 10, 15)
    np.testing.assert_allclose(fine.spacing_mm, (3.0, 2.4, 2.4))
    flipped = np.array(upright_ct.affine_mm) @ np.diag([-1.0, 1.0, 1.0, 1.0])
    flipped[:3, 3] = upright_ct.to_lps_mm([9, 0, 0])
    np.testing.assert_allclose(contour_grid(Grid((10, 20, 30), flipped, "f")).affine_mm, fine.affine_mm, atol=1e-9)
