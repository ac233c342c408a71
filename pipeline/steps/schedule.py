"""What error of the TIA candidate scan schedules promise, for a patient or a population: ``prrt schedule``."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusalError, require
from pipeline.files.half_life_table import population_prior
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.physics.kinetics.reused_half_life import TWO_CYCLES_LOG_SIGMA
from pipeline.physics.kinetics.scan_schedule import best_added_scan, drawn_truth, expectations, parse_schedule
from pipeline.physics.kinetics.single_scan import patient_prior
from pipeline.steps.fit_outputs import written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.physics.kinetics.scan_schedule import Expectation, Truth
    from pipeline.physics.kinetics.single_scan import HalfLifePrior
    from pipeline.records.store import RecordStore

Document = dict[str, Any]


def schedule_document(
    *, spread: HalfLifePrior, nuclide_name: str, candidates: Sequence[str], relative_error: float, seed: int
) -> Document:
    """Return the expected errors of candidate schedules, best first within each number of scans.

    Parameters
    ----------
    spread : HalfLifePrior
        From :func:`half_life_of`.
    nuclide_name : str
    candidates : sequence of str
        As ``24,96``.
    relative_error : float
    seed : int

    Returns
    -------
    dict
        ``candidates`` (one row per schedule and method), ``best_added_scan`` (per schedule), ``best`` (per number of
        scans).

    Raises
    ------
    RefusalError
        ``SCHEDULE_INVALID``, ``NUCLIDE_UNKNOWN``.
    """
    nuclide = load_nuclide(nuclide_name)
    schedules = list(dict.fromkeys(parse_schedule(text) for text in candidates))
    truth = drawn_truth(spread, nuclide, rate_bounds(nuclide), relative_error, seed)
    rows = [expected for scans in schedules for expected in expectations(scans, truth, spread)]
    return {
        "nuclide": nuclide.name,
        "half_life": {"median_s": spread.median_s, "log_sigma": spread.log_sigma, "source": spread.source},
        "relative_error": relative_error,
        "seed": seed,
        "candidates": [_row(expected, truth) for expected in rows],
        "best": _best(rows),
        "best_added_scan": [asdict(best_added_scan(scans, truth, spread)) for scans in schedules],
    }


def _row(expected: Expectation, truth: Truth) -> Document:
    error = None
    if expected.relative_sigma is not None:
        error = expected.relative_sigma / math.sqrt(2.0 * truth.rate_per_s.size)
    return asdict(expected) | {"relative_sigma_error": error}


def _best(rows: Sequence[Expectation]) -> list[Document]:
    """Return, for each number of scans, the schedule and method with the smallest expected error."""
    best: dict[int, Expectation] = {}
    for row in rows:
        if row.relative_sigma is None:
            continue
        known = best.get(len(row.scans_h))
        if known is None or known.relative_sigma is None or row.relative_sigma < known.relative_sigma:
            best[len(row.scans_h)] = row
    return [
        {"scans": count, "scans_h": list(row.scans_h), "method": row.method, "relative_sigma": row.relative_sigma}
        for count, row in sorted(best.items())
    ]


def half_life_of(
    *, nuclide_name: str, population: str | None, patient: str | None, store: RecordStore | None, region: str
) -> HalfLifePrior:
    """Return the half-life's distribution that the command was asked about: one of population and patient.

    Raises
    ------
    RefusalError
        ``SCHEDULE_SOURCE_INVALID``, ``POPULATION_UNKNOWN``, ``PATIENT_UNKNOWN``, ``HALF_LIFE_MISSING``.
    """
    require(
        (population is None) != (patient is None) and (patient is None) == (store is None),
        "SCHEDULE_SOURCE_INVALID",
        found=f"population {population or 'none'}, patient {'given' if patient else 'none'}, "
        f"records {'given' if store else 'none'}",
        needed="either --population, or --patient with --records",
        do="name one of them",
        where="--population, --patient",
    )
    if population is not None:
        return population_prior(nuclide_name, population)
    if store is None or patient is None:
        raise _without(region, "no record")
    return patient_spread(store, patient, region)


def patient_spread(store: RecordStore, patient: str, region: str) -> HalfLifePrior:
    """Return the patient's own half-life of a region, from the newest cycle that fitted one through two points or more.

    Its spread holds the fit's error and the difference of two cycles. Of paired organs: the geometric mean of both
    sides and the larger error.

    Raises
    ------
    RefusalError
        ``PATIENT_UNKNOWN``, ``HALF_LIFE_MISSING``.
    """
    for version in reversed(store.record(patient).latest_versions):
        fits = [f for f in map(_fitted_half_life, _named(version.document, region)) if f is not None]
        if not fits:
            continue
        median_s = math.exp(sum(math.log(half_life_s) for half_life_s, _ in fits) / len(fits))
        error = max(sigma_s / half_life_s for half_life_s, sigma_s in fits)
        return patient_prior(
            median_s,
            error * median_s,
            f"{region} of the patient's cycle {version.cycle}, with {TWO_CYCLES_LOG_SIGMA:.2f} between two cycles",
        )
    raise _without(region, "no cycle with a fit through two points or more")


def _named(document: Document, region: str) -> list[Document]:
    return [one for one in document["regions"] if one["name"] == region]


def _fitted_half_life(region: Document) -> tuple[float, float] | None:
    curve = region.get("curve") or {}
    sigma_s = curve.get("effective_half_life_sigma_s")
    if sigma_s is None or int(curve.get("fit_points") or 0) < 2 or not region["effective_half_life_s"]:
        return None
    return float(region["effective_half_life_s"]), float(sigma_s)


def _without(region: str, found: str) -> RefusalError:
    return RefusalError(
        "HALF_LIFE_MISSING",
        found=f"{found} for {region}",
        needed="an effective half-life of this patient",
        do="process a cycle with two scans or more, name another --region, or use --population",
        where="--region",
    )


def write_schedule_plot(path: Path, document: Document) -> None:
    """Write the picture of a schedule document (PNG or SVG).

    Raises
    ------
    RefusalError
        ``PLOT_FORMAT_UNKNOWN``, ``OUTPUT_UNWRITABLE``.
    """
    from pipeline.report.curve_figure import require_plot_path, write_figure
    from pipeline.report.schedule_figure import schedule_figure

    require_plot_path(path)
    figure = schedule_figure(document, load_nuclide(document["nuclide"]))
    written(path, lambda: write_figure(figure, path))
