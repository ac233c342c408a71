"""Write the look page of one cycle."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from functools import cache
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from pipeline.review.content import page_content
from pipeline.review.volumes import PageVolumes, encode_volumes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.review.volumes import EncodedVolume

__all__ = ["PageVolumes", "write_page"]


def write_page(
    path: Path, document: Mapping[str, Any], volumes: PageVolumes, history: Mapping[str, Any] | None
) -> None:
    """Write one HTML file that holds everything; equal inputs give equal bytes.

    Parameters
    ----------
    path : Path
        The file to write; its folder exists.
    document : mapping
        The result document, with its decision.
    volumes : PageVolumes
    history : mapping or None
        The patient's record as ``show`` gives it; None: only this cycle is known.
    """
    places = [region["centroid_lps_mm"] for region in document["regions"] if region["centroid_lps_mm"]]
    encoded = encode_volumes(volumes, places)
    content = page_content(document, history, volumes.region_names)
    content["volumes"] = {volume.name: {"step": volume.step, "largest": volume.largest} for volume in encoded}
    partial = path.with_name(f".part-{path.name}")
    partial.write_text(_page(document, content, encoded), encoding="utf-8", newline="\n")
    partial.replace(path)


def _page(document: Mapping[str, Any], content: Mapping[str, Any], encoded: Sequence[EncodedVolume]) -> str:
    script, style = _static("look.js"), _static("style.css")
    return Template(_static("page.html")).substitute(
        title=html.escape(f"{document['patient_key']}, cycle {document['cycle']}"),
        script_hash=_content_hash(script),
        style_hash=_content_hash(style),
        style=style,
        script=script,
        content=_embedded_json(content),
        volumes="\n".join(
            f'<script type="text/plain" id="volume-{volume.name}">{volume.base64_text}</script>' for volume in encoded
        ),
    )


@cache
def _static(name: str) -> str:
    return (files("pipeline.review") / "static" / name).read_text(encoding="utf-8")


def _content_hash(text: str) -> str:
    """Return the hash by which the page's content security policy knows its own script and style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _embedded_json(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    # nothing in a name or a text can end the element it stands in
    return text.replace("<", "\\u003c")
