"""The phantom clinic's SPECT/CT: how true activity and density become stored images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import gaussian_filter

from sample_dicom.tissues import AIR_HU, hu_of_density

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sample_dicom.scene import Labels

FWHM_PER_SIGMA: Final = float(2.0 * np.sqrt(2.0 * np.log(2.0)))
FWHM_MM: Final = (
    12.0  # reconstructed 177Lu SPECT, medium energy collimator: 12-15 mm (section 3.5 of the specification)
)
FRAME_DURATION_S: Final = 30.0
PROJECTIONS: Final = 120  # images of both heads: 60 stops
HEADS: Final = 2
ACQUISITION_S: Final = FRAME_DURATION_S * PROJECTIONS / HEADS
# 9 counts/s per MBq and head: Siemens medium energy collimator 9.0-9.5 (section 3.5).
FACTOR_BQ_S_PER_COUNT: Final = 1.11e5
NOISE_FWHM_MM: Final = 10.0
LIVER_COV_AT_24_H: Final = 0.10
LEAST_SHARE_OF_REFERENCE: Final = 0.005  # below it the noise rises no further
CT_NOISE_HU: Final = 15.0
CT_NOISE_SMOOTHING_VOXELS: Final = 0.6


@dataclass(frozen=True)
class Camera:
    """What differs between a realistic and a perfect camera, or between phantoms."""

    fwhm_mm: float
    noise_cov: float
    factor_bq_s_per_count: float


def block_mean(volume: NDArray[np.floating], factor: int) -> NDArray[np.float32]:
    """Average blocks of factor^3 voxels."""
    z, y, x = (n // factor for n in volume.shape)
    blocks = volume.reshape(z, factor, y, factor, x, factor)
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float64), dtype=np.float32)


def repeat(volume: Labels, factor: int) -> Labels:
    """Repeat each voxel factor^3 times."""
    for axis in range(3):
        volume = np.repeat(volume, factor, axis=axis)
    return volume


def occupied(labels: Labels, margin: int, multiple: int) -> tuple[slice, slice, slice]:
    """Box of the voxels that are not air, widened by ``margin``, its borders multiples of ``multiple``."""
    found = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        used = np.flatnonzero(labels.any(axis=others))
        low = max(int(used[0]) - margin, 0) // multiple * multiple
        high = min(-(-(int(used[-1]) + 1 + margin) // multiple) * multiple, labels.shape[axis])
        found.append(slice(low, high))
    return (found[0], found[1], found[2])


def voxel_activity(
    labels: Labels, activity_bq: NDArray[np.float64], *, spacing_mm: float, factor: int, fwhm_mm: float
) -> NDArray[np.float32]:
    """Return the mean activity (Bq) of each SPECT voxel, blurred by a Gaussian point spread.

    Parameters
    ----------
    labels : ndarray of uint8
        Drawing on the model grid.
    activity_bq : ndarray, shape (256,)
        Total activity of each label.
    spacing_mm : float
        Of the model grid; a SPECT voxel is a block of ``factor``^3 model voxels.
    fwhm_mm : float
        0: no blur.
    """
    count = np.bincount(labels.ravel(), minlength=256)
    per_voxel = np.divide(activity_bq, count, out=np.zeros(256), where=count > 0)
    sigma = fwhm_mm / FWHM_PER_SIGMA / spacing_mm
    box = occupied(labels, int(np.ceil(4.0 * sigma)) + factor, factor)
    model = per_voxel.astype(np.float32)[labels[box]]
    if sigma > 0:
        model = gaussian_filter(model, sigma, mode="constant", truncate=4.0)
    spect = np.zeros(tuple(n // factor for n in labels.shape), dtype=np.float32)
    spect[tuple(slice(s.start // factor, s.stop // factor) for s in box)] = block_mean(model, factor) * factor**3
    return spect


def noisy(
    counts: NDArray[np.float32], *, reference_counts: float, cov: float, spacing_mm: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Add noise as after an iterative reconstruction: log-normal, correlated over ``NOISE_FWHM_MM``, right in the mean.

    Log-normal noise: Barrett, Wilson and Tsui, Phys Med Biol 1994;39:833. The coefficient of variation is ``cov`` where
    the image holds ``reference_counts`` (the liver at 24 h) and rises as 1/sqrt(counts) elsewhere and later.
    """
    white = rng.standard_normal(counts.shape, dtype=np.float32)
    smooth = gaussian_filter(white, NOISE_FWHM_MM / FWHM_PER_SIGMA / spacing_mm, mode="wrap", truncate=3.0)
    smooth /= smooth.std()
    floor = np.float32(LEAST_SHARE_OF_REFERENCE * reference_counts)
    variance = np.log1p(np.float32(cov**2 * reference_counts) / np.maximum(counts, floor))
    return np.asarray(counts * np.exp(np.sqrt(variance) * smooth - variance / 2.0))


def rounded_by_region(values: NDArray[np.floating], labels: Labels) -> NDArray[np.int64]:
    """Round to integers so that the sum over every label stays right to one unit (the remainder is carried on)."""
    order = np.argsort(labels, axis=None, kind="stable")
    running = np.rint(np.cumsum(values.ravel()[order], dtype=np.float64)).astype(np.int64)
    stored = np.empty(values.size, dtype=np.int64)
    stored[order] = np.diff(running, prepend=0)
    return stored.reshape(values.shape)


def hounsfield(
    labels: Labels, density_by_label: NDArray[np.float64], rng: np.random.Generator | None
) -> NDArray[np.int16]:
    """Return the CT (HU) of a drawing; with ``rng`` a table under the patient and noise are added."""
    table = np.where(density_by_label > 0, np.rint(hu_of_density(density_by_label)), AIR_HU).astype(np.int16)
    hu = table[labels]
    if rng is None:
        return hu
    _add_couch(hu, labels)
    return _with_ct_noise(hu, rng)


def _add_couch(hu: NDArray[np.int16], labels: Labels) -> None:
    """Lay a carbon-fibre table (two thin sheets, foam between) 5 voxels below the back."""
    back = int(np.flatnonzero(labels.any(axis=(0, 2)))[-1])
    columns = slice(max(hu.shape[2] // 2 - 84, 0), hu.shape[2] // 2 + 84)
    hu[:, back + 5 : back + 7, columns] = -100
    hu[:, back + 7 : back + 14, columns] = -930
    hu[:, back + 14 : back + 16, columns] = -100


def _with_ct_noise(hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
    """Add noise of ``CT_NOISE_HU`` where there is something, slightly correlated in the slice."""
    # One tile of noise is shifted from slice to slice: as random to the eye and quick.
    tile = rng.standard_normal((hu.shape[1] * 2, hu.shape[2] * 2), dtype=np.float32)
    tile = gaussian_filter(tile, CT_NOISE_SMOOTHING_VOXELS, mode="wrap")
    tile *= CT_NOISE_HU / tile.std()
    noise = np.rint(tile).astype(np.int16)
    result = hu.copy()
    for k in range(hu.shape[0]):
        dy, dx = rng.integers(0, hu.shape[1]), rng.integers(0, hu.shape[2])
        result[k] += noise[dy : dy + hu.shape[1], dx : dx + hu.shape[2]]
    return np.maximum(result, np.int16(-1024))
