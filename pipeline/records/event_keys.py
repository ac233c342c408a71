"""Which statements an event may make, checked before it is filed: a misspelt ``withdrawn`` must not pass unheard."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pipeline.domain.decision import ClinicianFlags, SalvageStatus
from pipeline.errors import require
from pipeline.records.times import day_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FLAGS: Final = frozenset(f.name for f in fields(ClinicianFlags))
# An order, or a go-ahead after toxicity, is for the next cycle only.
NEXT_CYCLE_FLAGS: Final = frozenset({"marrow_toxicity_continue", "reduce_30_ordered"})
SALVAGE: Final = frozenset(f.name for f in fields(SalvageStatus))
# Highest points of tumour burden (section 7.4); recorded and shown, no row of the decision table uses them.
POINTS: Final = {"liver": 4, "bone": 3, "lymph_nodes": 3, "peritoneal_pleural": 2}
IMPUTED: Final = frozenset({"cycle", "kidney_gy", "kidney_sigma_gy", "marrow_gy", "marrow_sigma_gy", "marrow_method"})
GIVEN: Final = frozenset({"cycle", "given_on", "activity_gbq"})
# What somebody must answer for by name and with a reason.
SIGNED: Final = frozenset({"imputed", "filed_in_error"})
HEAD: Final = frozenset({"date", "by", "reason"})


def check_event(content: Mapping[str, Any], where: str) -> None:
    """Refuse an event with a statement that is not known, or with a value that cannot be used.

    Raises
    ------
    RefusalError
        EVENT_INVALID with the key's name.
    """
    for name, value in content.items():
        check, needed = STATEMENTS.get(name, (_never, f"one of {', '.join(sorted(STATEMENTS))}"))
        _require(check(value), name, value, needed, where)
    _require(bool(content.keys() - HEAD), "the event", "date, by and reason alone", "a statement", where)
    signed = bool(content.get("by")) and bool(content.get("reason"))
    for name in sorted(SIGNED & content.keys()):
        _require(signed, name, "no by or no reason", "who answers for it, and why", where)


def _require(usable: bool, name: str, value: object, needed: str, where: str) -> None:
    require(
        usable,
        "EVENT_INVALID",
        found=f"{name}: {value!r}",
        needed=needed,
        do="correct the event; remarks belong into reason",
        where=where,
    )


def _never(_value: object) -> bool:
    return False


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


def _is_whole(value: Any, least: int = 0, most: int = 99) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_grade(value: Any) -> bool:
    return _is_whole(value, most=5)


def _is_day(value: Any) -> bool:
    day_of(value, "event")
    return True


def _are_cycles(value: Any) -> bool:
    return isinstance(value, list) and all(_is_whole(cycle, least=1) for cycle in value)


def _are_imputed(value: Any) -> bool:
    return isinstance(value, list) and all(_is_imputed(item) for item in value)


def _is_imputed(item: Any) -> bool:
    if not isinstance(item, dict) or not item.keys() <= IMPUTED or not _is_whole(item.get("cycle"), least=1):
        return False
    sigmas = [value for name, value in item.items() if name.endswith("_sigma_gy")]
    # A missing dose is never taken as 0 (row 6 of section 2.4), not by a signature either.
    doses = [item[name] for name in ("kidney_gy", "marrow_gy") if name in item]
    has_method = isinstance(item.get("marrow_method"), str) or "marrow_gy" not in item
    return has_method and bool(doses) and all(map(_is_positive, doses)) and all(map(_is_number, sigmas))


def _are_given(value: Any) -> bool:
    return isinstance(value, list) and all(_is_given(item) for item in value)


def _is_given(item: Any) -> bool:
    if not isinstance(item, dict) or item.keys() != GIVEN:
        return False
    return _is_whole(item["cycle"], least=1) and _is_positive(item["activity_gbq"]) and _is_day(item["given_on"])


def _is_protocol(value: object) -> bool:
    return value in ("DOSIMETRY_GUIDED", "ROTTERDAM_4")


def _is_phase(value: object) -> bool:
    return value in ("PRIMARY", "SALVAGE")


# Statement -> (whether a value can be used, what is needed in words).
STATEMENTS: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "date": (_is_day, "a date"),
    "by": (_is_text, "a name"),
    "reason": (_is_text, "a text"),
    **dict.fromkeys(sorted(FLAGS | SALVAGE), (_is_truth, "true or false")),
    **{
        site: (partial(_is_whole, most=most), f"points, a whole number from 0 to {most}")
        for site, most in POINTS.items()
    },
    "protocol": (_is_protocol, "DOSIMETRY_GUIDED or ROTTERDAM_4"),
    "phase": (_is_phase, "PRIMARY or SALVAGE"),
    "phase_started_on": (_is_day, "a date"),
    "worst_haematological_grade": (_is_grade, "a grade from 0 to 5"),
    "planned_activity_gbq": (_is_positive, "an activity in GBq"),
    "asymmetry_acknowledged": (_are_cycles, "a list of cycles"),
    "filed_in_error": (_are_cycles, "a list of cycles"),
    "imputed": (_are_imputed, "a list of {cycle, kidney_gy, marrow_gy, marrow_method, ..._sigma_gy}"),
    "given_cycles": (_are_given, "a list of {cycle, given_on, activity_gbq}"),
}
