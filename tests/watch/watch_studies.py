"""Small changes to linked studies."""

from __future__ import annotations

from pathlib import Path


def rewrite(path: Path, text: str) -> None:
    """Replace a linked file without touching the one it is linked to."""
    path.unlink()
    path.write_text(text, encoding="utf-8")
