"""Convolution against a direct sum, on every backend."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from kernels import convolve as module
from kernels.backend import device_of
from kernels.convolve import (
    buffer_lengths,
    convolution_bytes,
    convolve_octant,
    convolve_small,
    convolve_spectra,
    kernel_spectrum,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kernels.backend import Backend

RNG = np.random.default_rng(20260301)


def full_kernel(octant: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mirror an octant to the whole odd kernel."""
    return np.pad(octant, [(n - 1, 0) for n in octant.shape], mode="reflect")


def direct(source: NDArray[np.float64], octant: NDArray[np.float64]) -> NDArray[np.float64]:
    """Float64 reference: direct sum, zero outside."""
    return scipy.ndimage.convolve(source, full_kernel(octant), mode="constant")


def test_the_reference_kernel_is_mirrored_around_its_centre() -> None:
    whole = full_kernel(np.arange(1.0, 9.0).reshape(2, 2, 2))
    assert whole.shape == (3, 3, 3)
    assert whole[1, 1, 1] == 1.0
    np.testing.assert_array_equal(whole, whole[::-1, ::-1, ::-1])


# Odd and even sizes, kernels shorter and longer than the box, and a reach of nothing: aliasing shows at the borders.
@pytest.mark.parametrize("octant_shape", [(1, 1, 1), (2, 2, 2), (3, 4, 2), (9, 3, 7), (16, 16, 16)])
@pytest.mark.parametrize("shape", [(8, 9, 7), (5, 12, 16), (1, 6, 4)])
def test_fft_equals_the_direct_sum(backend: Backend, shape: tuple[int, ...], octant_shape: tuple[int, ...]) -> None:
    source, octant = RNG.random(shape), RNG.random(octant_shape)
    result = convolve_octant(backend.send(source, np.float32), backend.send(octant, np.float32))
    # float32: 1e-6 of the maximum (goal G1 of the performance notes).
    expected = direct(source, octant)
    np.testing.assert_allclose(backend.fetch(result), expected, rtol=0, atol=1e-6 * expected.max())
    assert backend.fetch(result).dtype == np.float32


@pytest.mark.parametrize("octant_shape", [(2, 2, 2), (3, 3, 3), (3, 2, 1)])
def test_shifted_additions_equal_the_direct_sum(backend: Backend, octant_shape: tuple[int, ...]) -> None:
    source, octant = RNG.random((6, 2, 5)), RNG.random(octant_shape)
    result = convolve_small(backend.send(source, np.float64), backend.send(octant, np.float64))
    np.testing.assert_allclose(backend.fetch(result), direct(source, octant), rtol=1e-12)


def test_result_stays_on_the_device_of_the_source(backend: Backend) -> None:
    source = backend.send(RNG.random((4, 4, 4)), np.float32)
    octant = backend.send(RNG.random((2, 2, 2)), np.float32)
    assert device_of(convolve_octant(source, octant)) == device_of(source)
    assert device_of(convolve_small(source, octant)) == device_of(source)


def test_kept_spectra_give_the_same_and_share_one_transform(backend: Backend) -> None:
    source = backend.send(RNG.random((6, 7, 8)), np.float32)
    octants = [backend.send(RNG.random((8, 8, 8)), np.float32) for _ in range(2)]
    spectra = tuple(kernel_spectrum(octant, (6, 7, 8)) for octant in octants)
    for result, octant in zip(convolve_spectra(source, spectra), octants, strict=True):
        np.testing.assert_allclose(backend.fetch(result), backend.fetch(convolve_octant(source, octant)), rtol=1e-6)


def test_a_spectrum_of_another_shape_is_refused(backend: Backend) -> None:
    spectrum = kernel_spectrum(backend.send(np.ones((2, 2, 2)), np.float32), (4, 4, 4))
    with pytest.raises(ValueError, match="needed spectra for this shape"):
        convolve_spectra(backend.send(np.ones((4, 4, 5)), np.float32), (spectrum,))


