"""Regions of which a later scan saw a part: the remainder, marrow and blood by the field that all scans share."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.domain.maps import ActivityMap
from pipeline.domain.regions import Region
from pipeline.domain.therapy import CameraProfile
from pipeline.steps.common_field import measured_activities, partly_seen_flags, sharing_labels
from pipeline.steps.integrate import Integration, integrate
from tests.steps.test_integrate_and_plausibility import GRID, LU, Site, sphere, timing

HOURS = (24.0, 96.0, 168.0)
UNSEEN_SLICES = 5
BARE = CameraProfile("c", (), 1.0, 0.03, 30.0, 120, 0.0, "none", None)


def covered(unseen: int = UNSEEN_SLICES) -> np.ndarray:
    seen = np.ones(GRID.shape, dtype=bool)
    seen[:unseen] = False
    return seen


def patient(unseen: int, faint: float = 1.0) -> list[ActivityMap]:
    """A kidney of 51 h in a rest of 80 h, whose first slices are fainter and missing from the later scans."""
    inside = sphere().fraction[0] > 0
    level = np.where(covered(UNSEEN_SLICES), 1.0, faint)
    maps = []
    for number, hours in enumerate(HOURS):
        values = 1e4 * level * np.where(inside, 20.0 * 2.0 ** (-hours / 51.0), 2.0 ** (-hours / 80.0))
        values[: unseen if number else 0] = 0.0
        maps.append(ActivityMap(GRID, values.astype(np.float32)))
    return maps


def integrated(unseen: int, faint: float = 1.0) -> Integration:
    times, seen = [timing(hours) for hours in HOURS], covered(unseen)
    return integrate(patient(unseen, faint), times, sphere(), [BARE] * 3, Site(), LU, seen)  # type: ignore[arg-type]


@pytest.mark.parametrize("faint", [1.0, 0.1])
def test_the_remainder_keeps_half_life_and_tia_where_later_scans_saw_a_part(faint: float) -> None:
    """80 h and the whole TIA, within 0.1 % (single precision), however faint what only the first scan saw."""
    whole, cut = integrated(0, faint), integrated(UNSEEN_SLICES, faint)
    for all_seen, part_seen in zip(whole.regions, cut.regions, strict=True):
        assert part_seen.estimate.tia_bq_s == pytest.approx(all_seen.estimate.tia_bq_s, rel=1e-3)
        assert part_seen.measured_bq[0] == all_seen.measured_bq[0]
    assert cut.regions[-1].estimate.effective_half_life_s == pytest.approx(80.0 * 3600.0, rel=1e-3)


def test_the_part_seen_is_told_and_the_map_is_compared_in_it() -> None:
    (flag,) = integrated(UNSEEN_SLICES).flags
    assert (flag.code, flag.level, flag.region) == ("REGION_PARTLY_UNSEEN", "WARN", "remainder")
    # 19 of 24 slices, of whose voxels 377 are the kidney's.
    assert "79 % of its volume, 79 % of its activity" in flag.text
    assert integrated(0).flags == ()


def test_marrow_and_blood_are_scaled_and_flagged_organs_are_for_the_gate() -> None:
    kinds = {"marrow": "marrow", "aorta": "blood", "liver": "organ"}
    regions = [Region(n, name, None, kind, "test") for n, (name, kind) in enumerate(kinds.items(), start=1)]  # type: ignore[arg-type]
    fractions = np.zeros((4, *GRID.shape), dtype=np.float32)
    for row in range(3):
        fractions[row, 3:13, 4 * row : 4 * row + 2, 4:8] = 1.0
    fractions[3, 20:] = 1.0
    found = measured_activities(patient(UNSEEN_SLICES), fractions, covered())
    assert list(found.seen_volume) == pytest.approx([0.8, 0.8, 0.8, 1.0])
    falls = found.activity_bq[1:] / found.activity_bq[0]
    np.testing.assert_allclose(falls[:, 0], [2.0 ** (-72 / 80), 2.0 ** (-144 / 80)], rtol=1e-5)
    flags = partly_seen_flags(regions, found)
    assert [(f.region, f.level) for f in flags] == [("marrow", "WARN"), ("aorta", "WARN")]


def test_a_region_that_no_later_scan_saw_has_no_activity_there() -> None:
    fractions = np.zeros((1, *GRID.shape), dtype=np.float32)
    fractions[0, :3] = 1.0
    found = measured_activities(patient(UNSEEN_SLICES), fractions, covered())
    assert found.seen_volume[0] == found.seen_activity[0] == 0.0
    assert found.activity_bq[0, 0] > 0.0
    assert list(found.activity_bq[1:, 0]) == [0.0, 0.0]


def test_voxels_share_half_lives_inside_the_organ_or_lesion_they_mostly_lie_in() -> None:
    regions = [Region(7, "liver", None, "organ", "t"), Region(3, "aorta", None, "blood", "t")]
    regions.append(Region(9, "lesion-1", None, "lesion", "t"))
    fractions = np.zeros((4, 1, 1, 5), dtype=np.float32)
    fractions[0, 0, 0] = [1.0, 0.6, 0.4, 0.0, 0.0]
    fractions[1, 0, 0] = [0.0, 0.0, 0.0, 1.0, 0.0]
    fractions[2, 0, 0] = [0.0, 0.4, 0.6, 0.0, 0.0]
    assert sharing_labels(regions, fractions).ravel().tolist() == [1, 1, 3, 0, 0]
