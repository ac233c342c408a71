"""Chapter: self S values of organs against OLINDA/EXM 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.physics.commissioning.bench import ellipsoid_mask, plain_grid
from pipeline.physics.commissioning.rows import Chapter, Row, compared
from pipeline.physics.dose.dose_map import absorbed_dose
from pipeline.physics.dose.second_check import LU177_ORGANS, organ_s_published
from pipeline.physics.dose.sphere import sphere_radius_mm, sphere_s_value
from pipeline.units import MGY_PER_MBQ_S_PER_GY_PER_BQ_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pipeline.physics.commissioning.bench import Bench

UNIT = "mGy/(MBq s)"
SPACING_MM = (4.8, 4.8, 4.8)
MARGIN_VOXELS = 3
SHAPE = "shape of the organ (sphere or ellipsoid 1 : 1 : 2 here, a model's organ there), other decay data and code"


def rows(bench: Bench) -> tuple[Row, ...]:
    """Return kidneys, liver and spleen as spheres and as ellipsoids of voxels, and the second check's scaling."""
    table = bench.tables["spheres"]
    made: list[Row] = []
    for organ in table["organs"]:
        made += [_sphere(bench, organ, table["source_olinda"]), _ellipsoid(bench, organ, table["source_olinda"])]
    return (*made, *_second_check(table))


def _sphere(bench: Bench, organ: Mapping[str, Any], source: str) -> Row:
    found = sphere_s_value(bench.point_kernel(), bench.nuclide(), organ["mass_g"])
    return compared(
        f"{organ['name']}: self S as a sphere", found.s_gy_per_bq_s * MGY_PER_MBQ_S_PER_GY_PER_BQ_S, organ["s"], UNIT,
        source, tolerance=0.02, reason=SHAPE,
    )  # fmt: skip


def _ellipsoid(bench: Bench, organ: Mapping[str, Any], source: str) -> Row:
    # axes 1 : 1 : 2 of the same volume
    short = sphere_radius_mm(organ["mass_g"], 1.0) / 2.0 ** (1.0 / 3.0)
    radii = (2.0 * short, short, short)
    z, y, x = (2 * (int(np.ceil(radius / SPACING_MM[0])) + MARGIN_VOXELS) for radius in radii)
    grid = plain_grid((z, y, x), SPACING_MM)
    inside = ellipsoid_mask(grid.shape, SPACING_MM, radii)
    decays = inside / (inside.sum() * grid.voxel_volume_ml)
    density = DensityMap(grid, np.ones(grid.shape))
    dose = absorbed_dose(TiaMap(grid, decays), density, bench.nuclide(), bench.point_kernel(), bench.backend)
    # the voxels' mass is not quite the organ's
    mass_ratio = float(inside.sum()) * grid.voxel_volume_ml / organ["mass_g"]
    mean = float(dose.dose.dose_gy[inside].mean(dtype=np.float64)) * mass_ratio
    return compared(
        f"{organ['name']}: self S of the voxel engine, ellipsoid", mean * MGY_PER_MBQ_S_PER_GY_PER_BQ_S, organ["s"],
        UNIT, source, tolerance=0.02, reason=SHAPE,
    )  # fmt: skip


def _second_check(table: Mapping[str, Any]) -> list[Row]:
    return [
        compared(
            f"{name}: S of the second check at the reference mass",
            organ_s_published(organ, organ.mass_g) * MGY_PER_MBQ_S_PER_GY_PER_BQ_S,
            next(float(o["s"]) for o in table["organs"] if name in o["name"]), UNIT, table["source_olinda"],
            tolerance=1e-6, reason="the published value itself",
        )
        for name, organ in LU177_ORGANS.items()
    ]  # fmt: skip


CHAPTER = Chapter(
    "organs",
    "Organs",
    "Self S values of kidney, liver and spleen against OLINDA/EXM 2 at its masses. Cross-doses depend on the anatomy "
    "and are no test.",
    rows,
)
