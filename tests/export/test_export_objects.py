"""What all exported objects share: patient, study, times, UIDs, and that writing twice is writing once."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from small_study import (
    CT_SERIES,
    CT_STUDY,
    FACTS,
    REGIONS,
    SECRETS,
    ct_grid,
    dose_map,
    export,
    result_document,
    segmentation,
    turned_grid,
    write_ct,
)

from pipeline.dicom.export_header import ReferenceSeries, encoded, read_reference
from pipeline.dicom.write_encapsulated_pdf import encapsulated_pdf_object
from pipeline.dicom.write_rtdose import rtdose_object
from pipeline.domain.maps import DoseMap
from pipeline.domain.regions import Segmentation
from pipeline.errors import RefusalError

NAMES = ["dose.dcm", "regions.dcm", "report.dcm"]


def read(paths: list[Path]) -> dict[str, Dataset]:
    return {path.name: pydicom.dcmread(path) for path in paths}


def uids(paths: list[Path]) -> dict[str, str]:
    return {name: str(dataset.SOPInstanceUID) for name, dataset in read(paths).items()}


def test_objects_lie_in_the_folder_that_the_interface_names(exported: list[Path]):
    assert [path.name for path in exported] == NAMES
    assert {path.parent.name for path in exported} == {"dicom"}
    assert {name: dataset.Modality for name, dataset in read(exported).items()} == {
        "dose.dcm": "RTDOSE",
        "regions.dcm": "SEG",
        "report.dcm": "DOC",
    }


def test_a_rerun_writes_the_same_bytes(tmp_path: Path, ct_folder: Path, exported: list[Path]):
    again = export(tmp_path, ct_folder)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in exported]


def test_no_time_comes_from_the_clock(exported: list[Path]):
    """23:30 UTC on 10 March is 00:30 on the 11th on the CT's clock (+0100)."""
    for dataset in read(exported).values():
        dates = {str(element.value) for element in dataset.iterall() if element.VR == "DA"} - {""}
        assert dates == {"20260303", "20260311"}
        assert dataset.ContentTime == dataset.InstanceCreationTime == dataset.SeriesTime == "003000"
        assert dataset.TimezoneOffsetFromUTC == "+0100"
        assert not [element for element in dataset.iterall() if element.VR == "DT" and element.value]


def test_other_content_is_another_instance(tmp_path: Path, ct_folder: Path, exported: list[Path]):
    before = uids(exported)
    dose = np.array(dose_map(turned_grid()).dose_gy)
    dose[4, 5, 6] += 1e-6
    after = uids(export(tmp_path, ct_folder, dose=DoseMap(turned_grid(), dose)))
    assert after["dose.dcm"] != before["dose.dcm"]
    assert after["regions.dcm"] == before["regions.dcm"]
    assert after["report.dcm"] != before["report.dcm"]  # it names the dose as its source


def test_another_version_of_the_result_is_another_instance(tmp_path: Path, ct_folder: Path, exported: list[Path]):
    later: dict[str, Any] = result_document()
    later["provenance"]["created_at"] = "2026-03-12T08:00:00+00:00"
    after = uids(export(tmp_path, ct_folder, document=later))
    assert not set(after.values()) & set(uids(exported).values())


def test_one_voxel_more_is_another_segmentation(tmp_path: Path, ct_folder: Path, exported: list[Path]):
    label = np.array(segmentation(ct_grid()).label)
    label[10, 10, 10] = 4
    changed = Segmentation(ct_grid(), label, REGIONS, "test")
    assert uids(export(tmp_path, ct_folder, segmentation=changed))["regions.dcm"] != uids(exported)["regions.dcm"]


def test_uids_are_unique_and_series_are_separate(exported: list[Path]):
    objects = read(exported).values()
    assert len({dataset.SOPInstanceUID for dataset in objects}) == 3
    assert len({dataset.SeriesInstanceUID for dataset in objects}) == 3
    assert [int(dataset.SeriesNumber) for dataset in objects] == [9001, 9002, 9003]
    for dataset in objects:
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert all(len(str(element.value)) <= 64 for element in dataset.iterall() if element.VR == "UI")


def test_patient_and_study_are_those_of_the_ct(exported: list[Path]):
    for dataset in read(exported).values():
        assert (dataset.PatientID, dataset.StudyInstanceUID) == ("pseudonym-7", CT_STUDY)
        # Latin-1 in the CT, UTF-8 in the objects.
        assert str(dataset.PatientName) == "Müller^Zoë"
        assert (dataset.PatientSex, dataset.StudyID, dataset.AccessionNumber) == ("F", "17", "A1")
        assert (dataset.PatientIdentityRemoved, dataset.DeidentificationMethod) == ("YES", "test")


