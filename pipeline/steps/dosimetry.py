"""Absorbed doses of one cycle: the voxel map, the regions, the second check, the marrow and what is to be said."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.domain.maps import TiaMap
from pipeline.physics.dose.dose_kernel import voxel_s_values, with_bremsstrahlung_as_photons, with_energies_of
from pipeline.physics.dose.dose_map import absorbed_dose
from pipeline.physics.dose.region_dose import RegionModelDoses, dose_rates_gy_per_s, model_region_doses
from pipeline.physics.dose.sphere import sphere_model
from pipeline.physics.plausibility import blood_level_flags, energy_flags
from pipeline.physics.quantification.recovery import spill_out_map
from pipeline.steps import artefacts
from pipeline.steps.bed_maps import bed_map, bed_region
from pipeline.steps.burden import tumour_burden
from pipeline.steps.integrate import VOXEL_AVERAGES
from pipeline.steps.marrow import MarrowInput, marrow_regions
from pipeline.steps.plausibility import between_regions_flags, key_of, region_flags, study_flags
from pipeline.steps.region_results import RegionResultInput, region_document
from pipeline.steps.region_results import remainder_document as remainder_result
from pipeline.steps.second_checks import check_flags, second_checks
from pipeline.units import BQ_PER_GBQ, GY_G_PER_MEV, PERCENT

if TYPE_CHECKING:
    from kernels.backend import Backend
    from pipeline.domain.maps import DoseMap
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.therapy import Administration, CameraProfile, TimePointTiming
    from pipeline.files.store import ArrayStore
    from pipeline.physics.dose.dose_kernel import PointKernel, VoxelKernels
    from pipeline.physics.dose.dose_map import DoseResult
    from pipeline.physics.dose.marrow import BloodSamples
    from pipeline.settings import SiteProfile
    from pipeline.steps.bed_maps import BedRegion
    from pipeline.steps.delineate import Delineation
    from pipeline.steps.integrate import Integration, RegionKinetics

Document = dict[str, Any]

# Marrow and blood have doses of other methods beside the model's; a dose rate would be of one of them only.
WITH_DOSE_RATE = frozenset({"organ", "lesion", "small_voi"})


@dataclass(frozen=True, eq=False)
class DoseInput:
    """Everything the dose of a cycle depends on.

    ``stored_sums``: sum of the reference series' stored values in each region, the remainder last.
    """

    administration: Administration
    timings: tuple[TimePointTiming, ...]
    totals_bq: tuple[float, ...]
    stored_sums: tuple[float, ...]
    delineation: Delineation
    integration: Integration
    blood: BloodSamples | None
    camera: CameraProfile
    site: SiteProfile
    nuclide: Radionuclide
    point_kernel: PointKernel
    backend: Backend
    engine: str
    voxel_kernels: VoxelKernels = voxel_s_values


def compute_doses(store: ArrayStore, given: DoseInput) -> Document:
    """Return the doses of a cycle as JSON; the dose map lies in the store."""
    voxel = absorbed_dose(
        given.integration.tia,
        given.delineation.spect_density,
        given.nuclide,
        given.point_kernel,
        given.backend,
        body=given.delineation.body_fraction > 0,
        engine="local" if given.engine == "local" else "convolution",
        voxel_kernels=given.voxel_kernels,
    )
    fitted = [kinetics for kinetics in given.integration.regions if kinetics.region.kind != "remainder"]
    model = _model_doses(given, fitted)
    regions = [_region(given, kinetics, model, row, voxel.dose) for row, kinetics in enumerate(fitted)]
    checks = second_checks(fitted, model, given.nuclide, given.site.second_check_tolerance)
    marrow = marrow_regions(
        MarrowInput(regions, given.blood, given.site, given.nuclide, _photon_doses(fitted, model), given.administration)
    )
    burden, burden_flags = tumour_burden(given.delineation.segmentation, given.administration)
    plausible = _plausibility(given, marrow.regions)
    flags = (*_voxel_flags(voxel, given), *check_flags(checks), *marrow.flags, *burden_flags, *plausible)
    return {
        "dose": artefacts.map_document(store, voxel.dose),
        "bed": artefacts.map_document(store, bed_map(_bed_regions(given, fitted), voxel.dose)),
        "regions": [_with_flags(r, flags) for r in (*marrow.regions, *_rest(given, voxel.dose))],
        "second_check": [vars(check) for check in checks],
        "tumour_burden": burden,
        "flags": [vars(flag) for flag in flags],
        "engine": voxel.engine,
        "engine_method": voxel.method
        if voxel.engine == "convolution"
        else f"{voxel.method}; region doses: convolution",
        "backend": given.backend.name,
        "backend_fallback": given.backend.fallback or None,
        "dtype": voxel.dtype,
        "memory_bytes": voxel.memory_bytes,
        "decay_data": given.nuclide.decay_data,
        "dose_kernel": given.point_kernel.source,
        "total_energy_j": voxel.total_energy_j,
    }


def _plausibility(given: DoseInput, regions: list[Document]) -> tuple[Flag, ...]:
    administered_bq = given.administration.activity_bq
    each = [flag for region in regions for flag in region_flags(region, administered_bq, given.nuclide)]
    whole = study_flags(given.administration, given.timings, given.totals_bq, given.camera, given.nuclide)
    level = (
        () if given.blood is None else blood_level_flags(float(given.blood.activity_bq_per_ml.max()), administered_bq)
    )
    return (*each, *between_regions_flags(regions, given.blood), *whole, *level)


def _with_flags(region: Document, flags: tuple[Flag, ...]) -> Document:
    codes = [flag.code for flag in flags if flag.region == key_of(region)]
    return region | {"flags": sorted({*region["flags"], *codes})}


def _row_of(given: DoseInput, kinetics: RegionKinetics) -> int:
    labels = [region.label for region in given.delineation.segmentation.regions]
    return labels.index(kinetics.region.label)


def _bed_regions(given: DoseInput, fitted: list[RegionKinetics]) -> list[BedRegion]:
    fractions = np.asarray(given.delineation.fraction)
    found = [bed_region(kinetics, fractions[_row_of(given, kinetics)], given.site) for kinetics in fitted]
    return [region for region in found if region is not None]


def _model_doses(given: DoseInput, fitted: list[RegionKinetics]) -> RegionModelDoses:
    """Return the doses of the source model: corrected TIA in each region, the measured rest outside."""
    delineation = given.delineation
    rows = [_row_of(given, kinetics) for kinetics in fitted]
    fractions = np.asarray(delineation.fraction)[rows]
    tia_bq_s = np.array([kinetics.estimate.tia_bq_s for kinetics in fitted])
    spill = spill_out_map(
        tia_bq_s,
        fractions,
        delineation.spect_density.grid.spacing_mm,
        given.integration.fwhm_mm,
        voxel_averages=VOXEL_AVERAGES,
    )
    outside = np.asarray(given.integration.tia.tia_bq_s_per_ml) - spill
    labels = [kinetics.region.label for kinetics in fitted]
    # A region whose curve could not be fitted is left out of the result, but its measured decays stay a source.
    left_out = np.delete(np.asarray(delineation.fraction), rows, axis=0).sum(axis=0)
    rest = np.clip(outside, 0.0, None) * left_out
    return model_region_doses(
        seg_labels=np.where(np.isin(delineation.segmentation.label, labels), delineation.segmentation.label, 0),
        contour_density=delineation.contour_density,
        region_labels=labels,
        tia_bq_s=tia_bq_s,
        remainder=TiaMap(delineation.spect_density.grid, rest.astype(np.float32)),
        region_fractions=fractions,
        spect_density=delineation.spect_density,
        nuclide=given.nuclide,
        point_kernel=given.point_kernel,
        contour_spacing_mm=delineation.segmentation.grid.spacing_mm,
        backend=given.backend,
        voxel_kernels=given.voxel_kernels,
    )


def _region(given: DoseInput, kinetics: RegionKinetics, model: RegionModelDoses, row: int, dose: DoseMap) -> Document:
    return region_document(
        RegionResultInput(
            kinetics=kinetics,
            mean_gy=float(model.mean_gy[row]),
            mass_g=float(model.mass_g[row]),
            fraction=np.asarray(given.delineation.fraction)[_row_of(given, kinetics)],
            segmentation=given.delineation.segmentation,
            spect_density=given.delineation.spect_density,
            dose=dose,
            timings=given.timings,
            fwhm_mm=given.integration.fwhm_mm,
            camera=given.camera,
            site=given.site,
            activity_gbq=given.administration.activity_bq / BQ_PER_GBQ,
            ledger=_ledger(given, kinetics, model, row),
            dose_rate_gy_per_s=_dose_rates(given, kinetics, model, row),
            sphere=_sphere(given, kinetics, model, row),
        )
    )


def _dose_rates(given: DoseInput, kinetics: RegionKinetics, model: RegionModelDoses, row: int) -> list[float] | None:
    """Return the mean dose rate at the start of each acquisition, with the S values of the region's dose."""
    if kinetics.region.kind not in WITH_DOSE_RATE:
        return None
    others = [other for other in given.integration.regions if other.region.key != kinetics.region.key]
    own_gy = float(model.self_gy[row])
    rates = dose_rates_gy_per_s(
        self_gy=own_gy,
        cross_gy=float(model.mean_gy[row]) - own_gy,
        tia_bq_s=kinetics.estimate.tia_bq_s,
        activity_bq=kinetics.activity_bq,
        other_tia_bq_s=sum(other.estimate.tia_bq_s for other in others),
        other_activity_bq=np.sum([other.activity_bq for other in others], axis=0)
        if others
        else np.zeros_like(kinetics.activity_bq),
    )
    return [float(rate) for rate in rates]


