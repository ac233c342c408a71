"""What people fill in: the cycle form, blood samples, laboratory values, response imaging, clinical events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.therapy import Administration
from pipeline.errors import require
from pipeline.files.laboratory import load_labs
from pipeline.files.tables import Row, read_rows
from pipeline.physics.marrow import BloodSamples
from pipeline.toml_table import REQUIRED, TomlTable, read_toml
from pipeline.units import BQ_PER_MBQ, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BloodSamples", "CycleForm", "cycle_form_template", "load_blood", "load_cycle_form", "load_event",
    "load_imaging", "load_labs",
]  # fmt: skip

_FORM_DO = "complete the cycle form; `prrt init-cycle` writes one with every key explained"
_EVENT_DO = "correct the event file; the keys are those of section 2.2 of the clinical specification"
# Section 6.4: an administered activity outside is a unit mistaken (GBq, Bq), not a therapy.
PLAUSIBLE_MBQ = (100.0, 15_000.0)
# More would be a typing error: published protocols scan up to six times (project choice).
MOST_TIME_POINTS = 20


@dataclass(frozen=True)
class CycleForm:
    """The hospital's record of one administration; it stands above the image headers (section 6.4).

    Attributes
    ----------
    administration : Administration
        With the net activity: measured less residual.
    prescribed_bq : float or None
    measured_bq, residual_bq : float
    time_points : int or None
        How many SPECT/CT the cycle will have; `prrt watch` waits for them.
    extras : dict
        The free table ``[extras]``.
    """

    administration: Administration
    prescribed_bq: float | None
    measured_bq: float
    residual_bq: float
    extras: dict[str, Any] = field(default_factory=dict)
    time_points: int | None = None


def load_cycle_form(path: Path) -> CycleForm:
    """Read a cycle form (TOML).

    Raises
    ------
    RefusalError
        ``CYCLE_FORM_INVALID`` with the key's name; ``TIME_ZONE_MISSING`` for a time without offset.
    """
    form = TomlTable(read_toml(path, "CYCLE_FORM_INVALID", _FORM_DO), code="CYCLE_FORM_INVALID", do=_FORM_DO)
    measured = form.number("activity_mbq", above=0.0)
    residual = form.number("residual_mbq", least=0.0)
    net = measured - residual
    if not PLAUSIBLE_MBQ[0] <= net <= PLAUSIBLE_MBQ[1]:
        raise form.refusal("activity_mbq", f"{net:g} MBq net", "100 to 15 000 MBq, measured less residual")
    prescribed = form.number("prescribed_mbq", None, above=0.0)
    administration = Administration(
        patient_key=form.text("patient_key"),
        cycle=form.whole("cycle", least=1, most=99),
        radionuclide=form.choice("radionuclide", ("Lu-177",)),
        activity_bq=net * BQ_PER_MBQ,
        start=_moment(form, "administered_at"),
        weight_kg=form.number("weight_kg", None, least=10.0, most=400.0),
        height_cm=form.number("height_cm", None, least=50.0, most=250.0),
        sex=form.choice("sex", ("male", "female"), None),
    )
    extras = dict(form.raw("extras", {}, "a table [extras]"))
    time_points = form.whole("time_points", None, least=1, most=MOST_TIME_POINTS)
    form.finish()
    prescribed_bq = None if prescribed is None else prescribed * BQ_PER_MBQ
    return CycleForm(administration, prescribed_bq, measured * BQ_PER_MBQ, residual * BQ_PER_MBQ, extras, time_points)


def _moment(form: TomlTable, key: str) -> datetime:
    needed = "a date and time with its offset from UTC, as 2026-03-02T10:00:00+01:00"
    value = form.raw(key, REQUIRED, needed)
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        read = None
    if not isinstance(read, datetime):
        raise form.refusal(key, repr(value), needed)
    return read


def cycle_form_template() -> str:
    """Return a cycle form with every key explained; blanks say FILL IN and are refused by name until they are."""
    return (resources.files("pipeline") / "data" / "cycle_form_template.toml").read_text(encoding="utf-8")


def load_blood(path: Path) -> BloodSamples:
    """Read blood samples (CSV ``time_h,activity_bq_per_ml``), sorted by time.

    Raises
    ------
    RefusalError
        ``BLOOD_INVALID``; ``BLOOD_SAMPLES_INVALID``, ``CURVE_TIMES_INVALID`` for too few samples or equal times.
    """
    rows = read_rows(path, code="BLOOD_INVALID", required=("time_h", "activity_bq_per_ml"))
    samples = sorted((row.number("time_h", least=0.0), row.number("activity_bq_per_ml", least=0.0)) for row in rows)
    return BloodSamples(
        np.array([time for time, _ in samples]) * SECONDS_PER_HOUR, np.array([activity for _, activity in samples])
    )


_RECIST = ("CR", "PR", "SD", "PD", "NE")


def load_imaging(path: Path) -> tuple[dict[str, Any], ...]:
    """Read response assessments (CSV ``date,modality,recist``).

    Returns
    -------
    tuple of dict
        ``date`` (ISO), ``modality``, ``recist`` (CR, PR, SD, PD, NE or None).

    Raises
    ------
    RefusalError
        ``IMAGING_INVALID``.
    """
    rows = read_rows(path, code="IMAGING_INVALID", required=("date", "modality", "recist"))
    return tuple(_assessment(row) for row in rows)


def _assessment(row: Row) -> dict[str, Any]:
    recist = row.text("recist").upper() or None
    if recist is not None and recist not in _RECIST:
        raise row.refusal("recist", repr(recist), "CR, PR, SD, PD, NE or nothing")
    modality = row.text("modality")
    if not modality:
        raise row.refusal("modality", "nothing", "the modality, as CT or MR")
    return {"date": row.day("date").isoformat(), "modality": modality, "recist": recist}


_FLAGS = ("dead", "withdrawn", "progression_non_recist", "deterioration", "tumour_load_decrease",
          "marrow_toxicity_stop", "marrow_toxicity_continue", "reduce_30_ordered")  # fmt: skip
_SALVAGE = ("primary_completed", "favourable_response", "progressed_after", "ordered")
# Highest points of section 7.4.
_POINTS = {"liver": 4, "bone": 3, "lymph_nodes": 3, "peritoneal_pleural": 3}


def load_event(path: Path) -> dict[str, Any]:
    """Read a clinical event (TOML): burden points, orders and flags that only a clinician can give.

    Keys stand at the top, or in the tables ``[flags]``, ``[salvage]`` and ``[burden]``.

    Returns
    -------
    dict
        Flat: ``date`` (ISO), ``by``, ``reason`` and every other key that was given.

    Raises
    ------
    RefusalError
        ``EVENT_INVALID`` with the key's name.
    """
    document = _flattened(read_toml(path, "EVENT_INVALID", _EVENT_DO), path)
    table = TomlTable(document, code="EVENT_INVALID", do=_EVENT_DO)
    head = {"date": table.day("date").isoformat(), "by": table.text("by"), "reason": table.text("reason")}
    given: dict[str, Any] = {name: table.truth(name, None) for name in (*_FLAGS, *_SALVAGE)}
    given |= {name: table.whole(name, None, least=0, most=most) for name, most in _POINTS.items()}
    given |= {
        "protocol": table.choice("protocol", ("DOSIMETRY_GUIDED", "ROTTERDAM_4"), None),
        "phase": table.choice("phase", ("PRIMARY", "SALVAGE"), None),
        "phase_started_on": _iso(table.day("phase_started_on", None)),
        "worst_haematological_grade": table.whole("worst_haematological_grade", None, least=0, most=5),
        "planned_activity_gbq": table.number("planned_activity_gbq", None, above=0.0, most=15.0),
        "asymmetry_acknowledged": _cycles(table, "asymmetry_acknowledged"),
        "filed_in_error": _cycles(table, "filed_in_error"),
    }
    table.finish()
    said = {name: value for name, value in given.items() if value is not None}
    if not said:
        raise table.refusal("", "nothing but date, by and reason", "at least one flag, order, grade or burden point")
    return head | said


def _iso(day: Any) -> str | None:
    return None if day is None else str(day.isoformat())


def _flattened(document: dict[str, Any], path: Path) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        inner = value if key in {"flags", "salvage", "burden"} and isinstance(value, dict) else {key: value}
        for name, content in inner.items():
            require(
                name not in flat,
                "EVENT_INVALID",
                found=f"{name} twice",
                needed="each key once",
                do=_EVENT_DO,
                where=path.name,
            )
            flat[name] = content
    return flat


def _cycles(table: TomlTable, key: str) -> list[int] | None:
    value = table.raw(key, None, "a list of cycle numbers")
    if value is None:
        return None
    good = isinstance(value, list) and all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in value)
    if not good:
        raise table.refusal(key, repr(value), "a list of cycle numbers, as [1, 2]")
    return sorted(set(value))
