"""A patient's course from the object ``patient`` of a decision case.

Several spellings of each field are read. A field that is still unknown makes that case REFER (``DATA_INVALID_FIELD``);
malformed values do the same with a code of their own.
"""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any, Final, cast

from pipeline.domain.decision import (
    BloodPanel,
    ClinicianFlags,
    GivenCycle,
    PatientCourse,
    ResponseAssessment,
    SalvageStatus,
)
from pipeline.errors import RefusalError
from pipeline.rules.case_reader import ABSENT, CaseReader
from pipeline.rules.counts import counts_per_nl
from pipeline.units import BQ_PER_GBQ, BQ_PER_MBQ, MGY_PER_GY

if TYPE_CHECKING:
    from pipeline.domain.decision import DoseStatus, Phase, Protocol, RecistCategory

ACTIVITY_DIVISORS: Final = {"gbq": 1.0, "mbq": BQ_PER_GBQ / BQ_PER_MBQ, "bq": BQ_PER_GBQ}
DOSE_DIVISORS: Final = {"gy": 1.0, "cgy": 100.0, "mgy": MGY_PER_GY}
STATUSES: Final = {
    "MISSING": "MISSING",
    "DRAFT": "DRAFT",
    "UNSIGNED": "DRAFT",
    "SIGNED": "SIGNED",
    "IMPUTED_SIGNED": "IMPUTED_SIGNED",
    "IMPUTED": "DRAFT",
}
PROTOCOLS: Final = {
    "DOSIMETRY_GUIDED": "DOSIMETRY_GUIDED",
    "GUIDED": "DOSIMETRY_GUIDED",
    "ROTTERDAM_4": "ROTTERDAM_4",
    "ROTTERDAM": "ROTTERDAM_4",
}
PHASES: Final = {"PRIMARY": "PRIMARY", "SALVAGE": "SALVAGE"}
# Non-CR/non-PD (no target at baseline) is disease control without a category of its own in the table.
CATEGORIES: Final = {"CR": "CR", "PR": "PR", "SD": "SD", "PD": "PD", "NE": "NE", "NON-CR/NON-PD": "SD"}
LABS_WITHOUT_EFFECT: Final = (
    "hb",
    "haemoglobin",
    "hemoglobin",
    "lymphocytes",
    "creatinine",
    "egfr",
    "alt",
    "ast",
    "alp",
    "ggt",
    "bilirubin",
    "albumin",
)
CYCLE_WITHOUT_EFFECT: Final = ("cycle", "number", "n", "kmethod", "kidney_method", "prescribed_gbq", "comment", "note")


def _cycle_activity_gbq(reader: CaseReader) -> float:
    """Activity in GBq; NaN if absent, which row 3 finds."""
    if reader.has("mbq", "activity_mbq"):
        value = reader.number("mbq", "activity_mbq")
        return math.nan if value is None else value / ACTIVITY_DIVISORS["mbq"]
    value = reader.number("gbq", "activity_gbq", "activity")
    value = reader.scaled(value, ACTIVITY_DIVISORS, "activity_unit", "unit")
    return math.nan if value is None else value


def _status(reader: CaseReader, *names: str) -> DoseStatus:
    """Status of a dose; without one a value counts as signed, an unknown one as a draft."""
    given = reader.has(*names)
    status = reader.choice(STATUSES, *names)
    return cast("DoseStatus", status or ("DRAFT" if given else "SIGNED"))


def _doses_gy(reader: CaseReader) -> dict[str, float | None]:
    unit = reader.take("dose_unit", "dose_units")
    doses = {
        "kidney": reader.number("kidney", "kidney_gy", "kidney_mean", "kmean"),
        "left": reader.number("kl", "kidney_l", "kidney_left", "kidney_left_gy", "k_l"),
        "right": reader.number("kr", "kidney_r", "kidney_right", "kidney_right_gy", "k_r"),
        "marrow": reader.number("marrow", "marrow_gy"),
        "kidney_sigma": reader.number("ksigma", "kidney_sigma", "kidney_sigma_gy", "ku", "kidney_u"),
        "marrow_sigma": reader.number("msigma", "marrow_sigma", "marrow_sigma_gy", "mu", "marrow_u"),
    }
    if unit is not ABSENT and unit is not None:
        divisor = DOSE_DIVISORS.get(str(unit).strip().lower())
        if divisor is None:
            reader.faults.add("DATA_INVALID_UNIT")
        doses = {key: None if value is None else value / (divisor or 1.0) for key, value in doses.items()}
    for organ, names in {"kidney": ("kidney_unit", "kunit"), "marrow": ("marrow_unit", "munit")}.items():
        doses[organ] = reader.scaled(doses[organ], DOSE_DIVISORS, *names)
    return doses


def _marrow_method(reader: CaseReader) -> str:
    method = reader.take("mmethod", "marrow_method", "m_method")
    if method is ABSENT or method is None:
        return "blood_planar"
    if not isinstance(method, str):
        reader.faults.add("DATA_INVALID_FIELD")
    return str(method).strip().lower()


