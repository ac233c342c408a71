"""Take a study in: unpack it, know it by its content, and see from its cycle form whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusalError
from pipeline.files.archive import unpack
from pipeline.files.forms import load_cycle_form
from pipeline.steps.inbox import FORM, content_key, file_hash, parts_of
from pipeline.steps.inbox_state import is_current, refused, waiting

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.records.store import RecordStore
    from pipeline.steps.inbox import Entry
    from pipeline.steps.inbox_state import InboxState

Document = dict[str, Any]


@dataclass(frozen=True)
class Intake:
    """A study that has stopped arriving.

    Attributes
    ----------
    key : str
        Hash of its content.
    root : Path
        Its folder, or where its zip is unpacked.
    patient_key, cycle
        From the cycle form; the cycles of one patient are processed one after the other, in their order.
    outcome : dict or None
        What is known of this content already; None where it is still to be processed.
    """

    key: str
    root: Path
    patient_key: str = ""
    cycle: int = 0
    outcome: Document | None = None


def take_in(entry: Entry, state: InboxState, records: RecordStore) -> Intake:
    """Return the intake of a study; what is wrong with it stands in the outcome and is remembered."""
    if not entry.is_zip:
        return _of_folder(entry.path, state, records)
    sha256 = file_hash(entry.path)
    root, key = state.unpacked(sha256), state.key_of_archive(sha256)
    outcome = None if key is None else known_outcome(key, state, records)
    if key is not None and outcome is not None:
        return Intake(key, root, outcome=outcome)
    try:
        unpack(entry.path, root)
    except RefusalError as refusal:
        state.keep_archive(sha256, sha256)
        return Intake(sha256, root, outcome=_remembered(sha256, refused(refusal), state))
    intake = _of_folder(root, state, records)
    state.keep_archive(sha256, intake.key)
    return intake


def known_outcome(key: str, state: InboxState, records: RecordStore) -> Document | None:
    """Return the outcome of a content if it still holds."""
    outcome = state.read(key)
    return outcome if outcome is not None and is_current(outcome, state.judged_by, records) else None


def _of_folder(root: Path, state: InboxState, records: RecordStore) -> Intake:
    key = content_key(root)
    outcome = known_outcome(key, state, records)
    if outcome is not None:
        return Intake(key, root, outcome=outcome)
    try:
        form = parts_of(root).form
        if form is None:
            return Intake(key, root, outcome=_remembered(key, waiting(FORM), state))
        administration = load_cycle_form(form).administration
    except RefusalError as refusal:
        return Intake(key, root, outcome=_remembered(key, refused(refusal), state))
    return Intake(key, root, administration.patient_key, administration.cycle)


def _remembered(key: str, outcome: Document, state: InboxState) -> Document:
    state.write(key, outcome)
    return state.read(key) or outcome
