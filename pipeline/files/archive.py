"""Unpack a zip that came from elsewhere: never outside its folder, never more than agreed, all or nothing."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final

from pipeline.errors import RefusalError, require

if TYPE_CHECKING:
    from collections.abc import Sequence

# A cycle is about 0.33 GB (three CTs of 105 MB); twenty times that is no study any more (project choice).
MOST_BYTES: Final = 8 * 2**30
MOST_FILES: Final = 50_000
# What zipfile raises on a damaged archive, by the kind of damage.
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError)


def unpack(archive: Path, into: Path, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> None:
    """Unpack ``archive`` into the folder ``into``, which appears only when everything is in it.

    Parameters
    ----------
    archive : Path
    into : Path
        Where it exists already, nothing is done: it was completed by an earlier call.
    most_bytes, most_files : int
        Bounds on what is unpacked.

    Raises
    ------
    RefusalError
        ``ARCHIVE_DAMAGED``; ``ARCHIVE_UNSAFE`` for names that lead out of the folder, links, and two files of one
        name; ``ARCHIVE_ENCRYPTED``; ``ARCHIVE_TOO_LARGE``.
    """
    if into.exists():
        return
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".part-") as folder:
        try:
            with zipfile.ZipFile(archive) as opened:
                _unpack_checked(opened, Path(folder) / "content", archive.name, most_bytes, most_files)
        except _DAMAGE as error:
            raise _damaged(archive.name, f"{type(error).__name__} while unpacking") from error
        except (FileExistsError, NotADirectoryError) as error:
            raise _unsafe(archive.name, "one name for a file and for a folder") from error
        (Path(folder) / "content").rename(into)


def _unpack_checked(opened: zipfile.ZipFile, into: Path, name: str, most_bytes: int, most_files: int) -> None:
    entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    _require_plain(entries, name)
    room = min(most_bytes, shutil.disk_usage(into.parent).free)
    _require_small(entries, name, room, most_files)
    into.mkdir()
    for entry in entries:
        target = into.joinpath(*PurePosixPath(entry.filename).parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Reading stops at the declared size and checks the sum, so a lying header cannot fill the disk.
        with opened.open(entry) as source, target.open("xb") as sink:
            shutil.copyfileobj(source, sink, 2**20)


def _require_plain(entries: Sequence[zipfile.ZipInfo], name: str) -> None:
    for entry in entries:
        require(
            not entry.flag_bits & 0x1,
            "ARCHIVE_ENCRYPTED",
            found="an encrypted archive",
            needed="an archive without a password",
            do="zip the study again without a password, or copy it as a folder",
            where=name,
        )
        if not _stays_inside(entry):
            raise _unsafe(name, "a name that leads out of its folder, or a link")
    names = {entry.filename.casefold() for entry in entries}
    if len(names) < len(entries):
        raise _unsafe(name, "two files of one name")


def _stays_inside(entry: zipfile.ZipInfo) -> bool:
    """Tell whether an entry is a plain file with a relative name on any system."""
    path = entry.filename
    # zipfile turns the system's own separator into a slash; a backslash is a separator elsewhere.
    drive = PureWindowsPath(path).drive
    parts = PurePosixPath(path.replace("\\", "/")).parts
    linked = stat.S_ISLNK(entry.external_attr >> 16)
    return not (linked or drive or "\\" in path or path.startswith("/") or ".." in parts or not parts)


def _require_small(entries: Sequence[zipfile.ZipInfo], name: str, most_bytes: int, most_files: int) -> None:
    size_bytes = sum(entry.file_size for entry in entries)
    require(
        size_bytes <= most_bytes and len(entries) <= most_files,
        "ARCHIVE_TOO_LARGE",
        found=f"{len(entries)} files, {size_bytes / 2**20:.0f} MiB unpacked",
        needed=f"at most {most_files} files and {most_bytes / 2**20:.0f} MiB, which the disk has room for",
        do="give one cycle per archive, or make room on the disk of the output folder",
        where=name,
    )


def _unsafe(name: str, found: str) -> RefusalError:
    return RefusalError(
        "ARCHIVE_UNSAFE",
        found=found,
        needed="plain files under relative names, each once",
        do="zip the study's folder again with a usual program",
        where=name,
    )


def _damaged(name: str, found: str) -> RefusalError:
    return RefusalError(
        "ARCHIVE_DAMAGED",
        found=found,
        needed="a complete zip archive",
        do="copy it again; the new copy is taken up by itself",
        where=name,
    )
