"""What a patient's earlier full cycles tell a cycle of one scan: all of them together, or the last one's half-life."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import RefusalError
from pipeline.physics.kinetics.hierarchical_fit import fit_cycles
from pipeline.physics.kinetics.single_scan import HalfLifePrior, patient_prior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.domain.kinetics import HeadRule, TailRule, TiaEstimate, TimeActivityCurve
    from pipeline.domain.nuclide import Radionuclide

# A fit that carries one of these tells no other cycle its half-life.
NOT_REUSED = frozenset({"FIT_WARN", "AT_PHYSICAL_LIMIT", "AT_SHORTEST_LIMIT", "NON_POSITIVE_POINT"})
# One cycle tells a half-life, but nothing of how much it changes.
TOGETHER = 2


@dataclass(frozen=True)
class NotReused:
    """Why no earlier cycle tells a region's half-life, in words."""

    reason: str

    def refusal(self, region: str) -> RefusalError:
        """Return the refusal of a curve of one point of that region."""
        return RefusalError(
            "SINGLE_POINT_WITHOUT_PRIOR",
            found=f"one scan, and no half-life to reuse: {self.reason}",
            needed="a half-life of the same region from a signed full cycle",
            do="add a time point",
            where=region,
        )


@dataclass(frozen=True, eq=False)
class EarlierFit:
    """One region in an earlier full cycle, as filed.

    Attributes
    ----------
    cycle : int
    half_life_s, sigma_s : float
    flags : tuple of str
    curve : TimeActivityCurve or None
        Its points; None where the record does not hold them.
    filed : str
        Which version it is of and who signed it, for the report.
    """

    cycle: int
    half_life_s: float
    sigma_s: float
    flags: tuple[str, ...]
    curve: TimeActivityCurve | None
    filed: str = ""

    @property
    def name(self) -> str:
        """The cycle for the report."""
        return f"{self.cycle} ({self.filed})" if self.filed else str(self.cycle)

    @property
    def passed(self) -> bool:
        """Tell whether the fit may be reused."""
        return not NOT_REUSED & set(self.flags)


@dataclass(frozen=True, eq=False)
class EarlierCurves:
    """Curves of two earlier full cycles or more, and their name for the report."""

    curves: tuple[TimeActivityCurve, ...]
    source: str


def half_life_from(
    fits: Sequence[EarlierFit], last_full_cycle: int, head_rule: HeadRule
) -> HalfLifePrior | EarlierCurves | None:
    """Choose what a cycle of one scan takes a region's half-life from.

    Parameters
    ----------
    fits : sequence of EarlierFit
        Of the region, in the order of the cycles.
    last_full_cycle : int
        Its number.
    head_rule : str
        With another one than ``extrapolate``, a curve that rises at first cannot be used together with others.

    Returns
    -------
    HalfLifePrior or EarlierCurves or None
        All curves whose fits passed, where there are two or more; else the last full cycle's half-life, if its fit
        passed.
    """
    passed = [fit for fit in fits if fit.passed]
    together = {fit.cycle: fit.curve for fit in passed if fit.curve and _can_be_shared(fit.curve, head_rule)}
    if len(together) >= TOGETHER:
        cycles = ", ".join(fit.name for fit in passed if fit.cycle in together)
        return EarlierCurves(tuple(together.values()), f"cycles {cycles} of this patient together")
    last = next((fit for fit in passed if fit.cycle == last_full_cycle), None)
    return patient_prior(last.half_life_s, last.sigma_s, f"cycle {last.name} of this patient") if last else None


def _can_be_shared(curve: TimeActivityCurve, head_rule: HeadRule) -> bool:
    falls = int(np.argmax(curve.activity_bq[:-1])) == 0
    return curve.time_s.size > 1 and (falls or head_rule == "extrapolate")


def fit_with_earlier(
    curve: TimeActivityCurve,
    nuclide: Radionuclide,
    earlier: EarlierCurves,
    *,
    head_rule: HeadRule = "extrapolate",
    tail_rule: TailRule = "fitted",
    relative_error: float = 0.05,
) -> TiaEstimate:
    """Return the TIA of a cycle of one scan, by the hierarchical fit with the patient's earlier cycles.

    Parameters
    ----------
    curve : TimeActivityCurve
        One point.
    nuclide : Radionuclide
    earlier : EarlierCurves
    head_rule, tail_rule : str
    relative_error : float

    Returns
    -------
    TiaEstimate
        Model ``hierarchical``; see :func:`pipeline.physics.kinetics.hierarchical_fit.fit_cycles`.

    Raises
    ------
    RefusalError
        Of that fit.
    """
    fit = fit_cycles(
        (*earlier.curves, curve),
        nuclide,
        head_rule=head_rule,
        tail_rule=tail_rule,
        relative_error=relative_error,
    )
    return replace(fit.cycles[-1], half_life_source=earlier.source)
