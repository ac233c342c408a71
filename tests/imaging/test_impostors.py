"""What is not a kidney must not pass for one: place, fat around it, likeness to the other one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from torso_images import _ellipsoid, _own, centred_grid, draw_torso, draw_uptake

from pipeline.domain.maps import ActivityMap, DensityMap, HounsfieldMap
from pipeline.imaging.blurred_sphere import FWHM_PER_SIGMA
from pipeline.imaging.impostors import fat_around, impostor_doubts
from pipeline.imaging.organs import Organ
from pipeline.imaging.segment import segment
from pipeline.imaging.torso import Torso

CT_GRID = centred_grid((64, 86, 92), (4.6, 4.2, 4.2))
SPECT_GRID = centred_grid((62, 76, 80), (4.8, 4.8, 4.8))
FWHM_MM = 12.0


def _with_bowel(other_kidney, centre_mm, level_kbq_per_ml, semi_axes_mm=(25.0, 25.0, 51.0)):
    """One kidney, and a loop of bowel of 133 mL (40 HU) on the other side."""
    hu = np.array(draw_torso(CT_GRID, kidneys=(other_kidney,)).ct_number_hu)
    hu[_ellipsoid(_own(CT_GRID, None), centre_mm, semi_axes_mm)] = 40
    loop = 1000.0 * level_kbq_per_ml * _ellipsoid(_own(SPECT_GRID, None), centre_mm, semi_axes_mm)
    blurred = ndimage.gaussian_filter(loop, FWHM_MM / FWHM_PER_SIGMA / 4.8)
    uptake = draw_uptake(SPECT_GRID, kidneys=(other_kidney,)).activity_bq_per_ml + blurred
    ct = HounsfieldMap(CT_GRID, hu)
    density = DensityMap(CT_GRID, np.clip(1.0 + hu / 1000.0, 0.0, None).astype(np.float32))
    return segment(ct, density, ActivityMap(SPECT_GRID, uptake.astype(np.float32)), fwhm_mm=FWHM_MM)


@pytest.mark.parametrize(
    ("side", "other", "centre_mm", "level"),
    [("left", "right", (66.0, 22.0, -30.0), 70.0), ("right", "left", (-66.0, 22.0, -30.0), 100.0)],
)
def test_a_hot_loop_of_bowel_does_not_pass_for_a_missing_kidney(side, other, centre_mm, level):
    """Either no kidney is found there or a BLOCK says that it may be none (once a kidney of 137 mL, only a WARN)."""
    result = _with_bowel(other, centre_mm, level)
    blocked = [f.text for f in result.flags if f.level == "BLOCK" and f.region in (f"kidney_{side}", "kidney")]
    assert any("not found" in text or "front of the spine" in text for text in blocked)


GRID = centred_grid((60, 50, 80), (4.0, 4.0, 4.0))


def _ball(lateral_mm, depth_mm, z_mm, more_mm=0.0):
    x, y, z = _own(GRID, None)
    return _ellipsoid((x, y, z), (lateral_mm, depth_mm, z_mm), [s + more_mm for s in (27.0, 24.0, 50.0)])


def _torso(fat):
    everywhere, spine = np.ones(GRID.shape, dtype=bool), np.zeros(GRID.shape[0])
    hu = np.where(fat, -100.0, 40.0).astype(np.float32)
    values = np.ones(GRID.shape, dtype=np.float32)
    box = tuple(slice(0, n) for n in GRID.shape)
    return Torso(GRID, box, hu, values, values, everywhere, everywhere & ~fat, ~everywhere, spine, spine)


NONE = np.zeros(GRID.shape, dtype=bool)
LEFT_MM, RIGHT_MM = (62.0, 5.0, 10.0), (-60.0, 5.0, -10.0)


def _reasons(left_mm=LEFT_MM, left_level=100.0, right_mm=RIGHT_MM):
    """Texts about a left kidney beside a right one of 100 Bq/mL, both in 12 mm of fat."""
    masks = {"left": _ball(*left_mm), "right": _ball(*right_mm)}
    torso = _torso((_ball(*left_mm, 12.0) | _ball(*right_mm, 12.0)) & ~masks["left"] & ~masks["right"])
    kidneys = {"left": Organ(masks["left"], left_level), "right": Organ(masks["right"], 100.0)}
    flags = impostor_doubts(torso, kidneys, NONE)
    assert {(flag.code, flag.level) for flag in flags} <= {("CONTOUR_DOUBTFUL", "BLOCK")}
    return [f"{flag.region}: {flag.text}" for flag in flags]


def test_two_ordinary_kidneys_raise_nothing():
    assert _reasons() == []


@pytest.mark.parametrize(
    ("left_mm", "level", "words"),
    [
        ((92.0, 5.0, 10.0), 100.0, ["kidney_left: kidney_left: lies 92 mm from the spine"]),
        ((62.0, -14.0, 10.0), 100.0, ["kidney_left: kidney_left: lies -14 mm behind the front"]),
        ((62.0, 28.0, 10.0), 100.0, ["kidney: kidneys: one lies 23 mm before the other"]),
        ((62.0, 5.0, -60.0), 100.0, ["kidney: kidneys: the left one lies -50 mm above"]),
        (LEFT_MM, 70.0, ["kidney: kidneys: left to right uptake 0.70"]),
        (LEFT_MM, 140.0, ["kidney: kidneys: left to right uptake 1.40"]),
    ],
)
def test_each_unlikeness_is_said_alone(left_mm, level, words):
    found = _reasons(left_mm, level)
    assert len(found) == len(words)
    assert all(text.startswith(word) for text, word in zip(found, words, strict=True))


def test_no_fat_around_it_blocks_unless_an_organ_is_there():
    """Fat around the lower part only: about a third of the layer; with a spleen on the upper part, all that is left."""
    mask = _ball(*LEFT_MM)
    z = _own(GRID, None)[2]
    torso = _torso(_ball(*LEFT_MM, 12.0) & ~mask & (z < -5.0))
    spleen = np.broadcast_to(z > -5.0, GRID.shape) & ~mask
    assert 0.25 < fat_around(torso, mask, NONE) < 0.4
    assert fat_around(torso, mask, spleen) > 0.9
    (flag,) = impostor_doubts(torso, {"left": Organ(mask, 100.0)}, NONE)
    assert (flag.code, flag.level, flag.region) == ("CONTOUR_DOUBTFUL", "BLOCK", "kidney_left")
    assert "fat" in flag.text
    assert impostor_doubts(torso, {"left": Organ(mask, 100.0)}, spleen) == ()


def test_gas_is_not_fat():
    """The same layer at -700 HU, as in bowel."""
    mask = _ball(*LEFT_MM)
    torso = _torso(_ball(*LEFT_MM, 12.0) & ~mask)
    assert fat_around(torso, mask, NONE) > 0.9
    assert fat_around(replace(torso, hu=np.where(torso.soft, 40.0, -700.0).astype(np.float32)), mask, NONE) == 0.0
