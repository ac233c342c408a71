"""The document of ``prrt fit``."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from pipeline.errors import RefusalError
from pipeline.steps.fit_curves import fit_file

KEYS = {
    "region",
    "model",
    "parameters",
    "effective_half_life_s",
    "tia_bq_s",
    "tia_sigma_bq_s",
    "extrapolated_fraction",
    "flags",
}


def _file(folder: Path, text: str) -> Path:
    path = folder / "curves.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_regions_in_order_with_rows_in_any(tmp_path: Path) -> None:
    rows = "".join(f"kidney,{t},{1e8 * 2 ** (-t / 51)!r}\n" for t in (168, 24, 96))
    rows += "".join(f"liver,{t},{1e8 * 2 ** (-t / 67)!r}\n" for t in (24, 96))
    document = fit_file(
        _file(tmp_path, "region,time_h,activity_bq\n" + rows), "Lu-177", "auto", "extrapolate", "fitted"
    )
    kidney, liver = document["regions"]
    assert set(kidney) >= KEYS
    assert (kidney["region"], liver["region"]) == ("kidney", "liver")
    assert kidney["tia_bq_s"] == pytest.approx(1e8 * 51 * 3600 / math.log(2), rel=1e-10)
    assert liver["flags"] == ["TWO_POINT"]
    assert kidney["error_model"] == "0.05 of the fitted activity"
    json.dumps(document, allow_nan=False)


def test_sigmas_of_the_file_are_used(tmp_path: Path) -> None:
    rows = "".join(f"k,{t},{1e8 * 2 ** (-t / 51)!r},{1e6 * 2 ** (-t / 51)!r}\n" for t in (24, 96, 168))
    path = _file(tmp_path, "region,time_h,activity_bq,sigma_bq\n" + rows)
    one = fit_file(path, "Lu-177", "mono", "constant", "physical")["regions"][0]
    plain = "".join(f"{row.rsplit(',', 1)[0]}\n" for row in rows.splitlines())
    path = _file(tmp_path, "region,time_h,activity_bq\n" + plain)
    five = fit_file(path, "Lu-177", "mono", "constant", "physical")["regions"][0]
    assert one["error_model"] == "sigma_bq of the file"
    # 1 % in the file against the stated default of 5 %.
    assert five["tia_sigma_bq_s"] == pytest.approx(5.0 * one["tia_sigma_bq_s"], rel=1e-9)
    assert (one["head_rule"], one["tail_rule"]) == ("constant", "physical")
    assert one["flags"] == ["TAIL_PHYSICAL_UPPER_BOUND"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("region,time_h\nk,1\n", "CURVES_INVALID"),
        ("region,time_h,activity_bq\nk,24,x\nk,96,1\n", "CURVES_INVALID"),
        ("region,time_h,activity_bq\n,24,1\n", "CURVES_INVALID"),
        ("region,time_h,activity_bq\nk,-1,1\nk,96,1\n", "CURVES_INVALID"),
        ("region,time_h,activity_bq,sigma_bq\nk,24,2,1\nk,96,1,\n", "CURVES_INVALID"),
        ("region,time_h,activity_bq\nk,24,2\nk,24,1\n", "CURVE_TIMES_INVALID"),
        ("region,time_h,activity_bq\nk,24,2\n", "SINGLE_POINT_WITHOUT_PRIOR"),
        ("region,time_h,activity_bq,sigma_bq\nk,24,2,0\nk,96,1,1\n", "CURVE_INVALID"),
        ("region,time_h,activity_bq\nk,86400,2\nk,345600,1\n", "CURVE_TIMES_INVALID"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(RefusalError) as refusal:
        fit_file(_file(tmp_path, text), "Lu-177", "mono", "extrapolate", "fitted")
    assert refusal.value.code == code
    assert refusal.value.where.startswith("curves.csv")


def test_an_unknown_nuclide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusalError) as refusal:
        fit_file(_file(tmp_path, "region,time_h,activity_bq\nk,24,2\n"), "Xx-1", "mono", "extrapolate", "fitted")
    assert refusal.value.code == "NUCLIDE_UNKNOWN"


ONE = "region,time_h,activity_bq\nkidney-left,96,100\n"


@pytest.mark.parametrize(
    ("prior", "model"),
    [
        ("population", "single-population"),
        ("haenscheid", "single-haenscheid-2018"),
        ("madsen", "single-madsen-2018"),
    ],
)
def test_one_point_with_a_named_prior_carries_the_methods_id(tmp_path: Path, prior: str, model: str) -> None:
    document = fit_file(_file(tmp_path, ONE), "Lu-177", "auto", "extrapolate", "fitted", prior)
    region = document["regions"][0]
    assert region["model"] == model
    assert "SINGLE_POINT_PRIOR" in region["flags"]
    assert 0.5 < region["assumed_fraction"] < 1.0
    # An interval, or the bounds of a systematic error: never neither.
    assert (region["tia_ci95_bq_s"] is None) != (region["bias_relative"] is None)
    json.dumps(document, allow_nan=False)


@pytest.mark.parametrize("region", ["kidney-left", "kidney_left", "Kidney_Right", "kidney"])
def test_the_population_is_of_a_kidney_whatever_its_key(tmp_path: Path, region: str) -> None:
    path = _file(tmp_path, f"region,time_h,activity_bq\n{region},96,100\n")
    one = fit_file(path, "Lu-177", "auto", "extrapolate", "fitted", "population")["regions"][0]
    assert one["model"] == "single-population"
    # A table of curves does not state the ligand: the result says which one the half-lives are of.
    assert "Lu-177 with DOTATATE or DOTATOC only" in one["half_life_source"]


def test_cycles_about_the_population_name_its_ligand(tmp_path: Path) -> None:
    path = _file(tmp_path, "region,cycle,time_h,activity_bq\nkidney_left,1,24,100\nkidney_left,2,24,90\n")
    regions = fit_file(path, "Lu-177", "auto", "extrapolate", "fitted", "population")["regions"]
    assert all("DOTATATE or DOTATOC only" in one["half_life_source"] for one in regions)


def test_the_key_of_a_result_finds_its_row_in_a_file_of_half_lives(tmp_path: Path) -> None:
    priors = tmp_path / "priors.csv"
    priors.write_text("region,half_life_h,half_life_sigma_h\nkidney_left,51,0\n", encoding="utf-8")
    one = fit_file(_file(tmp_path, ONE), "Lu-177", "auto", "extrapolate", "fitted", str(priors))["regions"][0]
    assert (one["model"], one["half_life_source"]) == ("single-file", "priors.csv")
    priors.write_text("region,half_life_h,half_life_sigma_h\nkidney_left,51,0\nkidney-left,60,0\n", encoding="utf-8")
    with pytest.raises(RefusalError) as refusal:
        fit_file(_file(tmp_path, ONE), "Lu-177", "auto", "extrapolate", "fitted", str(priors))
    assert refusal.value.code == "PRIOR_FILE_INVALID"


def test_half_lives_from_a_file(tmp_path: Path) -> None:
    priors = tmp_path / "priors.csv"
    priors.write_text("region,half_life_h,half_life_sigma_h\nkidney-left,51,0\n", encoding="utf-8")
    region = fit_file(_file(tmp_path, ONE), "Lu-177", "auto", "extrapolate", "fitted", str(priors))["regions"][0]
    exact = 100.0 * 2 ** (96 / 51) * 51 * 3600 / math.log(2)
    assert region["tia_bq_s"] == pytest.approx(exact, rel=1e-3)
    assert region["model"] == "single-file"
    two = _file(tmp_path, "region,time_h,activity_bq\nliver,96,100\n")
    with pytest.raises(RefusalError) as refusal:
        fit_file(two, "Lu-177", "auto", "extrapolate", "fitted", str(priors))
    assert refusal.value.code == "PRIOR_FILE_INVALID"


@pytest.mark.parametrize(
    ("text", "prior", "code"),
    [
        ("region,time_h,activity_bq\nmarrow,96,1\n", "population", "POPULATION_UNKNOWN"),
        ("region,time_h,activity_bq\nliver_with_lesions,96,1\n", "population", "POPULATION_UNKNOWN"),
        ("region,time_h,activity_bq\nkidney,4,1\n", "population", "PRIOR_OUT_OF_RANGE"),
        ("region,time_h,activity_bq\nkidney,24,1\n", "haenscheid", "SINGLE_POINT_TOO_EARLY"),
        ("region,cycle,time_h,activity_bq\nkidney,1,24,1\nkidney,,24,1\n", None, "CURVES_INVALID"),
        ("region,cycle,time_h,activity_bq\nkidney,1,24,1\n", "madsen", "CYCLES_MODEL_INVALID"),
        ("region,cycle,time_h,activity_bq\nkidney,1,24,1\nkidney,2,24,1\n", None, "SINGLE_POINT_WITHOUT_PRIOR"),
    ],
)
def test_priors_that_cannot_be_used(tmp_path: Path, text: str, prior: str | None, code: str) -> None:
    with pytest.raises(RefusalError) as refusal:
        fit_file(_file(tmp_path, text), "Lu-177", "auto", "extrapolate", "fitted", prior)
    assert refusal.value.code == code


def test_a_prior_is_for_one_point_only(tmp_path: Path) -> None:
    # Three points carry their own half-life: naming a prior changes nothing.
    rows = "".join(f"kidney,{t},{1e8 * 2 ** (-t / 60)!r}\n" for t in (24, 96, 168))
    path = _file(tmp_path, "region,time_h,activity_bq\n" + rows)
    named, plain = (fit_file(path, "Lu-177", "mono", "extrapolate", "fitted", prior) for prior in ("population", None))
    assert named == plain


def test_cycles_of_a_file_are_fitted_together(tmp_path: Path) -> None:
    rows = "".join(f"kidney,1,{t},{1e8 * 2 ** (-t / 60)!r}\n" for t in (24, 96, 168))
    path = _file(tmp_path, "region,cycle,time_h,activity_bq\n" + rows + f"kidney,2,24,{1e8 * 2 ** (-24 / 60)!r}\n")
    first, second = fit_file(path, "Lu-177", "auto", "extrapolate", "fitted")["regions"]
    assert (first["cycle"], second["cycle"]) == ("1", "2")
    assert first["model"] == second["model"] == "hierarchical"
    assert second["tia_bq_s"] == pytest.approx(1e8 * 60 * 3600 / math.log(2), rel=0.02)
    assert second["assumed_fraction"] > 0.5
    assert first["assumed_fraction"] < 0.1
    assert second["patient_half_life_s"] == pytest.approx(60 * 3600, rel=0.02)
