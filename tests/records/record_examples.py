"""A result document made by hand in the interface's form, settings, entries, and a filing of them."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from pipeline.domain.provenance import content_hash
from pipeline.records import RecordStore
from pipeline.records.writes import FiledVersion

AT = datetime(2026, 3, 20, 9, 0, tzinfo=UTC)

SETTINGS: dict[str, Any] = {
    "name": "Phantom clinic",
    "camera": {
        "phantom-nm-counts": {
            "match": {"Manufacturer": "PRRT PHANTOM"},
            "calibration_factor_bq_s_per_count": 4.5,
            "calibration_relative_sigma": 0.03,
            "calibrated_on": "2026-01-10",
            "frame_duration_s": 30.0,
            "projections": 120,
            "dead_time_s": 0.0,
            "decay_reference": "none",
            "recovery": "none",
        }
    },
    "ct": {"density_curve": [[-1000.0, 0.00121], [0.0, 1.018], [3000.0, 2.8]]},
    "marrow": {"limit_method": "blood_only", "blood_to_marrow_ratio": 1.0},
    "geometry": {"frame_of_reference": "required"},
}


def region(
    name: str, mean_dose_gy: float, *, mass_g: float = 150.0, laterality: str | None = None, **other: Any
) -> dict[str, Any]:
    """One region of a result; 10 % sigma."""
    filled = {
        "name": name,
        "code": {"scheme": "SCT", "value": "64033007", "meaning": "Kidney"},
        "laterality": laterality,
        "kind": "organ",
        "method": "auto",
        "volume_ml": mass_g / 1.05,
        "mass_g": mass_g,
        "centroid_lps_mm": [0.0, 0.0, 0.0],
        "activity": [],
        "recovery_coefficient": 1.0,
        "effective_half_life_s": 180000.0,
        "tia_bq_s": 1e13,
        "tia_sigma_bq_s": 1e12,
        "mean_dose_gy": mean_dose_gy,
        "mean_dose_sigma_gy": 0.1 * mean_dose_gy,
        "map_mean_dose_gy": mean_dose_gy,
        "d2_gy": mean_dose_gy,
        "d98_gy": mean_dose_gy,
        "bed_gy": mean_dose_gy,
        "flags": [],
    }
    return filled | other


def result(cycle: int = 1, start: str = "2026-03-02T10:00:00+01:00", **other: Any) -> dict[str, Any]:
    """A result document: kidneys 4 Gy (160 g) and 3 Gy (140 g), marrow 0.12 Gy from blood, 7.4 GBq."""
    document = {
        "schema_version": "1.0",
        "patient_key": "phantom-1",
        "cycle": cycle,
        "administration": {"activity_bq": 7.4e9, "start": start, "radionuclide": "Lu-177"},
        "time_points": [{"series_uid": f"1.2.{cycle}", "delay_s": 86400.0, "total_activity_bq": 4e9}],
        "registration": [],
        "regions": [
            region("kidney", 4.0, mass_g=160.0, laterality="left"),
            region("kidney", 3.0, mass_g=140.0, laterality="right"),
            region("liver", 2.0, mass_g=1500.0),
            region("marrow", 0.12, mass_g=1170.0, kind="marrow", method="blood_only"),
        ],
        "second_check": [
            {"region": "kidney_left", "method": "sphere", "mean_dose_gy": 4.0, "difference": 0.0, "tolerance": 0.04,
             "passed": True}
        ],
        "tumour_burden": None,
        "decision": None,
        "flags": [],
        "provenance": {
            "code_version": "0.1.0",
            "settings_hash": content_hash(SETTINGS),
            "inputs": [{"series_uid": f"1.2.{cycle}", "sha256": f"{cycle:064x}"}],
            "engine": "convolution",
            "backend": "cpu",
            "dtype": "float64",
            "decay_data": "ICRP 107",
            "created_at": "2026-03-20T09:00:00+00:00",
        },
    }  # fmt: skip
    return copy.deepcopy(document | other)


LABS = {"date": "2026-04-15", "wbc": 4.2, "granulocytes": 2.4, "platelets": 160.0}
IMAGING = {"date": "2026-04-10", "modality": "CT", "recist": "SD"}


def file_cycle(
    store: RecordStore, document: dict[str, Any] | None = None, key: str = "key-1", at: datetime = AT
) -> FiledVersion:
    """File a document as the process command does."""
    return store.file_cycle(
        document=document or result(), idempotency_key=key, settings=SETTINGS, created_at=at.isoformat()
    )
