"""What lies in an inbox: which studies, still growing or not, with which parts, and what each still waits for."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.dicom.discover import scan
from pipeline.dicom.headers import number
from pipeline.domain.provenance import content_hash
from pipeline.errors import RefusalError, require
from pipeline.files.forms import CycleForm, load_cycle_form

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.dicom.discover import SeriesFiles

FORM: Final = "cycle.toml"
BLOOD: Final = "blood.csv"
CONTOURS: Final = ("contours.nii.gz", "contours.nii")
CONTOUR_NAMES: Final = "contours.json"
ARRIVING: Final = "files to stop arriving"
# A curve needs two points; one alone is allowed where the cycle form says that no more will come.
LEAST_TIME_POINTS: Final = 2
# Names that transfer programs give to a file they are still writing.
_UPLOADING: Final = (".part", ".partial", ".filepart", ".tmp", ".crdownload", ".uploading")
_JUNK: Final = frozenset({"thumbs.db", "desktop.ini"})
# Refusals that more files can heal, and which files: such a study waits, it is not refused.
_HEALS: Final = {
    "SPECT_MISSING": "a reconstructed SPECT",
    "CT_MISSING": "the CT of each time point",
    "SLICES_MISSING": "the missing slices of a series",
}


@dataclass(frozen=True)
class Entry:
    """One study as it lies in the inbox: a folder or a zip."""

    name: str
    path: Path

    @property
    def is_zip(self) -> bool:
        """Whether it must be unpacked first."""
        return self.path.suffix.lower() == ".zip"


@dataclass(frozen=True)
class Snapshot:
    """What an entry looked like at one moment; two equal ones say that nothing arrived in between."""

    files: int
    size_bytes: int
    newest_ns: int
    uploading: int


@dataclass(frozen=True)
class Parts:
    """The files of one study by their role; DICOM lies anywhere below ``root``."""

    root: Path
    form: Path | None
    blood: Path | None
    contours: tuple[Path, ...]


def entries(inbox: Path) -> tuple[list[Entry], int]:
    """Return the studies of an inbox by name, and how many loose files are neither folder nor zip.

    Raises
    ------
    RefusalError
        ``PATH_MISSING``.
    """
    require(
        inbox.is_dir(),
        "PATH_MISSING",
        found="no folder at this path",
        needed="the folder that receives studies",
        do="check the path",
        where=str(inbox),
    )
    seen = [Entry(path.name, path) for path in sorted(inbox.iterdir()) if not _is_junk(path.name)]
    studies = [entry for entry in seen if entry.path.is_dir() or entry.is_zip]
    return studies, len(seen) - len(studies)


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK


def study_files(root: Path) -> Iterator[Path]:
    """Yield the files of a study in the order of their names, without what file managers leave behind."""
    for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if path.is_file() and not any(_is_junk(part) for part in path.relative_to(root).parts):
            yield path


def snapshot(entry: Entry) -> Snapshot:
    """Return what an entry looks like now; a file that vanishes meanwhile is left out."""
    files = size_bytes = newest_ns = uploading = 0
    for path in study_files(entry.path):
        with contextlib.suppress(FileNotFoundError):
            state = path.stat()
            files += 1
            size_bytes += state.st_size
            newest_ns = max(newest_ns, state.st_mtime_ns)
            uploading += path.suffix.lower() in _UPLOADING
    return Snapshot(files, size_bytes, newest_ns, uploading)


def content_key(root: Path) -> str:
    """Return a hash of what a study holds, whatever it and its DICOM files are called."""
    return content_hash(sorted([_role(path), file_hash(path)] for path in study_files(root)))


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _role(path: Path) -> str:
    """Return the name of a file whose name gives it a role, else nothing."""
    name = path.name.lower()
    return name if name in {FORM, BLOOD, CONTOUR_NAMES, *CONTOURS} else ""


def parts_of(root: Path) -> Parts:
    """Return the parts of a study.

    Raises
    ------
    RefusalError
        ``STUDY_AMBIGUOUS`` where one role has two files.
    """
    by_role: dict[str, list[Path]] = {}
    for path in study_files(root):
        by_role.setdefault(_role(path), []).append(path)
    form, blood = _single(by_role, (FORM,)), _single(by_role, (BLOOD,))
    contours, names = _single(by_role, CONTOURS), _single(by_role, (CONTOUR_NAMES,))
    given = (contours, names) if contours and names else (contours,)
    return Parts(root, form, blood, tuple(path for path in given if path))


def _single(by_role: dict[str, list[Path]], roles: Sequence[str]) -> Path | None:
    found = [path for role in roles for path in by_role.get(role, [])]
    require(
        len(found) <= 1,
        "STUDY_AMBIGUOUS",
        found=f"{len(found)} files named {roles[0]}",
        needed="one cycle per folder or zip",
        do="put each cycle into a folder of its own, directly in the inbox",
        where=roles[0],
    )
    return found[0] if found else None


def missing_of(parts: Parts) -> str | None:
    """Return what a study still waits for, from quick header reads; None where a walk may start.

    Raises
    ------
    RefusalError
        ``CYCLE_FORM_INVALID``, ``TIME_ZONE_MISSING``; ``DICOM_CORRUPT`` for a file that is truncated although it does
        not grow any more.
    """
    if parts.form is None:
        return FORM
    form = load_cycle_form(parts.form)
    found = scan([parts.root])
    for problem in (*found.unreadable, *(series.problem for series in found.series)):
        if problem is not None:
            raise problem
    waits = [*_waits_for_contours(parts), *_waits_for_series(found.series, form)]
    return ", ".join(waits) or None


def _waits_for_contours(parts: Parts) -> Iterator[str]:
    if len(parts.contours) == 1:
        yield CONTOUR_NAMES


def _waits_for_series(series: Sequence[SeriesFiles], form: CycleForm) -> Iterator[str]:
    emission = [one for one in series if one.kind in {"spect", "pet"}]
    cts = sum(one.kind == "ct" for one in series)
    asked = form.time_points or LEAST_TIME_POINTS
    if len(emission) < asked:
        yield f"{asked - len(emission)} more SPECT ({len(emission)} of {asked} time points)"
    if cts < max(len(emission), 1):
        yield f"{_HEALS['CT_MISSING']} ({cts} of {max(len(emission), 1)})"
    for one in emission:
        stated = _stated_slices(one)
        if len(one.paths) > 1 and len(one.paths) < stated:
            yield f"{stated - len(one.paths)} slices of series {one.series_uid}"


def _stated_slices(series: SeriesFiles) -> int:
    """Return how many slices a PET object says its volume has (0054,0081); 0 where it does not say."""
    return int(max((number(file.header, "NumberOfSlices") or 0 for file in series.files), default=0))


def waits_after(refusal: RefusalError) -> str | None:
    """Return which files would heal a refusal; None where a person must correct what is there."""
    missing = _HEALS.get(refusal.code)
    if missing is None or not refusal.where or missing == refusal.where:
        return missing
    return f"{missing} ({refusal.where}: {refusal.found})"
