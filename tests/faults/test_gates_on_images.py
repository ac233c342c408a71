"""Gates on contours, fields of view and headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import ActivityMap
from pipeline.domain.regions import Region, Segmentation
from pipeline.domain.therapy import CameraProfile
from pipeline.errors import RefusalError
from pipeline.steps import gates
from sample_dicom.scene import centred_grid

SHAPE = (20, 16, 24)
GRID = centred_grid(SHAPE, 10.0, "1.2.3")


def segmentation(places: dict[str, int], *, grid: Grid = GRID) -> Segmentation:
    """Blocks of 4 x 4 x 3 voxels, one per region, at the given column."""
    label = np.zeros(grid.shape, dtype=np.int16)
    regions = []
    for number, (key, column) in enumerate(places.items(), start=1):
        name, _, side = key.partition("_")
        label[8:12, 6:10, column : column + 3] = number
        kind = "lesion" if name.startswith("lesion") else "organ"
        regions.append(Region(number, name, side or None, kind, "contours-file"))
    return Segmentation(grid, label, tuple(regions), "test")


def fractions_of(found: Segmentation) -> np.ndarray:
    return np.stack([found.mask(region) for region in found.regions]).astype(np.float32)


GOOD = {"kidney_left": 16, "kidney_right": 5, "liver": 1, "spleen": 20}


def test_sides_as_the_patient_has_them():
    assert gates.require_sides(segmentation(GOOD)) == ()


def test_swapped_kidneys_are_refused():
    with pytest.raises(RefusalError) as refused:
        gates.require_sides(segmentation({"kidney_left": 5, "kidney_right": 16}))
    assert refused.value.code == "SIDES_SWAPPED"


def test_a_liver_on_the_left_is_for_a_person():
    flags = gates.require_sides(segmentation(GOOD | {"liver": 20, "spleen": 1}))
    assert [(flag.code, flag.level) for flag in flags] == [("LIVER_ON_THE_LEFT", "BLOCK")]


def test_regions_inside_both_fields():
    found = segmentation(GOOD)
    assert gates.require_inside_fields(found, fractions_of(found), GRID, GRID) == ()


def half(grid: Grid) -> Grid:
    return Grid((10, *grid.shape[1:]), grid.affine_mm, grid.frame_of_reference_uid)


def test_a_ct_that_ends_in_a_kidney_is_refused():
    found = segmentation(GOOD)
    with pytest.raises(RefusalError) as refused:
        gates.require_inside_fields(found, fractions_of(found), GRID, half(GRID))
    assert refused.value.code == "REGION_OUTSIDE_FIELD"
    assert "50 %" in refused.value.found


def test_a_spect_that_ends_in_a_lesion_is_flagged():
    found = segmentation({"lesion-1": 5})
    flags = gates.require_inside_fields(found, fractions_of(found)[:, :10], half(GRID), GRID)
    assert [(flag.code, flag.level, flag.region) for flag in flags] == [("REGION_OUTSIDE_FIELD", "BLOCK", "lesion-1")]


def activity(values: np.ndarray) -> ActivityMap:
    return ActivityMap(GRID, values.astype(np.float32))


def test_a_kidney_that_a_later_scan_did_not_see():
    found, full = segmentation(GOOD), np.ones(SHAPE)
    cut = full.copy()
    cut[:10] = 0.0
    with pytest.raises(RefusalError) as refused:
        gates.require_measured([activity(full), activity(cut)], fractions_of(found), found)
    assert (refused.value.code, "time point 2" in refused.value.found) == ("REGION_OUTSIDE_FIELD", True)
    assert gates.require_measured([activity(full), activity(full)], fractions_of(found), found) == ()


def test_an_arm_beside_the_trunk():
    """The grid ends 115 mm beside its middle: only a wider one has room for an arm."""
    wide = centred_grid((4, 4, 60), 10.0, "")
    trunk = np.zeros(wide.shape, dtype=np.float32)
    trunk[..., 14:46] = 1.0
    clean = ActivityMap(wide, trunk)
    assert gates.arm_flags(clean, trunk) == ()
    depot = trunk.copy()
    depot[1:3, 1:3, 53:55] = 12.0
    (flag,) = gates.arm_flags(ActivityMap(wide, depot), trunk)
    assert (flag.code, flag.level) == ("ACTIVITY_IN_ARM", "BLOCK")


ZONE = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("stated", "form", "after_s"),
    [
        ("10:12:00", datetime(2026, 3, 2, 10, 0, tzinfo=ZONE), 720.0),
        ("23:50:00", datetime(2026, 3, 2, 0, 5, tzinfo=ZONE), -900.0),
        ("2026-03-03T10:00:00+01:00", datetime(2026, 3, 2, 10, 0, tzinfo=ZONE), 86400.0),
        ("2026-03-02T10:00:00", datetime(2026, 3, 2, 10, 0, tzinfo=ZONE), 0.0),
        ("2026-03-02T09:00:00+00:00", datetime(2026, 3, 2, 10, 0, tzinfo=ZONE), 0.0),
    ],
)
def test_start_in_the_header_less_start_in_the_form(stated, form, after_s):
    assert gates._after_form_s(stated, form) == after_s
    assert form.astimezone(UTC) is not None


def camera(factor: float | None, sensitivity: float | None) -> CameraProfile:
    return CameraProfile("c", (), factor, 0.03, 30.0, 120, 0.0, "none", None, sensitivity_cps_per_mbq=sensitivity)


def test_a_factor_that_contradicts_the_sensitivity_is_refused_with_both_numbers():
    gates.require_sensitivity(camera(1.11e5, 9.0), "x")
    gates.require_sensitivity(camera(2.22e5, None), "x")
    gates.require_sensitivity(camera(None, 9.0), "x")
    with pytest.raises(RefusalError) as refused:
        gates.require_sensitivity(camera(2.22e5, 9.0), "x")
    assert refused.value.code == "CALIBRATION_CONTRADICTORY"
    assert "4.50" in refused.value.found
    assert "9.00" in refused.value.found
