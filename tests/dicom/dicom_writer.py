"""A small DICOM writer: each test states only what is special about its file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from pipeline.domain.therapy import Administration
from pipeline.files.forms import CycleForm
from pipeline.settings import SiteProfile, site_from_document

NM = "1.2.840.10008.5.1.4.1.1.20"
PET = "1.2.840.10008.5.1.4.1.1.128"
CT = "1.2.840.10008.5.1.4.1.1.2"
ZONE = timezone(timedelta(hours=1))
GIVEN = datetime(2026, 3, 2, 10, 0, tzinfo=ZONE)
DAY_1 = GIVEN + timedelta(hours=24)
SLICES, ROWS, COLUMNS = 6, 4, 5


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def code(scheme: str, value: str, meaning: str) -> Dataset:
    return item(CodingSchemeDesignator=scheme, CodeValue=value, CodeMeaning=meaning)


def window(low: float, high: float) -> Dataset:
    return item(EnergyWindowRangeSequence=[item(EnergyWindowLowerLimit=low, EnergyWindowUpperLimit=high)])


LU = code("SCT", "447553000", "Lutetium-177")


def save(dataset: Dataset, path: Path, changes: dict[str, Any] | None = None) -> Path:
    """Write a dataset after applying ``changes`` (keyword -> value; None deletes)."""
    for keyword, value in (changes or {}).items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    FileDataset(str(path), dataset, file_meta=meta, preamble=b"\0" * 128).save_as(path, enforce_file_format=True)
    return path


def head(sop_class: str, *, patient: str, start: datetime, study: str, series: str, frame: str) -> Dataset:
    return item(
        SOPClassUID=sop_class, SOPInstanceUID=generate_uid(), StudyInstanceUID=study, SeriesInstanceUID=series,
        FrameOfReferenceUID=frame, PatientID=patient, PatientName="NOBODY^SECRET", Manufacturer="TEST",
        ManufacturerModelName="ONE", AcquisitionDate=start.strftime("%Y%m%d"),
        AcquisitionTime=start.strftime("%H%M%S.%f"), TimezoneOffsetFromUTC=start.strftime("%z"),
        SeriesDate="20300101", SeriesTime="000000", ContentDate="20300101", ContentTime="000000",
    )  # fmt: skip


def pixels(dataset: Dataset, array: np.ndarray, *, signed: bool) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = array.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(signed)
    dataset.add_new("PixelData", "OW", np.ascontiguousarray(array.astype("<i2" if signed else "<u2")).tobytes())


def counts(shape: tuple[int, int, int] = (SLICES, ROWS, COLUMNS)) -> np.ndarray:
    """Different values everywhere, so that any mix-up of slices, rows or columns shows."""
    return np.arange(1, 1 + int(np.prod(shape))).reshape(shape)


def nm(
    path: Path,
    volume: np.ndarray | None = None,
    *,
    slice_vector: Sequence[int] | None = None,
    spacing: float = -4.0,
    position: Sequence[float] = (-10.0, -20.0, 30.0),
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    patient: str = "P1",
    start: datetime = DAY_1,
    study: str = "1.2.3.1",
    series: str = "1.2.3.1.1",
    frame: str = "1.2.3.9",
    detector: dict[str, Any] | None = None,
    pharmaceutical: dict[str, Any] | None = None,
    rotation: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Write a reconstructed NM object; ``volume`` is indexed by stored frame."""
    volume = counts() if volume is None else volume
    dataset = head(NM, patient=patient, start=start, study=study, series=series, frame=frame)
    dataset.Modality, dataset.ImageType = "NM", ["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"]
    dataset.NumberOfFrames = dataset.NumberOfSlices = len(volume)
    dataset.SliceVector = list(slice_vector) if slice_vector is not None else list(range(1, len(volume) + 1))
    dataset.PixelSpacing, dataset.SliceThickness, dataset.SpacingBetweenSlices = [2.0, 3.0], abs(spacing), spacing
    placed = {"ImagePositionPatient": list(position), "ImageOrientationPatient": list(orientation)}
    dataset.DetectorInformationSequence = [item(**({**placed, "CollimatorGridName": "MEGP"} | (detector or {})))]
    dataset.NumberOfDetectors = 1
    dataset.EnergyWindowInformationSequence = [window(187.56, 229.24)]
    known = {"RadionuclideTotalDose": "7400", "RadionuclideCodeSequence": [LU]} | (pharmaceutical or {})
    dataset.RadiopharmaceuticalInformationSequence = [item(**{k: v for k, v in known.items() if v is not None})]
    dataset.RotationInformationSequence = [
        item(**({"ActualFrameDuration": 30000, "NumberOfFramesInRotation": 1} | (rotation or {})))
    ]
    pixels(dataset, volume, signed=False)
    return save(dataset, path, changes)


