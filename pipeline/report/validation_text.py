"""How the commissioning document prints numbers, differences and tolerances: mark-up, with powers of ten."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipeline.report.text import DASH, MINUS, significant
from pipeline.units import PERCENT

if TYPE_CHECKING:
    from collections.abc import Mapping

DIGITS = 4
PLAIN_RANGE = (1e-3, 1e5)
# Below this an absolute difference is the rounding of binary numbers.
ROUNDING = 1e-12
# Below this a relative tolerance is written as a number, not as per cent.
SMALLEST_PERCENT = 1e-5


def number_text(value: float | None) -> str:
    """Return a number as mark-up with four significant digits."""
    return DASH if value is None else _plain(value, DIGITS)


def difference_text(row: Mapping[str, Any]) -> str:
    """Return the difference as mark-up, as per cent or in the row's unit."""
    return signed(row["difference"], row["comparison"])


def known_text(row: Mapping[str, Any]) -> str:
    """Return the stated error; empty where there is none."""
    known = row["known_difference"]
    return "" if known is None else signed(known, row["comparison"])


def tolerance_text(row: Mapping[str, Any]) -> str:
    """Return the tolerance as mark-up, as per cent or in the row's unit; a dash for rows that are not judged."""
    tolerance = row["tolerance"]
    if tolerance is None:
        return DASH
    as_percent = row["comparison"] == "relative" and tolerance >= SMALLEST_PERCENT
    return f"± {PERCENT * tolerance:g} %" if as_percent else f"± {_plain(tolerance, 2)}"


def signed(value: float | None, comparison: str, decimals: int = 2) -> str:
    if value is None:
        return DASH
    if comparison == "absolute":
        return "0" if abs(value) < ROUNDING else f"{'+' if value > 0 else ''}{_plain(value, 2)}"
    shown_percent = round(PERCENT * value, decimals) + 0.0
    return f"{shown_percent:+.{decimals}f} %".replace("-", MINUS) if shown_percent else "0 %"


def _plain(value: float, digits: int) -> str:
    """Return mark-up with ``digits`` significant digits, with a power of ten where it needs one."""
    if value == 0 or PLAIN_RANGE[0] <= abs(value) < PLAIN_RANGE[1]:
        text = significant(value, digits)
        return text.rstrip("0").rstrip(".") if digits < DIGITS and "." in text else text
    exponent = math.floor(math.log10(abs(value)))
    mantissa = significant(value / 10.0**exponent, digits)
    mantissa = mantissa.rstrip("0").rstrip(".") if digits < DIGITS and "." in mantissa else mantissa
    power = str(exponent).replace("-", MINUS)
    return f'{mantissa}·10<super rise="2.6" size="5.4">{power}</super>'
