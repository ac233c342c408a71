"""The unit a NIfTI volume states about itself: in square brackets in the header's description, as ``TIA [Bq*s/mL]``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import nibabel as nib

from pipeline.errors import require

if TYPE_CHECKING:
    from pathlib import Path

# NIfTI-1 keeps 80 bytes.
DESCRIPTION_FIELD = "descrip"
STATED = re.compile(r"\[([^\]]+)\]")
SPELLINGS = str.maketrans({" ": "*", "·": "*", ".": "*", "^": "", "³": "3"})


def stated_unit(path: Path) -> str | None:
    """Return the unit in the description of a NIfTI header; None where it states none."""
    described = bytes(nib.load(path).header[DESCRIPTION_FIELD].tobytes()).rstrip(b"\0").decode("latin-1")
    found = STATED.search(described)
    return found.group(1).strip() if found else None


def require_unit(path: Path, expected: str, also: tuple[str, ...] = ()) -> None:
    """Refuse a volume that states another unit than the one expected (``UNIT_CONTRADICTORY``).

    Parameters
    ----------
    path : Path
        Of a volume that can be read.
    expected : str
        As ``Bq*s/mL``.
    also : tuple of str
        Other names of the same unit.

    Notes
    -----
    A volume that states nothing passes: NIfTI has no field for the unit of a value, and most programs write none.
    """
    stated = stated_unit(path)
    names = {_plain(name) for name in (expected, *also)}
    require(
        stated is None or _plain(stated) in names,
        "UNIT_CONTRADICTORY",
        found=f"a volume in {stated}, as its header says",
        needed=f"a volume in {expected}",
        do="convert the values and correct or remove the unit in the header's description",
        where=path.name,
    )


def _plain(unit: str) -> str:
    return unit.translate(SPELLINGS).lower()
