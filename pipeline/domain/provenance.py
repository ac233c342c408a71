"""Where a result came from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any


def canonical_json(document: Any) -> str:
    """Return ``document`` as JSON with sorted keys and no spaces, so that equal content has equal text."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_hash(document: Any) -> str:
    """Return the SHA-256 of the canonical JSON of ``document``."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()


@dataclass(frozen=True)
class InputSeries:
    """One series that went into a result."""

    series_uid: str
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """On every filed result."""

    code_version: str
    settings_hash: str
    inputs: tuple[InputSeries, ...]
    engine: str
    backend: str
    dtype: str
    decay_data: str
    created_at: str
