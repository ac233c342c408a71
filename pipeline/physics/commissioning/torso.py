"""Chapter: organ means in a torso with lungs and a spine, against a Monte Carlo that shares no code with the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.physics.commissioning.bench import plain_grid
from pipeline.physics.commissioning.rows import Chapter, Row, compared
from pipeline.physics.dose.dose_map import absorbed_dose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pipeline.physics.commissioning.bench import Bench

    Floats = NDArray[np.float64]
    Labels = NDArray[np.int_]

OUTSIDE, BODY, FIRST_ORGAN = 0, 1, 2


def rows(bench: Bench) -> tuple[Row, ...]:
    """Return the mean dose of every organ for each distribution of the decays."""
    table = bench.tables["torso"]
    labels = labels_of(table)
    organs = [table["body"], *table["organs"]]
    density = _by_label(labels, [organ["density_g_per_cm3"] for organ in organs])
    made: list[Row] = []
    for source in table["sources"]:
        concentration = _by_label(labels, source["concentration"])
        dose = _dose(bench, table, concentration, density)
        for label, organ in enumerate(organs, start=BODY):
            where = labels == label
            mean = float(np.average(dose[where], weights=density[where]))
            made.append(_row(table, source, organ["name"], mean))
    return tuple(made)


def labels_of(table: Mapping[str, Any]) -> Labels:
    """Return the label of every voxel: 0 outside, 1 the body, then the organs; later ones cut earlier ones.

    Parameters
    ----------
    table : mapping
        As ``torso.toml``: ``shape``, ``spacing_mm`` and ellipsoids (centre and radii in mm; slices from the bottom,
        rows and columns from the middle; an infinite first radius is a cylinder).
    """
    middles = (0.0, 0.5, 0.5)
    z, y, x = np.meshgrid(
        *(
            (np.arange(size) + 0.5 - middle * size) * table["spacing_mm"]
            for size, middle in zip(table["shape"], middles, strict=True)
        ),
        indexing="ij",
    )
    labels = np.full(tuple(table["shape"]), OUTSIDE)
    for label, organ in enumerate([table["body"], *table["organs"]], start=BODY):
        (cz, cy, cx), (rz, ry, rx) = organ["centre_mm"], organ["radii_mm"]
        inside = ((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1.0
        labels[inside & ((labels != OUTSIDE) | (label == BODY))] = label
    return labels


def _by_label(labels: Labels, values: list[float]) -> Floats:
    return np.array([0.0, *values])[labels]


def _dose(bench: Bench, table: Mapping[str, Any], concentration: Floats, density: Floats) -> NDArray[np.float32]:
    side = table["spacing_mm"]
    grid = plain_grid((density.shape[0], density.shape[1], density.shape[2]), (side, side, side))
    decays = concentration / (concentration.sum() * grid.voxel_volume_ml)
    nuclide, kernel = bench.nuclide(), bench.point_kernel()
    return absorbed_dose(TiaMap(grid, decays), DensityMap(grid, density), nuclide, kernel, bench.backend).dose.dose_gy


def _row(table: Mapping[str, Any], source: Mapping[str, Any], name: str, mean: float) -> Row:
    entry = source["means"][name.replace(" ", "_")]
    reference = entry["electron_gy_per_decay"] + entry["photon_gy_per_decay"]
    return compared(
        f"{source['name']}: mean dose of the {name}", mean, reference, "Gy/decay", table["source"],
        tolerance=entry["tolerance"], reason=table["reasons"][entry["why"]],
        known_difference=round(entry["known"] - 1.0, 4),
    )  # fmt: skip


CHAPTER = Chapter(
    "torso",
    "Torso",
    "A torso of ellipsoids with lungs of 0.30 and a spine of 1.20 g/cm³, decays spread as in a therapy and in the "
    "kidneys only. The reference is a Monte Carlo written for this purpose (photons through the materials of each "
    "voxel, electrons along a path of equal areal density). In the slab phantom it "
    "agrees with EGSnrc within 2 % for photons (5 % in lung around a source) and 0.2 % in source blocks. Known errors "
    "as for the slabs.",
    rows,
)
