"""One study of an inbox in a process of its own: ``python -m flows.study`` with its job on standard input.

One process per study, because Prefect's embedded server and the threads of the image libraries belong to a process; a
crash takes one study with it and no other. The job does not touch the disk: a database URL may hold a password.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusalError
from pipeline.files.forms import load_cycle_form
from pipeline.records.store import open_store
from pipeline.settings import load_site
from pipeline.steps.attention import needs_a_person
from pipeline.steps.inbox import FORM, content_key, missing_of, parts_of
from pipeline.steps.inbox_state import InboxState, is_current, processed, refused, waiting
from pipeline.steps.ingest import ingest

if TYPE_CHECKING:
    from pipeline.steps.inbox import Parts

Document = dict[str, Any]

# Exit status of a study whose files changed between the look of the watch and its own (EX_TEMPFAIL of sysexits.h).
CONTENT_CHANGED = 75


def run_study(job: Document) -> int:
    """Process one study and keep its outcome; nothing is done where another process has done it meanwhile.

    Parameters
    ----------
    job : dict
        ``key``, ``root``, ``site``, ``records``, ``inbox_out`` (output folder of the watch), ``out`` (of the study),
        ``engine``, ``backend``.

    Returns
    -------
    int
        Exit status: 0 where the outcome is known now, else :data:`CONTENT_CHANGED`.
    """
    state = InboxState(Path(job["inbox_out"]), Path(job["site"]))
    with state.turn(job["key"]):
        if _is_done(state, job):
            return 0
        if content_key(Path(job["root"])) != job["key"]:
            return CONTENT_CHANGED
        state.write(job["key"], _outcome(job))
        _clear(Path(job["out"]) / ".work")
        return 0


def _clear(work: Path) -> None:
    """Remove what only an interrupted run needs, some hundred megabytes; the journal of its steps stays."""
    for name in ("arrays", "results"):
        shutil.rmtree(work / name, ignore_errors=True)


def _is_done(state: InboxState, job: Document) -> bool:
    known = state.read(job["key"])
    with open_store(job["records"]) as records:
        return known is not None and is_current(known, state.judged_by, records)


def _outcome(job: Document) -> Document:
    try:
        parts = parts_of(Path(job["root"]))
        missing = missing_of(parts)
        if parts.form is None or missing is not None:
            return waiting(missing or FORM)
        # Reading takes a second or two and refuses most of what is refused; Prefect's start takes ten.
        ingest([parts.root], load_site(Path(job["site"])), load_cycle_form(parts.form))
        return _walked(parts, job)
    except RefusalError as refusal:
        return refused(refusal)


def _walked(parts: Parts, job: Document) -> Document:
    """Walk the study; a run that was interrupted goes on where it stopped."""
    from flows.cycle import run_cycle
    from pipeline.steps.request import request_document

    out = Path(job["out"])
    request = request_document(
        studies=[parts.root],
        site=Path(job["site"]),
        cycle_form=parts.form,
        blood=parts.blood,
        contours=parts.contours,
        engine=job["engine"],
        backend=job["backend"],
    )
    filed = run_cycle(request, records=job["records"], out=out, announce=lambda _step, _total: None)
    return processed(filed["result"], version=filed["version"], out=out, look=needs_a_person(filed["result"]))


if __name__ == "__main__":
    sys.exit(run_study(json.load(sys.stdin)))
