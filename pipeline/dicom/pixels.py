"""Stored values and what they mean: real world value mapping, else rescale slope, else counts (section 6.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pipeline.dicom.headers import PET_STORAGE, READ_ERRORS, frame_count, items, lenient, number, text, transfer_syntax
from pipeline.errors import RefusalError, require

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from pipeline.domain.study import Dialect, SpectUnit

_PLAIN_SYNTAXES = {ImplicitVRLittleEndian, ExplicitVRLittleEndian}
# UCUM writes Bq/ml; Bq/mL is the same unit. CID 84 of DICOM PS3.16 for PET.
_BQ_PER_ML = {"bq/ml", "bqml", "becquerels/milliliter", "bq/cc", "bq/cm3"}
_COUNTS = {"{counts}", "{count}", "counts", "count", "cnts"}


@dataclass(frozen=True)
class Scale:
    """How stored values become numbers with a unit.

    Attributes
    ----------
    source : {"rwvm", "rescale", "none"}
    slope, intercept : float
        Of stored values.
    unit : str
        As coded; empty where the header has none.
    lowest, highest : float or None
        Stored values the mapping is defined for.
    """

    source: Literal["rwvm", "rescale", "none"]
    slope: float
    intercept: float
    unit: str
    lowest: float | None = None
    highest: float | None = None


def stored_frames(dataset: Dataset, where: str) -> NDArray[np.integer]:
    """Return the stored values, shape (frame, row, column), before any scaling.

    Raises
    ------
    RefusalError
        ``DICOM_CORRUPT`` (pixel data incomplete), ``PIXELS_UNSUPPORTED`` (a compression without decoder, colour).
    """
    require(
        number(dataset, "SamplesPerPixel") in {None, 1.0} and "PixelData" in dataset,
        "PIXELS_UNSUPPORTED",
        found="no pixel data, or colour images",
        needed="one value per pixel",
        do="export the quantitative series, not a picture of it",
        where=where,
    )
    try:
        with lenient():
            if is_plain(dataset):
                return plain_frames(dataset.PixelData, dataset, where)
            return np.asarray(dataset.pixel_array).reshape(_shape(dataset))
    except (NotImplementedError, RuntimeError) as error:
        raise RefusalError(
            "PIXELS_UNSUPPORTED",
            found=f"transfer syntax {transfer_syntax(dataset)} without a decoder",
            needed="uncompressed or losslessly compressed pixel data that can be decoded here",
            do="export the series uncompressed",
            where=where,
        ) from error
    except READ_ERRORS as error:
        raise _incomplete(f"{type(error).__name__} while decoding the pixels", where) from error


def _incomplete(found: str, where: str) -> RefusalError:
    return RefusalError(
        "DICOM_CORRUPT",
        found=found,
        needed="complete pixel data",
        do="export the series again and check the transfer",
        where=where,
    )


def _shape(header: Dataset) -> tuple[int, int, int]:
    return (frame_count(header), int(number(header, "Rows") or 0), int(number(header, "Columns") or 0))


def is_plain(header: Dataset) -> bool:
    """Tell whether the pixels are uncompressed little-endian 16-bit values, one per pixel."""
    plain = transfer_syntax(header) in _PLAIN_SYNTAXES
    return plain and number(header, "BitsAllocated") == 16 and number(header, "SamplesPerPixel") in {None, 1.0}


def plain_frames(content: bytes, header: Dataset, where: str, offset: int = 0) -> NDArray[np.integer]:
    """View uncompressed 16-bit values in ``content``, shape (frame, row, column), without a copy.

    Unused high bits are cleared or take the sign (then it is a copy).

    Raises
    ------
    RefusalError
        ``DICOM_CORRUPT`` where there are too few bytes.
    """
    shape = _shape(header)
    count = int(np.prod(shape))
    if count == 0 or len(content) - offset < 2 * count:
        raise _incomplete(f"{len(content) - offset} bytes of pixel data for {count} values", where)
    signed = number(header, "PixelRepresentation") == 1
    stored = np.frombuffer(content, dtype="<i2" if signed else "<u2", count=count, offset=offset).reshape(shape)
    unused = 16 - int(number(header, "BitsStored") or 16)
    return stored if unused <= 0 else (stored << unused) >> unused


def value_offset(header: Dataset) -> int:
    """Return the bytes between the start of the pixel data element and its value (PS3.5, 7.1.2 and 7.1.3)."""
    return 8 if transfer_syntax(header) == ImplicitVRLittleEndian else 12


def scale_of(dataset: Dataset, where: str) -> Scale:
    """Return the scale of a file: its real world value mapping before its rescale slope before none.

    Raises
    ------
    RefusalError
        ``SCALE_INVALID`` where a mapping or slope exists that cannot be applied.
    """
    mappings = items(dataset, "RealWorldValueMappingSequence")
    if mappings:
        return _mapping(mappings, where)
    slope = number(dataset, "RescaleSlope")
    unit = text(dataset, "Units") or text(dataset, "RescaleType")
    if "RescaleSlope" not in dataset:
        return Scale("none", 1.0, 0.0, unit)
    return _checked(Scale("rescale", slope or 0.0, number(dataset, "RescaleIntercept") or 0.0, unit), where)


def _mapping(mappings: tuple[Dataset, ...], where: str) -> Scale:
    scales = [_mapped(item) for item in mappings]
    wanted = [scale for scale in scales if scale.unit.lower() in _BQ_PER_ML] or scales
    require(
        len({(scale.slope, scale.intercept) for scale in wanted}) == 1,
        "SCALE_INVALID",
        found=f"{len(wanted)} different real world value mappings (0040,9096)",
        needed="one mapping to Bq/mL",
        do="export the series with one mapping",
        where=where,
    )
    return _checked(wanted[0], where)


def _mapped(item: Dataset) -> Scale:
    codes = items(item, "MeasurementUnitsCodeSequence")
    lowest, highest = (
        number(item, f"{name}") if name in item else number(item, f"DoubleFloat{name}")
        for name in ("RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped")
    )
    return Scale(
        "rwvm",
        number(item, "RealWorldValueSlope") or 0.0,
        number(item, "RealWorldValueIntercept") or 0.0,
        text(codes[0], "CodeValue") if codes else "",
        lowest,
        highest,
    )


def _checked(scale: Scale, where: str) -> Scale:
    require(
        scale.slope > 0,
        "SCALE_INVALID",
        found=f"a {scale.source} slope that is missing or not above zero",
        needed="a positive slope",
        do="export the series again; look-up tables are not supported",
        where=where,
    )
    return scale


def scaled(stored: NDArray[np.integer], scale: Scale, where: str) -> NDArray[np.float32]:
    """Return stored values times slope plus intercept.

    Raises
    ------
    RefusalError
        ``PIXELS_OUTSIDE_MAPPING`` where a stored value lies outside the range its mapping is defined for.
    """
    low, high = float(stored.min()), float(stored.max())
    inside = (scale.lowest is None or low >= scale.lowest) and (scale.highest is None or high <= scale.highest)
    require(
        inside,
        "PIXELS_OUTSIDE_MAPPING",
        found=f"stored values {low:g} to {high:g}, mapped from {scale.lowest} to {scale.highest}",
        needed="a real world value mapping of every stored value",
        do="export the series again with a mapping of the whole range",
        where=where,
    )
    if scale.slope == 1.0 and scale.intercept == 0.0:
        return stored.astype(np.float32)
    return (stored * np.float64(scale.slope) + scale.intercept).astype(np.float32)


def unit_of(scale: Scale, sop_class_uid: str, where: str) -> SpectUnit:
    """Return the unit of the scaled values.

    Raises
    ------
    RefusalError
        ``UNIT_NOT_ACTIVITY`` for known units of another meaning in a PET object, ``UNIT_UNKNOWN`` for all others.
    """
    unit = scale.unit.lower()
    if unit in _BQ_PER_ML:
        return "Bq/mL"
    if sop_class_uid == PET_STORAGE:
        raise _not_activity(scale.unit, where)
    if unit in _COUNTS or (scale.source != "rwvm" and unit in {"", "us", "none"}):
        return "counts"
    raise RefusalError(
        "UNIT_UNKNOWN",
        found=f"unit {scale.unit!r}",
        needed="Bq/mL, or counts without a unit",
        do="export the series in Bq/mL or as counts",
        where=where,
    )


def _not_activity(unit: str, where: str) -> RefusalError:
    # Units of PS3.3 C.8.9.1.1.3 that are not an activity concentration.
    known = unit in {"CNTS", "NONE", "CM2", "CM2ML", "PCNT", "CPS", "MGMINML", "UMOLMINML", "MLMING", "MLG", "1CM",
                     "UMOLML", "PROPCNTS", "PROPCPS", "MLMINML", "MLML", "GML", "STDDEV"}  # fmt: skip
    return RefusalError(
        "UNIT_NOT_ACTIVITY" if known else "UNIT_UNKNOWN",
        found=f"Units (0054,1001) {unit!r}",
        needed="BQML",
        do="reconstruct the series in Bq/mL; counts and SUV of a PET object are not converted",
        where=where,
    )


def dialect_of(scale: Scale, sop_class_uid: str) -> Dialect:
    """Return how the values are encoded."""
    if sop_class_uid == PET_STORAGE:
        return "pet-bqml"
    if scale.source == "rwvm":
        return "nm-rwv"
    return "nm-counts" if scale.slope == 1.0 and scale.intercept == 0.0 else "nm-rescale"
