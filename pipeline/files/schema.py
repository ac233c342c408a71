"""The JSON Schema of the result document, and the check of a document against it."""

from __future__ import annotations

import json
import math
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from pipeline.errors import DefectError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema.exceptions import ValidationError

RESULT_SCHEMA = "result-1.schema.json"
# a message repeats the offending value, which may be a whole part of the document
MESSAGE_LENGTH = 300


@cache
def _validator() -> Draft202012Validator:
    text = (resources.files("pipeline") / "data" / RESULT_SCHEMA).read_text(encoding="utf-8")
    schema = json.loads(text)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the result document, version 1.0."""
    return dict(json.loads(json.dumps(_validator().schema)))


def validate_result(document: Mapping[str, Any]) -> None:
    """Check a result document before it is filed or written.

    Parameters
    ----------
    document : mapping
        The result document (``schema_version`` 1.0).

    Raises
    ------
    DefectError
        Names every path that is wrong: our own code made the document, so this is never the user's fault.
    """
    problems = [_describe(error) for error in _validator().iter_errors(dict(document))]
    problems += [f"{path}: {value} is not a finite number" for path, value in _not_finite(document, "$")]
    if problems:
        raise DefectError("result document: " + "; ".join(sorted(problems)))


def _describe(error: ValidationError) -> str:
    # an anyOf (a part or null) says little itself: the deepest error of its branches names the field
    deepest = max(error.context or [error], key=lambda inner: len(inner.absolute_path))
    return f"{deepest.json_path}: {deepest.message[:MESSAGE_LENGTH]}"


def _not_finite(value: object, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_finite(inner, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _not_finite(inner, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, value
