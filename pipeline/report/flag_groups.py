"""Flags as a person reads them: one entry for each code and level, with the regions it concerns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.report.text import key_title, region_key, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FLAG_LEVELS = ("BLOCK", "WARN", "INFO")
# What regions differ in, up to so many characters, stands in one line.
SHORT = 24
CLAUSE = re.compile(r"(?<=[,;:]) ")


@dataclass(frozen=True)
class FlagGroup:
    """Flags of one code and level; ``lines`` hold every text once, each with its regions where texts differ."""

    level: str
    code: str
    region_keys: tuple[str | None, ...]
    lines: tuple[str, ...]

    @property
    def regions(self) -> str:
        """Titles of the regions, in the order of the flags."""
        return "; ".join(key_title(key) for key in self.region_keys)


def all_flags(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return every flag, the gravest first; codes of regions that have no text are among them."""
    told = {(flag["code"], flag["region"]) for flag in document["flags"]}
    untold = [
        {"code": code, "level": "WARN", "text": "raised for this region without a text", "region": region_key(region)}
        for region in document["regions"]
        for code in region["flags"]
        if (code, region_key(region)) not in told
    ]
    return gravest_first((*document["flags"], *untold))


def gravest_first(flags: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the flags by level, otherwise in their order."""
    return sorted(flags, key=lambda flag: FLAG_LEVELS.index(flag["level"]))


def grouped(flags: Iterable[Mapping[str, Any]]) -> list[FlagGroup]:
    """Return one group for each code and level, in the order of their first flags.

    Parameters
    ----------
    flags : iterable of mapping
        With ``code``, ``level``, ``text`` and ``region`` (key; missing or None: the whole result).
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for flag in flags:
        groups.setdefault((flag["level"], flag["code"]), []).append(flag)
    return [_group(level, code, found) for (level, code), found in groups.items()]


def _group(level: str, code: str, flags: Sequence[Mapping[str, Any]]) -> FlagGroup:
    keys_of: dict[str, list[str | None]] = {}
    for flag in flags:
        keys = keys_of.setdefault(_without_region(flag), [])
        if flag.get("region") not in keys:
            keys.append(flag.get("region"))
    concerned = tuple(dict.fromkeys(flag.get("region") for flag in flags))
    return FlagGroup(level, code, concerned, _lines(keys_of))


def _without_region(flag: Mapping[str, Any]) -> str:
    """Return the text without the region in front: the entry names it already."""
    return shown(flag["text"]).removeprefix(f"{flag.get('region')}: ")


def _lines(keys_of: Mapping[str, Sequence[str | None]]) -> tuple[str, ...]:
    """Return the texts, each after its regions; clauses that all of them end with stand once, at the end."""
    texts = list(keys_of)
    if len(texts) == 1:
        return tuple(texts)
    clauses = [CLAUSE.split(text) for text in texts]
    shared = _shared_ending(clauses)
    own = [" ".join(one[: len(one) - shared]).rstrip(",;:") for one in clauses]
    lines = [f"{_titles(keys)}{text}" for keys, text in zip(keys_of.values(), own, strict=True)]
    if shared and max(map(len, own)) <= SHORT:
        lines = ["; ".join(lines)]
    ending = [f"each: {' '.join(clauses[0][-shared:])}"] if shared else []
    return (*lines, *ending)


def _titles(keys: Sequence[str | None]) -> str:
    titles = [key_title(key) for key in keys if key]
    return f"{', '.join(titles)}: " if titles else ""


def _shared_ending(clauses: Sequence[Sequence[str]]) -> int:
    """Return how many clauses at the end are the same in all texts; each text keeps one of its own."""
    most = min(len(one) for one in clauses) - 1
    alike = 0
    while alike < most and len({one[-1 - alike] for one in clauses}) == 1:
        alike += 1
    return alike