def _sphere(given: DoseInput, kinetics: RegionKinetics, model: RegionModelDoses, row: int) -> Document | None:
    """Return a lesion's dose as a sphere of its mass, beside which its own value stands."""
    if kinetics.region.kind != "lesion":
        return None
    found = sphere_model(
        given.point_kernel,
        given.nuclide,
        tia_bq_s=kinetics.estimate.tia_bq_s,
        mass_g=float(model.mass_g[row]),
        mean_dose_gy=float(model.mean_gy[row]),
    )
    return None if found is None else asdict(found)


def _ledger(given: DoseInput, kinetics: RegionKinetics, model: RegionModelDoses, row: int) -> Document:
    """Return the factors of a model dose that its ledger needs beside the rest of the region's entry."""
    kernel = with_bremsstrahlung_as_photons(with_energies_of(given.point_kernel, given.nuclide))
    own_gy, photon_gy = float(model.self_gy[row]), float(model.self_photon_gy[row])
    gy_per_mev = kinetics.estimate.tia_bq_s * GY_G_PER_MEV / float(model.mass_g[row])
    remainder_gy = float(model.remainder_electron_gy[row] + model.remainder_photon_gy[row])
    return {
        "kind": "model",
        "stored_sum": given.stored_sums[_row_of(given, kinetics)],
        "electron_mev": kernel.electron_mev,
        "photon_mev": kernel.photon_mev,
        "electron_fraction": (own_gy - photon_gy) / (gy_per_mev * kernel.electron_mev),
        "photon_fraction": photon_gy / (gy_per_mev * kernel.photon_mev),
        "neighbours_gy": float(model.mean_gy[row]) - own_gy - remainder_gy,
        "remainder_gy": remainder_gy,
    }


