"""The step behind ``prrt validate``: the product's own validation on this machine, as a document and a PDF."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from kernels.backend import DeviceMissingError, choose_backend
from pipeline.files.code_version import code_version
from pipeline.files.commissioning_data import load_decision_cases, load_golden_arrays, load_golden_tables
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.physics.commissioning import (
    conservation,
    convolution,
    decay_arithmetic,
    decay_data,
    heterogeneity,
    kinetics_values,
    organs,
    parity,
    recovery_values,
    spheres,
    torso,
    voxel_kernels,
)
from pipeline.physics.commissioning.bench import Bench
from pipeline.report.validation_page import write_validation_page
from pipeline.rules.commissioning import decisions_chapter
from pipeline.settings import load_protocol_limits
from pipeline.steps.compute import backend_or_refuse
from pipeline.steps.fit_outputs import written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kernels.backend import Backend
    from pipeline.physics.commissioning.rows import Chapter, Row

SCHEMA_VERSION = "1.0"
JSON_NAME, PDF_NAME = "validation.json", "validation.pdf"
# The order of the document. A new chapter is a module with a CHAPTER, named here.
CHAPTERS: tuple[Chapter, ...] = (
    decay_data.CHAPTER,
    voxel_kernels.CHAPTER,
    spheres.CHAPTER,
    organs.CHAPTER,
    conservation.CHAPTER,
    convolution.CHAPTER,
    heterogeneity.SLABS,
    heterogeneity.INTERFACE,
    torso.CHAPTER,
    parity.CHAPTER,
    decay_arithmetic.CHAPTER,
    kinetics_values.CHAPTER,
    recovery_values.CHAPTER,
    decisions_chapter(load_decision_cases, load_protocol_limits),
)


def make_bench(backend: Backend) -> Bench:
    """Return what the chapters work with: the package's data and golden values, on ``backend``."""
    tables = load_golden_tables()
    nuclides = {
        (entry["name"], entry["set"]): load_nuclide(entry["name"], entry["set"])
        for entry in tables["decay_data"]["nuclides"]
    }
    kernels = {
        (entry["nuclide"], medium): load_point_kernel(entry["nuclide"], medium)
        for entry in tables["decay_data"]["point_kernels"]
        for medium in entry["media"]
    }
    gpu, missing = _gpu()
    return Bench(nuclides, kernels, tables, load_golden_arrays(), backend, gpu, missing)


def _gpu() -> tuple[Backend | None, str]:
    try:
        return choose_backend("gpu"), ""
    except DeviceMissingError as error:
        return None, str(error)


def validation_document(
    bench: Bench, chapters: Sequence[Chapter], announce: Callable[[str, int], None] | None = None
) -> dict[str, Any]:
    """Run the chapters and return the document of ``prrt validate``.

    Parameters
    ----------
    bench : Bench
    chapters : sequence of Chapter
        In their order.
    announce : callable, optional
        Told the title of each chapter before it runs, and how many there are.

    Returns
    -------
    dict
        ``rows`` with chapter, what, number, reference, unit, source, comparison, difference, tolerance, reason, verdict
        and known_difference; ``verdict`` is ``fail`` where one row fails.
    """
    described, rows = [], []
    for chapter in chapters:
        if announce:
            announce(chapter.title, len(chapters))
        begin = time.perf_counter()
        made = chapter.rows(bench)
        rows += [{"chapter": chapter.key, **asdict(row)} for row in made]
        described.append(_described(chapter, made, time.perf_counter() - begin))
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": "fail" if any(row["verdict"] == "fail" for row in rows) else "pass",
        "counts": _counts([row["verdict"] for row in rows]),
        **_environment(bench.backend, bench.gpu),
        "chapters": described,
        "rows": rows,
    }


def _described(chapter: Chapter, rows: Sequence[Row], seconds: float) -> dict[str, Any]:
    counts = _counts([row.verdict for row in rows])
    return {
        "key": chapter.key,
        "title": chapter.title,
        "about": chapter.about,
        "seconds": round(seconds, 2),
        "counts": counts,
    }


def _counts(verdicts: Sequence[str]) -> dict[str, int]:
    return {name: verdicts.count(name) for name in ("pass", "fail", "information", "not run")}


def _environment(backend: Backend, gpu: Backend | None) -> dict[str, Any]:
    return {
        "product": {"version": metadata.version("prrt-dosimetry"), "code_version": code_version()},
        "machine": {
            "name": platform.node(),
            "system": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count() or 0,
            "gpu": gpu.device if gpu else None,
        },
        "software": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "backend": {"name": backend.name, "device": backend.device, "fallback": backend.fallback},
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def validate_product(
    out: Path, backend_name: str = "auto", announce: Callable[[str, int], None] | None = None
) -> dict[str, Any]:
    """Run the validation and write ``validation.json`` and ``validation.pdf`` into ``out``.

    Raises
    ------
    RefusalError
        ``BACKEND_UNAVAILABLE``; ``OUTPUT_UNWRITABLE``, for the folder before anything is run.
    """
    written(out, lambda: out.mkdir(parents=True, exist_ok=True))
    document = validation_document(make_bench(backend_or_refuse(backend_name)), CHAPTERS, announce)
    json_path, pdf_path = out / JSON_NAME, out / PDF_NAME
    written(json_path, lambda: _write_json(json_path, document))
    written(pdf_path, lambda: write_validation_page(pdf_path, document))
    return document


def _write_json(path: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
