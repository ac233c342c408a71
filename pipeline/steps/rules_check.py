"""The step behind ``prrt rules check``: decision cases from a JSON file through the rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusalError
from pipeline.rules.cases import check_cases
from pipeline.settings import load_protocol_limits

if TYPE_CHECKING:
    from pathlib import Path


def _refusal(path: Path, found: str) -> RefusalError:
    return RefusalError(
        "CASES_INVALID",
        found=found,
        needed="a JSON list of cases, each with id, patient and config (and expected, to compare)",
        do="correct the file; the format is that of the decision cases in the documentation",
        where=path.name,
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Keep a second value of one key under a name that no reader knows, so that its case is not decided on a guess."""
    record: dict[str, Any] = {}
    for key, value in pairs:
        record[f"{key} (given twice)" if key in record else key] = value
    return record


def read_cases(path: Path) -> list[Any]:
    """Read the cases of a file.

    Raises
    ------
    RefusalError
        ``CASES_INVALID``: no such file, no JSON, or no list (nor an object with a list ``cases``).
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except OSError as error:
        raise _refusal(path, f"a file that cannot be read ({type(error).__name__})") from error
    except (ValueError, RecursionError) as error:
        raise _refusal(path, f"no JSON ({error})") from error
    cases = document.get("cases") if isinstance(document, dict) else document
    if not isinstance(cases, list):
        raise _refusal(path, f"a JSON {type(cases).__name__}")
    return cases


def check_rules(path: Path) -> dict[str, Any]:
    """Run the cases of ``path`` and return the document of ``prrt rules check``."""
    return check_cases(read_cases(path), load_protocol_limits)
