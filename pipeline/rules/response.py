"""Response by RECIST 1.1 and by marker (section 4.3; S-40, S-41, S-44).

Sources: RECIST 1.1 (Eisenhauer et al., Eur J Cancer 2009;45:228-247; steps as in section 4.3 of the clinical
specification). Diameters are whole tenths of a millimetre, so that 70.0 of 100 is a partial response and 70.1 is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal

from pipeline.errors import RefusalError, require

if TYPE_CHECKING:
    from collections.abc import Sequence

TargetResponse = Literal["CR", "PR", "SD", "PD", "NE", "NONE"]
NonTargetResponse = Literal["CR", "NON_CR_NON_PD", "PD", "NE", "NONE"]
OverallResponse = Literal["CR", "PR", "SD", "NON_CR_NON_PD", "PD", "NE"]

TENTHS_PER_MM: Final = 10
# Present, but too small to measure: 5 mm.
TOO_SMALL_TENTHS: Final = 50
# A node below 10 mm short axis is normal.
NORMAL_NODE_BELOW_TENTHS: Final = 100
SMALLEST_INCREASE_TENTHS: Final = 50
# Project choice: stable disease counts from 6 weeks after baseline.
STABLE_FROM_DAYS: Final = 42
ORDER: Final[tuple[OverallResponse, ...]] = ("CR", "PR", "SD", "NON_CR_NON_PD", "PD", "NE")
OBJECTIVE_RESPONSE: Final = frozenset({"CR", "PR"})
DISEASE_CONTROL: Final = frozenset({"CR", "PR", "SD", "NON_CR_NON_PD"})


def tenths_of_mm(diameter_mm: float | str | Decimal) -> int:
    """Return a diameter in whole tenths of a millimetre; never rounded.

    Raises
    ------
    RefusalError
        ``RECIST_INVALID``: no number, negative, or more than one decimal.
    """
    try:
        tenths = Decimal(str(diameter_mm)) * TENTHS_PER_MM
    except InvalidOperation:
        tenths = Decimal(-1)
    if not tenths.is_finite() or tenths < 0 or tenths != tenths.to_integral_value():
        raise RefusalError(
            "RECIST_INVALID",
            found=f"diameter {diameter_mm} mm",
            needed="millimetres, 0 or more, with at most one decimal",
            do="enter the diameter as it was measured, to a tenth of a millimetre",
            where="target lesions",
        )
    return int(tenths)


@dataclass(frozen=True)
class TargetLesion:
    """One target at one visit: longest diameter, of a node the short axis; None: not measured; 0: gone."""

    diameter_tenths_mm: int | None
    is_node: bool = False

    @property
    def is_clear(self) -> bool:
        """Tell whether the lesion is gone, or the node normal."""
        if self.diameter_tenths_mm is None:
            return False
        return self.diameter_tenths_mm < NORMAL_NODE_BELOW_TENTHS if self.is_node else self.diameter_tenths_mm == 0


def measured_sum_tenths_mm(lesions: Sequence[TargetLesion]) -> int:
    """Sum of what was measured (a lower bound of the sum of diameters where a target is missing)."""
    return sum(lesion.diameter_tenths_mm or 0 for lesion in lesions)


def _has_grown(sum_tenths_mm: int, nadir_tenths_mm: int) -> bool:
    if nadir_tenths_mm == 0:
        return sum_tenths_mm > 0
    enough = sum_tenths_mm - nadir_tenths_mm >= SMALLEST_INCREASE_TENTHS
    return enough and sum_tenths_mm * 100 >= nadir_tenths_mm * 120


def target_response(lesions: Sequence[TargetLesion], baseline_tenths_mm: int, nadir_tenths_mm: int) -> TargetResponse:
    """Response of the target lesions at one visit, in the order PD, CR, PR, SD.

    Parameters
    ----------
    lesions : sequence of TargetLesion
        All targets chosen at baseline.
    baseline_tenths_mm, nadir_tenths_mm : int
        Sum of diameters at baseline, and the smallest so far with baseline included.

    Returns
    -------
    str
        ``NE`` if a target is not measured and the rest does not prove PD; ``NONE`` without targets.
    """
    if not lesions:
        return "NONE"
    measured = measured_sum_tenths_mm(lesions)
    if _has_grown(measured, nadir_tenths_mm):
        return "PD"
    if any(lesion.diameter_tenths_mm is None for lesion in lesions):
        return "NE"
    if all(lesion.is_clear for lesion in lesions):
        return "CR"
    return "PR" if measured * 100 <= baseline_tenths_mm * 70 else "SD"


def target_responses(visits: Sequence[Sequence[TargetLesion]]) -> tuple[TargetResponse, ...]:
    """Responses of all visits after baseline, ``visits[0]``; incomplete visits do not set the nadir.

    Raises
    ------
    RefusalError
        ``RECIST_INVALID``: no baseline, or one with a target that is not measured, or targets that change.
    """
    require(
        bool(visits)
        and all(len(visit) == len(visits[0]) for visit in visits)
        and all(lesion.diameter_tenths_mm is not None for lesion in visits[0]),
        "RECIST_INVALID",
        found=f"{len(visits)} visits with {[len(visit) for visit in visits]} targets",
        needed="a complete baseline and the same targets at every visit",
        do="enter every target of the baseline at every visit, unmeasured ones as not measured",
        where="target lesions",
    )
    baseline = nadir = measured_sum_tenths_mm(visits[0])
    responses: list[TargetResponse] = []
    for visit in visits[1:]:
        responses.append(target_response(visit, baseline, nadir))
        if all(lesion.diameter_tenths_mm is not None for lesion in visit):
            nadir = min(nadir, measured_sum_tenths_mm(visit))
    return tuple(responses)


def overall_response(
    target: TargetResponse, non_target: NonTargetResponse, *, new_lesion: bool = False
) -> OverallResponse:
    """Overall response of one visit (table of section 4.3); without any lesion at baseline it is NE."""
    if new_lesion or target == "PD" or non_target == "PD":
        return "PD"
    if target == "NONE":
        return "NE" if non_target == "NONE" else non_target
    if target == "CR":
        return "CR" if non_target in {"CR", "NONE"} else "PR"
    return target


def _as_best(days_after_baseline: int, response: OverallResponse) -> OverallResponse:
    """Stable disease too early after baseline says nothing yet."""
    early = response in {"SD", "NON_CR_NON_PD"} and days_after_baseline < STABLE_FROM_DAYS
    return "NE" if early else response


def best_overall_response(
    visits: Sequence[tuple[int, OverallResponse]], new_therapy_after_days: int | None = None
) -> OverallResponse:
    """Best response until the first PD or the start of another therapy; confirmation is not required (S-40).

    Parameters
    ----------
    visits : sequence of (days after baseline, overall response)
        In any order.
    new_therapy_after_days : int, optional
        Start of another therapy; a visit on that very day still counts.
    """
    best: OverallResponse = "NE"
    for days, response in sorted(visits):
        if new_therapy_after_days is not None and days > new_therapy_after_days:
            break
        best = min(best, _as_best(days, response), key=ORDER.index)
        if response == "PD":
            break
    return best


def biochemical_response(baseline: float, lowest: float, upper_normal_limit: float) -> bool | None:
    """Tell whether a marker halved or became normal (S-44); None if it was not elevated at baseline.

    All three in the same unit. The seed says both "a 50 % decrease" and "> 50 %"; exactly 50 % counts here.
    """
    if baseline <= upper_normal_limit:
        return None
    return lowest <= upper_normal_limit or Decimal(str(lowest)) * 2 <= Decimal(str(baseline))
