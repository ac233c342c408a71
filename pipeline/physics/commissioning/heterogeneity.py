"""Chapters: slabs and an interface of water, lung and bone, every region with the method's known error there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.physics.commissioning.bench import box_mask, plain_grid
from pipeline.physics.commissioning.rows import Chapter, Row, compared
from pipeline.physics.dose.dose_map import absorbed_dose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pipeline.physics.commissioning.bench import Bench
    from pipeline.physics.dose.dose_map import DoseResult

ENERGY = "energy that a water kernel gives to voxels at the phantom's surface or leaves out of lung and bone"
ENERGY_TOLERANCE = 0.01


def slab_rows(bench: Bench) -> tuple[Row, ...]:
    """Return the rows of the slab phantom."""
    return rows_of(bench, bench.tables["slabs"])


def interface_rows(bench: Bench) -> tuple[Row, ...]:
    """Return the rows of the interface phantom."""
    return rows_of(bench, bench.tables["interface"])


def rows_of(bench: Bench, table: Mapping[str, Any]) -> tuple[Row, ...]:
    """Return total energy and region means of every source in a layered phantom.

    Parameters
    ----------
    bench : Bench
    table : mapping
        As ``slabs.toml``: layers, sources, and for each region the reference's mean dose and the known error.
    """
    return tuple(row for source in table["sources"] for row in _of_source(bench, table, source))


def _of_source(bench: Bench, table: Mapping[str, Any], source: Mapping[str, Any]) -> list[Row]:
    shape = tuple(table["shape"])
    density = np.zeros(shape)
    for begin, end, value in source.get("layers", table.get("layers")):
        density[begin:end] = value
    block = box_mask(density.shape, source["box"])
    result = _dose(bench, table, density, block)
    energy = compared(
        f"source in {source['name']}: total energy in the phantom", result.total_energy_j,
        source["total_energy_j_per_decay"], "J/decay", table["source"], tolerance=ENERGY_TOLERANCE, reason=ENERGY,
        known_difference=_stated(source["known_energy"]),
    )  # fmt: skip
    regions = [_of_region(table, source, region, result, density, block) for region in source["regions"]]
    return [energy, *regions]


def _dose(bench: Bench, table: Mapping[str, Any], density: NDArray[np.float64], block: NDArray[np.bool_]) -> DoseResult:
    spacing = table["spacing_mm"]
    grid = plain_grid((density.shape[0], density.shape[1], density.shape[2]), (spacing[0], spacing[1], spacing[2]))
    decays = block / (block.sum() * grid.voxel_volume_ml)
    nuclide, kernel = bench.nuclide(), bench.point_kernel()
    return absorbed_dose(TiaMap(grid, decays), DensityMap(grid, density), nuclide, kernel, bench.backend)


def _stated(ratio: float) -> float:
    # the table states ratios to three or four decimals
    return round(ratio - 1.0, 4)


def _of_region(
    table: Mapping[str, Any],
    source: Mapping[str, Any],
    region: Mapping[str, Any],
    result: DoseResult,
    density: NDArray[np.float64],
    block: NDArray[np.bool_],
) -> Row:
    where = box_mask(density.shape, *region["boxes"])
    if region["boxes"] != [source["box"]]:
        where &= ~block
    mean = float(np.average(result.dose.dose_gy[where], weights=density[where]))
    return compared(
        f"source in {source['name']}: {region['name']}", mean,
        region["electron_gy_per_decay"] + region["photon_gy_per_decay"], "Gy/decay", table["source"],
        tolerance=region["tolerance"], reason=table["reasons"][region["why"]],
        known_difference=_stated(region["known"]),
    )  # fmt: skip


SLABS = Chapter(
    "slabs",
    "Slabs of water, lung and bone",
    "Four sources in a phantom of slabs in vacuum. Voxel kernels of water, electrons over the local density, have "
    "known errors beside lung and bone. Each region states its own: the tolerance is as wide as the error, and a row "
    "fails too when the error moves by more than 0.5 points.",
    slab_rows,
)
INTERFACE = Chapter(
    "interface",
    "Interface of water with lung or bone",
    "One source voxel of 3 mm at a face between two media: the hardest case for a voxel kernel. Tolerances and known "
    "errors as for the slabs.",
    interface_rows,
)
