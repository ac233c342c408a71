"""What the record tells a cycle of one scan: the last full cycle's half-lives, creatinine, lesion volume."""

from __future__ import annotations

from typing import Any

import pytest
from record_examples import AT, SETTINGS, region, result

from pipeline.records import RecordStore
from pipeline.steps.single_scan_cycle import history_of

TWO = [{"delay_s": 86400.0}, {"delay_s": 345600.0}]
CURVE = {"model": "mono", "effective_half_life_sigma_s": 9000.0}
NOW = {"patient_key": "phantom-1", "cycle": 3, "start": "2026-06-20T10:00:00+02:00"}


def _regions(*, flags: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    return [
        region("kidney", 4.0, laterality="left", curve=CURVE, flags=list(flags)),
        region("lesion-1", 20.0, mass_g=21.0, kind="lesion", curve=CURVE),
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
