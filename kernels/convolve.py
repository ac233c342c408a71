"""Convolution of a volume with a kernel that is even along every axis, given by one octant.

Large kernels by a circular real FFT in float32, just long enough that nothing wraps into the window that is kept;
small ones by shifted additions. The same code runs on NumPy, CuPy and any namespace of the array standard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import scipy.fft
from array_api_compat import is_numpy_array

from kernels.backend import device_of, namespace_of

if TYPE_CHECKING:
    from kernels.backend import Array

    Steps = tuple[int, int, int]

# More threads than this gain nothing on one volume of a SPECT study (2 threads: x1.4 at 256^3).
FFT_WORKERS = 2
FLOAT32_BYTES = 4
COMPLEX64_BYTES = 8


@dataclass(frozen=True, eq=False)
class KernelSpectrum:
    """The spectrum of an even kernel: real, hence half the memory.

    Attributes
    ----------
    real : array, float32
        Real part of the half spectrum; on the backend of the octant.
    box_shape : tuple of int
        Shape of the volumes that it convolves.
    lengths : tuple of int
        Lengths of the circular buffer.
    """

    real: Array
    box_shape: Steps
    lengths: Steps


def buffer_lengths(box_shape: Steps, reach: Steps) -> Steps:
    """Return the circular buffer's lengths: at least box + kernel half width, at a length that transforms fast.

    Parameters
    ----------
    box_shape : tuple of int
    reach : tuple of int
        Steps that the kernel extends to on each side.
    """
    # A step beyond the box never meets two of its voxels, so a longer kernel needs no longer buffer.
    z, y, x = (
        scipy.fft.next_fast_len(size + min(steps, size - 1), real=True)
        for size, steps in zip(box_shape, reach, strict=True)
    )
    return (z, y, x)


def convolution_bytes(box_shape: Steps, reach: Steps, kernels: int = 1) -> int:
    """Return the memory that the FFT convolution of one volume with ``kernels`` kernels takes beyond its input.

    Three complex half spectra (the volume's, one product, one axis of it transformed), one real half spectrum for each
    kernel, one result for each kernel.
    """
    z, y, x = buffer_lengths(box_shape, reach)
    half = z * y * (x // 2 + 1)
    results = kernels * box_shape[0] * box_shape[1] * box_shape[2] * FLOAT32_BYTES
    return 3 * half * COMPLEX64_BYTES + kernels * half * FLOAT32_BYTES + results


def _fft_of(array: Array) -> tuple[Any, dict[str, int]]:
    """Return the FFT module for an array and its options: SciPy's threads on the host, else the namespace's own."""
    if is_numpy_array(array):
        return scipy.fft, {"workers": FFT_WORKERS}
    return namespace_of(array).fft, {}


def _forward(volume: Array, lengths: Steps) -> Array:
    """Transform a volume padded with zeros; axis by axis, so that rows of padding are never transformed."""
    fft, options = _fft_of(volume)
    spectrum = fft.rfft(volume, n=lengths[2], axis=2, **options)
    spectrum = fft.fft(spectrum, n=lengths[1], axis=1, **options)
    return fft.fft(spectrum, n=lengths[0], axis=0, **options)


def _backward(spectrum: Array, lengths: Steps, shape: Steps) -> Array:
    """Transform back and keep ``shape``; rows outside it are dropped as soon as they are known."""
    fft, options = _fft_of(spectrum)
    if options:
        options["overwrite_x"] = True  # the product is ours
    part = fft.ifft(spectrum, n=lengths[0], axis=0, **options)[: shape[0], :, :]
    part = fft.ifft(part, n=lengths[1], axis=1, **options)[:, : shape[1], :]
    return fft.irfft(part, n=lengths[2], axis=2, **options)[:, :, : shape[2]]


def _even_transform(octant: Array, axis: int, length: int, kept: int) -> Array:
    """Transform one axis of an even kernel on a circle of ``length``: real, ``length // 2 + 1`` frequencies."""
    xp, device = namespace_of(octant), device_of(octant)
    place = xp.arange(length, device=device)
    step = xp.minimum(place, length - place)
    shape = tuple(length if a == axis else 1 for a in range(3))
    inside = xp.reshape(xp.astype(step < kept, octant.dtype), shape)
    nearest = xp.minimum(step, xp.asarray(kept - 1, device=device))
    circle = xp.take(octant, nearest, axis=axis) * inside
    fft, options = _fft_of(octant)
    return xp.real(fft.rfft(circle, axis=axis, **options))


def _mirrored(spectrum: Array, axis: int, length: int) -> Array:
    xp = namespace_of(spectrum)
    place = xp.arange(length, device=device_of(spectrum))
    return xp.take(spectrum, xp.minimum(place, length - place), axis=axis)


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
    kept = tuple(min(steps + 1, size) for steps, size in zip(reach, box_shape, strict=True))
    real = octant[: kept[0], : kept[1], : kept[2]]
    # One octant is enough for an even kernel: each axis is mirrored only while it is transformed.
    for axis in range(3):
        real = _even_transform(real, axis, lengths[axis], kept[axis])
    return KernelSpectrum(_mirrored(_mirrored(real, 0, lengths[0]), 1, lengths[1]), box_shape, lengths)


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
    forward = _forward(source, lengths)
    shape = (source.shape[0], source.shape[1], source.shape[2])
    return tuple(_backward(forward * spectrum.real, lengths, shape) for spectrum in spectra)


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
    xp = namespace_of(source, octant)
    total = xp.zeros_like(source)
    for a in range(octant.shape[0]):
        across = _mirror_sum(source, 0, a)
        for b in range(octant.shape[1]):
            plane = _mirror_sum(across, 1, b)
            for c in range(octant.shape[2]):
                total = total + _mirror_sum(plane, 2, c) * octant[a, b, c]
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
