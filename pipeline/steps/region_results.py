"""One region of the result document: activity, TIA, dose with its uncertainty budget, map statistics, BED."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.regions import code_of
from pipeline.physics.dose.dvh import cumulative_dvh
from pipeline.physics.dose.region_dose import region_statistics
from pipeline.physics.kinetics.reused_half_life import shared_fit_relative_sigma
from pipeline.physics.uncertainty.budget import (
    UncertaintyBudget,
    count_slope,
    dose_sigma,
    recovery_slope,
    volume_relative_sigma,
    volume_sensitivity,
)
from pipeline.physics.uncertainty.dose_uncertainty import S_VALUE_RELATIVE_SIGMA
from pipeline.steps.bed_maps import NO_BED, bed_document, bed_region
from pipeline.units import PERCENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.kinetics import TiaEstimate
    from pipeline.domain.maps import DensityMap, DoseMap
    from pipeline.domain.regions import Region, Segmentation
    from pipeline.domain.therapy import CameraProfile, TimePointTiming
    from pipeline.settings import SiteProfile
    from pipeline.steps.integrate import RegionKinetics

Document = dict[str, Any]

# Width of the edge a contour was drawn on [P]: a reader's CT resolves about 1.5 mm (section 3.7: CT about 1-2 mm). The
# automatic method follows a CT averaged to 2.4 mm, lesions the SPECT. With these an automatic diameter has a sigma of
# 1.7 and 2.6 mm; it was off by up to 0.6 and 1.1 mm (rms, phantoms), and by 1 to 2.5 mm on the public anatomies.
CONTOUR_FWHM_MM = {"contours-file": 1.5, "auto": 2.4, "auto-lesion": 4.0}


@dataclass(frozen=True, eq=False)
class RegionResultInput:
    """What one region's entry is made from."""

    kinetics: RegionKinetics
    mean_gy: float
    mass_g: float
    fraction: NDArray[np.float32]
    segmentation: Segmentation
    spect_density: DensityMap
    dose: DoseMap
    timings: Sequence[TimePointTiming]
    fwhm_mm: float | None
    camera: CameraProfile
    site: SiteProfile
    activity_gbq: float
    ledger: Document
    dose_rate_gy_per_s: list[float] | None = None
    sphere: Document | None = None


def region_document(given: RegionResultInput) -> Document:
    """Return one region of the result document."""
    kinetics, region = given.kinetics, given.kinetics.region
    mask = given.segmentation.mask(region)
    volume_ml = float(np.count_nonzero(mask)) * given.segmentation.grid.voxel_volume_ml
    statistics = region_statistics(given.dose.dose_gy, given.spect_density.density_g_per_cm3, given.fraction)
    budget = budget_of(given, volume_ml)
    return (
        _identity(region)
        | {
            "volume_ml": volume_ml,
            "mass_g": given.mass_g,
            "centroid_lps_mm": centroid_lps_mm(mask, given.segmentation),
            "activity": _activity(kinetics, given.timings, activity_relative_sigma(given, volume_ml, budget)),
            "recovery_coefficient": kinetics.recovery_coefficient,
            "effective_half_life_s": kinetics.estimate.effective_half_life_s,
            "tia_bq_s": kinetics.estimate.tia_bq_s,
            "tia_sigma_bq_s": kinetics.estimate.tia_bq_s * activity_relative_sigma(given, volume_ml, budget),
            "mean_dose_gy": given.mean_gy,
            "mean_dose_sigma_gy": budget.sigma_gy,
            "map_mean_dose_gy": statistics.mean_gy,
            "map_standard_deviation_gy": statistics.standard_deviation_gy,
            "d2_gy": statistics.d2_gy,
            "d50_gy": statistics.d50_gy,
            "d98_gy": statistics.d98_gy,
            "dose_rate_gy_per_s": given.dose_rate_gy_per_s,
            "sphere_model": given.sphere,
            "flags": list(kinetics.estimate.flags),
            "uncertainty": budget_document(budget),
            "curve": curve_document(kinetics, len(given.timings)),
            "dvh": dvh_document(given.dose, given.fraction),
            "ledger": given.ledger | _volume_terms(given, volume_ml),
        }
        | bed_document(bed_region(kinetics, given.fraction, given.site), given.mean_gy, given.dose, given.spect_density)
    )


