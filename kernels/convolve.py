"""Convolution of a volume with a kernel that is even along every axis, given by one octant.

Large kernels by a circular real FFT in float32, just long enough that nothing wraps into the window that is kept;
small ones by shifted additions. The same code runs on NumPy, CuPy and any namespace of the array standard.

On the host the volume is transformed a few columns at a time: what is in work stays in the processor's cache, threads
take a block each, and the padded spectrum of the whole volume is never in memory. A device takes it in one block.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import scipy.fft
from array_api_compat import is_numpy_array

from kernels.backend import device_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernels.backend import Array, BackendName

    Steps = tuple[int, int, int]

# More threads than this gain nothing on one volume of a SPECT study.
FFT_WORKERS = 2
FLOAT32_BYTES = 4
COMPLEX64_BYTES = 8
# A block of columns should fit the cache of a core; fewer than 8 columns are less than a cache line.
BLOCK_BYTES = 8 * 2**20
BLOCK_COLUMNS = (8, 32)
BLOCK_SLICES = 8


@dataclass(frozen=True, eq=False)
class KernelSpectrum:
    """The spectrum of an even kernel: real and even, so that one octant of it is enough.

    Attributes
    ----------
    real : array, shape (lengths // 2 + 1), float32
        On the backend of the octant.
    box_shape : tuple of int
        Shape of the volumes that it convolves.
    lengths : tuple of int
        Lengths of the circular buffer, even.
    """

    real: Array
    box_shape: Steps
    lengths: Steps


def _fast_even_length(least: int, *, real: bool) -> int:
    # Even, so that the kernel's spectrum is a cosine transform of its octant. Real transforms are slow in factors of 7
    # and 11 (168 costs three times 180), complex ones are not.
    length = int(scipy.fft.next_fast_len(least, real=real))
    while length % 2:
        length = int(scipy.fft.next_fast_len(length + 1, real=real))
    return length


def buffer_lengths(box_shape: Steps, reach: Steps) -> Steps:
    """Return the circular buffer's lengths: at least box + kernel half width, even, and fast to transform.

    Parameters
    ----------
    box_shape : tuple of int
    reach : tuple of int
        Steps that the kernel extends to on each side.
    """
    # A step beyond the box never meets two of its voxels, so a longer kernel needs no longer buffer.
    z, y, x = (size + min(steps, size - 1) for size, steps in zip(box_shape, reach, strict=True))
    return (_fast_even_length(z, real=False), _fast_even_length(y, real=False), _fast_even_length(x, real=True))


def _half(lengths: Steps) -> Steps:
    return (lengths[0] // 2 + 1, lengths[1] // 2 + 1, lengths[2] // 2 + 1)


def _block_columns(lengths: Steps, backend: BackendName) -> int:
    least, most = BLOCK_COLUMNS
    wanted = BLOCK_BYTES // (lengths[0] * lengths[1] * COMPLEX64_BYTES)
    return max(least, min(most, wanted)) if backend == "cpu" else lengths[2] // 2 + 1


def convolution_bytes(box_shape: Steps, reach: Steps, kernels: int = 1, backend: BackendName = "cpu") -> int:
    """Return the most memory that the FFT convolution of one volume takes beyond its input, known before the run.

    Parameters
    ----------
    box_shape, reach : tuple of int
    kernels : int
        Kernels that share the forward transform.
    backend : {"cpu", "gpu"}
        The device's memory for ``gpu``: it works in one block.

    Notes
    -----
    For each kernel the octant of its real spectrum, a volume transformed along one axis, and a result; for each thread
    one block of columns, padded along the two other axes, twice (before and after a transform).
    """
    lengths, half = buffer_lengths(box_shape, reach), _half(buffer_lengths(box_shape, reach))
    z, y, x = box_shape
    rows = z * y * half[2] * COMPLEX64_BYTES
    spectrum = half[0] * half[1] * half[2] * FLOAT32_BYTES
    block = (lengths[0] + z) * lengths[1] * min(_block_columns(lengths, backend), half[2]) * COMPLEX64_BYTES
    workers = FFT_WORKERS if backend == "cpu" else 1
    # A second kernel needs the transformed block once more.
    blocks = workers * block * (2 if kernels > 1 or backend == "gpu" else 1)
    return kernels * (rows + spectrum + z * y * x * FLOAT32_BYTES) + blocks


def _fft_of(array: Array) -> tuple[Any, dict[str, bool]]:
    """Return the FFT module for an array, and how it may write into what it was given."""
    return (scipy.fft, {"overwrite_x": True}) if is_numpy_array(array) else (namespace_of(array).fft, {})


def _blocks(array: Array, axis: int, size: int) -> list[slice]:
    """Return the slices along one axis that are worked on at a time: one for a device."""
    count = array.shape[axis]
    step = size if is_numpy_array(array) else count
    return [slice(begin, min(begin + step, count)) for begin in range(0, count, step)]


def _each(work: Callable[[slice], None], blocks: list[slice]) -> None:
    """Do the work of every block, on threads where there are several (NumPy and SciPy let go of the interpreter)."""
    if len(blocks) == 1:
        work(blocks[0])
        return
    with ThreadPoolExecutor(FFT_WORKERS) as pool:
        for _ in pool.map(work, blocks):
            pass


def _rows_transformed(source: Array, length: int) -> Array:
    """Transform along the last axis, padded with zeros; shape (z, y, length // 2 + 1)."""
    xp, (fft, _) = namespace_of(source), _fft_of(source)
    shape = (source.shape[0], source.shape[1], length // 2 + 1)
    rows = xp.empty(shape, dtype=xp.result_type(source.dtype, xp.complex64), device=device_of(source))

    def transform(block: slice) -> None:
        rows[block, :, :] = fft.rfft(source[block, :, :], n=length, axis=2)

    _each(transform, _blocks(source, 0, BLOCK_SLICES))
    return rows


def _rows_back(rows: Array, length: int, kept: int) -> Array:
    """Transform back along the last axis and keep the first ``kept`` of each row."""
    xp, (fft, options) = namespace_of(rows), _fft_of(rows)
    real = xp.real(rows[:1, :1, :1]).dtype
    volume = xp.empty((rows.shape[0], rows.shape[1], kept), dtype=real, device=device_of(rows))

    def transform(block: slice) -> None:
        volume[block, :, :] = fft.irfft(rows[block, :, :], n=length, axis=2, **options)[:, :, :kept]

    _each(transform, _blocks(rows, 0, BLOCK_SLICES))
    return volume


def _multiply_mirrored(block: Array, octant: Array, lengths: Steps) -> None:
    """Multiply a spectrum (full along two axes) by an even one of which one octant is given, in place."""
    z, y = octant.shape[0], octant.shape[1]
    mirrored = octant[lengths[0] - z : 0 : -1, :, :]
    block[:z, :y, :] *= octant
    block[z:, :y, :] *= mirrored
    block[:z, y:, :] *= octant[:, lengths[1] - y : 0 : -1, :]
    block[z:, y:, :] *= mirrored[:, lengths[1] - y : 0 : -1, :]


def _filter_columns(
    rows: Array, results: tuple[Array, ...], spectra: tuple[KernelSpectrum, ...], columns: slice
) -> None:
    """Convolve some columns along the first two axes with every kernel; ``rows`` may be one of the results."""
    xp, (fft, options) = namespace_of(rows), _fft_of(rows)
    lengths = spectra[0].lengths
    block = fft.fft(rows[:, :, columns], n=lengths[1], axis=1)
    block = fft.fft(block, n=lengths[0], axis=0, **options)
    for number, (result, spectrum) in enumerate(zip(results, spectra, strict=True), start=1):
        product = block if number == len(spectra) else xp.asarray(block, copy=True)
        _multiply_mirrored(product, spectrum.real[:, :, columns], lengths)
        # Rows outside the box are dropped as soon as they are known.
        product = fft.ifft(product, axis=0, **options)[: rows.shape[0], :, :]
        result[:, :, columns] = fft.ifft(product, axis=1, **options)[:, : rows.shape[1], :]


def _even_transform(octant: Array, axis: int, length: int) -> Array:
    """Transform one axis of an even kernel on a circle of ``length``: real, ``length // 2 + 1`` frequencies."""
    if is_numpy_array(octant):
        return scipy.fft.dct(octant, type=1, n=length // 2 + 1, axis=axis, workers=FFT_WORKERS)
    xp, device, kept = namespace_of(octant), device_of(octant), octant.shape[axis]
    place = xp.arange(length, device=device)
    step = xp.minimum(place, length - place)
    shape = tuple(length if a == axis else 1 for a in range(3))
    inside = xp.reshape(xp.astype(step < kept, octant.dtype), shape)
    nearest = xp.minimum(step, xp.asarray(kept - 1, device=device))
    circle = xp.take(octant, nearest, axis=axis) * inside
    return xp.real(xp.fft.rfft(circle, axis=axis))


def kernel_spectrum(octant: Array, box_shape: Steps) -> KernelSpectrum:
    """Return the spectrum of an even kernel for volumes of ``box_shape``, to be kept for further volumes.

    Parameters
    ----------
    octant : array, shape (a, b, c), float32
        Element [0, 0, 0] is the kernel's centre. Steps beyond the box are left out: they never meet two voxels of it.
    box_shape : tuple of int
    """
    reach = (octant.shape[0] - 1, octant.shape[1] - 1, octant.shape[2] - 1)
    lengths = buffer_lengths(box_shape, reach)
    z, y, x = (min(steps + 1, size) for steps, size in zip(reach, box_shape, strict=True))
    real = octant[:z, :y, :x]
    for axis in (2, 1, 0):
        real = _even_transform(real, axis, lengths[axis])
    return KernelSpectrum(real, box_shape, lengths)


def convolve_spectra(source: Array, spectra: tuple[KernelSpectrum, ...]) -> tuple[Array, ...]:
    """Convolve one volume with several kernels that share its forward transform.

    Parameters
    ----------
    source : array, shape (z, y, x), float32
        Zero outside.
    spectra : tuple of KernelSpectrum
        For this shape; all of one buffer.

    Returns
    -------
    tuple of array, shape (z, y, x), float32

    Raises
    ------
    ValueError
        Spectra made for another shape.
    """
    lengths = spectra[0].lengths
    if any(s.box_shape != tuple(source.shape) or s.lengths != lengths for s in spectra):
        raise ValueError(
            f"found kernel spectra for {[s.box_shape for s in spectra]} and a volume of {tuple(source.shape)}; "
            "needed spectra for this shape with one buffer; call kernel_spectrum with the volume's shape"
        )
    rows = _rows_transformed(source, lengths[2])
    xp = namespace_of(source)
    results = (*(xp.empty_like(rows) for _ in spectra[1:]), rows)
    blocks = _blocks(rows, 2, _block_columns(lengths, "cpu"))
    _each(lambda columns: _filter_columns(rows, results, spectra, columns), blocks)
    return tuple(_rows_back(result, lengths[2], source.shape[2]) for result in results)


def convolve_octant(source: Array, octant: Array, spectrum: KernelSpectrum | None = None) -> Array:
    """Convolve a volume, zero outside, with an even kernel of any reach.

    Parameters
    ----------
    source : array, shape (z, y, x), float32
    octant : array, shape (a, b, c), float32
        Element [0, 0, 0] is the kernel's centre; on the device of ``source``.
    spectrum : KernelSpectrum, optional
        From :func:`kernel_spectrum` of this octant, where it was kept.

    Returns
    -------
    array, shape (z, y, x), float32
    """
    kept = spectrum or kernel_spectrum(octant, (source.shape[0], source.shape[1], source.shape[2]))
    return convolve_spectra(source, (kept,))[0]


def convolve_small(source: Array, octant: Array) -> Array:
    """Convolve a volume, zero outside, with a small even kernel by shifted additions (exact to rounding).

    Parameters
    ----------
    source : array, shape (z, y, x)
    octant : array, shape (a, b, c)
        Reach of a few steps: 3^3 is an octant of 2^3, 5^3 of 3^3.

    Returns
    -------
    array, shape (z, y, x)
    """
    # Mirrored sums commute with weights and with each other: along the last axis they are made once, of the source.
    rows = [_mirror_sum(source, 2, step) for step in range(octant.shape[2])]
    total = None
    for a in range(octant.shape[0]):
        plane = None
        for b in range(octant.shape[1]):
            line = rows[0] * octant[a, b, 0]
            for c in range(1, octant.shape[2]):
                line += rows[c] * octant[a, b, c]
            line = _mirror_sum(line, 1, b)
            plane = line if plane is None else plane + line
        plane = _mirror_sum(plane, 0, a)
        total = plane if total is None else total + plane
    return total


def _mirror_sum(volume: Array, axis: int, step: int) -> Array:
    """Return the sum of the volume shifted by +step and -step along one axis (itself for step 0)."""
    if step == 0:
        return volume
    xp = namespace_of(volume)
    total = xp.zeros_like(volume)
    if step >= volume.shape[axis]:
        return total
    early = tuple(slice(None, -step) if a == axis else slice(None) for a in range(volume.ndim))
    late = tuple(slice(step, None) if a == axis else slice(None) for a in range(volume.ndim))
    total[late] += volume[early]
    total[early] += volume[late]
    return total
