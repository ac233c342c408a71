"""Typed access to DICOM headers: a placeholder or a value that cannot be read is missing, never zero."""

from __future__ import annotations

import hashlib
import io
import math
import struct
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue

from pipeline.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TypeVar

    from pydicom.dataset import Dataset

    T = TypeVar("T")

NM_STORAGE = "1.2.840.10008.5.1.4.1.1.20"
PET_STORAGE = "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_PET_STORAGE = "1.2.840.10008.5.1.4.1.1.130"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2.1"

# What pydicom raises on a damaged file, by the kind of damage.
READ_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    NotImplementedError,
    struct.error,
)
# A value that does not fit its VR is read as missing.
_VALUE_ERRORS = (*READ_ERRORS, OverflowError)


@contextmanager
def lenient() -> Iterator[None]:
    """Read without pydicom's warnings on values that break their VR: real headers hold them (section 6.4)."""
    with pydicom.config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def corrupt(path: Path, found: str) -> RefusalError:
    """Return the refusal of a damaged file."""
    return RefusalError(
        "DICOM_CORRUPT",
        found=found,
        needed="a complete DICOM file",
        do="export the series again and check the transfer",
        where=path.name,
    )


def read_dataset(path: Path) -> tuple[Dataset, str]:
    """Read a whole file once.

    Returns
    -------
    dataset : Dataset
    sha256 : str
        Of the file's bytes.

    Raises
    ------
    RefusalError
        ``DICOM_CORRUPT`` where the file cannot be read.
    """
    content, digest = read_content(path)
    return parsed(content, path), digest


def read_content(path: Path) -> tuple[bytes, str]:
    """Return the bytes of a file and their SHA-256 (``DICOM_CORRUPT`` where the system cannot read it)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise corrupt(path, f"{type(error).__name__} while reading") from error
    return content, hashlib.sha256(content).hexdigest()


def parsed(content: bytes, path: Path) -> Dataset:
    """Return the dataset in ``content``, the bytes of ``path``."""
    try:
        with lenient():
            return pydicom.dcmread(io.BytesIO(content), force=True)
    except READ_ERRORS as error:
        raise corrupt(path, f"{type(error).__name__} while reading") from error


def series_hash(digests: Sequence[str]) -> str:
    """Return one SHA-256 over the files' digests, whatever the files are called."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def text(dataset: Dataset, keyword: str) -> str:
    """Return a value as text, several joined by a backslash as DICOM does; empty where missing."""
    try:
        value = dataset.get(keyword)
    except _VALUE_ERRORS:
        return ""
    if value is None:
        return ""
    if isinstance(value, (MultiValue, list, tuple)):
        return "\\".join(str(part).strip() for part in value)
    return str(value).strip()


def transfer_syntax(dataset: Dataset) -> str:
    """Return the transfer syntax of a file; empty where it has none."""
    return text(dataset.file_meta, "TransferSyntaxUID")


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the parts of a multi-valued text."""
    joined = text(dataset, keyword)
    return tuple(joined.split("\\")) if joined else ()


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...] | None:
    """Return all values as finite floats; None where missing or not numbers."""
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return None
        parts = value if isinstance(value, (MultiValue, list, tuple)) else [value]
        read = tuple(float(part) for part in parts)
    except _VALUE_ERRORS:
        return None
    return read if read and all(math.isfinite(part) for part in read) else None


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return a single finite number; None where missing."""
    read = numbers(dataset, keyword)
    return read[0] if read else None


def positive(dataset: Dataset, keyword: str) -> float | None:
    """Return a number above zero; None where missing or a placeholder (0 means missing, section 6.4)."""
    read = number(dataset, keyword)
    return read if read is not None and read > 0 else None


def items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Return the items of a sequence; empty where missing."""
    try:
        sequence = dataset.get(keyword)
    except _VALUE_ERRORS:
        return ()
    return tuple(sequence) if sequence else ()


def frame_count(dataset: Dataset) -> int:
    """Return the number of frames (1 where the header does not say)."""
    return int(positive(dataset, "NumberOfFrames") or 1)


def attempt(problems: list[RefusalError], decode: Callable[[], T]) -> T | None:
    """Return what ``decode`` returns; where it refuses, note the refusal and return None."""
    try:
        return decode()
    except RefusalError as error:
        problems.append(error)
        return None
