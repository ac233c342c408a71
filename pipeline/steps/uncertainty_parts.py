"""From a filed result document to what its uncertainty is simulated from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from pipeline.errors import RefusalError
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.kinetics.curve_areas import area_rule
from pipeline.physics.kinetics.exponential_fit import rate_bounds
from pipeline.physics.kinetics.reused_half_life import filed_shared_fraction
from pipeline.physics.quantification.recovery import equivalent_fwhm_mm
from pipeline.physics.uncertainty.simulation import AsFiled, BloodParts, Refit, RegionParts, ReusedHalfLife
from pipeline.units import GY_PER_BQ_S_PER_MGY_PER_MBQ_S

if TYPE_CHECKING:
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.therapy import CameraProfile
    from pipeline.physics.kinetics.curve_areas import AreaRule
    from pipeline.settings import SiteProfile

Document = dict[str, Any]

ONE_EXPONENTIAL = {"amplitude_bq", "rate_per_s"}
# Models of one scan, and what of the half-life's distribution their TIA is (pipeline.physics.kinetics.single_scan).
REUSED: Final[dict[str, Literal["median", "mean"]]] = {
    "single-madsen-2018": "median",
    "hierarchical": "mean",
    "single-patient": "mean",
    "single-population": "mean",
    "single-file": "mean",
}


def region_key(region: Document) -> str:
    """Return the key of a region: its name, and its side where there is one."""
    return "_".join(filter(None, (region["name"], region["laterality"])))


def _missing(region: Document, what: str) -> RefusalError:
    return RefusalError(
        "BUDGET_MISSING",
        found=f"no {what} filed",
        needed="dose, uncertainty budget and ledger of the region",
        do="process the cycle again with this version",
        where=region_key(region),
    )


def region_parts(document: Document, region: Document, site: SiteProfile, cycle: int) -> RegionParts:
    """Return what one region's dose is simulated from.

    Raises
    ------
    RefusalError
        ``BUDGET_MISSING`` where the document does not hold it.
    """
    budget, ledger = region.get("uncertainty"), region.get("ledger") or {}
    if not region["mean_dose_gy"] or not region["mass_g"]:
        raise _missing(region, "dose")
    if not budget:
        raise _missing(region, "uncertainty budget")
    camera = _camera(document, site)
    has_volume = bool(budget["volume"])
    if has_volume and "volume_relative_sigma" not in ledger:
        raise _missing(region, "sigma of the volume (ledger)")
    recovery = camera.recovery if camera and budget["recovery"] is not None else None
    return RegionParts(
        key=region_key(region),
        cycle=cycle,
        dose_gy=float(region["mean_dose_gy"]),
        mass_g=float(region["mass_g"]),
        calibration_sigma=float(budget["calibration"]),
        s_value_sigma=float(budget["s_value"]),
        volume_sigma=float(ledger["volume_relative_sigma"]) if has_volume else 0.0,
        volume_ml=float(region["volume_ml"]),
        recovery=recovery,
        recovery_coefficient=float(region["recovery_coefficient"]),
        spect_fwhm_mm=equivalent_fwhm_mm(recovery) if recovery else 0.0,
        fit=_fit(document, region, site),
    )


def blood_parts(region: Document, cycle: int) -> BloodParts:
    """Return what a marrow dose by blood is simulated from."""
    ledger = region["ledger"]
    cross_gy = float(ledger["cross_gy"])
    per_bq_s = ledger["self_s_mgy_per_mbq_s"] * GY_PER_BQ_S_PER_MGY_PER_MBQ_S
    mass = ledger["reference_g"] * ledger["ratio"] / ledger["blood_density_g_per_ml"]
    return BloodParts(
        cycle=cycle,
        self_gy=ledger["tia_bq_s_per_ml"] * per_bq_s * mass,
        cross_gy=cross_gy,
        tia_sigma=ledger["tia_relative_sigma"],
        s_value_sigma=ledger["s_relative_sigma"],
        cross_sigma=ledger["cross_relative_sigma"],
    )


def _camera(document: Document, site: SiteProfile) -> CameraProfile | None:
    # The budget stands on the first time point's camera.
    camera_id = document["time_points"][0].get("camera_id")
    return next((camera for camera in site.cameras if camera.camera_id == camera_id), None)


def _fit(document: Document, region: Document, site: SiteProfile) -> Refit | ReusedHalfLife | AsFiled:
    """Return how the curve is refitted: one exponential through its points, or a reused half-life; else as filed."""
    curve, times = region.get("curve") or {}, _middles_s(document, region)
    filed = AsFiled(float(region["uncertainty"]["fit"] or 0.0))
    # A poor fit's sigma is widened by its own scatter, which the stated error of the scans does not draw again.
    if set(curve.get("parameters", {})) != ONE_EXPONENTIAL or "FIT_POOR" in region["flags"]:
        return filed
    used, model = int(curve["fit_points"]), str(curve["model"])
    if model in REUSED and len(times) == 1:
        return _reused(document, region, site, times[0])
    # Where measured points stand in for a rising start, the TIA is more than its exponential.
    whole = used == len(times) or curve["head_rule"] == "extrapolate"
    if not (model == "mono" or model.startswith("mono-last-")) or used < 2 or not whole:
        return filed
    return Refit(
        time_s=tuple(times[-used:]),
        amplitude_bq=curve["parameters"]["amplitude_bq"],
        rate_per_s=curve["parameters"]["rate_per_s"],
        relative_error=site.relative_error_without_sigma,
        rule=_rule(curve, times, len(times) - used, _nuclide(document, site)),
        bounds=rate_bounds(_nuclide(document, site)),
    )


def _reused(document: Document, region: Document, site: SiteProfile, time_s: float) -> ReusedHalfLife:
    curve, budget, half_life_s = region["curve"], region["uncertainty"], float(region["effective_half_life_s"])
    nuclide = _nuclide(document, site)
    return ReusedHalfLife(
        time_s=time_s,
        half_life_s=half_life_s,
        half_life_log_sigma=float(curve["effective_half_life_sigma_s"]) / half_life_s,
        relative_error=site.relative_error_without_sigma,
        rule=_rule(curve, [time_s], 0, nuclide),
        bounds=rate_bounds(nuclide),
        filed=REUSED[str(curve["model"])],
        shared_fraction=filed_shared_fraction(
            float(budget["fit"] or 0.0),
            float(budget.get("fit_shared") or 0.0),
            float(curve.get("assumed_fraction") or 0.0),
        ),
    )


def _rule(curve: Document, times: list[float], first: int, nuclide: Radionuclide) -> AreaRule:
    return area_rule(
        np.asarray(times),
        first,
        head_rule=curve["head_rule"],
        tail_rule=curve["tail_rule"],
        decay_constant_per_s=nuclide.decay_constant_per_s,
    )


def _middles_s(document: Document, region: Document) -> list[float]:
    durations = [float(point.get("acquisition_duration_s") or 0.0) for point in document["time_points"]]
    points = region["activity"]
    return [float(point["delay_s"]) + durations[index] / 2.0 for index, point in enumerate(points)]


def _nuclide(document: Document, site: SiteProfile) -> Radionuclide:
    return load_nuclide(document["administration"]["radionuclide"], site.decay_data)
