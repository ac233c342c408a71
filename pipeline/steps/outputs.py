"""The output folder belongs to one patient and cycle, and to one run at a time."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.errors import RefusalError, require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

try:
    import fcntl
except ImportError:  # no advisory locks on this system: the unique names of partial files still keep files whole
    fcntl = None  # type: ignore[assignment]


def require_own_folder(out: Path, patient_key: str, cycle: int) -> None:
    """Refuse a folder that holds another patient's or cycle's result (``OUT_OF_ANOTHER_CYCLE``)."""
    path = out / "result.json"
    if not path.exists():
        return
    there = json.loads(path.read_text(encoding="utf-8"))
    require(
        (there.get("patient_key"), there.get("cycle")) == (patient_key, cycle),
        "OUT_OF_ANOTHER_CYCLE",
        found="the result of another patient or cycle in the output folder",
        needed="a folder for each cycle",
        do="choose another --out",
        where=str(out),
    )


@contextmanager
def exclusive(work: Path) -> Iterator[None]:
    """Hold the folder for one run; a second one is refused (``OUT_IN_USE``). A killed run holds nothing."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as stream:
        if fcntl is not None:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RefusalError(
                    "OUT_IN_USE",
                    found="another run that writes into this output folder",
                    needed="one run at a time",
                    do="wait for it, or choose another --out",
                    where=str(work.parent),
                ) from error
        yield
