"""The truth of a phantom as the interface's document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sample_dicom import truth
from sample_dicom.plan import by_label, digits
from sample_dicom.scene import region_labels

if TYPE_CHECKING:
    from sample_dicom.plan import Cycle, Plan


def truth_document(plan: Plan) -> dict[str, Any]:
    """Truth of every cycle: volumes from the label map, TIA analytic, dose by deposit sampling."""
    scene = plan.phantom.scene
    parts = [region.parts for region in scene.regions]
    deposits = truth.sample_deposits(plan.labels, plan.drawing_mm, scene.density_by_label, parts, plan.seed)
    centroids = _centroids_lps_mm(plan)
    return {"cycles": [_cycle_truth(plan, cycle, deposits, centroids) for cycle in plan.cycles]}


def _cycle_truth(plan: Plan, cycle: Cycle, deposits: truth.Deposits, centroids: list[list[float]]) -> dict[str, Any]:
    tia = by_label(cycle.curves, lambda c: c.integral())
    dose = deposits.mean_dose_gy(tia)
    regions = []
    for k, region in enumerate(plan.phantom.scene.regions):
        labels = list(region.parts)
        curves = [cycle.curves[p] for p in labels if p in cycle.curves]
        regions.append(
            {
                "name": region.name,
                "laterality": region.laterality,
                "kind": region.kind,
                "volume_ml": digits(deposits.volume_ml[labels].sum()),
                "mass_g": digits((deposits.volume_ml * deposits.density_g_per_cm3)[labels].sum()),
                "centroid_lps_mm": centroids[k],
                "activity_bq": [digits(sum(c.at(cycle.delay_s(s)) for c in curves)) for s in cycle.starts],
                "tia_bq_s": digits(tia[labels].sum()),
                "mean_dose_gy": digits(dose[k]),
            }
        )
    everything = cycle.curves.values()
    return {
        "cycle": cycle.number,
        "administered_at": cycle.administered_at.isoformat(),
        "activity_bq": cycle.administered_bq,
        "acquisition_starts": [s.isoformat() for s in cycle.starts],
        "total_activity_bq": [digits(sum(c.at(cycle.delay_s(s)) for c in everything)) for s in cycle.starts],
        "total_tia_bq_s": digits(tia.sum()),
        "regions": regions,
    }


def _centroids_lps_mm(plan: Plan) -> list[list[float]]:
    """Centroid of each region's voxels."""
    regions = region_labels(plan.phantom.scene, plan.labels)
    used = np.argwhere(regions)
    label = regions[tuple(used.T)]
    found = []
    for region in plan.phantom.scene.regions:
        middle = plan.drawing_grid.to_lps_mm(used[label == region.label].mean(axis=0))
        found.append([round(float(v), 4) + 0.0 for v in middle])
    return found
