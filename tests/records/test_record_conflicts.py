"""A wrong cycle number or patient key must not put one cycle's doses in another one's place."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date, timedelta
from typing import Any

import pytest
from record_examples import AT, SETTINGS, file_cycle, result

from pipeline.errors import RefusalError
from pipeline.records import RecordStore, open_store
from pipeline.records.schema import VERSION_TABLE
from pipeline.steps.decide import decide_next, preview_decision
from pipeline.steps.record_events import record

LATER = AT + timedelta(hours=1)
SECOND = "2026-04-20T10:00:00+02:00"
ERROR = {"date": "2026-03-20", "by": "A. Physicist", "reason": "form of another cycle", "filed_in_error": [1]}


def given(activity_bq: float = 7.4e9, start: str = "2026-03-02T10:00:00+01:00") -> dict[str, Any]:
    return {"activity_bq": activity_bq, "start": start, "radionuclide": "Lu-177"}


def made_from(series_uid: str, sha256: str) -> dict[str, Any]:
    return result()["provenance"] | {"inputs": [{"series_uid": series_uid, "sha256": sha256}]}


def refused(store: RecordStore, code: str, document: dict[str, Any]) -> RefusalError:
    """File ``document``; it must be refused with ``code`` and leave the record as it was."""
    before = store.verify(), store.show("phantom-1")
    with pytest.raises(RefusalError) as caught:
        file_cycle(store, document, key="key-2", at=LATER)
    assert caught.value.code == code
    assert "phantom" not in str(caught.value)
    assert (store.verify(), store.show("phantom-1")) == before
    return caught.value


@pytest.mark.parametrize(
    "administration",
    [given(start="2026-03-03T10:00:01+01:00"), given(start=SECOND), given(8.15e9), given(6.65e9)],
    ids=["a second beyond a day", "the next cycle's", "10.1 % more", "10.1 % less"],
)
def test_another_administration_does_not_replace_a_filed_cycle(
    store: RecordStore, administration: dict[str, Any]
) -> None:
    file_cycle(store)
    error = refused(store, "RECORD_CONFLICT", result(administration=administration))
    assert "filed_in_error = [1]" in error.do


@pytest.mark.parametrize(
    "administration",
    [given(start="2026-03-03T10:00:00+01:00"), given(start="2026-03-02T09:00:00+00:00"), given(8.13e9), given(6.67e9)],
)
def test_the_same_administration_with_a_value_corrected_is_a_new_version(
    store: RecordStore, administration: dict[str, Any]
) -> None:
    # 1 day and 10 % are still the same administration; 10:00+01:00 and 09:00+00:00 are one moment.
    file_cycle(store)
    assert file_cycle(store, result(administration=administration), key="key-2", at=LATER).version == 2


@pytest.mark.parametrize(
    "other",
    [
        result(cycle=2, start=SECOND) | {"provenance": made_from("1.2.1", "f" * 64)},
        result(cycle=2, start=SECOND) | {"provenance": made_from("9.9.9", f"{1:064x}")},
        result(patient_key="phantom-2") | {"provenance": made_from("1.2.1", f"{1:064x}")},
    ],
    ids=["series of another cycle", "content of another cycle", "another patient"],
)
def test_images_of_another_cycle_or_patient_are_refused(store: RecordStore, other: dict[str, Any]) -> None:
    file_cycle(store)
    error = refused(store, "INPUTS_FILED_ELSEWHERE", other)
    assert ("another patient" in error.found) is (other["patient_key"] == "phantom-2")
    assert store.find("phantom-2") is None


def test_an_event_lets_one_correction_through_and_refers_until_it_is_filed(store: RecordStore) -> None:
    file_cycle(store)
    record(store, "phantom-1", event=ERROR, at=LATER)
    before = decide_next(store, "phantom-1", date(2026, 4, 20))
    assert "DATA_INVALID_FILED_IN_ERROR" in [reason["code"] for reason in before["reasons"]]
    right = result(administration=given(start=SECOND)) | {"provenance": made_from("5.5.5", "5" * 64)}
    preview = preview_decision(store, right, SETTINGS)
    assert "DATA_INVALID_FILED_IN_ERROR" not in [reason["code"] for reason in preview["reasons"]]
    assert file_cycle(store, right, key="key-2", at=LATER + timedelta(hours=1)).version == 2
    after = decide_next(store, "phantom-1", date(2026, 6, 20))
    assert "DATA_INVALID_FILED_IN_ERROR" not in [reason["code"] for reason in after["reasons"]]
    with pytest.raises(RefusalError, match="RECORD_CONFLICT"):
        file_cycle(store, result(), key="key-3", at=LATER + timedelta(hours=2))


def test_the_event_frees_the_images_for_the_patient_they_belong_to(store: RecordStore) -> None:
    file_cycle(store)
    record(store, "phantom-1", event=ERROR, at=LATER)
    moved = result(patient_key="phantom-2") | {"provenance": made_from("1.2.1", f"{1:064x}")}
    assert file_cycle(store, moved, key="key-2", at=LATER).created is True


def test_images_of_a_superseded_version_are_free(store: RecordStore) -> None:
    file_cycle(store)
    file_cycle(store, result() | {"provenance": made_from("5.5.5", "5" * 64)}, key="key-2")
    second = result(cycle=2, start=SECOND) | {"provenance": made_from("1.2.1", f"{1:064x}")}
    assert file_cycle(store, second, key="key-3").created is True


@pytest.mark.parametrize("missing", ["by", "reason"])
def test_filed_in_error_needs_somebody_who_answers_for_it(store: RecordStore, missing: str) -> None:
    with pytest.raises(RefusalError, match="EVENT_INVALID"):
        record(store, "phantom-1", event=ERROR | {missing: ""}, at=AT)


def test_a_record_of_the_first_schema_is_migrated_with_its_inputs(url: str) -> None:
    with open_store(url) as store:
        file_cycle(store)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute("DROP TABLE cycle_input")
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = 'r0001'")
    with open_store(url) as store:
        moved = result(cycle=2, start=SECOND) | {"provenance": made_from("1.2.1", "f" * 64)}
        refused(store, "INPUTS_FILED_ELSEWHERE", moved)
