"""The document of `prrt inspect`: everything that can be decoded, and a reason where a series may not be used."""

from __future__ import annotations

import json

import numpy as np
import pytest
from dicom_writer import PET, code, counts, ct, nm, slices, window

from pipeline.steps.inspect_series import inspect_paths

KEYS = {
    "series_uid", "kind", "accepted", "reason", "dialect", "shape", "spacing_mm", "affine_lps_mm", "unit",
    "acquisition_start", "frame_of_reference_uid", "radionuclide", "injected_activity_bq", "decay_reference",
    "centroid_lps_mm",
}  # fmt: skip


def described(path):
    document = inspect_paths([path])
    json.dumps(document, allow_nan=False)  # plain JSON
    assert all(set(series) >= KEYS for series in document["series"])
    return document["series"]


def test_counts_series(tmp_path):
    """Total of 1..120 = 7260; the centroid is computed here voxel by voxel from the written geometry (1e-6 mm)."""
    nm(tmp_path / "a.dcm")
    (series,) = described(tmp_path)
    assert (series["kind"], series["accepted"], series["reason"]) == ("spect", True, None)
    assert (series["unit"], series["total_counts"]) == ("counts", 7260.0)
    s, r, c = np.indices((6, 4, 5))
    weights = counts() / 7260.0
    expected = [-10 + 3 * (c * weights).sum(), -20 + 2 * (r * weights).sum(), 30 - 4 * (s * weights).sum()]
    assert series["centroid_lps_mm"] == pytest.approx(expected, abs=1e-6)
    assert series["shape"] == [6, 4, 5]
    assert series["spacing_mm"] == [4.0, 2.0, 3.0]
    assert series["acquisition_start"] == "2026-03-03T10:00:00+01:00"
    assert series["injected_activity_bq"] == 7.4e9
    assert series["affine_lps_mm"] == [[0, 0, 3, -10], [0, 2, 0, -20], [4, 0, 0, 10], [0, 0, 0, 1]]


def test_activity_series_and_ct(tmp_path):
    """Sum of values x voxel volume (2 x 3 x 4 mm3 = 0.024 mL)."""
    slices(tmp_path / "spect", PET, counts(), series="1.2.3.1.5")
    ct(tmp_path / "ct")
    by_kind = {series["kind"]: series for series in described(tmp_path)}
    assert by_kind["spect"]["total_bq"] == pytest.approx(7260 * 0.024, rel=1e-6)
    assert by_kind["spect"]["decay_reference"] == "acquisition_start"
    assert (by_kind["ct"]["unit"], by_kind["ct"]["accepted"]) == ("HU", True)
    assert by_kind["ct"]["affine_lps_mm"][2] == [4.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("kind", "reason", "changes"),
    [
        ("planar", "PLANAR_NOT_SPECT", {"ImageType": ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]}),
        ("projections", "PROJECTIONS_NOT_RECONSTRUCTED", {"ImageType": ["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"]}),
        ("spect", "WRONG_NUCLIDE", {"pharmaceutical": {"RadionuclideCodeSequence": [code("X", "Y", "Tc99m")]}}),
        ("spect", "NUCLIDE_UNKNOWN", {"pharmaceutical": {"RadionuclideCodeSequence": None},
                                      "EnergyWindowInformationSequence": [window(327.6, 400.4)]}),
        ("spect", "GEOMETRY_MISSING", {"detector": {"ImageOrientationPatient": None}}),
        ("spect", "UNIT_UNKNOWN", {"Units": "MGY_MBQS"}),
        ("other", "SERIES_NOT_AN_INPUT", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}),
    ],
)  # fmt: skip
def test_reasons(tmp_path, kind, reason, changes):
    nm(tmp_path / "a.dcm", **changes)
    (series,) = described(tmp_path)
    assert (series["kind"], series["accepted"], series["reason"]) == (kind, False, reason)
    assert reason == "SERIES_NOT_AN_INPUT" or 7260.0 in (series.get("total_counts"), series.get("total_value"))
    assert series["acquisition_start"] == "2026-03-03T10:00:00+01:00"


def test_wrong_nuclide_keeps_geometry_total_and_centroid(tmp_path):
    nm(tmp_path / "a.dcm", pharmaceutical={"RadionuclideCodeSequence": [code("X", "Y", "Tc99m")]})
    (series,) = described(tmp_path)
    assert series["radionuclide"] == "Tc-99m"
    assert series["affine_lps_mm"] is not None
    assert series["centroid_lps_mm"] is not None


def test_no_clock_offset_is_shown_as_it_is(tmp_path):
    nm(tmp_path / "a.dcm", TimezoneOffsetFromUTC=None)
    (series,) = described(tmp_path)
    assert (series["accepted"], series["acquisition_start"]) == (True, "2026-03-03T10:00:00")


def test_damaged_ct_is_described(tmp_path):
    ct(tmp_path, z=[0, 4, 8, 16, 20, 24, 28, 32])
    (series,) = described(tmp_path)
    assert (series["kind"], series["accepted"], series["reason"]) == ("ct", False, "SLICES_MISSING")
    assert series["shape"] == [8, 6, 6]


def test_truncated_and_unreadable_files_are_described(tmp_path):
    path = nm(tmp_path / "cut.dcm")
    path.write_bytes(path.read_bytes()[:-100])
    (tmp_path / "garbage.dcm").write_bytes(bytes(range(256)) * 8)
    found = described(tmp_path)
    assert [series["reason"] for series in found] == ["DICOM_CORRUPT", "DICOM_CORRUPT"]
    assert found[0]["shape"] == [6, 4, 5]


def test_empty_folder_has_no_series(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing", encoding="utf-8")
    assert inspect_paths([tmp_path]) == {"series": [], "skipped_files": 1}


def test_no_patient_identifier_is_shown(tmp_path):
    nm(tmp_path / "a.dcm", patient="P1-SECRET")
    assert "SECRET" not in json.dumps(inspect_paths([tmp_path]))
