"""SPECT in three dialects and CT, as files. Arrays come as (slice from feet to head, row, column)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, NuclearMedicineImageStorage, PositronEmissionTomographyImageStorage

from pipeline.units import MS_PER_SECOND, SECONDS_PER_HOUR
from sample_dicom.headers import (
    IDENTITY_ORIENTATION,
    code,
    common_header,
    decimal,
    energy_window,
    radiopharmaceutical,
    save,
    stamp_reprocessed,
    time_text,
)
from sample_dicom.kinetics import LN2, LU177_HALF_LIFE_H
from sample_dicom.scanner import ACQUISITION_S, FRAME_DURATION_S, PROJECTIONS, rounded_by_region

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from sample_dicom.headers import Visit
    from sample_dicom.scene import Labels

NM_FULL_SCALE: Final = 65_000  # of 65 535
PET_FULL_SCALE: Final = 32_000
MODEL_OF_DIALECT: Final = {"nm-counts": "NM-COUNTS", "nm-rwv": "NM-RWV", "pet-bqml": "PET-BQML"}


@dataclass(frozen=True, eq=False)
class SpectImage:
    """The image to be stored: mean activity (Bq) of each voxel over the acquisition.

    ``labels`` (perfect only) lets rounding keep the total of every region.
    """

    grid: Grid
    activity_bq: NDArray[np.float32]
    labels: Labels | None
    factor_bq_s_per_count: float


def write_spect(folder: Path, visit: Visit, image: SpectImage, dialect: str) -> None:
    """Write one SPECT series in its dialect into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    {"nm-counts": _write_nm_counts, "nm-rwv": _write_nm_rwv, "pet-bqml": _write_pet}[dialect](folder, visit, image)


def _write_nm_counts(folder: Path, visit: Visit, image: SpectImage) -> None:
    """Counts summed over all projections, no slope; frames from head to feet."""
    counts = image.activity_bq * (FRAME_DURATION_S * PROJECTIONS / image.factor_bq_s_per_count)
    ds = _nm_header(visit, image.grid, "nm-counts")
    stored = _integers(counts, image.labels)
    ds.CountsAccumulated = int(min(stored.sum(), 2**31 - 1))
    _put_frames(ds, stored[::-1], np.arange(1, len(stored) + 1))
    save(ds, folder / "spect.dcm")


def _write_nm_rwv(folder: Path, visit: Visit, image: SpectImage) -> None:
    """Bq/mL through a Real World Value Mapping; a Rescale Slope of 1 stands beside it; frames from feet to head."""
    bq_per_ml = image.activity_bq / np.float32(image.grid.voxel_volume_ml)
    slope = decimal(float(bq_per_ml.max()) / NM_FULL_SCALE)
    ds = _nm_header(visit, image.grid, "nm-rwv")
    ds.RescaleIntercept, ds.RescaleSlope = 0.0, 1.0
    mapping = Dataset()
    mapping.RealWorldValueFirstValueMapped, mapping.RealWorldValueLastValueMapped = 0, 65535
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, slope
    mapping.LUTExplanation = "activity concentration"
    mapping.LUTLabel = "BQML"
    mapping.MeasurementUnitsCodeSequence = [code("UCUM", "Bq/ml", "Becquerels/milliliter")]
    ds.RealWorldValueMappingSequence = [mapping]
    stored = _integers(bq_per_ml / np.float32(slope), image.labels)
    _put_frames(ds, stored, np.arange(len(stored), 0, -1))
    save(ds, folder / "spect.dcm")


def _integers(values: NDArray[np.floating], labels: Labels | None) -> NDArray[np.uint16]:
    whole = np.rint(values) if labels is None else rounded_by_region(values, labels)
    if whole.min() < 0 or whole.max() > 65535:
        message = f"stored values {whole.min()} to {whole.max()} do not fit 16 bits"
        raise OverflowError(message)
    return whole.astype(np.uint16)


