"""A patient's course from the object ``patient`` of a decision case.

Several spellings of each field are read. A field that is still unknown makes that case REFER (``DATA_INVALID_FIELD``);
malformed values do the same with a code of their own.
"""

from __future__ import annotations

import math
from datetime import date
from itertools import product
from typing import TYPE_CHECKING, Any, Final, cast

from pipeline.domain.decision import ClinicianFlags, PatientCourse, ResponseAssessment, SalvageStatus
from pipeline.rules.case_reader import ABSENT, CaseReader
from pipeline.rules.case_records import ASYMMETRY_NAMES, read_count_units, read_cycle, read_panel

if TYPE_CHECKING:
    from pipeline.domain.decision import BloodPanel, GivenCycle, Phase, Protocol, RecistCategory

PROTOCOLS: Final = {
    "DOSIMETRY_GUIDED": "DOSIMETRY_GUIDED",
    "GUIDED": "DOSIMETRY_GUIDED",
    "ROTTERDAM_4": "ROTTERDAM_4",
    "ROTTERDAM": "ROTTERDAM_4",
}
PHASES: Final = {"PRIMARY": "PRIMARY", "SALVAGE": "SALVAGE"}
# Non-CR/non-PD (no target at baseline) is disease control without a category of its own in the table.
CATEGORIES: Final = {"CR": "CR", "PR": "PR", "SD": "SD", "PD": "PD", "NE": "NE", "NON-CR/NON-PD": "SD"}


def _assessment(record: object, faults: set[str]) -> ResponseAssessment | None:
    reader = CaseReader(record, faults)
    assessed_on = reader.day("date", "assessed_on", "imaging_date")
    modality = reader.take("modality")
    recist = reader.choice(CATEGORIES, "recist", "category", "response")
    reader.finish()
    if assessed_on is None:
        faults.add("DATA_INVALID_DATES")
        return None
    return ResponseAssessment(assessed_on, _modality(modality), cast("RecistCategory | None", recist))


def _modality(value: object) -> str:
    """Return the modality; response assessments of this format are CT or MRI unless they say otherwise."""
    return "CT/MRI" if value is ABSENT or value is None else str(value)


def _assessments(reader: CaseReader, faults: set[str]) -> tuple[ResponseAssessment, ...]:
    """Dated assessments. The category beside ``imaging_date`` is the phase's, whatever the date, and is kept apart."""
    read = [_assessment(item, faults) for item in reader.objects("assessments", "imaging", "responses")]
    day = reader.day("imaging_date", "ct_date")
    modality = _modality(reader.take("imaging_modality", "modality"))
    single = [ResponseAssessment(day, modality, None)] if day else []
    return (*(a for a in read if a), *single)


def _salvage(reader: CaseReader, faults: set[str]) -> SalvageStatus:
    record = reader.take("salvage", "salvage_status")
    if record is ABSENT or record is None:
        return SalvageStatus()
    inner = CaseReader(record, faults)
    status = SalvageStatus(
        primary_completed=inner.flag("primary_completed", "completed"),
        favourable_response=inner.flag("favourable_response", "favorable_response", "favourable", "favorable"),
        progressed_after=inner.flag("progressed_after", "progressed", "progression_after"),
        ordered=inner.flag("ordered", "order", "physician_order"),
    )
    inner.finish()
    return status


MARROW_DECISION_STEMS: Final = (
    "heme",
    "haem",
    "heme_grade",
    "haem_grade",
    "heme_tox",
    "haem_tox",
    "hemetox",
    "haematotoxicity",
    "hematotoxicity",
    "haematotox",
    "hematotox",
    "marrow",
    "marrow_tox",
    "marrow_toxicity",
    "g3",
    "grade3",
)
MARROW_DECISION_WORDS: Final = (
    "ack",
    "acknowledged",
    "decision",
    "decided",
    "continue",
    "continued",
    "reviewed",
    "cleared",
    "ok",
    "approved",
    "accepted",
    "override",
    "decision_made",
    "physician",
    "physician_ack",
    "physician_ok",
    "physician_decision",
)
MARROW_DECISION_NAMES: Final = (
    *(
        f"{prefix}{stem}_{word}"
        for prefix, stem, word in product(("", "physician_"), MARROW_DECISION_STEMS, MARROW_DECISION_WORDS)
    ),
    "physician_continue",
    "continue_after_g3",
)


def _marrow_decision(reader: CaseReader) -> tuple[bool, bool]:
    """Return (stop, continue): the physician's decision on haematological toxicity."""
    value = reader.take(*MARROW_DECISION_NAMES)
    if isinstance(value, str):
        words = {"STOP": (True, False), "CONTINUE": (False, True), "CONTINUED": (False, True), "GO_ON": (False, True)}
        if value.strip().upper() not in words:
            reader.faults.add("DATA_INVALID_FIELD")
        return words.get(value.strip().upper(), (False, False))
    if value is not ABSENT and value is not None and not isinstance(value, bool):
        reader.faults.add("DATA_INVALID_FIELD")
    return False, value is True


