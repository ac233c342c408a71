"""May the next cycle be given? All rows are evaluated, every reason is shown, the worst outcome decides.

Section 2.4 of the clinical specification. Advisory: the engine proposes, a physician decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.domain.decision import Decision, Outcome, Reason
from pipeline.rules.rows_counts import COUNT_ROWS
from pipeline.rules.rows_course import COURSE_ROWS
from pipeline.rules.rows_data import DATA_ROWS
from pipeline.rules.rows_dose import DOSE_ROWS
from pipeline.rules.situation import Row, Situation, derive
from pipeline.rules.stop_category import seed_stop_category

if TYPE_CHECKING:
    from pipeline.domain.decision import PatientCourse
    from pipeline.rules.dose_account import DoseAccount
    from pipeline.rules.limits import ProtocolLimits

RULE_VERSION: Final = "2.4-1"
SEVERITY: Final[dict[Outcome, int]] = {"GIVE": 0, "WAIT": 1, "REFER": 2, "STOP": 3}
# Rows 24 (an advisory) and 25 (none of the others holds: GIVE) are made in `_advisories` and `evaluate`.
ROWS: Final[tuple[Row, ...]] = tuple(
    sorted((*DATA_ROWS, *DOSE_ROWS, *COURSE_ROWS, *COUNT_ROWS), key=lambda row: row.number)
)


def _reasons(situation: Situation) -> tuple[Reason, ...]:
    """All reasons, the worst level first, then by row."""
    found = [
        Reason(code=f.code, row=row.number, level=f.level, text=f.text, source=row.source)
        for row in ROWS
        for f in row.test(situation)
    ]
    return tuple(sorted(found, key=lambda reason: (-SEVERITY[reason.level], reason.row)))


def _one_scan_advisories(account: DoseAccount) -> tuple[str, ...]:
    """Name the counted doses whose half-life no scan of their cycle told, with the method that stood in."""
    found = [entry for entry in account.entries if entry.is_counted and entry.one_scan_method]
    listed = "; ".join(f"cycle {entry.cycle}: {entry.one_scan_method}" for entry in found)
    return (f"{account.organ.upper()}_DOSE_FROM_ONE_SCAN({listed})",) if found else ()


def _dose_advisories(account: DoseAccount) -> tuple[str, ...]:
    organ = account.organ.upper()
    if not account.enforced:
        return (f"{organ}_LIMIT_EXCEEDED",) if account.is_reached else ()
    above = account.rule == "reached" and account.projection_exceeds
    return (f"{organ}_PROJECTED_ABOVE_LIMIT",) if above else ()


def _count_advisories(situation: Situation) -> tuple[str, ...]:
    latest = situation.latest
    if latest is None:
        return ()
    ordered = situation.course.flags.reduce_30_ordered
    conditions = {
        "COUNTS_OVERRIDDEN_REDUCED_ACTIVITY": ordered and bool(latest.failed),
        "REDUCTION_WITHOUT_FAILED_COUNTS": ordered and latest.passes,
        "NEUTROPHILS_INSTEAD_OF_GRANULOCYTES": latest.neutrophils_failed,
    }
    return tuple(code for code, holds in conditions.items() if holds)


def _later_advisories(situation: Situation) -> tuple[str, ...]:
    """Observations dated after the decision day are no evidence on that day, and are not passed over in silence."""
    course = situation.course
    labs = any(panel.sampled_on > course.decided_on for panel in course.panels)
    progression = any(a.recist == "PD" and a.assessed_on > course.decided_on for a in course.assessments)
    conditions = {"LABS_AFTER_DECISION_DATE": labs, "PROGRESSION_AFTER_DECISION_DATE": progression}
    return tuple(code for code, holds in conditions.items() if holds)


def interval_extended(situation: Situation) -> tuple[str, ...]:
    """Row 24: more days than the intended interval; an advisory, not a stop rule (S-02)."""
    gap = situation.gap_days
    return ("INTERVAL_EXTENDED",) if gap is not None and gap > situation.limits.interval_max_days else ()


def _advisories(situation: Situation) -> tuple[str, ...]:
    return (
        *_count_advisories(situation),
        *_dose_advisories(situation.kidney),
        *_dose_advisories(situation.marrow),
        *_one_scan_advisories(situation.kidney),
        *_one_scan_advisories(situation.marrow),
        *interval_extended(situation),
        *_later_advisories(situation),
    )


def _options(situation: Situation, codes: frozenset[str]) -> tuple[str, ...]:
    """What a physician could order instead; the engine never chooses it (section 0, fact 5)."""
    failed = situation.latest is not None and bool(situation.latest.failed)
    projected = bool(codes & {"KIDNEY_DOSE_PROJECTED", "MARROW_DOSE_PROJECTED"})
    fits = projected and situation.kidney.reduced_fits and situation.marrow.reduced_fits
    options = {"REDUCE_30_BY_PHYSICIAN_ORDER": failed, "REDUCED_ACTIVITY_WOULD_FIT(not in seed)": fits}
    return tuple(option for option, holds in options.items() if holds)


def _activity_gbq(situation: Situation) -> float:
    """Planned activity, or what the physician ordered (never more)."""
    planned = situation.course.planned_activity_gbq
    return planned * situation.limits.reduced_factor if situation.course.flags.reduce_30_ordered else planned


def _cumulative(situation: Situation) -> dict[str, Any]:
    return {
        "kidney_gy": situation.kidney.total_gy,
        "kidney_sigma_gy": situation.kidney.total_sigma_gy,
        "marrow_gy": situation.marrow.total_gy,
        "marrow_sigma_gy": situation.marrow.total_sigma_gy,
        "marrow_method": situation.limits.marrow_limit_method,
    }


def _projected(situation: Situation) -> dict[str, Any]:
    return {
        "kidney_gy": situation.kidney.projected_gy,
        "kidney_sigma_gy": situation.kidney.projected_sigma_gy,
        "marrow_gy": situation.marrow.projected_gy,
        "marrow_sigma_gy": situation.marrow.projected_sigma_gy,
    }


def _p_exceed(situation: Situation) -> dict[str, float | None]:
    return {
        "kidney": situation.kidney.p_exceed,
        "marrow": situation.marrow.p_exceed,
        "kidney_projected": situation.kidney.p_exceed_projected,
        "marrow_projected": situation.marrow.p_exceed_projected,
    }


def evaluate(course: PatientCourse, limits: ProtocolLimits) -> Decision:
    """Evaluate all rows of the decision table on a patient's course.

    Parameters
    ----------
    course : PatientCourse
        Cycles in the order they were given; panels and assessments in any order. Observations dated after
        ``decided_on`` are no evidence.
    limits : ProtocolLimits

    Returns
    -------
    Decision
        The worst of STOP > REFER > WAIT > GIVE, with every reason of every level; doses in Gy, activity in GBq.
        Cumulative doses are those that are signed (marrow: and of the limit's method); a projected dose is None
        where rows 9 and 10 do not apply.

    Notes
    -----
    Source: section 2.4 of the clinical specification, after Fröss-Baron et al., Neuroendocrinology 2021;111:330-343.
    """
    situation = derive(course, limits)
    reasons = _reasons(situation)
    outcome: Outcome = reasons[0].level if reasons else "GIVE"
    return Decision(
        on=course.decided_on,
        outcome=outcome,
        activity_gbq=_activity_gbq(situation) if outcome == "GIVE" else None,
        reasons=reasons,
        advisories=_advisories(situation),
        options=_options(situation, frozenset(reason.code for reason in reasons)),
        cumulative=_cumulative(situation),
        projected=_projected(situation),
        p_exceed=_p_exceed(situation),
        earliest_date=situation.earliest_date,
        deadline=situation.deadline,
        rule_version=RULE_VERSION,
        stop_category=seed_stop_category(reason.code for reason in reasons if reason.level == "STOP"),
    )
