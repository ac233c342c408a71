"""Chapter of the validation: worked decisions, each evaluated again and compared with what its author expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.physics.commissioning.rows import Chapter, Row, compared
from pipeline.rules.cases import course_from_case
from pipeline.rules.decide import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.domain.decision import Decision
    from pipeline.rules.limits import ProtocolLimits

SOURCE = "worked cases of the clinical specification 2.5; rules of Fröss-Baron et al., Neuroendocrinology 111:330, 2021"
PRINTED_GY = 5e-4


def decisions_chapter(
    load_cases: Callable[[], Sequence[Mapping[str, Any]]], limits_for: Callable[[Mapping[str, Any]], ProtocolLimits]
) -> Chapter:
    """Return the chapter of the worked decisions.

    Parameters
    ----------
    load_cases : callable
        Cases, each with id, description, patient, config, expected and also_expected.
    limits_for : callable
        Protocol limits with a case's overrides.
    """
    return Chapter(
        "decisions",
        "Decisions",
        "Each worked case is decided again; the number counts what differs from the worked answer: outcome, reasons, "
        "activity, advisories, options, cumulative and projected doses.",
        lambda _bench: tuple(_of_case(case, limits_for) for case in load_cases()),
    )


def _of_case(case: Mapping[str, Any], limits_for: Callable[[Mapping[str, Any]], ProtocolLimits]) -> Row:
    wrong = differences(case, evaluate(*course_from_case(case, limits_for)))
    return compared(
        f"{case['id']} {case['description']}: {case['expected']['outcome']}", float(len(wrong)), 0.0, "differences",
        SOURCE, tolerance=0.0, reason=f"differs in {', '.join(wrong)}" if wrong else "a decision is right or wrong",
        comparison="absolute",
    )  # fmt: skip


def differences(case: Mapping[str, Any], decision: Decision) -> tuple[str, ...]:
    """Return the names of what a decision and a worked answer do not share."""
    expected, also = case["expected"], case["also_expected"]
    agrees = {
        "outcome": decision.outcome == expected["outcome"],
        "reasons": {reason.code for reason in decision.winning_reasons} == set(expected["reasons"]),
        "activity": _same(decision.activity_gbq, expected["activity_GBq"]),
        "advisories": list(decision.advisories) == also["advisories"],
        "options": list(decision.options) == also["options"],
        "cumulative kidney dose": _same(decision.cumulative["kidney_gy"], also["cum_kidney"]),
        "cumulative marrow dose": _same(decision.cumulative["marrow_gy"], also["cum_marrow"]),
        "projected kidney dose": _same(decision.projected["kidney_gy"], also.get("projected_kidney_Gy")),
    }
    return tuple(name for name, same in agrees.items() if not same)


def _same(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is None and expected is None
    return abs(found - expected) <= PRINTED_GY
