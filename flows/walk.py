"""The order of the walk, free of any engine: ingest, quantify, register, segment, integrate, dose, file, report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pipeline.steps.single_scan_history import history_of

if TYPE_CHECKING:
    from collections.abc import Callable

Document = dict[str, Any]


class Execute(Protocol):
    """Runs one named step on a JSON payload and returns its JSON result; may answer from a cache."""

    def __call__(self, step: str, payload: Document) -> Document:
        """Run ``step``."""
        ...


USUAL_TIME_POINTS = 3
STEPS_BEFORE_POINTS = 1
STEPS_AFTER_POINTS = 5


def number_of_steps(time_points: int) -> int:
    """Return how many steps a walk over ``time_points`` has, for a progress bar."""
    return STEPS_BEFORE_POINTS + 2 * time_points + STEPS_AFTER_POINTS


def walk(request: Document, records: str, out: str, execute: Execute, announce: Callable[[str, int], None]) -> Document:
    """Walk one cycle from its files to the filed result.

    Parameters
    ----------
    request : dict
        From :func:`pipeline.steps.request.request_document`.
    records, out : str
        Record database and output folder; no part of what a step's result depends on, but that a cycle of one scan
        takes the half-lives of the patient's last full cycle.
    execute : Execute
        Runs a step; this is where an engine caches, retries and records.
    announce : callable
        Called with the name of each step and the number of steps in all before it runs.

    Returns
    -------
    dict
        ``result`` (the filed result document), ``created`` (False where it had been filed before), ``decision``.
    """
    announce("ingest", number_of_steps(USUAL_TIME_POINTS))
    study = execute("ingest", request)
    count = len(study["time_points"])
    total = number_of_steps(count)

    # One scan carries no half-life: that of the patient's earlier cycle is read now, and is part of what is computed.
    history = {"history": history_of(records, study["administration"])} if count == 1 else {}

    def run(step: str, payload: Document) -> Document:
        announce(step, total)
        return execute(step, request | payload)

    activities = [run("quantify", {"study": study, "index": i}) for i in range(count)]
    aligned = [run("register", {"study": study, "index": i, "activity": activities[i]}) for i in range(count)]
    segmented = run("segment", {"study": study, "aligned": aligned})
    integrated = run("integrate", {"study": study, "aligned": aligned, "segmented": segmented} | history)
    sources = history | {"study": study, "activities": activities, "segmented": segmented, "integrated": integrated}
    dosed = run("dose", sources)
    parts = sources | {"aligned": aligned, "dosed": dosed}
    filed = run("file", parts | {"records": records, "out": out})
    run("report", parts | {"records": records, "filed": filed, "out": out})
    return filed
