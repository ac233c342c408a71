"""What ``prrt process`` was asked to do, with the hash of everything it will read."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.dicom.discover import looks_like_dicom
from pipeline.domain.provenance import content_hash
from pipeline.errors import RefusalError, require
from pipeline.files.code_version import code_version
from pipeline.files.forms import load_blood, load_cycle_form
from pipeline.settings import load_site
from pipeline.steps.compute import backend_or_refuse
from pipeline.steps.dose_maps import engine_or_refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def request_document(
    *,
    studies: Sequence[Path],
    site: Path,
    cycle_form: Path | None,
    blood: Path | None,
    contours: Sequence[Path],
    engine: str,
    backend: str,
    out: Path | None = None,
) -> dict[str, Any]:
    """Return the request as JSON; refuse at once what can be known to fail.

    Returns
    -------
    dict
        Absolute paths, ``fingerprint`` (content of all inputs, whatever their names), ``tables`` (content of those that
        steps read again) and ``code_version``.

    Raises
    ------
    RefusalError
        ``PATH_MISSING``, ``CYCLE_FORM_MISSING``, ``OUT_INSIDE_STUDY``, ``ENGINE_UNAVAILABLE``, ``BACKEND_UNAVAILABLE``.
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
    require(
        out is None or not any(out.resolve().is_relative_to(path.resolve()) for path in studies),
        "OUT_INSIDE_STUDY",
        found="the output folder inside a study's folder",
        needed="a folder of its own: what a run writes must not become its next run's input",
        do="choose another --out",
        where=str(out),
    )
    tables = _tables(given)
    return {
        "studies": [str(path.resolve()) for path in studies],
        "site": str(site.resolve()),
        "cycle_form": str(cycle_form.resolve()),
        "blood": str(blood.resolve()) if blood else None,
        "contours": [str(path.resolve()) for path in with_sidecars],
        "engine": engine,
        "backend": backend,
        "fingerprint": content_hash({"studies": _content(given["studies"])} | tables),
        "tables": tables,
        "code_version": code_version(),
    }


def require_forms(request: Mapping[str, Any]) -> None:
    """Read site profile, cycle form and blood once, so that a blank in one is refused before anything is started.

    Raises
    ------
    RefusalError
        ``SITE_PROFILE_INVALID``, ``CYCLE_FORM_INVALID``, ``BLOOD_INVALID`` and others of the forms.
    """
    load_site(Path(request["site"]))
    load_cycle_form(Path(request["cycle_form"]))
    if request["blood"]:
        load_blood(Path(request["blood"]))


def require_unchanged(request: dict[str, Any]) -> None:
    """Refuse to go on where profile, form, blood or contours are no longer those that the run began with.

    Every step reads them again; a result made half from the old and half from the new would carry the hash of the old.

    Raises
    ------
    RefusalError
        ``INPUT_CHANGED``.
    """
    paths = {"site": [request["site"]], "cycle_form": [request["cycle_form"]], "contours": request["contours"]}
    paths["blood"] = [request["blood"]] if request["blood"] else []
    now = _tables({name: [Path(path) for path in given] for name, given in paths.items()})
    changed = sorted(name for name, content in request["tables"].items() if now[name] != content)
    require(
        not changed,
        "INPUT_CHANGED",
        found=f"another content of {', '.join(changed)} than at the start of this run",
        needed="the same files until the run has ended",
        do="give the command again: it begins anew with the files as they are now",
        where=", ".join(changed),
    )


def _tables(given: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    content: dict[str, Any] = {name: _content(given[name]) for name in ("contours", "blood")}
    return content | {name: _meaning(given[name][0]) for name in ("site", "cycle_form")}


def _sidecars(contours: Sequence[Path]) -> list[Path]:
    if any(path.suffix == ".json" for path in contours):
        return []
    beside = [path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json") for path in contours]
    return [path for path in beside if path.exists()]


def _content(paths: Iterable[Path]) -> list[str]:
    """Return the sorted SHA-256 of every file: the same files under other names are the same input.

    In a folder only DICOM counts: a note or a thumbnail beside it does not make another input.
    """
    files = {file for path in paths for file in (_dicom_below(path) if path.is_dir() else [path])}
    return sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)


def _dicom_below(folder: Path) -> Iterable[Path]:
    return (file for file in folder.rglob("*") if file.is_file() and looks_like_dicom(file))


def _meaning(path: Path) -> str:
    """Return the hash of a TOML file's content: comments and layout do not count."""
    try:
        return content_hash(json.loads(json.dumps(tomllib.loads(path.read_text(encoding="utf-8")), default=str)))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # Refused with its reason when it is read.
        return hashlib.sha256(path.read_bytes()).hexdigest()
