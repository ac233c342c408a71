"""Automatic contours on a real CT with organs drawn by others (TotalSegmentator's example; our uptake and camera).

Set PRRT_PUBLIC_DATA to the folder of the public data (`sample_dicom/public.toml`); without it this is skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import ActivityMap, DensityMap, HounsfieldMap
from pipeline.imaging.segment import segment
from sample_dicom.public import public_file

PUBLIC = os.environ.get("PRRT_PUBLIC_DATA", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PUBLIC, reason="PRRT_PUBLIC_DATA is not set: contours were NOT checked on a public CT"),
]
# Label of TotalSegmentator and uptake in Bq/mL, relative to each other as in sample_dicom/patient15.py.
ORGANS = {"spleen": (1, 1700.0), "kidney_right": (2, 1300.0), "kidney_left": (3, 1300.0), "liver": (5, 650.0)}
REST_BQ_PER_ML = 25.0
FWHM_PER_SIGMA = 2.3548
FWHM_MM, NOISE_FWHM_MM, NOISE = 12.0, 10.0, 0.10


def _volume(name):
    """Array as (slice to the head, row to the back, column to the left) and its affine."""
    image = nibabel.load(public_file(Path(PUBLIC), name))
    flipped = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    return np.ascontiguousarray(np.transpose(np.asarray(image.dataobj), (2, 1, 0))), flipped[:, [2, 1, 0, 3]]


def _uptake(label, hu, spacing_mm):
    values = np.where(hu > -500, REST_BQ_PER_ML, 0.0)
    for number, level in ORGANS.values():
        values[label == number] = level
    blurred = ndimage.gaussian_filter(values, FWHM_MM / FWHM_PER_SIGMA / spacing_mm)
    noise = ndimage.gaussian_filter(
        np.random.default_rng(1).normal(size=hu.shape), NOISE_FWHM_MM / FWHM_PER_SIGMA / spacing_mm
    )
    variance = np.log1p(NOISE**2 * 650.0 / np.maximum(blurred, 20.0))
    return (blurred * np.exp(np.sqrt(variance) * noise / noise.std() - variance / 2.0)).astype(np.float32)


@pytest.fixture(scope="module")
def case():
    hu, affine = _volume("totalsegmentator_example_ct_sm")
    label, _ = _volume("totalsegmentator_example_seg")
    hu = np.clip(hu, -1024, 3000).astype(np.int16)
    ct = HounsfieldMap(Grid(hu.shape, affine, "1.2.3"), hu)
    density = DensityMap(ct.grid, np.clip(1.0 + hu / 1000.0, 0.0, None).astype(np.float32))
    activity = ActivityMap(ct.grid, _uptake(label, hu, ct.grid.spacing_mm[0]))
    return segment(ct, density, activity, fwhm_mm=FWHM_MM), label, ct.grid


def _overlap(case, key):
    """Volume found over theirs, and Dice, on the CT's grid."""
    result, label, grid = case
    region = next(r for r in result.segmentation.regions if r.key == key)
    found_ml = np.count_nonzero(result.segmentation.mask(region)) * result.segmentation.grid.voxel_volume_ml
    index = result.segmentation.grid.to_index(grid.to_lps_mm(np.argwhere(label == ORGANS[key][0])))
    nearest = tuple(np.clip(np.rint(index), 0, np.asarray(result.segmentation.grid.shape) - 1).astype(int).T)
    common_ml = np.count_nonzero(result.segmentation.mask(region)[nearest]) * grid.voxel_volume_ml
    true_ml = np.count_nonzero(label == ORGANS[key][0]) * grid.voxel_volume_ml
    return found_ml / true_ml, 2.0 * common_ml / (found_ml + true_ml)


@pytest.mark.parametrize(
    ("key", "volume", "dice"),
    [("kidney_left", 0.10, 0.90), ("kidney_right", 0.10, 0.88), ("spleen", 0.08, 0.92), ("liver", 0.08, 0.92)],
)
def test_organs_that_touch_one_another(case, key, volume, dice):
    """Kidneys with open sinuses, a spleen along the left one, the liver on the right one; lower halves cut off."""
    ratio, found_dice = _overlap(case, key)
    assert ratio == pytest.approx(1.0, rel=volume)
    assert found_dice > dice


def test_kidneys_cut_off_by_the_field_are_doubted(case):
    """96 and 99 mL are in the field: below what a kidney has, a person must look."""
    result, _, _ = case
    blocked = {flag.region for flag in result.flags if flag.code == "CONTOUR_DOUBTFUL" and flag.level == "BLOCK"}
    assert "kidney_left" in blocked
    assert not any(region.kind == "lesion" for region in result.segmentation.regions)
