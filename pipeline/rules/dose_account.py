"""What an organ has received and would receive with the next cycle, against its limit (rows 4 to 10)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pipeline.domain.decision import GivenCycle, LimitRule, PatientCourse
    from pipeline.rules.limits import ProtocolLimits

Organ = Literal["kidney", "marrow"]
SIGNED = frozenset({"SIGNED", "IMPUTED_SIGNED"})


@dataclass(frozen=True)
class DoseEntry:
    """One organ's dose of one cycle (``cycle`` counts from 1), with the correlated and independent parts of sigma.

    ``one_scan_method``: method id where no scan of the cycle told the half-life; empty otherwise.
    """

    cycle: int
    activity_gbq: float
    dose_gy: float | None
    signed: bool
    method_matches: bool
    sigma_correlated_gy: float
    sigma_independent_gy: float
    one_scan_method: str = ""

    @property
    def is_missing(self) -> bool:
        """Tell whether no signed value exists."""
        return self.dose_gy is None or not self.signed

    @property
    def is_mismatched(self) -> bool:
        """Tell whether a value exists whose method is not the limit's."""
        return self.dose_gy is not None and not self.method_matches

    @property
    def is_valid(self) -> bool:
        """Tell whether dose, sigmas and activity are numbers that can be summed and scaled."""
        numbers = (self.dose_gy or 0.0, self.sigma_correlated_gy, self.sigma_independent_gy)
        return all(math.isfinite(x) and x >= 0 for x in numbers) and math.isfinite(self.activity_gbq)

    @property
    def is_counted(self) -> bool:
        """Tell whether the value enters the cumulative dose."""
        return not self.is_missing and self.method_matches and self.is_valid


@dataclass(frozen=True)
class DoseAccount:
    """Cumulative and projected dose of one organ.

    Attributes
    ----------
    enforced : bool
        False for ROTTERDAM_4 in the primary phase: nothing is projected, the limit is an advisory only.
    total_gy, total_sigma_gy : float
        Over signed values of the limit's method; correlated parts add linearly, independent ones in quadrature
        (EANM 2018 framework, Gear et al., Eur J Nucl Med Mol Imaging 2018).
    projected_gy, projected_sigma_gy, reduced_projected_gy : float or None
        With the planned, and with the reduced, activity; None where the projection rows do not apply. The sigma
        is that of the recorded doses; how the next cycle may differ from the recorded ones is not in it.
    """

    organ: Organ
    limit_gy: float
    tolerance_gy: float
    rule: LimitRule
    enforced: bool
    entries: tuple[DoseEntry, ...]
    total_gy: float
    total_sigma_gy: float
    projected_gy: float | None
    projected_sigma_gy: float | None
    reduced_projected_gy: float | None

    @property
    def is_reached(self) -> bool:
        """Tell whether the signed sum is at the limit or above, to the tolerance."""
        return self.total_gy >= self.limit_gy - self.tolerance_gy

    @property
    def projection_exceeds(self) -> bool:
        """Tell whether the planned activity would take the sum above the limit."""
        return self.projected_gy is not None and self.projected_gy > self.limit_gy + self.tolerance_gy

    @property
    def reduced_fits(self) -> bool:
        """Tell whether the reduced activity is known to keep the sum within the limit."""
        reduced = self.reduced_projected_gy
        return reduced is not None and reduced <= self.limit_gy + self.tolerance_gy

    @property
    def missing_cycles(self) -> tuple[int, ...]:
        """Cycles without a signed value."""
        return tuple(entry.cycle for entry in self.entries if entry.is_missing)

    @property
    def mismatched_cycles(self) -> tuple[int, ...]:
        """Cycles whose value comes from another method than the limit's."""
        return tuple(entry.cycle for entry in self.entries if entry.is_mismatched)

    @property
    def p_exceed(self) -> float | None:
        """Probability that the sum so far is above the limit (normal approximation); None without a sigma."""
        return _p_above(self.total_gy, self.total_sigma_gy, self.limit_gy)

    @property
    def p_exceed_projected(self) -> float | None:
        """Probability that the projected sum is above the limit; None without a projection or a sigma."""
        if self.projected_gy is None or self.projected_sigma_gy is None:
            return None
        return _p_above(self.projected_gy, self.projected_sigma_gy, self.limit_gy)


def _p_above(value_gy: float, sigma_gy: float, limit_gy: float) -> float | None:
    return 1.0 - NormalDist(value_gy, sigma_gy).cdf(limit_gy) if sigma_gy > 0 else None


def _kidney_entry(number: int, cycle: GivenCycle) -> DoseEntry:
    return DoseEntry(
        cycle=number,
        activity_gbq=cycle.activity_gbq,
        dose_gy=cycle.kidney_gy,
        signed=cycle.kidney_status in SIGNED,
        method_matches=True,
        sigma_correlated_gy=cycle.kidney_sigma_correlated_gy,
        sigma_independent_gy=cycle.kidney_sigma_independent_gy,
        one_scan_method=cycle.kidney_one_scan_method,
    )


