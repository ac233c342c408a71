"""The voxel map against the regions' curves."""

from __future__ import annotations

import pytest

from pipeline.domain.regions import Region
from pipeline.physics.voxels.agreement import agreement_flags


@pytest.mark.parametrize(
    ("name", "kind", "off", "flagged"),
    [
        ("liver", "organ", 0.049, False),
        ("liver", "organ", -0.051, True),
        ("remainder", "remainder", 0.051, True),
        ("lesion-1", "lesion", -0.09, False),
        ("lesion-1", "lesion", 0.11, True),
        ("aorta", "blood", -1.0, True),
    ],
)
def test_the_difference_is_flagged_with_its_number(name: str, kind: str, off: float, flagged: bool) -> None:
    region = Region(1, name, None, kind, "test")  # type: ignore[arg-type]
    flags = agreement_flags([region], [(1.0 + off) * 5e13], [5e13])
    assert [(flag.code, flag.level, flag.region) for flag in flags] == [("VOXEL_MAP_DIFFERS", "WARN", name)] * flagged
    assert all(f"{100 * off:+.1f} %" in flag.text and "not recovery-corrected" in flag.text for flag in flags)
