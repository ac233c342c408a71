"""The result schema holds the interface: what must be there is there, under its name, in its form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.errors import DefectError
from pipeline.files.schema import result_schema, validate_result

# The field lists of the published interface, written down here a second time on purpose.
TOP = [
    "schema_version",
    "patient_key",
    "cycle",
    "administration",
    "time_points",
    "registration",
    "regions",
    "second_check",
    "tumour_burden",
    "decision",
    "flags",
    "provenance",
]
REGION = [
    "name",
    "code",
    "laterality",
    "kind",
    "method",
    "volume_ml",
    "mass_g",
    "centroid_lps_mm",
    "activity",
    "recovery_coefficient",
    "effective_half_life_s",
    "tia_bq_s",
    "tia_sigma_bq_s",
    "mean_dose_gy",
    "mean_dose_sigma_gy",
    "map_mean_dose_gy",
    "d2_gy",
    "d98_gy",
    "bed_gy",
    "flags",
]
DECISION = [
    "patient_key",
    "on",
    "outcome",
    "activity_gbq",
    "reasons",
    "advisories",
    "options",
    "cumulative",
    "projected",
    "p_exceed",
    "earliest_date",
    "deadline",
    "rule_version",
    "settings_hash",
]
NESTED = (
    ("administration", "activity_bq"),
    ("administration", "start"),
    ("administration", "radionuclide"),
    ("time_points", "series_uid"),
    ("time_points", "delay_s"),
    ("time_points", "total_activity_bq"),
    ("registration", "from"),
    ("registration", "to"),
    ("registration", "quality"),
    ("registration", "value"),
    ("registration", "accepted"),
    *(("regions", name) for name in REGION),
    *(("second_check", n) for n in ("region", "method", "mean_dose_gy", "difference", "tolerance", "passed")),
    *(("tumour_burden", n) for n in ("liver_fraction_percent", "liver_fraction_sigma_percent", "category", "points")),
    *(("tumour_burden", n) for n in ("total_points", "evidence", "confirmed_by")),
    *(("decision", name) for name in DECISION),
    *(("flags", name) for name in ("code", "level", "text", "region")),
    *(("provenance", n) for n in ("code_version", "settings_hash", "inputs", "engine", "backend", "dtype")),
    *(("provenance", n) for n in ("decay_data", "created_at")),
)


def _part(document: dict[str, Any], name: str) -> dict[str, Any]:
    part = document[name]
    return dict.__getitem__(document, name)[0] if isinstance(part, list) else part


def test_schema_is_a_schema_without_host_names() -> None:
    schema = result_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == "urn:prrt-dosimetry:schema:result:1"
    assert str(schema).count("://") == 1  # the name of the schema language, which is no address of ours


def test_the_synthetic_document_is_accepted(document: dict[str, Any]) -> None:
    validate_result(document)


@pytest.mark.parametrize("name", TOP)
def test_each_part_is_required(document: dict[str, Any], name: str) -> None:
    del document[name]
    with pytest.raises(DefectError, match=name):
        validate_result(document)


@pytest.mark.parametrize(("part", "name"), NESTED)
def test_a_renamed_field_is_refused_with_its_path(document: dict[str, Any], part: str, name: str) -> None:
    where = _part(document, part)
    where[f"{name}_renamed"] = where.pop(name)
    with pytest.raises(DefectError, match=rf"\$\.{part}.*'{name}' is a required property"):
        validate_result(document)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("administration", "start", "2026-05-15T09:20:00"),
        ("administration", "activity_bq", 0.0),
        ("time_points", "delay_s", -1.0),
        ("regions", "laterality", "L"),
        ("regions", "kind", "tumour"),
        ("regions", "centroid_lps_mm", [1.0, 2.0]),
        ("regions", "mean_dose_gy", "4.2"),
        ("regions", "mean_dose_gy", -0.1),
        ("regions", "uncertainty", {"fit": 0.1}),
        ("decision", "outcome", "MAYBE"),
        ("decision", "earliest_date", "26.06.2026"),
        ("decision", "p_exceed", {"kidney": 1.2, "marrow": 0.0}),
        ("flags", "level", "ERROR"),
        ("tumour_burden", "total_points", 13),
    ],
)
def test_a_value_of_the_wrong_form_is_refused(document: dict[str, Any], part: str, name: str, value: object) -> None:
    _part(document, part)[name] = value
    with pytest.raises(DefectError, match=rf"\$\.{part}"):
        validate_result(document)


def test_a_number_that_is_not_finite_is_refused(document: dict[str, Any]) -> None:
    document["regions"][2]["tia_bq_s"] = float("nan")
    with pytest.raises(DefectError, match=r"\$\.regions\[2\]\.tia_bq_s: nan is not a finite number"):
        validate_result(document)


def test_what_may_be_unknown_may_be_null(document: dict[str, Any]) -> None:
    for name in REGION[5:8] + REGION[9:19]:
        document["regions"][0][name] = None
    document["tumour_burden"] = None
    document["decision"]["projected"]["kidney_gy"] = None
    validate_result(document)


def test_regions_and_provenance_may_be_extended(document: dict[str, Any]) -> None:
    document["regions"][0]["volume_of_cortex_ml"] = 101.0
    document["provenance"]["fingerprint"] = "f" * 64
    validate_result(document)


def _names(schema: object) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_names, schema))
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return own.union(*(_names(part) for part in schema.values()))


def test_the_page_of_the_document_explains_every_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "result-document.md").read_text(encoding="utf-8")
    fields = _names(result_schema())
    assert len(fields) > 100
    assert {name for name in fields if f"`{name}`" not in page and f"`{name}[]`" not in page} == set()


def test_a_caller_cannot_change_the_schema() -> None:
    result_schema()["required"].clear()
    assert result_schema()["required"] == TOP
