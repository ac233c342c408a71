"""Chapter: curves of regions, what is assumed outside the scans, and BED."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.physics.commissioning.rows import Chapter, Row, compared
from pipeline.physics.dose.bed import bed_over_cycles
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.domain.kinetics import HeadRule, TailRule
    from pipeline.physics.commissioning.bench import Bench

RULES: tuple[tuple[str, HeadRule, TailRule], ...] = (
    ("head_constant", "constant", "fitted"),
    ("head_ramp", "ramp", "fitted"),
    ("tail_physical", "extrapolate", "physical"),
)
HALF_LIVES_H = (20.0, 51.0, 67.0, 110.0, 150.0)
COVERAGE_CURVES = 400
COVERAGE_NOISE = 0.05


def rows(bench: Bench) -> tuple[Row, ...]:
    """Return golden doses, exactness on known curves, the coverage of the stated sigma, and BED."""
    table = bench.tables["kinetics"]
    return (
        *_golden(bench, table),
        *_exact_mono(bench, table),
        *_exact_sums(bench, table),
        *_coverage(bench, table),
        *_bed(table),
    )


def sampled(times_h: Sequence[float], components: Sequence[Sequence[float]]) -> TimeActivityCurve:
    """Return a curve without noise of a sum of (amplitude, half-life in h)."""
    time = np.array(times_h) * SECONDS_PER_HOUR
    rates = [(a, math.log(2.0) / (t * SECONDS_PER_HOUR)) for a, t in components]
    return TimeActivityCurve(time, sum(a * np.exp(-rate * time) for a, rate in rates) + np.zeros(time.size), None)


def area_h(components: Sequence[Sequence[float]]) -> float:
    """Return the area under a sum of (amplitude, half-life in h), in h."""
    return sum(a * t / math.log(2.0) for a, t in components)


def _golden(bench: Bench, table: Mapping[str, Any]) -> list[Row]:
    curve = sampled(table["scans_h"], [[table["concentration_mbq_per_g"], table["half_life_h"]]])

    def dose(head: HeadRule, tail: TailRule) -> float:
        estimate = fit_curve(curve, bench.nuclide(), head_rule=head, tail_rule=tail)
        return float(table["energy_gy_g_per_mbq_h"] * estimate.tia_bq_s / SECONDS_PER_HOUR)

    golden = compared(
        "kidney, 51 h, three scans: dose", dose("extrapolate", "fitted"), table["dose_gy"], "Gy", table["source"],
        tolerance=2e-4, reason="printed digits", comparison="absolute",
    )  # fmt: skip
    changes = [
        compared(
            f"same, {name.replace('_', ' rule ')}: change of the dose", dose(head, tail) / table["dose_gy"] - 1.0,
            table["rules"][name], "", table["source"], tolerance=6e-4, reason="printed digits", comparison="absolute",
        )
        for name, head, tail in RULES
    ]  # fmt: skip
    return [golden, *changes]


def _exact_mono(bench: Bench, table: Mapping[str, Any]) -> list[Row]:
    return [
        compared(
            f"one exponential of {half_life:g} h through three scans without noise: area",
            fit_curve(sampled(table["scans_h"], [[1.0, half_life]]), bench.nuclide()).tia_bq_s / SECONDS_PER_HOUR,
            area_h([[1.0, half_life]]), "h", "analytic", tolerance=1e-6, reason="the fit's own convergence",
        )
        for half_life in HALF_LIVES_H
    ]  # fmt: skip


def _exact_sums(bench: Bench, table: Mapping[str, Any]) -> list[Row]:
    return [
        compared(
            f"{entry['name']}, two exponentials through {len(entry['times_h'])} scans without noise: area",
            fit_curve(sampled(entry["times_h"], entry["components"]), bench.nuclide(), model="bi").tia_bq_s
            / SECONDS_PER_HOUR,
            area_h(entry["components"]), "h", "analytic", tolerance=1e-3, reason="the fit's own convergence",
        )
        for entry in table["exact"]
    ]  # fmt: skip


def _coverage(bench: Bench, table: Mapping[str, Any]) -> list[Row]:
    """Return the part of noisy curves whose stated 95 % interval holds the true area."""
    components = [[1.0, table["half_life_h"]]]
    truth, exact = sampled(table["scans_h"], components), area_h(components) * SECONDS_PER_HOUR
    random = np.random.default_rng(95)
    held = 0
    for noise in random.standard_normal((COVERAGE_CURVES, truth.time_s.size)):
        noisy = TimeActivityCurve(truth.time_s, truth.activity_bq * (1.0 + COVERAGE_NOISE * noise), None)
        estimate = fit_curve(noisy, bench.nuclide(), relative_error=COVERAGE_NOISE)
        held += abs(estimate.tia_bq_s - exact) <= 1.96 * estimate.tia_sigma_bq_s
    return [
        compared(
            f"true area within the stated 95 % interval, {COVERAGE_CURVES} curves with 5 % noise",
            held / COVERAGE_CURVES, 0.95, "", "definition of the interval", tolerance=0.033,
            reason="three standard errors of a proportion of this many curves", comparison="absolute",
        )
    ]  # fmt: skip


def _bed(table: Mapping[str, Any]) -> list[Row]:
    bed = table["bed"]
    return [
        compared(
            f"BED of {len(doses)} x {doses[0]:g} Gy, 51 h",
            bed_over_cycles(
                doses,
                [table["half_life_h"] * SECONDS_PER_HOUR] * len(doses),
                alpha_beta_gy=bed["alpha_beta_gy"],
                repair_half_life_s=bed["repair_half_life_h"] * SECONDS_PER_HOUR,
            ),
            expected, "Gy", bed["source"], tolerance=6e-4, reason="printed digits", comparison="absolute",
        )
        for doses, expected in bed["cases"]
    ]  # fmt: skip


CHAPTER = Chapter(
    "kinetics",
    "Kinetics and BED",
    "Time-integrated activity of known curves, the effect of what is assumed before the first and after the last "
    "scan, the coverage of the stated uncertainty, and the BED of kidneys.",
    rows,
)
