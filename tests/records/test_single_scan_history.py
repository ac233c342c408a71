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
from pipeline.errors import RefusalError
from pipeline.physics.kinetics.earlier_cycles import EarlierCurves, NotReused
from pipeline.physics.kinetics.single_scan import HalfLifePrior
from pipeline.records import RecordStore
from pipeline.steps.delineate import Delineation
from pipeline.steps.single_scan_cycle import half_lives_of
from pipeline.steps.single_scan_history import history_of

LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
TWO: list[dict[str, Any]] = [{"delay_s": 86400.0}, {"delay_s": 345600.0}]
TIMED = [point | {"acquisition_duration_s": 1800.0} for point in TWO]
POINTS = [{"delay_s": 86400.0, "activity_bq": 8e7}, {"delay_s": 345600.0, "activity_bq": 3e7}]
CURVE = {"model": "mono", "effective_half_life_sigma_s": 9000.0}
NOW = {"patient_key": "phantom-1", "cycle": 3, "start": "2026-06-20T10:00:00+02:00", "radionuclide": "Lu-177"}


def _regions(*, flags: tuple[str, ...] = (), method: str = "contours-file") -> list[dict[str, Any]]:
    return [
        region("kidney", 4.0, laterality="left", curve=CURVE, flags=list(flags), activity=POINTS),
        region("lesion-1", 20.0, mass_g=21.0, kind="lesion", host="liver", method=method, curve=CURVE),
        region("marrow", 0.1, kind="marrow", curve=None),
    ]


def _draft(store: RecordStore, cycle: int, start: str, points: list[dict[str, Any]], **other: Any) -> None:
    document = result(cycle, start, **({"time_points": points, "regions": _regions()} | other))
    key = f"key-{cycle}-{len(other)}"
    store.file_cycle(document=document, idempotency_key=key, settings=SETTINGS, created_at=AT.isoformat())


def _file(store: RecordStore, cycle: int, start: str, points: list[dict[str, Any]], **other: Any) -> None:
    """File a cycle whose doses a physicist signs."""
    _draft(store, cycle, start, points, **other)
    store.sign("phantom-1", cycle, "physicist", "A. Physicist", "reviewed", AT)


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
        # 14 days before and after the full cycle, and 14 days before this one, count; a day more does not.
        ({"2026-02-16": 80.0, "2026-06-06": 96.0}, 1.2),
        ({"2026-03-16": 80.0, "2026-06-20": 96.0}, 1.2),
        ({"2026-02-15": 80.0, "2026-06-06": 96.0}, None),
        ({"2026-03-17": 80.0, "2026-06-06": 96.0}, None),
        ({"2026-02-25": 80.0, "2026-06-05": 96.0}, None),
        # Two years old, and on the day after the full cycle: both were taken.
        ({"2024-01-02": 80.0, "2026-03-03": 82.0}, None),
        ({"2026-02-25": 80.0, "2026-06-21": 100.0}, None),
        ({"2026-06-10": 100.0}, None),
        ({"2026-02-25": 80.0}, None),
        ({}, None),
    ],
)
def test_creatinine_then_and_now(store: RecordStore, url: str, values: dict[str, float], ratio: float | None) -> None:
    # Then: about the full cycle of 2 March; now: before this one of 20 June.
    _file(store, 1, "2026-03-02T10:00:00+01:00", TWO)
    if values:
        rows = [{"date": day, "wbc": 5.0, "creatinine": value} for day, value in values.items()]
        store.add_labs("phantom-1", rows, at=AT)
    history = history_of(url, NOW)
    assert history["creatinine_ratio"] == (None if ratio is None else pytest.approx(ratio))
    assert bool(history["creatinine_missing"]) == (ratio is None)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"2026-02-25": 80.0, "2026-05-01": 80.0}, ("2026-06-06 to 2026-06-20",)),
        ({"2026-06-10": 80.0}, ("2026-02-16 to 2026-03-16",)),
        ({}, ("2026-06-06 to 2026-06-20", "2026-02-16 to 2026-03-16")),
    ],
)
def test_the_refusal_says_which_creatinine_is_missing(
    store: RecordStore, url: str, values: dict[str, float], said: tuple[str, ...]
) -> None:
    _file(store, 1, "2026-03-02T10:00:00+01:00", TIMED)
    rows = [{"date": day, "creatinine": value} for day, value in values.items()]
    if rows:
        store.add_labs("phantom-1", rows, at=AT)
    with pytest.raises(RefusalError) as refusal:
        _known(url, creatinine=None)
    assert refusal.value.code == "SINGLE_SCAN_INSUFFICIENT"
    assert all(dates in refusal.value.found for dates in said)
    assert refusal.value.found.count("no creatinine of") == len(said)
    assert "phantom-1" not in refusal.value.found