def read_cycle(record: object, faults: set[str], acknowledged: bool) -> GivenCycle | None:
    """Read one cycle; None, with a fault, if its date cannot be read.

    A sigma without a statement of its parts is taken as fully correlated between cycles, the cautious reading.
    """
    reader = CaseReader(record, faults)
    given_on = reader.day("date", "given_on", "administered_at", "datetime")
    doses = _doses_gy(reader)
    values: dict[str, Any] = {
        "activity_gbq": _cycle_activity_gbq(reader),
        "kidney_gy": doses["kidney"],
        "kidney_status": _status(reader, "kstatus", "kidney_status", "k_status"),
        "kidney_left_gy": doses["left"],
        "kidney_right_gy": doses["right"],
        "kidney_sigma_correlated_gy": doses["kidney_sigma"] or 0.0,
        "marrow_gy": doses["marrow"],
        "marrow_status": _status(reader, "mstatus", "marrow_status", "m_status"),
        "marrow_method": _marrow_method(reader),
        "marrow_sigma_correlated_gy": doses["marrow_sigma"] or 0.0,
        "asymmetry_acknowledged": reader.flag(*ASYMMETRY_NAMES) or acknowledged,
        "second_check_failed": reader.flag("second_check_failed"),
    }
    reader.finish(*CYCLE_WITHOUT_EFFECT)
    if given_on is None:
        faults.add("DATA_INVALID_DATES")
        return None
    return GivenCycle(given_on=given_on, **values)


ASYMMETRY_NAMES: Final = (
    "asymmetry_ack",
    "asym_ack",
    "asymmetry_acknowledged",
    "kidney_asymmetry_ack",
    "kidney_asymmetry_acknowledged",
    "asymmetry_acknowledgement",
)


def _count(reader: CaseReader, unit: object, stem: str, *names: str) -> float | None:
    """Return a blood count in 10^9/L; its own unit (``wbc_unit``) wins over that of the panel."""
    value = reader.number(*names)
    own = reader.take(f"{stem}_unit")
    stated = unit if own is ABSENT else own
    if isinstance(stated, dict):
        stated = stated.get(stem)
    if value is None or stated is ABSENT or stated is None:
        return value
    try:
        return counts_per_nl(value, str(stated))
    except RefusalError as refusal:
        reader.faults.add(refusal.code)
        return value


def _granulocytes(reader: CaseReader, unit: object) -> tuple[float | None, bool]:
    """Granulocytes, or neutrophils with what is given of the others (S-08); True if they are neutrophils alone."""
    names = ("gran", "granulocytes", "grans", "granulocyte")
    direct = reader.has(*names)
    granulocytes = _count(reader, unit, "gran", *names)
    neutrophils = _count(reader, unit, "anc", "anc", "neutrophils", "neut", "neutrophil")
    others = [
        _count(reader, unit, "eos", "eos", "eosinophils"),
        _count(reader, unit, "baso", "baso", "basophils"),
    ]
    if direct or neutrophils is None:
        return granulocytes, False
    return neutrophils + sum(x for x in others if x is not None), all(x is None for x in others)


def read_panel(record: object, faults: set[str], unit: object) -> BloodPanel | None:
    """Read one blood panel; None, with a fault, if its date cannot be read."""
    reader = CaseReader(record, faults)
    sampled_on = reader.day("date", "sampled_on", "sample_date")
    own_unit = reader.take("unit", "units")
    panel_unit = unit if own_unit is ABSENT else own_unit
    granulocytes, neutrophils_only = _granulocytes(reader, panel_unit)
    wbc = _count(reader, panel_unit, "wbc", "wbc", "leukocytes", "leucocytes", "white_blood_cells")
    platelets = _count(reader, panel_unit, "plt", "plt", "platelets", "thrombocytes")
    reader.finish(*LABS_WITHOUT_EFFECT)
    if sampled_on is None:
        faults.add("DATA_INVALID_DATES")
        return None
    return BloodPanel(sampled_on, wbc, granulocytes, platelets, neutrophils_only)


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


MARROW_DECISION_NAMES: Final = tuple(
    f"{stem}_{word}"
    for stem in (
        "heme",
        "haem",
        "hemetox",
        "haematotoxicity",
        "heme_grade",
        "marrow",
        "marrow_tox",
        "marrow_toxicity",
        "g3",
    )
    for word in ("ack", "decision", "decided", "acknowledged", "continue", "continued", "physician_decision")
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
        deterioration=reader.flag("deterioration", "general_deterioration", "deterioration_stop"),
        tumour_load_decrease=reader.flag(
            "tumour_decrease",
            "tumor_decrease",
            "tumour_load_decrease",
            "tumor_load_decrease",
            "tumour_decrease_stop",
            "tumour_load_decrease_stop",
            "load_decrease",
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
    unit = reader.take("lab_unit", "lab_units", "labs_unit", "labs_units", "count_unit", "units")
    read = [read_panel(item, faults, unit) for item in reader.objects("labs", "panels", "blood")]
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
