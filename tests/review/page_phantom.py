"""A patient with asymmetric marks: kidneys of different dose, a bright bone mark in front, above and to the right.

Stored in two ways, as a radiological row order gives it and with all three axes the other way round: what a page shows
must not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter

from pipeline.domain.geometry import Grid
from pipeline.review.page import PageVolumes

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOUR = 3600.0
TIMES_H = (24.0, 96.0, 168.0)
HALF_LIFE_H = 50.0
SPECT_MM = 4.8
SHAPE = (40, 56, 72)
# name, side, centre in LPS mm, half width of a cube in mm, dose in Gy, label
MARKS: tuple[tuple[str, str | None, tuple[float, float, float], float, float, int], ...] = (
    ("kidney", "left", (62.4, 24.0, -9.6), 20.0, 5.0, 1),
    ("kidney", "right", (-43.2, 28.8, -28.8), 16.0, 3.5, 2),
    ("lesion-1", None, (-33.6, -38.4, 43.2), 10.0, 9.0, 11),
)
BONE_LPS_MM = (-81.6, -48.0, 57.6)


@dataclass(frozen=True)
class Phantom:
    """The volumes as they are given to the page, with their grids."""

    volumes: PageVolumes
    document: dict[str, Any]

    def value_at(self, name: str, place_ras_mm: tuple[float, float, float]) -> float:
        """Return the given value of the voxel that holds a position, by this project's own geometry."""
        values, grid = self.array(name)
        place_lps_mm = np.array(place_ras_mm) * (-1, -1, 1)
        z, y, x = (int(i) for i in np.rint(grid.to_index(place_lps_mm)))
        return float(values[z, y, x])

    def array(self, name: str) -> tuple[NDArray[Any], Grid]:
        """Return a volume of the page by its name."""
        given = self.volumes
        if name.startswith("activity-"):
            return np.asarray(given.activities_bq_per_ml[int(name.split("-")[1]) - 1]), given.grid
        return {
            "ct": (np.asarray(given.ct_hu), given.grid_of_ct),
            "dose": (np.asarray(given.dose_gy), given.grid),
            "labels": (np.asarray(given.labels), given.grid_of_labels),
        }[name]


def _grid(shape: tuple[int, int, int], spacing_mm: float, *, turned: bool) -> Grid:
    sign = -1.0 if turned else 1.0
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = sign * spacing_mm
    extent = np.array(shape[::-1]) * spacing_mm
    affine[:3, 3] = -sign * (extent - spacing_mm) / 2
    affine[3, 3] = 1.0
    return Grid(shape, affine, "1.2.3")


def _places(grid: Grid) -> NDArray[np.float64]:
    return grid.to_lps_mm(np.moveaxis(np.indices(grid.shape), 0, -1))


def _cube(places: NDArray[np.float64], centre: tuple[float, float, float], half_mm: float) -> NDArray[np.bool_]:
    return np.asarray((np.abs(places - np.array(centre)) < half_mm).all(axis=-1))


def asymmetric_volumes(*, turned: bool) -> PageVolumes:
    grid = _grid(SHAPE, SPECT_MM, turned=turned)
    fine = _grid((2 * SHAPE[0], 2 * SHAPE[1], 2 * SHAPE[2]), SPECT_MM / 2, turned=turned)
    noise = np.random.default_rng(5)
    places, fine_places = _places(grid), _places(fine)
    body = ((fine_places[..., 0] / 125) ** 2 + (fine_places[..., 1] / 85) ** 2) < 1
    ct = np.where(body, 40, -1000) + noise.integers(-8, 9, fine.shape)
    ct[_cube(fine_places, BONE_LPS_MM, 12.0)] = 1200
    labels = np.zeros(fine.shape, dtype=np.int16)
    dose = 0.02 * noise.random(grid.shape)
    for _, _, centre, half_mm, dose_gy, label in MARKS:
        labels[_cube(fine_places, centre, half_mm)] = label
        inside = _cube(places, centre, half_mm)
        dose[inside] = dose_gy * (1 + 0.05 * noise.standard_normal(int(inside.sum())))
    activities = tuple((2e5 * dose * 2 ** (-t / HALF_LIFE_H)).astype(np.float32) for t in TIMES_H)
    names = {label: f"{name}_{side}" if side else name for name, side, _, _, _, label in MARKS}
    return PageVolumes(ct.astype(np.int16), dose.astype(np.float32), activities, labels, grid, names, fine, fine)


