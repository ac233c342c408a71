"""Columns of a table of curves: known in any case, refused where they would decide the fit, told where not read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import RefusalError
from pipeline.files.curve_table import write_fit_table
from pipeline.steps.fit_curves import fit_file

POINTS = ((24, 7.2e7), (96, 2.7e7))
Result = dict[str, Any]


def _csv(folder: Path, header: str, *lines: str) -> Path:
    path = folder / "curves.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def _excel(folder: Path, header: str, *lines: str) -> Path:
    book = openpyxl.Workbook()
    book.active.append(header.split(","))
    for line in lines:
        name, *numbers = line.split(",")
        book.active.append([name, *map(float, numbers)])
    path = folder / "curves.xlsx"
    book.save(path)
    return path


def _fit(path: Path) -> Result:
    return fit_file(path, "Lu-177", "auto", "extrapolate", "fitted")


@pytest.mark.parametrize("write", [_csv, _excel])
def test_known_columns_in_any_case_are_the_same_fit(tmp_path: Path, write: Any) -> None:
    lines = [f"k,{t},{a!r},{0.03 * a!r}" for t, a in POINTS]
    plain = _fit(write(tmp_path, "region,time_h,activity_bq,sigma_bq", *lines))
    capital = _fit(write(tmp_path, "Region, TIME_H ,Activity_Bq,Sigma_bq", *lines))
    assert capital == plain
    assert plain["regions"][0]["error_model"] == "sigma_bq of the file"


@pytest.mark.parametrize("write", [_csv, _excel])
def test_a_capital_cycle_keeps_two_cycles_apart(tmp_path: Path, write: Any) -> None:
    # Unread, these are four points of one curve.
    lines = ["k,1,24,7.2e7", "k,1,96,2.7e7", "k,2,25,7.5e7", "k,2,97,2.8e7"]
    regions = _fit(write(tmp_path, "region,Cycle,time_h,activity_bq", *lines))["regions"]
    assert [float(region["cycle"]) for region in regions] == [1.0, 2.0]
    assert {region["model"] for region in regions} == {"hierarchical"}


@pytest.mark.parametrize("write", [_csv, _excel])
@pytest.mark.parametrize(
    ("column", "needed"),
    [
        ("uncertainty_bq", "sigma_bq"),
        ("std_bq", "sigma_bq"),
        ("STD", "sigma_bq"),
        ("activity_err", "activity_bq"),
        ("rel_error", "sigma_bq"),
        ("u_bq", "sigma_bq"),
        ("a_sigma", "sigma_bq"),
        ("SD (%)", "sigma_bq"),
        ("cycle_no", "cycle"),
        ("cycles", "cycle"),
        ("half_life_h", "--prior"),
        ("T_eff", "--prior"),
        ("unit", "activity_bq"),
        ("a_mbq", "activity_bq"),
    ],
)
def test_a_column_that_would_decide_the_fit_is_refused(tmp_path: Path, write: Any, column: str, needed: str) -> None:
    lines = [f"k,{t},{a!r},1" for t, a in POINTS]
    with pytest.raises(RefusalError) as caught:
        _fit(write(tmp_path, f"region,time_h,activity_bq,{column}", *lines))
    assert caught.value.code == "CURVES_INVALID"
    assert repr(column) in caught.value.found
    assert needed in caught.value.needed
    assert caught.value.do


@pytest.mark.parametrize("twice", ["Sigma_bq,sigma_bq", "Cycle,cycle"])
def test_a_column_twice_in_two_spellings_is_refused(tmp_path: Path, twice: str) -> None:
    with pytest.raises(RefusalError) as caught:
        _fit(_csv(tmp_path, f"region,time_h,activity_bq,{twice}", "k,24,7e7,1,1", "k,96,2e7,1,1"))
    assert "each once" in caught.value.needed


def test_other_columns_are_told(tmp_path: Path) -> None:
    header = "region,time_h,activity_bq,Comment,note,scanner,laterality,fitted_bq,volume_ml"
    source = _csv(tmp_path, header, *(f"k,{t},{a!r},a,b,c,d,1,2" for t, a in POINTS))
    document = _fit(source)
    assert document["ignored_columns"] == ["Comment", "note", "scanner", "laterality", "fitted_bq", "volume_ml"]
    plain = _fit(_csv(tmp_path, "region,time_h,activity_bq", *(f"k,{t},{a!r}" for t, a in POINTS)))
    assert plain["ignored_columns"] == []
    assert document["regions"] == plain["regions"]


def test_the_command_names_the_columns_it_did_not_read(tmp_path: Path) -> None:
    source = _csv(tmp_path, "region,time_h,activity_bq,Comment", *(f"k,{t},{a!r},x" for t, a in POINTS))
    shown = CliRunner().invoke(app, ["fit", str(source), "--nuclide", "Lu-177"])
    assert shown.exit_code == 0, shown.output
    assert "Comment" in shown.stdout
    told = CliRunner().invoke(app, ["fit", str(source), "--nuclide", "Lu-177", "--json"])
    assert json.loads(told.stdout)["ignored_columns"] == ["Comment"]


@pytest.mark.parametrize(
    ("sigmas", "doubtful"),
    [((5.0, 5.0), True), ((0.05, 0.05), True), ((7.2e7 * 0.0019, 1e6), True), ((7.2e7 * 0.0021, 1e6), False)],
)
def test_sigmas_in_percent_or_relative_are_flagged(tmp_path: Path, sigmas: tuple[float, float], doubtful: bool) -> None:
    # 5 for 5 % of 7e7 Bq: a relative sigma of 7e-8. The limit is 0.2 % of a point's activity.
    lines = [f"k,{t},{a!r},{s!r}" for (t, a), s in zip(POINTS, sigmas, strict=True)]
    document = _fit(_csv(tmp_path, "region,time_h,activity_bq,sigma_bq", *lines))
    assert ("SIGMA_DOUBTFUL" in document["regions"][0]["flags"]) is doubtful
    write_fit_table(tmp_path / "r.csv", document)
    assert ("SIGMA_DOUBTFUL" in (tmp_path / "r.csv").read_text(encoding="utf-8")) is doubtful


def test_a_zero_in_a_file_is_refused_by_its_region(tmp_path: Path) -> None:
    lines = [*(f"k,{t},{a!r}" for t, a in POINTS), "k,168,0"]
    with pytest.raises(RefusalError) as caught:
        _fit(_csv(tmp_path, "region,time_h,activity_bq", *lines))
    assert (caught.value.code, caught.value.where) == ("CURVE_NOT_POSITIVE", "curves.csv, k")
