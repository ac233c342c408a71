"""Time-activity curves from a file, fitted and integrated: the command ``prrt fit``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.errors import RefusalError
from pipeline.files.curve_table import ignored_columns, read_curve_rows
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.kinetics.fitted_band import fitted_values
from pipeline.steps.fit_region import RELATIVE_ERROR, FitFileRequest, Prior, fit_region
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.domain.kinetics import HeadRule, ModelName, TailRule, TiaEstimate
    from pipeline.files.tables import Row

# No region's activity is known to 0.2 % (250 000 counts without any scatter, and scans quantify to some percent):
# percent or relative errors were written as Bq. Project choice.
LEAST_SIGMA = 2e-3


def fit_file(
    path: Path, nuclide_name: str, model: ModelName, head: HeadRule, tail: TailRule, prior: str | None = None
) -> dict[str, Any]:
    """Fit every region's curve in a long CSV or Excel file.

    Parameters
    ----------
    path : Path
        ``region,time_h,activity_bq[,sigma_bq][,cycle]``; hours after the start of the administration, not
        decay-corrected. Rows of a region may stand in any order. With a column ``cycle`` all cycles of a region are
        fitted together (:func:`pipeline.physics.kinetics.hierarchical_fit.fit_cycles`).
    nuclide_name : str
    model, head, tail : str
        As for :func:`pipeline.physics.kinetics.curve_fit.fit_curve`.
    prior : str, optional
        For curves of one point: ``population``, ``haenscheid``, ``madsen`` or a CSV file
        ``region,half_life_h,half_life_sigma_h``. With cycles: ``population`` or a file, about the patient's half-life.

    Returns
    -------
    dict
        ``{"regions": [...], "ignored_columns": [...]}``; regions in the order of the file, an entry per cycle where
        there are cycles; ``SIGMA_DOUBTFUL`` among their flags where a sigma is below 0.2 % of its activity.

    Raises
    ------
    RefusalError
        ``CURVES_INVALID``, and those of :func:`pipeline.steps.fit_region.fit_region`, with the region's name.
    """
    nuclide = load_nuclide(nuclide_name)
    request = FitFileRequest(nuclide, model, head, tail, Prior(prior, nuclide.name))
    documents = []
    rows = read_curve_rows(path)
    for region, cycles in _by_region(rows).items():
        try:
            curves = [_curve(rows) for rows in cycles.values()]
            estimates, common = fit_region(region, curves, request, cycles="" not in cycles)
        except RefusalError as refusal:
            raise RefusalError(
                refusal.code, found=refusal.found, needed=refusal.needed, do=refusal.do, where=f"{path.name}, {region}"
            ) from refusal
        for cycle, curve, estimate in zip(cycles, curves, estimates, strict=True):
            document = _document(region, estimate, curve) | common
            documents.append(document | {"cycle": cycle or None, "points": _points(curve, estimate)})
    return {
        "nuclide": nuclide.name,
        "half_life_s": nuclide.half_life_s,
        "decay_data": nuclide.decay_data,
        "ignored_columns": ignored_columns(rows),
        "regions": documents,
    }


def _by_region(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Return region -> cycle -> rows; the cycle is empty where the file has no such column."""
    groups: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        name, cycle = row.text("region"), row.text("cycle")
        if not name:
            raise row.refusal("region", "no name", "the region's name")
        if "cycle" in row.cells and not cycle:
            raise row.refusal("cycle", "no cycle", "the cycle's number")
        groups.setdefault(name, {}).setdefault(cycle, []).append(row)
    return groups


def _curve(rows: Sequence[Row]) -> TimeActivityCurve:
    ordered = sorted(rows, key=lambda row: row.number("time_h", least=0.0))
    return TimeActivityCurve(
        np.array([row.number("time_h", least=0.0) * SECONDS_PER_HOUR for row in ordered]),
        np.array([row.number("activity_bq") for row in ordered]),
        _sigmas(ordered),
    )


def _sigmas(rows: Sequence[Row]) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    given = [row for row in rows if row.text("sigma_bq")]
    if not given:
        return None
    for row in rows:
        if not row.text("sigma_bq"):
            raise row.refusal("sigma_bq", "no value", "a sigma for every point of the region, or for none")
    return np.array([row.number("sigma_bq", least=0.0) for row in rows])


def _doubts(curve: TimeActivityCurve) -> list[str]:
    doubtful = curve.sigma_bq is not None and (curve.sigma_bq < LEAST_SIGMA * np.abs(curve.activity_bq)).any()
    return ["SIGMA_DOUBTFUL"] if doubtful else []


def _document(region: str, estimate: TiaEstimate, curve: TimeActivityCurve) -> dict[str, Any]:
    return {
        "region": region,
        "model": estimate.model,
        "parameters": dict(estimate.parameters),
        "covariance": np.asarray(estimate.covariance).tolist(),
        "effective_half_life_s": estimate.effective_half_life_s,
        "effective_half_life_sigma_s": estimate.effective_half_life_sigma_s,
        "tia_bq_s": estimate.tia_bq_s,
        "tia_sigma_bq_s": estimate.tia_sigma_bq_s,
        "tia_ci95_bq_s": None if estimate.tia_ci95_bq_s is None else list(estimate.tia_ci95_bq_s),
        "interval_method": estimate.interval_method,
        "tia_nearly_gaussian": estimate.nearly_gaussian,
        "bias_relative": None if estimate.bias_relative is None else list(estimate.bias_relative),
        "bias_correction_bq_s": estimate.bias_correction_bq_s,
        "assumed_fraction": estimate.assumed_fraction,
        "half_life_source": estimate.half_life_source,
        "model_weights": estimate.model_weights,
        "extrapolated_fraction": estimate.extrapolated_fraction,
        "head_rule": estimate.head_rule,
        "tail_rule": estimate.tail_rule,
        "error_model": "sigma_bq of the file"
        if curve.sigma_bq is not None
        else f"{RELATIVE_ERROR:g} of the fitted activity",
        "flags": [*estimate.flags, *_doubts(curve)],
    }


def _points(curve: TimeActivityCurve, estimate: TiaEstimate) -> list[dict[str, Any]]:
    """Return the measured points with the sigma each was weighed with; ``fitted_bq`` is null where none was fitted."""
    fitted = fitted_values(curve.time_s, estimate.model, estimate.parameters)
    assumed = [RELATIVE_ERROR * abs(a if f is None else f) for a, f in zip(curve.activity_bq, fitted, strict=True)]
    sigmas = assumed if curve.sigma_bq is None else curve.sigma_bq
    columns = zip(curve.time_s, curve.activity_bq, sigmas, fitted, strict=True)
    return [
        {"time_s": float(time), "activity_bq": float(activity), "sigma_bq": float(sigma), "fitted_bq": value}
        for time, activity, sigma, value in columns
    ]
