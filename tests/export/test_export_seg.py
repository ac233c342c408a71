"""SEG read back twice: by highdicom, and by a decoder of our own that knows only the standard."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from small_study import (
    CT_SERIES,
    CT_STUDY,
    FACTS,
    FRAME,
    REGIONS,
    centres_mm,
    ct_grid,
    segmentation,
    stacked_downwards,
    straight_grid,
    turned_grid,
)

from pipeline.dicom.export_header import ReferenceSeries, encoded
from pipeline.dicom.write_seg import can_be_written, seg_object
from pipeline.domain.geometry import Grid
from pipeline.domain.regions import Region, Segmentation
from pipeline.steps.export import on_grid

OWN_GRIDS = {
    "CT": ct_grid(),
    "CT, slices downwards": stacked_downwards(ct_grid()),
    "coarser than the CT": straight_grid((10, 12, 13), (4.8, 4.8, 4.8), (-20.0, -31.0, 41.0)),
    "turned": turned_grid((10, 12, 13)),
    "turned, slices downwards": stacked_downwards(turned_grid((10, 12, 13))),
}
PRESENT = [region for region in REGIONS if region.key != "lesion-2"]


def written(grid: Grid, reference: ReferenceSeries) -> Dataset:
    """Return the SEG as its file is read."""
    dataset = seg_object(segmentation(grid), reference, FACTS)
    assert dataset is not None
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(encoded(dataset)))


def points_of(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return the LPS centres of each segment's voxels by DICOM PS3.3 C.7.6.2.1.1 and C.8.20.2, without highdicom."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    along_row, along_column = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient).reshape(2, 3)
    row_mm, column_mm = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    size = (int(dataset.NumberOfFrames), int(dataset.Rows), int(dataset.Columns))
    bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")[: np.prod(size)]
    names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in dataset.SegmentSequence}
    found: dict[str, list[np.ndarray]] = {name: [] for name in names.values()}
    for frame, groups in zip(bits.reshape(size), dataset.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.array([float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient])
        rows, columns = np.nonzero(frame)
        points = position + rows[:, None] * row_mm * along_column + columns[:, None] * column_mm * along_row
        found[names[int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)]].append(points)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def in_order(points: np.ndarray) -> np.ndarray:
    rounded = np.round(points, 3)
    return rounded[np.lexsort(rounded.T)]


@pytest.mark.parametrize("name", OWN_GRIDS)
def test_every_voxel_lies_where_it_was_drawn(reference: ReferenceSeries, name: str):
    """To 1e-3 mm, each region on its own: nothing is lost, moved or given to a neighbour."""
    drawn, centres = segmentation(OWN_GRIDS[name]), centres_mm(OWN_GRIDS[name])
    found = points_of(written(OWN_GRIDS[name], reference))
    assert set(found) == {region.key for region in PRESENT}
    for region in PRESENT:
        expected = in_order(centres[drawn.mask(region)])
        assert in_order(found[region.key]) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("name", OWN_GRIDS)
def test_highdicom_reads_the_same_labels_on_the_drawn_grid(reference: ReferenceSeries, name: str):
    grid = OWN_GRIDS[name]
    read = highdicom.seg.Segmentation.from_dataset(written(grid, reference))
    geometry = highdicom.VolumeGeometry(
        grid.affine_mm, grid.shape, coordinate_system="PATIENT", frame_of_reference_uid=FRAME
    )
    volume = read.get_volume(combine_segments=True).match_geometry(geometry)
    drawn = segmentation(grid)
    for number, region in enumerate(PRESENT, start=1):
        assert np.array_equal(volume.array == number, drawn.mask(region))


def test_frames_on_the_ct_grid_name_their_slice(reference: ReferenceSeries):
    dataset = written(ct_grid(), reference)
    heights = {str(plane.SOPInstanceUID): float(plane.ImagePositionPatient[2]) for plane in reference.slices}
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert float(groups.PlanePositionSequence[0].ImagePositionPatient[2]) == heights[source]
    assert len(heights) == ct_grid().shape[0]
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == CT_SERIES


def test_anatomy_is_coded_as_the_context_groups_say(reference: ReferenceSeries):
    """SNOMED CT codes of PS3.16 CID 7150, 7151, 244; the same numbers as in section 6.5 of the specification."""
    segments = {str(item.SegmentLabel): item for item in written(ct_grid(), reference).SegmentSequence}
    types = {name: code(item.SegmentedPropertyTypeCodeSequence) for name, item in segments.items()}
    assert types == {
        "kidney_left": ("SCT", "64033007"),
        "kidney_right": ("SCT", "64033007"),
        "liver": ("SCT", "10200004"),
        "spleen": ("SCT", "78961009"),
        "marrow": ("SCT", "14016003"),
        "lesion-1": ("SCT", "108369006"),
    }
    assert modifier(segments["kidney_left"]) == ("SCT", "7771000")
    assert modifier(segments["kidney_right"]) == ("SCT", "24028007")
    assert modifier(segments["liver"]) is None
    assert code(segments["lesion-1"].SegmentedPropertyCategoryCodeSequence) == ("SCT", "49755003")
    assert code(segments["liver"].SegmentedPropertyCategoryCodeSequence) == ("SCT", "91723000")
    assert code(segments["lesion-1"].AnatomicRegionSequence) == ("SCT", "10200004")


def code(sequence: Any) -> tuple[str, str]:
    return (sequence[0].CodingSchemeDesignator, sequence[0].CodeValue)


def modifier(segment: Dataset) -> tuple[str, str] | None:
    found = segment.SegmentedPropertyTypeCodeSequence[0].get("SegmentedPropertyTypeModifierCodeSequence")
    return code(found) if found else None


def test_how_a_contour_came_about_is_said(reference: ReferenceSeries):
    segments = {str(item.SegmentLabel): item for item in written(ct_grid(), reference).SegmentSequence}
    assert (segments["kidney_left"].SegmentAlgorithmType, segments["kidney_left"].SegmentAlgorithmName) == (
        "AUTOMATIC",
        "auto-ct-spect-1",
    )
    assert segments["liver"].SegmentAlgorithmType == "MANUAL"
    assert segments["liver"].SegmentDescription == "organ, contour: contours-file"


def test_lesions_are_tracked_within_their_study_only(reference: ReferenceSeries):
    segments = {str(item.SegmentLabel): item for item in written(ct_grid(), reference).SegmentSequence}
    lesion = segments["lesion-1"]
    assert lesion.TrackingID == "lesion-1"
    moved = written(OWN_GRIDS["turned"], reference)
    assert lesion.TrackingUID in {item.get("TrackingUID") for item in moved.SegmentSequence}
    assert "TrackingUID" not in segments["liver"]
    other_header = copy.deepcopy(reference.header)
    other_header.StudyInstanceUID = CT_STUDY + ".1"
    other = replace(reference, header=other_header)
    assert lesion.TrackingUID not in {item.get("TrackingUID") for item in written(ct_grid(), other).SegmentSequence}


def test_object_is_binary_and_says_what_it_is_for(reference: ReferenceSeries):
    dataset = written(ct_grid(), reference)
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"
    assert (dataset.SegmentationType, dataset.SegmentsOverlap, dataset.BitsAllocated) == ("BINARY", "NO", 1)
    assert (dataset.FrameOfReferenceUID, dataset.StudyInstanceUID) == (FRAME, CT_STUDY)
    assert dataset.SeriesDescription == "Regions cycle 2 (research use only)"
    assert "research use only" in dataset.ContentDescription


def test_a_name_without_a_code_gets_one_of_our_own(reference: ReferenceSeries):
    """More than 16 characters go into Long Code Value (DICOM PS3.3 table 8.8-1)."""
    grid = ct_grid()
    label = np.zeros(grid.shape, dtype=np.int16)
    label[3, 4, 5] = 1
    region = Region(1, "left_submandibular_gland", None, "organ", "contours-file")
    dataset = seg_object(Segmentation(grid, label, (region,), "test"), reference, FACTS)
    assert dataset is not None
    concept = dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0]
    assert concept.CodingSchemeDesignator == "99PRRT"
    assert concept.LongCodeValue == "left_submandibular_gland"


def test_no_region_makes_no_object(reference: ReferenceSeries):
    empty = Segmentation(ct_grid(), np.zeros(ct_grid().shape, dtype=np.int16), REGIONS, "test")
    assert seg_object(empty, reference, FACTS) is None


def test_a_sheared_contour_grid_goes_to_the_ct_grid(reference: ReferenceSeries):
    """Nearest voxel: a label moves by half a voxel at most, and the description says that it may have."""
    straight = straight_grid((10, 12, 13), (4.8, 4.8, 4.8), (-20.0, -31.0, 41.0))
    affine = np.array(straight.affine_mm)
    affine[1, 0] = 0.6
    sheared = Grid(straight.shape, affine, FRAME)
    drawn = segmentation(sheared)
    assert not can_be_written(drawn, reference)
    moved = on_grid(drawn, reference.grid)
    dataset = seg_object(moved, reference, FACTS, resampled=True)
    assert dataset is not None
    assert dataset.SeriesDescription == "Regions cycle 2, nearest voxel on CT grid (research use only)"
    assert len(dataset.SeriesDescription) <= 64
    for key, points in points_of(dataset).items():
        region = next(one for one in REGIONS if one.key == key)
        nearest = np.rint(sheared.to_index(points)).astype(int)
        assert (drawn.label[tuple(nearest.T)] == region.label).all()
