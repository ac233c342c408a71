"""Where a test phantom lies in an image and what it holds: total in an enlarged volume, noise of its uniform part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from pipeline.errors import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# The hottest voxels that hold this share of all values are the phantom's core (project choice): what a blur carries
# over the border holds less, so the core never reaches beyond the phantom.
CORE_SHARE: Final = 0.9
# 2.5 times the resolution of 177Lu SPECT (12-15 mm, clinical specification 3.5): beyond it lies nothing of a border's
# blur (5.9 sigma at 12 mm).
MARGIN_MM: Final = 30.0
# The total must not depend on the margin: its change over +- 1/3 of the margin is the uncertainty of the volume.
MARGIN_CHANGE: Final = 1.0 / 3.0
# A border plane with more than this share of the fullest plane: the source goes on beyond the field (project choice).
MOST_AT_BORDER: Final = 0.05
# Wider than the correlation of a reconstruction's noise (about its resolution).
BLOCK_MM: Final = 24.0
FEWEST_BLOCKS: Final = 8


@dataclass(frozen=True)
class PhantomCounts:
    """The values inside the enlarged volume of a phantom.

    Attributes
    ----------
    total : float
        Sum over the volume, in the image's unit.
    volume_ml : float
        Of the enlarged volume.
    relative_sigma : float
        Half the change of the total when the margin is made a third smaller and larger.
    share : float
        Of everything in the field.
    """

    total: float
    volume_ml: float
    relative_sigma: float
    share: float


def phantom_core(value: NDArray[np.floating], where: str) -> NDArray[np.bool_]:
    """Return the hottest voxels that together hold 90 % of an image.

    Parameters
    ----------
    value : ndarray, shape (slices, rows, columns)
    where : str
        Series, for the refusal.

    Returns
    -------
    ndarray of bool

    Raises
    ------
    RefusalError
        ``PHANTOM_NOT_FOUND`` for an image without positive values; ``PHANTOM_CUT`` where it goes on at the border.
    """
    falling = np.sort(np.asarray(value, dtype=np.float64), axis=None)[::-1]
    held = np.cumsum(np.maximum(falling, 0.0))
    require(
        held[-1] > 0,
        "PHANTOM_NOT_FOUND",
        found="an image without positive values",
        needed="a scan of a phantom with activity",
        do="check which series the calibration form names",
        where=where,
    )
    _require_within(value, where)
    threshold = falling[int(np.searchsorted(held, CORE_SHARE * held[-1]))]
    return np.asarray(value >= threshold)


def _require_within(value: NDArray[np.floating], where: str) -> None:
    for axis, name in enumerate(("slice", "row", "column")):
        others = tuple(other for other in range(3) if other != axis)
        profile = np.asarray(value, dtype=np.float64).sum(axis=others)
        share = float(max(profile[0], profile[-1]) / profile.max())
        require(
            share <= MOST_AT_BORDER,
            "PHANTOM_CUT",
            found=f"a first or last {name} with {share:.0%} of the fullest one",
            needed=f"a source that ends inside the field of view (at most {MOST_AT_BORDER:.0%})",
            do="scan the whole phantom: the total activity is compared with the total of the image",
            where=where,
        )


def phantom_counts(
    value: NDArray[np.floating],
    core: NDArray[np.bool_],
    spacing_mm: Sequence[float],
    voxel_volume_ml: float,
    margin_mm: float = MARGIN_MM,
) -> PhantomCounts:
    """Return the total of a phantom in its core enlarged by a margin.

    Parameters
    ----------
    value, core : ndarray, shape (slices, rows, columns)
        Image and the mask from :func:`phantom_core`.
    spacing_mm : sequence of 3 floats
    voxel_volume_ml : float
    margin_mm : float

    Returns
    -------
    PhantomCounts
    """
    distance_mm = ndimage.distance_transform_edt(~core, sampling=tuple(spacing_mm))
    change_mm = margin_mm * MARGIN_CHANGE
    narrow, middle, wide = (
        float(value[distance_mm <= margin].sum(dtype=np.float64))
        for margin in (margin_mm - change_mm, margin_mm, margin_mm + change_mm)
    )
    return PhantomCounts(
        total=middle,
        volume_ml=float(np.count_nonzero(distance_mm <= margin_mm)) * voxel_volume_ml,
        relative_sigma=abs(wide - narrow) / 2.0 / middle,
        share=middle / float(value.sum(dtype=np.float64)),
    )


def uniform_part(
    core: NDArray[np.bool_], spacing_mm: Sequence[float], margin_mm: float = MARGIN_MM
) -> NDArray[np.bool_]:
    """Return the voxels further than a margin inside the core: no border's blur reaches them."""
    return np.asarray(ndimage.distance_transform_edt(core, sampling=tuple(spacing_mm)) > margin_mm)


def mean_with_sigma(
    value: NDArray[np.floating], uniform: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> tuple[float, float] | None:
    """Return the mean of a uniform part and its relative standard error from the scatter of blocks.

    The blocks are wider than the correlation of a reconstruction's noise; what neighbours still share at their common
    face is measured and widens the error by (1 + 2 rho) per axis. The scatter holds noise and what is not uniform.

    Parameters
    ----------
    value : ndarray, shape (slices, rows, columns)
    uniform : ndarray of bool
    spacing_mm : sequence of 3 floats

    Returns
    -------
    tuple of float, or None
        None where fewer than 8 whole blocks fit.
    """
    means = _block_means(value, uniform, [max(round(BLOCK_MM / h), 1) for h in spacing_mm])
    known = means[np.isfinite(means)]
    if known.size < FEWEST_BLOCKS:
        return None
    mean = float(known.mean())
    widened = (1.0 + 2.0 * _shared_by_neighbours(means - mean)) ** 3
    return mean, float(np.sqrt(known.var(ddof=1) / known.size * widened)) / abs(mean)


def _shared_by_neighbours(deviation: NDArray[np.float64]) -> float:
    """Correlation of blocks that share a face, over all axes; 0 to 0.5."""
    products = [np.take(deviation, range(1, n), axis) * np.take(deviation, range(n - 1), axis)
                for axis, n in enumerate(deviation.shape)]  # fmt: skip
    pairs = np.concatenate([product[np.isfinite(product)] for product in products])
    variance = float(np.nanmean(deviation**2))
    return float(np.clip(pairs.mean() / variance, 0.0, 0.5)) if pairs.size and variance > 0 else 0.0


def _block_means(value: NDArray[np.floating], uniform: NDArray[np.bool_], sides: Sequence[int]) -> NDArray[np.float64]:
    """Return the means of the blocks of a lattice; nan for those that do not lie wholly inside."""
    box = ndimage.find_objects(uniform.astype(np.int8))
    if not box:
        return np.zeros((0, 0, 0))
    counts = [(side.stop - side.start) // n for side, n in zip(box[0], sides, strict=True)]
    whole = tuple(
        slice(side.start, side.start + count * n) for side, count, n in zip(box[0], counts, sides, strict=True)
    )
    (z, y, x), (a, b, c) = counts, sides
    values = value[whole].reshape(z, a, y, b, x, c).mean(axis=(1, 3, 5), dtype=np.float64)
    inside = uniform[whole].reshape(z, a, y, b, x, c).all(axis=(1, 3, 5))
    return np.where(inside, values, np.nan)
