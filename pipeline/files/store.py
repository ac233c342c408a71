"""Content-addressed store for the arrays that travel between steps, each under its SHA-256."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import DefectError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def write_atomically(path: Path, payload: bytes) -> None:
    """Write ``payload`` so that a reader, or a crash, sees either the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        # A temporary file is private; what it becomes has the rights any new file would have.
        os.fchmod(handle, 0o666 & ~_umask())
        with os.fdopen(handle, "wb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)  # noqa: PTH105 (a plain atomic rename of two strings)
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class ArrayStore:
    """Arrays in one folder, named by the hash of their content.

    Parameters
    ----------
    root : Path
        Folder; made when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put_array(self, array: NDArray[Any]) -> str:
        """Store an array and return its key."""
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
        return self._put(buffer.getvalue(), "npy")

    def get_array(self, key: str) -> NDArray[Any]:
        """Return a stored array, read-only (mapped from disk)."""
        array: NDArray[Any] = np.load(self._existing(key, "npy"), mmap_mode="r", allow_pickle=False)
        return array

    def _put(self, payload: bytes, suffix: str) -> str:
        key = hashlib.sha256(payload).hexdigest()
        path = self._path(key, suffix)
        if not path.exists():
            write_atomically(path, payload)
        return key

    def _path(self, key: str, suffix: str) -> Path:
        return self.root / key[:2] / f"{key}.{suffix}"

    def _existing(self, key: str, suffix: str) -> Path:
        path = self._path(key, suffix)
        if not path.exists():
            msg = f"the store has no {suffix} {key}; remove the work folder and run again"
            raise DefectError(msg)
        return path
