"""Small volumes of interest: where the spheres lie and what they measure."""

from __future__ import annotations

import numpy as np
import pytest
from torso_images import centred_grid

from pipeline.domain.maps import ActivityMap
from pipeline.domain.regions import Region, Segmentation
from pipeline.imaging.small_voi import RADIUS_MM, place_small_vois

GRID = centred_grid((60, 40, 40), (2.4, 2.4, 2.4))
KIDNEY = Region(1, "kidney", "left", "organ", "test")
LESION = Region(2, "lesion-1", None, "lesion", "test")
SEMI_AXES_MM = (27.0, 24.0, 55.0)


def _points():
    return GRID.to_lps_mm(np.argwhere(np.ones(GRID.shape, bool))).reshape(*GRID.shape, 3)


def _kidney():
    return ((_points() / SEMI_AXES_MM) ** 2).sum(axis=-1) < 1.0


def _segmentation(lesion=None):
    label = _kidney().astype(np.int16)
    if lesion is None:
        return Segmentation(GRID, label, (KIDNEY,), "test")
    label[lesion] = 2
    return Segmentation(GRID, label, (KIDNEY, LESION), "test")


def test_three_spheres_of_4_ml_inside_the_kidney_and_apart():
    values = np.where(_kidney(), 1000.0, 0.0)
    vois = place_small_vois(_segmentation(), KIDNEY, ActivityMap(GRID, values))
    assert [v.third for v in vois] == ["lower", "middle", "upper"]
    assert 4.0 / 3.0 * np.pi * RADIUS_MM**3 == pytest.approx(4000.0)  # mm3
    centres = np.asarray([v.centre_lps_mm for v in vois])
    assert np.linalg.norm(np.diff(centres, axis=0), axis=1).min() >= 2.0 * RADIUS_MM
    # Inside: a kidney that is uniform is measured as it is.
    np.testing.assert_allclose([v.mean_bq_per_ml for v in vois], 1000.0, rtol=1e-6)


def test_noise_does_not_bias_the_value_upward():
    """Mean of 20 noisy images within 2 % of the truth (noise 15 %); a search for maxima would be well above."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        values = np.where(_kidney(), 1000.0, 0.0) * (1.0 + 0.15 * rng.standard_normal(GRID.shape))
        found.append(
            np.median([v.mean_bq_per_ml for v in place_small_vois(_segmentation(), KIDNEY, ActivityMap(GRID, values))])
        )
    assert np.mean(found) == pytest.approx(1000.0, rel=0.02)


def test_spheres_stay_10_mm_away_from_a_lesion():
    lesion = np.linalg.norm(_points() - [0.0, 0.0, 45.0], axis=-1) < 8.0
    values = np.where(_kidney(), 1000.0, 0.0)
    vois = place_small_vois(_segmentation(lesion), KIDNEY, ActivityMap(GRID, values))
    lesion_mm = _points()[lesion]
    for voi in vois:
        gap_mm = np.linalg.norm(lesion_mm - np.asarray(voi.centre_lps_mm), axis=1).min() - RADIUS_MM
        assert gap_mm > 10.0


def test_a_kidney_too_small_for_a_sphere_gives_none():
    tiny = Segmentation(GRID, (np.linalg.norm(_points(), axis=-1) < 8.0).astype(np.int16), (KIDNEY,), "test")
    assert place_small_vois(tiny, KIDNEY, ActivityMap(GRID, np.ones(GRID.shape))) == ()
