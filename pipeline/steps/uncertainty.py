"""Analytic and simulated uncertainty of a filed patient, side by side: the command ``prrt uncertainty``."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusalError, require
from pipeline.physics.dose.simulation_comparison import compared
from pipeline.physics.uncertainty.simulation import (
    RegionDraws,
    mass_weighted,
    shared_draws,
    simulate_as_filed,
    simulate_blood,
    simulate_region,
)
from pipeline.records.course import course_from_record, statements_of
from pipeline.rules.dose_account import kidney_account, marrow_account, projection_weights
from pipeline.settings import site_from_document
from pipeline.steps.uncertainty_parts import blood_parts, region_key, region_parts

if TYPE_CHECKING:
    from datetime import date

    import numpy as np
    from numpy.typing import NDArray

    from pipeline.domain.decision import GivenCycle, PatientCourse
    from pipeline.physics.dose.simulation_comparison import Comparison
    from pipeline.physics.uncertainty.simulation import SharedDraws
    from pipeline.records.record import CycleVersion, PatientRecord
    from pipeline.records.store import RecordStore
    from pipeline.rules.dose_account import DoseAccount, DoseEntry
    from pipeline.rules.limits import ProtocolLimits

    Vector = NDArray[np.float64]

Document = dict[str, Any]

BUDGET_PARTS = ("calibration", "recovery", "volume", "fit", "s_value")


@dataclass(frozen=True, eq=False)
class _Cycle:
    """The simulated doses of one filed cycle: regions by key (with their documents), and the doses of the limits."""

    regions: dict[str, tuple[Document, RegionDraws | Vector]]
    not_simulated: list[Document]


def simulate_uncertainty(
    store: RecordStore, patient: str, *, on: date, draws: int, seed: int, cycle: int | None = None
) -> Document:
    """Propagate the uncertainty of every filed dose by Monte Carlo and set it beside the analytic budget.

    Parameters
    ----------
    store : RecordStore
    patient : str
        Patient key.
    on : date
        Day whose statements (phase, ordered activity) count for the projection.
    draws, seed : int
    cycle : int, optional
        Only this cycle's regions are listed; the sums go over all cycles.

    Returns
    -------
    dict
        ``regions``, ``cumulative`` (kidney, marrow: now and projected), ``not_simulated``, ``verdict``. Unsigned
        cycles count here, and are named in ``drafts``; the decision counts signed ones only.

    Raises
    ------
    RefusalError
        ``PATIENT_UNKNOWN``, ``CYCLE_UNKNOWN``, ``SIMULATION_SIZE_INVALID``.
    """
    shared, record = shared_draws(draws, seed), store.record(patient)
    versions = {version.cycle: version for version in record.latest_versions}
    _require_cycle(versions, cycle)
    cycles = {number: _simulated(version, shared) for number, version in versions.items()}
    listed = {n: c for n, c in cycles.items() if cycle in (None, n)}
    regions = [
        _region_row(n, key, document, drawn) for n, c in listed.items() for key, (document, drawn) in c.regions.items()
    ]
    cumulative = _sums(record, on, cycles, shared)
    return {
        "patient_key": patient,
        "draws": draws,
        "seed": seed,
        "drafts": [number for number, version in versions.items() if version.status == "DRAFT"],
        "regions": regions,
        "cumulative": cumulative,
        "not_simulated": [{"cycle": n, **item} for n, c in listed.items() for item in c.not_simulated],
        "verdict": _overall([*regions, *(row for organ in cumulative.values() for row in organ["sums"])]),
    }


def _require_cycle(versions: dict[int, CycleVersion], cycle: int | None) -> None:
    require(
        bool(versions) and cycle in (None, *versions),
        "CYCLE_UNKNOWN",
        found=f"filed cycles {sorted(versions) or 'none'}",
        needed="a filed cycle" if cycle is None else f"cycle {cycle}",
        do="process the cycle first, or give the number of a filed one",
        where="--cycle",
    )


# --- regions of one cycle --------------------------------------------------------------------------------------------


def _simulated(version: CycleVersion, shared: SharedDraws) -> _Cycle:
    site = site_from_document(dict(version.settings))
    regions: dict[str, tuple[Document, RegionDraws | Vector]] = {}
    left_out = []
    for document in version.document["regions"]:
        key = region_key(document)
        try:
            if (document.get("ledger") or {}).get("kind") == "blood":
                regions[key] = (document, simulate_blood(blood_parts(document, version.cycle), shared))
            else:
                parts = region_parts(version.document, document, site, version.cycle)
                regions[key] = (document, simulate_region(parts, shared))
        except RefusalError as refusal:
            if refusal.code != "BUDGET_MISSING":
                raise
            left_out.append({"region": key, "why": refusal.found})
    return _Cycle(regions, left_out)


def _region_row(cycle: int, key: str, document: Document, drawn: RegionDraws | Vector) -> Document:
    draws_gy = drawn.dose_gy if isinstance(drawn, RegionDraws) else drawn
    comparison = compared(draws_gy, document["mean_dose_gy"], document["mean_dose_sigma_gy"])
    return {"cycle": cycle, "region": key, **_row(comparison), "parts": _parts(document, drawn)}


def _parts(document: Document, drawn: RegionDraws | Vector) -> Document:
    """Return each part's relative sigma, analytic and simulated; none for the marrow by blood."""
    if not isinstance(drawn, RegionDraws):
        return {}
    budget = document["uncertainty"]
    return {
        name: {"analytic": float(budget[name] or 0.0), "simulated": float(drawn.parts[name].std(ddof=1))}
        for name in BUDGET_PARTS
    }


