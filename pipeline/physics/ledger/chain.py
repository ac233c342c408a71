"""The ledger of one dose: one line for each factor between the stored counts and Gy, and the arithmetic back.

A ledger is read from top to bottom: the first entry starts, each further one multiplies, divides or adds to what stands
there. Its last value is the dose; its sigma is that of the budget (EANM framework: Gear et al., EJNMMI 2018;45:2456),
each entry's own relative sigma times how strongly it reaches the dose.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import DefectError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Operation = Literal["start", "multiply", "divide", "add"]

# A double carries 16 digits: a ledger of some thirty operations multiplies back far within this.
AGREEMENT = 1e-9
# Single precision rounds each voxel to 1.2e-7 at most; voxels of both signs may cancel. More is another factor.
ROUNDING = 1e-5


@dataclass(frozen=True)
class LedgerEntry:
    """One factor of a dose.

    Attributes
    ----------
    step : str
        Stable name, as ``calibration``.
    symbol : str
    operation : {"start", "multiply", "divide", "add"}
        What is done with ``value`` to what stands before it.
    value : float
    unit : str
    gives, gives_unit : str
        Name and unit of what stands there afterwards.
    source : str
        Where the value comes from.
    changed_in : str
        Key or file in which a person changes it.
    relative_sigma : float or None
        One sigma, relative; None where the budget does not assess it.
    sensitivity : float
        d ln(dose) / d ln(value), with everything that moves along with it.
    parts : tuple of LedgerEntry
        A ledger of the value itself; its errors are those of this entry.
    """

    step: str
    symbol: str
    operation: Operation
    value: float
    unit: str
    gives: str
    gives_unit: str
    source: str
    changed_in: str
    relative_sigma: float | None = None
    sensitivity: float = 1.0
    parts: tuple[LedgerEntry, ...] = ()

    @property
    def sigma(self) -> float | None:
        """One sigma of the value, in its unit."""
        return None if self.relative_sigma is None else abs(self.value) * self.relative_sigma

    @property
    def dose_relative_sigma(self) -> float:
        """Relative sigma of the dose that this entry brings."""
        return abs(self.sensitivity) * (self.relative_sigma or 0.0)


_APPLY: dict[Operation, Callable[[float, float], float]] = {
    "multiply": operator.mul,
    "divide": operator.truediv,
    "add": operator.add,
}


def running_values(entries: Sequence[LedgerEntry]) -> tuple[float, ...]:
    """Return what stands there after each entry.

    Raises
    ------
    DefectError
        Where the first entry is not the only one that starts.
    """
    if [entry.operation == "start" for entry in entries] != [True] + [False] * (len(entries) - 1):
        msg = f"a ledger starts once, with its first entry; found {[entry.operation for entry in entries]}"
        raise DefectError(msg)
    rest = entries[1:]
    values = accumulate(rest, lambda so_far, e: _APPLY[e.operation](so_far, e.value), initial=entries[0].value)
    return tuple(values)


def multiplied(entries: Sequence[LedgerEntry]) -> float:
    """Return the value at the foot of a ledger."""
    return running_values(entries)[-1]


def parts_agree(entries: Sequence[LedgerEntry]) -> bool:
    """Tell whether every entry's parts, and theirs, multiply back to it."""
    return all(
        math.isclose(multiplied(entry.parts), entry.value, rel_tol=AGREEMENT, abs_tol=1e-300)
        and parts_agree(entry.parts)
        for entry in entries
        if entry.parts
    )


@dataclass(frozen=True)
class Ledger:
    """The ledger of one dose beside the value that was filed.

    Attributes
    ----------
    entries : tuple of LedgerEntry
    filed_gy, filed_sigma_gy : float
        As in the result document.
    """

    entries: tuple[LedgerEntry, ...]
    filed_gy: float
    filed_sigma_gy: float

    @property
    def dose_gy(self) -> float:
        """The dose, multiplied back."""
        return multiplied(self.entries)

    @property
    def relative_sigma(self) -> float:
        """All parts of the budget together."""
        return math.hypot(*(entry.dose_relative_sigma for entry in self.entries))

    @property
    def sigma_gy(self) -> float:
        """One sigma of the dose, from the entries."""
        return abs(self.dose_gy) * self.relative_sigma

    @property
    def agrees(self) -> bool:
        """Whether dose, sigma and every part multiply back to what was filed (1e-9 relative), counts included."""
        return (
            all(abs(entry.value - 1.0) <= ROUNDING for entry in self.entries if entry.step == "rounding")
            and math.isclose(self.dose_gy, self.filed_gy, rel_tol=AGREEMENT)
            and math.isclose(self.sigma_gy, self.filed_sigma_gy, rel_tol=AGREEMENT)
            and parts_agree(self.entries)
        )


def entries_document(entries: Sequence[LedgerEntry]) -> list[dict[str, Any]]:
    """Return a ledger as JSON, with what stands there after each entry (``after``)."""
    return [
        {
            "step": entry.step,
            "symbol": entry.symbol,
            "operation": entry.operation,
            "value": entry.value,
            "unit": entry.unit,
            "sigma": entry.sigma,
            "relative_sigma": entry.relative_sigma,
            "sensitivity": None if entry.relative_sigma is None else entry.sensitivity,
            "dose_relative_sigma": entry.dose_relative_sigma,
            "after": after,
            "gives": entry.gives,
            "after_unit": entry.gives_unit,
            "source": entry.source,
            "changed_in": entry.changed_in,
            "parts": entries_document(entry.parts) if entry.parts else [],
        }
        for entry, after in zip(entries, running_values(entries), strict=True)
    ]
