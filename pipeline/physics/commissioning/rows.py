"""What the validation says: rows that hold a number against a reference, and chapters made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.physics.commissioning.bench import Bench

Verdict = Literal["pass", "fail", "information", "not run"]
Comparison = Literal["relative", "absolute"]

# How far a known error may move before its row fails: the engine is deterministic to float32, so this is generous.
KNOWN_ERROR_TOLERANCE = 0.005


@dataclass(frozen=True)
class Row:
    """One number of the product beside its reference.

    Attributes
    ----------
    what : str
    number, reference : float or None
        Both in ``unit``; None where the row was not run.
    unit : str
        Empty for a ratio.
    source : str
        Citation of the reference.
    comparison : {"relative", "absolute"}
        Whether ``difference`` and ``tolerance`` are number / reference - 1, or number - reference in ``unit``.
    difference, tolerance : float or None
    reason : str
        Why this tolerance, or why the row was not run.
    verdict : {"pass", "fail", "information", "not run"}
    known_difference : float or None
        The stated error of the method in this situation: the row fails too where the error has moved away from it.
    """

    what: str
    number: float | None
    reference: float | None
    unit: str
    source: str
    comparison: Comparison
    difference: float | None
    tolerance: float | None
    reason: str
    verdict: Verdict
    known_difference: float | None = None


@dataclass(frozen=True)
class Chapter:
    """A subject of the validation."""

    key: str
    title: str
    about: str
    rows: Callable[[Bench], Sequence[Row]]


def difference_of(number: float, reference: float, comparison: Comparison) -> float:
    """Return number / reference - 1, or number - reference."""
    return number - reference if comparison == "absolute" else number / reference - 1.0


def compared(
    what: str,
    number: float,
    reference: float,
    unit: str,
    source: str,
    *,
    tolerance: float,
    reason: str,
    comparison: Comparison = "relative",
    known_difference: float | None = None,
) -> Row:
    """Return a row that passes where the difference is within the tolerance.

    Parameters
    ----------
    what : str
    number, reference : float
    unit, source : str
    tolerance : float
        Of the difference, in the way of ``comparison``.
    reason : str
    comparison : {"relative", "absolute"}
    known_difference : float, optional
        Stated error of the method: the difference must lie within 0.005 of it as well.

    Returns
    -------
    Row
    """
    difference = difference_of(number, reference, comparison)
    moved = 0.0 if known_difference is None else abs(difference - known_difference)
    # nan is within no tolerance
    passed = abs(difference) <= tolerance and moved <= KNOWN_ERROR_TOLERANCE
    return Row(
        what, _finite(number), reference, unit, source, comparison, _finite(difference), tolerance, reason,
        "pass" if passed else "fail", known_difference,
    )  # fmt: skip


def informed(
    what: str,
    number: float,
    reference: float,
    unit: str,
    source: str,
    *,
    reason: str,
    comparison: Comparison = "relative",
) -> Row:
    """Return a row that shows a difference and judges nothing; ``reason`` says why not."""
    difference = difference_of(number, reference, comparison)
    return Row(
        what, _finite(number), reference, unit, source, comparison, _finite(difference), None, reason, "information"
    )


def not_run(what: str, unit: str, source: str, *, tolerance: float, reason: str) -> Row:
    """Return a row that could not be run here, with the tolerance that it would be held to and the reason."""
    return Row(what, None, None, unit, source, "absolute", None, tolerance, reason, "not run")


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
