"""Keep the folder of kernels small: what was not used for long goes, then the oldest beyond a size.

Only regular files with the cache's own names are looked at, and none is removed that was used a short while ago:
another process may be reading it. (Where a file that is open cannot be removed, as on Windows, it stays.)
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LOG = logging.getLogger("prrt.kernel_cache")

# Project choices. A kernel takes up to some 20 MB and seconds to compute: 2 GB hold the voxel sizes of many cameras.
MOST_BYTES: Final = 2_000_000_000
LONGEST_UNUSED_S: Final = 365.0 * SECONDS_PER_DAY
# Reading a kernel takes under a second, a process that was stopped meanwhile may take longer.
IN_USE_S: Final = 1.0 * SECONDS_PER_HOUR
KERNEL_NAME: Final = re.compile(r"[0-9a-f]{64}\.npz")
# What a writer leaves that was killed (:func:`pipeline.files.store.write_atomically`).
PART_NAME: Final = re.compile(r"\.part-\w{8}")
PART_LEFT_S: Final = 1.0 * SECONDS_PER_DAY


@dataclass(frozen=True)
class _Kept:
    path: Path
    size_bytes: int
    unused_s: float


def mark_used(path: Path) -> None:
    """Note in the file's time of change that it was used; a folder that is read-only keeps its times."""
    try:
        os.utime(path)
    except OSError as error:
        LOG.debug("time of use of %s not noted (%s)", path.name, error.strerror)


def prune(folder: Path, *, most_bytes: int = MOST_BYTES, longest_unused_s: float = LONGEST_UNUSED_S) -> list[Path]:
    """Remove what is old or too much, and return it; every file removed is a line in the log.

    Parameters
    ----------
    folder : Path
        Of the kernels; one that is not there holds nothing.
    most_bytes : int
        The files used last are kept up to this sum.
    longest_unused_s : float
    """
    found = sorted(_files(folder, KERNEL_NAME), key=lambda kept: kept.unused_s)
    total_bytes, leaving = 0, []
    for kept in found:
        total_bytes += kept.size_bytes
        too_much, too_old = total_bytes > most_bytes, kept.unused_s > longest_unused_s
        if (too_much or too_old) and kept.unused_s > IN_USE_S:
            leaving.append((kept, "not used for long" if too_old else "the cache is full"))
    leaving += [(p, "left by a stopped writer") for p in _files(folder, PART_NAME) if p.unused_s > PART_LEFT_S]
    return _removed(leaving)


def _files(folder: Path, name: re.Pattern[str]) -> list[_Kept]:
    """Return the regular files of this name; one that another process has just removed is none."""
    now_s, found = time.time(), []
    if not folder.is_dir():
        return []
    for path in folder.iterdir():
        if not name.fullmatch(path.name):
            continue
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISREG(status.st_mode):
            found.append(_Kept(path, status.st_size, now_s - status.st_mtime))
    return found


def _removed(leaving: Iterable[tuple[_Kept, str]]) -> list[Path]:
    gone = []
    for kept, why in leaving:
        try:
            kept.path.unlink(missing_ok=True)
        except OSError as error:
            LOG.warning("kernel file %s not removed (%s)", kept.path, error.strerror)
            continue
        LOG.info("kernel file %s removed: %s (%d bytes)", kept.path, why, kept.size_bytes)
        gone.append(kept.path)
    return gone
