"""A TOML table read key by key: a wrong type, a missing or an unknown key is refused by its name."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

REQUIRED: Final = object()
BLANK: Final = "FILL IN"


def read_toml(path: Path, code: str, do: str) -> dict[str, Any]:
    """Return the document of a TOML file, refused with ``code`` where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        found = f"line {error}" if isinstance(error, tomllib.TOMLDecodeError) else type(error).__name__
        raise RefusalError(code, found=found, needed="a TOML file in UTF-8", do=do, where=path.name) from error


class TomlTable:
    """One table of a document.

    Parameters
    ----------
    document : mapping
    code, do : str
        Of every refusal.
    path : str
        Dotted name of the table.
    """

    def __init__(self, document: Mapping[str, Any], *, code: str, do: str, path: str = "") -> None:
        self._document = document
        self._code = code
        self._do = do
        self._path = path
        self._used: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all keys."""
        return tuple(self._document)

    def name(self, key: str) -> str:
        """Dotted name of a key."""
        return f"{self._path}.{key}" if self._path else key

    def refusal(self, key: str, found: str, needed: str) -> RefusalError:
        """Return the refusal of one key."""
        return RefusalError(self._code, found=found, needed=needed, do=self._do, where=self.name(key))

    def raw(self, key: str, default: Any, needed: str) -> Any:
        """Return a value of any type; ``default`` where it is missing, or a refusal."""
        self._used.add(key)
        if key not in self._document:
            if default is REQUIRED:
                raise self.refusal(key, "no such key", needed)
            return default
        value = self._document[key]
        if value == BLANK:
            raise self.refusal(key, "a blank that was not filled in", needed)
        return value

    def number(
        self, key: str, default: Any = REQUIRED, *, above: float = -math.inf, least: float = -math.inf,
        most: float = math.inf,
    ) -> Any:  # fmt: skip
        """Return a finite number within its bounds (or ``default`` as it is)."""
        bounds = [f"above {above:g}"] * (above > -math.inf) + [f"at least {least:g}"] * (least > -math.inf)
        needed = " ".join(["a number", *bounds, *[f"at most {most:g}"] * (most < math.inf)])
        value = self.raw(key, default, needed)
        if value is default:
            return value
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not good or not (value > above and least <= value <= most):
            raise self.refusal(key, repr(value), needed)
        return float(value)

    def whole(self, key: str, default: Any = REQUIRED, *, least: int, most: int | None = None) -> Any:
        """Return a whole number within its bounds."""
        needed = f"a whole number from {least}" + ("" if most is None else f" to {most}")
        value = self.raw(key, default, needed)
        if value is default:
            return value
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or value < least
            or (most is not None and value > most)
        ):
            raise self.refusal(key, repr(value), needed)
        return value

    def text(self, key: str, default: Any = REQUIRED) -> Any:
        """Return a text that is not empty."""
        value = self.raw(key, default, "a text")
        if value is default:
            return value
        if not isinstance(value, str) or not value.strip():
            raise self.refusal(key, repr(value), "a text that is not empty")
        return value.strip()

    def choice(self, key: str, choices: Sequence[str], default: Any = REQUIRED) -> Any:
        """Return one of ``choices``."""
        needed = "one of " + ", ".join(f'"{choice}"' for choice in choices)
        value = self.raw(key, default, needed)
        if value is not default and value not in choices:
            raise self.refusal(key, repr(value), needed)
        return value

    def truth(self, key: str, default: Any = REQUIRED) -> Any:
        """Return true or false."""
        value = self.raw(key, default, "true or false")
        if value is not default and not isinstance(value, bool):
            raise self.refusal(key, repr(value), "true or false")
        return value

    def day(self, key: str, default: Any = REQUIRED) -> Any:
        """Return a date, written as a TOML date or as text."""
        value = self.raw(key, default, "a date as 2026-03-02")
        if value is default:
            return value
        try:
            read = date.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            read = None
        if not isinstance(read, date) or isinstance(read, datetime):
            raise self.refusal(key, repr(value), "a date as 2026-03-02")
        return read

    def table(self, key: str, default: Any = REQUIRED) -> TomlTable:
        """Return a table inside this one."""
        value = self.raw(key, default, f"a table [{self.name(key)}]")
        if not isinstance(value, Mapping):
            raise self.refusal(key, repr(value), f"a table [{self.name(key)}]")
        return TomlTable(value, code=self._code, do=self._do, path=self.name(key))

    def finish(self) -> None:
        """Refuse keys that nobody asked for: a misspelt key must not be a default in silence."""
        for key in self._document:
            if key not in self._used:
                known = ", ".join(sorted(self._used))
                raise self.refusal(key, "a key that is not known here", f"only the keys {known}")
