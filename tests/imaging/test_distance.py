"""Distances and grown masks against SciPy's exact transform."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pipeline.imaging.distance import bounding_box, depth_inside, distance_to, grown, shrunk

SPACING_MM = (4.4, 2.4, 1.9)


@pytest.fixture(scope="module")
def blobs():
    """Smooth random blobs, some cut by the array's end."""
    noise = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(24, 40, 44)), (2, 4, 5))
    return noise > 0.4 * noise.std()


def test_distances_are_exact(blobs):
    """To 1e-4 mm (float32)."""
    outside = ndimage.distance_transform_edt(~blobs, sampling=SPACING_MM)
    np.testing.assert_allclose(distance_to(blobs, SPACING_MM), outside, atol=1e-4)
    inside = ndimage.distance_transform_edt(np.pad(blobs, 1), sampling=SPACING_MM)[1:-1, 1:-1, 1:-1]
    np.testing.assert_allclose(depth_inside(blobs, SPACING_MM), inside, atol=1e-4)


@pytest.mark.parametrize("radius_mm", [2.4, 3.5, 8.0])
def test_grown_and_shrunk_are_those_of_the_whole_array(blobs, radius_mm):
    part = blobs & (np.arange(44) < 20)
    outside = ndimage.distance_transform_edt(~part, sampling=SPACING_MM)
    np.testing.assert_array_equal(grown(part, radius_mm, SPACING_MM), outside <= radius_mm + 1e-3)
    inside = ndimage.distance_transform_edt(np.pad(part, 1), sampling=SPACING_MM)[1:-1, 1:-1, 1:-1]
    np.testing.assert_array_equal(shrunk(part, radius_mm, SPACING_MM), inside > radius_mm + 1e-3)


def test_nothing_stays_nothing():
    nothing = np.zeros((4, 5, 6), dtype=bool)
    assert not grown(nothing, 5.0, SPACING_MM).any()
    assert not depth_inside(nothing, SPACING_MM).any()


def test_box_with_a_margin_stays_inside_the_array():
    mask = np.zeros((10, 10, 10), dtype=bool)
    mask[1, 4:6, 9] = True
    assert bounding_box(mask, (2, 1, 3)) == (slice(0, 4), slice(3, 7), slice(6, 10))
