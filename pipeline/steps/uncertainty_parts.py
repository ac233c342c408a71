"""From a filed result document to what its uncertainty is simulated from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import RefusalError
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.curve_areas import area_rule
from pipeline.physics.exponential_fit import rate_bounds
from pipeline.physics.recovery import equivalent_fwhm_mm
from pipeline.physics.uncertainty_simulation import AsFiled, BloodParts, Refit, RegionParts, ReusedHalfLife
from pipeline.units import GY_PER_BQ_S_PER_MGY_PER_MBQ_S

if TYPE_CHECKING:
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.therapy import CameraProfile
    from pipeline.settings import SiteProfile

Document = dict[str, Any]

ONE_EXPONENTIAL = {"amplitude_bq", "rate_per_s"}


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
    curve, error = region.get("curve") or {}, site.relative_error_without_sigma
    times = _middles_s(document, region)
    filed = AsFiled(float(region["uncertainty"]["fit"] or 0.0))
    if set(curve.get("parameters", {})) != ONE_EXPONENTIAL:
        return filed
    used = int(curve["fit_points"])
    if curve["model"] == "mono-prior" and len(times) == 1:
        half_life_s = float(region["effective_half_life_s"])
        spread = float(curve["effective_half_life_sigma_s"]) / half_life_s
        return ReusedHalfLife(times[0], half_life_s, spread, error)
    # Where measured points stand in for a rising start, the TIA is more than its exponential.
    whole = used == len(times) or curve["head_rule"] == "extrapolate"
    refitted = curve["model"] == "mono" or str(curve["model"]).startswith("mono-last-")
    if not refitted or used < 2 or not whole:
        return filed
    nuclide = _nuclide(document, site)
    rule = area_rule(
        np.asarray(times),
        len(times) - used,
        head_rule=curve["head_rule"],
        tail_rule=curve["tail_rule"],
        decay_constant_per_s=nuclide.decay_constant_per_s,
    )
    parameters = curve["parameters"]
    return Refit(
        tuple(times[-used:]), parameters["amplitude_bq"], parameters["rate_per_s"], error, rule, rate_bounds(nuclide)
    )


def _middles_s(document: Document, region: Document) -> list[float]:
    durations = [float(point.get("acquisition_duration_s") or 0.0) for point in document["time_points"]]
    points = region["activity"]
    return [float(point["delay_s"]) + durations[index] / 2.0 for index, point in enumerate(points)]


def _nuclide(document: Document, site: SiteProfile) -> Radionuclide:
    return load_nuclide(document["administration"]["radionuclide"], site.decay_data)