def _volume_terms(given: RegionResultInput, volume_ml: float) -> Document:
    """Return the sigma of the contour's volume and how it reaches the dose, as :func:`budget_of` takes them."""
    curve = given.camera.recovery
    beta = recovery_slope(curve, volume_ml) if curve else 0.0
    fwhm = _contour_fwhm_mm(given.kinetics.region)
    return {
        "volume_relative_sigma": volume_relative_sigma(volume_ml, max(given.segmentation.grid.spacing_mm), fwhm),
        "volume_sensitivity": volume_sensitivity(volume_ml, given.fwhm_mm or 0.0, _coefficient(given), beta),
    }


def _coefficient(given: RegionResultInput) -> float:
    return max(given.kinetics.recovery_coefficient, 1e-3)


def _identity(region: Region) -> Document:
    code = code_of(region.name)
    return {
        "name": region.name,
        "code": {"scheme": code.scheme, "value": code.value, "meaning": code.meaning},
        "laterality": region.laterality,
        "kind": region.kind,
        "host": region.host,
        "method": region.method,
    }


def centroid_lps_mm(mask: NDArray[np.bool_], segmentation: Segmentation) -> list[float] | None:
    """Return the centroid of a mask in LPS mm, or None for an empty one."""
    indices = np.argwhere(mask)
    if indices.size == 0:
        return None
    return [float(v) for v in segmentation.grid.to_lps_mm(indices.mean(axis=0))]


def _contour_fwhm_mm(region: Region) -> float:
    if region.edge_fwhm_mm is not None:
        return region.edge_fwhm_mm
    if region.method == "contours-file":
        return CONTOUR_FWHM_MM["contours-file"]
    return CONTOUR_FWHM_MM["auto-lesion" if region.kind == "lesion" else "auto"]


def budget_of(given: RegionResultInput, volume_ml: float) -> UncertaintyBudget:
    """Return the uncertainty budget of the region's dose (section 3.7 of the specification)."""
    estimate = given.kinetics.estimate
    return dose_sigma(
        given.mean_gy,
        volume_ml=volume_ml,
        contour_spacing_mm=max(given.segmentation.grid.spacing_mm),
        contour_fwhm_mm=_contour_fwhm_mm(given.kinetics.region),
        spect_fwhm_mm=given.fwhm_mm or 0.0,
        curve=given.camera.recovery,
        recovery_coefficient=_coefficient(given),
        calibration_relative_sigma=given.camera.calibration_relative_sigma,
        fit_relative_sigma=estimate.tia_sigma_bq_s / estimate.tia_bq_s if estimate.tia_bq_s > 0 else 0.0,
        s_relative_sigma=S_VALUE_RELATIVE_SIGMA,
        fit_shared_relative_sigma=shared_fit_relative_sigma(estimate),
    )


def activity_relative_sigma(given: RegionResultInput, volume_ml: float, budget: UncertaintyBudget) -> float:
    """Return the relative sigma of the corrected activity: as the dose's, without mass and S value.

    d ln A / d ln v = phi/(2 R) - beta (section 3.7, without kappa).
    """
    curve = given.camera.recovery
    beta = recovery_slope(curve, volume_ml) if curve else 0.0
    slope = count_slope(volume_ml, given.fwhm_mm or 0.0) / (2.0 * _coefficient(given)) - beta
    spread = volume_relative_sigma(
        volume_ml, max(given.segmentation.grid.spacing_mm), _contour_fwhm_mm(given.kinetics.region)
    )
    return math.hypot(budget.calibration, budget.recovery, abs(slope) * spread, budget.fit)


def budget_document(budget: UncertaintyBudget) -> Document:
    """Return the budget as JSON; ``fit_shared`` only where a half-life was reused."""
    reused = {"fit_shared": budget.fit_shared} if budget.fit_shared > 0.0 else {}
    return reused | {
        "calibration": budget.calibration,
        "recovery": budget.recovery,
        "volume": budget.volume,
        "fit": budget.fit,
        "s_value": budget.s_value,
        "correlated_gy": budget.correlated_gy,
        "independent_gy": budget.independent_gy,
    }


def _activity(kinetics: RegionKinetics, timings: Sequence[TimePointTiming], relative_sigma: float) -> list[Document]:
    return [
        {
            "delay_s": timing.delay_s,
            "activity_bq": float(activity),
            "activity_sigma_bq": abs(float(activity)) * relative_sigma,
            "measured_bq": float(measured),
        }
        for timing, activity, measured in zip(timings, kinetics.activity_bq, kinetics.measured_bq, strict=True)
    ]


