"""Which files belong together and what each series is, from quick header reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from io import SEEK_END
from typing import TYPE_CHECKING, Literal

import pydicom

from pipeline.dicom.headers import (
    CT_STORAGE,
    ENHANCED_CT_STORAGE,
    ENHANCED_PET_STORAGE,
    NM_STORAGE,
    PET_STORAGE,
    READ_ERRORS,
    corrupt,
    frame_count,
    lenient,
    number,
    text,
    texts,
    transfer_syntax,
)
from pipeline.dicom.radionuclide import LU_177, nuclide_evidence
from pipeline.dicom.timing import acquired_at
from pipeline.errors import RefusalError, require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from pydicom.dataset import Dataset

SeriesKind = Literal["spect", "ct", "pet", "planar", "projections", "seg", "rtstruct", "other"]

_SEGMENTATIONS = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.5", "1.2.840.10008.5.1.4.1.1.66.7"}
_RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
_VOLUMES = {NM_STORAGE, PET_STORAGE, ENHANCED_PET_STORAGE, CT_STORAGE, ENHANCED_CT_STORAGE}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_DIRECTORY = "1.2.840.10008.1.3.10"
# Image Type value 3 of the NM image module, DICOM PS3.3 C.8.4.9.1.1.
_NM_KINDS: dict[str, SeriesKind] = {
    "RECON TOMO": "spect",
    "RECON GATED TOMO": "spect",
    "TOMO": "projections",
    "GATED TOMO": "projections",
    "STATIC": "planar",
    "WHOLE BODY": "planar",
    "DYNAMIC": "planar",
    "GATED": "planar",
}
_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "ImageType",
    "PatientID", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "TimezoneOffsetFromUTC", "Rows",
    "Columns", "NumberOfFrames", "BitsAllocated", "SamplesPerPixel", "RadiopharmaceuticalInformationSequence",
    "EnergyWindowRangeSequence", "EnergyWindowInformationSequence", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "GantryDetectorTilt", "BitsStored",
    "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleIntercept", "RescaleSlope",
    "RescaleType", "NumberOfSlices",
]  # fmt: skip
# Tag, type and length of an element before its value.
_SHORTEST_ELEMENT_HEADER = 8
_UNCOMPRESSED = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}


@dataclass(frozen=True)
class FileHeader:
    """What the quick read of one file saw.

    Attributes
    ----------
    path : Path
    header : Dataset
        The attributes that grouping and slices need, without pixels.
    pixels_at_byte : int
        Where the element that ended the quick read begins: the pixel data, or the end of the file.
    size_bytes : int
        Of the file.
    """

    path: Path
    header: Dataset
    pixels_at_byte: int
    size_bytes: int


@dataclass(frozen=True)
class SeriesFiles:
    """The files of one series.

    Attributes
    ----------
    series_uid, study_uid, sop_class_uid, frame_of_reference_uid : str
    kind : str
        By SOP class, image type and nuclide, never by Modality.
    paths : tuple of Path
    patient_digests : tuple of str
        SHA-256 of every Patient ID in the files, to compare and never to show.
    acquired_at : datetime or None
        Earliest start of an acquisition; aware where the header has an offset.
    problem : RefusalError or None
        Why a file of the series may not be used at all.
    files : tuple of FileHeader
        What the quick read saw of each path, so that slices need no second parsing.
    """

    series_uid: str
    study_uid: str
    sop_class_uid: str
    frame_of_reference_uid: str
    kind: SeriesKind
    paths: tuple[Path, ...]
    patient_digests: tuple[str, ...]
    acquired_at: datetime | None
    problem: RefusalError | None = None
    files: tuple[FileHeader, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Discovery:
    """What a set of paths holds.

    Attributes
    ----------
    series : tuple of SeriesFiles
    unreadable : tuple of RefusalError
        DICOM files whose header cannot be read.
    skipped : int
        Files that are not DICOM.
    """

    series: tuple[SeriesFiles, ...]
    unreadable: tuple[RefusalError, ...]
    skipped: int


def discover(paths: Sequence[Path]) -> tuple[SeriesFiles, ...]:
    """Return the series in files and folders (searched recursively).

    Raises
    ------
    RefusalError
        ``PATH_MISSING``; ``DICOM_CORRUPT`` with the name of a truncated or damaged file.
    """
    found = scan(paths)
    for problem in (*found.unreadable, *(series.problem for series in found.series)):
        if problem is not None:
            raise problem
    return found.series


@lenient()
def scan(paths: Sequence[Path]) -> Discovery:
    """Return the series in files and folders with everything that is wrong with them, refusing only a missing path."""
    groups: dict[tuple[str, SeriesKind], list[FileHeader]] = {}
    unreadable: list[RefusalError] = []
    skipped = 0
    for path in _files(paths):
        try:
            quick = _quick(path)
        except RefusalError as error:
            unreadable.append(error)
            continue
        if quick is None:
            skipped += 1
            continue
        groups.setdefault((text(quick.header, "SeriesInstanceUID"), kind_of(quick.header)), []).append(quick)
    return Discovery(tuple(_series(kind, files) for (_, kind), files in groups.items()), tuple(unreadable), skipped)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        require(
            path.exists(),
            "PATH_MISSING",
            found="nothing at this path",
            needed="a file or folder of DICOM",
            do="check the path",
            where=path.name,
        )
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _quick(path: Path) -> FileHeader | None:
    """Read what grouping needs; None for a file that is not DICOM."""
    try:
        if not looks_like_dicom(path):
            return None
        with path.open("rb") as stream:
            header = pydicom.dcmread(stream, specific_tags=_TAGS, stop_before_pixels=True, force=True)
            pixels_at_byte, size_bytes = stream.tell(), stream.seek(0, SEEK_END)
    except READ_ERRORS as error:
        raise corrupt(path, f"{type(error).__name__} while reading the header") from error
    if text(header.file_meta, "MediaStorageSOPClassUID") == _DIRECTORY:
        return None
    if not text(header, "SOPClassUID") or not text(header, "SeriesInstanceUID"):
        raise corrupt(path, "no SOP class or no series UID in the header")
    return FileHeader(path, header, pixels_at_byte, size_bytes)


def looks_like_dicom(path: Path) -> bool:
    """Tell whether a file promises to be DICOM, by its first bytes or its name."""
    with path.open("rb") as stream:
        start = stream.read(132)
    magic = start[128:132] == b"DICM"
    # Old files begin with group 0008 at once; a name that ends in .dcm promises DICOM.
    return magic or start[:2] == b"\x08\x00" or path.suffix.lower() in {".dcm", ".ima"}


def kind_of(header: Dataset) -> SeriesKind:
    """Return the kind of a series by SOP class and image type."""
    sop_class, image_type = text(header, "SOPClassUID"), texts(header, "ImageType")
    third = image_type[2].upper() if len(image_type) > 2 else ""
    if sop_class == NM_STORAGE:
        return _NM_KINDS.get(third, "other")
    if sop_class in {PET_STORAGE, ENHANCED_PET_STORAGE}:
        return "spect" if nuclide_evidence(header).name == LU_177 else "pet"
    if sop_class in {CT_STORAGE, ENHANCED_CT_STORAGE}:
        return "other" if "LOCALIZER" in image_type else "ct"
    if sop_class in _SEGMENTATIONS:
        return "seg"
    if sop_class == _SECONDARY_CAPTURE and "EMISSION" in image_type and _NM_KINDS.get(third) == "planar":
        return "planar"  # a planar scan that a converter wrapped as a picture
    return "rtstruct" if sop_class == _RT_STRUCTURE_SET else "other"


def _series(kind: SeriesKind, files: Sequence[FileHeader]) -> SeriesFiles:
    header = files[0].header
    moments = [moment for file in files if (moment := acquired_at(file.header)) is not None]
    return SeriesFiles(
        series_uid=text(header, "SeriesInstanceUID"),
        study_uid=text(header, "StudyInstanceUID"),
        sop_class_uid=text(header, "SOPClassUID"),
        frame_of_reference_uid=text(header, "FrameOfReferenceUID"),
        kind=kind,
        paths=tuple(file.path for file in files),
        patient_digests=_patients(files),
        acquired_at=_earliest(moments),
        problem=next((problem for file in files if (problem := _truncated(file))), None),
        files=tuple(files),
    )


def _earliest(moments: Sequence[datetime]) -> datetime | None:
    return min(moments, key=lambda moment: moment.isoformat()) if moments else None


def _patients(files: Sequence[FileHeader]) -> tuple[str, ...]:
    identifiers = {text(file.header, "PatientID") for file in files}
    return tuple(sorted(hashlib.sha256(identifier.encode()).hexdigest() for identifier in identifiers))


def _truncated(file: FileHeader) -> RefusalError | None:
    """Tell whether a file ends before its uncompressed pixels do."""
    header, rest_bytes = file.header, file.size_bytes - file.pixels_at_byte
    if text(header, "SOPClassUID") in _VOLUMES and (not number(header, "Rows") or rest_bytes <= 0):
        return corrupt(file.path, "a file that ends before its pixels")
    if transfer_syntax(header) not in _UNCOMPRESSED or not number(header, "Rows"):
        return None
    bits = frame_count(header) * (number(header, "SamplesPerPixel") or 1) * (number(header, "BitsAllocated") or 0)
    needed = int((number(header, "Rows") or 0) * (number(header, "Columns") or 0) * bits / 8)
    if rest_bytes >= needed + _SHORTEST_ELEMENT_HEADER:
        return None
    return corrupt(file.path, f"{max(rest_bytes, 0)} bytes where {needed} bytes of pixels should be")
