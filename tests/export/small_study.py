"""A CT of sixteen slices, a dose known in closed form and six regions: what export tests write and read back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from pipeline.dicom.export_header import ExportFacts
from pipeline.domain.geometry import Grid
from pipeline.domain.maps import DoseMap
from pipeline.domain.regions import Region, Segmentation
from pipeline.steps.export import export_cycle

CT = "1.2.840.10008.5.1.4.1.1.2"
CT_SERIES, CT_STUDY, FRAME = "1.2.3.4.2", "1.2.3.4", "1.2.3.4.9"
CT_SHAPE, CT_SPACING_MM, CT_ORIGIN_MM = (16, 24, 20), (3.0, 2.0, 2.5), (-24.0, -31.0, 40.0)
SECRETS = ("SECRET^ADDRESS", "SECRET-OTHER-ID", "SECRET^OPERATOR")
CREATED_AT = datetime(2026, 3, 10, 23, 30, tzinfo=UTC)
FACTS = ExportFacts(2, "Lu-177", CREATED_AT, "0.1.0+abc", "convolution")
REGIONS = (
    Region(1, "kidney", "left", "organ", "auto-ct-spect-1"),
    Region(2, "kidney", "right", "organ", "auto-ct-spect-1"),
    Region(3, "liver", None, "organ", "contours-file"),
    Region(4, "spleen", None, "organ", "contours-file"),
    Region(5, "marrow", None, "marrow", "contours-file"),
    # Labels need not be consecutive; 12 is described and has no voxel.
    Region(11, "lesion-1", None, "lesion", "contours-file", host="liver"),
    Region(12, "lesion-2", None, "lesion", "contours-file"),
)


def write_ct(folder: Path, **changes: Any) -> Path:
    """Write the CT with its files in an order that says nothing about their place; ``None`` deletes an attribute."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(CT_SHAPE[0]):
        dataset = Dataset()
        values: dict[str, Any] = _patient() | _plane(index) | changes
        for keyword, value in values.items():
            if value is not None:
                setattr(dataset, keyword, value)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CT, dataset.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{(index * 7) % CT_SHAPE[0]:03d}.dcm"
        FileDataset(str(path), dataset, file_meta=meta, preamble=b"\0" * 128).save_as(path, enforce_file_format=True)
    return folder


def _patient() -> dict[str, Any]:
    address, other, operator = SECRETS
    return {
        "SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Zoë", "PatientID": "pseudonym-7",
        "PatientBirthDate": "", "PatientSex": "F", "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "test", "PatientAddress": address, "OtherPatientIDs": other,
        "OperatorsName": operator, "StudyInstanceUID": CT_STUDY, "SeriesInstanceUID": CT_SERIES,
        "FrameOfReferenceUID": FRAME, "StudyDate": "20260303", "StudyTime": "103400", "StudyID": "17",
        "AccessionNumber": "A1", "ReferringPhysicianName": "", "AcquisitionDate": "20260303",
        "AcquisitionTime": "103400", "TimezoneOffsetFromUTC": "+0100", "Manufacturer": "TEST",
    }  # fmt: skip


def _plane(index: int) -> dict[str, Any]:
    x, y, z = CT_ORIGIN_MM
    pixels = np.full(CT_SHAPE[1:], 1000, dtype="<u2")
    return {
        "SOPClassUID": CT, "SOPInstanceUID": generate_uid(entropy_srcs=["slice", str(index)]), "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "InstanceNumber": index + 1, "SliceThickness": CT_SPACING_MM[0],
        "ImagePositionPatient": [x, y, z + index * CT_SPACING_MM[0]], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [CT_SPACING_MM[1], CT_SPACING_MM[2]], "Rows": CT_SHAPE[1], "Columns": CT_SHAPE[2],
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16,
        "HighBit": 15, "PixelRepresentation": 0, "RescaleSlope": 1, "RescaleIntercept": -1000,
        "PixelData": pixels.tobytes(),
    }  # fmt: skip


def ct_grid() -> Grid:
    """Return the grid of the CT."""
    return straight_grid(CT_SHAPE, CT_SPACING_MM, CT_ORIGIN_MM)


def straight_grid(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], origin_mm: tuple[float, float, float]
) -> Grid:
    """Return a grid along the axes of the patient, first slice lowest."""
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, spacing_mm[2]], [0, spacing_mm[1], 0], [spacing_mm[0], 0, 0]]
    affine[:3, 3] = origin_mm
    return Grid(shape, affine, FRAME)


def turned_grid(shape: tuple[int, int, int] = (9, 11, 13)) -> Grid:
    """Return an oblique grid with three different spacings."""
    a, b = np.radians(17.0), np.radians(-8.0)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ straight_grid(shape, (4.1, 3.3, 2.7), (0, 0, 0)).affine_mm[:3, :3]
    affine[:3, 3] = (-12.345678901, 7.0 / 3.0, 55.5)
    return Grid(shape, affine, FRAME)


def stacked_downwards(grid: Grid) -> Grid:
    """Return the grid with its slices in the opposite order, over the same voxels."""
    affine = np.array(grid.affine_mm)
    affine[:3, 3] = grid.to_lps_mm([grid.shape[0] - 1, 0, 0])
    affine[:3, 0] *= -1
    return Grid(grid.shape, affine, grid.frame_of_reference_uid)


def centres_mm(grid: Grid) -> np.ndarray:
    """Return the LPS position of every voxel, shape (*grid, 3)."""
    return grid.to_lps_mm(np.stack(np.indices(grid.shape), axis=-1))


def dose_at_gy(points_mm: np.ndarray) -> np.ndarray:
    """Return the dose at LPS points: linear, different along each axis, so that interpolating it is exact."""
    return 20.0 + np.asarray(points_mm) @ np.array([0.11, -0.07, 0.05])


def dose_map(grid: Grid) -> DoseMap:
    """Return the dose on a grid."""
    return DoseMap(grid, dose_at_gy(centres_mm(grid)))


def segmentation(grid: Grid) -> Segmentation:
    """Return boxes of different size and place; no two alike, none at the centre."""
    label = np.zeros(grid.shape, dtype=np.int16)
    label[2:5, 3:6, 1:5] = 1
    label[3:5, 3:7, 8:11] = 2
    label[6:8, 1:7, 2:9] = 3
    label[7, 8:10, 10:12] = 4
    label[1, 9:11, 3:8] = 5
    label[6, 2, 3:5] = 11
    return Segmentation(grid, label, REGIONS, "test")


def result_document() -> dict[str, Any]:
    """Return what the export reads of a filed result."""
    return {
        "cycle": 2,
        "administration": {"radionuclide": "Lu-177", "start": "2026-03-02T10:26:00+02:00"},
        "provenance": {"created_at": CREATED_AT.isoformat(), "code_version": "0.1.0+abc", "engine": "convolution"},
    }


def export(out: Path, ct_folder: Path, **changes: Any) -> list[Path]:
    """Export the small study; ``changes`` replace arguments."""
    report = out / "report.pdf"
    out.mkdir(exist_ok=True, parents=True)
    report.write_bytes(b"%PDF-1.4 odd length\n%%EOF")
    arguments: dict[str, Any] = {
        "document": result_document(),
        "dose": dose_map(turned_grid()),
        "segmentation": segmentation(ct_grid()),
        "studies": [ct_folder],
        "reference_ct_uid": CT_SERIES,
        "report_pdf": report,
    }
    return export_cycle(out, **(arguments | changes))
