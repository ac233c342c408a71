"""Entries on their way into the record: normalised, dated and named by the hash of their content."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, get_args

from pipeline.domain.decision import RecistCategory
from pipeline.domain.provenance import canonical_json, content_hash
from pipeline.errors import require
from pipeline.records.event_keys import check_event
from pipeline.records.times import day_of
from pipeline.rules.counts import exceeds_leukocytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.records.record import EntryKind

# Shorter prefixes of an entry id are refused: 8 hexadecimal digits are 32 bits.
SHORTEST_PREFIX: Final = 8
# Values that the rules read; all others are kept as they come.
READ_BY_RULES: Final = ("wbc", "granulocytes", "neutrophils", "platelets", "haemoglobin")


@dataclass(frozen=True)
class EntryDraft:
    """An entry that may be filed: JSON content with its date; ``supersedes`` names the entry it corrects."""

    kind: EntryKind
    dated_on: str
    content: dict[str, Any]
    supersedes: str | None

    @property
    def entry_id(self) -> str:
        """Hash of kind, content and the entry it corrects; equal entries have equal ids."""
        return content_hash({"kind": self.kind, "content": self.content, "supersedes": self.supersedes})

    def resolved(self, present: Mapping[str, str]) -> EntryDraft:
        """Return the draft with the full id of the entry it corrects.

        Parameters
        ----------
        present : dict
            Kind of each entry of the patient, by id.
        """
        if self.supersedes is None:
            return self
        prefix = self.supersedes
        matches = [i for i, kind in present.items() if i.startswith(prefix) and kind == self.kind]
        require(
            len(prefix) >= SHORTEST_PREFIX and len(matches) == 1,
            "SUPERSEDED_UNKNOWN",
            found=f"{len(matches)} recorded {self.kind} entries that begin with {prefix!r}",
            needed=f"the entry id, or its first {SHORTEST_PREFIX} characters or more, of one entry to correct",
            do="take the id from prrt show",
            where=self.kind,
        )
        return replace(self, supersedes=matches[0])

    def row(self) -> dict[str, Any]:
        """Return the columns of the table ``entry`` that the draft knows."""
        return {
            "entry_id": self.entry_id,
            "kind": self.kind,
            "dated_on": self.dated_on,
            "content": canonical_json(self.content),
            "supersedes": self.supersedes,
        }

    def document(self) -> dict[str, Any]:
        """Return the entry as the reply of the record command names it."""
        correction = {"supersedes": self.supersedes} if self.supersedes else {}
        return {"entry_id": self.entry_id, "kind": self.kind, **self.content, **correction}


def draft_entry(kind: EntryKind, content: Mapping[str, Any], position: int) -> EntryDraft:
    """Check and normalise one entry (``position`` counts from 1 and serves the message)."""
    where = f"{kind}, entry {position}"
    values = {str(name): _plain(value, where) for name, value in content.items() if value is not None}
    supersedes = values.pop("supersedes", None)
    require(
        bool(values.keys() - {"date"}),
        "ENTRY_INVALID",
        found="an entry without a value",
        needed="a date and at least one value",
        do="complete the entry or leave it out",
        where=where,
    )
    CHECKS[kind](values, where)
    dated_on = day_of(values.get("date"), f"{where}, date").isoformat()
    return EntryDraft(kind, dated_on, values | {"date": dated_on}, None if supersedes is None else str(supersedes))


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(name): _plain(inner, where) for name, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, where) for inner in value]
    usable = isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))
    require(
        usable,
        "ENTRY_INVALID",
        found=f"a value of type {type(value).__name__}: {value!r}",
        needed="text, a finite number, true or false, a date",
        do="correct the value",
        where=where,
    )
    return value


def _check_labs(values: Mapping[str, Any], where: str) -> None:
    for name in READ_BY_RULES:
        value = values.get(name, 0.0)
        usable = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
        require(
            usable,
            "ENTRY_INVALID",
            found=f"{name} = {value!r}",
            needed="a count in 10^9/L (haemoglobin: g/L), not negative",
            do="correct the value, or leave it out where it was not measured",
            where=where,
        )
    for name in ("granulocytes", "neutrophils"):
        require(
            not exceeds_leukocytes(values.get(name), values.get("wbc")),
            "ENTRY_INVALID",
            found=f"{name} {values.get(name)} with wbc {values.get('wbc')} (percent?)",
            needed=f"{name} in 10^9/L, a part of the wbc",
            do="give the absolute count",
            where=where,
        )


def _check_imaging(values: Mapping[str, Any], where: str) -> None:
    recist = values.get("recist")
    require(
        bool(values.get("modality")) and (recist is None or recist in get_args(RecistCategory)),
        "ENTRY_INVALID",
        found=f"modality {values.get('modality')!r}, recist {recist!r}",
        needed=f"a modality, and one of {', '.join(get_args(RecistCategory))} or nothing",
        do="correct the assessment",
        where=where,
    )


CHECKS: Final[dict[EntryKind, Callable[[Mapping[str, Any], str], None]]] = {
    "labs": _check_labs,
    "imaging": _check_imaging,
    "event": check_event,
}
