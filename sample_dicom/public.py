"""Public data sets: what they are, where they come from, and whether a folder holds exactly them.

``python -m sample_dicom.public FOLDER`` checks a folder; ``--get NAME`` fetches a set that has an address.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.request import urlopen

from pipeline.errors import RefusalError, require

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_S: Final = 60.0
MISSING, DIFFERENT, GOOD = "missing", "different", "good"


@dataclass(frozen=True)
class PublicSet:
    """One public file with its origin and licence; ``address`` is empty where a person must fetch it (``how``)."""

    path: str
    sha256: str
    bytes: int
    origin: str
    licence: str
    what: str
    address: str = ""
    how: str = ""
    cite: str = ""

    def state_in(self, folder: Path) -> str:
        """Tell whether a folder holds this file: ``good``, ``different`` or ``missing``."""
        place = folder / self.path
        if not place.is_file():
            return MISSING
        return GOOD if hashlib.sha256(place.read_bytes()).hexdigest() == self.sha256 else DIFFERENT


def public_sets() -> dict[str, PublicSet]:
    """Return all sets of ``public.toml`` by name."""
    text = (resources.files("sample_dicom") / "public.toml").read_text(encoding="utf-8")
    return {name: PublicSet(**entry) for name, entry in tomllib.loads(text).items()}


def public_file(folder: Path, name: str) -> Path:
    """Return where a set lies; refuse a missing or other file (``PUBLIC_DATA_INVALID``)."""
    one = public_sets()[name]
    state = one.state_in(folder)
    require(
        state == GOOD,
        "PUBLIC_DATA_INVALID",
        found=f"{one.path}: {state}",
        needed=f"the file with SHA-256 {one.sha256[:12]}... from {one.origin}",
        do=f"python -m sample_dicom.public {folder} --get {name}" if one.address else one.how,
        where=name,
    )
    return folder / one.path


def fetch(folder: Path, name: str, read: Callable[[str], bytes]) -> Path:
    """Fetch one set into a folder; a file of another hash is not kept.

    Parameters
    ----------
    folder : Path
    name : str
    read : callable
        Returns the content of an address.
    """
    one = public_sets()[name]
    content = read(one.address)
    found = hashlib.sha256(content).hexdigest()
    require(
        found == one.sha256,
        "PUBLIC_DATA_INVALID",
        found=f"SHA-256 {found[:12]}... at {one.address}",
        needed=f"{one.sha256[:12]}...",
        do="look at the origin: the file there has changed",
        where=name,
    )
    place = folder / one.path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def _read(address: str) -> bytes:
    require(
        address.startswith("https://"),
        "PUBLIC_DATA_INVALID",
        found="no address",
        needed="a set that has one",
        do="get it by hand, as `how` in sample_dicom/public.toml says",
        where="--get",
    )
    with urlopen(address, timeout=TIMEOUT_S) as answer:  # noqa: S310 (https only, checked above)
        return bytes(answer.read())


def main() -> int:
    """Check a folder, or fetch one set into it; 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--get", choices=sorted(public_sets()), help="fetch this set first")
    options = parser.parse_args()
    try:
        if options.get:
            fetch(options.folder, options.get, _read)
    except RefusalError as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 1
    states = {name: one.state_in(options.folder) for name, one in public_sets().items()}
    sys.stdout.write("".join(f"{state:9} {name}\n" for name, state in states.items()))
    return 0 if set(states.values()) <= {GOOD, MISSING} else 1


if __name__ == "__main__":
    sys.exit(main())
