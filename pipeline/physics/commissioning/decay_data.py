"""Chapter: half-lives and mean energies per decay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.physics.commissioning.rows import Chapter, Row, compared, informed
from pipeline.units import (
    BQ_PER_MBQ,
    GY_G_PER_MEV,
    KEV_PER_MEV,
    MGY_PER_GY,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.commissioning.bench import Bench


def rows(bench: Bench) -> tuple[Row, ...]:
    """Return half-life and energies of every nuclide and decay data set, and the closure of its point kernel."""
    table = bench.tables["decay_data"]
    made: list[Row] = []
    for entry in table["nuclides"]:
        made += _of_set(bench.nuclide(entry["name"], entry["set"]), entry, table)
    made += _closure(bench)
    return (*made, *_lutetium(bench.nuclide(), table["lu177"]))


def _of_set(nuclide: Radionuclide, entry: Mapping[str, Any], table: Mapping[str, Any]) -> list[Row]:
    name = f"{nuclide.name} ({nuclide.decay_data})"
    evaluated = nuclide.decay_data == "DDEP"
    source = table["source_ddep"] if evaluated else table["source"]
    energy_reason = "the evaluation's own rounding of X rays and Auger electrons" if evaluated else "printed digits"
    half_life_h = nuclide.half_life_s / SECONDS_PER_HOUR
    return [
        compared(
            f"{name}: half-life", half_life_h, entry["half_life_h"], "h", source,
            tolerance=1e-4, reason="printed digits",
        ),
        compared(
            f"{name}: electrons", nuclide.electron_mev * KEV_PER_MEV, entry["electron_kev"], "keV/decay", source,
            tolerance=entry["tolerance_kev"]["electrons"], reason=energy_reason, comparison="absolute",
        ),
        compared(
            f"{name}: photons", nuclide.photon_mev * KEV_PER_MEV, entry["photon_kev"], "keV/decay", source,
            tolerance=entry["tolerance_kev"]["photons"], reason=energy_reason, comparison="absolute",
        ),
    ]  # fmt: skip


def _closure(bench: Bench) -> list[Row]:
    made = []
    for (name, medium), kernel in sorted(bench.point_kernels.items()):
        nuclide = bench.nuclide(name)
        # bremsstrahlung is all that the kernel of a pure beta emitter has of photons
        photons_too = kernel.photon_mev > 0
        emitted = nuclide.electron_mev + (nuclide.photon_mev if photons_too else 0.0)
        made.append(
            compared(
                f"{name} in {medium.replace('_', ' ')}: energy absorbed around a point"
                + ("" if photons_too else ", electrons"),
                (kernel.electron_mev + kernel.photon_mev) * KEV_PER_MEV, emitted * KEV_PER_MEV, "keV/decay",
                "the decay data above: absorbed in metres of the medium = emitted", tolerance=3e-3,
                reason="what leaves the kernel's last shell, and the statistics of its Monte Carlo",
            )
        )  # fmt: skip
    return made


def _lutetium(nuclide: Radionuclide, entry: Mapping[str, Any]) -> list[Row]:
    constant = nuclide.electron_mev * GY_G_PER_MEV * MGY_PER_GY * BQ_PER_MBQ * SECONDS_PER_HOUR
    other = "another evaluation; a run names the one it used"
    return [
        compared(
            "Lu-177: dose of complete electron absorption", constant, entry["electron_constant_mgy_g_per_mbq_h"],
            "mGy g/(MBq h)", "147.98 keV x 1.602177e-16 J/keV", tolerance=2e-4, reason="printed digits",
        ),
        informed(
            "Lu-177: half-life, beside another evaluation", nuclide.half_life_s / SECONDS_PER_DAY,
            entry["half_life_ensdf_d"], "d", entry["source_ensdf"], reason=other,
        ),
        informed(
            "Lu-177: mean beta energy, beside another evaluation", nuclide.beta_mev * KEV_PER_MEV,
            entry["beta_ensdf_kev"], "keV/decay", entry["source_ensdf"], reason=other,
        ),
    ]  # fmt: skip


CHAPTER = Chapter(
    "decay_data",
    "Decay data",
    "Half-lives and mean energies per decay that every dose rests on, in each decay data set of the product, and "
    "whether the dose point kernels deposit what the decays emit.",
    rows,
)
