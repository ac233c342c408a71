"""Which maxima are one lesion: those between which the uptake hardly falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Two maxima belong to one lesion unless the uptake between them falls below this part of the lower one, both above
# background (project choice; how many lesions it makes of spheres in noise is in docs/validation.md).
VALLEY = 0.8
# Nor unless it falls below this part of the higher one: the border of that lesion would leave the lower one out.
WITHIN_BORDER = 0.5


def _saddles(territories: NDArray[np.integer], height: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """Return the highest pass between each two territories, shape (count + 1, count + 1); -inf where none touch."""
    passes = np.full((count + 1, count + 1), -np.inf)
    for axis in range(territories.ndim):
        here = tuple(slice(None, -1) if k == axis else slice(None) for k in range(territories.ndim))
        there = tuple(slice(1, None) if k == axis else slice(None) for k in range(territories.ndim))
        a, b = territories[here], territories[there]
        border = (a != b) & (a > 0) & (b > 0) & (a <= count) & (b <= count)
        low = np.minimum(height[here][border], height[there][border])
        np.maximum.at(passes, (np.minimum(a, b)[border], np.maximum(a, b)[border]), low)
    return passes


def _downwards(passes: NDArray[np.float64]) -> Iterator[tuple[float, int, int]]:
    pairs = np.argwhere(np.isfinite(passes))
    for a, b in sorted(pairs.tolist(), key=lambda pair: -float(passes[pair[0], pair[1]])):
        yield float(passes[a, b]), a, b


def joined(
    territories: NDArray[np.integer], height: NDArray[np.floating], tops: NDArray[np.floating]
) -> NDArray[np.intp]:
    """Return, for each territory, the one it belongs to: that of the hottest maximum of its lesion.

    Passes are taken from the highest down, so that a chain of maxima, or a ring of them around a necrotic core, becomes
    one (the saddles of a watershed, merged by dynamics: Grimaud, Proc SPIE 1992;1769:292).

    Parameters
    ----------
    territories : ndarray of int, shape (slices, rows, columns)
        1 to n, hottest maximum first; 0 and numbers above n belong to none.
    height : ndarray, same shape
        Uptake above background, in Bq/mL.
    tops : ndarray, shape (n,)
        ``height`` of the maxima.

    Returns
    -------
    ndarray of int, shape (n + 1,)
        By territory; 0 for none.
    """
    owner = np.arange(len(tops) + 1)
    for low, a, b in _downwards(_saddles(territories, height, len(tops))):
        first, second = sorted((int(owner[a]), int(owner[b])))
        if low >= max(VALLEY * tops[second - 1], WITHIN_BORDER * tops[first - 1]):
            owner[owner == second] = first
    return owner
