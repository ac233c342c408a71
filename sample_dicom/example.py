"""Make the small example case: one perfect cycle of the phantom patient, zipped.

``python -m sample_dicom.example`` writes ``sample_dicom/example-perfect-cycle.zip`` anew.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Final

from sample_dicom.write import write_phantom

EXAMPLE: Final = Path(__file__).parent / "example-perfect-cycle.zip"
FIXED_DATE: Final = (2026, 1, 1, 0, 0, 0)


def write_example_case(folder: Path) -> None:
    """Write the case that the zip holds into ``folder``."""
    write_phantom(folder, kind="patient", perfect=True, seed=1, cycles=1)


def zip_folder(folder: Path, target: Path) -> None:
    """Zip a folder's files in the order of their names, with one fixed date."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), FIXED_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), compresslevel=9)


def main() -> None:
    """Write the example case anew."""
    with tempfile.TemporaryDirectory() as folder:
        write_example_case(Path(folder))
        zip_folder(Path(folder), EXAMPLE)


if __name__ == "__main__":
    main()
