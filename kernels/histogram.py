"""Weighted quantiles and dose-volume histograms on arrays of any backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernels.backend import device_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kernels.backend import Array


def _sorted_by_value(values: Array, weights: Array) -> tuple[Array, Array]:
    """Return flat (values, weights) in ascending order of value, without the weightless."""
    xp = namespace_of(values, weights)
    value, weight = xp.reshape(values, (-1,)), xp.reshape(weights, (-1,))
    used = weight > 0
    value, weight = value[used], weight[used]
    if value.shape[0] == 0:
        raise ValueError("found no voxel with a positive weight; needed at least one; give weights of a region")
    order = xp.argsort(value)
    return xp.take(value, order, axis=0), xp.take(weight, order, axis=0)


def weighted_quantiles(values: Array, weights: Array, fractions: Sequence[float]) -> Array:
    """Return the values below which the given fractions of the weight lie.

    Parameters
    ----------
    values, weights : array
        Of one shape; weights >= 0.
    fractions : sequence of float
        From 0 to 1. D2 of a dose is the quantile 0.98, D98 the quantile 0.02.

    Returns
    -------
    array, shape (len(fractions),)

    Raises
    ------
    ValueError
        No voxel has a weight.

    Notes
    -----
    Each voxel stands at the middle of its own weight and values between are interpolated, so a voxel cut in two equal
    halves of half the weight changes nothing (Hazen's definition, generalised to weights).
    """
    xp = namespace_of(values, weights)
    value, weight = _sorted_by_value(values, weights)
    cumulated = xp.cumulative_sum(weight)
    middle = (cumulated - 0.5 * weight) / cumulated[-1]
    wanted = xp.asarray(list(fractions), dtype=middle.dtype, device=device_of(values))
    return _interpolated(wanted, middle, value)


def _interpolated(wanted: Array, known: Array, value: Array) -> Array:
    """Interpolate linearly between ascending ``known``; the end values beyond."""
    xp = namespace_of(wanted, known, value)
    last = known.shape[0] - 1
    upper = xp.clip(xp.searchsorted(known, wanted), min=0, max=last)
    lower = xp.clip(upper - 1, min=0)
    begin, end = xp.take(known, lower, axis=0), xp.take(known, upper, axis=0)
    width = xp.where(end > begin, end - begin, xp.ones_like(end))
    part = xp.clip((wanted - begin) / width, min=0.0, max=1.0)
    low, high = xp.take(value, lower, axis=0), xp.take(value, upper, axis=0)
    return low + part * (high - low)


def dose_volume_histogram(values: Array, weights: Array, thresholds: Array) -> Array:
    """Return the fraction of the weight that receives at least each threshold (cumulative histogram).

    Parameters
    ----------
    values, weights : array
        Of one shape; weights >= 0.
    thresholds : array, shape (n,)

    Returns
    -------
    array, shape (n,)
        From 1 down to 0.

    Raises
    ------
    ValueError
        No voxel has a weight.
    """
    xp = namespace_of(values, weights, thresholds)
    value, weight = _sorted_by_value(values, weights)
    zero = xp.zeros((1,), dtype=weight.dtype, device=device_of(weight))
    below = xp.concat([zero, xp.cumulative_sum(weight)])
    return 1.0 - xp.take(below, xp.searchsorted(value, thresholds), axis=0) / below[-1]
