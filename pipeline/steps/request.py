"""What ``prrt process`` was asked to do, with the hash of everything it will read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.domain.provenance import content_hash
from pipeline.errors import RefusalError, require
from pipeline.files.code_version import code_version
from pipeline.steps.compute import backend_or_refuse
from pipeline.steps.dose_maps import engine_or_refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def request_document(
    *,
    studies: Sequence[Path],
    site: Path,
    cycle_form: Path | None,
    blood: Path | None,
    contours: Sequence[Path],
    engine: str,
    backend: str,
) -> dict[str, Any]:
    """Return the request as JSON; refuse at once what can be known to fail.

    Returns
    -------
    dict
        Absolute paths, ``fingerprint`` (content of all inputs, whatever their names) and ``code_version``.

    Raises
    ------
    RefusalError
        ``PATH_MISSING``, ``CYCLE_FORM_MISSING``, ``ENGINE_UNAVAILABLE``, ``BACKEND_UNAVAILABLE``.
    """
    engine_or_refuse(engine)
    backend_or_refuse(backend)
    if cycle_form is None:
        raise RefusalError(
            "CYCLE_FORM_MISSING",
            found="no cycle form",
            needed="patient key, cycle and net administered activity, which no image header carries reliably",
            do="write one with `prrt init-cycle`, then give --cycle-form",
            where="--cycle-form",
        )
    with_sidecars = [*contours, *_sidecars(contours)]
    given = {"studies": list(studies), "site": [site], "cycle_form": [cycle_form], "contours": with_sidecars}
    given["blood"] = [blood] if blood else []
    for path in (p for paths in given.values() for p in paths):
        require(
            path.exists(),
            "PATH_MISSING",
            found="nothing at this path",
            needed="an existing file or folder",
            do="check the path",
            where=str(path),
        )
    return {
        "studies": [str(path.resolve()) for path in studies],
        "site": str(site.resolve()),
        "cycle_form": str(cycle_form.resolve()),
        "blood": str(blood.resolve()) if blood else None,
        "contours": [str(path.resolve()) for path in with_sidecars],
        "engine": engine,
        "backend": backend,
        "fingerprint": content_hash({name: _content(paths) for name, paths in given.items()}),
        "code_version": code_version(),
    }


def _sidecars(contours: Sequence[Path]) -> list[Path]:
    if any(path.suffix == ".json" for path in contours):
        return []
    beside = [path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json") for path in contours]
    return [path for path in beside if path.exists()]


def _content(paths: Iterable[Path]) -> list[str]:
    """Return the sorted SHA-256 of every file: the same files under other names are the same input."""
    files = {file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()}
    return sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
