"""A patient with filed cycles whose budgets are computed forward from round numbers."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from pipeline.domain.therapy import RecoveryCurve
from pipeline.physics.quantification.recovery import equivalent_fwhm_mm
from pipeline.physics.uncertainty.budget import UncertaintyBudget, dose_sigma
from pipeline.records.store import RecordStore

Document = dict[str, Any]

HOUR_S = 3600.0
DELAYS_S = [24.0 * HOUR_S, 96.0 * HOUR_S, 168.0 * HOUR_S]
ACQUISITION_S = 1800.0
ERROR = 0.04
CALIBRATION, S_VALUE = 0.03, 0.015
CURVE = RecoveryCurve(b_ml=5.0, c=0.9, relative_sigma=0.05)
SETTINGS: Document = {
    "name": "Phantom clinic",
    "camera": {
        "cam": {
            "match": {"Manufacturer": "PRRT PHANTOM"},
            "calibration_factor_bq_s_per_count": 4.5,
            "calibration_relative_sigma": CALIBRATION,
            "calibrated_on": "2026-01-10",
            "dead_time_s": 0.0,
            "recovery": {"model": "logistic", "b_ml": 5.0, "c": 0.9, "relative_sigma": 0.05},
        }
    },
    "ct": {"density_curve": [[-1000.0, 0.00121], [0.0, 1.018], [3000.0, 2.8]]},
    "marrow": {"limit_method": "blood_only", "blood_to_marrow_ratio": 1.0},
    "geometry": {"frame_of_reference": "required"},
    "kinetics": {"relative_error": ERROR},
}


def fit_sigma(half_life_s: float) -> float:
    """Relative sigma of the TIA of three points with a constant relative error, by the straight line through ln A."""
    times = [delay + ACQUISITION_S / 2.0 for delay in DELAYS_S]
    mean = sum(times) / 3.0
    spread = sum((t - mean) ** 2 for t in times)
    return ERROR * math.sqrt(1.0 / 3.0 + (mean - half_life_s / math.log(2.0)) ** 2 / spread)


def budget(dose_gy: float, volume_ml: float, coefficient: float, half_life_s: float) -> UncertaintyBudget:
    return dose_sigma(
        dose_gy,
        volume_ml=volume_ml,
        contour_spacing_mm=2.4,
        contour_fwhm_mm=1.5,
        spect_fwhm_mm=equivalent_fwhm_mm(CURVE),
        curve=CURVE,
        recovery_coefficient=coefficient,
        calibration_relative_sigma=CALIBRATION,
        fit_relative_sigma=fit_sigma(half_life_s),
        s_relative_sigma=S_VALUE,
    )


def region(name: str, dose_gy: float, volume_ml: float, *, side: str | None = None, kind: str = "organ") -> Document:
    half_life_s, coefficient = 51.0 * HOUR_S, 0.9
    parts = budget(dose_gy, volume_ml, coefficient, half_life_s)
    diameter_mm = math.cbrt(6000.0 * volume_ml / math.pi)
    volume_sigma = 3.0 * math.sqrt(2.4**2 / 6.0 + 1.5**2 / (4.0 * math.log(2.0))) / diameter_mm
    return {
        "name": name,
        "laterality": side,
        "kind": kind,
        "method": "contours-file",
        "volume_ml": volume_ml,
        "mass_g": 1.05 * volume_ml,
        "activity": [{"delay_s": delay, "activity_bq": 1e7, "activity_sigma_bq": 1e6} for delay in DELAYS_S],
        "recovery_coefficient": coefficient,
        "effective_half_life_s": half_life_s,
        "tia_bq_s": 1e13,
        "mean_dose_gy": dose_gy,
        "mean_dose_sigma_gy": parts.sigma_gy,
        "flags": [],
        "uncertainty": {
            "calibration": parts.calibration,
            "recovery": parts.recovery,
            "volume": parts.volume,
            "fit": parts.fit,
            "s_value": parts.s_value,
            "correlated_gy": parts.correlated_gy,
            "independent_gy": parts.independent_gy,
        },
        "curve": {
            "model": "mono",
            "head_rule": "extrapolate",
            "tail_rule": "fitted",
            "parameters": {"amplitude_bq": 2e8, "rate_per_s": math.log(2.0) / half_life_s},
            "fit_points": 3,
            "extrapolated_fraction": 0.3,
            "effective_half_life_sigma_s": 3600.0,
        },
        "ledger": {"kind": "model", "volume_relative_sigma": volume_sigma},
    }


def marrow() -> Document:
    own, cross = 1e9 * 1170.0 * 1.15e-14, 0.02
    return region("marrow", own + cross, 1100.0, kind="marrow") | {
        "method": "blood_only",
        "recovery_coefficient": None,
        "mean_dose_sigma_gy": math.hypot(0.05 * own, 0.2 * own, 0.10 * cross),
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
            "s_relative_sigma": 0.2,
        },
    }


def cycle_document(cycle: int, kidney_gy: float) -> Document:
    points = [
        {
            "series_uid": f"1.2.{cycle}.{n}",
            "camera_id": "cam",
            "delay_s": delay,
            "acquisition_duration_s": ACQUISITION_S,
        }
        for n, delay in enumerate(DELAYS_S)
    ]
    return {
        "schema_version": "1.0",
        "patient_key": "phantom-1",
        "cycle": cycle,
        "administration": {
            "activity_bq": 7.4e9,
            "start": f"2026-0{2 * cycle - 1}-02T10:00:00+01:00",
            "radionuclide": "Lu-177",
        },
        "time_points": points,
        "registration": [],
        "regions": [
            region("kidney", kidney_gy, 150.0, side="left"),
            region("kidney", 0.9 * kidney_gy, 160.0, side="right"),
            region("lesion-1", 20.0, 30.0, kind="lesion"),
            marrow(),
        ],
        "second_check": [],
        "tumour_burden": None,
        "decision": None,
        "flags": [],
        "provenance": {
            "inputs": [
                {"series_uid": p["series_uid"], "sha256": f"{cycle}{n}".zfill(64)} for n, p in enumerate(points)
            ],
            "created_at": "2026-03-20T09:00:00+00:00",
        },
    }


def file_cycles(store: RecordStore, kidney_gy: tuple[float, ...]) -> None:
    for cycle, dose_gy in enumerate(kidney_gy, start=1):
        store.file_cycle(
            document=cycle_document(cycle, dose_gy),
            idempotency_key=f"key-{cycle}",
            settings=SETTINGS,
            created_at=datetime(2026, 2 * cycle, 20, 9, 0, tzinfo=UTC).isoformat(),
        )
