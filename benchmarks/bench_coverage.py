r"""How often the 95 % interval of each kinetic method holds the truth, and its bias, over simulated noisy curves.

    python benchmarks/bench_coverage.py --curves 2000 \
        [--methods mono single hierarchical earlier variation bi average tri]

Half-lives are drawn from the population that the method itself states (the package's log-normal table, cut off at
physical decay; one half-normal spread between cycles for all methods). Noise is normal, a constant part of the true
activity, and the fit is told its size. One line of a Markdown table per row; seconds are those of the whole row.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.domain.kinetics import TiaEstimate, TimeActivityCurve
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.earlier_cycles import EarlierCurves, fit_with_earlier
from pipeline.physics.kinetics.hierarchical_fit import fit_cycles
from pipeline.physics.kinetics.reused_half_life import BETWEEN_CYCLES_LOG_SIGMA
from pipeline.physics.kinetics.single_scan import HalfLifePrior, fit_single_scan, patient_prior
from pipeline.units import SECONDS_PER_HOUR

SEED = 20261124
LU = load_nuclide("Lu-177")
PHYSICAL_H = LU.half_life_s / SECONDS_PER_HOUR
KIDNEY, LESION = (51.0, 0.25), (77.0, 0.41)
THREE, TWO = (24.0, 96.0, 168.0), (24.0, 96.0)
EIGHT = (1.0, 4.0, 8.0, 24.0, 48.0, 96.0, 120.0, 168.0)
TEN = (0.5, 1.0, 2.0, 4.0, 8.0, 24.0, 48.0, 96.0, 120.0, 168.0)
Random = np.random.Generator
Answer = tuple[TiaEstimate, float]
Case = Callable[[Random, float], Answer]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    method: str
    population: str
    case: Case


def half_life_h(rng: Random, population: tuple[float, float], low: float = 10.0, high: float = PHYSICAL_H) -> float:
    """Draw from a log-normal population, cut off."""
    while True:
        drawn = population[0] * math.exp(population[1] * rng.standard_normal())
        if low < drawn < high:
            return float(drawn)


def activity(times_h: tuple[float, ...], parts: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Noise-free sum of (amplitude, half-life in h)."""
    return np.asarray(sum(a * 2.0 ** (-np.array(times_h) / t) for a, t in parts))


def noisy(rng: Random, times_h: tuple[float, ...], parts: list[tuple[float, float]], noise: float) -> TimeActivityCurve:
    """Curve with normal relative noise and no sigmas."""
    values = activity(times_h, parts) * (1.0 + noise * rng.standard_normal(len(times_h)))
    return TimeActivityCurve(np.array(times_h) * SECONDS_PER_HOUR, values, None)


def exact(parts: list[tuple[float, float]]) -> float:
    """TIA in Bq s."""
    return sum(a * t * SECONDS_PER_HOUR / math.log(2.0) for a, t in parts)


def mono(times_h: tuple[float, ...], draw: Callable[[Random], float], *, measured: bool = False) -> Case:
    """One exponential, fitted as one."""

    def case(rng: Random, noise: float) -> Answer:
        parts = [(1e8, draw(rng))]
        curve = noisy(rng, times_h, parts, noise)
        sigma = noise * activity(times_h, parts) if measured else None
        curve = TimeActivityCurve(curve.time_s, curve.activity_bq, sigma)
        return fit_curve(curve, LU, relative_error=noise), exact(parts)

    return case


def washout(rng: Random, phases: int) -> list[tuple[float, float]]:
    """Slow phase of a liver or spleen and faster ones, each half as large to as large."""
    parts = [(1e8, half_life_h(rng, (67.0, 0.31), high=110.0))]
    ranges = [(4.0, 14.0), (0.5, 1.5)]
    for low, high in ranges[: phases - 1]:
        parts.append((1e8 * rng.uniform(0.5, 1.0), float(np.exp(rng.uniform(math.log(low), math.log(high))))))
    return parts


def several(times_h: tuple[float, ...], model: str, phases: Callable[[Random], int]) -> Case:
    """Sums of exponentials."""

    def case(rng: Random, noise: float) -> Answer:
        parts = washout(rng, phases(rng))
        curve = noisy(rng, times_h, parts, noise)
        return fit_curve(curve, LU, model=model, relative_error=noise), exact(parts)  # type: ignore[arg-type]

    return case


