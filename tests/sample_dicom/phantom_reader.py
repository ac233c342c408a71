"""A reader of its own for the phantoms' files: nothing of the product, only pydicom, nibabel and the standard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pydicom

if TYPE_CHECKING:
    from pathlib import Path


def nm_values_and_z(path: Path) -> tuple[pydicom.Dataset, np.ndarray, np.ndarray]:
    """Stored values by frame and each frame's z, from SliceVector, the position of slice 1 and the signed spacing."""
    ds = pydicom.dcmread(path)
    detector = ds.DetectorInformationSequence[0]
    row, column = np.split(np.asarray(detector.ImageOrientationPatient, float), 2)
    step = float(ds.SpacingBetweenSlices) * np.cross(row, column)
    z = float(detector.ImagePositionPatient[2]) + (np.asarray(ds.SliceVector) - 1) * step[2]
    return ds, ds.pixel_array.astype(float), z


def spect_bq(folder: Path, factor: float, voxel_ml: float) -> np.ndarray:
    """Activity (Bq) of each voxel as the dialect tells it, slices from feet to head."""
    files = sorted(folder.glob("*.dcm"))
    if len(files) > 1:
        planes = sorted((pydicom.dcmread(f) for f in files), key=lambda ds: float(ds.ImagePositionPatient[2]))
        return np.stack([p.pixel_array * float(p.RescaleSlope) + float(p.RescaleIntercept) for p in planes]) * voxel_ml
    ds, stored, z = nm_values_and_z(files[0])
    stored = stored[np.argsort(z)]
    if "RealWorldValueMappingSequence" in ds:
        mapping = ds.RealWorldValueMappingSequence[0]
        return (stored * float(mapping.RealWorldValueSlope) + float(mapping.RealWorldValueIntercept)) * voxel_ml
    return stored / (30.0 * 120) * factor


def ct_hu(folder: Path) -> tuple[list[pydicom.Dataset], np.ndarray]:
    """HU, slices from feet to head."""
    planes = [pydicom.dcmread(f) for f in folder.glob("*.dcm")]
    planes.sort(key=lambda ds: float(ds.ImagePositionPatient[2]))
    return planes, np.stack([p.pixel_array * float(p.RescaleSlope) + float(p.RescaleIntercept) for p in planes])


def contours(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels as (slice, row, column) and the affine from those indices to RAS mm."""
    image = nib.load(folder / "contours.nii.gz")
    swap = np.eye(4)[[2, 1, 0, 3]]
    return np.asarray(image.dataobj).transpose(2, 1, 0), image.affine @ swap
