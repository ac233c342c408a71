"""Rows 4 to 10 and 26 of the decision table: absorbed doses against their limits, and whether they may be used.

Rows 4 to 7, 9 and 10 do not apply to ROTTERDAM_4 in the primary phase. Absorbed dose only: a biologically effective
dose has another type and no limit here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.rules.situation import Finding, Row

if TYPE_CHECKING:
    from pipeline.domain.decision import GivenCycle
    from pipeline.rules.dose_account import DoseAccount
    from pipeline.rules.situation import Situation

SEED: Final = "Fröss-Baron et al., Neuroendocrinology 2021;111:330-343"


def _listed(cycles: tuple[int, ...]) -> str:
    return ", ".join(str(cycle) for cycle in cycles)


def _reached(account: DoseAccount) -> tuple[Finding, ...]:
    if not (account.enforced and account.is_reached):
        return ()
    text = f"signed {account.organ} dose {account.total_gy:.3f} Gy, limit {account.limit_gy:g} Gy"
    return (Finding(f"{account.organ.upper()}_DOSE_REACHED", "STOP", text),)


def _missing(account: DoseAccount) -> tuple[Finding, ...]:
    if not (account.enforced and account.missing_cycles):
        return ()
    text = f"no signed {account.organ} dose of cycle {_listed(account.missing_cycles)}"
    return (Finding(f"{account.organ.upper()}_DOSIMETRY_MISSING", "REFER", text),)


def _projected(account: DoseAccount) -> tuple[Finding, ...]:
    if account.rule != "projected" or not account.projection_exceeds:
        return ()
    text = (
        f"{account.organ} dose {account.total_gy:.3f} Gy so far, {account.projected_gy:.3f} Gy expected with the "
        f"planned activity, limit {account.limit_gy:g} Gy"
    )
    return (Finding(f"{account.organ.upper()}_DOSE_PROJECTED", "STOP", text),)


def kidney_reached(situation: Situation) -> tuple[Finding, ...]:
    """Row 4: the signed kidney doses sum to the limit or more, even if other cycles are missing."""
    return _reached(situation.kidney)


def marrow_reached(situation: Situation) -> tuple[Finding, ...]:
    """Row 5: the signed marrow doses of the limit's method sum to the limit or more."""
    return _reached(situation.marrow)


def kidney_missing(situation: Situation) -> tuple[Finding, ...]:
    """Row 6: an earlier cycle has no signed (or signed imputed) kidney dose."""
    return _missing(situation.kidney)


def marrow_missing(situation: Situation) -> tuple[Finding, ...]:
    """Row 7: an earlier cycle has no signed marrow dose, or one of another method than the limit's (section 0, 3)."""
    account = situation.marrow
    if not (account.enforced and account.mismatched_cycles):
        return _missing(account)
    text = (
        f"marrow dose of cycle {_listed(account.mismatched_cycles)} by another method than "
        f"{situation.limits.marrow_limit_method}, to which the limit belongs"
    )
    return (*_missing(account), Finding("MARROW_METHOD_MISMATCH", "REFER", text))


def _is_asymmetric(cycle: GivenCycle, ratio: float, tolerance_gy: float) -> bool:
    left, right = cycle.kidney_left_gy, cycle.kidney_right_gy
    if left is None or right is None or cycle.asymmetry_acknowledged:
        return False
    return abs(left - right) > ratio * (left + right) / 2.0 + tolerance_gy


def kidney_asymmetry(situation: Situation) -> tuple[Finding, ...]:
    """Row 8: |L - R| / mean above 0.30 in a cycle and not acknowledged; applies to every protocol."""
    limits = situation.limits
    numbers = tuple(
        number
        for number, cycle in enumerate(situation.course.cycles, start=1)
        if _is_asymmetric(cycle, limits.kidney_asymmetry, limits.dose_tolerance_gy)
    )
    if not numbers:
        return ()
    text = f"kidneys differ by more than {limits.kidney_asymmetry:.0%} of their mean in cycle {_listed(numbers)}"
    return (Finding("KIDNEY_ASYMMETRY", "REFER", text),)


def kidney_projected(situation: Situation) -> tuple[Finding, ...]:
    """Row 9: with the planned activity the kidney dose would exceed its limit (rule ``projected``)."""
    return _projected(situation.kidney)


def marrow_projected(situation: Situation) -> tuple[Finding, ...]:
    """Row 10: with the planned activity the marrow dose would exceed its limit (rule ``projected``)."""
    return _projected(situation.marrow)


def second_check_failed(situation: Situation) -> tuple[Finding, ...]:
    """Row 26 (of this product): the independent second check of a cycle's dose failed."""
    numbers = tuple(i for i, cycle in enumerate(situation.course.cycles, start=1) if cycle.second_check_failed)
    if not numbers:
        return ()
    return (Finding("SECOND_CHECK_FAILED", "REFER", f"second dose check failed in cycle {_listed(numbers)}"),)


DOSE_ROWS: Final = (
    Row(4, kidney_reached, f"S-03: {SEED}", "physician and physicist"),
    Row(5, marrow_reached, f"S-04: {SEED}", "physician and physicist"),
    Row(6, kidney_missing, "S-03; a missing dose is never taken as 0", "signing an imputed value"),
    Row(7, marrow_missing, "S-04; method: Hemmingsson et al. 2023 (PMC10478826, table 3)", "signing"),
    Row(8, kidney_asymmetry, "project choice (S-03b)", "acknowledgement"),
    Row(9, kidney_projected, f"S-03, rule 'projected': project choice after {SEED}", "physician and physicist"),
    Row(10, marrow_projected, f"S-04, rule 'projected': project choice after {SEED}", "physician and physicist"),
    Row(26, second_check_failed, "EU Directive 2013/59/Euratom, Art. 56; project choice", "physicist"),
)