def _rest(given: DoseInput, dose: DoseMap) -> list[Document]:
    """Return the remainder of the body as a region, where its curve could be fitted."""
    found = [kinetics for kinetics in given.integration.regions if kinetics.region.kind == "remainder"]
    fraction = np.asarray(given.delineation.fraction)[-1]
    ledger = {"kind": "map", "stored_sum": given.stored_sums[-1]}
    density, timings = given.delineation.spect_density, given.timings
    calibration = given.camera.calibration_relative_sigma
    return [remainder_result(k, fraction, density, dose, timings, calibration) | {"ledger": ledger} for k in found]


def _photon_doses(fitted: list[RegionKinetics], model: RegionModelDoses) -> dict[str, float]:
    return {k.region.key: float(model.photon_gy[row]) for row, k in enumerate(fitted)}


# Beyond this part of the TIA outside the body, image and CT do not belong together or the CT is truncated.
OUTSIDE_WARNING = 0.05


def _voxel_flags(voxel: DoseResult, given: DoseInput) -> tuple[Flag, ...]:
    flags: list[Flag] = []
    if voxel.outside_tia_fraction > OUTSIDE_WARNING:
        text = f"{PERCENT * voxel.outside_tia_fraction:.1f} % of the TIA lies outside the CT's body; it gives no dose"
        flags.append(Flag("ACTIVITY_OUTSIDE_BODY", "WARN", text))
    flags += energy_flags(voxel.electron_energy_j, voxel.electron_emitted_j)
    if given.backend.fallback:
        # Only what was found: who let the product choose need not be told to.
        found = given.backend.fallback.partition("; ")[0]
        flags.append(Flag("BACKEND_FALLBACK", "INFO", f"computed on the CPU: {found}"))
    return tuple(flags)