def _marrow_entry(number: int, cycle: GivenCycle, limit_method: str) -> DoseEntry:
    return DoseEntry(
        cycle=number,
        activity_gbq=cycle.activity_gbq,
        dose_gy=cycle.marrow_gy,
        signed=cycle.marrow_status in SIGNED,
        method_matches=cycle.marrow_method == limit_method,
        sigma_correlated_gy=cycle.marrow_sigma_correlated_gy,
        sigma_independent_gy=cycle.marrow_sigma_independent_gy,
        one_scan_method=cycle.marrow_one_scan_method,
    )


def _projection_weights(entries: tuple[DoseEntry, ...], activity_gbq: float, source: str) -> list[float]:
    """Weights w of ``projected = sum(D_i) + sum(w_i D_i)``: the part of each recorded dose the next cycle repeats."""
    ratios = [activity_gbq / entry.activity_gbq for entry in entries]
    if source == "mean":
        return [ratio / len(entries) for ratio in ratios]
    chosen = len(entries) - 1
    if source == "max":
        chosen = max(range(len(entries)), key=lambda i: (entries[i].dose_gy or 0.0) * ratios[i])
    return [ratio if i == chosen else 0.0 for i, ratio in enumerate(ratios)]


def projection_weights(account: DoseAccount, activity_gbq: float, source: str) -> tuple[float, ...]:
    """Return the part of each recorded dose that the next cycle repeats, in the order of the account's entries."""
    return tuple(_projection_weights(account.entries, activity_gbq, source))


def _weighted_sum_gy(entries: tuple[DoseEntry, ...], weights: list[float]) -> float:
    return math.fsum(
        [e.dose_gy or 0.0 for e in entries] + [w * (e.dose_gy or 0.0) for w, e in zip(weights, entries, strict=True)]
    )


def _weighted_sigma_gy(entries: tuple[DoseEntry, ...], weights: list[float]) -> float:
    pairs = list(zip(weights, entries, strict=True))
    correlated = math.fsum((1.0 + w) * e.sigma_correlated_gy for w, e in pairs)
    return math.hypot(correlated, *((1.0 + w) * e.sigma_independent_gy for w, e in pairs))


def _can_project(entries: tuple[DoseEntry, ...], activity_gbq: float) -> bool:
    return (
        bool(entries)
        and math.isfinite(activity_gbq)
        and activity_gbq > 0
        and all(entry.is_counted and entry.activity_gbq > 0 for entry in entries)
    )


def _account(
    organ: Organ, entries: tuple[DoseEntry, ...], limit_gy: float, course: PatientCourse, limits: ProtocolLimits
) -> DoseAccount:
    enforced = course.protocol != "ROTTERDAM_4" or course.phase == "SALVAGE"
    counted = tuple(entry for entry in entries if entry.is_counted)
    none = [0.0] * len(counted)
    total = _weighted_sum_gy(counted, none)
    projected = sigma = reduced = None
    planned = course.planned_activity_gbq
    if enforced and total < limit_gy - limits.dose_tolerance_gy and _can_project(entries, planned):
        weights = _projection_weights(entries, planned, limits.projection_source)
        projected, sigma = _weighted_sum_gy(entries, weights), _weighted_sigma_gy(entries, weights)
        reduced = _weighted_sum_gy(entries, [limits.reduced_factor * w for w in weights])
    return DoseAccount(
        organ=organ,
        limit_gy=limit_gy,
        tolerance_gy=limits.dose_tolerance_gy,
        rule=limits.kidney_rule if organ == "kidney" else limits.marrow_rule,
        enforced=enforced,
        entries=entries,
        total_gy=total,
        total_sigma_gy=_weighted_sigma_gy(counted, none),
        projected_gy=projected,
        projected_sigma_gy=sigma,
        reduced_projected_gy=reduced,
    )


def kidney_account(course: PatientCourse, limits: ProtocolLimits) -> DoseAccount:
    """Account of the kidneys; in the salvage phase against the salvage limit, over all cycles ever given."""
    entries = tuple(_kidney_entry(i, cycle) for i, cycle in enumerate(course.cycles, start=1))
    limit_gy = limits.salvage_kidney_limit_gy if course.phase == "SALVAGE" else limits.kidney_limit_gy
    return _account("kidney", entries, limit_gy, course, limits)


def marrow_account(course: PatientCourse, limits: ProtocolLimits) -> DoseAccount:
    """Account of the bone marrow; only values of the limit's method are summed (section 0, fact 3)."""
    cycles = enumerate(course.cycles, start=1)
    entries = tuple(_marrow_entry(i, cycle, limits.marrow_limit_method) for i, cycle in cycles)
    return _account("marrow", entries, limits.marrow_limit_gy, course, limits)
