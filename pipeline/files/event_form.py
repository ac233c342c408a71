"""Clinical events as people write them (TOML): flags, orders, points, and doses and cycles that have no images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import require
from pipeline.rules.limits import CHOICES
from pipeline.toml_table import TomlTable, read_toml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_EVENT_DO: Final = "correct the event file; the keys are those of section 2.2 of the clinical specification"
_FLAGS: Final = ("dead", "withdrawn", "progression_non_recist", "deterioration", "tumour_load_decrease",
          "marrow_toxicity_stop", "marrow_toxicity_continue", "reduce_30_ordered")  # fmt: skip
_SALVAGE: Final = ("primary_completed", "favourable_response", "progressed_after", "ordered")
# Project choice: more than any organ gets in one cycle, so that mGy or cGy were written.
HIGHEST_IMPUTED_GY: Final = 100.0
# Highest points of section 7.4.
_POINTS: Final = {"liver": 4, "bone": 3, "lymph_nodes": 3, "peritoneal_pleural": 2}


def load_event(path: Path) -> dict[str, Any]:
    """Read a clinical event (TOML): burden points, orders and flags that only a clinician can give.

    Keys stand at the top, or in the tables ``[flags]``, ``[salvage]`` and ``[burden]``. A dose that a physicist answers
    for without images is a table ``[[imputed]]`` (``cycle``, ``kidney_gy``, ``marrow_gy`` with ``marrow_method``, and
    ``kidney_sigma_gy``, ``marrow_sigma_gy``); a cycle that was given elsewhere is a table ``[[given_cycles]]``
    (``cycle``, ``given_on``, ``activity_gbq``). ``supersedes`` is the id of the recorded event that this one corrects.

    Returns
    -------
    dict
        Flat: ``date`` (ISO), ``by``, ``reason`` and every other key that was given.

    Raises
    ------
    RefusalError
        ``EVENT_INVALID`` with the key's name.
    """
    document = _flattened(read_toml(path, "EVENT_INVALID", _EVENT_DO), path)
    table = TomlTable(document, code="EVENT_INVALID", do=_EVENT_DO)
    head = {"date": table.day("date").isoformat(), "by": table.text("by"), "reason": table.text("reason")}
    given: dict[str, Any] = {name: table.truth(name, None) for name in (*_FLAGS, *_SALVAGE)}
    given |= {name: table.whole(name, None, least=0, most=most) for name, most in _POINTS.items()}
    given |= {
        "protocol": table.choice("protocol", ("DOSIMETRY_GUIDED", "ROTTERDAM_4"), None),
        "phase": table.choice("phase", ("PRIMARY", "SALVAGE"), None),
        "phase_started_on": _iso(table.day("phase_started_on", None)),
        "worst_haematological_grade": table.whole("worst_haematological_grade", None, least=0, most=5),
        "planned_activity_gbq": table.number("planned_activity_gbq", None, above=0.0, most=15.0),
        "asymmetry_acknowledged": _cycles(table, "asymmetry_acknowledged"),
        "filed_in_error": _cycles(table, "filed_in_error"),
        "imputed": _rows(table, "imputed", _imputed),
        "given_cycles": _rows(table, "given_cycles", _given),
    }
    corrects = table.text("supersedes", None)
    table.finish()
    said = {name: value for name, value in given.items() if value is not None}
    if not said:
        raise table.refusal("", "nothing but date, by and reason", "at least one flag, order, grade or burden point")
    return head | said | ({} if corrects is None else {"supersedes": corrects})


def _iso(day: Any) -> str | None:
    return None if day is None else str(day.isoformat())


def _flattened(document: dict[str, Any], path: Path) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        inner = value if key in {"flags", "salvage", "burden"} and isinstance(value, dict) else {key: value}
        for name, content in inner.items():
            require(
                name not in flat,
                "EVENT_INVALID",
                found=f"{name} twice",
                needed="each key once",
                do=_EVENT_DO,
                where=path.name,
            )
            flat[name] = content
    return flat


def _cycles(table: TomlTable, key: str) -> list[int] | None:
    value = table.raw(key, None, "a list of cycle numbers")
    if value is None:
        return None
    good = isinstance(value, list) and all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in value)
    if not good:
        raise table.refusal(key, repr(value), "a list of cycle numbers, as [1, 2]")
    return sorted(set(value))


def _rows(table: TomlTable, key: str, read: Callable[[TomlTable], dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return the tables ``[[key]]`` (or the one table ``[key]``), each of another cycle; None where there is none."""
    needed = f"tables [[{key}]], each of another cycle"
    value = table.raw(key, None, needed)
    if value is None:
        return None
    items = [value] if isinstance(value, dict) else value
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise table.refusal(key, repr(value), needed)
    rows = [read(_inner(item, f"{key}[{number}]")) for number, item in enumerate(items, start=1)]
    if len({row["cycle"] for row in rows}) < len(rows):
        raise table.refusal(key, "a cycle twice", needed)
    return rows


def _inner(item: dict[str, Any], path: str) -> TomlTable:
    return TomlTable(item, code="EVENT_INVALID", do=_EVENT_DO, path=path)


def _imputed(item: TomlTable) -> dict[str, Any]:
    row = {
        "cycle": item.whole("cycle", least=1, most=99),
        "kidney_gy": item.number("kidney_gy", None, above=0.0, most=HIGHEST_IMPUTED_GY),
        "kidney_sigma_gy": item.number("kidney_sigma_gy", None, least=0.0, most=HIGHEST_IMPUTED_GY),
        "marrow_gy": item.number("marrow_gy", None, above=0.0, most=HIGHEST_IMPUTED_GY),
        "marrow_sigma_gy": item.number("marrow_sigma_gy", None, least=0.0, most=HIGHEST_IMPUTED_GY),
        "marrow_method": item.choice("marrow_method", CHOICES["marrow_limit_method"], None),
    }
    item.finish()
    given = {name: value for name, value in row.items() if value is not None}
    if not given.keys() & {"kidney_gy", "marrow_gy"}:
        raise item.refusal("kidney_gy", "no dose", "kidney_gy, marrow_gy or both")
    if ("marrow_gy" in given) is not ("marrow_method" in given):
        raise item.refusal("marrow_method", "one without the other", "marrow_gy with the method it comes from")
    for organ in ("kidney", "marrow"):
        if f"{organ}_sigma_gy" in given and f"{organ}_gy" not in given:
            raise item.refusal(f"{organ}_gy", "a sigma without its dose", f"{organ}_gy")
    return given


def _given(item: TomlTable) -> dict[str, Any]:
    row = {
        "cycle": item.whole("cycle", least=1, most=99),
        "given_on": item.day("given_on").isoformat(),
        "activity_gbq": item.number("activity_gbq", above=0.0, most=15.0),
    }
    item.finish()
    return row
