"""The ledger of a dose as it stands in a filed result document: only filed values, nothing computed anew.

The document's optional key ``regions[].ledger`` holds what the other keys do not; its ``kind`` says how the dose was
made: ``model`` (source model), ``map`` (mean of the dose map) or ``blood``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusalError
from pipeline.physics.ledger.activity import MeasuredActivity, activity_entries
from pipeline.physics.ledger.chain import Ledger, LedgerEntry
from pipeline.physics.ledger.dose import (
    BloodDose,
    Kinetics,
    ModelDose,
    blood_entries,
    fit_entry,
    map_entries,
    model_entries,
)
from pipeline.physics.quantification.calibration import CalibrationStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    Document = Mapping[str, Any]

# Contours and activity maps lie on the grid of the first time point; only there is the stored image itself summed.
REFERENCE = 0


def ledger_of(document: Document, region: Document) -> Ledger:
    """Return the ledger of one region's mean dose.

    Parameters
    ----------
    document : mapping
        A result document.
    region : mapping
        One of its regions.

    Raises
    ------
    RefusalError
        ``LEDGER_MISSING`` where the document does not hold what a ledger needs.
    """
    filed = _filed(region)
    return Ledger(_entries(document, region, filed), region["mean_dose_gy"], region["mean_dose_sigma_gy"])


def activity_ledger(document: Document, region: Document, index: int) -> tuple[LedgerEntry, ...]:
    """Return the entries from the stored values to the activity of a region at one time point; empty without activity.

    Parameters
    ----------
    document, region
        As for :func:`ledger_of`.
    index : int
        Of the time point.
    """
    point = region["activity"][index]
    if _filed(region)["kind"] == "blood" or point["activity_bq"] == 0.0 or point["measured_bq"] == 0.0:
        return ()
    return activity_entries(_measured(document, region, index))


def _filed(region: Document) -> Document:
    filed: Document | None = region.get("ledger")
    if filed is None or region["mean_dose_gy"] is None or region["mean_dose_sigma_gy"] is None:
        raise _missing("no factors of this dose: it was filed before ledgers were kept, or there is no dose")
    return filed


def _missing(found: str) -> RefusalError:
    return RefusalError(
        "LEDGER_MISSING",
        found=found,
        needed="a result that holds the factors of its doses",
        do="process the cycle again with this version; that files a new version, which is signed anew",
        where="ledger",
    )


def _entries(document: Document, region: Document, filed: Document) -> tuple[LedgerEntry, ...]:
    if filed["kind"] == "blood":
        return blood_entries(_blood(region, filed))
    index = _first_with_activity(region)
    start = (*activity_ledger(document, region, index), fit_entry(_kinetics(region, index)))
    if filed["kind"] == "map":
        s_sigma = (region.get("uncertainty") or {}).get("s_value")
        return (*start, *map_entries(region["tia_bq_s"], region["mass_g"], region["mean_dose_gy"], s_sigma))
    return (*start, *model_entries(_model(document, region, filed)))


def _first_with_activity(region: Document) -> int:
    """Return the first time point whose activity can be divided by: the first one but for a region in its uptake."""
    for index, point in enumerate(region["activity"]):
        if point["activity_bq"] > 0.0 and point["measured_bq"] != 0.0:
            return index
    raise _missing("no time point with activity in this region")


def _measured(document: Document, region: Document, index: int) -> MeasuredActivity:
    point, activity, filed = document["time_points"][index], region["activity"][index], region["ledger"]
    budget = region.get("uncertainty") or {}
    return MeasuredActivity(
        series_uid=point["series_uid"],
        camera_id=point["camera_id"],
        delay_s=point["delay_s"],
        stored_unit=point["stored_unit"],
        stored_sum=filed["stored_sum"] if index == REFERENCE else None,
        voxel_volume_ml=point["voxel_volume_ml"],
        steps=tuple(CalibrationStep(**step) for step in point["calibration_steps"]),
        measured_bq=activity["measured_bq"],
        recovery_coefficient=_recovery(region, index),
        recovery_fwhm_mm=document["provenance"].get("recovery_fwhm_mm"),
        recovery_relative_sigma=budget.get("recovery"),
        contour_method=region.get("delineation") or region["method"],
        calibration_relative_sigma=budget.get("calibration"),
    )


def _recovery(region: Document, index: int) -> float:
    # The coefficient is filed for the first time point of a region; the remainder's says only that it has none.
    coefficient, activity = region["recovery_coefficient"], region["activity"][index]
    filed = index == REFERENCE and region["ledger"]["kind"] == "model" and activity["activity_bq"] > 0.0
    return float(coefficient if filed else activity["measured_bq"] / activity["activity_bq"])


def _kinetics(region: Document, index: int) -> Kinetics:
    curve = region["curve"]
    single = str(curve["model"]).startswith("mono")
    budget = region.get("uncertainty")
    own = region["mean_dose_sigma_gy"] / region["mean_dose_gy"] if region["mean_dose_gy"] > 0.0 else 0.0
    return Kinetics(
        first_activity_bq=region["activity"][index]["activity_bq"],
        tia_bq_s=region["tia_bq_s"],
        relative_sigma=budget["fit"] if budget else own,
        model=curve["model"],
        head_rule=curve["head_rule"],
        tail_rule=curve["tail_rule"],
        points=curve["fit_points"],
        amplitude_bq=curve["parameters"].get("amplitude_bq") if single else None,
        rate_per_s=curve["parameters"].get("rate_per_s") if single else None,
    )


def _model(document: Document, region: Document, filed: Document) -> ModelDose:
    return ModelDose(
        volume_ml=region["volume_ml"],
        mass_g=region["mass_g"],
        electron_mev=filed["electron_mev"],
        photon_mev=filed["photon_mev"],
        electron_fraction=filed["electron_fraction"],
        photon_fraction=filed["photon_fraction"],
        neighbours_gy=filed["neighbours_gy"],
        remainder_gy=filed["remainder_gy"],
        energy_source=f"{document['provenance']['decay_data']} through the dose point kernel",
        s_relative_sigma=region["uncertainty"]["s_value"],
        volume_relative_sigma=filed["volume_relative_sigma"],
        volume_sensitivity=filed["volume_sensitivity"],
        contour_method=region.get("delineation") or region["method"],
    )


def _blood(region: Document, filed: Document) -> BloodDose:
    values = {key: value for key, value in filed.items() if key != "kind"}
    return BloodDose(method=region["method"], **values)
