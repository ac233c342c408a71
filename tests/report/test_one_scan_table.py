"""Assumed half-lives on paper, on the page and in the document: method, source, interval or bias, what was assumed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_dose_tables import _texts

from pipeline.domain.kinetics import TiaEstimate, TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.domain.regions import Region
from pipeline.files.schema import validate_result
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.single_scan import HalfLifePrior, fit_single_scan
from pipeline.report.one_scan_table import assumed_text, one_scan_table
from pipeline.report.paper import register_fonts
from pipeline.report.pdf import write_report
from pipeline.report.volumes import ReportVolumes
from pipeline.review.content import page_content
from pipeline.steps.integrate import RegionKinetics
from pipeline.steps.region_results import curve_document

HOUR = 3600.0
LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
PRIOR = HalfLifePrior(51.0 * HOUR, 0.12, "patient", "cycle 1 of this patient")
POINT = TimeActivityCurve(np.array([96.0 * HOUR]), np.array([4e7]), None)


@pytest.fixture(autouse=True)
def _fonts() -> None:
    register_fonts()


def curve_of(estimate: TiaEstimate, points: int = 1) -> dict[str, Any]:
    kidney = Region(1, "kidney", "left", "organ", "auto")
    return curve_document(RegionKinetics(kidney, np.ones(points), np.ones(points), 1.0, estimate), points)


def one_scan(document: dict[str, Any], estimate: TiaEstimate) -> dict[str, Any]:
    """Make the first kidney that of a cycle of one scan."""
    kidney = document["regions"][0]
    kidney |= {"activity": kidney["activity"][:1], "flags": list(estimate.flags), "curve": curve_of(estimate)}
    return document


def test_the_document_says_what_was_assumed(document: dict[str, Any]) -> None:
    estimate = fit_single_scan(POINT, LU, PRIOR)
    curve = curve_of(estimate)
    assert (curve["model"], curve["half_life_source"]) == ("single-patient", "cycle 1 of this patient")
    assert curve["tia_ci95_bq_s"] == list(estimate.tia_ci95_bq_s or ())
    assert curve["assumed_fraction"] == estimate.assumed_fraction > 0.0
    assert "bias_relative" not in curve
    validate_result(one_scan(document, estimate))


@pytest.mark.parametrize("form", ["madsen", "haenscheid"])
def test_a_published_form_states_its_bias(form: Any, document: dict[str, Any]) -> None:
    estimate = fit_single_scan(POINT, LU, PRIOR, form=form)
    curve = curve_of(estimate)
    assert curve["bias_relative"] == list(estimate.bias_relative or ())
    assert "tia_ci95_bq_s" not in curve
    # Its year is no number of points.
    assert curve["fit_points"] == 1
    validate_result(one_scan(document, estimate))
    low, high = curve["bias_relative"]
    assert f"bias {100 * low:+.1f} % to {100 * high:+.1f} %" in _texts(one_scan_table(document)).replace("−", "-")


def test_a_fit_of_three_scans_assumed_nothing() -> None:
    time_s = np.array([24.0, 96.0, 168.0]) * HOUR
    curve = curve_of(fit_curve(TimeActivityCurve(time_s, 1e8 * 2.0 ** (-time_s / (51.0 * HOUR)), None), LU), 3)
    assert (curve["assumed_fraction"], curve["fit_points"]) == (0.0, 3)
    assert "half_life_source" not in curve
    assert curve["interval_method"] == "profile likelihood"


def test_a_rising_start_still_names_its_points() -> None:
    time_s = np.array([4.0, 24.0, 96.0]) * HOUR
    curve = curve_of(fit_curve(TimeActivityCurve(time_s, np.array([5e7, 1e8, 3e7]), None), LU), 3)
    assert (curve["model"], curve["fit_points"]) == ("mono-last-2", 2)


def test_the_report_has_a_row_for_each_assumed_half_life(document: dict[str, Any]) -> None:
    assert one_scan_table(document) == []
    one_scan(document, fit_single_scan(POINT, LU, PRIOR))
    # A curve that the schema allows but that holds numbers known by hand: 12 and 15 GBq h, 51 +- 6 h, 83 %.
    document["regions"][0]["effective_half_life_s"] = 51.0 * HOUR
    document["regions"][0]["curve"] |= {
        "tia_ci95_bq_s": [12e9 * HOUR, 15e9 * HOUR],
        "effective_half_life_sigma_s": 6.0 * HOUR,
        "assumed_fraction": 0.83,
    }
    text = _texts(one_scan_table(document))
    assert "Kidney, left | single-patient | cycle 1 of this patient | 51.0 ± 6.0 | 12.0 to 15.0 | 83 %" in text
    assert "Kidney, right" not in text


def test_the_page_says_it_beside_the_curve(document: dict[str, Any]) -> None:
    one_scan(document, fit_single_scan(POINT, LU, PRIOR))
    curve = document["regions"][0]["curve"]
    curve |= {"tia_ci95_bq_s": [12e9 * HOUR, 15e9 * HOUR], "assumed_fraction": 0.83}
    shown = page_content(document, None, {})["regions"]
    expected = "half-life from cycle 1 of this patient; 95 % 12.0 to 15.0 GBq h; 83 % of the variance assumed"
    assert shown[0]["curve"]["caption"].endswith(f" · {expected}")
    assert "half-life from" not in shown[1]["curve"]["caption"]


def test_marrow_by_an_assumed_aorta_is_named(document: dict[str, Any]) -> None:
    marrow = next(region for region in document["regions"] if region["name"] == "marrow")
    marrow |= {"curve": None, "flags": ["SINGLE_POINT_PRIOR"], "method": "image_aorta"}
    assert "image_aorta" in _texts(one_scan_table(document))
    assert assumed_text(marrow) == "half-life from elsewhere"


@pytest.mark.needs("pdftotext")
def test_the_pdf_holds_the_table(tmp_path: Path, document: dict[str, Any], volumes: ReportVolumes) -> None:
    one_scan(document, fit_single_scan(POINT, LU, PRIOR))
    path = tmp_path / "report.pdf"
    write_report(path, document, volumes, None, document["decision"])
    done = subprocess.run(["pdftotext", "-raw", str(path), "-"], capture_output=True, check=True)
    text = "".join(done.stdout.decode().split())
    assert "Half-livesthatwereassumed" in text
    assert "cycle1ofthispatient" in text
