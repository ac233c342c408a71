"""How many lesions a piece of hot tissue is: one whatever its noise, two where the uptake falls between them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from torso_images import centred_grid

from pipeline.imaging.blurred_sphere import FWHM_PER_SIGMA
from pipeline.imaging.doubts import lesions_touch_doubts
from pipeline.imaging.lesions import Host, find_lesions
from pipeline.imaging.saddles import joined
from pipeline.imaging.torso import Torso

FWHM_MM, NOISE, NOISE_FWHM_MM, VOXEL_MM, N = 12.0, 0.10, 5.0, 2.4, 64
LIVER_BQ_PER_ML = 1e5


def _point():
    return [(p - N / 2.0) * VOXEL_MM for p in np.mgrid[:N, :N, :N]]


def _ball(radius_mm, x_mm=0.0):
    z, y, x = _point()
    return z**2 + y**2 + (x - x_mm) ** 2 <= radius_mm**2


def _torso(relative, seed):
    """An image of the uptake (times liver): point spread of 12 mm, noise of 10 % correlated over 5 mm."""
    grid = centred_grid((N, N, N), (VOXEL_MM,) * 3)
    blurred = ndimage.gaussian_filter(relative.astype(float), FWHM_MM / FWHM_PER_SIGMA / VOXEL_MM)
    noise = ndimage.gaussian_filter(
        np.random.default_rng(seed).normal(size=grid.shape), NOISE_FWHM_MM / FWHM_PER_SIGMA / VOXEL_MM
    )
    image = (blurred * (1.0 + NOISE * noise / noise.std()) * LIVER_BQ_PER_ML).astype(np.float32)
    everywhere, spine = np.ones(grid.shape, dtype=bool), np.zeros(N)
    smooth = ndimage.gaussian_filter(image, 4.0 / VOXEL_MM)
    hu = np.full(grid.shape, 50.0, dtype=np.float32)
    return Torso(grid, (slice(0, N),) * 3, hu, image, smooth, everywhere, everywhere, ~everywhere, spine, spine)


def _found(relative, *, seed=0, where=None, rivals=None, background=1.0):
    torso = _torso(relative, seed)
    inside = _ball(72.0) if where is None else where
    host = Host("liver", inside, inside, ~torso.body if rivals is None else rivals, background * LIVER_BQ_PER_ML)
    return torso, find_lesions(torso, host, LIVER_BQ_PER_ML, FWHM_MM, 1.0)


@pytest.mark.parametrize(("radius_mm", "seed"), [(30.0, 0), (30.0, 3), (35.0, 1), (38.0, 2)])
def test_a_large_uniform_lesion_is_one(radius_mm, seed):
    """113, 180 and 230 mL, five times liver: one, its volume within 4 % (once 2 to 6 pieces)."""
    torso, lesions = _found(np.where(_ball(radius_mm), 5.0, 1.0), seed=seed)
    assert len(lesions) == 1
    assert torso.volume_ml(lesions[0].mask) == pytest.approx(4.0 / 3.0 * np.pi * radius_mm**3 / 1000.0, rel=0.04)


@pytest.mark.parametrize("core", [0.3, 1.0])
def test_a_necrotic_lesion_is_one(core):
    """Rim of 10 mm around a cold core, 180 mL: one (once 11 to 13); volume within 10 % of rim and core together."""
    relative = np.where(_ball(0.7 * 35.0), core, np.where(_ball(35.0), 5.0, 1.0))
    torso, lesions = _found(relative)
    assert len(lesions) == 1
    assert torso.volume_ml(lesions[0].mask) == pytest.approx(180.0, rel=0.10)


def test_one_metastasis_of_three_vertebrae_is_one():
    """213 mL in bone: one (once four to five pieces, which turned one bone point into two)."""
    z, y, x = _point()
    shaft = y**2 + x**2
    bone = (np.abs(z) < 76.0) & (shaft < 26.0**2)
    _, lesions = _found(np.where((np.abs(z) < 65.0) & (shaft < 22.0**2), 5.0, 0.3), where=bone, background=0.3)
    assert len(lesions) == 1


@pytest.mark.parametrize(("level", "seed"), [(2.0, 0), (3.0, 1), (5.0, 2), (10.0, 0)])
def test_two_lesions_whose_images_run_together_stay_two(level, seed):
    """Spheres of 14 mL, 5 mm apart, at two to ten times liver: two, each within 25 % of its volume."""
    torso, lesions = _found(np.where(_ball(15.0, -17.5) | _ball(15.0, 17.5), level, 1.0), seed=seed)
    assert [torso.volume_ml(one.mask) for one in lesions] == pytest.approx([14.1, 14.1], rel=0.25)
    assert not (lesions[0].mask & lesions[1].mask).any()


def test_two_lesions_that_touch_are_said_to():
    """Spheres of 14 mL that meet in a point: two, with a warning that they may be one."""
    torso, lesions = _found(np.where(_ball(15.0, -15.0) | _ball(15.0, 15.0), 5.0, 1.0))
    flags = lesions_touch_doubts(torso, {f"lesion-{n}": one.mask for n, one in enumerate(lesions, 1)})
    assert [(flag.code, flag.level, flag.region) for flag in flags] == [("LESIONS_TOUCH", "WARN", "lesion-2")]
    assert "lesion-1" in flags[0].text


def test_lesions_apart_are_not_said_to_touch():
    """20 mm between them."""
    torso, lesions = _found(np.where(_ball(15.0, -25.0) | _ball(15.0, 25.0), 5.0, 1.0))
    assert len(lesions) == 2
    assert lesions_touch_doubts(torso, {"lesion-1": lesions[0].mask, "lesion-2": lesions[1].mask}) == ()


def test_a_hot_organ_beside_a_lesion_is_not_joined_to_it():
    """Spheres of 14 mL that meet in a point, one of them an organ: one lesion, on its own side."""
    organ = _ball(15.0, -15.0)
    torso, lesions = _found(np.where(organ | _ball(15.0, 15.0), 5.0, 1.0), where=_ball(72.0) & ~organ, rivals=organ)
    assert torso.volume_ml(lesions[0].mask) == pytest.approx(14.1, rel=0.15)
    assert (_point()[2][lesions[0].mask] > -VOXEL_MM).all()


def test_a_chain_of_shallow_dips_is_one_territory():
    """Tops 10, 9, 8; passes 9 (kept), 7 (kept, 0.875 of 8), 4 (0.5 of 8: another one). Territory 5 belongs to none."""
    height = np.array([[[10.0, 9.0, 9.0, 7.0, 8.0, 4.0, 8.0, 8.0]]])
    territories = np.array([[[1, 1, 2, 2, 3, 3, 4, 5]]])
    np.testing.assert_array_equal(joined(territories, height, np.array([10.0, 9.0, 8.0, 8.0])), [0, 1, 1, 1, 4])


def test_a_cool_neighbour_outside_a_hot_ones_border_is_its_own():
    """Pass 3.5 of tops 10 and 4: hardly a dip, but below half the hotter one, whose border would leave it out."""
    height = np.array([[[10.0, 3.5, 4.0]]])
    np.testing.assert_array_equal(joined(np.array([[[1, 1, 2]]]), height, np.array([10.0, 4.0])), [0, 1, 2])
