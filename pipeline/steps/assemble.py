"""The result document of one cycle, from the results of its steps (`INTERFACE`: schema_version 1.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.domain.provenance import content_hash
from pipeline.physics.plausibility import net_activity_flags

if TYPE_CHECKING:
    from pipeline.files.forms import CycleForm
    from pipeline.settings import SiteProfile

Document = dict[str, Any]

SCHEMA_VERSION = "1.0"
# Notes of a series that can move a dose if they are wrong.
RESERVATIONS = frozenset({"NUCLIDE_FROM_WINDOW", "HEADS_ASSUMED", "SEVERAL_BEDS"})


def assemble(payload: Document, site: SiteProfile, form: CycleForm, created_at: str) -> Document:
    """Return the result document without its decision.

    Parameters
    ----------
    payload : dict
        The request and the results of the steps study, aligned, segmented, integrated and dosed.
    site : SiteProfile
    form : CycleForm
    created_at : str
        ISO 8601 with offset.
    """
    administration = payload["study"]["administration"]
    dosed = payload["dosed"]
    return {
        "schema_version": SCHEMA_VERSION,
        "patient_key": administration["patient_key"],
        "cycle": administration["cycle"],
        "administration": administration_entry(administration, form),
        "protocol": protocol_entry(site),
        "time_points": time_points(payload),
        "registration": [a["registration"] for a in payload["aligned"] if a["registration"]],
        "regions": dosed["regions"],
        "second_check": dosed["second_check"],
        "tumour_burden": dosed["tumour_burden"],
        "flags": unique_flags(payload, form),
        "provenance": provenance(payload, site.settings_hash, created_at),
    }


def administration_entry(administration: Document, form: CycleForm) -> Document:
    """Return what was given, as prescribed, as measured and net; missing keys are left out."""
    entry = {key: administration[key] for key in ("activity_bq", "start", "radionuclide")}
    known = {key: administration[key] for key in ("weight_kg", "height_cm", "sex")} | {
        "prescribed_activity_bq": form.prescribed_bq,
        "measured_activity_bq": form.measured_bq,
        "residual_activity_bq": form.residual_bq,
    }
    return entry | {key: value for key, value in known.items() if value is not None}


def protocol_entry(site: SiteProfile) -> Document:
    """Return the limits in force; phase and protocol of the patient stand in the record."""
    return {
        "kidney_limit_gy": site.protocol.kidney_limit_gy,
        "marrow_limit_gy": site.protocol.marrow_limit_gy,
        "kidney_rule": site.protocol.kidney_rule,
        "marrow_limit_method": site.marrow_limit_method,
        "planned_activity_gbq": site.protocol.planned_activity_gbq,
    }


def time_points(payload: Document) -> list[Document]:
    """Return each time point with its SPECT series, delay and total activity in the field."""
    return [
        {
            "series_uid": point["spect"]["series_uid"],
            "ct_series_uid": point["ct"]["series_uid"],
            "acquisition_start": point["timing"]["acquisition_start"],
            "acquisition_duration_s": point["timing"]["acquisition_duration_s"],
            "delay_s": point["timing"]["delay_s"],
            "dialect": point["spect"]["dialect"],
            "total_activity_bq": quantified["total_activity_bq"],
            "notes": list(point["spect"]["notes"]),
        }
        | quantified["camera"]
        | quantified["factors"]
        for point, quantified in zip(payload["study"]["time_points"], payload["activities"], strict=True)
    ]


def unique_flags(payload: Document, form: CycleForm) -> list[Document]:
    """Return the flags of all steps, each once, the gravest first."""
    steps = (payload["study"], payload["segmented"], payload["integrated"], payload["dosed"])
    found = [flag for step in steps for flag in step["flags"]] + reading_flags(payload["study"])
    if form.prescribed_bq is not None:
        found += [vars(f) for f in net_activity_flags(form.administration.activity_bq, form.prescribed_bq)]
    flags = {content_hash(flag): flag for flag in found}
    return in_order(list(flags.values()))


def in_order(flags: list[Document]) -> list[Document]:
    """Return flags with the gravest first, those of a level by code and region."""
    gravity = {"BLOCK": 0, "WARN": 1, "INFO": 2}
    return sorted(flags, key=lambda f: (gravity[f["level"]], f["code"], f["region"] or ""))


def reading_flags(study: Document) -> list[Document]:
    """Return what was read with a reservation (``CODE: text`` notes of the series) as flags."""
    notes = {note for point in study["time_points"] for note in point["spect"]["notes"]}
    parted = [note.partition(": ") for note in sorted(notes)]
    return [
        {"code": code, "level": "WARN" if code in RESERVATIONS else "INFO", "text": text, "region": None}
        for code, _, text in parted
    ]


def provenance(payload: Document, settings_hash: str, created_at: str) -> Document:
    """Return where the result came from: code, settings, every input series with its hash, engine, backend."""
    series = [point[kind] for point in payload["study"]["time_points"] for kind in ("spect", "ct")]
    dosed = payload["dosed"]
    return {
        "code_version": payload["code_version"],
        "settings_hash": settings_hash,
        "inputs": [{"series_uid": s["series_uid"], "sha256": s["input_sha256"]} for s in series],
        "fingerprint": payload["fingerprint"],
        "engine": dosed["engine"],
        "engine_method": dosed["engine_method"],
        "backend": dosed["backend"],
        "backend_fallback": dosed["backend_fallback"],
        "dtype": dosed["dtype"],
        "decay_data": dosed["decay_data"],
        "dose_kernel": dosed["dose_kernel"],
        "voxel_kernels": dosed["voxel_kernels"],
        "dose_memory_bytes": dosed["memory_bytes"],
        "total_energy_j": dosed["total_energy_j"],
        "recovery_fwhm_mm": payload["integrated"]["fwhm_mm"],
        "voxel_kinetics": payload["integrated"]["voxel_kinetics"],
        "created_at": created_at,
    }


def idempotency_key(payload: Document) -> str:
    """Return the key under which the same inputs, settings, engine and code file once (the backend is no part).

    What a cycle of one scan took from the record is an input too.
    """
    names = ("fingerprint", "code_version", "engine", *(("history",) if "history" in payload else ()))
    return content_hash({name: payload[name] for name in names})
