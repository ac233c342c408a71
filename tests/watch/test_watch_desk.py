"""The loop of the watch, with processes that are told what to do instead of real ones."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flows import children
from flows.watch import ARRIVING, TO_BE_DONE, Desk, WatchWish, watch
from pipeline.errors import RefusalError
from pipeline.records.store import open_store
from pipeline.steps.inbox_state import InboxState, waiting

Document = dict[str, Any]
END = waiting("something else")
"""Any outcome that is not filed will do: the loop does not look into it."""


@dataclass
class FakeProcess:
    """Runs for some polls, then has written its outcome and ends with its code."""

    polls_left: int
    code: int
    write: Callable[[], None]
    returncode: int | None = None

    def poll(self) -> int | None:
        self.polls_left -= 1
        if self.polls_left <= 0 and self.returncode is None:
            if self.code == 0:
                self.write()
            self.returncode = self.code
        return self.returncode

    def send_signal(self, _number: int) -> None:
        self.returncode = -2

    def wait(self, _timeout: float | None = None) -> int:
        return self.returncode or 0


@dataclass
class FakeStarts:
    """Stands in for ``children.start``: what was started, with whom beside it."""

    state: InboxState
    codes: list[int] = field(default_factory=list)
    started: list[tuple[str, int, int]] = field(default_factory=list)
    alive: list[children.Child] = field(default_factory=list)
    crowd: list[list[str]] = field(default_factory=list)

    def __call__(self, job: Document, *, slot: int, slots: int, patient_key: str, log: Path) -> children.Child:
        code = self.codes.pop(0) if self.codes else 0
        process: Any = FakeProcess(2, code, lambda: self.state.write(job["key"], END))
        child = children.Child(process, slot, job["key"], patient_key, job["root"])
        self.alive = [other for other in self.alive if other.process.returncode is None]
        self.crowd.append([other.patient_key for other in self.alive])
        self.alive.append(child)
        self.started.append((Path(job["out"]).name.rsplit("-", 1)[0], slot, slots))
        return child


@dataclass
class Case:
    """A desk on an inbox with fake processes."""

    wish: WatchWish
    starts: FakeStarts
    desk: Desk
    told: list[tuple[str, str]]


@pytest.fixture
def make(inbox: Path, example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Case]]:
    records = open_store(f"sqlite:///{tmp_path / 'records.db'}")

    def made(parallel: int = 2, codes: tuple[int, ...] = (), stable_s: float = 0.05) -> Case:
        wish = WatchWish(inbox, example / "site.toml", "", tmp_path / "out", parallel=parallel, stable_s=stable_s)
        state = InboxState(wish.out, wish.site)
        starts = FakeStarts(state, list(codes))
        monkeypatch.setattr(children, "start", starts)
        told: list[tuple[str, str]] = []
        desk = Desk(wish, state, records, lambda document: told.append((document["name"], document["state"])))
        return Case(wish, starts, desk, told)

    with records:
        yield made


def _once(case: Case) -> list[Document]:
    case.desk.handle_once(threading.Event())
    studies: list[Document] = case.desk.document()["studies"]
    return studies


def test_cycles_of_one_patient_follow_each_other(form_only: Callable[..., Path], make: Callable[..., Case]) -> None:
    for name, patient, cycle in (("x", "p", 2), ("y", "p", 1), ("z", "q", 1)):
        form_only(name, patient=patient, cycle=cycle)
    case = make(parallel=2)
    assert {study["state"] for study in _once(case)} == {"waiting"}
    assert [name for name, _, _ in case.starts.started] == ["y", "z", "x"]
    assert all("p" not in beside for (name, _, _), beside in zip(case.starts.started, case.starts.crowd, strict=True)
               if name in {"x", "y"})  # fmt: skip


def test_of_two_studies_of_one_cycle_the_later_is_filed_last(
    form_only: Callable[..., Path], make: Callable[..., Case]
) -> None:
    for name, day in (("a", 2), ("b", 1)):
        for path in form_only(name, content=name).iterdir():
            os.utime(path, (day, day))
    case = make(parallel=2)
    _once(case)
    assert [name for name, _, _ in case.starts.started] == ["b", "a"]


def test_an_interrupted_pass_says_what_is_left(form_only: Callable[..., Path], make: Callable[..., Case]) -> None:
    form_only("a")
    case, stop = make(), threading.Event()
    stop.set()
    case.desk.handle_once(stop)
    time.sleep(0.1)
    case.desk.take_in(0.05)
    case.desk.work()
    case.desk.end()
    (study,) = case.desk.document()["studies"]
    assert (study["state"], study["waiting_for"]) == ("waiting", TO_BE_DONE)
    assert case.starts.alive[0].process.returncode == -2


def test_never_more_at_a_time_than_allowed(form_only: Callable[..., Path], make: Callable[..., Case]) -> None:
    for number in range(5):
        form_only(f"s{number}", patient=f"p{number}")
    case = make(parallel=2)
    _once(case)
    assert len(case.starts.started) == 5
    assert max(len(beside) for beside in case.starts.crowd) == 1
    assert {(slot, slots) for _, slot, slots in case.starts.started} == {(0, 2), (1, 2)}


def test_one_content_under_two_names_is_processed_once(
    form_only: Callable[..., Path], inbox: Path, make: Callable[..., Case]
) -> None:
    shutil.make_archive(str(inbox / "b"), "zip", form_only("a"))
    case = make()
    studies = _once(case)
    assert [(study["name"], study["waiting_for"]) for study in studies] == [
        ("a", "something else"),
        ("b.zip", "something else"),
    ]
    assert len(case.starts.started) == 1
    assert list((case.wish.out / ".inbox" / "unpacked").iterdir()) == []
    again = make()
    _once(again)
    assert again.starts.started == []


def test_a_crash_is_tried_again_and_told_but_not_remembered(
    form_only: Callable[..., Path], make: Callable[..., Case]
) -> None:
    form_only("a")
    form_only("b", patient="q")
    case = make(parallel=1, codes=(-9, -9))
    studies = {study["name"]: study for study in _once(case)}
    assert [name for name, _, _ in case.starts.started] == ["a", "a", "b"]
    assert studies["a"]["error"]["code"] == "STUDY_FAILED"
    assert studies["a"]["needs_a_person"] is True
    assert studies["b"]["waiting_for"] == "something else"
    again = make()
    _once(again)
    assert [name for name, _, _ in again.starts.started] == ["a"]


def test_a_growing_study_waits_and_does_not_hold_the_others(
    form_only: Callable[..., Path], make: Callable[..., Case]
) -> None:
    growing, ready = form_only("growing"), form_only("ready", patient="q")
    (growing / "1.dcm.part").touch()
    case = make()
    states = {study["name"]: study["waiting_for"] for study in _once(case)}
    assert states == {"growing": ARRIVING, "ready": "something else"}
    assert ready.exists()


def test_the_watch_takes_up_a_study_when_it_has_stopped_growing(
    form_only: Callable[..., Path], make: Callable[..., Case]
) -> None:
    case = make(stable_s=1.0)
    stop = threading.Event()
    running = threading.Thread(target=case.desk.handle_until, args=(stop,))
    running.start()
    folder = form_only("a")
    for size in range(1, 13):
        (folder / "growing").write_text("x" * size)
        time.sleep(0.1)
        assert case.starts.started == []
    deadline = time.monotonic() + 10
    while case.told[-1:] != [("a", "waiting")] or len(case.told) < 2:
        assert time.monotonic() < deadline, case.told
        time.sleep(0.05)
    stop.set()
    running.join()
    assert len(case.starts.started) == 1


def test_arguments_are_checked_before_anything_is_written(inbox: Path, example: Path, tmp_path: Path) -> None:
    records = f"sqlite:///{tmp_path / 'records.db'}"
    wish = WatchWish(inbox, example / "site.toml", records, inbox / "out")
    with pytest.raises(RefusalError, match="OUT_INSIDE_INBOX"):
        watch(wish, once=True, tell=lambda _: None)
    wish = WatchWish(tmp_path / "nowhere", example / "site.toml", records, tmp_path / "out")
    with pytest.raises(RefusalError, match="PATH_MISSING"):
        watch(wish, once=True, tell=lambda _: None)
    assert not (tmp_path / "records.db").exists()
    assert not (tmp_path / "out").exists()


def test_cores_are_shared_and_embedded_servers_kept_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(children, "usable_cores", lambda: 8)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "of another flow")
    for name in ("PREFECT_API_URL", "OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        monkeypatch.delenv(name, raising=False)
    first, second = children.environment(0, 4), children.environment(1, 4)
    assert first["OMP_NUM_THREADS"] == second["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] == "2"
    assert first["PREFECT_HOME"] == str(tmp_path / "prefect") != second["PREFECT_HOME"]
    assert "PREFECT__FLOW_RUN_ID" not in first
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert children.environment(1, 4)["PREFECT_HOME"] == str(tmp_path / "prefect")
