"""Watch an inbox: every study that is complete is processed once, several at a time, each in a process of its own."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flows import children
from flows.study import CONTENT_CHANGED
from pipeline.errors import RefusalError, require
from pipeline.records.store import open_store
from pipeline.settings import load_site
from pipeline.steps.compute import backend_or_refuse
from pipeline.steps.dose_maps import engine_or_refuse
from pipeline.steps.inbox import ARRIVING, entries, snapshot
from pipeline.steps.inbox_intake import take_in
from pipeline.steps.inbox_state import InboxState, as_of_now, refused, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.records.store import RecordStore
    from pipeline.steps.inbox import Entry, Snapshot
    from pipeline.steps.inbox_intake import Intake

Document = dict[str, Any]

# How far apart the two looks of a single pass are (project choice); a transfer that runs moves in less.
ONCE_S: Final = 2.0
LONGEST_POLL_S: Final = 5.0
WORKING_POLL_S: Final = 0.2
# A process that was killed (memory, an operator) deserves a second try; one that fails twice needs a person.
ATTEMPTS: Final = 2
TO_BE_DONE: Final = "its processing, which the next watch begins or resumes"


@dataclass(frozen=True)
class WatchWish:
    """What a watch was asked to do."""

    inbox: Path
    site: Path
    records: str
    out: Path
    parallel: int = 2
    stable_s: float = 10.0
    give_up_h: float = 24.0
    engine: str = "convolution"
    backend: str = "auto"
    only: str | None = None


@dataclass
class _Seen:
    """One entry of the inbox as it was last seen."""

    entry: Entry
    looked_like: Snapshot
    since_s: float
    intake: Intake | None = None
    settled: bool = False
    attempts: int = 0
    outcome: Document | None = None
    told: Document | None = None


def watch(wish: WatchWish, *, once: bool, tell: Callable[[Document], None]) -> Document:
    """Watch until interrupted, or handle what is there and end.

    Parameters
    ----------
    wish : WatchWish
    once : bool
    tell : callable
        Called with a study's document whenever its state changes.

    Returns
    -------
    dict
        ``studies`` (by name) and ``ignored``: loose files that are neither folder nor zip.

    Raises
    ------
    RefusalError
        ``PATH_MISSING``, ``OUT_INSIDE_INBOX``, ``INBOX_BUSY``, and those of the site profile, the record's URL, the
        engine and the backend. What is wrong with a study does not raise: it stands in its document.
    """
    _require_usable(wish)
    state = InboxState(wish.out, wish.site)
    with _until_stopped() as stop, state.only_watch(), open_store(wish.records) as records:
        desk = Desk(wish, state, records, tell)
        try:
            desk.handle_once(stop) if once else desk.handle_until(stop)
        finally:
            desk.end()
        return desk.document()


def _require_usable(wish: WatchWish) -> None:
    load_site(wish.site)
    engine_or_refuse(wish.engine)
    backend_or_refuse(wish.backend)
    entries(wish.inbox)
    require(
        not wish.out.resolve().is_relative_to(wish.inbox.resolve()),
        "OUT_INSIDE_INBOX",
        found="an output folder in the inbox",
        needed="an output folder elsewhere: what lies in the inbox is taken for a study",
        do="give another --out",
        where="--out",
    )


@contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set; outside the main thread nothing sets it."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {name: signal.signal(name, lambda *_: stop.set()) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


class Desk:
    """The studies that lie in the inbox, and the processes that work on some of them."""

    def __init__(
        self, wish: WatchWish, state: InboxState, records: RecordStore, tell: Callable[[Document], None]
    ) -> None:
        self._wish = wish
        self._state = state
        self._records = records
        self._tell = tell
        self._seen: dict[str, _Seen] = {}
        self._children: list[children.Child] = []
        self._ignored = 0

    def handle_once(self, stop: threading.Event) -> None:
        """Look twice, then process what did not change in between."""
        apart_s = min(ONCE_S, self._wish.stable_s)
        self.look()
        stop.wait(apart_s)
        self.look()
        self.take_in(apart_s)
        while not stop.is_set() and self.work():
            stop.wait(WORKING_POLL_S)

    def handle_until(self, stop: threading.Event) -> None:
        """Look and process until stopped."""
        poll_s = min(LONGEST_POLL_S, max(self._wish.stable_s / 2, WORKING_POLL_S))
        while not stop.is_set():
            self.look()
            self.take_in(self._wish.stable_s)
            self.work()
            stop.wait(poll_s)

    def look(self) -> None:
        """See what lies in the inbox now, and what changed since the last look."""
        found, self._ignored = entries(self._wish.inbox)
        wanted = [entry for entry in found if self._wish.only in {None, entry.name}]
        self._seen = {entry.name: self._seen_again(entry) for entry in wanted}

    def take_in(self, stable_s: float) -> None:
        """Take in every study that has not changed for ``stable_s``."""
        for seen in self._seen.values():
            if seen.intake is None and not seen.settled:
                self._take_in_if_stable(seen, stable_s)
            elif seen.outcome is not None and seen.outcome["state"] == "waiting":
                self._say(seen, seen.outcome)  # by now it may wait too long

    def _seen_again(self, entry: Entry) -> _Seen:
        now_s, looks_like = time.monotonic(), snapshot(entry)
        before = self._seen.get(entry.name)
        if before is not None and before.looked_like == looks_like:
            return before
        return _Seen(entry, looks_like, now_s, told=before.told if before else None)

    def _take_in_if_stable(self, seen: _Seen, stable_s: float) -> None:
        if seen.looked_like.uploading or time.monotonic() - seen.since_s < stable_s:
            self._say(seen, waiting(ARRIVING))
            return
        try:
            seen.intake = take_in(seen.entry, self._state, self._records)
        except OSError as error:
            self._fail(seen, f"{type(error).__name__} while its files were read", "check rights and network share")
            return
        if seen.intake.outcome is not None:
            self._settle(seen, seen.intake.outcome)

    def work(self) -> bool:
        """Gather finished processes and start new ones; False when there is nothing left to do."""
        for child in [child for child in self._children if child.process.poll() is not None]:
            self._children.remove(child)
            self._gather(child)
        for seen in sorted(self._open(), key=_order):
            if len(self._children) < self._wish.parallel and not self._is_busy(seen):
                self._start(seen)
        return bool(self._children) or any(self._open())

    def _open(self) -> list[_Seen]:
        return [seen for seen in self._seen.values() if seen.intake is not None and not seen.settled]

    def _is_busy(self, seen: _Seen) -> bool:
        """Tell whether a process works on this content or on another cycle of this patient."""
        intake = seen.intake
        return intake is not None and any(
            child.key == intake.key or child.patient_key == intake.patient_key for child in self._children
        )

    def _start(self, seen: _Seen) -> None:
        intake = seen.intake
        if intake is None:
            return
        name = seen.entry.path.stem if seen.entry.is_zip else seen.entry.name
        job = {
            "key": intake.key,
            "root": str(intake.root.resolve()),
            "site": str(self._wish.site.resolve()),
            "records": self._wish.records,
            "inbox_out": str(self._wish.out.resolve()),
            "out": str(self._wish.out.resolve() / f"{name}-{intake.key[:8]}"),
            "engine": self._wish.engine,
            "backend": self._wish.backend,
        }
        taken = {child.slot for child in self._children}
        slot = next(n for n in range(self._wish.parallel) if n not in taken)
        started = children.start(
            job,
            slot=slot,
            slots=self._wish.parallel,
            patient_key=intake.patient_key,
            log=self._state.log(intake.key),
        )
        self._children.append(started)

    def _gather(self, child: children.Child) -> None:
        code, outcome = child.process.returncode, self._state.read(child.key)
        for seen in self._open():
            if seen.intake is None or seen.intake.key != child.key:
                continue
            if code == 0 and outcome is not None:
                self._settle(seen, outcome)
            elif code == CONTENT_CHANGED:
                seen.intake = None
            else:
                self._fail(seen, f"a process that ended with code {code}", f"read {self._state.log(child.key)}")

    def _fail(self, seen: _Seen, found: str, do: str) -> None:
        """Count a failure that is not the study's; after the last attempt it is told, but not remembered."""
        seen.attempts += 1
        if seen.attempts < ATTEMPTS:
            return
        refusal = RefusalError(
            "STUDY_FAILED",
            found=f"{found}, {ATTEMPTS} times",
            needed="a study that is processed to its end",
            do=f"{do}; the next watch takes it up again where it stopped",
            where=seen.entry.name,
        )
        seen.settled = True
        self._say(seen, refused(refusal))

    def _settle(self, seen: _Seen, outcome: Document) -> None:
        seen.settled = True
        if seen.intake is not None and seen.entry.is_zip:
            self._state.remove_unpacked(seen.intake.root)
        self._say(seen, outcome)

    def _say(self, seen: _Seen, outcome: Document) -> None:
        seen.outcome = outcome
        document = self._shown(seen)
        if document != seen.told:
            seen.told = document
            self._tell(document)

    def _shown(self, seen: _Seen) -> Document:
        taken_in = seen.intake is not None and not seen.settled
        outcome = waiting(TO_BE_DONE) if taken_in or seen.outcome is None else seen.outcome
        shown = as_of_now(outcome, self._records, datetime.now(UTC), self._wish.give_up_h)
        return {"name": seen.entry.name} | shown

    def end(self) -> None:
        """End the processes that still run."""
        children.end(self._children)

    def document(self) -> Document:
        """Return every study of the inbox with its state."""
        return {"studies": [self._shown(seen) for _, seen in sorted(self._seen.items())], "ignored": self._ignored}


def _order(seen: _Seen) -> tuple[str, int, int, str]:
    """Order by patient and cycle; of two studies of one cycle the later one counts, as it is filed last."""
    intake, newest_ns = seen.intake, seen.looked_like.newest_ns
    patient, cycle = (intake.patient_key, intake.cycle) if intake else ("", 0)
    return (patient, cycle, newest_ns, seen.entry.name)
