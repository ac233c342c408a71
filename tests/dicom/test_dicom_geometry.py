"""Slice order and affines: a voxel keeps its value and its place whatever order the frames are stored in."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from dicom_writer import COLUMNS, CT, PET, ROWS, SLICES, counts, ct, nm, slices
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal_of

from pipeline.dicom.discover import discover
from pipeline.dicom.read_ct import read_ct
from pipeline.dicom.read_spect import read_spect

# Head first and feet first supine, an oblique pair and a coronal one; rows and columns at right angles.
ORIENTATIONS = [
    (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    (0.6, 0.8, 0.0, -0.8, 0.6, 0.0),
    (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
]


def read_one(path: Path):
    return read_spect(discover([path])[0])


@settings(max_examples=40, deadline=None)
@given(
    order=st.permutations(range(SLICES)),
    spacing=st.sampled_from([4.0, -4.0, 8.83612, -8.83612]),
    orientation=st.sampled_from(ORIENTATIONS),
    position=st.tuples(*[st.floats(-300, 300).map(lambda v: round(v, 3))] * 3),
)
def test_nm_voxels_keep_value_and_place(order, spacing, orientation, position):
    """Slice s of the slice vector lies at position + (s - 1) x spacing x normal (PS3.3 C.8.4.15); tolerance 1e-6 mm."""
    volume = counts()
    frames, vector = volume[list(order)], [k + 1 for k in order]
    with TemporaryDirectory() as folder:
        path = nm(
            Path(folder) / "a.dcm",
            frames,
            slice_vector=vector,
            spacing=spacing,
            orientation=orientation,
            position=position,
        )
        spect = read_one(path)
    row_axis, column_axis = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row_axis, column_axis)
    for s, r, c in [(0, 0, 0), (SLICES - 1, ROWS - 1, 2), (2, 1, COLUMNS - 1)]:
        world = np.array(position) + s * spacing * normal + r * 2.0 * column_axis + c * 3.0 * row_axis
        index = spect.grid.to_index(world)
        assert np.abs(index - np.rint(index)).max() < 1e-6
        assert spect.value[tuple(np.rint(index).astype(int))] == volume[s, r, c]
    assert np.linalg.det(spect.grid.affine_mm[:3, :3]) < 0  # right-handed for (column, row, slice)
    assert spect.grid.affine_mm[:3, 0] @ normal == pytest.approx(abs(spacing), abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(SLICES)), gap=st.sampled_from([4.0, 1.9531, 3.27]), first=st.floats(-500, 500))
def test_pet_slices_are_ordered_by_position_with_their_own_slope(order, gap, first):
    """Every slice has its own slope and intercept; stored order does not matter (float32: 1e-6 relative)."""
    volume = counts()
    z = [round(first + gap * k, 4) for k in order]
    each = [{"RescaleSlope": 1.5 + k, "RescaleIntercept": 0.25 * k} for k in order]
    with TemporaryDirectory() as folder:
        slices(Path(folder), PET, volume[list(order)], z=z, each=each)
        spect = read_one(Path(folder))
    expected = np.stack([volume[k] * (1.5 + k) + 0.25 * k for k in range(SLICES)])
    assert np.allclose(spect.value, expected, rtol=1e-6)
    assert spect.grid.affine_mm[2, 3] == pytest.approx(min(z), abs=1e-9)
    assert spect.grid.spacing_mm[0] == pytest.approx((max(z) - min(z)) / (SLICES - 1), abs=1e-9)


def test_positive_and_negative_spacing_mirror_each_other(tmp_path):
    """One stored object, both signs: the volume grows upwards or downwards from slice 1 at z = 30 mm."""
    up = read_one(nm(tmp_path / "up.dcm", spacing=4.0))
    down = read_one(nm(tmp_path / "down.dcm", spacing=-4.0))
    assert up.grid.affine_mm[2, 3] == 30.0
    assert down.grid.affine_mm[2, 3] == 30.0 - 5 * 4.0
    assert np.array_equal(up.value, down.value[::-1])


def test_geometry_of_the_image_plane_is_used_where_the_detector_has_none(tmp_path):
    path = nm(
        tmp_path / "a.dcm",
        detector={"ImagePositionPatient": None, "ImageOrientationPatient": None},
        ImagePositionPatient=[1.0, 2.0, 3.0],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        SpacingBetweenSlices=4.0,
    )
    assert read_one(path).grid.affine_mm[:3, 3].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("GEOMETRY_MISSING", {"detector": {"ImageOrientationPatient": None}}),
        ("GEOMETRY_MISSING", {"DetectorInformationSequence": None}),
        ("GEOMETRY_MISSING", {"PixelSpacing": None}),
        ("GEOMETRY_MISSING", {"SpacingBetweenSlices": None}),
        ("GEOMETRY_MISSING", {"SpacingBetweenSlices": 0}),
        ("GEOMETRY_INVALID", {"orientation": (1, 0, 0, 0.2, 1, 0)}),
        ("GEOMETRY_INVALID", {"orientation": (2, 0, 0, 0, 1, 0)}),
        ("GEOMETRY_CONTRADICTORY", {"ImagePositionPatient": [0.0, 0.0, 0.0]}),
        ("SLICE_ORDER_UNKNOWN", {"SliceVector": None}),
        ("SLICE_ORDER_UNKNOWN", {"slice_vector": [1, 2, 3]}),
        ("FRAMES_AMBIGUOUS", {"slice_vector": [1, 2, 3, 1, 2, 3]}),
        ("SLICES_MISSING", {"slice_vector": [1, 2, 3, 4, 5, 7]}),
        ("SLICES_MISSING", {"slice_vector": [2, 3, 4, 5, 6, 7]}),
    ],
)
def test_nm_geometry_refusals(tmp_path, code, changes):
    path = nm(tmp_path / "a.dcm", **changes)
    assert refusal_of(lambda: read_one(path)).code == code


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("SLICES_MISSING", {"z": [0, 4, 8, 16, 20, 24, 28, 32]}),
        ("SLICES_DUPLICATE", {"z": [0, 4, 8, 8, 12, 16, 20, 24]}),
        ("SLICE_SPACING_MIXED", {"z": [0, 4, 8, 12, 16, 21.5, 27, 32.5]}),
        ("GEOMETRY_MIXED", {"each": [{"PixelSpacing": [2.0, 3.0]}] * 7 + [{"PixelSpacing": [2.0, 3.1]}]}),
        ("GEOMETRY_MIXED", {"each": [{}] * 7 + [{"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}]}),
        ("GANTRY_TILT", {"GantryDetectorTilt": 12.0}),
        ("GANTRY_TILT", {"each": [{"ImagePositionPatient": [-10.0, -20.0 + k, 4.0 * k]} for k in range(8)]}),
        ("SLICE_SPACING_MIXED", {"each": [{}] * 4 + [{"ImagePositionPatient": [-9.0, -20.0, 16.0]}] + [{}] * 3}),
        ("GEOMETRY_MISSING", {"ImagePositionPatient": None}),
    ],
)
def test_ct_geometry_refusals(tmp_path, code, changes):
    ct(tmp_path, **changes)
    assert refusal_of(lambda: read_ct(discover([tmp_path])[0])).code == code


def test_slices_of_two_sizes_are_refused(tmp_path):
    slices(tmp_path / "a", CT, np.full((3, 6, 6), 1000))
    slices(tmp_path / "b", CT, np.full((3, 4, 4), 1000), z=[12, 16, 20])
    assert refusal_of(lambda: read_ct(discover([tmp_path])[0])).code == "GEOMETRY_MIXED"


def test_rounded_positions_are_accepted(tmp_path):
    """XSPECT writes positions rounded to 1e-4 mm beside a thickness of 1.95313 mm (header facts of an Intevo)."""
    slices(tmp_path, CT, np.full((6, 4, 4), 1000), z=[1.9531 * k for k in range(6)], SliceThickness=1.95313)
    assert read_ct(discover([tmp_path])[0]).grid.spacing_mm[0] == pytest.approx(1.9531, abs=1e-9)
