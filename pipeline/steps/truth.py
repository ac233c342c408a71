"""A phantom's truth beside what the product found."""

from __future__ import annotations

from typing import Any

from pipeline.units import BQ_PER_GBQ, BQ_PER_MBQ, SECONDS_PER_HOUR

Document = dict[str, Any]


def found_against_true(results: list[Document], truth: Document) -> list[Document]:
    """Return one row per cycle and region that both sides have: activity at the first scan, TIA, dose, sigma.

    Parameters
    ----------
    results : list of dict
        Result documents.
    truth : dict
        ``truth.json`` of a phantom.
    """
    true_cycles = {cycle["cycle"]: cycle for cycle in truth["cycles"]}
    rows = []
    for result in results:
        found = {(region["name"], region["laterality"]): region for region in result["regions"]}
        for true in true_cycles[result["cycle"]]["regions"]:
            region = found.get((true["name"], true["laterality"]))
            if region is not None:
                rows.append(_row(result["cycle"], region, true))
    return rows


def _row(cycle: int, region: Document, true: Document) -> Document:
    return {
        "cycle": cycle,
        "region": f"{region['laterality']} {region['name']}" if region["laterality"] else region["name"],
        "kind": region["kind"],
        "volume_ml": region["volume_ml"],
        "true_volume_ml": true["volume_ml"],
        "activity_mbq": region["activity"][0]["activity_bq"] / BQ_PER_MBQ,
        "true_activity_mbq": true["activity_bq"][0] / BQ_PER_MBQ,
        "tia_gbq_h": region["tia_bq_s"] / BQ_PER_GBQ / SECONDS_PER_HOUR,
        "true_tia_gbq_h": true["tia_bq_s"] / BQ_PER_GBQ / SECONDS_PER_HOUR,
        "dose_gy": region["mean_dose_gy"],
        "dose_sigma_gy": region["mean_dose_sigma_gy"],
        "true_dose_gy": true["mean_dose_gy"],
        "off": region["mean_dose_gy"] / true["mean_dose_gy"] - 1.0,
    }