def _flags(reader: CaseReader) -> ClinicianFlags:
    stop, go_on = _marrow_decision(reader)
    marrow_stop = reader.flag(
        "marrow_tox_stop", "marrow_toxicity_stop", "marrow_stop", "bone_marrow_toxicity", "bone_marrow_toxicity_stop"
    )
    died_on = reader.day("death_date", "date_of_death", "died_on")
    return ClinicianFlags(
        dead=reader.flag("dead", "deceased", "died", "death") or died_on is not None,
        withdrawn=reader.flag("withdrawn", "consent_withdrawn", "withdrew"),
        progression_non_recist=reader.flag(
            "pd_other",
            "progression_non_recist",
            "pd_non_recist",
            "progression_other",
            "pd_scintigraphic",
            "pd_clinical",
            "pd_marker",
        ),
        deterioration=reader.flag("deterioration", "general_deterioration", "deterioration_stop", "deteriorated"),
        tumour_load_decrease=reader.flag(
            "tumour_decrease",
            "tumor_decrease",
            "tumour_load_decrease",
            "tumor_load_decrease",
            "tumour_decrease_stop",
            "tumour_load_decrease_stop",
            "load_decrease",
            "tumour_stop",
            "tumor_stop",
        ),
        marrow_toxicity_stop=marrow_stop or stop,
        marrow_toxicity_continue=go_on,
        reduce_30_ordered=reader.flag(
            "physician_reduce30",
            "physician_reduce_30",
            "reduce30",
            "reduce_30",
            "reduce_30_ordered",
            "reduce30_ordered",
            "physician_order_reduce30",
            "reduction_ordered",
        ),
    )


def _grade(reader: CaseReader) -> int | None:
    """Worst haematological grade; -1, which row 3 finds, if it is no whole number."""
    value = reader.number(
        "heme_grade", "haem_grade", "hematological_grade", "haematological_grade", "worst_heme_grade", "worst_grade"
    )
    if value is None:
        return None
    return int(value) if math.isfinite(value) and value == int(value) else -1


def _cycles(reader: CaseReader, faults: set[str], acknowledged: bool) -> tuple[GivenCycle, ...]:
    if not reader.has("cycles"):
        faults.add("DATA_INVALID_FIELD")
    read = [read_cycle(item, faults, acknowledged) for item in reader.objects("cycles")]
    return tuple(cycle for cycle in read if cycle is not None)


def _panels(reader: CaseReader, faults: set[str]) -> tuple[BloodPanel, ...]:
    units = read_count_units(
        reader.take("lab_unit", "lab_units", "labs_unit", "labs_units", "count_unit", "units"), faults
    )
    read = [read_panel(item, faults, units) for item in reader.objects("labs", "panels", "blood")]
    return tuple(panel for panel in read if panel is not None)


def course_from_patient(record: object, planned_activity_gbq: float, faults: set[str]) -> PatientCourse:
    """Read a patient's course.

    Parameters
    ----------
    record : object
        The case's ``patient``.
    planned_activity_gbq : float
        The protocol's, used where the case plans none.
    faults : set of str
        Codes found so far; those found here are added, and all go into the course.
    """
    reader = CaseReader(record, faults)
    reader.unfold("flags", "clinician_flags")
    decided_on = reader.day("decision_date", "decided_on", "decision", "on")
    planned = reader.number(
        "planned_activity_gbq", "planned_gbq", "planned_activity", "planned", "prescribed_gbq", "activity_gbq"
    )
    cycles = _cycles(reader, faults, reader.flag(*ASYMMETRY_NAMES))
    panels = _panels(reader, faults)
    values: dict[str, Any] = {
        "assessments": _assessments(reader, faults),
        "protocol": cast("Protocol", reader.choice(PROTOCOLS, "protocol") or "DOSIMETRY_GUIDED"),
        "phase": cast("Phase", reader.choice(PHASES, "phase") or "PRIMARY"),
        "phase_started_on": reader.day("phase_started_on", "phase_start", "phase_started", "phase_start_date"),
        "worst_haematological_grade": _grade(reader),
        "salvage": _salvage(reader, faults),
        "flags": _flags(reader),
        "recorded_response": cast("RecistCategory | None", reader.choice(CATEGORIES, "recist", "response")),
    }
    reader.finish("comment", "note")
    if decided_on is None:
        faults.add("DATA_INVALID_DATES")
    return PatientCourse(
        decided_on=decided_on or _latest_day(cycles, panels),
        cycles=cycles,
        panels=panels,
        planned_activity_gbq=planned_activity_gbq if planned is None else planned,
        data_faults=tuple(sorted(faults)),
        **values,
    )


def _latest_day(cycles: tuple[GivenCycle, ...], panels: tuple[BloodPanel, ...]) -> date:
    """Return the latest day on record: lets the rows that stop still be seen in a case that REFERs for its date."""
    days = [cycle.given_on for cycle in cycles] + [panel.sampled_on for panel in panels]
    return max(days, default=date(1970, 1, 1))
