"""RTDOSE read back by another reader (SimpleITK with GDCM) at the same LPS points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from small_study import FACTS, FRAME, centres_mm, dose_at_gy, dose_map, stacked_downwards, straight_grid, turned_grid

from pipeline.dicom.export_header import ReferenceSeries, encoded
from pipeline.dicom.write_rtdose import rtdose_object
from pipeline.domain.geometry import Grid
from pipeline.domain.maps import DoseMap
from pipeline.errors import RefusalError

# The requirement: the same dose at the same point to 0.1 %.
TOLERANCE = 1e-3
GRIDS = {
    "straight": straight_grid((6, 7, 8), (4.8, 4.8, 4.8), (-12.0, -15.0, 30.0)),
    "turned": turned_grid(),
    "turned, slices downwards": stacked_downwards(turned_grid()),
}


def write(folder: Path, dose: DoseMap, reference: ReferenceSeries) -> Path:
    path = folder / "dose.dcm"
    path.write_bytes(encoded(rtdose_object(dose, reference, FACTS)))
    return path


def read_by_simpleitk(path: Path) -> sitk.Image:
    """Return the dose in Gy; SimpleITK reads the geometry and leaves Dose Grid Scaling to its user."""
    stored = sitk.ReadImage(str(path))
    scaling = float(pydicom.dcmread(path, specific_tags=["DoseGridScaling"]).DoseGridScaling)
    return sitk.Cast(stored, sitk.sitkFloat64) * scaling


@pytest.mark.parametrize("name", GRIDS)
def test_another_reader_finds_the_dose_at_the_same_points(tmp_path: Path, reference: ReferenceSeries, name: str):
    grid = GRIDS[name]
    image = read_by_simpleitk(write(tmp_path, dose_map(grid), reference))
    inner = np.array(grid.shape) - 1
    fractions = np.random.default_rng(7).uniform(0.05, 0.95, size=(200, 3))
    points = grid.to_lps_mm(fractions * inner)
    found = np.array([image.EvaluateAtPhysicalPoint(point.tolist(), sitk.sitkLinear) for point in points])
    assert found == pytest.approx(dose_at_gy(points), rel=TOLERANCE)
    # The bound must notice a shift: half a millimetre moves this dose by 0.1 to 0.3 %.
    assert np.abs(dose_at_gy(points + np.array([0.5, -0.5, 0.5])) / found - 1).min() > TOLERANCE


@pytest.mark.parametrize("name", GRIDS)
def test_every_voxel_lies_where_it_lay(tmp_path: Path, reference: ReferenceSeries, name: str):
    """Voxel centres to 1e-3 mm; the decimal strings hold 13 digits."""
    grid = GRIDS[name]
    image = read_by_simpleitk(write(tmp_path, dose_map(grid), reference))
    assert image.GetSize() == grid.shape[::-1]
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T
    written = {tuple(np.round(grid.to_lps_mm(corner), 3)) for corner in corners}
    read = {
        tuple(np.round(image.TransformIndexToPhysicalPoint([int(k) for k in corner[::-1]]), 3)) for corner in corners
    }
    assert read == written


def test_stored_integers_carry_32_bits(reference: ReferenceSeries):
    """Half a step of 30 Gy / 2^32 is 3.5e-9 Gy; the written scaling is the one divided by."""
    grid = straight_grid((2, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    dose = np.random.default_rng(3).uniform(0.0, 30.0, grid.shape)
    dose[0, 0, :2] = (0.0, 30.0)
    dataset = rtdose_object(DoseMap(grid, dose), reference, FACTS)
    stored = np.frombuffer(dataset.PixelData, dtype="<u4").reshape(grid.shape)
    scaling = dataset["DoseGridScaling"].value
    assert len(str(scaling)) <= 16
    assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == (32, 32, 31)
    assert np.abs(stored * float(scaling) - dose).max() < 3.6e-9
    assert stored.max() > 2**32 - 10


@pytest.mark.parametrize("peak_gy", [0.0, 1e-12, 1e-3, 7.24, 123456.7])
def test_scaling_is_a_valid_decimal_string_at_any_dose(reference: ReferenceSeries, peak_gy: float):
    grid = straight_grid((1, 1, 2), (3.0, 3.0, 3.0), (0.0, 0.0, 0.0))
    dataset = rtdose_object(DoseMap(grid, np.array([[[0.0, peak_gy]]])), reference, FACTS)
    written = str(dataset["DoseGridScaling"].value)
    assert len(written) <= 16
    assert float(written) > 0
    stored = np.frombuffer(dataset.PixelData, dtype="<u4")
    assert stored[1] * float(written) == pytest.approx(peak_gy, rel=1e-8)
    assert stored[0] == 0


def test_meaning_of_the_object(reference: ReferenceSeries):
    dataset = rtdose_object(dose_map(turned_grid()), reference, FACTS)
    assert (dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType) == ("GY", "PHYSICAL", "PLAN")
    assert dataset.FrameOfReferenceUID == FRAME
    assert dataset.DoseComment == "Radionuclide therapy; no RT Plan exists"
    assert [float(v) for v in dataset.GridFrameOffsetVector] == pytest.approx([4.1 * k for k in range(9)], abs=1e-9)
    assert dataset.FrameIncrementPointer == 0x3004000C
    assert dataset.SeriesDescription == "Absorbed dose cycle 2 (research use only)"
    # DICOM PS3.3 C.8.8.3: PLAN requires the identity of a plan.
    assert len(dataset.ReferencedRTPlanSequence) == 1


def test_a_dose_of_another_frame_is_said_to_be_unverified(reference: ReferenceSeries):
    grid = turned_grid()
    other = Grid(grid.shape, grid.affine_mm, "1.2.3.77")
    dataset = rtdose_object(dose_map(other), reference, FACTS)
    assert dataset.FrameOfReferenceUID == FRAME
    assert dataset.DoseComment == "Radionuclide therapy, no RT Plan; SPECT-CT alignment unverified"
    assert len(dataset.DoseComment) <= 64


def test_a_sheared_grid_is_refused(reference: ReferenceSeries):
    grid = straight_grid((3, 4, 5), (3.0, 3.0, 3.0), (0.0, 0.0, 0.0))
    affine = np.array(grid.affine_mm)
    affine[1, 0] = 0.3
    sheared = Grid(grid.shape, affine, FRAME)
    with pytest.raises(RefusalError, match="GEOMETRY_INVALID"):
        rtdose_object(DoseMap(sheared, np.ones(sheared.shape)), reference, FACTS)


def test_the_closed_form_dose_is_nowhere_negative():
    """The dose map would refuse it, and a flat one would hide a mix-up."""
    for grid in GRIDS.values():
        values = dose_at_gy(centres_mm(grid))
        assert values.min() > 5
        assert np.ptp(values) > 5
