"""A phantom's truth beside what the product found."""

from __future__ import annotations

import math
from typing import Any

from pipeline.units import BQ_PER_GBQ, BQ_PER_MBQ, SECONDS_PER_HOUR

Document = dict[str, Any]

SAME_LESION_MM = 15.0


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
        for true in true_cycles[result["cycle"]]["regions"]:
            region = _counterpart(true, result["regions"])
            if region is not None:
                rows.append(_row(result["cycle"], region, true))
    return rows


def _counterpart(true: Document, regions: list[Document]) -> Document | None:
    """Return the region found for a true one: a lesion by its place (numbers may differ), others by name and side."""
    if true["kind"] != "lesion":
        same = (r for r in regions if r["name"] == true["name"] and r["laterality"] == true["laterality"])
        return next(same, None)
    lesions = [region for region in regions if region["kind"] == "lesion"]
    distances = [math.dist(region["centroid_lps_mm"], true["centroid_lps_mm"]) for region in lesions]
    if not distances or min(distances) > SAME_LESION_MM:
        return None
    return lesions[distances.index(min(distances))]


def _row(cycle: int, region: Document, true: Document) -> Document:
    return {
        "cycle": cycle,
        "region": f"{true['laterality']} {true['name']}" if true["laterality"] else true["name"],
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
