"""Rows 1, 2, 11 to 17 and 23 of the decision table: what happened to the patient, response, intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.rules.situation import Finding, Row

if TYPE_CHECKING:
    from pipeline.domain.decision import ResponseAssessment
    from pipeline.rules.situation import Situation

SEED: Final = "Fröss-Baron et al., Neuroendocrinology 2021;111:330-343"
# A CT of a PET/CT or SPECT/CT is not a response assessment by itself.
RESPONSE_MODALITIES: Final = frozenset({"CT", "CECT", "CT/MRI", "CT/MR", "CT+MRI", "MRI", "MR", "CEMRI"})


def dead(situation: Situation) -> tuple[Finding, ...]:
    """Row 1."""
    return (Finding("DEATH", "STOP", "the patient has died"),) if situation.course.flags.dead else ()


def withdrawn(situation: Situation) -> tuple[Finding, ...]:
    """Row 2."""
    return (Finding("WITHDRAWN", "STOP", "consent was withdrawn"),) if situation.course.flags.withdrawn else ()


def standard_protocol_complete(situation: Situation) -> tuple[Finding, ...]:
    """Row 11: all cycles of ROTTERDAM_4 are given; going on needs another protocol, in the salvage phase too."""
    if situation.course.protocol != "ROTTERDAM_4" or situation.given < situation.limits.standard_cycles:
        return ()
    return (Finding("STANDARD_PROTOCOL_COMPLETE", "STOP", f"{situation.given} cycles of ROTTERDAM_4 given"),)


def salvage_not_eligible(situation: Situation) -> tuple[Finding, ...]:
    """Row 12: salvage needs completion, favourable response, later progression and an order."""
    if situation.course.phase != "SALVAGE":
        return ()
    status = situation.course.salvage
    conditions = {
        "primary treatment completed": status.primary_completed,
        "favourable response": status.favourable_response,
        "progression after it": status.progressed_after,
        "physician's order": status.ordered,
    }
    open_conditions = [name for name, holds in conditions.items() if not holds]
    if not open_conditions:
        return ()
    return (Finding("SALVAGE_NOT_ELIGIBLE", "REFER", "salvage lacks: " + ", ".join(open_conditions)),)


def _is_of_this_phase(assessment: ResponseAssessment, situation: Situation) -> bool:
    start = situation.course.phase_started_on
    known = assessment.assessed_on <= situation.course.decided_on
    return known and (start is None or assessment.assessed_on >= start)


def progression(situation: Situation) -> tuple[Finding, ...]:
    """Row 13: RECIST PD since the start of this phase."""
    dated = any(a.recist == "PD" and _is_of_this_phase(a, situation) for a in situation.course.assessments)
    if not dated and situation.course.recorded_response != "PD":
        return ()
    return (Finding("PROGRESSION", "STOP", "progressive disease by RECIST in this phase"),)


def progression_non_recist(situation: Situation) -> tuple[Finding, ...]:
    """Row 14: progression only scintigraphic, clinical or by marker."""
    if not situation.course.flags.progression_non_recist:
        return ()
    return (Finding("PROGRESSION_NON_RECIST", "REFER", "progression that is not by RECIST is on record"),)


def physician_stop(situation: Situation) -> tuple[Finding, ...]:
    """Row 15: a physician ends the therapy."""
    flags = situation.course.flags
    findings = (
        (flags.deterioration, Finding("GENERAL_DETERIORATION", "STOP", "stopped for general deterioration")),
        (flags.tumour_load_decrease, Finding("TUMOUR_LOAD_DECREASE", "STOP", "stopped as the tumour load decreased")),
        (flags.marrow_toxicity_stop, Finding("BONE_MARROW_TOXICITY", "STOP", "stopped for bone marrow toxicity")),
    )
    return tuple(finding for holds, finding in findings if holds)


def haematotoxicity(situation: Situation) -> tuple[Finding, ...]:
    """Row 16: grade 3 or higher since the last cycle and no physician's decision on it."""
    flags, grade = situation.course.flags, situation.course.worst_haematological_grade
    decided = flags.marrow_toxicity_stop or flags.marrow_toxicity_continue
    if grade is None or grade < 3 or decided:
        return ()
    return (Finding("HAEMATOTOXICITY_G3", "REFER", f"haematological grade {grade}, no decision on record"),)


def response_imaging_missing(situation: Situation) -> tuple[Finding, ...]:
    """Row 17: an even number of cycles is given and no CT or MRI is dated after the last but one."""
    course, given = situation.course, situation.given
    if not situation.limits.response_imaging_required or given < 2 or given % 2:
        return ()
    after = course.cycles[-2].given_on
    imaged = any(
        after < a.assessed_on <= course.decided_on and a.modality.strip().upper() in RESPONSE_MODALITIES
        for a in course.assessments
    )
    if imaged:
        return ()
    text = f"no CT or MRI after cycle {given - 1}, due before cycle {given + 1}"
    return (Finding("RESPONSE_IMAGING_MISSING", "REFER", text),)


def interval_too_short(situation: Situation) -> tuple[Finding, ...]:
    """Row 23: fewer days than the shortest interval since the last administration."""
    gap, shortest = situation.gap_days, situation.limits.interval_min_days
    if gap is None or gap >= shortest:
        return ()
    return (Finding("INTERVAL_TOO_SHORT", "WAIT", f"{gap} days since the last cycle, at least {shortest} intended"),)


COURSE_ROWS: Final = (
    Row(1, dead, SEED, "nobody"),
    Row(2, withdrawn, "section 1B (added reason)", "nobody"),
    Row(11, standard_protocol_complete, f"S-07: {SEED}", "nobody (needs a new protocol)"),
    Row(12, salvage_not_eligible, f"S-06: {SEED}", "physician"),
    Row(13, progression, f"section 1B: {SEED}", "physician"),
    Row(14, progression_non_recist, "project choice", "physician"),
    Row(15, physician_stop, f"section 1B: {SEED}", "physician"),
    Row(16, haematotoxicity, f"S-42, S-43: {SEED}; CTCAE v3.0", "physician"),
    Row(17, response_imaging_missing, f"S-15: {SEED}", "physician"),
    Row(23, interval_too_short, f"S-02: {SEED}", "physician"),
)
