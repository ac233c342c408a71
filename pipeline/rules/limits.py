"""The protocol's limits as one frozen value (section 2.3 of the clinical specification)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.domain.decision import LimitRule

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def limits_from_table(table: Mapping[str, Any], overrides: Mapping[str, Any]) -> ProtocolLimits:
    """Build the limits from the cited default table and a site's overrides (both keyed by field name)."""
    raise NotImplementedError
