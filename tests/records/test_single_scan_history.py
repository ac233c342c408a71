"""What the record tells a cycle of one scan: the last full cycle's half-lives, creatinine, lesion volume."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from record_examples import AT, SETTINGS, region, result

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import DensityMap
from pipeline.domain.nuclide import Radionuclide
from pipeline.domain.regions import Region, Segmentation
from pipeline.physics.earlier_cycles import EarlierCurves
from pipeline.physics.single_scan import HalfLifePrior
from pipeline.records import RecordStore
from pipeline.steps.delineate import Delineation
from pipeline.steps.single_scan_cycle import half_lives_of, history_of

LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
TWO: list[dict[str, Any]] = [{"delay_s": 86400.0}, {"delay_s": 345600.0}]
TIMED = [point | {"acquisition_duration_s": 1800.0} for point in TWO]
POINTS = [{"delay_s": 86400.0, "activity_bq": 8e7}, {"delay_s": 345600.0, "activity_bq": 3e7}]
CURVE = {"model": "mono", "effective_half_life_sigma_s": 9000.0}
NOW = {"patient_key": "phantom-1", "cycle": 3, "start": "2026-06-20T10:00:00+02:00", "radionuclide": "Lu-177"}


def _regions(*, flags: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    return [
        region("kidney", 4.0, laterality="left", curve=CURVE, flags=list(flags), activity=POINTS),
        region("lesion-1", 20.0, mass_g=21.0, kind="lesion", host="liver", curve=CURVE),
        region("marrow", 0.1, kind="marrow", curve=None),
    ]


def _file(store: RecordStore, cycle: int, start: str, points: list[dict[str, Any]], **other: Any) -> None:
    document = result(cycle, start, time_points=points, regions=_regions(), **other)
    store.file_cycle(document=document, idempotency_key=f"key-{cycle}", settings=SETTINGS, created_at=AT.isoformat())


def test_the_last_full_cycle_counts(store: RecordStore, url: str) -> None:
    _file(store, 1, "2026-03-02T10:00:00+01:00", TWO)
    _file(store, 2, "2026-04-28T10:00:00+02:00", TWO[:1])
    history = history_of(url, NOW)
    assert history["cycle"] == 1
    # Marrow by blood has no image curve: nothing to reuse.
    assert set(history["regions"]) == {"kidney_left", "lesion-1"}
    assert history["regions"]["kidney_left"]["half_life_s"] == 180000.0
    assert history["regions"]["kidney_left"]["sigma_s"] == 9000.0
    assert history["lesion_volume_ml"] == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("values", "ratio"),
    [
        ({"2026-02-25": 80.0, "2026-06-10": 100.0}, 1.25),
        ({"2026-02-01": 70.0, "2026-02-25": 80.0, "2026-04-20": 90.0, "2026-06-10": 96.0, "2026-06-25": 500.0}, 1.2),
        ({"2026-06-10": 100.0}, None),
        ({"2026-02-25": 80.0}, None),
        ({}, None),
    ],
)
def test_creatinine_then_and_now(store: RecordStore, url: str, values: dict[str, float], ratio: float | None) -> None:
    # Then: the last one up to the full cycle of 2 March; now: the last one since, up to 20 June.
    _file(store, 1, "2026-03-02T10:00:00+01:00", TWO)
    if values:
        rows = [{"date": day, "wbc": 5.0, "creatinine": value} for day, value in values.items()]
        store.add_labs("phantom-1", rows, at=AT)
    found = history_of(url, NOW)["creatinine_ratio"]
    assert found == (None if ratio is None else pytest.approx(ratio))


def test_no_full_cycle(store: RecordStore, url: str) -> None:
    assert history_of(url, NOW) == {"cycle": None}
    _file(store, 1, "2026-03-02T10:00:00+01:00", TWO[:1])
    assert history_of(url, NOW) == {"cycle": None}
    # A later cycle is not an earlier one.
    assert history_of(url, NOW | {"cycle": 1}) == {"cycle": None}


def test_another_nuclide_tells_nothing(store: RecordStore, url: str) -> None:
    _file(store, 1, "2026-03-02T10:00:00+01:00", TWO)
    assert history_of(url, NOW | {"radionuclide": "Y-90"}) == {"cycle": None}


def _delineation(lesion_ml: float, host: str | None = None) -> Delineation:
    """One lesion of so many mL, in voxels of 1 mL."""
    grid = Grid((1, 1, 200), np.diag([10.0, 10.0, 10.0, 1.0]), "1.2.3")
    label = (np.arange(200) < lesion_ml).astype(np.int16).reshape(grid.shape)
    lesion = Region(1, "lesion-1", None, "lesion", "auto", host=host)
    density = DensityMap(grid, np.ones(grid.shape, dtype=np.float32))
    whole = np.ones(grid.shape, dtype=np.float32)
    return Delineation(Segmentation(grid, label, (lesion,), "test"), density, density, whole[None], whole, ())


def _known(url: str, lesion_ml: float = 20.0, host: str | None = None) -> dict[str, Any]:
    history = history_of(url, NOW) | {"lesion_volume_ml": lesion_ml, "creatinine_ratio": 1.0}
    extras = {"new_hydronephrosis": False}
    return half_lives_of(history, extras, _delineation(lesion_ml, host), 3, 86400.0, LU, "extrapolate")


@pytest.mark.parametrize(
    ("lesion_ml", "host", "reused"),
    [(20.0, None, True), (11.0, "liver", True), (39.0, None, True), (9.0, None, False), (41.0, None, False),
     (20.0, "bone", False)],
)  # fmt: skip
def test_a_lesion_of_another_size_or_organ_is_another_lesion(
    store: RecordStore, url: str, lesion_ml: float, host: str | None, reused: bool
) -> None:
    # 20 mL in the liver then; lesions are numbered anew in every cycle. Half to twice, as for all lesions together.
    _file(store, 1, "2026-03-02T10:00:00+01:00", TIMED)
    known = _known(url, lesion_ml, host)
    assert ("lesion-1" in known) == reused
    assert "kidney_left" in known


def test_two_full_cycles_are_used_together(store: RecordStore, url: str) -> None:
    _file(store, 1, "2026-03-02T10:00:00+01:00", TIMED)
    _file(store, 2, "2026-04-28T10:00:00+02:00", TIMED)
    history = history_of(url, NOW)
    assert (history["cycle"], [one["cycle"] for one in history["earlier"]]) == (2, [1])
    assert history["regions"]["kidney_left"]["points"] == [[86400.0, 1800.0, 8e7], [345600.0, 1800.0, 3e7]]
    known = _known(url)
    kidney = known["kidney_left"]
    assert isinstance(kidney, EarlierCurves)
    assert kidney.source == "cycles 1, 2 of this patient together"
    # The middle of half an hour, 900 s later: exp(-ln 2 x 900/574301) of the activity at the start.
    assert kidney.curves[0].time_s.tolist() == [87300.0, 346500.0]
    assert kidney.curves[1].activity_bq[0] == pytest.approx(8e7 * 0.998914, rel=1e-6)
    # No points of the lesion are on record: the last full cycle's half-life.
    assert isinstance(known["lesion-1"], HalfLifePrior)
    assert known["lesion-1"].source == "cycle 2 of this patient"


@pytest.mark.parametrize("first", [TWO, TIMED[:1]])
def test_one_usable_cycle_tells_its_half_life(store: RecordStore, url: str, first: list[dict[str, Any]]) -> None:
    # Without the acquisitions' durations, or with one scan, cycle 1 has no curve to be fitted with.
    _file(store, 1, "2026-03-02T10:00:00+01:00", first)
    _file(store, 2, "2026-04-28T10:00:00+02:00", TIMED)
    kidney = _known(url)["kidney_left"]
    assert isinstance(kidney, HalfLifePrior)
    assert kidney.source == "cycle 2 of this patient"
