"""Every refusal code of the source stands in docs/refusals.md with its cause and cure, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "refusals.md"
# Functions that take a code, and the position of it.
TAKE_A_CODE = {"RefusalError": 0, "require": 1, "_note": 1, "read_toml": 1}
CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
LISTED = re.compile(r"^\| `([A-Z0-9_]+)` \| ([^|]+) \| ([^|]+) \|$")


def _constants(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from _constants(node.body)
        yield from _constants(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
        yield node.value


def _codes_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        position = TAKE_A_CODE.get(name)
        if position is not None and len(node.args) > position:
            yield from _constants(node.args[position])
        for keyword in node.keywords:
            if keyword.arg == "code":
                yield from _constants(keyword.value)


def codes_of_the_source() -> set[str]:
    packages = ("pipeline", "kernels", "flows", "sample_dicom")
    return {code for package in packages for path in (ROOT / package).rglob("*.py") for code in _codes_in(path)}


def _listed() -> dict[str, tuple[str, str]]:
    lines = [LISTED.match(line) for line in PAGE.read_text(encoding="utf-8").splitlines()]
    rows = [match.groups() for match in lines if match]
    assert len({code for code, _, _ in rows}) == len(rows), "a code is listed twice"
    return {code: (cause.strip(), cure.strip()) for code, cause, cure in rows}


def test_every_code_of_the_source_is_listed_and_no_other() -> None:
    source, listed = codes_of_the_source(), set(_listed())
    assert (sorted(source - listed), sorted(listed - source)) == ([], [])


def test_every_listed_code_has_cause_and_cure() -> None:
    assert [code for code, texts in _listed().items() if min(map(len, texts)) < 10] == []


def test_the_scan_finds_codes_of_each_way_to_refuse() -> None:
    """One code each of require, RefusalError, a choice of two, a keyword, and the two functions that pass one on."""
    expected = {"GRID_MISMATCH", "CT_MISSING", "UNIT_NOT_ACTIVITY", "LABS_INVALID", "PLANAR_NOT_SPECT", "EVENT_INVALID"}
    assert expected <= codes_of_the_source()
