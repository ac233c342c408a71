"""What people fill in: the cycle form, blood samples, laboratory values, response imaging, clinical events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.therapy import Administration
from pipeline.files.event_form import load_event
from pipeline.files.laboratory import load_labs
from pipeline.files.tables import Row, corrected_entry, read_rows
from pipeline.physics.dose.marrow import BloodSamples
from pipeline.toml_table import REQUIRED, TomlTable, read_toml
from pipeline.units import BQ_PER_MBQ, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BloodSamples", "CycleForm", "cycle_form_template", "load_blood", "load_cycle_form", "load_event",
    "load_imaging", "load_labs",
]  # fmt: skip

_FORM_DO = "complete the cycle form; `prrt init-cycle` writes one with every key explained"
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
    """Read response assessments (CSV ``date,modality,recist[,supersedes]``).

    Returns
    -------
    tuple of dict
        ``date`` (ISO), ``modality``, ``recist`` (CR, PR, SD, PD, NE or None); ``supersedes``, the id of the recorded
        entry that the row corrects, where it is given.

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
    return {"date": row.day("date").isoformat(), "modality": modality, "recist": recist} | corrected_entry(row)
