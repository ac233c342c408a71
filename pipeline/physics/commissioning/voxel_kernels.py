"""Chapter: voxel S values against Monte Carlo in voxels, and the identities that hold for every voxel size."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from pipeline.physics.commissioning.rows import Chapter, Row, compared, informed
from pipeline.physics.dose.dose_kernel import electron_reach, voxel_s_values, with_bremsstrahlung_as_photons
from pipeline.units import GY_G_PER_MEV, KEV_PER_MEV, MGY_PER_MBQ_S_PER_GY_PER_BQ_S, MM3_PER_ML

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.dose import DoseKernel
    from pipeline.physics.commissioning.bench import Bench
    from pipeline.physics.dose.dose_kernel import PointKernel

    Floats = NDArray[np.float64]
    Triple = tuple[float, float, float]
    Steps = tuple[int, int, int]

UNIT = "mGy/(MBq s)"
SIDES = ("2", "3", "4.8")
# Tolerances of the physics reference: spread between Monte Carlo codes and published tables.
CENTRAL: dict[Steps, tuple[str, float]] = {
    (0, 0, 0): ("source voxel", 0.01),
    (1, 0, 0): ("face neighbour", 0.03),
    (1, 1, 0): ("edge neighbour", 0.04),
    (1, 1, 1): ("corner neighbour", 0.04),
    (2, 0, 0): ("two steps away", 0.03),
    (5, 0, 0): ("five steps away", 0.03),
    (10, 0, 0): ("ten steps away", 0.03),
}
SPREAD = "spread between Monte Carlo codes"
TAIL_FROM = 2
OTHER_SIZES: tuple[Triple, ...] = ((2.21, 2.21, 2.21), (5.0, 4.0, 4.0), (1.5, 2.5, 3.7), (9.28, 9.28, 9.28))


def rows(bench: Bench) -> tuple[Row, ...]:
    """Return S values at three sizes, energies, radii, other nuclides and the identities."""
    water = bench.point_kernel()
    return (
        *(row for side in SIDES for row in _of_side(bench, side)),
        *_direct(bench, water),
        *_energies(bench, water),
        *_radii(bench, water),
        *_other_nuclides(bench),
        *_published(bench, water),
        *(row for spacing in OTHER_SIZES for row in _identities(water, spacing)),
    )


def total(kernel: DoseKernel) -> Floats:
    """Return electrons and photons together, Gy per decay."""
    return kernel.electron_gy_per_bq_s + kernel.photon_gy_per_bq_s


def unfolded(octant: Floats) -> Floats:
    """Mirror an octant to the whole kernel."""
    return np.pad(octant, [(n - 1, 0) for n in octant.shape], mode="reflect")


def energy_mev(octant: Floats, spacing_mm: Triple, density_g_per_cm3: float) -> float:
    """Return the energy per decay in a whole kernel given by its octant of Gy per decay."""
    mass_g = float(np.prod(spacing_mm)) / MM3_PER_ML * density_g_per_cm3
    return float(unfolded(octant).sum()) * mass_g / GY_G_PER_MEV


def _of_side(bench: Bench, side: str) -> list[Row]:
    source = bench.tables["voxel_s_values"]["source"]
    golden = bench.arrays["lu177_vsv_water_egsnrc_11cubed"]
    spacing = (float(side), float(side), float(side))
    reach = golden[f"Selec_{side}mm"].shape[0] - 1
    expected = golden[f"Selec_{side}mm"] + golden[f"Spho_{side}mm"]
    octant = total(voxel_s_values(bench.point_kernel(), spacing, (reach, reach, reach)))
    found = octant * MGY_PER_MBQ_S_PER_GY_PER_BQ_S
    made = [
        compared(
            f"{side} mm, {place} k = {k}", float(found[k]), float(expected[k]), UNIT, source,
            tolerance=tolerance, reason=SPREAD,
        )
        for k, (place, tolerance) in CENTRAL.items()
    ]  # fmt: skip
    near, scale = (slice(6),) * 3, 1.0 / MGY_PER_MBQ_S_PER_GY_PER_BQ_S
    return [
        *made,
        compared(
            f"{side} mm, worst of all voxels two to ten steps away", _worst(found, expected), 0.0, "", source,
            tolerance=0.03, reason=SPREAD, comparison="absolute",
        ),
        compared(
            f"{side} mm, energy within 11³ voxels", energy_mev(octant[near], spacing, 1.0) * KEV_PER_MEV,
            energy_mev(expected[near] * scale, spacing, 1.0) * KEV_PER_MEV, "keV/decay", source,
            tolerance=0.01, reason=SPREAD,
        ),
    ]  # fmt: skip


def _direct(bench: Bench, water: PointKernel) -> list[Row]:
    """Return self and face values by part against a run in voxels that knew no point kernel."""
    table, golden = bench.tables["voxel_s_values"], bench.arrays["lu177_vsv_water_egsnrc_11cubed"]
    kernel = voxel_s_values(water, (4.8, 4.8, 4.8), (1, 1, 1))
    parts = {
        "electron": (kernel.electron_gy_per_bq_s, golden["Selec_4.8mm"]),
        "photon": (kernel.photon_gy_per_bq_s, golden["Spho_4.8mm"]),
    }
    made = []
    for entry in table["direct"]:
        k = (entry["k"][0], entry["k"][1], entry["k"][2])
        place, tolerance = CENTRAL[k]
        made += [
            compared(
                f"4.8 mm, {place} k = {k}, {part}s, against a run in voxels",
                float(found[k]) * MGY_PER_MBQ_S_PER_GY_PER_BQ_S, float(expected[k]) * entry[part], UNIT,
                table["source_direct"], tolerance=tolerance, reason=SPREAD,
            )
            for part, (found, expected) in parts.items()
        ]  # fmt: skip
    return made


def _worst(found: Floats, expected: Floats) -> float:
    far = np.max(np.indices(found.shape), axis=0) >= TAIL_FROM
    ratio = (found / expected - 1.0)[far]
    return float(ratio[np.argmax(np.abs(ratio))])


def _energies(bench: Bench, water: PointKernel) -> list[Row]:
    table = bench.tables["voxel_s_values"]
    made = []
    for entry in table["energies"]:
        side, steps = entry["spacing_mm"], entry["steps"]
        octant = total(voxel_s_values(water, (side, side, side), (steps, steps, steps)))
        made.append(
            compared(
                f"{side} mm, energy within {2 * steps + 1}³ voxels (± {side * (steps + 0.5) / 10:.1f} cm)",
                energy_mev(octant, (side, side, side), 1.0) * KEV_PER_MEV, entry["kev"], "keV/decay", table["source"],
                tolerance=0.002, reason="the photon tail over its full range; printed digits and statistics",
            )
        )  # fmt: skip
    return made


def _radii(bench: Bench, water: PointKernel) -> list[Row]:
    table = bench.tables["voxel_s_values"]
    photons = np.concatenate([[0.0], np.cumsum(water.photon_mev_per_shell)]) * KEV_PER_MEV
    electrons = np.concatenate([[0.0], np.cumsum(water.electron_mev_per_shell)]) / water.electron_mev
    entry = table["photon_energy"]
    made = [
        compared(
            f"photon energy absorbed within {radius / 10:g} cm of a point",
            float(np.interp(radius, water.edges_mm, photons)), kev, "keV/decay", table["source_point"],
            tolerance=0.01, reason="printed digits",
        )
        for radius, kev in zip(entry["radius_mm"], entry["kev"], strict=True)
    ]  # fmt: skip
    entry = table["electron_energy"]
    return made + [
        compared(
            f"radius that holds {100 * fraction:g} % of the electrons' energy",
            float(np.interp(fraction, electrons, water.edges_mm)), radius, "mm", table["source_point"],
            tolerance=0.01, reason="printed digits", comparison="absolute",
        )
        for fraction, radius in zip(entry["fraction"], entry["radius_mm"], strict=True)
    ]  # fmt: skip


def _other_nuclides(bench: Bench) -> list[Row]:
    table = bench.tables["voxel_s_values"]
    made = []
    for entry in table["central"]:
        kernel = voxel_s_values(bench.point_kernel(entry["nuclide"], entry["medium"]), (4.8, 4.8, 4.8), (5, 5, 5))
        for index, value in entry["values"]:
            k = (index[0], index[1], index[2])
            place, tolerance = CENTRAL[k]
            made.append(
                compared(
                    f"{entry['nuclide']} in {entry['medium'].replace('_', ' ')}, 4.8 mm, {place} k = {k}",
                    float(total(kernel)[k]) * MGY_PER_MBQ_S_PER_GY_PER_BQ_S, value, UNIT, table["source"],
                    tolerance=tolerance, reason=SPREAD,
                )
            )  # fmt: skip
    return made


def _published(bench: Bench, water: PointKernel) -> list[Row]:
    table = bench.tables["voxel_s_values"]["published"]
    octant = total(voxel_s_values(water, (4.8, 4.8, 4.8), (5, 5, 5))) * MGY_PER_MBQ_S_PER_GY_PER_BQ_S
    reason = "the published values leave out conversion and Auger electrons (10 % of the energy of the electrons)"
    return [
        informed(
            f"4.8 mm, {CENTRAL[(k[0], k[1], k[2])][0]}, beside a published table", float(octant[tuple(k)]), value, UNIT,
            table["source"], reason=reason,
        )
        for k, value in table["values"]
    ]  # fmt: skip


def _identities(water: PointKernel, spacing: Triple) -> list[Row]:
    name = " x ".join(f"{side:g}" for side in spacing)
    short = with_bremsstrahlung_as_photons(water)
    reach = electron_reach(short, spacing)
    kept = energy_mev(voxel_s_values(short, spacing, reach).electron_gy_per_bq_s, spacing, 1.0)
    return [
        compared(
            f"{name} mm, energy of the electrons", kept * KEV_PER_MEV, short.electron_mev * KEV_PER_MEV, "keV/decay",
            "the point kernel's own total, without bremsstrahlung", tolerance=0.002,
            reason="energy is conserved at every voxel size",
        ),
        compared(
            f"{name} mm, halved voxels summed, worst of 4³", _halving(water, spacing), 0.0, "",
            "the kernel of the whole voxels", tolerance=0.005, reason="one integral by two roads",
            comparison="absolute",
        ),
    ]  # fmt: skip


def _halving(water: PointKernel, spacing: Triple) -> float:
    """Return the worst relative difference between a kernel and that of halved voxels, summed."""
    fine = unfolded(total(voxel_s_values(water, (spacing[0] / 2, spacing[1] / 2, spacing[2] / 2), (7, 7, 7))))
    coarse = total(voxel_s_values(water, spacing, (3, 3, 3)))
    differences = []
    for k in product(range(4), repeat=3):
        # the source is the mean of 8 fine ones, the dose the mean over 8 fine targets
        steps = [[2 * step + target - start + 7 for start in (0, 1) for target in (0, 1)] for step in k]
        differences.append(float(fine[np.ix_(*steps)].mean() / coarse[k] - 1.0))
    return max(differences, key=abs)


CHAPTER = Chapter(
    "voxel_kernels",
    "Voxel S values",
    "Kernels made from dose point kernels by exact integration over the voxel: against the same integral by other "
    "code at 2, 3 and 4.8 mm, against a Monte Carlo run in voxels, against other nuclides and media, and two "
    "identities at sizes that no table holds. Against a published table, for information.",
    rows,
)
