"""The protocol's limits: defaults of section 2.3, overrides, refusals."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, fields
from importlib import resources

import pytest
from refused import refused

from pipeline.rules.limits import ProtocolLimits, canonical_key, limit_sources, limits_from_table
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
    ("overrides", "where", "needed"),
    [
        (
            {"kidney_limits": 23.0},
            "kidney_limits",
            "a key of the protocol: dose_tolerance_gy, granulocytes_above_per_nl",
        ),
        ({"kidney_limit_gy": "23"}, "kidney_limit_gy", "a number"),
        ({"kidney_limit_gy": True}, "kidney_limit_gy", "a number"),
        ({"kidney_limit_gy": 0}, "kidney_limit_gy", "above 0"),
        ({"kidney_limit_gy": -1.0}, "kidney_limit_gy", "above 0"),
        ({"kidney_limit_gy": float("nan")}, "kidney_limit_gy", "a finite number above 0"),
        ({"kidney_limit_gy": float("inf")}, "kidney_limit_gy", "a finite number above 0"),
        ({"kidney_limit_gy": None}, "kidney_limit_gy", "a number"),
        ({"kidney_rule": "maybe"}, "kidney_rule", "one of projected, reached"),
        ({"kidney_rule": 1}, "kidney_rule", "one of projected, reached"),
        ({"projection_source": "first"}, "projection_source", "one of last, mean, max"),
        ({"timeout_anchor": "first_failure"}, "timeout_anchor", "one of last_administration"),
        ({"interval_min_days": 60}, "interval_min_days", "at most interval_max_days, 56"),
        ({"interval_min_days": 42.5}, "interval_min_days", "a whole number above 0"),
        ({"interval": [60, 42]}, "interval_min_days", "at most interval_max_days, 42"),
        ({"interval": 42}, "interval", "two whole numbers of days"),
        ({"interval": [42]}, "interval", "two whole numbers of days"),
        ({"interval": [42, 56, 60]}, "interval", "two whole numbers of days"),
        ({"lab_max_age_days": 0}, "lab_max_age_days", "a whole number above 0"),
        ({"lab_max_age_days": True}, "lab_max_age_days", "a whole number above 0"),
        ({"reduced_factor": 1.1}, "reduced_factor", "above 0, at most 1"),
        ({"kidney_asymmetry": 2.1}, "kidney_asymmetry", "above 0, at most 2"),
        ({"dose_tolerance_gy": 1.0}, "dose_tolerance_gy", "above 0, at most 0.01"),
        ({"response_imaging_required": "yes"}, "response_imaging_required", "true or false"),
        ({"kidney_limit": 23.0, "kidney_limit_gy": 24.0}, "kidney_limit_gy", "one value of kidney_limit_gy"),
    ],
)
def test_unusable_override_is_refused(overrides, where, needed) -> None:
    with refused("PROTOCOL_KEY_INVALID", where=where, found=f"{where} = ", needed=needed):
        load_protocol_limits(overrides)


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"reduced_factor": 1.0}, "reduced_factor"),
        ({"kidney_asymmetry": 2.0}, "kidney_asymmetry"),
        ({"dose_tolerance_gy": 0.01}, "dose_tolerance_gy"),
        ({"lab_max_age_days": 1}, "lab_max_age_days"),
        ({"standard_cycles": 1}, "standard_cycles"),
        ({"interval_min_days": 56}, "interval_min_days"),
        ({"marrow_limit_gy": 1e-9}, "marrow_limit_gy"),
    ],
)
def test_the_ends_of_what_is_allowed(overrides, field) -> None:
    assert asdict(load_protocol_limits(overrides)) == DEFAULTS | {field: overrides[field]}


def test_whole_numbers_of_a_profile_become_floats_where_a_number_is_real() -> None:
    assert isinstance(load_protocol_limits({"kidney_limit_gy": 25}).kidney_limit_gy, float)


def test_an_interval_of_two_days_stands_for_its_two_keys_beside_others() -> None:
    limits = load_protocol_limits({"interval": (49, 63), "timeout": 9})
    assert (limits.interval_min_days, limits.interval_max_days, limits.timeout_months) == (49, 63, 9)


def test_a_table_that_lacks_limits_is_refused_by_their_names() -> None:
    text = (resources.files("pipeline") / "data" / "protocol.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    without = {key: entry for key, entry in table.items() if key not in {"marrow_limit_gy", "timeout_months"}}
    with refused("PROTOCOL_KEY_INVALID", where="protocol", found="no marrow_limit_gy, timeout_months"):
        limits_from_table(without, {})


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("PLT_MIN", "platelets_above_per_nl"),
        ("interval", "interval"),
        ("kidney_limit_gy", "kidney_limit_gy"),
        ("x", None),
    ],
)
def test_a_key_is_known_by_its_field_name_in_any_case(key, field) -> None:
    assert canonical_key(key) == field
