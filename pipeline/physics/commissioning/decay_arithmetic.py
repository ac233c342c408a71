"""Chapter: decay between moments, and the arithmetic of one or more time points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy.integrate import quad

from pipeline.physics.commissioning.rows import Chapter, Row, compared
from pipeline.physics.decay import decay_factor, mean_over_acquisition
from pipeline.physics.kinetics.single_time_point import haenscheid_2018_ratio, haenscheid_2018_tia, madsen_2018_tia
from pipeline.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pipeline.physics.commissioning.bench import Bench

ACQUISITION_S = 30.0 * SECONDS_PER_MINUTE
PRINTED = "printed digits"


def rows(bench: Bench) -> tuple[Row, ...]:
    """Return physical decay, decay during the acquisition, and the forms for one time point."""
    table = bench.tables["kinetics"]
    return (*_physical(bench), *_single(table), *_ratios(table), *_reuse(table))


def _physical(bench: Bench) -> list[Row]:
    nuclide = bench.nuclide()
    mean, _ = quad(lambda t: math.exp(-nuclide.decay_constant_per_s * t), 0.0, ACQUISITION_S)
    return [
        compared(
            "Lu-177 left after one half-life (6.647 d)", decay_factor(nuclide, 6.647 * SECONDS_PER_DAY), 0.5, "",
            "definition", tolerance=1e-9, reason="exact",
        ),
        compared(
            "Lu-177 left after 24 h", decay_factor(nuclide, 24 * SECONDS_PER_HOUR), 2.0 ** (-24 / 159.528), "",
            "2^(-24 h / 159.528 h)", tolerance=1e-9, reason="exact",
        ),
        compared(
            "mean over 30 min of acquisition, of the activity at its start",
            mean_over_acquisition(nuclide, ACQUISITION_S), mean / ACQUISITION_S, "", "numerical integral, here",
            tolerance=1e-9, reason="exact",
        ),
    ]  # fmt: skip


def _single(table: Mapping[str, Any]) -> list[Row]:
    single, energy, half_life = table["single"], table["energy_gy_g_per_mbq_h"], table["half_life_h"]
    made = []
    for time, concentration in zip(table["scans_h"], table["concentrations_mbq_per_g"], strict=True):
        made += [
            compared(
                f"concentration {time:g} h after 0.10 MBq/g with 51 h",
                table["concentration_mbq_per_g"] * 2.0 ** (-time / half_life), concentration, "MBq/g", table["source"],
                tolerance=5e-7, reason=PRINTED, comparison="absolute",
            ),
            compared(
                f"dose from one scan at {time:g} h and a known half-life",
                energy * madsen_2018_tia(concentration, time, half_life), table["dose_gy"], "Gy",
                single["madsen_source"], tolerance=2e-4, reason=PRINTED, comparison="absolute",
            ),
        ]  # fmt: skip
    late = haenscheid_2018_tia(table["concentrations_mbq_per_g"][1], 96.0, expected_half_life_s=half_life)
    return [
        *made,
        compared(
            "dose from one scan at 96 h and no half-life", energy * late, single["haenscheid_2018_at_96_h_gy"], "Gy",
            single["haenscheid_2018_source"], tolerance=1e-4, reason=PRINTED, comparison="absolute",
        ),
    ]  # fmt: skip


def _ratios(table: Mapping[str, Any]) -> list[Row]:
    single = table["single"]
    return [
        compared(
            f"error of the one-scan form at {time:g} h for a half-life of {entry['half_life_h']:g} h",
            haenscheid_2018_ratio(time, entry["half_life_h"]), ratio, "", single["haenscheid_2018_source"],
            tolerance=0.006, reason=PRINTED, comparison="absolute",
        )
        for entry in single["ratios"]
        for time, ratio in zip(single["times_h"], entry["ratio"], strict=True)
    ]  # fmt: skip


def _reuse(table: Mapping[str, Any]) -> list[Row]:
    made = []
    for entry in table["reuse"]:
        true = entry["true_half_life_h"]
        assumed = madsen_2018_tia(2.0 ** (-24.0 / true), 24.0, table["half_life_h"])
        exact = true / math.log(2.0)
        made.append(
            compared(
                f"change of a dose from one scan at 24 h where 51 h is assumed and {true:g} h is true",
                assumed / exact - 1.0, entry["change"], "", table["source"], tolerance=0.006, reason=PRINTED,
                comparison="absolute",
            )
        )  # fmt: skip
    return made


CHAPTER = Chapter(
    "decay_arithmetic",
    "Decay and single time points",
    "Physical decay between the moments that a value may refer to, and the published forms for one scan.",
    rows,
)
