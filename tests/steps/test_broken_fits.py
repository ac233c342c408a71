"""In the walk a curve off its fit blocks and a value not above zero leaves its region out."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.domain.dose import Flag
from pipeline.domain.geometry import Grid
from pipeline.domain.maps import ActivityMap, DensityMap
from pipeline.domain.nuclide import Radionuclide
from pipeline.domain.regions import Region, Segmentation
from pipeline.domain.therapy import CameraProfile, TimePointTiming
from pipeline.errors import RefusalError
from pipeline.steps.delineate import Delineation
from pipeline.steps.integrate import Integration, integrate
from pipeline.steps.marrow import MarrowInput, marrow_regions

LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.0351, "test", "physics page")
GRID = Grid((12, 12, 12), np.diag([4.8, 4.8, 4.8, 1.0]), "1.2.3")
SCANS_H = (24.0, 96.0, 168.0)


class Site:
    """The three keys that integration reads."""

    head_rule, tail_rule, relative_error_without_sigma = "extrapolate", "fitted", 0.05


KINDS = {"kidney": "organ", "liver": "organ", "lesion-1": "lesion", "aorta": "blood", "marrow": "marrow"}


def integrated(last: float, name: str = "lesion-1", first_two: tuple[float, float] = (7.2, 2.7)) -> Integration:
    """Return a cube that holds ``first_two`` and ``last`` kBq/mL; around it 1 % of a 50.9 h curve."""
    inside = np.zeros(GRID.shape, dtype=bool)
    inside[3:9, 3:9, 3:9] = True
    region = Region(1, name, "left" if name == "kidney" else None, KINDS[name], "file")  # type: ignore[arg-type]
    ones = np.ones(GRID.shape, dtype=np.float32)
    segmentation = Segmentation(GRID, inside.astype(np.int16), (region,), "test")
    density = DensityMap(GRID, ones)
    delineation = Delineation(segmentation, density, density, np.stack([inside, ~inside]).astype("f4"), ones, ())
    around = [72.0 * 2.0 ** (-(hours - 24.0) / 50.9) for hours in SCANS_H]
    values = [1e3 * value for value in (*first_two, last)]
    maps = [ActivityMap(GRID, np.where(inside, v, a).astype("f4")) for v, a in zip(values, around, strict=True)]
    times = [TimePointTiming(datetime(2026, 3, 2, tzinfo=UTC), 1.0, hours * 3600.0) for hours in SCANS_H]
    camera = CameraProfile("c", (), 1.0, 0.03, 30.0, 120, 0.0, "none", None)
    return integrate(maps, times, delineation, [camera] * 3, Site(), LU)  # type: ignore[arg-type]


def levels(found: Integration, name: str = "lesion-1") -> dict[str, str]:
    return {flag.code: flag.level for flag in found.flags if flag.region == name}


def test_a_curve_on_its_fit_raises_nothing() -> None:
    assert not {"FIT_POOR", "FIT_BROKEN", "REGION_LEFT_OUT"} & set(levels(integrated(1.01)))


def test_a_poor_fit_warns_and_a_broken_one_blocks() -> None:
    poor, broken = levels(integrated(0.5)), levels(integrated(0.1))
    assert poor["FIT_POOR"] == "WARN"
    assert "FIT_BROKEN" not in poor
    assert broken["FIT_BROKEN"] == "BLOCK"


def test_a_broken_aorta_warns_and_blocks_the_marrow_dose_that_stands_on_it() -> None:
    assert levels(integrated(0.1, "aorta"), "aorta")["FIT_BROKEN"] == "WARN"
    assert [(flag.code, flag.level, flag.region) for flag in marrow_flags("FIT_BROKEN")] == [
        ("FIT_BROKEN", "BLOCK", "marrow")
    ]
    assert marrow_flags("FIT_POOR") == ()


def marrow_flags(code: str) -> tuple[Flag, ...]:
    marrow = {"name": "marrow", "method": "file", "flags": ["FIT_WARN", code]}
    site = SimpleNamespace(marrow_limit_method="image_vertebra")
    given = MarrowInput([marrow], None, site, LU, {}, None)  # type: ignore[arg-type]
    return marrow_regions(given).flags


def test_a_half_life_at_its_lower_bound_blocks() -> None:
    # Half-life 8 h from 24 h on.
    found = integrated(7.2 * 2.0**-18, first_two=(7.2, 7.2 * 2.0**-9))
    assert levels(found)["AT_SHORTEST_LIMIT"] == "BLOCK"


@pytest.mark.parametrize("last", [0.0, -0.01])
def test_a_value_not_above_zero_leaves_a_lesion_out(last: float) -> None:
    # -0.01 was fitted, at a half-life of 10 h.
    found = integrated(last)
    assert "lesion-1" not in {kinetics.region.key for kinetics in found.regions}
    assert levels(found)["REGION_LEFT_OUT"] == "WARN"


def test_the_marrow_left_out_blocks_because_the_rules_need_its_dose() -> None:
    # Row 7 of the decision table refers without it; no row asks for another organ, a vessel or a lesion.
    found = {name: levels(integrated(-0.01, name), name)["REGION_LEFT_OUT"] for name in ("marrow", "liver", "aorta")}
    assert found == {"marrow": "BLOCK", "liver": "WARN", "aorta": "WARN"}


def test_and_stops_a_kidney() -> None:
    with pytest.raises(RefusalError, match="CURVE_NOT_POSITIVE"):
        integrated(-0.01, "kidney")