def slices(
    folder: Path,
    sop_class: str,
    volume: np.ndarray,
    *,
    z: Sequence[float] | None = None,
    signed: bool = False,
    patient: str = "P1",
    start: datetime = DAY_1,
    study: str = "1.2.3.1",
    series: str = "1.2.3.1.2",
    frame: str = "1.2.3.9",
    each: Sequence[dict[str, Any]] | None = None,
    **changes: Any,
) -> Path:
    """Write one file per slice at heights ``z``; ``each`` changes single slices."""
    z = [4.0 * k for k in range(len(volume))] if z is None else z
    for k, plane in enumerate(volume):
        dataset = head(sop_class, patient=patient, start=start, study=study, series=series, frame=frame)
        dataset.PixelSpacing, dataset.SliceThickness = [2.0, 3.0], 4.0
        dataset.ImagePositionPatient = [-10.0, -20.0, float(z[k])]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
        if sop_class == PET:
            _pet(dataset)
        else:
            dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        pixels(dataset, plane, signed=signed)
        save(dataset, folder / f"{k:03d}.dcm", changes | (each[k] if each else {}))
    return folder


def _pet(dataset: Dataset) -> None:
    dataset.Modality, dataset.ImageType = "PT", ["ORIGINAL", "PRIMARY"]
    dataset.Units, dataset.DecayCorrection, dataset.ActualFrameDuration = "BQML", "START", 1800000
    dataset.RadiopharmaceuticalInformationSequence = [
        item(RadionuclideTotalDose="7.4e9", RadionuclideHalfLife="574300", RadionuclideCodeSequence=[LU])
    ]


def ct(folder: Path, **options: Any) -> Path:
    """Write a small CT of water (stored 1000, intercept -1000)."""
    volume = options.pop("volume", np.full((8, 6, 6), 1000))
    return slices(folder, CT, volume, **({"RescaleIntercept": -1000} | options))


def site_document(**camera: Any) -> dict[str, Any]:
    """Return a valid site profile for the camera TEST ONE; ``camera`` changes its section (None deletes)."""
    section = {
        "match": {"Manufacturer": "TEST", "ManufacturerModelName": "ONE"},
        "calibration_factor_bq_s_per_count": 1.0e5,
        "calibration_relative_sigma": 0.03,
        "calibrated_on": "2026-01-10",
        "frame_duration_s": 30.0,
        "projections": 120,
        "dead_time_s": 0.0,
        "decay_reference": "none",
        "recovery": "none",
    } | camera
    return {
        "name": "Test clinic",
        "camera": {"one": {key: value for key, value in section.items() if value is not None}},
        "ct": {"density_curve": [[-1000.0, 0.001], [0.0, 1.0], [3000.0, 2.8]]},
        "marrow": {"limit_method": "blood_only"},
        "geometry": {"frame_of_reference": "required"},
    }


def site(frame_of_reference: str = "required", **camera: Any) -> SiteProfile:
    document = site_document(**camera)
    document["geometry"]["frame_of_reference"] = frame_of_reference
    return site_from_document(document)


def form(activity_bq: float = 7.4e9, start: datetime = GIVEN) -> CycleForm:
    administration = Administration("key-1", 1, "Lu-177", activity_bq, start)
    return CycleForm(administration, None, activity_bq, 0.0)
