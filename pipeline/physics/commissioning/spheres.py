"""Chapter: self S values of spheres, by the point kernel, by the voxel engine and by the second check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.physics.commissioning.bench import ellipsoid_mask, plain_grid
from pipeline.physics.commissioning.rows import Chapter, Row, compared
from pipeline.physics.dose.dose_map import absorbed_dose
from pipeline.physics.dose.second_check import sphere_s_published
from pipeline.physics.dose.sphere import sphere_radius_mm, sphere_s_value
from pipeline.units import MGY_PER_MBQ_S_PER_GY_PER_BQ_S

if TYPE_CHECKING:
    from pipeline.physics.commissioning.bench import Bench

UNIT = "mGy/(MBq s)"
TISSUE_DENSITY_G_PER_CM3 = 1.04
# Voxel sides for the engine's spheres: 6 to 10 voxels along the radius.
ENGINE_SPHERES = ((1.0, 0.8), (10.0, 1.6), (100.0, 3.2), (1000.0, 4.8))


def rows(bench: Bench) -> tuple[Row, ...]:
    """Return spheres of 4 mg to 1 kg by three roads."""
    return (*_egsnrc(bench), *_published(bench), *_engine(bench), *_second_check(bench))


def _s_value(bench: Bench, mass_g: float) -> float:
    return sphere_s_value(bench.point_kernel(), bench.nuclide(), mass_g).s_gy_per_bq_s * MGY_PER_MBQ_S_PER_GY_PER_BQ_S


def _egsnrc(bench: Bench) -> list[Row]:
    table = bench.tables["spheres"]
    source = table["source_egsnrc"]
    made = []
    for mass_g, electrons, photons, s_value in table["egsnrc"]:
        found = sphere_s_value(bench.point_kernel(), bench.nuclide(), mass_g)
        made += [
            compared(
                f"{mass_g:g} g: S", found.s_gy_per_bq_s * MGY_PER_MBQ_S_PER_GY_PER_BQ_S, s_value, UNIT, source,
                tolerance=0.005, reason="0.3 % statistics and decay data; the requirement is 1.5 %",
            ),
            compared(
                f"{mass_g:g} g: absorbed fraction of the electrons", found.electron_fraction, electrons, "", source,
                tolerance=0.001, reason="printed digits and statistics",
            ),
            compared(
                f"{mass_g:g} g: absorbed fraction of the photons", found.photon_fraction, photons, "", source,
                tolerance=0.01, reason="printed digits and statistics",
            ),
        ]  # fmt: skip
    return made


def _published(bench: Bench) -> list[Row]:
    table = bench.tables["spheres"]
    made = []
    for mass_g, s_value in table["published"]:
        # the water sphere of the same radius in g/cm2 absorbs the same fractions
        in_water = mass_g * TISSUE_DENSITY_G_PER_CM3**2
        found = _s_value(bench, in_water) * in_water / mass_g
        made.append(
            compared(
                f"{mass_g:g} g of soft tissue: S", found, s_value, UNIT, table["source_published"],
                tolerance=0.015, reason="another Monte Carlo code; three printed digits",
            )
        )  # fmt: skip
    return made


def _engine(bench: Bench) -> list[Row]:
    nuclide, kernel = bench.nuclide(), bench.point_kernel()
    made = []
    for mass_g, side in ENGINE_SPHERES:
        radius = sphere_radius_mm(mass_g, 1.0)
        size = 2 * int(np.ceil(radius / side)) + 3
        grid = plain_grid((size, size, size), (side, side, side))
        inside = ellipsoid_mask(grid.shape, grid.spacing_mm, (radius, radius, radius))
        decays = inside / (inside.sum() * grid.voxel_volume_ml)
        dose = absorbed_dose(
            TiaMap(grid, decays), DensityMap(grid, np.ones(grid.shape)), nuclide, kernel, bench.backend
        ).dose.dose_gy
        voxel_mass_g = float(inside.sum()) * grid.voxel_volume_ml
        made.append(
            compared(
                f"{mass_g:g} g in voxels of {side:g} mm: mean dose of the engine x mass",
                float(dose[inside].mean(dtype=np.float64)) * voxel_mass_g * MGY_PER_MBQ_S_PER_GY_PER_BQ_S,
                _s_value(bench, voxel_mass_g) * voxel_mass_g, f"{UNIT} g",
                "sphere of the same mass by the point kernel (rows above)", tolerance=0.015,
                reason="a staircase has half as much surface again as the sphere: more electrons leave it",
            )
        )  # fmt: skip
    return made


def _second_check(bench: Bench) -> list[Row]:
    table = bench.tables["spheres"]
    return [
        compared(
            f"{mass_g:g} g: S of the second check (shares no kernel file)",
            sphere_s_published(mass_g) * MGY_PER_MBQ_S_PER_GY_PER_BQ_S, s_value, UNIT, table["source_egsnrc"],
            tolerance=0.01, reason="a fit to a published list that never saw these values",
        )
        for mass_g, _, _, s_value in table["egsnrc"]
    ]  # fmt: skip


CHAPTER = Chapter(
    "spheres",
    "Spheres",
    "Self S values of uniform spheres from 4 mg to 1 kg: the point kernel's integral, the voxel engine on a sphere "
    "made of voxels, and the formula of the second check.",
    rows,
)
