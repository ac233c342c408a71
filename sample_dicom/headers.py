"""What SPECT and CT headers of one time point share; everything is deterministic, no name looks real."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from pipeline.units import BQ_PER_MBQ

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

MANUFACTURER = "PRRT PHANTOM"
CM_PER_M = 100.0
REPROCESSED_AFTER = timedelta(days=1, hours=2)
IDENTITY_ORIENTATION = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def uid(*parts: object) -> UID:
    """Return the UID that belongs to ``parts``, always the same."""
    return UID(generate_uid(entropy_srcs=["prrt-dosimetry phantom", *(str(part) for part in parts)]))


@dataclass(frozen=True)
class Visit:
    """One time point of one cycle as its headers tell it."""

    patient_key: str
    sex: str | None
    weight_kg: float | None
    height_cm: float | None
    administered_at: datetime
    administered_bq: float
    acquisition_start: datetime
    description: str
    identity: tuple[object, ...]  # what the UIDs are made from

    def uid(self, *parts: object) -> UID:
        """UID of something that belongs to this time point."""
        return uid(*self.identity, *parts)


def common_header(visit: Visit, *, series: str, sop_class: UID, model: str) -> Dataset:
    """Return patient, study, series and equipment modules of one series."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = sop_class
    _patient(ds, visit)
    start = visit.acquisition_start
    ds.StudyInstanceUID = visit.uid("study")
    ds.StudyID = ""
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = visit.description
    ds.StudyDate, ds.StudyTime = date_text(start), time_text(start)
    ds.SeriesInstanceUID = visit.uid(series)
    ds.FrameOfReferenceUID = visit.uid("frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.TimezoneOffsetFromUTC = start.strftime("%z")
    ds.AcquisitionDate, ds.AcquisitionTime = date_text(start), time_text(start)
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = model
    ds.InstitutionName = "Phantom clinic"
    ds.SoftwareVersions = "sample_dicom"
    ds.DeviceSerialNumber = "0001"
    return ds


def _patient(ds: Dataset, visit: Visit) -> None:
    ds.PatientName = "PHANTOM"
    ds.PatientID = visit.patient_key
    ds.PatientBirthDate = ""
    ds.PatientSex = visit.sex[:1].upper() if visit.sex else ""
    if visit.weight_kg is not None and visit.height_cm is not None:
        ds.PatientWeight = visit.weight_kg
        ds.PatientSize = visit.height_cm / CM_PER_M
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "synthetic phantom, no patient"


def stamp_reprocessed(ds: Dataset, visit: Visit) -> None:
    """Date series and content a day later than the acquisition, as a reconstruction done the day after does."""
    later = visit.acquisition_start + REPROCESSED_AFTER
    ds.SeriesDate, ds.SeriesTime = date_text(later), time_text(later)
    ds.ContentDate, ds.ContentTime = date_text(later), time_text(later)


def radiopharmaceutical(visit: Visit, *, in_mbq: bool) -> Dataset:
    """Return the radiopharmaceutical item; NM holds MBq and a time of day, PET Bq and a date-time."""
    item = Dataset()
    item.Radiopharmaceutical = "177Lu-DOTATATE"
    item.RadionuclideTotalDose = decimal(visit.administered_bq / BQ_PER_MBQ if in_mbq else visit.administered_bq)
    item.RadiopharmaceuticalStartTime = time_text(visit.administered_at)
    if not in_mbq:
        item.RadiopharmaceuticalStartDateTime = visit.administered_at.strftime("%Y%m%d%H%M%S.%f%z")
        item.RadionuclideHalfLife = 574300.0  # s, as a Siemens system writes it: 6.647 d
        item.RadionuclidePositronFraction = 0.0
    item.RadionuclideCodeSequence = [code("SCT", "447553000", "Lutetium-177")]
    return item


def code(scheme: str, value: str, meaning: str) -> Dataset:
    """Return a code sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def energy_window() -> Dataset:
    """Return the 208 keV window (20 %)."""
    limits = Dataset()
    limits.EnergyWindowLowerLimit, limits.EnergyWindowUpperLimit = 187.56, 229.24
    window = Dataset()
    window.EnergyWindowName = "Lu177 208 keV"
    window.EnergyWindowRangeSequence = [limits]
    return window


def decimal(value: float) -> float:
    """Round to what a DICOM decimal string (16 characters) holds."""
    return float(f"{value:.9g}")


def date_text(moment: datetime) -> str:
    """Return the DA of a moment."""
    return moment.strftime("%Y%m%d")


def time_text(moment: datetime) -> str:
    """Return the TM of a moment."""
    return moment.strftime("%H%M%S.%f")


def save(ds: Dataset, path: Path) -> None:
    """Write a dataset as a DICOM file (explicit little endian), deterministic."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("implementation")
    meta.ImplementationVersionName = "PRRT_PHANTOM_1"
    options: dict[str, Any] = {"file_meta": meta, "preamble": b"\0" * 128}
    FileDataset(str(path), ds, **options).save_as(path, enforce_file_format=True)
