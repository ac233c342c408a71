"""Mass density from CT numbers by the site's curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.maps import MAX_DENSITY_G_PER_CM3
from pipeline.errors import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TABLE_MAX_BYTES = 2


def validate_curve(curve: Sequence[tuple[float, float]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the nodes (HU, g/cm3) of a density curve that may be used.

    Parameters
    ----------
    curve : sequence of (HU, g/cm3)
        At least two nodes, HU strictly increasing, density positive, never falling, at most 23 g/cm3.

    Returns
    -------
    tuple of ndarray, each of shape (nodes,)

    Raises
    ------
    RefusalError
        ``DENSITY_CURVE_INVALID``.
    """
    nodes = np.asarray(curve, dtype=np.float64)
    usable = nodes.ndim == 2 and nodes.shape[0] >= 2 and nodes.shape[1] == 2 and bool(np.isfinite(nodes).all())
    usable = usable and bool((np.diff(nodes[:, 0]) > 0).all() and (np.diff(nodes[:, 1]) >= 0).all())
    usable = usable and float(nodes[0, 1]) > 0.0 and float(nodes[-1, 1]) <= MAX_DENSITY_G_PER_CM3
    require(
        usable,
        "DENSITY_CURVE_INVALID",
        found=f"nodes {nodes.tolist()}",
        needed="two or more nodes [HU, g/cm3]: HU rising, density positive and never falling, at most 23 g/cm3",
        do="correct ct.density_curve in the site profile",
        where="ct.density_curve",
    )
    return nodes[:, 0].copy(), nodes[:, 1].copy()


def density_from_hu(
    hu: NDArray[np.integer] | NDArray[np.floating], curve: Sequence[tuple[float, float]]
) -> NDArray[np.float32]:
    """Return the mass density in g/cm3, linear between the nodes of ``curve``.

    Below the first node the density is that of the first node, above the last that of the last: a CT number outside
    the measured range tells nothing more about density. Form of the curve: Schneider et al., Phys Med Biol
    2000;45:459.

    Parameters
    ----------
    hu : ndarray
        CT numbers, any shape, integer or floating.
    curve : sequence of (HU, g/cm3)
        As :func:`validate_curve` asks.

    Returns
    -------
    ndarray of float32, shape of ``hu``
    """
    nodes_hu, nodes_density = validate_curve(curve)
    values = np.asarray(hu)
    if np.issubdtype(values.dtype, np.integer) and values.dtype.itemsize <= TABLE_MAX_BYTES:
        return _by_table(values, nodes_hu, nodes_density)
    return np.asarray(np.interp(values, nodes_hu, nodes_density), dtype=np.float32)


def _by_table(
    values: NDArray[np.integer], nodes_hu: NDArray[np.float64], nodes_density: NDArray[np.float64]
) -> NDArray[np.float32]:
    # One entry per possible CT number, in the order of the same bits read without a sign: no offset, no copy, and no
    # index that could lie outside the table.
    unsigned = np.dtype(values.dtype.str.replace("i", "u"))
    every = np.arange(2 ** (8 * values.dtype.itemsize), dtype=unsigned).view(values.dtype)
    table = np.interp(every, nodes_hu, nodes_density).astype(np.float32)
    return np.asarray(table.take(values.view(unsigned), mode="wrap"))