def _nm_header(visit: Visit, grid: Grid, dialect: str) -> Dataset:
    """NM of the GE kind: geometry in the detector sequence, negative spacing, position of the top slice."""
    model = MODEL_OF_DIALECT[dialect]
    ds = common_header(visit, series="spect", sop_class=NuclearMedicineImageStorage, model=model)
    stamp_reprocessed(ds, visit)
    ds.Modality = "NM"
    ds.SOPInstanceUID = visit.uid("spect", "image")
    ds.SeriesNumber, ds.InstanceNumber = 2, 1
    ds.SeriesDescription = "RECON TOMO Lu177"
    ds.ImageType = ["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"]
    ds.CorrectedImage = ["ATTN", "SCAT", "UNIF"]
    _nm_geometry(ds, grid)
    ds.NumberOfEnergyWindows = 1
    ds.EnergyWindowInformationSequence = [energy_window()]
    ds.RadiopharmaceuticalInformationSequence = [radiopharmaceutical(visit, in_mbq=True)]
    rotation = Dataset()
    rotation.StartAngle, rotation.AngularStep, rotation.ScanArc = 0.0, 0.0, 0.0
    rotation.RotationDirection = "CC"
    rotation.ActualFrameDuration = int(FRAME_DURATION_S * MS_PER_SECOND)
    rotation.NumberOfFramesInRotation = 1  # of a reconstruction it tells nothing: the site profile does
    rotation.TableHeight, rotation.TableTraverse = 0.0, 0.0
    ds.RotationInformationSequence = [rotation]
    ds.NumberOfRotations = 1
    ds.TypeOfDetectorMotion = "STEP AND SHOOT"
    return ds


def _nm_geometry(ds: Dataset, grid: Grid) -> None:
    dz, dy, dx = grid.spacing_mm
    ds.PixelSpacing = [dy, dx]
    ds.SliceThickness = dz
    ds.SpacingBetweenSlices = -dz
    detector = Dataset()
    detector.CollimatorGridName, detector.CollimatorType = "MEGP", "PARA"
    detector.ZoomFactor = [1.0, 1.0]
    detector.ImagePositionPatient = _position(grid, grid.shape[0] - 1)
    detector.ImageOrientationPatient = IDENTITY_ORIENTATION
    ds.DetectorInformationSequence = [detector]
    ds.NumberOfDetectors = 1


def _position(grid: Grid, k: int) -> list[float]:
    return [decimal(v) for v in grid.to_lps_mm((k, 0, 0)).tolist()]


def _put_frames(ds: Dataset, frames: NDArray[np.uint16], slice_vector: NDArray[np.int64]) -> None:
    ds.FrameIncrementPointer = Tag("SliceVector")
    ds.NumberOfFrames = ds.NumberOfSlices = len(frames)
    ds.SliceVector = [int(k) for k in slice_vector]
    _put_pixels(ds, frames, signed=False)


