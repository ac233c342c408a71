"""The regions as a binary SEG with coded anatomy; highdicom is spoken only here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import highdicom
import numpy as np
from highdicom.seg import Segmentation as SegObject
from highdicom.seg import SegmentDescription
from highdicom.sr import CodedConcept as HighdicomConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from pipeline.dicom.export_header import MANUFACTURER, MODEL, RESEARCH_USE, describe, seal
from pipeline.dicom.export_planes import has_right_angles, stacked_along_normal
from pipeline.domain.geometry import AFFINE_TOLERANCE_MM
from pipeline.domain.regions import code_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.dicom.export_header import ExportFacts, ReferenceSeries
    from pipeline.domain.geometry import Grid
    from pipeline.domain.regions import CodedConcept, Region, Segmentation

SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
_LATERALITY = {"left": codes.SCT.Left, "right": codes.SCT.Right}


def seg_object(
    segmentation: Segmentation, reference: ReferenceSeries, facts: ExportFacts, *, resampled: bool = False
) -> Dataset | None:
    """Return the regions as a binary segmentation, one segment for each region that has a voxel.

    Parameters
    ----------
    segmentation : Segmentation
        On the grid of the reference CT, or on one of its own at right angles (see :func:`can_be_written`).
    reference : ReferenceSeries
    facts : ExportFacts
    resampled : bool
        The labels were taken to the CT grid for this object; its description says so.

    Returns
    -------
    Dataset or None
        None where no region has a voxel.

    Notes
    -----
    DICOM PS3.3 A.51 and C.8.20. On the CT's own grid every frame names the slice it was drawn on.
    """
    present = set(np.unique(segmentation.label).tolist())
    regions = tuple(region for region in segmentation.regions if region.label in present)
    if not regions:
        return None
    dataset = SegObject(
        source_images=list(reference.slices),
        pixel_array=_segment_numbers(segmentation, regions, reference.grid),
        segmentation_type="BINARY",
        segment_descriptions=[
            _segment(number, region, reference, facts) for number, region in enumerate(regions, start=1)
        ],
        series_instance_uid=_dimension_uid(reference),
        series_number=1,
        sop_instance_uid=_dimension_uid(reference),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=facts.code_version,
        device_serial_number=facts.code_version,
        content_label="PRRT_REGIONS",
        content_description=f"Dosimetry regions; {RESEARCH_USE}",
    )
    _make_repeatable(dataset, _dimension_uid(reference))
    where = ", nearest voxel on CT grid" if resampled else ""
    describe(
        dataset,
        reference,
        facts,
        modality="SEG",
        index=1,
        description=f"Regions cycle {facts.cycle}{where} ({RESEARCH_USE})",
    )
    return seal(dataset, SEGMENTATION_STORAGE)


def can_be_written(segmentation: Segmentation, reference: ReferenceSeries) -> bool:
    """Tell whether a SEG can hold the labels on their own grid."""
    return has_right_angles(segmentation.grid) or _lies_on(segmentation.grid, reference.grid)


def _lies_on(grid: Grid, other: Grid) -> bool:
    return grid.shape == other.shape and bool(
        np.allclose(grid.affine_mm, other.affine_mm, rtol=0, atol=AFFINE_TOLERANCE_MM)
    )


def _segment_numbers(
    segmentation: Segmentation, regions: Sequence[Region], ct_grid: Grid
) -> NDArray[np.uint16] | highdicom.Volume:
    """Return segments numbered from 1 on, for the slices of the CT or as a volume with a place of its own."""
    table = np.zeros(int(segmentation.label.max()) + 1, dtype=np.uint16)
    for number, region in enumerate(regions, start=1):
        table[region.label] = number
    grid, labels = stacked_along_normal(segmentation.grid, np.asarray(segmentation.label))
    numbers = np.ascontiguousarray(table[labels])
    if _lies_on(grid, ct_grid):
        return numbers
    return highdicom.Volume(
        numbers, grid.affine_mm, coordinate_system="PATIENT", frame_of_reference_uid=ct_grid.frame_of_reference_uid
    )


def _segment(number: int, region: Region, reference: ReferenceSeries, facts: ExportFacts) -> SegmentDescription:
    is_lesion = region.kind == "lesion"
    automatic = region.method.startswith("auto")
    segment = SegmentDescription(
        segment_number=number,
        segment_label=region.key[:64],
        segmented_property_category=(
            codes.SCT.MorphologicallyAbnormalStructure if is_lesion else codes.SCT.AnatomicalStructure
        ),
        segmented_property_type=_concept(code_of(region.name)),
        algorithm_type="AUTOMATIC" if automatic else "MANUAL",
        algorithm_identification=_algorithm(region, facts) if automatic else None,
        tracking_id=region.key if is_lesion else None,
        tracking_uid=_tracking_uid(region, reference) if is_lesion else None,
        anatomic_regions=[_concept(code_of(region.host))] if region.host else None,
    )
    if region.laterality:
        side = HighdicomConcept.from_code(_LATERALITY[region.laterality])
        segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [side]
    segment.SegmentDescription = f"{region.kind}, contour: {region.method}"
    return segment


def _concept(concept: CodedConcept) -> HighdicomConcept:
    return HighdicomConcept(concept.value, concept.scheme, concept.meaning[:64])


def _algorithm(region: Region, facts: ExportFacts) -> highdicom.AlgorithmIdentificationSequence:
    return highdicom.AlgorithmIdentificationSequence(
        name=region.method,
        family=codes.DCM.MorphologicalOperations,
        version=facts.code_version,
        source=MANUFACTURER,
    )


def _tracking_uid(region: Region, reference: ReferenceSeries) -> str:
    """Return the lesion's identity within its study.

    Lesions are numbered anew in each cycle, so one UID over cycles would claim an identity that nobody checked.
    """
    return generate_uid(entropy_srcs=["lesion", str(reference.header.StudyInstanceUID), region.key])


def _dimension_uid(reference: ReferenceSeries) -> str:
    return generate_uid(entropy_srcs=["dimensions of regions", str(reference.header.StudyInstanceUID)])


def _make_repeatable(dataset: Dataset, dimension_uid: str) -> None:
    """Replace what highdicom makes at random or takes from the clock, so that one content is one object."""
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimension_uid
    for equipment in dataset.ContributingEquipmentSequence:
        del equipment.ContributionDateTime
