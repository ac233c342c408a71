"""When a result needs a person before anything follows from it."""

from __future__ import annotations

from typing import Any


def needs_a_person(result: dict[str, Any]) -> bool:
    """Tell whether a person must look: a BLOCK flag, a failed second check, or the decision REFER.

    Parameters
    ----------
    result : dict
        A result document.
    """
    blocked = any(flag["level"] == "BLOCK" for flag in result["flags"])
    failed = any(not check["passed"] for check in result["second_check"])
    return bool(blocked or failed or result["decision"]["outcome"] == "REFER")
