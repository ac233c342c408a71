"""Runs decision cases (``prrt rules check``) and compares each with what its author expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import RefusalError
from pipeline.rules.case_course import course_from_patient
from pipeline.rules.case_reader import as_number, plain_key
from pipeline.rules.decide import evaluate
from pipeline.rules.limits import canonical_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.domain.decision import Decision, PatientCourse
    from pipeline.rules.limits import ProtocolLimits

ACTIVITY_TOLERANCE_GBQ: Final = 1e-9
CASE_FIELDS: Final = frozenset(
    {
        "id",
        "patient",
        "config",
        "expected",
        "also_expected",
        "description",
        "title",
        "comment",
        "note",
        "notes",
        "source",
        "row",
        "rows",
        "tags",
    }
)


def _limits(
    case: Mapping[str, Any], limits_for: Callable[[Mapping[str, Any]], ProtocolLimits], faults: set[str]
) -> ProtocolLimits:
    """Limits with the case's ``config``; what cannot be used is a fault of this case, evaluated with the defaults."""
    config = case.get("config")
    if config is not None and not isinstance(config, dict):
        faults.add("DATA_INVALID_FIELD")
    overrides = config if isinstance(config, dict) else {}
    known = {key: value for key, value in overrides.items() if canonical_key(plain_key(key))}
    if len(known) < len(overrides):
        faults.add("DATA_INVALID_FIELD")
    try:
        return limits_for({plain_key(key): value for key, value in known.items()})
    except RefusalError:
        faults.add("DATA_INVALID_CONFIG")
        return limits_for({})


def course_from_case(
    case: Mapping[str, Any], limits_for: Callable[[Mapping[str, Any]], ProtocolLimits]
) -> tuple[PatientCourse, ProtocolLimits]:
    """Read a case (``patient`` and ``config``) into a course and its limits; faults are in ``course.data_faults``."""
    faults: set[str] = set()
    if {plain_key(key) for key in case} - CASE_FIELDS:
        faults.add("DATA_INVALID_FIELD")
    limits = _limits(case, limits_for, faults)
    return course_from_patient(case.get("patient"), limits.planned_activity_gbq, faults), limits


def _activity_agrees(expected: object, found_gbq: float | None) -> bool:
    if expected is None or found_gbq is None:
        return expected is None and found_gbq is None
    return abs(as_number(expected) - found_gbq) <= ACTIVITY_TOLERANCE_GBQ


def _agrees(expected: object, decision: Decision) -> bool | None:
    """Compare outcome, set of reasons and activity, each where the case states it; None without ``expected``."""
    if expected is None:
        return None
    stated = {plain_key(key): value for key, value in expected.items()} if isinstance(expected, dict) else {}
    if "outcome" not in stated or stated["outcome"] != decision.outcome:
        return False
    reasons = stated.get("reasons")
    codes = {reason.code for reason in decision.winning_reasons}
    if reasons is not None and (not isinstance(reasons, list) or {str(r) for r in reasons} != codes):
        return False
    return "activity_gbq" not in stated or _activity_agrees(stated["activity_gbq"], decision.activity_gbq)


def _row(identifier: object, decision: Decision, expected: object) -> dict[str, Any]:
    return {
        "id": identifier,
        "outcome": decision.outcome,
        "reasons": [reason.code for reason in decision.winning_reasons],
        "advisories": list(decision.advisories),
        "options": list(decision.options),
        "activity_gbq": decision.activity_gbq,
        "agrees": _agrees(expected, decision),
    }


def check_case(case: object, index: int, limits_for: Callable[[Mapping[str, Any]], ProtocolLimits]) -> dict[str, Any]:
    """Run one case; one that is no object REFERs with ``DATA_INVALID_FIELD``."""
    record: dict[str, Any] = case if isinstance(case, dict) else {"": case}
    course, limits = course_from_case(record, limits_for)
    return _row(record.get("id", f"case {index}"), evaluate(course, limits), record.get("expected"))


def check_cases(
    cases: Sequence[object], limits_for: Callable[[Mapping[str, Any]], ProtocolLimits]
) -> dict[str, list[dict[str, Any]]]:
    """Run cases and return the document of ``prrt rules check``.

    Parameters
    ----------
    cases : sequence
        Each ``{"id", "patient", "config", "expected"}``.
    limits_for : callable
        Returns the protocol's limits with a case's ``config`` put over the defaults, or refuses it.

    Returns
    -------
    dict
        ``{"cases": [{"id", "outcome", "reasons", "advisories", "options", "activity_gbq", "agrees"}]}``; ``reasons``
        are those of the winning level, ``agrees`` is None for a case without ``expected``.
    """
    return {"cases": [check_case(case, index, limits_for) for index, case in enumerate(cases, start=1)]}