def test_nothing_else_of_the_patient_is_copied(exported: list[Path]):
    for path in exported:
        content = path.read_bytes()
        assert not [secret for secret in SECRETS if secret.encode() in content]


def test_every_object_is_for_research_only(exported: list[Path]):
    for dataset in read(exported).values():
        assert "research use only" in dataset.SeriesDescription
        assert len(dataset.SeriesDescription) <= 64


def test_no_name_reaches_a_log_or_a_file_name(
    tmp_path: Path, ct_folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    with caplog.at_level(logging.DEBUG):
        paths = export(tmp_path, ct_folder)
    said = caplog.text + "".join(capfd.readouterr()) + " ".join(map(str, paths))
    assert "Zo" not in said
    assert "pseudonym-7" not in said


def test_a_value_that_breaks_its_type_is_left_out(tmp_path: Path):
    with pydicom.config.disable_value_validation():
        folder = write_ct(tmp_path / "ct", PatientBirthDate="19 May 1950", StudyID="a study id that is far too long")
    header = read_reference([folder], CT_SERIES).header
    assert (header.PatientBirthDate, header.StudyID, header.PatientID) == ("", "", "pseudonym-7")


def test_a_ct_without_an_offset_takes_the_clock_of_the_clinic(tmp_path: Path):
    folder = write_ct(tmp_path / "ct", TimezoneOffsetFromUTC=None)
    dataset = read(export(tmp_path, folder))["dose.dcm"]
    assert (dataset.ContentDate, dataset.ContentTime, dataset.TimezoneOffsetFromUTC) == ("20260311", "013000", "+0200")


def test_a_ct_without_a_frame_of_reference_gives_one_and_says_so(tmp_path: Path):
    folder = write_ct(tmp_path / "ct", FrameOfReferenceUID=None)
    objects = read(export(tmp_path, folder))
    assert objects["dose.dcm"].FrameOfReferenceUID == objects["regions.dcm"].FrameOfReferenceUID != ""
    assert objects["dose.dcm"].DoseComment == "Radionuclide therapy, no RT Plan; CT has no frame of reference"


def test_slices_are_found_whatever_their_files_are_called(reference: ReferenceSeries):
    heights = [float(plane.ImagePositionPatient[2]) for plane in reference.slices]
    assert heights == sorted(heights)
    assert reference.grid.is_same(ct_grid())


def test_a_missing_ct_is_refused(ct_folder: Path):
    with pytest.raises(RefusalError, match="CT_MISSING") as caught:
        read_reference([ct_folder], "1.2.3.4.5.6")
    assert caught.value.where == "1.2.3.4.5.6"


@pytest.mark.parametrize("length", [20, 21])
def test_the_report_comes_back_byte_for_byte(reference: ReferenceSeries, length: int):
    report = b"%PDF-1.4 abcdefghijklmnop"[:length]
    source = rtdose_object(dose_map(turned_grid()), reference, FACTS)
    dataset = encapsulated_pdf_object(report, reference, FACTS, (source,))
    found = pydicom.dcmread(pydicom.filebase.DicomBytesIO(encoded(dataset)))
    assert found.EncapsulatedDocument[: found.EncapsulatedDocumentLength] == report
    assert len(found.EncapsulatedDocument) % 2 == 0


def test_the_report_says_what_it_is(exported: list[Path]):
    objects = read(exported)
    report = objects["report.dcm"]
    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert report.MIMETypeOfEncapsulatedDocument == "application/pdf"
    # The pages carry the patient key and dates; a signature is in the record only.
    assert (report.BurnedInAnnotation, report.VerificationFlag) == ("YES", "UNVERIFIED")
    # DCM 128401 Patient Radiation Dose Report (PS3.16 annex D).
    title = report.ConceptNameCodeSequence[0]
    assert (title.CodingSchemeDesignator, title.CodeValue) == ("DCM", "128401")
    shown = [item.ReferencedSOPInstanceUID for item in report.SourceInstanceSequence]
    assert shown == [objects["dose.dcm"].SOPInstanceUID, objects["regions.dcm"].SOPInstanceUID]


def test_without_regions_dose_and_report_are_written(tmp_path: Path, ct_folder: Path):
    empty = Segmentation(ct_grid(), np.zeros(ct_grid().shape, dtype=np.int16), (), "test")
    assert [path.name for path in export(tmp_path, ct_folder, segmentation=empty)] == ["dose.dcm", "report.dcm"]
