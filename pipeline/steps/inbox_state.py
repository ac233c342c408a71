"""What a watch remembers under ``<out>/.inbox``: one outcome per content, written whole or not at all.

The outcome files are what counts; ``journal.jsonl`` beside them is for people and is never read back. A study counts as
processed only while the record holds it, so a lost or another record is filled again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pipeline.domain.provenance import canonical_json
from pipeline.errors import RefusalError
from pipeline.files.code_version import code_version
from pipeline.files.store import write_atomically
from pipeline.steps.inbox import file_hash, waits_after
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.records.record import CycleVersion
    from pipeline.records.store import RecordStore

Document = dict[str, Any]

# What the command shows of an outcome; the rest is for the watch itself.
SHOWN: Final = ("state", "waiting_for", "error", "patient_key", "cycle", "version", "out", "needs_a_person")


class InboxState:
    """The memory of a watch.

    Parameters
    ----------
    out : Path
        Output folder of the watch.
    site : Path
        Site profile; a study that was refused or waits is judged anew when the profile or the code changes.
    """

    def __init__(self, out: Path, site: Path) -> None:
        self.root = out.resolve() / ".inbox"
        self.judged_by = {"site": file_hash(site), "code_version": code_version()}

    def read(self, key: str) -> Document | None:
        """Return the outcome of a content, or None."""
        return _read_json(self._outcome(key))

    def write(self, key: str, outcome: Document) -> None:
        """Keep an outcome, with the moment since when the content is known to wait, and note it in the journal."""
        before = self.read(key) or {}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        kept = outcome | self.judged_by | {"at": now, "since": before.get("since", now)}
        write_atomically(self._outcome(key), canonical_json(kept).encode())
        self._note({"at": now, "key": key, "state": outcome["state"], "pid": os.getpid()})

    def key_of_archive(self, sha256: str) -> str | None:
        """Return the content key of a zip that was unpacked before, or None."""
        found = _read_json(self.root / "archives" / f"{sha256}.json")
        return None if found is None else str(found["key"])

    def keep_archive(self, sha256: str, key: str) -> None:
        """Remember what a zip holds, so that it need not be unpacked again."""
        write_atomically(self.root / "archives" / f"{sha256}.json", canonical_json({"key": key}).encode())

    def unpacked(self, sha256: str) -> Path:
        """Return where a zip is unpacked; the same place for a resumed run."""
        return self.root / "unpacked" / sha256

    def remove_unpacked(self, root: Path) -> None:
        """Remove the unpacked copy of a study whose outcome is known; a folder in the inbox is left alone."""
        if root.is_relative_to(self.root):
            shutil.rmtree(root, ignore_errors=True)

    def log(self, key: str) -> Path:
        """Return the file that takes what the process of one study says."""
        path = self.root / "logs" / f"{key[:16]}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Wait until no other process works on this content; a killed holder lets go by itself."""
        with _locked(self.root / "locks" / key, fcntl.LOCK_EX):
            yield

    @contextmanager
    def only_watch(self) -> Iterator[None]:
        """Be the only watch on this output folder.

        Raises
        ------
        RefusalError
            ``INBOX_BUSY``.
        """
        try:
            with _locked(self.root / "locks" / "watch", fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield
        except BlockingIOError as error:
            raise RefusalError(
                "INBOX_BUSY",
                found="another watch on this output folder",
                needed="one watch per output folder",
                do="end the other one, or give this one another --out",
                where="--out",
            ) from error

    def _outcome(self, key: str) -> Path:
        return self.root / "state" / f"{key}.json"

    def _note(self, event: Document) -> None:
        line = (json.dumps(event) + "\n").encode()
        handle = os.open(self.root / "journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, how)
        yield


def _read_json(path: Path) -> Document | None:
    try:
        found: Document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return found


def processed(result: Document, *, version: int, out: Path, look: bool) -> Document:
    """Return the outcome of a study that is filed."""
    told = {"patient_key": result["patient_key"], "cycle": result["cycle"], "version": version, "out": str(out)}
    return _outcome("processed") | told | {"needs_a_person": look}


def waiting(for_what: str) -> Document:
    """Return the outcome of a study that is not complete."""
    return _outcome("waiting") | {"waiting_for": for_what}


def refused(refusal: RefusalError) -> Document:
    """Return the outcome of a study whose walk was refused: it waits where more files would heal it."""
    missing = waits_after(refusal)
    if missing is not None:
        return waiting(missing)
    return _outcome("refused") | refusal.as_document() | {"needs_a_person": True}


def _outcome(state: str) -> Document:
    empty: Document = dict.fromkeys(SHOWN)
    return empty | {"state": state, "needs_a_person": False}


def is_current(outcome: Document, judged_by: Document, records: RecordStore) -> bool:
    """Tell whether an outcome still holds: filed in this record, or judged under this profile and code."""
    if outcome["state"] == "processed":
        return _filed(outcome, records) is not None
    return {name: outcome.get(name) for name in judged_by} == judged_by


def as_of_now(outcome: Document, records: RecordStore, now: datetime, give_up_h: float) -> Document:
    """Return what is shown of an outcome: a signed or superseded version needs nobody, a long wait does."""
    shown = {name: outcome.get(name) for name in SHOWN}
    if outcome["state"] == "processed":
        return shown | {"needs_a_person": outcome["needs_a_person"] and _is_open(outcome, records)}
    if outcome["state"] == "waiting" and "since" in outcome:
        waited_s = (now - datetime.fromisoformat(outcome["since"])).total_seconds()
        return shown | {"needs_a_person": waited_s >= give_up_h * SECONDS_PER_HOUR}
    return shown


def _is_open(outcome: Document, records: RecordStore) -> bool:
    filed = _filed(outcome, records)
    return filed is None or (filed.status == "DRAFT" and filed.version == outcome["version"])


def _filed(outcome: Document, records: RecordStore) -> CycleVersion | None:
    """Return the newest version of the cycle, if it is at least the one of this outcome."""
    record = records.find(outcome["patient_key"])
    newest = record.latest_versions if record else ()
    return next((v for v in newest if v.cycle == outcome["cycle"] and v.version >= outcome["version"]), None)
