"""One step by name: load what its payload names, make one call, store what it returns.

What a step is given and what it returns is JSON; arrays lie in the store under the hash of their content. So a step can
be cached, repeated or run elsewhere, and an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.errors import DefectError
from pipeline.files.forms import load_blood, load_cycle_form
from pipeline.files.kernel_cache import KernelCache, kernel_folder
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.files.store import ArrayStore
from pipeline.imaging.resample import coverage
from pipeline.settings import load_site
from pipeline.steps import artefacts
from pipeline.steps.align import onto_reference, register_to_reference
from pipeline.steps.compute import backend_or_refuse
from pipeline.steps.delineate import Delineation, delineate
from pipeline.steps.deliver import deliver
from pipeline.steps.dosimetry import DoseInput, compute_doses
from pipeline.steps.filing import file_cycle
from pipeline.steps.gates import alignment_flags
from pipeline.steps.ingest import camera_for, ingest
from pipeline.steps.integrate import Integration, RegionKinetics, integrate
from pipeline.steps.kinetics_documents import estimate_document, estimate_from
from pipeline.steps.outputs import require_own_folder
from pipeline.steps.quantify import quantification_steps, quantify, stored_sums, total_activity_bq
from pipeline.steps.request import require_unchanged
from pipeline.steps.single_scan_cycle import half_lives_of
from pipeline.steps.voxel_maps import maps_document, method_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.study import StudyTimePoint
    from pipeline.domain.therapy import Administration, CameraProfile
    from pipeline.imaging.register import Registration
    from pipeline.physics.kinetics.earlier_cycles import EarlierCurves, NotReused
    from pipeline.physics.kinetics.single_scan import HalfLifePrior
    from pipeline.settings import SiteProfile

Document = dict[str, Any]


def run_step(step: str, payload: Document, work: Path) -> Document:
    """Run one step of the walk.

    Parameters
    ----------
    step : str
        A key of :data:`STEPS`.
    payload : dict
        The request and the results of earlier steps.
    work : Path
        Folder of the run: the store and a journal of what was really run (not answered from the cache).
    """
    if step not in STEPS:
        msg = f"no step {step}"
        raise DefectError(msg)
    require_unchanged(payload)
    started = time.perf_counter()
    result = STEPS[step](ArrayStore(work / "arrays"), payload)
    _journal(work, step, payload.get("index"), time.perf_counter() - started)
    return result


def _journal(work: Path, step: str, index: int | None, seconds: float) -> None:
    entry = {"step": step, "index": index, "seconds": round(seconds, 3), "pid": os.getpid()}
    with (work / "journal.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")


def _site(payload: Document) -> SiteProfile:
    return load_site(Path(payload["site"]))


def _camera(point: StudyTimePoint, site: SiteProfile) -> CameraProfile:
    return camera_for(point.spect, site)


def nuclide_of(administration: Administration, site: SiteProfile) -> Radionuclide:
    """Return the nuclide that was given, with the decay data set of the site: one set for every step of a run."""
    return load_nuclide(administration.radionuclide, site.decay_data)


def _ingest(store: ArrayStore, payload: Document) -> Document:
    study = ingest(
        [Path(path) for path in payload["studies"]], _site(payload), load_cycle_form(Path(payload["cycle_form"]))
    )
    return artefacts.study_document(store, study)


def _quantify(store: ArrayStore, payload: Document) -> Document:
    point = artefacts.time_point_from(store, payload["study"], payload["index"])
    administration = artefacts.administration_from(payload["study"]["administration"])
    site = _site(payload)
    camera = _camera(point, site)
    nuclide = nuclide_of(administration, site)
    activity = quantify(point, camera, nuclide, administration)
    return {
        "activity": artefacts.map_document(store, activity),
        "total_activity_bq": total_activity_bq(activity),
        "camera": _camera_document(point, camera),
        "factors": {
            "camera_id": camera.camera_id,
            "stored_unit": point.spect.unit,
            "voxel_volume_ml": point.spect.grid.voxel_volume_ml,
            "calibration_steps": [vars(step) for step in quantification_steps(point, camera, nuclide)],
        },
    }


def _camera_document(point: StudyTimePoint, camera: CameraProfile) -> Document:
    headers = point.spect.camera_headers
    return {
        "camera": headers.get("ManufacturerModelName"),
        "collimator": headers.get("CollimatorGridName"),
        "decay_reference": camera.decay_reference,
        "calibration_id": f"{camera.camera_id} {camera.calibrated_on}".strip(),
        "calibration_factor_bq_s_per_count": camera.calibration_factor_bq_s_per_count,
    }


def _register(store: ArrayStore, payload: Document) -> Document:
    index, study = payload["index"], payload["study"]
    activity = artefacts.activity_from(store, payload["activity"]["activity"])
    reference = artefacts.time_point_from(store, study, 0)
    if index == 0:
        return {"activity": artefacts.map_document(store, activity), "registration": None}
    moving = artefacts.time_point_from(store, study, index)
    registration = register_to_reference(reference.ct, moving.ct)
    aligned = onto_reference(activity, reference.spect.grid, registration)
    seen = coverage(activity.grid, reference.spect.grid, registration.transform_mm)
    return {
        "activity": artefacts.map_document(store, aligned),
        "covered": store.put_array(seen),
        "registration": _registration_document(registration, reference, moving),
    }


def _registration_document(registration: Registration, reference: StudyTimePoint, moving: StudyTimePoint) -> Document:
    return {
        "from": moving.ct.series_uid,
        "to": reference.ct.series_uid,
        "quality": registration.quality,
        "value": registration.value,
        "accepted": registration.accepted,
        "motion_mm": registration.motion_mm,
        "identity_kept": registration.identity_kept,
        "gate": registration.gate,
        "transform_lps_mm": np.asarray(registration.transform_mm).tolist(),
    }


def _segment(store: ArrayStore, payload: Document) -> Document:
    reference = artefacts.time_point_from(store, payload["study"], 0)
    activity = artefacts.activity_from(store, payload["aligned"][0]["activity"])
    contours = [Path(path) for path in payload["contours"]]
    site = _site(payload)
    recovery = _camera(reference, site).recovery
    flags = alignment_flags([artefacts.time_point_from(store, payload["study"], i) for i in range(_points(payload))])
    found = delineate(reference.ct.ct, activity, site.density_curve, contours, recovery)
    return {
        "segmentation": artefacts.segmentation_document(store, found.segmentation),
        "contour_density": artefacts.map_document(store, found.contour_density),
        "spect_density": artefacts.map_document(store, found.spect_density),
        "fraction": store.put_array(found.fraction),
        "body_fraction": store.put_array(found.body_fraction),
        "flags": [vars(flag) for flag in (*flags, *found.flags)],
    }


def _points(payload: Document) -> int:
    return len(payload["study"]["time_points"])


def delineation_from(store: ArrayStore, document: Document) -> Delineation:
    """Return the delineation of a document of the step ``segment``."""
    return Delineation(
        artefacts.segmentation_from(store, document["segmentation"]),
        artefacts.density_from(store, document["contour_density"]),
        artefacts.density_from(store, document["spect_density"]),
        store.get_array(document["fraction"]),
        store.get_array(document["body_fraction"]),
        flags_from(document["flags"]),
    )


def flags_from(documents: list[Document]) -> tuple[Flag, ...]:
    """Return the flags of a document."""
    return tuple(Flag(**entry) for entry in documents)


def _integrate(store: ArrayStore, payload: Document) -> Document:
    points = [artefacts.time_point_from(store, payload["study"], i) for i in range(len(payload["aligned"]))]
    administration = artefacts.administration_from(payload["study"]["administration"])
    site = _site(payload)
    found = integrate(
        [artefacts.activity_from(store, aligned["activity"]) for aligned in payload["aligned"]],
        artefacts.timings_from(payload["study"]),
        delineation_from(store, payload["segmented"]),
        [_camera(point, site) for point in points],
        site,
        nuclide_of(administration, site),
        _covered(store, payload["aligned"]),
        _half_lives(store, payload),
    )
    return {
        "regions": [_kinetics_document(region) for region in found.regions],
        "tia": artefacts.map_document(store, found.tia),
        "voxel_maps": maps_document(store, found.voxels) if found.voxels else {},
        "voxel_kinetics": method_document(found.voxels) if found.voxels else None,
        "fwhm_mm": found.fwhm_mm,
        "flags": [vars(flag) for flag in found.flags],
    }


def _half_lives(store: ArrayStore, payload: Document) -> dict[str, HalfLifePrior | EarlierCurves | NotReused] | None:
    """Return what the patient's earlier cycles tell a cycle of one scan; None where there are more."""
    if "history" not in payload:
        return None
    timing, site = artefacts.timings_from(payload["study"])[0], _site(payload)
    administration = artefacts.administration_from(payload["study"]["administration"])
    return half_lives_of(
        payload["history"],
        load_cycle_form(Path(payload["cycle_form"])).extras,
        delineation_from(store, payload["segmented"]),
        administration.cycle,
        timing.middle_delay_s,
        nuclide_of(administration, site),
        site.head_rule,
    )