def test_one_sample_between_two_close_cycles_is_not_both(store: RecordStore, url: str) -> None:
    _file(store, 1, "2026-06-10T10:00:00+02:00", TWO)
    store.add_labs("phantom-1", [{"date": "2026-06-15", "creatinine": 80.0}], at=AT)
    history = history_of(url, NOW)
    assert history["creatinine_ratio"] is None
    assert "2026-05-27 to 2026-06-24" in history["creatinine_missing"]


def test_a_draft_tells_nothing(store: RecordStore, url: str) -> None:
    _draft(store, 1, "2026-03-02T10:00:00+01:00", TIMED)
    assert history_of(url, NOW)["cycle"] is None
    with pytest.raises(RefusalError) as refusal:
        _known(url)
    assert "cycle 1, version 1 is a draft" in refusal.value.found
    store.sign("phantom-1", 1, "physicist", "A. Physicist", "reviewed", AT)
    assert history_of(url, NOW)["filed"] == "version 1, signed by a physicist"
    # A newer version that nobody signed supersedes it.
    _draft(store, 1, "2026-03-02T10:00:00+01:00", TIMED, flags=[])
    assert history_of(url, NOW) == {"cycle": None, "unsigned": ["cycle 1, version 2 is a draft"]}


def test_a_signed_cycle_counts_where_the_last_one_is_a_draft(store: RecordStore, url: str) -> None:
    _file(store, 1, "2026-03-02T10:00:00+01:00", TIMED)
    _draft(store, 2, "2026-04-28T10:00:00+02:00", TIMED)
    history = history_of(url, NOW)
    assert (history["cycle"], history["earlier"]) == (1, [])
    assert history["unsigned"] == ["cycle 2, version 1 is a draft"]


@pytest.mark.parametrize("level", ["BLOCK", "WARN"])
@pytest.mark.parametrize("blocked", ["kidney_left", "kidney", None])
def test_a_blocked_kidney_refuses(store: RecordStore, url: str, blocked: str | None, level: str) -> None:
    # Of the region, of both kidneys, and of the whole study.
    flags = [{"code": "CONTOUR_DOUBTFUL", "level": level, "text": "test", "region": blocked}]
    _file(store, 1, "2026-03-02T10:00:00+01:00", TIMED, flags=flags)
    if level == "WARN":
        assert isinstance(_known(url)["kidney_left"], HalfLifePrior)
        return
    with pytest.raises(RefusalError) as refusal:
        _known(url)
    assert "kidney_left (BLOCK flag CONTOUR_DOUBTFUL in cycle 1)" in refusal.value.found


def test_another_blocked_region_is_left_out(store: RecordStore, url: str) -> None:
    flags = [{"code": "DOSE_IMPLAUSIBLE", "level": "BLOCK", "text": "test", "region": "lesion-1"}]
    _file(store, 1, "2026-03-02T10:00:00+01:00", TIMED, flags=flags)
    known = _known(url)
    assert known["lesion-1"] == NotReused("BLOCK flag DOSE_IMPLAUSIBLE in cycle 1")
    assert isinstance(known["kidney_left"], HalfLifePrior)


@pytest.mark.parametrize(
    ("then", "now", "reused"),
    [
        ("contours-file", "contours-file", True),
        ("contours-file", "auto-ct-spect-2", False),
        ("auto-ct-spect-2", "contours-file", False),
        ("auto-ct-spect-2", "auto-ct-spect-2", False),
    ],
)
def test_only_lesions_drawn_in_both_cycles_are_the_same(
    store: RecordStore, url: str, then: str, now: str, reused: bool
) -> None:
    # Half-lives of 130 and 45 h swapped between lesions: e^(24 k)/k puts the TIA 127 % high or 56 % low.
    _file(store, 1, "2026-03-02T10:00:00+01:00", TIMED, regions=_regions(method=then))
    lesion = _known(url, method=now)["lesion-1"]
    assert isinstance(lesion, HalfLifePrior) == reused
    if not reused:
        assert isinstance(lesion, NotReused)
        assert "numbers lesions anew" in lesion.reason
        assert "numbers lesions anew" in lesion.refusal("lesion-1").found


