"""The base patient of section 2.5 and small changes to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from pipeline.domain.decision import BloodPanel, Decision, GivenCycle, PatientCourse, ResponseAssessment
from pipeline.rules.decide import evaluate
from pipeline.settings import load_protocol_limits

LIMITS = load_protocol_limits()
DECISION_DAY = date(2026, 4, 20)
LAST_CYCLE_DAY = date(2026, 3, 2)
PANEL = BloodPanel(date(2026, 4, 15), 4.2, 2.4, 160.0)
CT = ResponseAssessment(date(2026, 4, 10), "CT", "SD")


def cycles(*kidney_gy: float | None, marrow_gy: float | None = 0.12, **fields: Any) -> tuple[GivenCycle, ...]:
    """Cycles of 7.4 GBq, 49 days apart, the last on 2026-03-02, with these kidney doses."""
    number = len(kidney_gy)
    return tuple(
        GivenCycle(
            given_on=LAST_CYCLE_DAY - timedelta(days=49 * (number - 1 - i)),
            activity_gbq=7.4,
            kidney_gy=dose,
            marrow_gy=marrow_gy,
            **fields,
        )
        for i, dose in enumerate(kidney_gy)
    )


def course(*given: GivenCycle, **changes: Any) -> PatientCourse:
    """Return the base patient with these cycles and changes."""
    base = PatientCourse(DECISION_DAY, cycles=given, panels=(PANEL,), assessments=(CT,))
    return replace(base, **changes)


def decide(patient: PatientCourse, **limits: Any) -> Decision:
    """Evaluate with the default limits, changed by these."""
    return evaluate(patient, replace(LIMITS, **limits))


def panel(day: date = PANEL.sampled_on, **values: Any) -> BloodPanel:
    """Return the base panel with another day or other values."""
    return replace(PANEL, sampled_on=day, **values)


def found(decision: Decision) -> set[tuple[int, str, str]]:
    """Return row, level and code of every reason."""
    return {(reason.row, reason.level, reason.code) for reason in decision.reasons}