def test_a_symmetric_source_gives_a_symmetric_dose(backend: Backend) -> None:
    # A shift by half a voxel hides in region means; it shows here.
    source = np.zeros((9, 9, 9))
    source[4, 4, 4] = 1.0
    octant = np.exp(-np.linalg.norm(np.indices((9, 9, 9)), axis=0))
    result = backend.fetch(convolve_octant(backend.send(source, np.float32), backend.send(octant, np.float32)))
    for axis in range(3):
        np.testing.assert_allclose(result, np.flip(result, axis), atol=2e-7)
    assert np.unravel_index(result.argmax(), result.shape) == (4, 4, 4)


def test_buffer_holds_box_and_half_kernel_but_never_more_than_twice_the_box() -> None:
    for box, reach in (((30, 50, 40), (3, 3, 3)), ((30, 50, 40), (200, 200, 200))):
        for length, size, steps in zip(buffer_lengths(box, reach), box, reach, strict=True):
            assert size + min(steps, size - 1) <= length <= 1.2 * (size + min(steps, size - 1)) + 1


@pytest.mark.parametrize("shape", [(84, 54, 82), (64, 64, 64)])
def test_stated_memory_holds(shape: tuple[int, int, int]) -> None:
    source, octant = (RNG.random(shape).astype(np.float32) for _ in range(2))
    tracemalloc.start()
    convolve_octant(source, octant)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    stated = convolution_bytes(shape, (shape[0] - 1, shape[1] - 1, shape[2] - 1))
    assert 0.6 * stated < peak <= stated


def test_stated_memory_holds_for_kernels_that_share_a_transform() -> None:
    shape = (60, 48, 70)
    source, *octants = (RNG.random(shape).astype(np.float32) for _ in range(3))
    tracemalloc.start()
    convolve_spectra(source, tuple(kernel_spectrum(octant, shape) for octant in octants))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.4 * convolution_bytes(shape, shape, kernels=2) < peak <= convolution_bytes(shape, shape, kernels=2)


def test_a_device_needs_more_than_blocks_on_the_host() -> None:
    # 256^3 against its whole: one block of half the padded spectrum, three times over, is more than two of 8 columns.
    host, device = (convolution_bytes((256,) * 3, (255,) * 3, backend=name) for name in ("cpu", "gpu"))
    assert host < 0.4e9 < 3 * 512 * 512 * 257 * 8 < device


@pytest.mark.parametrize(("columns", "slices"), [((1, 1), 1), ((3, 3), 2), ((7, 7), 5), ((1000, 1000), 1000)])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, columns: tuple[int, int], slices: int) -> None:
    # What one block computes is what any number of them compute on threads, to rounding.
    source, *octants = (RNG.random((9, 10, 21)).astype(np.float32) for _ in range(3))
    spectra = tuple(kernel_spectrum(octant, (9, 10, 21)) for octant in octants)
    expected = convolve_spectra(source, spectra)
    monkeypatch.setattr(module, "BLOCK_COLUMNS", columns)
    monkeypatch.setattr(module, "BLOCK_SLICES", slices)
    for found, whole in zip(convolve_spectra(source, spectra), expected, strict=True):
        np.testing.assert_allclose(found, whole, rtol=1e-6)
    np.testing.assert_allclose(
        found, direct(source.astype(float), octants[1].astype(float)), atol=1e-6 * whole.max(), rtol=0
    )


def test_stated_memory_of_a_torso_is_under_the_goal() -> None:
    # Goal: 0.3 GB for 128^3 at 4.8 mm, of which a torso's box is about a seventh.
    assert convolution_bytes((90, 54, 82), (127, 127, 127)) < 0.1e9


def test_octant_form_agrees_with_scipys_convolution() -> None:
    source, octant = RNG.random((12, 11, 10)), RNG.random((5, 4, 6))
    expected = scipy.signal.fftconvolve(source, full_kernel(octant), mode="same")
    np.testing.assert_allclose(
        convolve_octant(source.astype(np.float32), octant.astype(np.float32)),
        expected,
        rtol=0,
        atol=1e-6 * expected.max(),
    )
