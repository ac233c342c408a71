"""Clinical events: what all events of a patient say together on a day.

An event is a dated, flat document with ``by`` and ``reason``. Its statements are the physician's inputs of section 2.2
of the clinical specification; which there are, says :mod:`pipeline.records.event_keys`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.domain.decision import ClinicianFlags, SalvageStatus
from pipeline.records.event_keys import FLAGS, NEXT_CYCLE_FLAGS, SALVAGE
from pipeline.records.times import day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from pipeline.domain.decision import Phase, Protocol
    from pipeline.records.record import Entry


@dataclass(frozen=True)
class Statements:
    """What the events say together on one day.

    ``imputed`` and ``given`` are keyed by cycle: doses that a physicist answers for without images, and cycles that
    were given without a filed result. ``last_given_on`` is the day of the last administration.
    """

    last_given_on: date | None = None
    protocol: Protocol = "DOSIMETRY_GUIDED"
    phase: Phase = "PRIMARY"
    phase_started_on: date | None = None
    planned_activity_gbq: float | None = None
    haematological_grade: int | None = None
    flags: ClinicianFlags = field(default_factory=ClinicianFlags)
    salvage: SalvageStatus = field(default_factory=SalvageStatus)
    acknowledged_cycles: frozenset[int] = frozenset()
    imputed: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    given: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


def statements_on(events: Iterable[Entry], on: date, last_given_on: date | None) -> Statements:
    """Fold the events dated up to ``on``; a later statement replaces an earlier one of the same name.

    Parameters
    ----------
    events : iterable of Entry
        In force, in order of date and recording.
    on : date
    last_given_on : date or None
        Orders, go-aheads and grades from before the last administration, or of its day, are spent.
    """
    known = [entry for entry in events if entry.dated_on <= on.isoformat()]
    fresh = [e for e in known if last_given_on is None or e.dated_on > last_given_on.isoformat()]
    flags = _folded(known, FLAGS - NEXT_CYCLE_FLAGS) | _folded(fresh, NEXT_CYCLE_FLAGS)
    return Statements(
        last_given_on=last_given_on,
        protocol=_last(known, "protocol", "DOSIMETRY_GUIDED"),
        phase=_last(known, "phase", "PRIMARY"),
        phase_started_on=_phase_start(known),
        planned_activity_gbq=_last(fresh, "planned_activity_gbq", None),
        haematological_grade=_last(fresh, "worst_haematological_grade", None),
        flags=ClinicianFlags(**flags),
        salvage=SalvageStatus(**_folded(known, SALVAGE)),
        acknowledged_cycles=frozenset(c for e in known for c in e.content.get("asymmetry_acknowledged", ())),
        imputed=_by_cycle(known, "imputed"),
        given=_by_cycle(known, "given_cycles"),
    )


def _folded(events: list[Entry], names: frozenset[str]) -> dict[str, Any]:
    folded: dict[str, Any] = {}
    for entry in events:
        folded |= {name: value for name, value in entry.content.items() if name in names}
    return folded


def _last(events: list[Entry], name: str, otherwise: Any) -> Any:
    stated = [entry.content[name] for entry in events if name in entry.content]
    return stated[-1] if stated else otherwise


def _phase_start(events: list[Entry]) -> date | None:
    """Day as stated since the phase was entered; None where nobody stated it.

    Neither the start of the phase before nor the day of the event stands in: a start that is too early stops for the
    progression that salvage treats, one that is too late overlooks progression under it. Without a day every
    progression on record counts (row 13), until somebody states it.
    """
    phase, stated = "PRIMARY", None
    for content in (entry.content for entry in events):
        if content.get("phase", phase) != phase:
            phase, stated = content["phase"], None
        stated = content.get("phase_started_on", stated)
    return day_of(stated, "phase_started_on") if stated else None


def _by_cycle(events: list[Entry], name: str) -> dict[int, Mapping[str, Any]]:
    return {item["cycle"]: item for entry in events for item in entry.content.get(name, ())}
