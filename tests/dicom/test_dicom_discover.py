"""Finding series: grouping, foreign files, damaged files."""

from __future__ import annotations

import pytest
from dicom_writer import CT, counts, ct, nm, slices
from refusals import refusal_of

from pipeline.dicom.discover import discover, scan


def test_series_are_grouped_and_foreign_files_skipped(cycle):
    (cycle / "notes.txt").write_text("not DICOM", encoding="utf-8")
    (cycle / "tp-0" / "empty").write_bytes(b"")
    found = scan([cycle])
    assert sorted(series.kind for series in found.series) == ["ct"] * 3 + ["spect"] * 3
    assert found.skipped == 2
    assert {len(series.paths) for series in found.series if series.kind == "ct"} == {8}


def test_one_file_given_twice_counts_once(tmp_path):
    path = nm(tmp_path / "a.dcm")
    assert len(discover([path, tmp_path, path])[0].paths) == 1


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.02])
def test_truncated_file_is_refused_by_name(tmp_path, kept):
    path = nm(tmp_path / "cut.dcm")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    error = refusal_of(lambda: discover([tmp_path]))
    assert (error.code, error.where) == ("DICOM_CORRUPT", "cut.dcm")


def test_truncated_slice_of_a_ct_is_refused_by_name(tmp_path):
    ct(tmp_path)
    path = tmp_path / "003.dcm"
    path.write_bytes(path.read_bytes()[:-20])
    error = refusal_of(lambda: discover([tmp_path]))
    assert (error.code, error.where) == ("DICOM_CORRUPT", "003.dcm")


def test_garbage_that_calls_itself_dicom_is_refused(tmp_path):
    (tmp_path / "garbage.dcm").write_bytes(bytes(range(256)) * 8)
    assert refusal_of(lambda: discover([tmp_path])).code == "DICOM_CORRUPT"


def test_empty_dicom_file_is_refused(tmp_path):
    (tmp_path / "empty.dcm").write_bytes(b"")
    assert refusal_of(lambda: discover([tmp_path])).code == "DICOM_CORRUPT"


def test_missing_path_is_refused(tmp_path):
    assert refusal_of(lambda: discover([tmp_path / "nowhere"])).code == "PATH_MISSING"


def test_localizer_is_not_a_ct(tmp_path):
    slices(tmp_path, CT, counts(), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert discover([tmp_path])[0].kind == "other"


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.66.4", "seg"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "rtstruct"),
        ("1.2.840.10008.5.1.4.1.1.4", "other"),
    ],
)
def test_kinds_by_sop_class(tmp_path, sop_class, kind):
    assert discover([nm(tmp_path / "a.dcm", SOPClassUID=sop_class)])[0].kind == kind


def test_headless_file_is_read(tmp_path):
    """Old files begin at once with group 0008, in implicit little endian, without the 128-byte preamble."""
    import pydicom
    from pydicom.dataset import Dataset

    whole = pydicom.dcmread(nm(tmp_path / "a.dcm"))
    plain = Dataset(whole)
    plain.save_as(tmp_path / "old", implicit_vr=True, little_endian=True)
    (tmp_path / "a.dcm").unlink()
    assert [series.kind for series in discover([tmp_path])] == ["spect"]
