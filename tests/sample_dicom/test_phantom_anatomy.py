"""The drawn adult against ICRP 89, and where things lie."""

from __future__ import annotations

import numpy as np
import pytest

from sample_dicom import anatomy, tissues
from sample_dicom.scene import Motion, centred_grid, draw
from sample_dicom.shapes import rotation


@pytest.fixture(scope="module", params=[(1, 2.4), (2, 2.4), (7, 4.8)], ids=lambda p: f"seed{p[0]}-{p[1]}mm")
def drawn(request):
    seed, spacing = request.param
    scene = anatomy.adult(seed, finest_voxel_mm=spacing)
    grid = centred_grid((round(432 / spacing), 128 if spacing > 4 else 160, 128 if spacing > 4 else 160), spacing, "")
    labels = draw(scene, grid)
    return scene, grid, labels, np.bincount(labels.ravel(), minlength=256) * grid.voxel_volume_ml


def test_organ_masses_are_those_of_icrp_89(drawn):
    """ICRP 89 Table 2.8: liver 1800 g, kidneys 310 g, spleen 150 g; patients vary by 5 %, voxels by 1.5 %."""
    scene, _, _, volume = drawn
    mass = volume * scene.density_by_label
    kidneys = mass[[*anatomy.KIDNEY_LABELS["left"], *anatomy.KIDNEY_LABELS["right"]]].sum()
    liver_lesions = [anatomy.FIRST_LESION + i for i in range(4)]
    assert kidneys == pytest.approx(310.0, rel=0.065)
    assert mass[[anatomy.LIVER, *liver_lesions]].sum() == pytest.approx(1800.0, rel=0.065)
    assert mass[anatomy.SPLEEN] == pytest.approx(150.0, rel=0.065)


def test_lesions_have_the_volumes_they_are_named_for(drawn):
    """30, 12, 6, 2.5 mL in the liver, 4 mL in L3; a sphere of 23 voxels of 4.8 mm is right within 15 %."""
    _, grid, _, volume = drawn
    wanted = np.array([*anatomy.LIVER_LESIONS_ML, anatomy.BONE_LESION_ML])
    drawn_ml = volume[anatomy.FIRST_LESION : anatomy.FIRST_LESION + 5]
    assert drawn_ml == pytest.approx(wanted, rel=0.15 if grid.spacing_mm[0] > 4 else 0.05)


def test_liver_right_spleen_left_kidneys_on_their_sides(drawn):
    """LPS: the patient's left is +x."""
    _, grid, labels, _ = drawn

    def x_mm(*parts: int) -> float:
        return float(grid.to_lps_mm(np.argwhere(np.isin(labels, parts)).mean(axis=0))[0])

    assert x_mm(anatomy.LIVER) < -40.0
    assert x_mm(anatomy.SPLEEN) > 80.0
    assert x_mm(*anatomy.KIDNEY_LABELS["left"]) > 50.0
    assert x_mm(*anatomy.KIDNEY_LABELS["right"]) < -50.0


def test_kidneys_lie_in_fat(drawn):
    """The voxel next to a kidney is fat on nearly every side, so that CT shows the border."""
    _, _, labels, _ = drawn
    kidney = np.isin(labels, [*anatomy.KIDNEY_LABELS["left"], *anatomy.KIDNEY_LABELS["right"]])
    rim = np.zeros_like(kidney)
    for axis in range(3):
        for step in (-1, 1):
            rim |= np.roll(kidney, step, axis=axis)
    around = labels[rim & ~kidney]
    assert np.mean(around == anatomy.VISCERAL_FAT) > 0.9


def test_a_moved_drawing_is_the_drawing_moved():
    """Turned and shifted, the hottest anatomy arrives where the rigid motion says: centroid within 0.2 mm."""
    scene = anatomy.adult(1, finest_voxel_mm=2.4)
    grid = centred_grid((180, 160, 160), 2.4, "")
    motion = Motion((5.0, -3.0, 4.0), rotation((1.0, -0.5, 1.0)))
    for part in (anatomy.SPLEEN, anatomy.FIRST_LESION):
        at_rest, moved = (
            grid.to_lps_mm(np.argwhere(draw(scene, grid, m) == part).mean(axis=0)) for m in (Motion(), motion)
        )
        assert moved == pytest.approx(motion.turn @ at_rest + np.array(motion.shift_mm), abs=0.2)


def test_every_tissue_has_an_integer_hu_that_gives_its_density_back():
    """The CT stores integers; densities are chosen so that the site's curve inverts them exactly (1e-12)."""
    for tissue in anatomy.TISSUES.values():
        hu = tissues.hu_of_density(tissue.density_g_per_cm3)
        assert abs(hu - np.rint(hu)) < 1e-6
        assert tissues.density_of_hu(np.rint(hu)) == pytest.approx(tissue.density_g_per_cm3, rel=1e-12)
    nodes = np.array(tissues.DENSITY_CURVE)
    assert tissues.density_of_hu(nodes[:, 0]) == pytest.approx(nodes[:, 1], rel=1e-12)
