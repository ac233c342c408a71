"""A result document with round numbers, computed forward by plain arithmetic: counts to Gy in three regions."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest

Document = dict[str, Any]

GY_G_PER_MEV = 1.602176634e-10  # CODATA: 1.602176634e-13 J/MeV over 1e-3 kg/g
STEPS = (
    ("count_rate", 1.0 / 3600.0, "counts/s", 0.0),  # 20 s x 180 projections
    ("dead_time", 1.02, "counts/s", 0.0),
    ("calibration", 12500.0, "Bq", 0.03),
    ("voxel_volume", 10.0, "Bq/mL", 0.0),  # 0.1 mL
    ("decay_to_acquisition_start", 1.0016, "Bq/mL", 0.0),
)
BUDGET = {"calibration": 0.03, "recovery": 0.05, "volume": 0.06, "fit": 0.04, "s_value": 0.015}


def _time_point(number: int) -> Document:
    steps = [
        {"name": n, "factor": f, "unit": u, "relative_sigma": s, "source": f"source of {n}"} for n, f, u, s in STEPS
    ]
    return {
        "series_uid": f"1.2.{number}",
        "camera_id": "cam",
        "delay_s": 86400.0 * number,
        "total_activity_bq": 1e9,
        "stored_unit": "counts",
        "voxel_volume_ml": 0.1,
        "calibration_steps": steps,
    }


def _kidney() -> Document:
    """3.6e6 counts: 1000 counts/s, 12.5 MBq x 1.02 x 1.0016 = 12.7704 MBq measured, 15.963 MBq at R = 0.8."""
    measured, tia = 12.7704e6, 15.963e6 * 3.0e5
    own = tia * (0.148 * 0.99 + 0.035 * 0.09) * GY_G_PER_MEV / 150.0
    dose = own + 0.02 + 0.005
    return {
        "name": "kidney",
        "laterality": "left",
        "kind": "organ",
        "method": "contours-file",
        "volume_ml": 143.0,
        "mass_g": 150.0,
        "activity": [
            {"delay_s": 86400.0, "activity_bq": 15.963e6, "activity_sigma_bq": 1e6, "measured_bq": measured},
            {"delay_s": 172800.0, "activity_bq": 6.0e6, "activity_sigma_bq": 4e5, "measured_bq": 4.8e6},
        ],
        "recovery_coefficient": 0.8,
        "tia_bq_s": tia,
        "mean_dose_gy": dose,
        "mean_dose_sigma_gy": dose * math.hypot(*BUDGET.values()),
        "flags": [],
        "uncertainty": BUDGET | {"correlated_gy": 0.1, "independent_gy": 0.1},
        "curve": {
            "model": "mono",
            "head_rule": "constant",
            "tail_rule": "fitted",
            "parameters": {"amplitude_bq": 22.0e6, "rate_per_s": 4.0e-6},
            "fit_points": 2,
        },
        "ledger": {
            "kind": "model",
            "stored_sum": 3.6e6,
            "electron_mev": 0.148,
            "photon_mev": 0.035,
            "electron_fraction": 0.99,
            "photon_fraction": 0.09,
            "neighbours_gy": 0.02,
            "remainder_gy": 0.005,
            "volume_relative_sigma": 0.1,
            "volume_sensitivity": -0.6,
        },
    }


def _remainder(kidney: Document) -> Document:
    return kidney | {
        "name": "remainder",
        "laterality": None,
        "kind": "remainder",
        "method": "body-less-regions",
        "recovery_coefficient": 1.0,
        "mean_dose_gy": 0.2,
        "mean_dose_sigma_gy": 0.2 * 0.03,
        "uncertainty": None,
        "ledger": {"kind": "map", "stored_sum": 3.6e6},
    }


def _marrow(kidney: Document) -> Document:
    """1.06e9 Bq s/mL of blood: 1e9 Bq s/g, 1.17e12 Bq s in 1170 g, 0.013455 Gy at 1.15e-5 mGy/(MBq s), + 0.02 Gy."""
    own, cross = 1e9 * 1170.0 * 1.15e-14, 0.02
    return kidney | {
        "name": "marrow",
        "laterality": None,
        "kind": "marrow",
        "method": "blood_only",
        "recovery_coefficient": None,
        "mean_dose_gy": own + cross,
        "mean_dose_sigma_gy": math.hypot(0.05 * own, 0.015 * own, 0.10 * cross),
        "uncertainty": None,
        "curve": None,
        "ledger": {
            "kind": "blood",
            "tia_bq_s_per_ml": 1.06e9,
            "tia_relative_sigma": 0.05,
            "ratio": 1.0,
            "self_s_mgy_per_mbq_s": 1.15e-5,
            "reference_g": 1170.0,
            "blood_density_g_per_ml": 1.06,
            "cross_gy": cross,
            "cross_relative_sigma": 0.10,
            "s_relative_sigma": 0.015,
        },
    }


@pytest.fixture
def document() -> Document:
    """Return a result document, as far as a ledger needs one."""
    kidney = _kidney()
    return copy.deepcopy(
        {
            "patient_key": "phantom-9",
            "cycle": 1,
            "administration": {"activity_bq": 7.4e9},
            "time_points": [_time_point(1), _time_point(2)],
            "regions": [kidney, kidney | {"laterality": "right"}, _remainder(kidney), _marrow(kidney)],
            "second_check": [{"region": "kidney_left", "mean_dose_gy": 0.77, "difference": 0.01, "method": "m"}],
            "flags": [],
            "provenance": {
                "recovery_fwhm_mm": 13.0,
                "decay_data": "ICRP-107",
                "code_version": "0",
                "settings_hash": "h",
            },
        }
    )