def _put_pixels(ds: Dataset, pixels: NDArray[np.uint16] | NDArray[np.int16], *, signed: bool) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape[-2:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation = int(signed)
    ds.add_new("PixelData", "OW", np.ascontiguousarray(pixels).tobytes())


def start_correction() -> float:
    """Factor from the mean over the acquisition to its start, physical decay only (Decay Correction START)."""
    decays = LN2 / (LU177_HALF_LIFE_H * SECONDS_PER_HOUR) * ACQUISITION_S
    return float(decays / -np.expm1(-decays))


def _write_pet(folder: Path, visit: Visit, image: SpectImage) -> None:
    """Bq/mL in the PET IOD, one file per slice, each with its own slope, corrected to the acquisition's start."""
    bq_per_ml = image.activity_bq * np.float32(start_correction() / image.grid.voxel_volume_ml)
    ds = _pet_header(visit, image.grid)
    for k, plane in enumerate(bq_per_ml):
        slope = decimal(max(float(plane.max()), 1.0) / PET_FULL_SCALE)
        ds.SOPInstanceUID = visit.uid("spect", k)
        ds.InstanceNumber = len(bq_per_ml) - k
        ds.ImageIndex = len(bq_per_ml) - k
        ds.ImagePositionPatient = _position(image.grid, k)
        ds.SliceLocation = ds.ImagePositionPatient[2]
        ds.RescaleIntercept, ds.RescaleSlope = 0.0, slope
        labels = None if image.labels is None else image.labels[k]
        _put_pixels(ds, _integers(plane / np.float32(slope), labels), signed=False)
        save(ds, folder / f"spect-{ds.InstanceNumber:03d}.dcm")


def _pet_header(visit: Visit, grid: Grid) -> Dataset:
    """PET IOD as a quantitative SPECT system writes it."""
    model = MODEL_OF_DIALECT["pet-bqml"]
    ds = common_header(visit, series="spect", sop_class=PositronEmissionTomographyImageStorage, model=model)
    stamp_reprocessed(ds, visit)
    ds.Modality = "PT"
    ds.SeriesNumber = 2
    ds.SeriesDescription = "Lu177 quantitative SPECT - AC"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SeriesType = ["STATIC", "IMAGE"]
    ds.Units = "BQML"
    ds.CountsSource = "EMISSION"
    ds.CollimatorType = "PARA"
    ds.NumberOfSlices = grid.shape[0]
    ds.CorrectedImage = ["UNIF", "ATTN", "SCAT", "DECY"]
    ds.DecayCorrection = "START"
    ds.DecayFactor = decimal(start_correction())
    ds.FrameReferenceTime = 0.0
    ds.ActualFrameDuration = int(ACQUISITION_S * MS_PER_SECOND)
    ds.AttenuationCorrectionMethod = "CT-derived mu-map"
    ds.ScatterCorrectionMethod = "TEW"
    ds.ReconstructionMethod = "OSEM"
    ds.EnergyWindowRangeSequence = energy_window().EnergyWindowRangeSequence
    ds.RadiopharmaceuticalInformationSequence = [radiopharmaceutical(visit, in_mbq=False)]
    _plane_geometry(ds, grid)
    return ds


def _plane_geometry(ds: Dataset, grid: Grid) -> None:
    dz, dy, dx = grid.spacing_mm
    ds.PatientPosition = "HFS"
    ds.PixelSpacing = [dy, dx]
    ds.SliceThickness = dz
    ds.ImageOrientationPatient = IDENTITY_ORIENTATION


def write_ct(folder: Path, visit: Visit, grid: Grid, hu: NDArray[np.int16]) -> None:
    """Write one CT series, one file per slice, head first, stored as HU + 1024 with intercept -1024."""
    folder.mkdir(parents=True, exist_ok=True)
    ds = common_header(visit, series="ct", sop_class=CTImageStorage, model="CT")
    ds.Modality = "CT"
    ds.SeriesDate, ds.SeriesTime = ds.AcquisitionDate, ds.AcquisitionTime
    ds.ContentDate, ds.ContentTime = ds.AcquisitionDate, time_text(visit.acquisition_start)
    ds.SeriesNumber, ds.AcquisitionNumber = 1, 1
    ds.SeriesDescription = "CT low dose"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.KVP = 120.0
    ds.ConvolutionKernel = "SOFT"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024.0, 1.0, "HU"
    _plane_geometry(ds, grid)
    for k, plane in enumerate(hu):
        ds.SOPInstanceUID = visit.uid("ct", k)
        ds.InstanceNumber = len(hu) - k
        ds.ImagePositionPatient = _position(grid, k)
        ds.SliceLocation = ds.ImagePositionPatient[2]
        _put_pixels(ds, (plane + np.int16(1024)).astype(np.int16), signed=True)
        save(ds, folder / f"ct-{ds.InstanceNumber:03d}.dcm")