def _region(mark: tuple[Any, ...]) -> dict[str, Any]:
    name, side, centre, half_mm, dose_gy, _ = mark
    volume = (2 * half_mm) ** 3 / 1000
    rate = np.log(2) / (HALF_LIFE_H * HOUR)
    amplitude = 2e5 * dose_gy * volume
    return {
        "name": name,
        "code": {"scheme": "SCT", "value": "64033007", "meaning": "Kidney"},
        "laterality": side,
        "kind": "organ" if side else "lesion",
        "method": "contours-file",
        "volume_ml": volume,
        "mass_g": 1.05 * volume,
        "centroid_lps_mm": list(centre),
        "activity": [
            {
                "delay_s": t * HOUR,
                "activity_bq": float(amplitude * np.exp(-rate * t * HOUR)),
                "activity_sigma_bq": float(0.05 * amplitude * np.exp(-rate * t * HOUR)),
            }
            for t in TIMES_H
        ],
        "recovery_coefficient": 0.8,
        "effective_half_life_s": HALF_LIFE_H * HOUR,
        "tia_bq_s": float(amplitude / rate),
        "tia_sigma_bq_s": float(0.06 * amplitude / rate),
        "mean_dose_gy": dose_gy,
        "mean_dose_sigma_gy": 0.1 * dose_gy,
        "map_mean_dose_gy": 0.97 * dose_gy,
        "d2_gy": 1.1 * dose_gy,
        "d98_gy": 0.9 * dose_gy,
        "bed_gy": None,
        "flags": [],
        "curve": {
            "model": "mono",
            "head_rule": "extrapolate",
            "tail_rule": "fitted",
            "parameters": {"amplitude_bq": float(amplitude), "rate_per_s": float(rate)},
            "fit_points": 3,
            "extrapolated_fraction": 0.35,
        },
        "dvh": {"dose_gy": [0.0, 0.9 * dose_gy, 1.1 * dose_gy], "volume_percent": [100.0, 98.0, 2.0]},
    }


def _decision() -> dict[str, Any]:
    reasons = (
        ("COUNT_PLATELETS", 22, "WAIT", "platelets 96 x 10^9/L, needed above 100", "S-07; protocol, blood counts"),
        ("INTERVAL_TOO_SHORT", 23, "WAIT", "40 days since the last cycle, needed at least 42", "S-05; protocol"),
    )
    return {
        "patient_key": "P-1",
        "on": "2026-04-13",
        "outcome": "WAIT",
        "activity_gbq": 7.4,
        "reasons": [dict(zip(("code", "row", "level", "text", "source"), reason, strict=True)) for reason in reasons],
        "advisories": ["an advisory"],
        "options": ["an option"],
        "cumulative": {
            "kidney_gy": 9.5,
            "kidney_sigma_gy": 0.9,
            "marrow_gy": 0.2,
            "marrow_sigma_gy": 0.04,
            "marrow_method": "blood_only",
            "kidney_limit_gy": 23.0,
            "marrow_limit_gy": 2.0,
        },
        "projected": {"kidney_gy": 13.5, "kidney_sigma_gy": 1.3, "marrow_gy": 0.3, "marrow_sigma_gy": 0.06},
        "p_exceed": {"kidney": 0.0, "marrow": 0.0, "kidney_projected": 1e-9, "marrow_projected": 0.0},
        "earliest_date": "2026-04-15",
        "deadline": "2026-09-02",
        "rule_version": "1",
        "settings_hash": "ab" * 32,
        "protocol": "DOSIMETRY_GUIDED",
        "phase": "PRIMARY",
        "protocol_recorded": False,
    }


