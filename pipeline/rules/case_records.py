"""Cycles and blood panels of a decision case, in several spellings and units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, cast

from pipeline.domain.decision import BloodPanel, GivenCycle
from pipeline.errors import RefusalError
from pipeline.rules.case_reader import ABSENT, CaseReader, plain_key
from pipeline.rules.counts import counts_per_nl
from pipeline.units import BQ_PER_GBQ, BQ_PER_MBQ, MGY_PER_GY

if TYPE_CHECKING:
    from pipeline.domain.decision import DoseStatus

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
COUNT_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "wbc": ("wbc", "leukocytes", "leucocytes", "white_blood_cells"),
    "gran": ("gran", "granulocytes", "grans", "granulocyte"),
    "plt": ("plt", "platelets", "thrombocytes"),
    "anc": ("anc", "neutrophils", "neut", "neutrophil"),
    "eos": ("eos", "eosinophils"),
    "baso": ("baso", "basophils"),
}
STEM_OF: Final = {name: stem for stem, names in COUNT_NAMES.items() for name in names} | dict.fromkeys(
    ("counts", "labs", "lab", "blood"), "*"
)
# Units of the format; a case may state them, not change them for a whole patient.
FIXED_UNITS: Final = {"activity": "gbq", "dose": "gy", "kidney": "gy", "marrow": "gy"}
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
ASYMMETRY_NAMES: Final = (
    "asymmetry_ack",
    "asym_ack",
    "asymmetry_acknowledged",
    "kidney_asymmetry_ack",
    "kidney_asymmetry_acknowledged",
    "asymmetry_acknowledgement",
    "asymm_ack",
    "asymmetry_ok",
    "kidney_asym_ack",
    "lr_ack",
)


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


def read_count_units(value: object, faults: set[str]) -> dict[str, str]:
    """Return the unit of each count, by stem; ``*`` is that of all others. A unit for anything unknown is a fault."""
    if value is ABSENT or value is None:
        return {}
    if not isinstance(value, dict):
        return {"*": str(value)}
    units: dict[str, str] = {}
    for key, unit in value.items():
        stem = STEM_OF.get(plain_key(key))
        if stem:
            units[stem] = str(unit)
        elif FIXED_UNITS.get(plain_key(key)) != str(unit).strip().lower():
            faults.add("DATA_INVALID_UNIT")
    return units


def _count(reader: CaseReader, units: dict[str, str], stem: str) -> float | None:
    """Return a blood count in 10^9/L; its own unit (``wbc_unit``) wins over that of the panel."""
    value = reader.number(*COUNT_NAMES[stem])
    own = reader.take(f"{stem}_unit", f"{stem}_units")
    unit = units.get(stem, units.get("*")) if own is ABSENT or own is None else str(own)
    if value is None or unit is None:
        return value
    try:
        return counts_per_nl(value, unit)
    except RefusalError as refusal:
        reader.faults.add(refusal.code)
        return value


def _granulocytes(reader: CaseReader, units: dict[str, str]) -> tuple[float | None, bool]:
    """Granulocytes, or neutrophils with what is given of the others (S-08); True if they are neutrophils alone."""
    direct = reader.has(*COUNT_NAMES["gran"])
    granulocytes, neutrophils = _count(reader, units, "gran"), _count(reader, units, "anc")
    others = [_count(reader, units, "eos"), _count(reader, units, "baso")]
    if direct or neutrophils is None:
        return granulocytes, False
    return neutrophils + sum(x for x in others if x is not None), all(x is None for x in others)


def read_panel(record: object, faults: set[str], shared_units: dict[str, str]) -> BloodPanel | None:
    """Read one blood panel; None, with a fault, if its date cannot be read."""
    reader = CaseReader(record, faults)
    sampled_on = reader.day("date", "sampled_on", "sample_date")
    units = shared_units | read_count_units(reader.take("unit", "units"), faults)
    granulocytes, neutrophils_only = _granulocytes(reader, units)
    wbc, platelets = _count(reader, units, "wbc"), _count(reader, units, "plt")
    reader.finish(*LABS_WITHOUT_EFFECT)
    if sampled_on is None:
        faults.add("DATA_INVALID_DATES")
        return None
    return BloodPanel(sampled_on, wbc, granulocytes, platelets, neutrophils_only)
