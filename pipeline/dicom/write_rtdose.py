"""The dose map as RTDOSE: absorbed dose in Gy, 32-bit, in the frame of reference of the reference CT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import generate_uid

from pipeline.dicom.export_header import RESEARCH_USE, describe, seal
from pipeline.dicom.export_planes import decimal, frame_offsets_mm, set_planes, stacked_along_normal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.dicom.export_header import ExportFacts, ReferenceSeries
    from pipeline.domain.maps import DoseMap

RT_DOSE_STORAGE = "1.2.840.10008.5.1.4.1.1.481.2"
RT_PLAN_STORAGE = "1.2.840.10008.5.1.4.1.1.481.5"


def rtdose_object(
    dose: DoseMap, reference: ReferenceSeries, facts: ExportFacts, *, bits: Literal[16, 32] = 32
) -> Dataset:
    """Return the dose map as an RT Dose object.

    Parameters
    ----------
    dose : DoseMap
        On a grid at right angles, in the space of the reference CT.
    reference : ReferenceSeries
    facts : ExportFacts
    bits : {16, 32}
        Of the stored values. 16 only makes a twin for checkers that cannot read 32.

    Raises
    ------
    RefusalError
        ``GEOMETRY_INVALID``.

    Notes
    -----
    DICOM PS3.3 A.18.3 and C.8.8.3. The grid is that of the dose; nothing is resampled.
    """
    grid, values = stacked_along_normal(dose.grid, np.asarray(dose.dose_gy))
    dataset = Dataset()
    describe(
        dataset,
        reference,
        facts,
        modality="RTDOSE",
        index=0,
        description=f"Absorbed dose cycle {facts.cycle} ({RESEARCH_USE})",
    )
    dataset.OperatorsName = ""
    dataset.FrameOfReferenceUID = reference.grid.frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""
    set_planes(dataset, grid)
    _set_meaning(dataset, dose, reference, facts)
    dataset.GridFrameOffsetVector = frame_offsets_mm(grid)
    _set_pixels(dataset, values, bits)
    return seal(dataset, RT_DOSE_STORAGE)


def _set_meaning(dataset: Dataset, dose: DoseMap, reference: ReferenceSeries, facts: ExportFacts) -> None:
    dataset.DoseUnits = "GY"
    dataset.DoseType = "PHYSICAL"
    # No term means a radionuclide cycle. Readers know PLAN, which asks for the identity of a plan (C.8.8.3); matRad and
    # others fail without it. The UID stands for the cycle: no plan object is written, lest it be taken for a treatment.
    dataset.DoseSummationType = "PLAN"
    dataset.ReferencedRTPlanSequence = [_cycle_reference(reference, facts)]
    dataset.DoseComment = _comment(dose, reference)
    dataset.DerivationDescription = (
        f"Absorbed dose of {facts.radionuclide} therapy cycle {facts.cycle} from SPECT/CT, engine {facts.engine}, "
        f"not corrected for partial volume. {RESEARCH_USE.capitalize()}."
    )


def _cycle_reference(reference: ReferenceSeries, facts: ExportFacts) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = RT_PLAN_STORAGE
    item.ReferencedSOPInstanceUID = generate_uid(
        entropy_srcs=["radionuclide therapy cycle", str(reference.header.StudyInstanceUID), str(facts.cycle)]
    )
    return item


def _comment(dose: DoseMap, reference: ReferenceSeries) -> str:
    """Return what a reader must know, in 64 characters."""
    if not reference.frame_is_stated:
        return "Radionuclide therapy, no RT Plan; CT has no frame of reference"
    if dose.grid.frame_of_reference_uid != reference.grid.frame_of_reference_uid:
        return "Radionuclide therapy, no RT Plan; SPECT-CT alignment unverified"
    return "Radionuclide therapy; no RT Plan exists"


def _set_pixels(dataset: Dataset, dose_gy: NDArray[np.floating], bits: Literal[16, 32]) -> None:
    """Store the dose in whole steps of the scaling as it is written, so that reading gives back what was meant."""
    highest = 2**bits - 2
    peak_gy = float(dose_gy.max())
    scaling = decimal(peak_gy / highest if peak_gy > 0 else 1.0)
    stored = np.rint(np.asarray(dose_gy, dtype=np.float64) / float(scaling))
    dataset.DoseGridScaling = scaling
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = dose_gy.shape
    dataset.FrameIncrementPointer = Tag("GridFrameOffsetVector")
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.add_new("PixelData", "OW", stored.astype(f"<u{bits // 8}").tobytes())
