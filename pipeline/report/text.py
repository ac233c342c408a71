"""Numbers and names as the report prints them; a missing value is an en dash, never a blank or a zero."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from pipeline.units import PERCENT, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping

DASH = "–"
MINUS = "\u2212"
SIGNIFICANT = 3


def known(value: float | None) -> bool:
    """Tell whether a value is there and finite."""
    return value is not None and math.isfinite(value)


def fixed(value: float | None, decimals: int) -> str:
    """Format with a fixed number of decimals."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:.{decimals}f}".replace("-", MINUS)


def significant(value: float | None, digits: int = SIGNIFICANT) -> str:
    """Format with ``digits`` significant digits and no exponent."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return fixed(value, decimals)


def decimals_for(sigma: float | None, fallback: int = 2) -> int:
    """Return the decimals that show two significant digits of ``sigma`` (at most 4)."""
    if sigma is None or not math.isfinite(sigma) or sigma <= 0:
        return fallback
    return min(4, max(0, 1 - math.floor(math.log10(sigma))))


def with_sigma(value: float | None, sigma: float | None) -> str:
    """Format ``value ± sigma``, both to two significant digits of sigma."""
    if not known(value):
        return DASH
    if not known(sigma):
        return f"{significant(value)} ± {DASH}"
    decimals = decimals_for(sigma)
    return f"{fixed(value, decimals)} ± {fixed(sigma, decimals)}"


def percent(fraction: float | None, decimals: int = 0) -> str:
    """Format a fraction as per cent; a probability below the last digit is not shown as none."""
    if fraction is None or not math.isfinite(fraction):
        return DASH
    smallest = 10.0**-decimals
    if 0 < fraction * PERCENT < smallest / 2:
        return f"< {fixed(smallest, decimals)} %"
    return f"{fixed(fraction * PERCENT, decimals)} %"


def signed_percent(fraction: float | None, decimals: int = 1) -> str:
    """Format a relative difference with its sign."""
    if fraction is None or not math.isfinite(fraction):
        return DASH
    sign = "+" if fraction > 0 else ""
    return f"{sign}{fixed(fraction * PERCENT, decimals)} %"


def hours(seconds: float | None, decimals: int = 1) -> str:
    """Format seconds as hours."""
    return DASH if seconds is None else fixed(seconds / SECONDS_PER_HOUR, decimals)


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Divide where both are known and the denominator is not zero."""
    if numerator is None or denominator is None or denominator == 0:
        return None
    return numerator / denominator


def yes_no(value: bool | None) -> str:
    """Format a recorded yes or no; not recorded is a dash."""
    if value is None:
        return DASH
    return "yes" if value else "no"


def moment(iso: str | None) -> str:
    """Format an ISO date-time as ``2026-03-02 10:00 +01:00``."""
    if not iso:
        return DASH
    at = datetime.fromisoformat(iso)
    zone = f"{at:%z}"
    return f"{at:%Y-%m-%d %H:%M}" + (f" {zone[:3]}:{zone[3:]}" if zone else "")


def shown(value: object) -> str:
    """Return any value as plain text; None and the empty text are a dash."""
    text = "" if value is None else str(value)
    return text if text.strip() else DASH


def safe(value: object) -> str:
    """Return any value as text that cannot be read as mark-up (and holds no control characters)."""
    visible = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in shown(value))
    return escape(visible)


def nuclide_markup(name: str, *, size: float, rise: float) -> str:
    """Return ``Lu-177`` as mark-up with the mass number in front, raised by ``rise`` points and of ``size`` points."""
    symbol, _, mass = name.partition("-")
    return f'<super rise="{rise}" size="{size}">{safe(mass)}</super>{safe(symbol)}' if mass.isdigit() else safe(name)


def region_key(region: Mapping[str, Any]) -> str:
    """Return the readable key of a region of the result document (``kidney_left``)."""
    side = region.get("laterality")
    return f"{region['name']}_{side}" if side else str(region["name"])


def region_title(region: Mapping[str, Any]) -> str:
    """Return the name of a region as printed (``Kidney, left``)."""
    return key_title(region_key(region))


def key_title(key: str | None) -> str:
    """Return a region's key as printed; None is the whole result."""
    if not key:
        return "Whole result"
    stem, _, side = key.rpartition("_") if key.endswith(("_left", "_right")) else (key, "", "")
    words = TITLES.get(stem, stem.replace("_", " ").replace("-", " "))
    title = words[:1].upper() + words[1:]
    return f"{title}, {side}" if side else title


TITLES = {"marrow": "red marrow", "liver": "liver (normal)", "remainder": "remainder of body"}
