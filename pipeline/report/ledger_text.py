"""A ledger's factors as text, for the report and the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Document = dict[str, Any]

SIGNS = {"start": "", "multiply": "× ", "divide": "÷ ", "add": "+ "}
DIGITS = 5
# A factor this close to 1 is shown by its difference from 1; below, the difference is the computer's own.
NEXT_TO_ONE = (1e-12, 1e-5)


def compact(value: float, digits: int = DIGITS) -> str:
    """Return a number with its digits and an exponent without zeros (``1.6308e7``)."""
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def signed_value(entry: Document) -> str:
    """Return what an entry does, as ``÷ 3600``; a factor next to 1 by its difference (``× 1-2e-8``)."""
    off = entry["value"] - 1.0
    near = NEXT_TO_ONE[0] < abs(off) < NEXT_TO_ONE[1]
    text = f"1{'+' if off > 0 else ''}{compact(off, 1)}" if near else compact(entry["value"])
    return SIGNS[entry["operation"]] + text


def unit_text(unit: str) -> str:
    """Return a unit, nothing for a pure number."""
    return "" if unit == "1" else unit


def step_title(entry: Document) -> str:
    """Return the name of a step as words."""
    return str(entry["step"]).replace("_", " ")


def with_parts(entries: Sequence[Document], depth: int = 0) -> Iterator[tuple[int, Document]]:
    """Yield every entry with its depth, parts after the entry they make."""
    for entry in entries:
        yield depth, entry
        yield from with_parts(entry["parts"], depth + 1)
