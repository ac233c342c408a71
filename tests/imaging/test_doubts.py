"""Which automatic contours a person must look at."""

from __future__ import annotations

import numpy as np
import pytest
from torso_images import centred_grid

from pipeline.imaging.doubts import kidney_doubts, lesion_doubts, spleen_doubts, touch_doubts, unexplained_doubts
from pipeline.imaging.organs import Organ
from pipeline.imaging.torso import Torso

GRID = centred_grid((60, 40, 80), (4.0, 4.0, 4.0))


def _point():
    return np.meshgrid(*(np.arange(n) * 4.0 for n in GRID.shape), indexing="ij")


def _ball(z, y, x, semi=(50.0, 24.0, 27.0)):
    return sum(((p - c) / a) ** 2 for p, c, a in zip(_point(), (z, y, x), semi, strict=True)) < 1.0


def _torso(activity):
    everywhere, spine = np.ones(GRID.shape, dtype=bool), np.zeros(GRID.shape[0])
    values = np.asarray(activity, dtype=np.float32)
    hu = np.zeros(GRID.shape, dtype=np.float32)
    box = tuple(slice(0, n) for n in GRID.shape)
    return Torso(GRID, box, hu, values, values, everywhere, everywhere, ~everywhere, spine, spine)


LEFT, RIGHT = _ball(120.0, 80.0, 220.0), _ball(120.0, 80.0, 90.0)
BESIDE = _ball(190.0, 80.0, 250.0, (40.0, 30.0, 25.0)) & ~LEFT
TORSO = _torso(np.ones(GRID.shape))


def _found(flags):
    return {(flag.code, flag.level, flag.region) for flag in flags}


def test_ordinary_kidneys_raise_nothing():
    """136 mL each."""
    assert kidney_doubts(TORSO, {"left": Organ(LEFT, 100.0), "right": Organ(RIGHT, 100.0)}) == ()


def test_a_kidney_with_the_spleen_in_it_blocks():
    """About twice the other one, and not convex: what was once only a warning."""
    found = _found(kidney_doubts(TORSO, {"left": Organ(LEFT | BESIDE, 100.0), "right": Organ(RIGHT, 100.0)}))
    assert ("CONTOUR_DOUBTFUL", "BLOCK", "kidney") in found


@pytest.mark.parametrize("semi", [(40.0, 20.0, 20.0), (75.0, 34.0, 36.0)])
def test_a_volume_outside_the_usual_range_blocks(semi):
    """67 and 385 mL; 100 to 300 mL are usual."""
    found = _found(kidney_doubts(TORSO, {"left": Organ(_ball(120.0, 80.0, 220.0, semi), 100.0)}))
    assert ("CONTOUR_DOUBTFUL", "BLOCK", "kidney_left") in found


def test_a_hollow_kidney_blocks():
    hollow = LEFT & ~_ball(120.0, 80.0, 200.0, (40.0, 18.0, 30.0))
    texts = [f.text for f in kidney_doubts(TORSO, {"left": Organ(hollow, 100.0)}) if f.level == "BLOCK"]
    assert any("convex hull" in text for text in texts)


@pytest.mark.parametrize(
    ("waist", "level", "expected"), [(None, 100.0, "BLOCK"), (0.35, 100.0, "WARN"), (None, 160.0, "WARN")]
)
def test_touching_without_a_border_blocks(waist, level, expected):
    """A quarter of the surface touches; a narrow waist or a step in uptake shows where the border is."""
    half = LEFT & (np.arange(GRID.shape[0]) < 34)[:, None, None]
    other = LEFT & ~half
    flags = touch_doubts(TORSO, "kidney_left", Organ(half, 100.0, waist), {"spleen": Organ(other, level)})
    assert _found(flags) == {("ORGANS_TOUCH", expected, "kidney_left")}


def test_apart_is_not_touching():
    assert touch_doubts(TORSO, "kidney_left", Organ(LEFT, 100.0), {"liver": Organ(RIGHT, 100.0)}) == ()


def test_a_spleen_cooler_than_the_liver_blocks():
    liver = Organ(RIGHT, 100.0)
    assert _found(spleen_doubts(Organ(LEFT, 80.0), liver)) == {("CONTOUR_DOUBTFUL", "BLOCK", "spleen")}
    assert spleen_doubts(Organ(LEFT, 130.0), liver) == ()
    assert spleen_doubts(None, liver) == ()


@pytest.mark.parametrize(("hot", "expected"), [(4.0, set()), (30.0, {"WARN"}), (200.0, {"BLOCK"})])
def test_hot_tissue_in_no_region(hot, expected):
    """A 2 mL ball, 60 mm away from every region: shares of 0 (not hot), 2.4 and 14 % of the activity in the field."""
    ball = _ball(60.0, 80.0, 290.0, (8.0, 8.0, 8.0))
    flags = unexplained_doubts(_torso(np.where(ball, hot, 0.1) + np.where(LEFT, 10.0, 0.0)), LEFT, 5.0)
    assert {flag.level for flag in flags if flag.code == "UPTAKE_UNEXPLAINED"} == expected


def test_lesions_outside_liver_and_bone_are_to_be_confirmed():
    assert _found(lesion_doubts(["lesion-2"])) == {("LESION_UNCONFIRMED", "WARN", "lesion-2")}