def result_document() -> dict[str, Any]:
    return {
        "schema_version": "1.0",
        "patient_key": "P-1",
        "cycle": 2,
        "administration": {"activity_bq": 7.4e9, "start": "2026-03-02T10:00:00+01:00", "radionuclide": "Lu-177"},
        "time_points": [
            {"series_uid": f"1.2.{n}", "delay_s": t * HOUR, "total_activity_bq": 1e9 * 2 ** (-t / HALF_LIFE_H)}
            for n, t in enumerate(TIMES_H, start=1)
        ],
        "registration": [
            {"from": "1.2.2", "to": "1.2.1", "quality": "correlation of CT numbers", "value": 0.99, "accepted": True}
        ],
        "regions": [_region(mark) for mark in MARKS],
        "second_check": [
            {
                "region": "kidney_left",
                "method": "S value scaled to the mass",
                "mean_dose_gy": 4.6,
                "difference": 0.087,
                "tolerance": 0.04,
                "passed": False,
            }
        ],
        "tumour_burden": None,
        "decision": _decision(),
        "flags": [
            {"code": "PVE_LIMITED", "level": "WARN", "text": "volume 8 mL, recovery 0.62", "region": "lesion-1"},
            {"code": "SECOND_CHECK_FAILED", "level": "BLOCK", "text": "8.7 %, tolerance 4 %", "region": "kidney_left"},
            {"code": "SCAN_TIME_OFF_PLAN", "level": "INFO", "text": "second scan 96.5 h", "region": None},
        ],
        "provenance": {
            "code_version": "0.1.0",
            "settings_hash": "ab" * 32,
            "inputs": [{"series_uid": "1.2.1", "sha256": "cd" * 32}],
            "engine": "convolution",
            "backend": "cpu",
            "dtype": "float32",
            "decay_data": "ICRP-107",
            "created_at": "2026-03-10T10:00:00+00:00",
        },
    }


def realistic_volumes() -> PageVolumes:
    """Volumes of the size of a real cycle, as noisy: SPECT 128 x 128 x 90 at 4.8 mm, CT averaged to 2.4 mm.

    The patient is wide (460 x 300 mm); CT noise of 15 HU is that of a low-dose CT after averaging, and the relative
    noise of a SPECT voxel is taken as 30 %.
    """
    noise = np.random.default_rng(3)
    grid = _axial((90, 128, 128), 4.8)
    fine = _axial((180, 256, 256), 2.4)
    y, x = (grid.to_lps_mm([[0, i, i] for i in range(256)])[:, axis] / 2 for axis in (1, 0))
    body = (x[None, :] / 230) ** 2 + (y[:, None] / 150) ** 2 < 1
    ct = np.where(body, 40.0, -1000.0) + np.where(body, 15.0, 2.0) * noise.standard_normal(fine.shape, dtype=np.float32)
    coarse = body[::2, ::2] * np.ones((90, 1, 1))
    dose = coarse * gaussian_filter(noise.random(grid.shape, dtype=np.float32), 4) * 3
    dose *= 1 + 0.3 * noise.standard_normal(grid.shape, dtype=np.float32)
    dose = np.abs(dose).astype(np.float32)
    labels = np.zeros(fine.shape, dtype=np.int16)
    labels[80:120, 130:160, 160:185] = 1
    activities = tuple((dose * factor).astype(np.float32) for factor in (2.1e5, 0.9e5, 0.4e5))
    return PageVolumes(np.rint(ct).astype(np.int16), dose, activities, labels, grid, {1: "kidney_left"}, fine, fine)


def _axial(shape: tuple[int, int, int], spacing_mm: float) -> Grid:
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = spacing_mm
    affine[:3, 3] = -(np.array(shape[::-1]) - 1) * spacing_mm / 2
    affine[3, 3] = 1.0
    return Grid(shape, affine, "1.2.3")