def uptake(rng: Random, noise: float) -> Answer:
    """Uptake with 2 to 8 h, fitted by two exponentials."""
    parts = [(1e8, half_life_h(rng, (67.0, 0.31), high=110.0)), (-1e8 * rng.uniform(0.5, 1.0), rng.uniform(2.0, 8.0))]
    return fit_curve(noisy(rng, EIGHT, parts, noise), LU, model="bi", relative_error=noise), exact(parts)


def single(time_h: float, population: tuple[float, float]) -> Case:
    """One scan and the population's half-life."""
    prior = HalfLifePrior(population[0] * SECONDS_PER_HOUR, population[1], "population", "simulated")

    def case(rng: Random, noise: float) -> Answer:
        parts = [(1e8, half_life_h(rng, population))]
        return fit_single_scan(noisy(rng, (time_h,), parts, noise), LU, prior, relative_error=noise), exact(parts)

    return case


def own_half_life(rng: Random, noise: float) -> Answer:
    """One scan at 24 h and the patient's half-life from an earlier cycle of three."""
    patient, spread = half_life_h(rng, KIDNEY), abs(rng.standard_normal()) * BETWEEN_CYCLES_LOG_SIGMA
    earlier, now = (half_life_h(rng, (patient, spread)) for _ in range(2))
    first = fit_curve(noisy(rng, THREE, [(1e8, earlier)], noise), LU, relative_error=noise)
    prior = patient_prior(first.effective_half_life_s, first.effective_half_life_sigma_s, "cycle 1")
    parts = [(1e8, now)]
    return fit_single_scan(noisy(rng, (24.0,), parts, noise), LU, prior, relative_error=noise), exact(parts)


def cycles(*, population: bool, which: int) -> Case:
    """Three cycles, the first with three scans, the others with one at 24 h."""
    prior = HalfLifePrior(KIDNEY[0] * SECONDS_PER_HOUR, KIDNEY[1], "population", "simulated") if population else None

    def case(rng: Random, noise: float) -> Answer:
        patient, spread = half_life_h(rng, KIDNEY), abs(rng.standard_normal()) * BETWEEN_CYCLES_LOG_SIGMA
        all_parts = [[(1e8, half_life_h(rng, (patient, spread)))] for _ in range(3)]
        curves = [noisy(rng, t, p, noise) for t, p in zip((THREE, (24.0,), (24.0,)), all_parts, strict=True)]
        fit = fit_cycles(curves, LU, population=prior, relative_error=noise)
        return fit.cycles[which], exact(all_parts[which])

    return case


def after_two_full(
    *, together: bool, population: tuple[float, float] = KIDNEY, scale: float = BETWEEN_CYCLES_LOG_SIGMA
) -> Case:
    """Two cycles of three scans, then one with 24 h alone: by both, or by the second one's half-life."""

    def case(rng: Random, noise: float) -> Answer:
        patient, spread = half_life_h(rng, population), abs(rng.standard_normal()) * scale
        parts = [[(1e8, half_life_h(rng, (patient, spread)))] for _ in range(3)]
        first, second = (noisy(rng, THREE, one, noise) for one in parts[:2])
        now = noisy(rng, (24.0,), parts[2], noise)
        if together:
            return fit_with_earlier(now, LU, EarlierCurves((first, second), ""), relative_error=noise), exact(parts[2])
        last = fit_curve(second, LU, relative_error=noise)
        prior = patient_prior(last.effective_half_life_s, last.effective_half_life_sigma_s, "cycle 2")
        return fit_single_scan(now, LU, prior, relative_error=noise), exact(parts[2])

    return case


def varying_otherwise() -> list[Row]:
    """Patients who vary less or more between cycles than the methods state."""
    return [
        Row(
            "hierarchical, two full cycles" if together else "single-patient, one full cycle",
            f"{name}, true scale {100 * scale:.0f} %",
            after_two_full(together=together, population=population, scale=scale),
        )
        for name, population in (("kidney", KIDNEY), ("lesion", LESION))
        for scale in (0.05, 0.10, 0.15, 0.20)
        for together in (False, True)
    ]


