"""A cycle of one scan: the patient's own half-lives from the record, where the conditions for using them hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.physics.decay import middle_factor
from pipeline.physics.kinetics.earlier_cycles import NOT_REUSED, EarlierFit, NotReused, half_life_from
from pipeline.physics.kinetics.scan_sufficiency import (
    TUMOUR_VOLUME_RATIO,
    SingleScanFacts,
    require_one_scan_suffices,
)
from pipeline.steps.single_scan_history import DRAWN, LESION, NUMBERED_ANEW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.domain.kinetics import HeadRule
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.kinetics.earlier_cycles import EarlierCurves
    from pipeline.physics.kinetics.single_scan import HalfLifePrior
    from pipeline.steps.delineate import Delineation

Document = dict[str, Any]

# Doses that limits depend on: their fit must have passed. Another region with a warning is not reused.
INDISPENSABLE = frozenset({"kidney"})
MARROW, BLOOD = "marrow", "aorta"
OTHER_LESION = "the lesion of this name had another volume (less than half or more than twice) or lay in another organ"
FIT_WARNED = "the fit carried a warning"


def half_lives_of(
    history: Document,
    extras: Mapping[str, Any],
    delineation: Delineation,
    cycle: int,
    delay_s: float,
    nuclide: Radionuclide,
    head_rule: HeadRule,
) -> dict[str, HalfLifePrior | EarlierCurves | NotReused]:
    """Return what a cycle of one scan may take the half-lives from, of the patient's earlier full cycles.

    Parameters
    ----------
    history : dict
        From :func:`pipeline.steps.single_scan_history.history_of`.
    extras : mapping
        Of the cycle form; ``new_hydronephrosis`` must be stated there.
    delineation : Delineation
        For the lesions' volume of this cycle.
    cycle : int
    delay_s : float
        Of the scan.
    nuclide : Radionuclide
    head_rule : str

    Returns
    -------
    dict
        Region key -> what ``kinetics.earlier_cycles.half_life_from`` found, or why there is none. Regions that no
        earlier cycle has are not in it.

    Raises
    ------
    RefusalError
        ``SINGLE_SCAN_INSUFFICIENT``.
    """
    require_one_scan_suffices(_facts(history, extras, delineation, cycle), delay_s)
    cycles = [*history["earlier"], history]
    keys = dict.fromkeys(key for one in cycles for key in one["regions"])
    now = _lesions(delineation)
    chosen = {key: half_life_from(_fits(key, cycles, now, nuclide), history["cycle"], head_rule) for key in keys}
    found = {key: known for key, known in chosen.items() if known is not None}
    other = {key: NotReused(OTHER_LESION) for key in keys if not _alike(key, cycles, now)}
    lesions = [r for r in delineation.segmentation.regions if r.kind == LESION and r.method != DRAWN]
    # Marrow dosed by blood has no image curve on record; its activity follows the blood (Forrer et al., Eur J Nucl Med
    # Mol Imaging 2009;36:1138), so it takes the half-life of the aorta.
    blood = {MARROW: found[BLOOD]} if BLOOD in found and MARROW not in history["left_out"] else {}
    return _reasons(cycles) | other | blood | found | {lesion.key: NotReused(NUMBERED_ANEW) for lesion in lesions}


def _reasons(cycles: list[Document]) -> dict[str, NotReused]:
    """Return why a region that some cycle has may have no half-life; the last cycle's reason counts."""
    warned = {
        key: NotReused(f"{FIT_WARNED} in cycle {one['cycle']}")
        for one in cycles
        for key, region in one["regions"].items()
        if NOT_REUSED & set(region["flags"])
    }
    return warned | {key: NotReused(left["reason"]) for one in cycles for key, left in one["left_out"].items()}


@dataclass(frozen=True)
class _Lesion:
    volume_ml: float
    host: str | None


def _lesions(delineation: Delineation) -> dict[str, _Lesion]:
    segmentation = delineation.segmentation
    voxel_ml = segmentation.grid.voxel_volume_ml
    return {
        region.key: _Lesion(float(np.count_nonzero(segmentation.mask(region))) * voxel_ml, region.host)
        for region in segmentation.regions
        if region.kind == "lesion"
    }


def _may_be_the_same(key: str, then: Document, now: Mapping[str, _Lesion]) -> bool:
    """Tell whether a region of then may be the one of that key now; a person drew and named a lesion both times."""
    if then["kind"] != "lesion":
        return True
    lesion, (low, high) = now.get(key), TUMOUR_VOLUME_RATIO
    if lesion is None or (lesion.host and then["host"] and lesion.host != then["host"]):
        return False
    then_ml = float(then["volume_ml"] or 0.0)
    return low * then_ml <= lesion.volume_ml <= high * then_ml


def _alike(key: str, cycles: list[Document], now: Mapping[str, _Lesion]) -> list[Document]:
    return [one for one in cycles if key in one["regions"] and _may_be_the_same(key, one["regions"][key], now)]


def _fits(key: str, cycles: list[Document], now: Mapping[str, _Lesion], nuclide: Radionuclide) -> list[EarlierFit]:
    filed = [(one, one["regions"][key]) for one in _alike(key, cycles, now)]
    return [
        EarlierFit(
            one["cycle"],
            region["half_life_s"],
            region["sigma_s"],
            tuple(region["flags"]),
            _curve(region["points"], nuclide),
            one["filed"],
        )
        for one, region in filed
    ]


def _curve(points: list[list[float]], nuclide: Radionuclide) -> TimeActivityCurve | None:
    """Return the points at the middles of their acquisitions, as the earlier cycle was fitted."""
    if not points:
        return None
    delay_s, duration_s, activity_bq = np.asarray(points, dtype=np.float64).T
    factors = np.array([middle_factor(nuclide, float(one)) for one in duration_s])
    return TimeActivityCurve(delay_s + duration_s / 2.0, activity_bq * factors, None)


def _facts(history: Document, extras: Mapping[str, Any], delineation: Delineation, cycle: int) -> SingleScanFacts:
    if history["cycle"] is None:
        return SingleScanFacts(None, None, None, None, unsigned=tuple(history["unsigned"]))
    stated = extras.get("new_hydronephrosis")
    return SingleScanFacts(
        cycles_since_full=cycle - history["cycle"],
        creatinine_ratio=history["creatinine_ratio"],
        new_hydronephrosis=stated if isinstance(stated, bool) else None,
        tumour_volume_ratio=_volume_ratio(history["lesion_volume_ml"], delineation),
        failed_fits=_failed(history),
        creatinine_missing=history["creatinine_missing"],
        unsigned=tuple(history["unsigned"]),
    )


def _failed(history: Document) -> tuple[str, ...]:
    """Return the kidneys of the last full cycle whose half-life may not be reused, each with the reason."""
    kept = {key: region for key, region in history["regions"].items() if region["name"] in INDISPENSABLE}
    warned = [f"{key} ({FIT_WARNED})" for key, region in kept.items() if NOT_REUSED & set(region["flags"])]
    left_out = {key: one for key, one in history["left_out"].items() if one["name"] in INDISPENSABLE}
    reasons = [f"{key} ({one['reason']})" for key, one in left_out.items()]
    return tuple(sorted((*warned, *reasons))) if kept or left_out else ("kidney (not on record)",)


def _volume_ratio(then_ml: float, delineation: Delineation) -> float | None:
    now_ml = sum(lesion.volume_ml for lesion in _lesions(delineation).values())
    if then_ml == 0.0:
        return 1.0 if now_ml == 0.0 else None
    return now_ml / then_ml