def _row(comparison: Comparison) -> Document:
    simulated = comparison.simulated
    return {
        "dose_gy": comparison.dose_gy,
        "analytic": {
            "sigma_gy": comparison.sigma_gy,
            "interval_gy": list(comparison.interval_gy),
            "p_exceed": comparison.p_exceed,
        },
        "simulated": {
            "mean_gy": simulated.mean_gy,
            "sigma_gy": simulated.sigma_gy,
            "sigma_error_gy": simulated.sigma_error_gy,
            "interval_gy": list(simulated.interval_gy),
            "interval_error_gy": list(simulated.interval_error_gy),
            "p_exceed": simulated.p_exceed,
            "p_exceed_error": simulated.p_exceed_error,
        },
        "sigma_difference": comparison.difference if math.isfinite(comparison.difference) else None,
        "monte_carlo_error": comparison.monte_carlo_error,
        "non_linearity_bound": comparison.non_linearity,
        "bias_in_sigma": comparison.bias_in_sigma,
        "verdict": comparison.verdict,
    }


# --- sums over cycles ------------------------------------------------------------------------------------------------


def _sums(record: PatientRecord, on: date, cycles: dict[int, _Cycle], shared: SharedDraws) -> Document:
    limits = site_from_document(dict(record.latest_versions[-1].settings)).protocol
    stated = statements_of(record, on)
    ordered = stated.planned_activity_gbq
    planned = limits.planned_activity_gbq if ordered is None else ordered
    course = course_from_record(record, on, planned, limits.marrow_limit_method)
    numbers = sorted({*stated.given, *cycles})
    accounts = (kidney_account(_all_counted(course), limits), marrow_account(_all_counted(course), limits))
    return {account.organ: _organ(account, numbers, cycles, planned, limits, shared) for account in accounts}


def _all_counted(course: PatientCourse) -> PatientCourse:
    """Return the course with drafts counted as the signed doses they may become."""
    return replace(course, cycles=tuple(_counted(cycle) for cycle in course.cycles))


def _counted(cycle: GivenCycle) -> GivenCycle:
    kidney = "SIGNED" if cycle.kidney_status == "DRAFT" else cycle.kidney_status
    marrow = "SIGNED" if cycle.marrow_status == "DRAFT" else cycle.marrow_status
    return replace(cycle, kidney_status=kidney, marrow_status=marrow)


def _organ(
    account: DoseAccount,
    numbers: list[int],
    cycles: dict[int, _Cycle],
    planned_gbq: float,
    limits: ProtocolLimits,
    shared: SharedDraws,
) -> Document:
    drawn = [
        _entry_draws(account.organ, entry, cycles.get(number), number, shared) if entry.is_counted else None
        for entry, number in zip(account.entries, numbers, strict=True)
    ]
    counted = [doses for doses in drawn if doses is not None]
    sums = []
    if counted:
        now = compared(sum(counted[1:], counted[0]), account.total_gy, account.total_sigma_gy, account.limit_gy)
        sums.append({"sum": "now", **_row(now)})
    if account.projected_gy is not None and account.projected_sigma_gy is not None:
        weights = projection_weights(account, planned_gbq, limits.projection_source)
        parts = [(1.0 + weight) * doses for weight, doses in zip(weights, counted, strict=True)]
        total = sum(parts[1:], parts[0])
        projected = compared(total, account.projected_gy, account.projected_sigma_gy, account.limit_gy)
        sums.append({"sum": "with the next cycle", **_row(projected)})
    return {"limit_gy": account.limit_gy, "planned_activity_gbq": planned_gbq, "cycles": len(counted), "sums": sums}


def _entry_draws(organ: str, entry: DoseEntry, cycle: _Cycle | None, number: int, shared: SharedDraws) -> Vector:
    """Return the simulated doses behind one entry of an account; from its sigmas alone where it was not simulated."""
    found = None if cycle is None else (_kidneys(cycle) if organ == "kidney" else _marrow(cycle, entry))
    if found is not None:
        return found
    dose_gy = float(entry.dose_gy or 0.0)
    return simulate_as_filed(dose_gy, entry.sigma_correlated_gy, entry.sigma_independent_gy, organ, number, shared)


def _kidneys(cycle: _Cycle) -> Vector | None:
    # As in the value of the rule: the mass-weighted mean of both whole kidneys, or the only one.
    sides = [
        (document, drawn)
        for document, drawn in cycle.regions.values()
        if document["name"] == "kidney" and document["kind"] == "organ"
    ]
    left_out = any(item["region"].startswith("kidney") for item in cycle.not_simulated)
    drawn_sides = [drawn for _, drawn in sides if isinstance(drawn, RegionDraws)]
    return None if left_out or not drawn_sides else mass_weighted(drawn_sides)


def _marrow(cycle: _Cycle, entry: DoseEntry) -> Vector | None:
    document, drawn = cycle.regions.get("marrow", (None, None))
    if document is None or drawn is None or document["mean_dose_gy"] != entry.dose_gy:
        return None
    return drawn.dose_gy if isinstance(drawn, RegionDraws) else drawn


def _overall(rows: list[Document]) -> Document:
    differences = [abs(row["sigma_difference"]) for row in rows if row["sigma_difference"] is not None]
    disagreeing = [row for row in rows if row["verdict"] != "agrees"]
    return {
        "agrees": not disagreeing,
        "largest_sigma_difference": max(differences, default=None),
        "rows": len(rows),
        "analytic_narrower": sum(row["verdict"] == "analytic is narrower" for row in disagreeing),
        "analytic_wider": sum(row["verdict"] == "analytic is wider" for row in disagreeing),
    }