def rows() -> dict[str, list[Row]]:
    """Return the rows by the word that asks for them."""
    kidney = lambda rng: half_life_h(rng, KIDNEY, high=110.0)  # noqa: E731 - a draw, named once
    lesion = lambda rng: half_life_h(rng, LESION, high=110.0)  # noqa: E731
    beyond = lambda rng: float(rng.uniform(110.0, PHYSICAL_H))  # noqa: E731
    return {
        "mono": [
            Row("mono, 24 + 96 + 168 h", "kidney 51 h (0.25), to 110 h", mono(THREE, kidney)),
            Row("mono, 24 + 96 + 168 h", "lesion 77 h (0.41), to 110 h", mono(THREE, lesion)),
            Row("mono, 24 + 96 + 168 h", "110 h to physical decay", mono(THREE, beyond)),
            Row("mono, measured sigmas", "lesion 77 h (0.41), to 110 h", mono(THREE, lesion, measured=True)),
            Row("mono, 24 + 96 h", "kidney 51 h (0.25), to 110 h", mono(TWO, kidney)),
            Row("mono, 24 + 96 h", "lesion 77 h (0.41), to 110 h", mono(TWO, lesion)),
            Row("mono, 24 + 96 h", "110 h to physical decay", mono(TWO, beyond)),
        ],
        "single": [
            Row("single-population, 24 h", "kidney 51 h (0.25)", single(24.0, KIDNEY)),
            Row("single-population, 96 h", "kidney 51 h (0.25)", single(96.0, KIDNEY)),
            Row("single-population, 96 h", "lesion 77 h (0.41)", single(96.0, LESION)),
            Row("single-patient, 24 h", "kidney, spread half-normal", own_half_life),
        ],
        "hierarchical": [
            Row("hierarchical, cycle 1 (3 scans)", "kidney, flat", cycles(population=False, which=0)),
            Row("hierarchical, cycle 3 (24 h)", "kidney, flat", cycles(population=False, which=2)),
            Row("hierarchical, cycle 3 (24 h)", "kidney, population", cycles(population=True, which=2)),
        ],
        "earlier": [
            Row(
                "hierarchical, 24 h after two full cycles", "kidney, spread half-normal", after_two_full(together=True)
            ),
            Row("single-patient, the same curves", "kidney, spread half-normal", after_two_full(together=False)),
        ],
        "variation": varying_otherwise(),
        "bi": [
            Row("bi, 8 points", "67 h (0.31) to 110 h, and 4-14 h", several(EIGHT, "bi", lambda _: 2)),
            Row("bi, 8 points, uptake", "67 h (0.31) to 110 h, uptake 2-8 h", uptake),
        ],
        "average": [
            Row(
                "auto, 8 points", "half of the curves mono, half bi", several(EIGHT, "auto", lambda r: r.integers(1, 3))
            ),
            Row("average, 8 points", "half mono, half bi", several(EIGHT, "average", lambda r: r.integers(1, 3))),
        ],
        "tri": [Row("tri, 10 points", "67 h (0.31), 4-14 h, 0.5-1.5 h", several(TEN, "tri", lambda _: 3))],
    }


def measured(row: Row, noise: float, curves: int) -> str:
    """Return the row's cells at one noise: coverage, misses below and above, bias in sigmas, seconds."""
    rng = np.random.default_rng(SEED)
    below = above = 0
    errors, started = [], time.perf_counter()
    for _ in range(curves):
        estimate, true = row.case(rng, noise)
        low, high = estimate.tia_ci95_bq_s or (math.nan, math.nan)
        below, above = below + (true < low), above + (true > high)
        errors.append(estimate.tia_bq_s / true - 1.0)
    seconds = time.perf_counter() - started
    covered = 100.0 * (1.0 - (below + above) / curves)
    bias, spread = float(np.mean(errors)), float(np.std(errors))
    return (
        f"| {row.method} | {row.population} | {100 * noise:.0f} % | {covered:.1f} | "
        f"{100 * below / curves:.1f} / {100 * above / curves:.1f} | "
        f"{100 * spread:.1f} | {bias / spread:+.2f} | {seconds:.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    table = rows()
    parser.add_argument("--curves", type=int, default=2000)
    parser.add_argument("--methods", nargs="+", choices=list(table), default=list(table))
    parser.add_argument("--noise", nargs="+", type=float, default=[0.05, 0.10])
    given = parser.parse_args()
    print("| method | half-lives | noise | covered % | truth below / above % | spread % | bias, sigmas | s |")
    print("|---|---|---|---|---|---|---|---|")
    for row in (row for name in given.methods for row in table[name]):
        for noise in given.noise:
            print(measured(row, noise, given.curves), flush=True)


if __name__ == "__main__":
    main()
