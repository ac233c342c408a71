"""Tables beside the mean dose: dose rates, BED of regions and voxels, lesions as spheres."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.report.paper import Column, paragraph, table, titled
from pipeline.report.text import DASH, hours, region_title, signed_percent, significant
from pipeline.units import BQ_PER_GBQ, MGY_PER_GY, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping

Flowables = list[Any]
# of the page's 180 mm
REGION_MM, MOST_RATE_MM = 46, 30


def rates_table(document: Mapping[str, Any]) -> Flowables:
    """Return the mean dose rate of every region at each time point."""
    rated = [region for region in document["regions"] if region.get("dose_rate_gy_per_s")]
    if not rated:
        return []
    points = document["time_points"]
    width = min(MOST_RATE_MM, (180 - REGION_MM) // len(points))
    columns = [
        Column("Region", REGION_MM, number=False),
        *[Column(f"mGy/h at {hours(p['delay_s'])} h", width) for p in points],
    ]
    rows = [[region_title(region), *map(_mgy_per_hour, region["dose_rate_gy_per_s"])] for region in rated]
    note = (
        "Mean dose rate at the start of each acquisition: the region's S value times its recovery-corrected activity, "
        "and what the other sources give at that time."
    )
    return titled("Dose rate", table(columns, rows), paragraph(note, "note"))


def _mgy_per_hour(rate_gy_per_s: float | None) -> str:
    return DASH if rate_gy_per_s is None else significant(rate_gy_per_s * SECONDS_PER_HOUR * MGY_PER_GY)


def bed_table(document: Mapping[str, Any]) -> Flowables:
    """Return the BED of every region that has one, of its mean dose and of its voxels."""
    columns = [
        Column("Region", 38, number=False),
        Column("BED, Gy", 18),
        Column("Map mean, Gy", 20),
        Column("BED98, Gy", 17),
        Column("BED50, Gy", 17),
        Column("BED2, Gy", 17),
        Column("α/β, Gy", 13),
        Column("T_rep, h", 13),
        Column("Source", 27, number=False),
    ]
    rows = [
        _bed_row(region, region["bed_parameters"]) for region in document["regions"] if region.get("bed_parameters")
    ]
    if not rows:
        return []
    note = (
        "Biologically effective dose of this cycle, for information; no limit here is a BED. First column: of the "
        "recovery-corrected mean dose. The others: of the voxels of the dose map, which is not recovery-corrected."
    )
    return titled("Biologically effective dose", table(columns, rows), paragraph(note, "note"))


def _bed_row(region: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[object]:
    names = ("bed_gy", "bed_map_mean_gy", "bed_d98_gy", "bed_d50_gy", "bed_d2_gy")
    return [
        region_title(region),
        *[significant(region.get(name)) for name in names],
        significant(parameters["alpha_beta_gy"], 2),
        hours(parameters["repair_half_life_s"]),
        parameters["source"],
    ]


def sphere_table(document: Mapping[str, Any]) -> Flowables:
    """Return every lesion beside a sphere of its mass."""
    columns = [
        Column("Lesion", 44, number=False),
        Column("Mass, g", 22),
        Column("Mean dose, Gy", 26),
        Column("Sphere, Gy", 26),
        Column("S, mGy/(GBq s)", 30),
        Column("Difference", 24),
    ]
    rows = [_sphere_row(region, region["sphere_model"]) for region in document["regions"] if region.get("sphere_model")]
    if not rows:
        return []
    note = (
        "Sphere: self S value of a sphere of the lesion's mass times its time-integrated activity, without what other "
        "sources give. Difference: the lesion's mean dose over it, less 1."
    )
    return titled("Lesions as spheres", table(columns, rows), paragraph(note, "note"))


def _sphere_row(region: Mapping[str, Any], sphere: Mapping[str, Any]) -> list[object]:
    return [
        region_title(region),
        significant(region["mass_g"]),
        significant(region["mean_dose_gy"]),
        significant(sphere["mean_dose_gy"]),
        significant(sphere["s_gy_per_bq_s"] * MGY_PER_GY * BQ_PER_GBQ),
        signed_percent(sphere["difference"]),
    ]
