"""The rules' input from the record: which doses count, which statements hold, on a given day."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final, cast

from pipeline.domain.decision import BloodPanel, GivenCycle, PatientCourse, ResponseAssessment
from pipeline.records.events import Statements, statements_on
from pipeline.records.filed_dose import FiledDose, kidneys, marrow
from pipeline.records.signing import failed_checks
from pipeline.records.times import day_of
from pipeline.rules.toxicity import NEW_PATIENT_EDITION, UNGRADED, laboratory_grade, worst_haematological_grade
from pipeline.units import BQ_PER_GBQ

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.domain.decision import DoseStatus, RecistCategory
    from pipeline.records.record import CycleVersion, Entry, PatientRecord

# A number is missing in the row of cycles: something was given, or filed under the wrong number (row 3).
GAP_FAULT: Final = "DATA_INVALID_CYCLES"
# A filed cycle is stated to be another one's, and the corrected result is not filed yet.
ERROR_FAULT: Final = "DATA_INVALID_FILED_IN_ERROR"
_NONE: Final = FiledDose(0.0, 0.0, 0.0)


def course_from_record(
    record: PatientRecord, on: date, planned_activity_gbq: float, marrow_limit_method: str | None
) -> PatientCourse:
    """Return everything the decision on day ``on`` depends on.

    Of each cycle the newest version counts: while it is unsigned its doses are drafts, even where an older version
    is signed (fail safe: the decision is then REFER). Panels and assessments of later days are handed on as well, as
    the rules name them in an advisory; events of later days are not.

    Parameters
    ----------
    marrow_limit_method : str or None
        Whose value counts where a cycle has marrow doses by several methods.
    """
    stated = statements_of(record, on)
    labs = record.in_force("labs")
    cycles = {n: _stated_cycle(item, stated.imputed.get(n)) for n, item in stated.given.items()}
    cycles |= {v.cycle: _filed_cycle(v, marrow_limit_method, stated) for v in record.latest_versions}
    return PatientCourse(
        decided_on=on,
        cycles=tuple(cycles[number] for number in sorted(cycles)),
        panels=tuple(_panel(entry) for entry in labs),
        assessments=tuple(_assessment(entry) for entry in record.in_force("imaging")),
        protocol=stated.protocol,
        phase=stated.phase,
        phase_started_on=stated.phase_started_on,
        planned_activity_gbq=planned_activity_gbq,
        worst_haematological_grade=_worst_grade(labs, on, stated),
        salvage=stated.salvage,
        flags=stated.flags,
        data_faults=_faults(record, set(cycles)),
    )


def _faults(record: PatientRecord, cycles: set[int]) -> tuple[str, ...]:
    gap = cycles != set(range(1, len(cycles) + 1))
    return (*([GAP_FAULT] if gap else []), *([ERROR_FAULT] if record.filed_in_error else []))


def statements_of(record: PatientRecord, on: date) -> Statements:
    """Return what the record's events say together on day ``on``."""
    events = record.in_force("event")
    stated = statements_on(events, on, None).given.values()
    days = [_given_on(version) for version in record.latest_versions]
    days += [day_of(item["given_on"], "given_on") for item in stated]
    # A cycle after ``on`` makes the decision REFER (row 3); it must not also undo what was stated before it.
    return statements_on(events, on, max((day for day in days if day <= on), default=None))


def inputs_of(record: PatientRecord) -> dict[str, Any]:
    """Return what names the inputs of a decision: versions with their hashes, and the ids of the entries in force."""
    return {
        "cycles": [
            {"cycle": v.cycle, "version": v.version, "result_hash": v.result_hash, "status": v.status}
            for v in record.latest_versions
        ],
        "entries": [entry.entry_id for entry in record.entries if entry.superseded_by is None],
    }


def _given_on(version: CycleVersion) -> date:
    """Day of the administration as written, at the clinic's own offset."""
    return day_of(version.document["administration"]["start"], "administration.start")


def _filed_cycle(version: CycleVersion, limit_method: str | None, stated: Statements) -> GivenCycle:
    regions = version.document["regions"]
    found, (marrow_dose, method) = kidneys(regions), marrow(regions, limit_method)
    status: DoseStatus = "DRAFT" if version.status == "DRAFT" else "SIGNED"
    imputed = stated.imputed.get(version.cycle)
    kidney, kidney_status = _with_imputed(found.rule, status, imputed, "kidney")
    marrow_used, marrow_status = _with_imputed(marrow_dose, status, imputed, "marrow")
    return GivenCycle(
        given_on=_given_on(version),
        activity_gbq=float(version.document["administration"]["activity_bq"]) / BQ_PER_GBQ,
        kidney_left_gy=found.left_gy,
        kidney_right_gy=found.right_gy,
        asymmetry_acknowledged=version.cycle in stated.acknowledged_cycles,
        # A physicist can sign over a failed check only with a reason, and thereby answers for it.
        second_check_failed=bool(failed_checks(version.document)) and status == "DRAFT",
        **_dose_fields(kidney, kidney_status, marrow_used, marrow_status),
        marrow_method=method or str((imputed or {}).get("marrow_method", "")),
    )


