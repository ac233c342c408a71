"""Is the photon part better left as water gives it, or corrected for density? Against Monte Carlo in slabs and torso.

    python benchmarks/bench_photon_density.py

Prints, for each region of the golden tables, variant / reference of the total dose with the photon part left, over the
local density (as for electrons), and times 1 + 0.55 (density - 1) from 1.1 g/cm3 on (photoelectric absorption of
bone), and the root mean square of each. Regions at the surface (photons that do not come back from vacuum) are listed
but not counted: no local factor can know a surface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.backend import choose_backend
from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.files.commissioning_data import load_golden_tables
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.physics.commissioning.bench import box_mask, plain_grid
from pipeline.physics.commissioning.torso import labels_of
from pipeline.physics.dose.dose_map import absorbed_dose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Region = tuple[str, NDArray[np.bool_], float, bool]

VARIANTS = ("left", "over density", "bone factor")
BONE_FROM_G_PER_CM3, BONE_SLOPE = 1.1, 0.55
SURFACE = frozenset({"surface", "body"})


def parts(decays: NDArray[np.float64], density: NDArray[np.float64], side_mm: float) -> dict[str, NDArray[np.float64]]:
    """Return the total dose of each variant."""
    grid = plain_grid((decays.shape[0], decays.shape[1], decays.shape[2]), (side_mm,) * 3)
    tia = TiaMap(grid, decays / (decays.sum() * grid.voxel_volume_ml))
    nuclide, kernel = load_nuclide("Lu-177"), load_point_kernel("Lu-177")
    result = absorbed_dose(tia, DensityMap(grid, density), nuclide, kernel, choose_backend("cpu"))
    electrons, photons = result.electron_gy.astype(np.float64), result.photon_gy.astype(np.float64)
    bone = np.where(density >= BONE_FROM_G_PER_CM3, 1.0 + BONE_SLOPE * (density - 1.0), 1.0)
    factors = (1.0, 1.0 / np.maximum(density, 0.1), bone)
    return {name: electrons + photons * factor for name, factor in zip(VARIANTS, factors, strict=True)}


def reference(entry: dict[str, Any]) -> float:
    """Return electrons and photons of the golden table."""
    return float(entry["electron_gy_per_decay"] + entry["photon_gy_per_decay"])


def layered(name: str) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64], float, list[Region]]]:
    """Yield (source, decays, density, voxel side, regions) of the layered phantoms."""
    table = load_golden_tables()[name]
    for source in table["sources"]:
        density = np.zeros(tuple(table["shape"]))
        for begin, end, value in source.get("layers", table.get("layers")):
            density[begin:end] = value
        block = box_mask(density.shape, source["box"])
        regions: list[Region] = []
        for region in source["regions"]:
            where = box_mask(density.shape, *region["boxes"])
            where = where if region["boxes"] == [source["box"]] else where & ~block
            regions.append((region["name"], where, reference(region), region["why"] in SURFACE))
        yield source["name"], block.astype(np.float64), density, table["spacing_mm"][0], regions


def torso() -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64], float, list[Region]]]:
    """Yield the two sources of the torso."""
    table = load_golden_tables()["torso"]
    labels, organs = labels_of(table), [table["body"], *table["organs"]]
    density = np.array([0.0, *(organ["density_g_per_cm3"] for organ in organs)])[labels]
    for source in table["sources"]:
        decays = np.array([0.0, *source["concentration"]])[labels]
        entries = [source["means"][organ["name"].replace(" ", "_")] for organ in organs]
        regions: list[Region] = [
            (organ["name"], labels == label, reference(entry), entry["why"] in SURFACE)
            for label, (organ, entry) in enumerate(zip(organs, entries, strict=True), start=1)
        ]
        yield source["name"], decays, density, table["spacing_mm"], regions


def main() -> None:
    """Print the table."""
    for phantom, cases in (("slabs", layered("slabs")), ("torso", torso())):
        errors: dict[str, list[float]] = {name: [] for name in VARIANTS}
        print(f"\n{phantom}: variant / Monte Carlo\n{'':58}" + "".join(f"{name:>14}" for name in VARIANTS))
        for source, decays, density, side, regions in cases:
            doses = parts(decays, density, side)
            for name, where, expected, surface in regions:
                ratios = [np.average(doses[v][where], weights=density[where]) / expected for v in VARIANTS]
                for variant, ratio in zip(VARIANTS, ratios, strict=True):
                    errors[variant] += [] if surface else [float(ratio - 1.0)]
                mark = "*" if surface else ""
                print(f"{source[:26] + ', ' + name + mark:58}" + "".join(f"{ratio:14.3f}" for ratio in ratios))
        means = [float(np.sqrt(np.mean(np.square(errors[v])))) for v in VARIANTS]
        print(f"{'root mean square error (without *)':58}" + "".join(f"{100 * mean:12.1f} %" for mean in means))


if __name__ == "__main__":
    main()
