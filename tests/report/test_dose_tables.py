"""Dose rates, BED and spheres on paper and on the page: the numbers of the document, with their units."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.report import dose_tables
from pipeline.report.paper import register_fonts
from pipeline.report.tables import second_check_table
from pipeline.review.content import page_content


@pytest.fixture(autouse=True)
def _fonts() -> None:
    register_fonts()


def _texts(flowables: list[Any]) -> str:
    """All words of tables and paragraphs, one after the other."""
    found = []
    for flowable in flowables:
        if hasattr(flowable, "_content"):
            found.append(_texts(flowable._content))
        if hasattr(flowable, "_cellvalues"):
            found += [_words(cell) for row in flowable._cellvalues for cell in row]
        elif hasattr(flowable, "getPlainText"):
            found.append(flowable.getPlainText())
    return " | ".join(found)


def _words(cell: Any) -> str:
    if isinstance(cell, list | tuple):
        return " ".join(map(_words, cell))
    return cell.getPlainText() if hasattr(cell, "getPlainText") else str(cell)


def test_dose_rates_stand_under_their_time(document: dict[str, Any]) -> None:
    kidney = document["regions"][0]
    kidney["dose_rate_gy_per_s"] = [1.0e-5, 4.0e-6, 1.5e-6]
    text = _texts(dose_tables.rates_table(document))
    assert "mGy/h at 24.2 h" in text
    # 1e-5 Gy/s is 36 mGy/h.
    assert "Kidney, left | 36.0 | 14.4 | 5.40" in text
    assert "Red marrow" not in text


def test_bed_says_what_it_was_made_with(document: dict[str, Any]) -> None:
    kidney = document["regions"][0]
    kidney |= {"bed_gy": 5.5, "bed_map_mean_gy": 5.1, "bed_d98_gy": 2.25, "bed_d50_gy": 5.05, "bed_d2_gy": 8.75}
    text = _texts(dose_tables.bed_table(document))
    assert "Kidney, left | 5.50 | 5.10 | 2.25 | 5.05 | 8.75 | 2.6 | 2.8 | Barone et al. 2005" in text
    assert "Liver" not in text


def test_a_lesion_stands_beside_its_sphere(document: dict[str, Any]) -> None:
    lesion = next(r for r in document["regions"] if r["name"] == "lesion-1")
    lesion |= {"mass_g": 31.4, "mean_dose_gy": 20.5}
    lesion["sphere_model"] = {"s_gy_per_bq_s": 7.5e-13, "mean_dose_gy": 20.0, "difference": 0.025}
    text = _texts(dose_tables.sphere_table(document))
    # 7.5e-13 Gy per decay is 0.75 mGy/(GBq s).
    assert "Lesion 1 | 31.4 | 20.5 | 20.0 | 0.750 | +2.5 %" in text


def test_a_result_of_an_older_version_has_none_of_these_tables(document: dict[str, Any]) -> None:
    for region in document["regions"]:
        for name in ("dose_rate_gy_per_s", "sphere_model", "bed_parameters"):
            region.pop(name, None)
    made = [dose_tables.rates_table, dose_tables.bed_table, dose_tables.sphere_table]
    assert [table(document) for table in made] == [[], [], []]


def test_a_row_about_the_s_value_shows_the_engines_self_dose(document: dict[str, Any]) -> None:
    row = {"region": "kidney_left", "method": "organ self S value", "mean_dose_gy": 4.0, "difference": 0.025}
    document["second_check"] = [row | {"tolerance": 0.04, "passed": True, "quantity": "self_dose", "engine_gy": 4.1}]
    assert "organ self S value | 4.10 | 4.00 | +2.5 %" in _texts(second_check_table(document))


def test_the_page_holds_the_same_numbers(document: dict[str, Any]) -> None:
    kidney = document["regions"][0]
    kidney |= {"dose_rate_gy_per_s": [1.0e-5, 4.0e-6, 1.5e-6], "d50_gy": 4.44}
    lesion = next(r for r in document["regions"] if r["name"] == "lesion-1")
    lesion["sphere_model"] = {"s_gy_per_bq_s": 7.5e-13, "mean_dose_gy": 20.0, "difference": 0.025}
    shown = {region["key"]: region for region in page_content(document, None, {})["regions"]}
    said = shown["kidney_left"]["dose_title"]
    assert said.startswith("36.0 mGy/h at 24.2 h, 14.4 mGy/h at")
    assert "D50 4.44 Gy" in said
    assert "alpha/beta 2.6 Gy, repair 2.8 h" in said
    assert (shown["lesion-1"]["sphere"], shown["kidney_left"]["sphere"]) == ("+2.5 %", "–")
    assert "20.0 Gy" in shown["lesion-1"]["sphere_title"]


@pytest.mark.parametrize("failing", [0, 1])
def test_the_page_shows_the_row_that_failed(document: dict[str, Any], failing: int) -> None:
    rows = [
        {"region": "kidney_left", "method": name, "mean_dose_gy": 4.0, "difference": 0.01 * number, "tolerance": 0.04}
        for number, name in enumerate(("dose", "S value"), start=1)
    ]
    document["second_check"] = [row | {"passed": number != failing} for number, row in enumerate(rows)]
    shown = next(r for r in page_content(document, None, {})["regions"] if r["key"] == "kidney_left")
    assert shown["check_failed"]
    assert shown["check_method"] == ("dose", "S value")[failing]