def _stated_cycle(item: Mapping[str, Any], imputed: Mapping[str, Any] | None) -> GivenCycle:
    kidney, kidney_status = _with_imputed(None, "MISSING", imputed, "kidney")
    marrow_dose, marrow_status = _with_imputed(None, "MISSING", imputed, "marrow")
    return GivenCycle(
        given_on=day_of(item["given_on"], "given_on"),
        activity_gbq=float(item["activity_gbq"]),
        **_dose_fields(kidney, kidney_status, marrow_dose, marrow_status),
        marrow_method=str((imputed or {}).get("marrow_method", "")),
    )


def _with_imputed(
    measured: FiledDose | None, status: DoseStatus, imputed: Mapping[str, Any] | None, organ: str
) -> tuple[FiledDose | None, DoseStatus]:
    """Return the dose that counts, with its status; an imputed dose stands in only where nothing was measured."""
    if measured is not None:
        return measured, status
    if imputed is None or f"{organ}_gy" not in imputed:
        return None, "MISSING"
    sigma = float(imputed.get(f"{organ}_sigma_gy", 0.0))
    return FiledDose(float(imputed[f"{organ}_gy"]), 0.0, sigma), "IMPUTED_SIGNED"


def _dose_fields(
    kidney: FiledDose | None, kidney_status: DoseStatus, marrow_dose: FiledDose | None, marrow_status: DoseStatus
) -> dict[str, Any]:
    return {
        "kidney_gy": kidney.mean_gy if kidney else None,
        "kidney_status": kidney_status,
        "kidney_sigma_correlated_gy": (kidney or _NONE).sigma_correlated_gy,
        "kidney_sigma_independent_gy": (kidney or _NONE).sigma_independent_gy,
        "marrow_gy": marrow_dose.mean_gy if marrow_dose else None,
        "marrow_status": marrow_status,
        "marrow_sigma_correlated_gy": (marrow_dose or _NONE).sigma_correlated_gy,
        "marrow_sigma_independent_gy": (marrow_dose or _NONE).sigma_independent_gy,
        "kidney_one_scan_method": (kidney or _NONE).one_scan_method,
        "marrow_one_scan_method": (marrow_dose or _NONE).one_scan_method,
    }


def _worst_grade(labs: tuple[Entry, ...], on: date, stated: Statements) -> int | None:
    """Return the worst haematological grade since the last cycle, from the laboratory and as stated by an event.

    The worse of both counts: an event adds what no laboratory value shows (a transfusion, say); it takes nothing away,
    for that a wrong value is corrected, or the physician decides to continue. Haemoglobin counts beside the counts.
    """
    since = stated.last_given_on.isoformat() if stated.last_given_on else ""
    fresh = [entry for entry in labs if since < entry.dated_on <= on.isoformat()]
    values = [float(e.content["haemoglobin"]) for e in fresh if "haemoglobin" in e.content]
    grades = [laboratory_grade("haemoglobin", value, NEW_PATIENT_EDITION) for value in values]
    grades.append(worst_haematological_grade([_panel(e) for e in fresh], NEW_PATIENT_EDITION) or UNGRADED)
    known = [grade for grade in (*grades, stated.haematological_grade) if isinstance(grade, int)]
    return max(known, default=None)


def _panel(entry: Entry) -> BloodPanel:
    content = entry.content
    neutrophils_only = "granulocytes" not in content and "neutrophils" in content
    return BloodPanel(
        sampled_on=date.fromisoformat(entry.dated_on),
        wbc_per_nl=content.get("wbc"),
        granulocytes_per_nl=content.get("neutrophils" if neutrophils_only else "granulocytes"),
        platelets_per_nl=content.get("platelets"),
        neutrophils_only=neutrophils_only,
    )


def _assessment(entry: Entry) -> ResponseAssessment:
    return ResponseAssessment(
        assessed_on=date.fromisoformat(entry.dated_on),
        modality=str(entry.content.get("modality", "")),
        recist=cast("RecistCategory | None", entry.content.get("recist")),
    )