def curve_document(kinetics: RegionKinetics, points: int) -> Document:
    """Return the fit as JSON; ``mono-last-2`` used the last two points."""
    estimate = kinetics.estimate
    _, rising, last = estimate.model.partition("mono-last-")
    return {
        "model": estimate.model,
        "head_rule": estimate.head_rule,
        "tail_rule": estimate.tail_rule,
        "parameters": {name: float(value) for name, value in estimate.parameters.items()},
        "fit_points": int(last) if rising else points,
        "extrapolated_fraction": estimate.extrapolated_fraction,
        "effective_half_life_sigma_s": estimate.effective_half_life_sigma_s,
    } | _certainty(estimate)


def _certainty(estimate: TiaEstimate) -> Document:
    """Return the interval of the fit, or the bounds of its bias, and what was assumed of the half-life."""
    interval, bias = estimate.tia_ci95_bq_s, estimate.bias_relative
    return (
        {"assumed_fraction": estimate.assumed_fraction}
        | ({"tia_ci95_bq_s": list(interval), "interval_method": estimate.interval_method} if interval else {})
        | ({"bias_relative": list(bias)} if bias else {})
        | ({"bias_correction_bq_s": estimate.bias_correction_bq_s} if estimate.bias_correction_bq_s else {})
        | ({"half_life_source": estimate.half_life_source} if estimate.half_life_source else {})
    )


def dvh_document(dose: DoseMap, fraction: NDArray[np.float32]) -> Document:
    """Return the cumulative dose-volume histogram of the map inside a region."""
    levels_gy, parts = cumulative_dvh(dose.dose_gy, fraction)
    return {"dose_gy": levels_gy.tolist(), "volume_percent": (PERCENT * parts).tolist()}


def remainder_document(
    kinetics: RegionKinetics,
    fraction: NDArray[np.float32],
    density: DensityMap,
    dose: DoseMap,
    timings: Sequence[TimePointTiming],
    calibration_relative_sigma: float,
) -> Document:
    """Return the rest of the body in the field of view; its dose is that of the map (no model, no recovery).

    Its budget holds calibration, fit and S value; what the blur of the regions brings into it is not known.
    """
    statistics = region_statistics(dose.dose_gy, density.density_g_per_cm3, fraction)
    weight = fraction.astype(np.float64)
    voxel_ml = density.grid.voxel_volume_ml
    estimate = kinetics.estimate
    budget = _remainder_budget(kinetics, statistics.mean_gy, calibration_relative_sigma)
    relative = math.hypot(budget.calibration, budget.fit)
    sums = [weight.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    centre = [float(np.average(np.arange(along.size), weights=along)) for along in sums]
    centroid = density.grid.to_lps_mm(centre)
    return (
        _identity(kinetics.region)
        | {
            "volume_ml": float(weight.sum()) * voxel_ml,
            "mass_g": float((weight * density.density_g_per_cm3).sum()) * voxel_ml,
            "centroid_lps_mm": [float(v) for v in centroid],
            "activity": _activity(kinetics, timings, relative),
            "recovery_coefficient": kinetics.recovery_coefficient,
            "effective_half_life_s": estimate.effective_half_life_s,
            "tia_bq_s": estimate.tia_bq_s,
            "tia_sigma_bq_s": estimate.tia_bq_s * relative,
            "mean_dose_gy": statistics.mean_gy,
            "mean_dose_sigma_gy": budget.sigma_gy,
            "map_mean_dose_gy": statistics.mean_gy,
            "d2_gy": statistics.d2_gy,
            "d50_gy": statistics.d50_gy,
            "d98_gy": statistics.d98_gy,
            "dose_rate_gy_per_s": _own_dose_rates(kinetics, statistics.mean_gy),
            "flags": list(estimate.flags),
            "uncertainty": budget_document(budget) | {"recovery": None, "volume": None},
            "curve": curve_document(kinetics, len(timings)),
            "dvh": None,
        }
        | NO_BED
    )


def _remainder_budget(kinetics: RegionKinetics, mean_gy: float, calibration: float) -> UncertaintyBudget:
    estimate = kinetics.estimate
    fit = estimate.tia_sigma_bq_s / estimate.tia_bq_s if estimate.tia_bq_s > 0 else 0.0
    shared = shared_fit_relative_sigma(estimate)
    return UncertaintyBudget(mean_gy, calibration, 0.0, 0.0, fit, S_VALUE_RELATIVE_SIGMA, fit_shared=shared)


def _own_dose_rates(kinetics: RegionKinetics, mean_gy: float) -> list[float] | None:
    """Return the dose rates of a region whose dose is told per decay of its own, from whatever source it comes."""
    tia_bq_s = kinetics.estimate.tia_bq_s
    return [float(a) * mean_gy / tia_bq_s for a in kinetics.activity_bq] if tia_bq_s > 0 else None
