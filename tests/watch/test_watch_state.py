"""What a watch remembers, and when it no longer counts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import RefusalError
from pipeline.records.store import RecordStore, open_store
from pipeline.steps.inbox import Entry
from pipeline.steps.inbox_intake import take_in
from pipeline.steps.inbox_state import InboxState, as_of_now, is_current, processed, refused, waiting

RESULT = {
    "patient_key": "p",
    "cycle": 1,
    "administration": {"start": "2026-03-02T10:00:00+01:00", "activity_bq": 7.4e9},
    "regions": [],
    "second_check": [],
    "flags": [],
}
CUT = RefusalError("DICOM_CORRUPT", found="half a file", needed="a whole one", do="copy it", where="1.dcm")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text("name = 'here'")
    return path


@pytest.fixture
def state(tmp_path: Path, site: Path) -> InboxState:
    return InboxState(tmp_path / "out", site)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[RecordStore]:
    with open_store(f"sqlite:///{tmp_path / 'records.db'}") as store:
        yield store


def test_an_outcome_is_kept_whole_and_journalled(state: InboxState) -> None:
    assert state.read("k") is None
    state.write("k", waiting("cycle.toml"))
    first = state.read("k")
    state.write("k", refused(CUT))
    second = state.read("k")
    assert first is not None
    assert second is not None
    assert (first["state"], second["state"], second["error"]["code"]) == ("waiting", "refused", "DICOM_CORRUPT")
    assert second["since"] == first["since"]
    lines = (state.root / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["waiting", "refused"]


def test_a_refusal_is_judged_anew_when_the_profile_changes(
    state: InboxState, site: Path, tmp_path: Path, records: RecordStore
) -> None:
    state.write("k", refused(CUT))
    kept = state.read("k")
    assert kept is not None
    assert is_current(kept, state.judged_by, records)
    site.write_text("name = 'corrected'")
    assert not is_current(kept, InboxState(tmp_path / "out", site).judged_by, records)


def _file(records: RecordStore, key: str) -> None:
    records.file_cycle(
        document=RESULT,
        idempotency_key=key,
        settings={},
        created_at="2026-03-02T10:00:00+01:00",
    )


def test_processed_means_that_the_record_holds_it(state: InboxState, site: Path, records: RecordStore) -> None:
    state.write("k", processed(RESULT, version=1, out=Path("/o"), look=True))
    kept = state.read("k")
    assert kept is not None
    assert not is_current(kept, state.judged_by, records), "nothing is filed: another or a lost record"
    _file(records, "first")
    assert is_current(kept, state.judged_by, records)
    site.write_text("name = 'changed'")
    assert is_current(kept, {"site": "another"}, records), "what is filed is not filed again for a new profile"


def test_a_signed_or_superseded_version_needs_nobody(state: InboxState, records: RecordStore) -> None:
    _file(records, "first")
    now = datetime.now(UTC)
    open_case = processed(RESULT, version=1, out=Path("/o"), look=True)
    assert as_of_now(open_case, records, now, 24.0)["needs_a_person"] is True
    _file(records, "second")
    assert as_of_now(open_case, records, now, 24.0)["needs_a_person"] is False
    newest = open_case | {"version": 2}
    assert as_of_now(newest, records, now, 24.0)["needs_a_person"] is True
    records.sign("p", 1, "physicist", "A", "", now, version=2)
    assert as_of_now(newest, records, now, 24.0)["needs_a_person"] is False


def test_a_long_wait_needs_a_person(state: InboxState, records: RecordStore) -> None:
    state.write("k", waiting("cycle.toml"))
    kept = state.read("k")
    assert kept is not None
    since = datetime.fromisoformat(kept["since"])
    waits = [as_of_now(kept, records, since + timedelta(hours=h), 24.0)["needs_a_person"] for h in (0.0, 23.9, 24.1)]
    assert waits == [False, False, True]


def test_two_watches_on_one_output_folder_are_refused(state: InboxState) -> None:
    with (
        state.only_watch(),
        pytest.raises(RefusalError, match="INBOX_BUSY"),
        state.only_watch(),
    ):
        pytest.fail("the second watch got in")
    with state.only_watch():
        pass


def test_a_killed_process_lets_its_turn_go(state: InboxState, site: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from pipeline.steps.inbox_state import InboxState\n"
        f"with InboxState(Path({str(state.root.parent)!r}), Path({str(site)!r})).turn('k'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
        with state.turn("k"):
            pass


def test_a_study_without_form_is_remembered_as_waiting(inbox: Path, state: InboxState, records: RecordStore) -> None:
    (inbox / "a").mkdir()
    (inbox / "a" / "1.dcm").write_text("1")
    intake = take_in(Entry("a", inbox / "a"), state, records)
    assert intake.outcome is not None
    assert (intake.outcome["state"], intake.outcome["waiting_for"]) == ("waiting", "cycle.toml")
    again = take_in(Entry("b", (inbox / "a").rename(inbox / "b")), state, records)
    assert (again.key, again.outcome) == (intake.key, intake.outcome)


def test_the_form_says_whose_study_it_is_and_a_bad_one_is_refused(
    form_only: Callable[..., Path], state: InboxState, records: RecordStore
) -> None:
    good = take_in(Entry("a", form_only("a", patient="phantom-7", cycle=3)), state, records)
    assert (good.patient_key, good.cycle, good.outcome) == ("phantom-7", 3, None)
    bad = take_in(Entry("b", form_only("b", cycle=0)), state, records)
    assert bad.outcome is not None
    assert bad.outcome["error"]["code"] == "CYCLE_FORM_INVALID"
    assert bad.outcome["needs_a_person"] is True


def test_a_bad_zip_is_refused_and_not_read_again(inbox: Path, state: InboxState, records: RecordStore) -> None:
    entry = Entry("a.zip", inbox / "a.zip")
    entry.path.write_bytes(b"PK\x03\x04 and no more")
    first = take_in(entry, state, records)
    assert first.outcome is not None
    assert first.outcome["error"]["code"] == "ARCHIVE_DAMAGED"
    assert take_in(entry, state, records) == first
    assert len((state.root / "journal.jsonl").read_text().splitlines()) == 1
