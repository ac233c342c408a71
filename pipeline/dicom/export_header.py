"""What every exported object shares: the patient and study of the reference CT, equipment, times, and its UIDs.

Nothing here reads a clock or makes a random UID, so that the same filed result is always written as the same bytes.
"""

from __future__ import annotations

import copy
import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import validate_value

from pipeline.dicom.discover import discover
from pipeline.dicom.geometry import plane_stack
from pipeline.dicom.headers import lenient, number, read_dataset, text
from pipeline.domain.geometry import Grid
from pipeline.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, tzinfo
    from pathlib import Path

    from pipeline.dicom.discover import SeriesFiles

DicomObject = Dataset
RESEARCH_USE = "research use only"
MANUFACTURER = "prrt-dosimetry"
MODEL = "prrt"
# Series numbers far above those of a scanner, so that a worklist shows the results last.
FIRST_SERIES_NUMBER = 9001
_PLACEHOLDER_UID = "2.25.0"
# Type 2 attributes are written even where the CT has no value (DICOM PS3.3 C.7.1.1, C.7.2.1).
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "StudyID", "AccessionNumber",
)  # fmt: skip
_TYPE_3 = (
    "IssuerOfPatientID", "PatientIdentityRemoved", "DeidentificationMethod", "StudyDescription",
    "TimezoneOffsetFromUTC", "LongitudinalTemporalInformationModified",
)  # fmt: skip
_CODED = "DeidentificationMethodCodeSequence"
_SLICE = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ReferenceSeries:
    """The CT that exported objects lie on.

    Attributes
    ----------
    header : Dataset
        Patient and study attributes that are copied, and no other.
    slices : tuple of Dataset
        Identity and plane of each slice in slice order, without patient and pixels.
    grid : Grid
        Its frame of reference is never empty; see ``frame_is_stated``.
    frame_is_stated : bool
        False where the CT carries no frame of reference and one was derived from its series UID.
    zone : tzinfo or None
        Of the CT's clock; None where its header has no offset from UTC.
    """

    header: Dataset
    slices: tuple[Dataset, ...]
    grid: Grid
    frame_is_stated: bool
    zone: tzinfo | None


@dataclass(frozen=True)
class ExportFacts:
    """What the filed result says about itself.

    Attributes
    ----------
    cycle : int
    radionuclide : str
    created_at : datetime
        Aware; its zone is used where the CT has none.
    code_version, engine : str
    """

    cycle: int
    radionuclide: str
    created_at: datetime
    code_version: str
    engine: str


# ---------------------------------------------------------------- reading the reference CT


@lenient()
def read_reference(paths: Sequence[Path], series_uid: str) -> ReferenceSeries:
    """Return patient, study and planes of a CT series.

    Parameters
    ----------
    paths : sequence of Path
        Files or folders that hold the series.
    series_uid : str

    Raises
    ------
    RefusalError
        ``CT_MISSING`` where the series is not there; those of :func:`pipeline.dicom.discover.discover` and
        :func:`pipeline.dicom.geometry.plane_stack`.
    """
    series = next((one for one in discover(paths) if one.series_uid == series_uid and one.kind == "ct"), None)
    if series is None:
        raise RefusalError(
            "CT_MISSING",
            found="no such CT series in the study folders any more",
            needed="the reference CT: its headers name the patient, study and frame of the exported objects",
            do="put the study folders back and run the same command again; nothing is computed twice",
            where=series_uid,
        )
    return _reference(series)


def _reference(series: SeriesFiles) -> ReferenceSeries:
    headers = [file.header for file in series.files]
    stack = plane_stack(headers, series.series_uid)
    frame = series.frame_of_reference_uid or generate_uid(entropy_srcs=["frame of reference", series.series_uid])
    size = (int(number(headers[0], "Rows") or 0), int(number(headers[0], "Columns") or 0))
    return ReferenceSeries(
        header=_copied_header(read_dataset(series.paths[0])[0]),
        slices=tuple(_slice(headers[index], frame) for index in stack.order),
        grid=Grid((len(headers), *size), stack.affine_mm, frame),
        frame_is_stated=bool(series.frame_of_reference_uid),
        zone=series.acquired_at.tzinfo if series.acquired_at else None,
    )


def _copied_header(source: Dataset) -> Dataset:
    """Return patient and study of ``source``; a value that breaks its VR is left out."""
    header = Dataset()
    header.StudyInstanceUID = text(source, "StudyInstanceUID")
    for keyword in _TYPE_2:
        setattr(header, keyword, _valid_text(source, keyword))
    for keyword in _TYPE_3:
        if value := _valid_text(source, keyword):
            setattr(header, keyword, value)
    if _CODED in source:
        setattr(header, _CODED, copy.deepcopy(source[_CODED].value))
    return header


def _valid_text(source: Dataset, keyword: str) -> str:
    value = text(source, keyword)
    try:
        for part in value.split("\\"):
            validate_value(dictionary_VR(keyword), part, pydicom.config.RAISE)
    except ValueError:
        return ""
    return value


def _slice(header: Dataset, frame: str) -> Dataset:
    plane = Dataset()
    for keyword in _SLICE:
        if keyword in header:
            setattr(plane, keyword, header[keyword].value)
    plane.FrameOfReferenceUID = frame
    plane.Modality = "CT"
    for keyword in _TYPE_2:
        setattr(plane, keyword, None)
    return plane


# ---------------------------------------------------------------- writing what all objects share


def describe(
    dataset: Dataset, reference: ReferenceSeries, facts: ExportFacts, *, modality: str, index: int, description: str
) -> None:
    """Set patient, study, series, equipment and times of an object.

    Parameters
    ----------
    index : int
        Place of the object among the exported ones; makes its series number.
    description : str
        Series description; at most 64 characters.
    """
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for element in reference.header:
        dataset[element.tag] = copy.deepcopy(element)
    made = facts.created_at.astimezone(reference.zone or facts.created_at.tzinfo)
    dataset.TimezoneOffsetFromUTC = made.strftime("%z")
    for stem in ("InstanceCreation", "Series", "Content"):
        setattr(dataset, f"{stem}Date", made.strftime("%Y%m%d"))
        setattr(dataset, f"{stem}Time", made.strftime("%H%M%S"))
    dataset.Modality = modality
    dataset.SeriesNumber = FIRST_SERIES_NUMBER + index
    dataset.InstanceNumber = 1
    dataset.SeriesDescription = description
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MODEL
    # A program has no serial number; the version, which hashes the source that ran, is what identifies it.
    dataset.DeviceSerialNumber = facts.code_version
    dataset.SoftwareVersions = facts.code_version


def seal(dataset: Dataset, sop_class: str) -> Dataset:
    """Give an otherwise complete object its UIDs, derived from its content, and the header of its file.

    Equal content has equal UIDs and any other content has others, as DICOM asks of an instance.
    """
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.SeriesInstanceUID = _PLACEHOLDER_UID
    _set_file_meta(dataset)
    digest = hashlib.sha256(encoded(dataset)).hexdigest()
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", digest])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", digest])
    _set_file_meta(dataset)
    return dataset


def _set_file_meta(dataset: Dataset) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta


@lenient()
def encoded(dataset: Dataset) -> bytes:
    """Return the object as the bytes of a DICOM file."""
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def reference_to(dataset: Dataset) -> Dataset:
    """Return an item that names another instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = dataset.SOPClassUID
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    return item
