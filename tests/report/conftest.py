"""A synthetic third cycle: a result document as the interface describes it, and volumes of an ellipsoid patient.

The doses follow one law (mono-exponential, A(t) = A0 2^(-t/T), S = 85.2 mGy g/(MBq h) for 177Lu electrons), so the
numbers of the report are of the right size and agree with one another; the patient does not exist.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.domain.geometry import Grid
from pipeline.domain.regions import code_of
from pipeline.report.volumes import ReportVolumes

HOUR = 3600.0
TIMES_H = (24.2, 96.5, 167.8)
ACTIVITY_BQ = 7.41e9
S_GY_G_PER_BQ_S = 85.2e-3 / 1e6 / HOUR
SPACING_MM = 4.8
SHAPE = (80, 72, 100)
# name, side, kind, centre (x left, y posterior, z superior) in mm, half axes in mm, uptake at t = 0 in % of the
# activity, effective half-life in h, relative sigma of the dose
ORGANS = (
    ("kidney", "left", "organ", (66, 42, -10), (28, 26, 54), 1.9, 51.2, 0.13),
    ("kidney", "right", "organ", (-66, 44, -22), (27, 26, 53), 1.75, 49.1, 0.13),
    ("liver", None, "organ", (-68, -14, 52), (86, 62, 62), 7.2, 66.4, 0.09),
    ("spleen", None, "organ", (104, 34, 62), (26, 36, 46), 2.6, 68.0, 0.11),
    ("marrow", None, "marrow", (0, 64, 0), (17, 15, 150), 0.16, 58.0, 0.24),
    ("aorta", None, "blood", (10, 28, 30), (9, 9, 100), 0.02, 44.0, 0.2),
    ("lesion-1", None, "lesion", (-96, -28, 64), (20, 19, 18), 1.45, 82.5, 0.17),
    ("lesion-2", None, "lesion", (-38, -44, 40), (14, 13, 13), 0.46, 77.3, 0.24),
    ("lesion-3", None, "lesion", (34, -6, -60), (15, 12, 17), 0.52, 71.9, 0.26),
)
ROUTES = {"marrow": "blood_only", "aorta": "contours-file; blood VOI"}


def _volume_ml(axes: tuple[float, float, float]) -> float:
    return 4 / 3 * math.pi * math.prod(axes) / 1000


def _activity(a0_bq: float, half_life_h: float) -> list[dict[str, Any]]:
    wobble = (1.012, 0.985, 1.006)
    values = [a0_bq * 2 ** (-t / half_life_h) * w for t, w in zip(TIMES_H, wobble, strict=True)]
    return [
        {"delay_s": t * HOUR, "activity_bq": a, "activity_sigma_bq": 0.05 * a}
        for t, a in zip(TIMES_H, values, strict=True)
    ]


def _dvh(mean_gy: float) -> dict[str, list[float]]:
    dose = np.linspace(0, 1.9 * mean_gy, 60)
    volume = 100 / (1 + np.exp((dose - mean_gy) / (0.14 * mean_gy)))
    return {"dose_gy": dose.tolist(), "volume_percent": (100 * volume / volume[0]).tolist()}


def _region(organ: tuple[Any, ...]) -> dict[str, Any]:
    name, side, kind, centre, axes, percent, half_life_h, relative = organ
    volume = _volume_ml(axes)
    a0 = ACTIVITY_BQ * percent / 100
    tia = a0 * half_life_h * HOUR / math.log(2)
    dose = None if kind == "blood" else tia * S_GY_G_PER_BQ_S / (1.04 * volume)
    if name == "marrow":
        dose = 0.118
    sigma = None if dose is None else dose * relative
    small = volume < 33.5
    return {
        "name": name,
        "code": vars(code_of(name)).copy(),
        "laterality": side,
        "kind": kind,
        "method": ROUTES.get(name, "contours-file; recovery by geometric transfer matrix; convolution"),
        "volume_ml": volume,
        "mass_g": 1.04 * volume,
        "centroid_lps_mm": [float(c) for c in centre],
        "activity": _activity(a0, half_life_h),
        "recovery_coefficient": None if kind in ("marrow", "blood") else 1 - 1 / (1 + (volume / 3.2) ** 0.9),
        "effective_half_life_s": half_life_h * HOUR,
        "tia_bq_s": tia,
        "tia_sigma_bq_s": 0.06 * tia,
        "mean_dose_gy": dose,
        "mean_dose_sigma_gy": sigma,
        "map_mean_dose_gy": None if dose is None or name == "marrow" else 0.88 * dose,
        "d2_gy": None if dose is None or name == "marrow" else 1.5 * dose,
        "d98_gy": None if dose is None or name == "marrow" else 0.42 * dose,
        "bed_gy": dose * (1 + dose / 2.6 * 2.8 / (2.8 + half_life_h)) if name == "kidney" and dose else None,
        "flags": ["PVE_LIMITED"] if small and kind == "lesion" else [],
        "uncertainty": None if dose is None or sigma is None else _budget(dose, relative, small=small),
        "curve": {
            "model": "mono",
            "head_rule": "extrapolate",
            "tail_rule": "fitted",
            "parameters": {"amplitude_bq": a0, "rate_per_s": math.log(2) / (half_life_h * HOUR)},
            "fit_points": 3,
            "extrapolated_fraction": 1 - 2 ** (-TIMES_H[0] / half_life_h) + 2 ** (-TIMES_H[2] / half_life_h),
        },
        "dvh": None if dose is None or name == "marrow" else _dvh(0.88 * dose),
        "dose_rate_gy_per_s": None if dose is None or name == "marrow" else _rates(dose, half_life_h),
        "sphere_model": _sphere(tia, volume, dose) if kind == "lesion" and dose else None,
        **(_bed_of_voxels(dose) if name == "kidney" and dose else {}),
    }


def _rates(dose: float, half_life_h: float) -> list[float]:
    return [dose * math.log(2) / (half_life_h * HOUR) * 2 ** (-t / half_life_h) for t in TIMES_H]


def _sphere(tia: float, volume: float, dose: float) -> dict[str, float]:
    s = S_GY_G_PER_BQ_S / (1.04 * volume) / 1.023
    return {"s_gy_per_bq_s": s, "mean_dose_gy": s * tia, "difference": dose / (s * tia) - 1}


def _bed_of_voxels(dose: float) -> dict[str, Any]:
    return {
        "bed_parameters": {"alpha_beta_gy": 2.6, "repair_half_life_s": 2.8 * HOUR, "source": "Barone et al. 2005"},
        "bed_map_mean_gy": 0.93 * dose,
        "bed_d2_gy": 1.61 * dose,
        "bed_d50_gy": 0.9 * dose,
        "bed_d98_gy": 0.43 * dose,
    }


def _budget(dose: float, relative: float, *, small: bool) -> dict[str, float]:
    shares = (0.06, 0.3, 0.3, 0.3, 0.04) if small else (0.12, 0.2, 0.3, 0.33, 0.05)
    names = ("calibration", "recovery", "volume", "fit", "s_value")
    budget = {name: relative * math.sqrt(share) for name, share in zip(names, shares, strict=True)}
    correlated = math.sqrt(shares[0] + shares[1] + shares[4])
    independent = math.sqrt(shares[2] + shares[3])
    return budget | {"correlated_gy": dose * relative * correlated, "independent_gy": dose * relative * independent}


def _decision() -> dict[str, Any]:
    return {
        "patient_key": "P-0042",
        "on": "2026-06-24",
        "outcome": "WAIT",
        "activity_gbq": 7.4,
        "reasons": [
            {
                "code": "COUNT_PLATELETS",
                "row": 22,
                "level": "WAIT",
                "text": "platelets 96 x 10^9/L on 2026-06-22, needed above 100",
                "source": "S-07; protocol, blood counts before each cycle",
            },
            {
                "code": "INTERVAL_TOO_SHORT",
                "row": 23,
                "level": "WAIT",
                "text": "40 days since the last cycle, needed at least 42",
                "source": "S-05; protocol, interval 6-8 weeks",
            },
        ],
        "advisories": ["MARROW_VERTEBRAL_TREND: image_vertebra 0.46 Gy is shown, not tested against the limit"],
        "options": ["REDUCE_30_BY_PHYSICIAN_ORDER: 5.18 GBq removes row 22 only", "repeat the counts within 14 days"],
        "cumulative": {
            "kidney_gy": 14.907,
            "kidney_sigma_gy": 1.42,
            "marrow_gy": 0.358,
            "marrow_sigma_gy": 0.082,
            "marrow_method": "blood_only",
        },
        "projected": {
            "kidney_gy": 19.83,
            "kidney_sigma_gy": 1.9,
            "marrow_gy": 0.476,
            "marrow_sigma_gy": 0.11,
        },
        "p_exceed": {"kidney": 6e-9, "marrow": 0.0, "kidney_projected": 0.0476, "marrow_projected": 0.0},
        "earliest_date": "2026-06-26",
        "deadline": "2026-11-15",
        "rule_version": "1",
        "settings_hash": "5f1e0c9d" * 8,
    }


def _flags() -> list[dict[str, Any]]:
    return [
        {
            "code": "PVE_LIMITED",
            "level": "WARN",
            "text": "volume 9.9 mL, recovery 0.73: dose depends strongly on the recovery curve",
            "region": "lesion-2",
        },
        {
            "code": "PVE_LIMITED",
            "level": "WARN",
            "text": "volume 12.8 mL, recovery 0.78: dose depends strongly on the recovery curve",
            "region": "lesion-3",
        },
        {
            "code": "MARROW_SURROGATE",
            "level": "INFO",
            "text": "blood samples at 4 times; cross dose from organs is not included in blood_only",
            "region": "marrow",
        },
        {
            "code": "SCAN_TIME_OFF_PLAN",
            "level": "INFO",
            "text": "second scan 96.5 h after the start, planned 96 h, limit 6 h",
            "region": None,
        },
    ]


def _second_checks() -> list[dict[str, Any]]:
    engine = {f"{o[0]}_{o[1]}" if o[1] else o[0]: _region(o)["mean_dose_gy"] for o in ORGANS}
    rows = (
        ("kidney_left", 0.011, 0.04, True),
        ("kidney_right", 0.006, 0.04, True),
        ("liver", 0.094, 0.08, False),
        ("lesion-1", -0.018, None, True),
    )
    return [
        {
            "region": key,
            "method": "sphere S value",
            "mean_dose_gy": engine[key] / (1 + difference),
            "difference": difference,
            "tolerance": tolerance,
            "passed": passed,
        }
        for key, difference, tolerance, passed in rows
    ]


def _uid(number: int) -> str:
    return f"1.2.826.0.1.3680043.10.511.3.{82650413579 * number}.{4471 + number}.{number}"


def _time_point(number: int, delay_h: float, total_bq: float) -> dict[str, Any]:
    return {
        "series_uid": _uid(number),
        "ct_series_uid": _uid(number + 10),
        "delay_s": delay_h * HOUR,
        "total_activity_bq": total_bq,
        "acquisition_start": f"2026-05-{14 + (number * 3 - 1):02d}T1{number}:32:00+02:00",
        "acquisition_duration_s": 1800.0,
        "camera": "phantom-nm-counts",
        "collimator": "MELP",
        "reconstruction": "OSEM 4i10s, CT attenuation, TEW scatter",
        "dialect": "nm-counts",
        "decay_reference": "none",
        "calibration_id": "phantom-nm-counts 2026-01-10",
        "calibration_factor_bq_s_per_count": 4.5,
    }


@pytest.fixture(scope="session")
def session_document() -> dict[str, Any]:
    """One whole result document; never changed (take ``document``)."""
    return {
        "schema_version": "1.0",
        "patient_key": "P-0042",
        "cycle": 3,
        "administration": {
            "activity_bq": ACTIVITY_BQ,
            "start": "2026-05-15T09:20:00+02:00",
            "radionuclide": "Lu-177",
            "half_life_s": 159.53 * HOUR,
            "prescribed_activity_bq": 7.4e9,
            "measured_activity_bq": 7.46e9,
            "residual_activity_bq": 5.0e7,
            "infusion_duration_s": 1800.0,
            "amino_acids": True,
            "extravasation": None,
            "weight_kg": 74.0,
            "height_cm": 176.0,
            "sex": "female",
        },
        "protocol": {
            "name": "DOSIMETRY_GUIDED",
            "phase": "PRIMARY",
            "kidney_limit_gy": 23.0,
            "marrow_limit_gy": 2.0,
            "kidney_rule": "projected",
            "marrow_limit_method": "blood_only",
            "planned_activity_gbq": 7.4,
        },
        "time_points": [
            _time_point(n + 1, t, a) for n, (t, a) in enumerate(zip(TIMES_H, (1.52e9, 6.6e8, 3.1e8), strict=True))
        ],
        "registration": [
            {"from": 2, "to": 1, "quality": "kidney shift in mm", "value": 2.1, "accepted": True},
            {"from": 3, "to": 1, "quality": "kidney shift in mm", "value": 3.4, "accepted": True},
        ],
        "regions": [_region(organ) for organ in ORGANS],
        "second_check": _second_checks(),
        "tumour_burden": {
            "liver_fraction_percent": 2.8,
            "liver_fraction_sigma_percent": 0.7,
            "category": "<10",
            "points": {"liver": 1, "bone": 0, "lymph_nodes": 1, "peritoneal_pleural": 0},
            "total_points": 2,
            "evidence": {"liver_lesions": 2, "lesion_volume_ml": 38.5, "liver_volume_ml": 1385},
            "confirmed_by": None,
        },
        "decision": _decision(),
        "flags": _flags(),
        "provenance": {
            "code_version": "0.1.0+g3f9a1c2",
            "settings_hash": "5f1e0c9d" * 8,
            "inputs": [{"series_uid": _uid(n), "sha256": f"{n:02x}" * 32} for n in (1, 2, 3, 11, 12, 13)],
            "engine": "convolution",
            "backend": "cpu",
            "dtype": "float32",
            "decay_data": "ICRP 107 (MIRD, 2008)",
            "created_at": "2026-06-24T12:05:00+02:00",
        },
    }


@pytest.fixture
def document(session_document: dict[str, Any]) -> dict[str, Any]:
    """A copy of the result document that a test may change."""
    return copy.deepcopy(session_document)


@pytest.fixture(scope="session")
def history(session_document: dict[str, Any]) -> dict[str, Any]:
    """The record as ``show`` gives it: two cycles before this one, all signed by the physicist."""
    entries = []
    for cycle, (start, scale) in enumerate((("2026-01-19", 1.03), ("2026-03-16", 1.0), ("", 1.0)), start=1):
        result = copy.deepcopy(session_document)
        if start:
            result["cycle"] = cycle
            result["administration"]["start"] = f"{start}T09:05:00+01:00"
            for region in result["regions"]:
                region["mean_dose_gy"] = region["mean_dose_gy"] and scale * region["mean_dose_gy"]
        signed = {
            "role": "physicist",
            "signed_by": "M. Berg",
            "meaning": "I answer for the doses.",
            "reason": "",
            "result_hash": "0" * 64,
            "signed_at": "2026-06-24T10:30:00.000000+00:00",
            "signed_at_local": "2026-06-24T12:30:00+02:00",
        }
        version = {"version": 1, "status": "PHYSICIST_SIGNED", "result": result, "signatures": [signed]}
        entries.append({"cycle": cycle, "status": "PHYSICIST_SIGNED", "version": 1, "versions": [version]})
    return {"patient_key": "P-0042", "as_of": None, "cycles": entries, "labs": [], "imaging": [], "events": []}


@pytest.fixture(scope="session")
def volumes() -> ReportVolumes:
    """CT, SPECT, dose and labels of the ellipsoid patient on a 4.8 mm grid."""
    origin = np.array([-SPACING_MM * (SHAPE[2] - 1) / 2, -SPACING_MM * (SHAPE[1] - 1) / 2, -170.0])
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * SPACING_MM
    affine[:3, 3] = origin
    grid = Grid(SHAPE, affine, "1.2.3")
    points = grid.to_lps_mm(np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1))
    random = np.random.default_rng(7)

    body = _inside(points, (0, 0, 20), (190, 125, 420))
    ct = np.where(body, 20.0, -1000.0)
    ct[body & ~_inside(points, (0, 0, 20), (172, 108, 400))] = -95.0
    for side in (1, -1):
        ct[_inside(points, (88 * side, -4, 170), (66, 82, 82))] = -780.0
    ct[_inside(points, (0, 64, 0), (22, 20, 400))] = 320.0
    labels = np.zeros(SHAPE, dtype=np.int16)
    activity = np.where(body, 1.1e3, 0.0)
    dose = np.where(body, 0.1, 0.0)
    names = {}
    for label, organ in enumerate(ORGANS, start=1):
        name, side, kind, centre, axes, percent, half_life_h, _ = organ
        inside = _inside(points, centre, axes)
        labels[inside] = label
        concentration = ACTIVITY_BQ * percent / 100 * 2 ** (-TIMES_H[0] / half_life_h) / _volume_ml(axes)
        if kind in ("organ", "lesion"):
            activity[inside] = concentration
            dose[inside] = _region(organ)["mean_dose_gy"]
            ct[inside] = 60.0 if name == "liver" else 38.0
        names[label] = name[:1].upper() + name[1:].replace("-", " ") + (f", {side}" if side else "")
    activity = gaussian_filter(activity, 6.0 / SPACING_MM)
    activity = np.clip(activity * random.normal(1, 0.06, SHAPE), 0, None).astype(np.float32)
    dose = np.clip(gaussian_filter(dose, 6.0 / SPACING_MM) * random.normal(1, 0.04, SHAPE), 0, None).astype(np.float32)
    ct = (gaussian_filter(ct, 0.6) + random.normal(0, 14, SHAPE)).astype(np.float32)
    return ReportVolumes(ct, dose, activity, labels, grid, names)


def _inside(points: np.ndarray, centre: tuple[float, ...], axes: tuple[float, ...]) -> np.ndarray:
    return np.asarray((((points - np.array(centre)) / np.array(axes)) ** 2).sum(axis=-1) <= 1)
