"""CT numbers: order, padding, slopes, limits of int16."""

from __future__ import annotations

import numpy as np
import pytest
from dicom_writer import CT, DAY_1, ct, slices
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal_of

from pipeline.dicom.discover import discover
from pipeline.dicom.read_ct import read_ct


def read_one(path):
    return read_ct(discover([path])[0])


def volume_of(*hu: int) -> np.ndarray:
    return np.array(hu).reshape(len(hu), 1, 1) * np.ones((1, 4, 4), dtype=int)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(5)))
def test_slices_are_ordered_by_position(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("ct")
    ct(folder, volume=volume_of(*(1000 + 10 * k for k in order)), z=[2.5 * k for k in order])
    image = read_one(folder)
    assert image.ct.ct_number_hu[:, 0, 0].tolist() == [0, 10, 20, 30, 40]
    assert image.grid.spacing_mm == (2.5, 2.0, 3.0)
    assert image.ct.ct_number_hu.dtype == np.int16
    assert image.acquisition_start == DAY_1


@pytest.mark.parametrize(
    ("stored", "signed", "changes", "hu"),
    [
        ([0, 24, 1024], False, {"RescaleIntercept": -1024}, [-1024, -1000, 0]),
        # GE: padding -2000, stored, is -3024 HU
        ([-2000, 0, 1024], True, {"RescaleIntercept": -1024, "PixelPaddingValue": -2000}, [-1000, -1024, 0]),
        # padding that would overflow int16 when the intercept is added
        ([-32768, 24, 1024], True, {"RescaleIntercept": -1024, "PixelPaddingValue": -32768}, [-1000, -1000, 0]),
        # Siemens: padding 0 is -1024 HU, not below the scale's end
        ([0, 1, 1024], False, {"RescaleIntercept": -1024, "PixelPaddingValue": 0}, [-1000, -1023, 0]),
        ([0, 5, 1024], False, {"RescaleIntercept": -1024, "PixelPaddingValue": 0, "PixelPaddingRangeLimit": 5},
         [-1000, -1000, 0]),
        # metal above the range of int16
        ([65535, 24, 1024], False, {"RescaleIntercept": -1024}, [32767, -1000, 0]),
        # values below -1024 without a padding value
        ([-2000, -1024, 5], True, {"RescaleIntercept": 0}, [-1000, -1024, 5]),
    ],
)  # fmt: skip
def test_hounsfield_numbers(tmp_path, stored, signed, changes, hu):
    slices(tmp_path, CT, volume_of(*stored), signed=signed, **changes)
    assert read_one(tmp_path).ct.ct_number_hu[:, 0, 0].tolist() == hu


def test_each_slice_has_its_own_slope(tmp_path):
    """Slopes that are not whole make the volume float32 instead of rounding it."""
    each = [{"RescaleSlope": 0.5 + k, "RescaleIntercept": -k} for k in range(3)]
    slices(tmp_path, CT, volume_of(100, 100, 100), each=each)
    image = read_one(tmp_path)
    assert image.ct.ct_number_hu.dtype == np.float32
    assert image.ct.ct_number_hu[:, 0, 0].tolist() == [50.0, 149.0, 248.0]


@pytest.mark.parametrize(
    ("refused", "changes"),
    [
        ("PADDING_AMBIGUOUS", {"PixelPaddingValue": 1000}),
        ("SCALE_INVALID", {"RescaleSlope": -1}),
        ("SCALE_INVALID", {"RescaleIntercept": None}),
        ("ACQUISITION_TIME_MISSING", {"AcquisitionTime": None}),
        ("TIME_ZONE_MISSING", {"TimezoneOffsetFromUTC": None}),
        ("ENHANCED_NOT_SUPPORTED", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}),
    ],
)
def test_ct_refusals(tmp_path, refused, changes):
    ct(tmp_path, **changes)
    assert refusal_of(lambda: read_one(tmp_path)).code == refused


def test_padding_in_the_tissue_range_that_does_not_occur_is_harmless(tmp_path):
    ct(tmp_path, PixelPaddingValue=1500)
    assert (read_one(tmp_path).ct.ct_number_hu == 0).all()


def test_compressed_ct_equals_the_plain_one(tmp_path):
    """RLE, which pydicom decodes itself."""
    import pydicom
    from pydicom.uid import RLELossless

    ct(tmp_path / "plain", volume=np.arange(8 * 36).reshape(8, 6, 6) + 900)
    expected = read_one(tmp_path / "plain").ct.ct_number_hu
    for path in sorted((tmp_path / "plain").iterdir()):
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    assert np.array_equal(read_one(tmp_path / "plain").ct.ct_number_hu, expected)
