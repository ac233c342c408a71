"""A killed run goes on where it stopped, redoes nothing that was done, and files once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from conftest import PRRT, process_arguments, prrt

pytestmark = [pytest.mark.slow, pytest.mark.prefect]


def _journal(out: Path) -> list[tuple[str, int | None]]:
    path = out / ".work" / "journal.jsonl"
    if not path.exists():
        return []
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(entry["step"], entry["index"]) for entry in entries]


def _servers(home: Path) -> set[int]:
    """Return the ids of Prefect servers under this home."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                environment = (folder / "environ").read_bytes().split(b"\0")
                if (
                    b"prefect.server" in (folder / "cmdline").read_bytes()
                    and f"PREFECT_HOME={home}".encode() in environment
                ):
                    found.add(int(folder.name))
    return found


def _kill_after(step: tuple[str, int | None], arguments: list[object], out: Path, home: Path) -> None:
    """Start the command and kill it with SIGKILL once ``step`` is done; Prefect's server is left an orphan."""
    with (out / "first.txt").open("w") as log:
        running = subprocess.Popen(
            [PRRT, *map(str, arguments)],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"PREFECT_HOME": str(home)},
        )
        deadline = time.monotonic() + 300
        while step not in _journal(out):
            assert running.poll() is None, (out / "first.txt").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()


def test_killed_run_resumes_and_files_once(example_source: Path, tmp_path: Path) -> None:
    out, home = tmp_path / "out", tmp_path / "prefect"
    out.mkdir()
    arguments = process_arguments(example_source, out)
    _kill_after(("register", 1), arguments, out, home)
    before = _journal(out)
    assert ("ingest", None) in before
    assert ("file", None) not in before
    orphans = _servers(home)
    assert orphans

    done = prrt(*arguments, "--json", environment={"PREFECT_HOME": str(home)})
    assert done.code == 3, done.err
    assert not orphans & _servers(home), "the killed run's server still runs"
    steps = _journal(out)
    # A step is noted before its result is kept: the one that the kill fell into may run again, no other.
    assert {step for step in steps if steps.count(step) > 1} <= {before[-1]}, "a finished step was run again"
    assert len(steps) <= len(set(steps)) + 1
    assert ("file", None) in steps

    again = prrt(*arguments, "--json", environment={"PREFECT_HOME": str(home)})
    assert again.document == done.document
    key = done.document["patient_key"]
    shown = prrt("show", key, "--records", f"sqlite:///{out / 'records.db'}", "--json").document
    assert len(shown["cycles"]) == 1
    repeated = [step for step in _journal(out) if _journal(out).count(step) > 1]
    assert {step for step, _ in repeated} == {"file", "report"}