def test_automatic_lesions_of_two_cycles_are_not_fitted_together(store: RecordStore, url: str) -> None:
    lesion = region("lesion-1", 20.0, mass_g=21.0, kind="lesion", host="liver", activity=POINTS, curve=CURVE)
    regions = [*_regions()[:1], lesion | {"method": "auto-ct-spect-2"}]
    for cycle, start in ((1, "2026-03-02T10:00:00+01:00"), (2, "2026-04-28T10:00:00+02:00")):
        _file(store, cycle, start, TIMED, regions=regions)
    known = _known(url, method="contours-file")
    assert isinstance(known["kidney_left"], EarlierCurves)
    assert isinstance(known["lesion-1"], NotReused)


def test_no_full_cycle(store: RecordStore, url: str) -> None:
    nothing: dict[str, Any] = {"cycle": None, "unsigned": []}
    assert history_of(url, NOW) == nothing
    _file(store, 1, "2026-03-02T10:00:00+01:00", TWO[:1])
    assert history_of(url, NOW) == nothing
    # A later cycle is not an earlier one.
    assert history_of(url, NOW | {"cycle": 1}) == nothing


def test_another_nuclide_tells_nothing(store: RecordStore, url: str) -> None:
    _file(store, 1, "2026-03-02T10:00:00+01:00", TWO)
    assert history_of(url, NOW | {"radionuclide": "Y-90"})["cycle"] is None


def _delineation(lesion_ml: float, host: str | None = None, method: str = "contours-file") -> Delineation:
    """One lesion of so many mL, in voxels of 1 mL."""
    grid = Grid((1, 1, 200), np.diag([10.0, 10.0, 10.0, 1.0]), "1.2.3")
    label = (np.arange(200) < lesion_ml).astype(np.int16).reshape(grid.shape)
    lesion = Region(1, "lesion-1", None, "lesion", method, host=host)
    density = DensityMap(grid, np.ones(grid.shape, dtype=np.float32))
    whole = np.ones(grid.shape, dtype=np.float32)
    return Delineation(Segmentation(grid, label, (lesion,), "test"), density, density, whole[None], whole, ())


def _known(
    url: str,
    lesion_ml: float = 20.0,
    host: str | None = None,
    *,
    method: str = "contours-file",
    creatinine: float | None = 1.0,
) -> dict[str, Any]:
    history = history_of(url, NOW) | {"lesion_volume_ml": lesion_ml}
    if creatinine is not None:
        history |= {"creatinine_ratio": creatinine}
    extras = {"new_hydronephrosis": False}
    return half_lives_of(history, extras, _delineation(lesion_ml, host, method), 3, 86400.0, LU, "extrapolate")


@pytest.mark.parametrize(
    ("lesion_ml", "host", "reused"),
    [(20.0, None, True), (11.0, "liver", True), (39.0, None, True), (9.0, None, False), (41.0, None, False),
     (20.0, "bone", False)],
)  # fmt: skip
def test_a_lesion_of_another_size_or_organ_is_another_lesion(
    store: RecordStore, url: str, lesion_ml: float, host: str | None, reused: bool
) -> None:
    # 20 mL in the liver then, drawn and named in both cycles. Half to twice, as for all lesions together.
    _file(store, 1, "2026-03-02T10:00:00+01:00", TIMED)
    known = _known(url, lesion_ml, host)
    assert isinstance(known["lesion-1"], HalfLifePrior) == reused
    assert reused or known["lesion-1"].reason.startswith("the lesion of this name had another volume")
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
    signed = "(version 1, signed by a physicist)"
    assert kidney.source == f"cycles 1 {signed}, 2 {signed} of this patient together"
    # The middle of half an hour, 900 s later: exp(-ln 2 x 900/574301) of the activity at the start.
    assert kidney.curves[0].time_s.tolist() == [87300.0, 346500.0]
    assert kidney.curves[1].activity_bq[0] == pytest.approx(8e7 * 0.998914, rel=1e-6)
    # No points of the lesion are on record: the last full cycle's half-life.
    assert isinstance(known["lesion-1"], HalfLifePrior)
    assert known["lesion-1"].source == f"cycle 2 {signed} of this patient"


@pytest.mark.parametrize("first", [TWO, TIMED[:1]])
def test_one_usable_cycle_tells_its_half_life(store: RecordStore, url: str, first: list[dict[str, Any]]) -> None:
    # Without the acquisitions' durations, or with one scan, cycle 1 has no curve to be fitted with.
    _file(store, 1, "2026-03-02T10:00:00+01:00", first)
    _file(store, 2, "2026-04-28T10:00:00+02:00", TIMED)
    kidney = _known(url)["kidney_left"]
    assert isinstance(kidney, HalfLifePrior)
    assert kidney.source == "cycle 2 (version 1, signed by a physicist) of this patient"
