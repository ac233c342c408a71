"""What the decision about the next cycle is made from, and what it says (section 2 of the clinical specification)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import date

Outcome = Literal["GIVE", "WAIT", "REFER", "STOP"]
Protocol = Literal["DOSIMETRY_GUIDED", "ROTTERDAM_4"]
Phase = Literal["PRIMARY", "SALVAGE"]
DoseStatus = Literal["MISSING", "DRAFT", "SIGNED", "IMPUTED_SIGNED"]
LimitRule = Literal["projected", "reached"]
RecistCategory = Literal["CR", "PR", "SD", "PD", "NE"]


@dataclass(frozen=True)
class GivenCycle:
    """One cycle that was given, with its filed doses.

    ``kidney_gy`` is the value of the rule; ``kidney_left_gy`` and ``kidney_right_gy`` serve the asymmetry row only.
    ``kidney_one_scan_method`` and ``marrow_one_scan_method`` are method ids (``single-patient``, ``hierarchical``) of a
    dose whose half-life no scan of the cycle told; empty otherwise.
    """

    given_on: date
    activity_gbq: float
    kidney_gy: float | None = None
    kidney_status: DoseStatus = "SIGNED"
    kidney_left_gy: float | None = None
    kidney_right_gy: float | None = None
    kidney_sigma_correlated_gy: float = 0.0
    kidney_sigma_independent_gy: float = 0.0
    marrow_gy: float | None = None
    marrow_status: DoseStatus = "SIGNED"
    marrow_method: str = "blood_planar"
    marrow_sigma_correlated_gy: float = 0.0
    marrow_sigma_independent_gy: float = 0.0
    asymmetry_acknowledged: bool = False
    second_check_failed: bool = False
    kidney_one_scan_method: str = ""
    marrow_one_scan_method: str = ""


@dataclass(frozen=True)
class BloodPanel:
    """Blood counts of one day, in 10^9/L; None: not measured.

    ``neutrophils_only``: the granulocytes are neutrophils alone, a lower bound that proves the gate but cannot fail it.
    """

    sampled_on: date
    wbc_per_nl: float | None = None
    granulocytes_per_nl: float | None = None
    platelets_per_nl: float | None = None
    neutrophils_only: bool = False


@dataclass(frozen=True)
class ResponseAssessment:
    """One morphological assessment (CT or MRI)."""

    assessed_on: date
    modality: str
    recist: RecistCategory | None


@dataclass(frozen=True)
class SalvageStatus:
    """The four conditions of salvage therapy (row 12)."""

    primary_completed: bool = False
    favourable_response: bool = False
    progressed_after: bool = False
    ordered: bool = False


@dataclass(frozen=True)
class ClinicianFlags:
    """What only a clinician can say."""

    dead: bool = False
    withdrawn: bool = False
    progression_non_recist: bool = False
    deterioration: bool = False
    tumour_load_decrease: bool = False
    marrow_toxicity_stop: bool = False
    marrow_toxicity_continue: bool = False
    reduce_30_ordered: bool = False


@dataclass(frozen=True)
class PatientCourse:
    """Everything the decision about the next cycle depends on.

    ``recorded_response`` is a category on record for this phase without a dated assessment. ``data_faults`` are codes
    ``DATA_INVALID_*`` of what could not be read; each makes the decision REFER at least (row 3).
    """

    decided_on: date
    cycles: tuple[GivenCycle, ...] = ()
    panels: tuple[BloodPanel, ...] = ()
    assessments: tuple[ResponseAssessment, ...] = ()
    protocol: Protocol = "DOSIMETRY_GUIDED"
    phase: Phase = "PRIMARY"
    phase_started_on: date | None = None
    planned_activity_gbq: float = 7.4
    worst_haematological_grade: int | None = None
    salvage: SalvageStatus = field(default_factory=SalvageStatus)
    flags: ClinicianFlags = field(default_factory=ClinicianFlags)
    recorded_response: RecistCategory | None = None
    data_faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reason:
    """One row of the decision table that holds."""

    code: str
    row: int
    level: Outcome
    text: str
    source: str


@dataclass(frozen=True)
class Decision:
    """The engine's proposal; a physician decides.

    ``reasons`` are all rows that hold, those of the winning level first. ``document`` returns the interface's form.
    """

    on: date
    outcome: Outcome
    activity_gbq: float | None
    reasons: tuple[Reason, ...]
    advisories: tuple[str, ...]
    options: tuple[str, ...]
    cumulative: dict[str, Any]
    projected: dict[str, Any]
    p_exceed: dict[str, float | None]
    earliest_date: date | None
    deadline: date | None
    rule_version: str
    stop_category: str | None = None

    @property
    def winning_reasons(self) -> tuple[Reason, ...]:
        """Reasons of the level that decided."""
        return tuple(reason for reason in self.reasons if reason.level == self.outcome)

    def document(self, *, patient_key: str, settings_hash: str) -> dict[str, Any]:
        """Return the decision document of the interface."""
        return {
            "patient_key": patient_key,
            "on": self.on.isoformat(),
            "outcome": self.outcome,
            "activity_gbq": self.activity_gbq,
            "reasons": [
                {"code": r.code, "row": r.row, "level": r.level, "text": r.text, "source": r.source}
                for r in self.reasons
            ],
            "advisories": list(self.advisories),
            "options": list(self.options),
            "cumulative": self.cumulative,
            "projected": self.projected,
            "p_exceed": self.p_exceed,
            "earliest_date": self.earliest_date.isoformat() if self.earliest_date else None,
            "deadline": self.deadline.isoformat() if self.deadline else None,
            "rule_version": self.rule_version,
            "stop_category": self.stop_category,
            "settings_hash": settings_hash,
        }
