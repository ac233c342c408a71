"""The error tree: every refusal says what was found, what is needed and what to do."""

from __future__ import annotations


class PrrtError(Exception):
    """Base of all errors of the product."""


class DefectError(PrrtError):
    """A state that our own code should have made impossible (exit code 1)."""


class RefusalError(PrrtError):
    """The input may not be used; nothing is filed (exit code 2).

    Parameters
    ----------
    code : str
        Stable, upper case; listed in ``docs/refusals.md``.
    found, needed, do : str
        What was found, what is needed, what a person can do. Never a patient identifier.
    where : str
        Series UID, file or key the refusal is about.
    """

    def __init__(self, code: str, *, found: str, needed: str, do: str, where: str = "") -> None:
        super().__init__(code, found, needed, do, where)
        self.code = code
        self.found = found
        self.needed = needed
        self.do = do
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{self.code}: {place}found {self.found}; needed {self.needed}; {self.do}"

    def as_document(self) -> dict[str, dict[str, str]]:
        """Return the refusal as the JSON document of the interface."""
        return {
            "error": {
                "code": self.code,
                "found": self.found,
                "needed": self.needed,
                "do": self.do,
                "where": self.where,
            }
        }


def require(condition: bool, code: str, *, found: str, needed: str, do: str, where: str = "") -> None:
    """Raise a :class:`RefusalError` unless ``condition`` holds."""
    if not condition:
        raise RefusalError(code, found=found, needed=needed, do=do, where=where)