def _covered(store: ArrayStore, aligned: list[Document]) -> NDArray[np.bool_] | None:
    """Return the voxels that every later time point saw; None where there is only one time point."""
    seen = [store.get_array(entry["covered"]) for entry in aligned if "covered" in entry]
    return np.logical_and.reduce(seen) if seen else None


def _kinetics_document(kinetics: RegionKinetics) -> Document:
    return {
        "region": vars(kinetics.region),
        "measured_bq": kinetics.measured_bq.tolist(),
        "activity_bq": kinetics.activity_bq.tolist(),
        "recovery_coefficient": kinetics.recovery_coefficient,
        "estimate": estimate_document(kinetics.estimate),
    }


def integration_from(store: ArrayStore, document: Document) -> Integration:
    """Return the integration of a document of the step ``integrate``."""
    regions = tuple(
        RegionKinetics(
            artefacts.region_from(entry["region"]),
            np.array(entry["measured_bq"]),
            np.array(entry["activity_bq"]),
            entry["recovery_coefficient"],
            estimate_from(entry["estimate"]),
        )
        for entry in document["regions"]
    )
    tia = artefacts.tia_from(store, document["tia"])
    return Integration(regions, tia, document["fwhm_mm"], flags_from(document["flags"]))


def _dose(store: ArrayStore, payload: Document) -> Document:
    point = artefacts.time_point_from(store, payload["study"], 0)
    administration = artefacts.administration_from(payload["study"]["administration"])
    site = _site(payload)
    delineation = delineation_from(store, payload["segmented"])
    kernels = KernelCache(kernel_folder())
    doses = compute_doses(
        store,
        DoseInput(
            administration,
            artefacts.timings_from(payload["study"]),
            tuple(quantified["total_activity_bq"] for quantified in payload["activities"]),
            stored_sums(point.spect, delineation.fraction),
            delineation,
            integration_from(store, payload["integrated"]),
            load_blood(Path(payload["blood"])) if payload["blood"] else None,
            _camera(point, site),
            site,
            nuclide_of(administration, site),
            load_point_kernel(administration.radionuclide),
            backend_or_refuse(payload["backend"]),
            payload["engine"],
            kernels,
        ),
    )
    return doses | {"voxel_kernels": kernels.used}


def _file(_store: ArrayStore, payload: Document) -> Document:
    administration = payload["study"]["administration"]
    require_own_folder(Path(payload["out"]), administration["patient_key"], administration["cycle"])
    return file_cycle(payload, _site(payload))


STEPS: dict[str, Callable[[ArrayStore, Document], Document]] = {
    "ingest": _ingest,
    "quantify": _quantify,
    "register": _register,
    "segment": _segment,
    "integrate": _integrate,
    "dose": _dose,
    "file": _file,
    "report": deliver,
}
