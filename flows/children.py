"""One process per study: how it is started, what it may use, how it is ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flows.environment import prepare_environment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Document = dict[str, Any]

# An interrupted study ends its embedded server by itself; what takes longer is killed, and resumes with the next watch.
ENDING_S: Final = 20
_THREADS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


@dataclass(frozen=True, eq=False)
class Child:
    """The process of one study."""

    process: subprocess.Popen[bytes]
    slot: int
    key: str
    patient_key: str
    root: Path


def start(job: Document, *, slot: int, slots: int, patient_key: str, log: Path) -> Child:
    """Start the process of one study; its job goes through a pipe, what it says into ``log``."""
    with log.open("ab") as sink:
        # A session of its own: Ctrl-C reaches the watch, which then ends its studies in order.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.study"],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            env=environment(slot, slots),
            start_new_session=True,
        )
    with contextlib.suppress(BrokenPipeError), process.stdin or contextlib.nullcontext() as pipe:
        if pipe is not None:
            pipe.write(json.dumps(job).encode())
    return Child(process, slot, job["key"], patient_key, job["root"])


def environment(slot: int, slots: int) -> dict[str, str]:
    """Return the environment of a study's process.

    The cores are shared among the slots. Each slot after the first has an embedded Prefect server and database of its
    own, since two of them would meet at the first migration; with a Prefect server of the site there is only that one.
    """
    prepare_environment()
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT__")}
    for name in _THREADS:
        own.setdefault(name, str(max(1, usable_cores() // slots)))
    if slot and "PREFECT_API_URL" not in own:
        own["PREFECT_HOME"] += f"-{slot + 1}"
    return own


def usable_cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def end(children: Iterable[Child]) -> None:
    """End processes that still run; their studies resume with the next watch."""
    running = [child.process for child in children if child.process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGINT)
    for process in running:
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
