"""The protocol's limits as one frozen value (section 2.3 of the clinical specification)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

from pipeline.domain.decision import LimitRule
from pipeline.errors import RefusalError, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class ProtocolLimits:
    """Limits and rules of the protocol; every value is a key of ``[protocol]`` or ``[marrow]`` in the site profile."""

    kidney_limit_gy: float
    salvage_kidney_limit_gy: float
    marrow_limit_gy: float
    kidney_rule: LimitRule
    marrow_rule: LimitRule
    marrow_limit_method: str
    projection_source: Literal["last", "mean", "max"]
    interval_min_days: int
    interval_max_days: int
    lab_max_age_days: int
    timeout_months: int
    wbc_above_per_nl: float
    granulocytes_above_per_nl: float
    platelets_above_per_nl: float
    reduced_factor: float
    standard_cycles: int
    response_imaging_required: bool
    kidney_asymmetry: float
    dose_tolerance_gy: float
    planned_activity_gbq: float
    timeout_anchor: Literal["last_administration"] = "last_administration"


# Short names of section 2.3 and of decision case files.
ALIASES: Final[dict[str, str]] = {
    "kidney_limit": "kidney_limit_gy",
    "salvage_limit": "salvage_kidney_limit_gy",
    "salvage_limit_gy": "salvage_kidney_limit_gy",
    "salvage_kidney_limit": "salvage_kidney_limit_gy",
    "marrow_limit": "marrow_limit_gy",
    "limit_method": "marrow_limit_method",
    "marrow_method": "marrow_limit_method",
    "projection": "projection_source",
    "interval_min": "interval_min_days",
    "min_interval": "interval_min_days",
    "min_interval_days": "interval_min_days",
    "interval_min_d": "interval_min_days",
    "interval_max": "interval_max_days",
    "interval_max_d": "interval_max_days",
    "max_interval": "interval_max_days",
    "max_interval_days": "interval_max_days",
    "lab_max_age": "lab_max_age_days",
    "lab_max_age_d": "lab_max_age_days",
    "timeout": "timeout_months",
    "anchor": "timeout_anchor",
    "wbc": "wbc_above_per_nl",
    "wbc_min": "wbc_above_per_nl",
    "gran": "granulocytes_above_per_nl",
    "gran_min": "granulocytes_above_per_nl",
    "granulocytes": "granulocytes_above_per_nl",
    "plt": "platelets_above_per_nl",
    "plt_min": "platelets_above_per_nl",
    "platelets": "platelets_above_per_nl",
    "reduction_factor": "reduced_factor",
    "imaging_required": "response_imaging_required",
    "response_imaging": "response_imaging_required",
    "asymmetry": "kidney_asymmetry",
    "asymmetry_limit": "kidney_asymmetry",
    "dose_tolerance": "dose_tolerance_gy",
    "planned_activity": "planned_activity_gbq",
    "planned_gbq": "planned_activity_gbq",
    "activity_gbq": "planned_activity_gbq",
}

CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "kidney_rule": ("projected", "reached"),
    "marrow_rule": ("projected", "reached"),
    "projection_source": ("last", "mean", "max"),
    "marrow_limit_method": ("blood_planar", "blood_only", "image_aorta", "image_vertebra"),
    "timeout_anchor": ("last_administration",),
}
WHOLE_NUMBERS: Final = (
    "interval_min_days",
    "interval_max_days",
    "lab_max_age_days",
    "timeout_months",
    "standard_cycles",
)
# Upper bounds where a larger value would switch a rule off rather than set it.
UPPER_BOUNDS: Final[dict[str, float]] = {"reduced_factor": 1.0, "kidney_asymmetry": 2.0, "dose_tolerance_gy": 0.01}


def _refusal(key: str, found: object, needed: str) -> RefusalError:
    return RefusalError(
        "PROTOCOL_KEY_INVALID",
        found=f"{key} = {found!r}",
        needed=needed,
        do="correct the key under [protocol] of the site profile (prrt init-site lists all keys)",
        where=key,
    )


def _checked_choice(key: str, value: object) -> str:
    if not isinstance(value, str) or value not in CHOICES[key]:
        raise _refusal(key, value, "one of " + ", ".join(CHOICES[key]))
    return value


def _checked_boolean(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _refusal(key, value, "true or false")
    return value


def _checked_whole_number(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise _refusal(key, value, "a whole number above 0")
    return value


def _checked_number(key: str, value: object) -> float:
    upper = UPPER_BOUNDS.get(key, math.inf)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refusal(key, value, "a number")
    if not (math.isfinite(value) and 0 < value <= upper):
        raise _refusal(key, value, f"a finite number above 0{'' if math.isinf(upper) else f', at most {upper:g}'}")
    return float(value)


def _check_for(key: str) -> Callable[[str, object], Any]:
    if key in CHOICES:
        return _checked_choice
    if key == "response_imaging_required":
        return _checked_boolean
    return _checked_whole_number if key in WHOLE_NUMBERS else _checked_number


def _split_interval(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Replace ``interval = [42, 56]`` by its two keys."""
    plain = {key: value for key, value in overrides.items() if key != "interval"}
    if "interval" in overrides:
        pair = overrides["interval"]
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise _refusal("interval", pair, "two whole numbers of days, as [42, 56]")
        plain |= {"interval_min_days": pair[0], "interval_max_days": pair[1]}
    return plain


def canonical_key(key: str) -> str | None:
    """Return the field name of a key or of one of its short names, None if there is none (``interval`` is two keys)."""
    known = {field.name for field in fields(ProtocolLimits)} | {"interval"}
    name = ALIASES.get(key.lower(), key.lower())
    return name if name in known else None


def _canonical(overrides: Mapping[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for key, value in _split_interval(overrides).items():
        name = canonical_key(key)
        if name is None:
            known = ", ".join(sorted(field.name for field in fields(ProtocolLimits)))
            raise _refusal(key, value, f"a key of the protocol: {known}")
        if name in named:
            raise _refusal(key, value, f"one value of {name}, under one name")
        named[name] = value
    return named


def limits_from_table(table: Mapping[str, Any], overrides: Mapping[str, Any]) -> ProtocolLimits:
    """Build the limits from the cited default table and a site's overrides.

    Parameters
    ----------
    table : mapping
        Field name -> ``{"value": ..., "source": ...}`` (``protocol.toml``).
    overrides : mapping
        Field name (or a short name of section 2.3) -> value.

    Raises
    ------
    RefusalError
        ``PROTOCOL_KEY_INVALID``: unknown key, wrong type, value out of range, shortest interval above the longest.
    """
    values = {key: entry["value"] for key, entry in table.items()} | _canonical(overrides)
    checked = {key: _check_for(key)(key, value) for key, value in _canonical(values).items()}
    missing = [field.name for field in fields(ProtocolLimits) if field.name not in checked]
    require(
        not missing,
        "PROTOCOL_KEY_INVALID",
        found="no " + ", ".join(missing),
        needed="every limit of the protocol",
        do="add them to the table of limits",
        where="protocol",
    )
    if checked["interval_min_days"] > checked["interval_max_days"]:
        raise _refusal(
            "interval_min_days",
            checked["interval_min_days"],
            f"at most interval_max_days, {checked['interval_max_days']}",
        )
    return ProtocolLimits(**checked)


def limit_sources(table: Mapping[str, Any]) -> dict[str, str]:
    """Return field name -> source text, for reports."""
    return {key: str(entry["source"]) for key, entry in table.items()}
