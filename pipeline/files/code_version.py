"""Which code made a result: the released version and a hash of the source that is really running."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata, resources


@cache
def code_version() -> str:
    """Return ``<version>+<hash>`` over the Python sources and data of the installed packages."""
    digest = hashlib.sha256()
    for package in ("pipeline", "kernels", "flows"):
        root = resources.files(package)
        with resources.as_file(root) as folder:
            for path in sorted(folder.rglob("*")):
                if path.suffix in {".py", ".toml", ".json", ".npz"} and path.is_file():
                    digest.update(path.relative_to(folder).as_posix().encode())
                    digest.update(path.read_bytes())
    return f"{metadata.version('prrt-dosimetry')}+{digest.hexdigest()[:12]}"
