"""The protocol's limits: defaults of section 2.3, overrides, refusals."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, fields
from importlib import resources

import pytest

from pipeline.errors import RefusalError
from pipeline.rules.limits import ProtocolLimits, limit_sources
from pipeline.settings import load_protocol_limits

# Section 2.3 of the clinical specification, value by value.
DEFAULTS = {
    "kidney_limit_gy": 23.0,
    "salvage_kidney_limit_gy": 40.0,
    "marrow_limit_gy": 2.0,
    "kidney_rule": "projected",
    "marrow_rule": "projected",
    "marrow_limit_method": "blood_planar",
    "projection_source": "last",
    "interval_min_days": 42,
    "interval_max_days": 56,
    "lab_max_age_days": 14,
    "timeout_months": 6,
    "timeout_anchor": "last_administration",
    "wbc_above_per_nl": 3.0,
    "granulocytes_above_per_nl": 1.5,
    "platelets_above_per_nl": 100.0,
    "reduced_factor": 0.70,
    "standard_cycles": 4,
    "response_imaging_required": True,
    "kidney_asymmetry": 0.30,
    "dose_tolerance_gy": 1e-6,
    "planned_activity_gbq": 7.4,
}


def test_defaults() -> None:
    assert asdict(load_protocol_limits()) == DEFAULTS


def test_every_default_names_its_source() -> None:
    text = (resources.files("pipeline") / "data" / "protocol.toml").read_text(encoding="utf-8")
    sources = limit_sources(tomllib.loads(text))
    assert set(sources) == {field.name for field in fields(ProtocolLimits)}
    assert all(source.startswith(("Fröss-Baron et al. 2021", "Project choice")) for source in sources.values())


@pytest.mark.parametrize(
    ("overrides", "field", "value"),
    [
        ({"kidney_limit_gy": 25}, "kidney_limit_gy", 25.0),
        ({"kidney_limit": 25.0}, "kidney_limit_gy", 25.0),
        ({"salvage_limit": 35.0}, "salvage_kidney_limit_gy", 35.0),
        ({"marrow_limit": 3.0}, "marrow_limit_gy", 3.0),
        ({"lab_max_age": 21}, "lab_max_age_days", 21),
        ({"interval": [35, 60]}, "interval_max_days", 60),
        ({"imaging_required": False}, "response_imaging_required", False),
        ({"kidney_rule": "reached"}, "kidney_rule", "reached"),
    ],
)
def test_override(overrides, field, value) -> None:
    assert asdict(load_protocol_limits(overrides)) == DEFAULTS | {field: value} | (
        {"interval_min_days": 35} if "interval" in overrides else {}
    )


@pytest.mark.parametrize(
    "overrides",
    [
        {"kidney_limits": 23.0},
        {"kidney_limit_gy": "23"},
        {"kidney_limit_gy": True},
        {"kidney_limit_gy": 0},
        {"kidney_limit_gy": -1.0},
        {"kidney_limit_gy": float("nan")},
        {"kidney_limit_gy": float("inf")},
        {"kidney_limit_gy": None},
        {"kidney_rule": "maybe"},
        {"kidney_rule": 1},
        {"projection_source": "first"},
        {"timeout_anchor": "first_failure"},
        {"interval_min_days": 60},
        {"interval_min_days": 42.5},
        {"interval": [60, 42]},
        {"interval": 42},
        {"lab_max_age_days": 0},
        {"reduced_factor": 1.1},
        {"dose_tolerance_gy": 1.0},
        {"response_imaging_required": "yes"},
        {"kidney_limit": 23.0, "kidney_limit_gy": 24.0},
    ],
)
def test_unusable_override_is_refused(overrides) -> None:
    with pytest.raises(RefusalError) as refusal:
        load_protocol_limits(overrides)
    assert refusal.value.code == "PROTOCOL_KEY_INVALID"
