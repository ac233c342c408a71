"""The picture of a dose kernel: S against distance, electrons and photons apart, and what another kernel has there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.report import style
from pipeline.units import MGY_PER_MBQ_S_PER_GY_PER_BQ_S, PERCENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from pipeline.domain.dose import DoseKernel

    Floats = NDArray[np.float64]

HEIGHT_INCH, DIFFERENCE_INCH = 3.6, 1.6
ELECTRONS, PHOTONS, THEIRS = "#D55E00", "#0072B2", "#1C2733"
# Nothing that far below the centre can be seen, nor does it matter.
DECADES = 9


def kernel_figure(kernel: DoseKernel, theirs_gy_per_bq_s: Floats | None = None) -> bytes:
    """Draw S against the distance of the voxels' centres, on a logarithmic axis.

    Parameters
    ----------
    kernel : DoseKernel
    theirs_gy_per_bq_s : ndarray, optional
        Octant of another kernel of this voxel (electrons and photons together, NaN where it has no value), drawn
        beside ours with its difference below.

    Returns
    -------
    bytes
        PNG.
    """
    with style.house_style():
        below = DIFFERENCE_INCH if theirs_gy_per_bq_s is not None else 0.0
        figure = style.new_figure(style.TEXT_WIDTH_INCH, HEIGHT_INCH + below)
        rows = figure.subplots(
            2 if below else 1, 1, squeeze=False, sharex=True, height_ratios=(5, 2) if below else None
        )
        _draw_values(rows[0, 0], kernel)
        if theirs_gy_per_bq_s is not None:
            _draw_theirs(rows[0, 0], rows[1, 0], kernel, theirs_gy_per_bq_s)
        rows[0, 0].legend(loc="upper right")
        rows[-1, 0].set_xlabel("distance of the voxels' centres, mm")
        return style.png_of(figure)


def _distance_mm(kernel: DoseKernel) -> Floats:
    steps = np.indices(kernel.photon_gy_per_bq_s.shape, dtype=np.float64)
    sides = np.asarray(kernel.spacing_mm)[:, None, None, None]
    return np.asarray(np.linalg.norm(steps * sides, axis=0))


def _draw_values(axes: Axes, kernel: DoseKernel) -> None:
    distance = _distance_mm(kernel).ravel()
    lowest = _peak(kernel) / 10.0**DECADES
    for name, part, colour in (
        ("electrons, with bremsstrahlung", kernel.electron_gy_per_bq_s, ELECTRONS),
        ("photons", kernel.photon_gy_per_bq_s, PHOTONS),
    ):
        values = part.ravel() * MGY_PER_MBQ_S_PER_GY_PER_BQ_S
        seen = values > lowest
        axes.scatter(distance[seen], values[seen], s=9, color=colour, label=name, linewidths=0, alpha=0.7)
    axes.set_yscale("log")
    axes.set_ylabel("S, mGy/(MBq s)")
    sides = " x ".join(f"{side:g}" for side in kernel.spacing_mm)
    axes.set_title(f"{kernel.nuclide} in {kernel.medium} ({kernel.density_g_per_cm3:g} g/cm3), voxels of {sides} mm")


def _peak(kernel: DoseKernel) -> float:
    total = kernel.electron_gy_per_bq_s[0, 0, 0] + kernel.photon_gy_per_bq_s[0, 0, 0]
    return float(total) * MGY_PER_MBQ_S_PER_GY_PER_BQ_S


def _draw_theirs(above: Axes, below: Axes, kernel: DoseKernel, theirs: Floats) -> None:
    distance = _distance_mm(kernel)
    ours = kernel.electron_gy_per_bq_s + kernel.photon_gy_per_bq_s
    seen = np.isfinite(theirs) & (theirs > 0) & (ours > 0)
    values = theirs[seen] * MGY_PER_MBQ_S_PER_GY_PER_BQ_S
    above.scatter(
        distance[seen], values, s=16, facecolors="none", edgecolors=THEIRS, linewidths=0.6, label="theirs, both"
    )
    below.scatter(distance[seen], PERCENT * (theirs[seen] / ours[seen] - 1.0), s=7, color=THEIRS, linewidths=0)
    below.axhline(0.0, color=style.ACCENT, linewidth=1.0)
    below.set_ylabel("theirs over ours, %")
