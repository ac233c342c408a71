"""A CT series in HU, read once into one preallocated array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.dicom.geometry import plane_stack
from pipeline.dicom.headers import ENHANCED_CT_STORAGE, lenient, number, parsed, read_content, series_hash, text
from pipeline.dicom.pixels import is_plain, plain_frames, stored_frames, value_offset
from pipeline.dicom.timing import require_acquired_at, with_offset
from pipeline.domain.geometry import Grid
from pipeline.domain.maps import HounsfieldMap
from pipeline.domain.study import CtImage
from pipeline.errors import require

if TYPE_CHECKING:
    from datetime import timezone

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from pipeline.dicom.discover import FileHeader, SeriesFiles

AIR_HU = -1000
# Lowest HU of a 12-bit CT; what lies below is padding outside the scanned circle.
LOWEST_HU = -1024
# Padding above this could be tissue: lung is about -800 HU (Schneider 2000).
HIGHEST_PADDING_HU = -900
_INT16 = np.iinfo(np.int16)


def read_ct(series: SeriesFiles, *, default_offset: timezone | None = None) -> CtImage:
    """Read one CT series.

    Padding and values below -1024 HU become air (-1000 HU). Values stay int16 where slope and intercept are whole
    numbers, else they are float32; HU above 32767 (metal) are cut there.

    Raises
    ------
    RefusalError
        Those of :func:`read_hounsfield`; ``ACQUISITION_TIME_MISSING``; ``TIME_ZONE_MISSING`` without an offset in the
        header and without ``default_offset``.
    """
    ct, digest = read_hounsfield(series)
    where = series.series_uid
    start = with_offset(require_acquired_at(series.acquired_at, where), default_offset, where)
    return CtImage(where, series.study_uid, ct, start, digest)


@lenient()
def read_hounsfield(series: SeriesFiles) -> tuple[HounsfieldMap, str]:
    """Return the CT numbers of a series and the SHA-256 over its files.

    Raises
    ------
    RefusalError
        ``DICOM_CORRUPT``, ``ENHANCED_NOT_SUPPORTED``, ``SCALE_INVALID``, ``PADDING_AMBIGUOUS``, the refusals of
        :func:`pipeline.dicom.geometry.plane_stack` and of :func:`pipeline.dicom.pixels.stored_frames`.
    """
    where = series.series_uid
    if series.problem is not None:
        raise series.problem
    require(
        series.sop_class_uid != ENHANCED_CT_STORAGE,
        "ENHANCED_NOT_SUPPORTED",
        found="an enhanced multi-frame CT",
        needed="a CT of one file per slice",
        do="export the CT as a classic series",
        where=where,
    )
    headers = [file.header for file in series.files]
    stack = plane_stack(headers, where)
    whole = all(_is_whole(header) for header in headers)
    size = (int(number(headers[0], "Rows") or 0), int(number(headers[0], "Columns") or 0))
    volume = np.empty((len(headers), *size), dtype=np.int16 if whole else np.float32)
    digests = []
    for index, number_of_file in enumerate(stack.order):
        file = series.files[number_of_file]
        content, digest = read_content(file.path)
        _fill(volume[index], _stored(content, file, where), file.header, where)
        digests.append(digest)
    grid = Grid(volume.shape, stack.affine_mm, series.frame_of_reference_uid)
    return HounsfieldMap(grid, volume), series_hash(digests)


def _stored(content: bytes, file: FileHeader, where: str) -> NDArray[np.integer]:
    """Return the stored values of one slice: where they lie in the file's bytes, or decoded."""
    if is_plain(file.header):
        frames = plain_frames(content, file.header, where, file.pixels_at_byte + value_offset(file.header))
    else:
        frames = stored_frames(parsed(content, file.path), where)
    return np.asarray(frames[0])


def _scale(header: Dataset) -> tuple[float, float]:
    slope = number(header, "RescaleSlope")
    return (1.0 if slope is None else slope), number(header, "RescaleIntercept") or 0.0


def _is_whole(header: Dataset) -> bool:
    slope, intercept = _scale(header)
    return slope == 1.0 and intercept.is_integer()


def _fill(target: NDArray[Any], stored: NDArray[np.integer], header: Dataset, where: str) -> None:
    """Write one slice in HU."""
    slope, intercept = _scale(header)
    kind = text(header, "RescaleType")
    require(
        slope > 0 and "RescaleIntercept" in header and kind in {"", "HU", "US"},
        "SCALE_INVALID",
        found=f"rescale slope {slope}, intercept {number(header, 'RescaleIntercept')}, type {kind or 'none'}",
        needed="a positive slope and an intercept to HU",
        do="export the CT in HU",
        where=where,
    )
    padded = _padding(stored, header, slope, intercept, where)
    if target.dtype == np.int16 and _fits_int16(stored, intercept):
        # Sums modulo 2^16 are right for signed and unsigned values as long as the result fits.
        np.add(stored.view(np.int16), np.int16(intercept), out=target)
    else:
        exact = stored * slope + intercept
        target[...] = np.clip(exact, LOWEST_HU - 1, _INT16.max).astype(target.dtype)
    if target.min() < LOWEST_HU:
        np.copyto(target, target.dtype.type(AIR_HU), where=target < LOWEST_HU)
    if padded is not None:
        np.copyto(target, target.dtype.type(AIR_HU), where=padded)


def _fits_int16(stored: NDArray[np.integer], intercept: float) -> bool:
    if stored.dtype.itemsize != 2 or abs(intercept) > _INT16.max:
        return False
    return int(stored.min()) + intercept >= _INT16.min and int(stored.max()) + intercept <= _INT16.max


def _padding(
    stored: NDArray[np.integer], header: Dataset, slope: float, intercept: float, where: str
) -> NDArray[np.bool_] | None:
    """Mask of the voxels that hold the padding value, None where clamping finds them anyway."""
    first = number(header, "PixelPaddingValue")
    if first is None:
        return None
    last = number(header, "PixelPaddingRangeLimit")
    low, high = min(first, first if last is None else last), max(first, first if last is None else last)
    high_hu = high * slope + intercept
    if high_hu < LOWEST_HU:
        return None
    mask = np.asarray((stored >= low) & (stored <= high))
    require(
        high_hu <= HIGHEST_PADDING_HU or not bool(mask.any()),
        "PADDING_AMBIGUOUS",
        found=f"padding value {high:g} is {high_hu:g} HU and occurs in the image",
        needed="a padding value that cannot be tissue",
        do="export the CT without padding or with a value below -1024 HU",
        where=where,
    )
    return mask
