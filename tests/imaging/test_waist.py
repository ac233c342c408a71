"""Two organs in one piece are cut between them; one organ is not cut."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.imaging.candidates import WIDEST_WAIST, solidity
from pipeline.imaging.waist import at_waist

SPACING_MM = (4.8, 4.8, 4.8)


def _ellipsoid(centre_mm, semi_axes_mm, shape=(44, 26, 30)):
    point = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, SPACING_MM, strict=True)), indexing="ij")
    return sum(((p - c) / a) ** 2 for p, c, a in zip(point, centre_mm, semi_axes_mm, strict=True)) < 1.0


KIDNEY = _ellipsoid((70.0, 60.0, 60.0), (54.0, 24.0, 27.0))
# It lies upon the upper pole, further out and behind, and touches it.
SPLEEN = _ellipsoid((132.0, 72.0, 88.0), (44.0, 30.0, 22.0)) & ~KIDNEY


def _cut(mask, uptake=None, seed=0):
    where = np.argwhere(mask)
    noise = np.random.default_rng(seed)
    level = np.ones(len(where)) if uptake is None else uptake[mask]
    return where, at_waist(
        where, 40.0 + noise.normal(0.0, 5.0, len(where)), level * noise.normal(1.0, 0.04, len(where)), SPACING_MM
    )


def test_a_kidney_and_a_spleen_of_equal_uptake_are_cut_by_shape_alone():
    """Each side at least 97 % of one of them, both together everything."""
    where, cut = _cut(KIDNEY | SPLEEN)
    kidney = KIDNEY[tuple(where.T)]
    first = cut.first if kidney[cut.first].mean() > 0.5 else ~cut.first
    assert kidney[first].mean() > 0.97
    assert kidney[~first].mean() < 0.03
    assert cut.waist < WIDEST_WAIST


@pytest.mark.parametrize("organ", [KIDNEY, SPLEEN])
def test_one_organ_is_not_cut(organ):
    """The cut of an ellipsoid in its middle is about as wide as a sphere of half its volume: above 0.6 by far."""
    _, cut = _cut(organ)
    assert cut.waist > 0.75


def test_a_step_in_uptake_narrows_the_waist():
    """One ellipsoid, one half of it twice as hot: the cut is found at the step, and counts as narrow."""
    upper = np.arange(44)[:, None, None] >= 15
    where, cut = _cut(KIDNEY, np.where(upper, 2.0, 1.0) * np.ones(KIDNEY.shape))
    hot = upper[where[:, 0], 0, 0]
    assert max(np.mean(cut.first == hot), np.mean(cut.first != hot)) > 0.99
    assert cut.waist < WIDEST_WAIST


def test_a_small_piece_is_left_whole():
    """Less than twice 20 mL."""
    _, cut = _cut(_ellipsoid((70.0, 60.0, 60.0), (20.0, 20.0, 20.0)))
    assert cut is None


def test_solidity_of_one_and_of_two_organs():
    """An ellipsoid fills its hull (0.9 and more on these voxels), both together do not."""
    assert solidity(np.argwhere(KIDNEY)) > 0.9
    assert solidity(np.argwhere(KIDNEY | SPLEEN)) < 0.85
    assert solidity(np.argwhere(KIDNEY[:1])) == 1.0
