"""Reads one JSON object of a decision case field by field: nothing is guessed, nothing is left unread in silence."""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ABSENT: Final = object()
ISO_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def plain_key(key: object) -> str:
    """Return a key in lower case with underscores, so that ``kL``, ``kl`` and ``K-L`` are not three names."""
    return str(key).strip().lower().replace("-", "_").replace(" ", "_")


def as_number(value: object) -> float:
    """Return a JSON number as float; anything else is NaN, which row 3 of the table finds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def as_day(value: object) -> date | None:
    """Return the day of an ISO 8601 date or date-time; None if it is neither."""
    if not isinstance(value, str) or not ISO_DAY.match(value):
        return None
    try:
        return datetime.fromisoformat(value).date()
    except ValueError:
        return None


class CaseReader:
    """One object of a case, whose fields are taken by name; ``finish`` reports those that nobody took.

    Faults go to the set shared by all readers of a case, as codes ``DATA_INVALID_*``.
    """

    def __init__(self, record: object, faults: set[str]) -> None:
        self.faults = faults
        self._fields: dict[str, Any] = {}
        if isinstance(record, dict):
            self._add(record)
        else:
            faults.add("DATA_INVALID_FIELD")

    def _add(self, record: Mapping[str, Any]) -> None:
        for key, value in record.items():
            if plain_key(key) in self._fields:
                self.faults.add("DATA_INVALID_FIELD")
            self._fields[plain_key(key)] = value

    def unfold(self, *names: str) -> None:
        """Read the fields of a nested object (``flags``) as fields of this one."""
        nested = self.take(*names)
        if isinstance(nested, dict):
            self._add(nested)
        elif nested is not ABSENT and nested is not None:
            self.faults.add("DATA_INVALID_FIELD")

    def take(self, *names: str) -> Any:
        """Return the value of the field under any of its names; two of them at once are a fault."""
        present = [name for name in names if name in self._fields]
        if len(present) > 1:
            self.faults.add("DATA_INVALID_FIELD")
        values = [self._fields.pop(name) for name in present]
        return values[0] if values else ABSENT

    def number(self, *names: str) -> float | None:
        """Return a number, NaN if the value is no number, None if absent or null."""
        value = self.take(*names)
        return None if value is ABSENT or value is None else as_number(value)

    def flag(self, *names: str) -> bool:
        """Return true or false; absent and null are false, anything else is a fault."""
        value = self.take(*names)
        if value is ABSENT or value is None:
            return False
        if not isinstance(value, bool):
            self.faults.add("DATA_INVALID_FIELD")
        return value is True

    def day(self, *names: str) -> date | None:
        """Return a day; None if absent or null; a fault if it cannot be read."""
        value = self.take(*names)
        if value is ABSENT or value is None:
            return None
        day = as_day(value)
        if day is None:
            self.faults.add("DATA_INVALID_DATES")
        return day

    def choice(self, options: Mapping[str, str], *names: str) -> str | None:
        """Return the meaning of a word; None if absent or null; a fault if the word is unknown."""
        value = self.take(*names)
        if value is ABSENT or value is None:
            return None
        word = value.strip().upper() if isinstance(value, str) else ""
        if word not in options:
            self.faults.add("DATA_INVALID_FIELD")
        return options.get(word)

    def objects(self, *names: str) -> list[Any]:
        """Return a list; absent and null are empty, anything else is a fault."""
        value = self.take(*names)
        if isinstance(value, list):
            return value
        if value is not ABSENT and value is not None:
            self.faults.add("DATA_INVALID_FIELD")
        return []

    def has(self, *names: str) -> bool:
        """Tell whether one of the names is present and not null."""
        return any(self._fields.get(name) is not None for name in names)

    def scaled(self, value: float | None, divisors: Mapping[str, float], *unit_names: str) -> float | None:
        """Divide a number by what its unit asks for; an absent unit is the format's, an unknown one a fault."""
        unit = self.take(*unit_names)
        if unit is ABSENT or unit is None:
            return value
        divisor = divisors.get(unit.strip().lower()) if isinstance(unit, str) else None
        if divisor is None:
            self.faults.add("DATA_INVALID_UNIT")
        return value if value is None or divisor is None else value / divisor

    def finish(self, *without_effect: str) -> None:
        """Report every field that nobody took, but for those known to have no effect on the decision."""
        if set(self._fields) - set(without_effect):
            self.faults.add("DATA_INVALID_FIELD")
