"""Curves from CSV and Excel are the same curves; what a spreadsheet may hold besides values is refused."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import RefusalError
from pipeline.files.curve_table import read_curve_rows, write_fit_table
from pipeline.physics.kinetics.fitted_band import band, exponential_sum, first_fitted_point, fitted_values
from pipeline.report.curve_figure import fit_figure
from pipeline.steps.fit_curves import fit_file

HEADER = ["region", "time_h", "activity_bq", "sigma_bq"]
POINTS: list[list[Any]] = [
    ["kidney", 24, 7.3e7, 3e6],
    ["kidney", 96, 2.6e7, 1.2e6],
    ["kidney", 168.5, 1.05e7, 8e5],
    ["liver", 24.0, 8.1e7, 3e6],
    ["liver", 96, 3.9e7, 2e6],
]


def _workbook(folder: Path, rows: list[list[Any]], *, sheet: str = "Sheet1", more: tuple[str, ...] = ()) -> Path:
    book = openpyxl.Workbook()
    page = book.active
    page.title = sheet
    for row in rows:
        page.append(row)
    for name in more:
        book.create_sheet(name).append(["notes"])
    path = folder / "curves.xlsx"
    book.save(path)
    return path


def _csv(folder: Path, rows: list[list[Any]]) -> Path:
    path = folder / "curves.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


def _fit(path: Path, model: str = "auto") -> dict[str, Any]:
    return fit_file(path, "Lu-177", model, "extrapolate", "fitted")  # type: ignore[arg-type]


def test_excel_and_csv_give_the_same_fits(tmp_path: Path) -> None:
    """Equal to the last bit: a number is read from Excel as stored, with an empty row between and blanks beside."""
    rows = [HEADER, *POINTS[:3], [None, "  "], *POINTS[3:]]
    assert _fit(_workbook(tmp_path, rows)) == _fit(_csv(tmp_path, [HEADER, *POINTS]))


def test_the_sheet_called_curves_is_read_where_there_are_several(tmp_path: Path) -> None:
    assert len(read_curve_rows(_workbook(tmp_path, [HEADER, *POINTS], sheet="Curves", more=("readme",)))) == 5
    with pytest.raises(RefusalError) as caught:
        read_curve_rows(_workbook(tmp_path, [HEADER, *POINTS], sheet="patient 1", more=("readme",)))
    assert caught.value.found == "sheets with content: patient 1, readme"
    assert "curves" in caught.value.do


def _with(row: int, column: int, value: Any = None) -> list[list[Any]]:
    rows = [list(HEADER), *map(list, POINTS)]
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "found", "needed"),
    [
        (_with(2, 2, "=2.6*10^7"), "a formula in column activity_bq, line 3", "plain value"),
        (_with(0, 2, "=B1"), "a formula in header, line 1", "plain value"),
        (_with(2, 1, dt.date(2026, 3, 2)), "a date or time of day in column time_h, line 3", "plain value"),
        (_with(2, 1, dt.time(10, 0)), "a date or time of day in column time_h, line 3", "plain value"),
        (_with(2, 2, value=True), "a truth value in column activity_bq, line 3", "plain value"),
        (_with(2, 2, "#DIV/0!"), "the error #DIV/0! in column activity_bq, line 3", "plain value"),
        (_with(2, 2, None), "'' in column activity_bq, line 3", "a number"),
        (_with(2, 0, None), "no name in column region, line 3", "region's name"),
        (_with(2, 3, None), "no value in column sigma_bq, line 3", "a sigma for every point"),
        (_with(2, 2, "26 MBq"), "'26 MBq' in column activity_bq, line 3", "a number"),
        (_with(2, 2, "2,6e7"), "'2,6e7' in column activity_bq, line 3", "decimal point"),
        (_with(2, 1, -1.0), "-1 in column time_h, line 3", "a number from 0"),
        (_with(0, 2, "activity_mbq"), "column 'activity_mbq'", "activity_bq"),
        (_with(0, 1, "time (d)"), "column 'time (d)'", "time_h"),
        (_with(0, 1, "time_s"), "column 'time_s'", "time_h"),
        (_with(0, 3, "sigma_percent"), "column 'sigma_percent'", "sigma_bq"),
        (_with(0, 3, "Sigma (%)"), "column 'Sigma (%)'", "sigma_bq"),
        (_with(0, 3, "REGION"), "columns ['region', 'time_h', 'activity_bq', 'region']", "each once: region"),
        (_with(0, 0, "organ"), "columns ['organ', 'time_h', 'activity_bq', 'sigma_bq']", "each once: region"),
        (_with(0, 3, "region"), "columns ['region', 'time_h', 'activity_bq', 'region']", "each once: region"),
        ([HEADER], "no row below the header", "at least one point"),
        ([HEADER, [*POINTS[0], 5.0]], "a value without a column name in line 2", "a name above every column"),
        ([[]], "sheets with content: none", "one sheet with content"),
    ],
)
def test_a_workbook_that_could_be_misread_is_refused(
    tmp_path: Path, rows: list[list[Any]], found: str, needed: str
) -> None:
    with pytest.raises(RefusalError) as caught:
        _fit(_workbook(tmp_path, rows))
    assert caught.value.code == "CURVES_INVALID"
    assert found == caught.value.found
    assert needed in caught.value.needed
    assert caught.value.where.startswith("curves.xlsx")
    assert caught.value.do


@pytest.mark.parametrize("header", [["region", "time_h", "activity_mbq"], ["region", "time_min", "activity_bq"]])
def test_another_unit_in_a_csv_is_refused_too(tmp_path: Path, header: list[str]) -> None:
    with pytest.raises(RefusalError) as caught:
        _fit(_csv(tmp_path, [header, ["kidney", 24, 7.0]]))
    assert "convert the values" in caught.value.do


def test_files_that_are_no_table_are_refused(tmp_path: Path) -> None:
    for name, content in (("a.xlsx", b"not a zip"), ("b.ods", b"PK"), ("c.csv", b"\xff\xfe\x00"), ("d.csv", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RefusalError) as caught:
            read_curve_rows(tmp_path / name)
        assert (caught.value.code, caught.value.where) == ("CURVES_INVALID", name)
    with pytest.raises(RefusalError):
        read_curve_rows(tmp_path / "missing.xlsx")


def test_results_come_back_from_csv_and_excel_as_they_were(tmp_path: Path) -> None:
    """CSV to the last bit, Excel to its 16 digits; the points' sheet is itself a file of curves with the same fits."""
    document = _fit(_csv(tmp_path, [HEADER, *POINTS]))
    write_fit_table(tmp_path / "r.csv", document)
    write_fit_table(tmp_path / "r.xlsx", document)
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as stream:
        written = list(csv.DictReader(stream))
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    header, *lines = [[cell.value for cell in row] for row in book["fits"].iter_rows()]
    for region, line, cells in zip(document["regions"], written, lines, strict=True):
        row = dict(zip(header, cells, strict=True))
        for key in ("tia_bq_s", "tia_sigma_bq_s", "effective_half_life_s", "extrapolated_fraction"):
            assert float(line[key]) == region[key]
            assert row[key] == pytest.approx(region[key], rel=1e-15)
        ends = [row["tia_low95_bq_s"], row["tia_high95_bq_s"]]
        assert ends == pytest.approx(region["tia_ci95_bq_s"], rel=1e-15)
        assert line["flags"].split() == region["flags"]
    book["points"].title = "curves"
    book.save(tmp_path / "again.xlsx")
    again = _fit(tmp_path / "again.xlsx")
    expected = [r["tia_bq_s"] for r in document["regions"]]
    assert [r["tia_bq_s"] for r in again["regions"]] == pytest.approx(expected, rel=1e-12)


def test_cycles_stand_beside_their_region_and_come_back(tmp_path: Path) -> None:
    """Three scans and one: both fitted together; the picture names the cycle; the points' sheet gives the same fits."""
    rows = [["kidney", 24, 7.3e7, 1], ["kidney", 96, 2.6e7, 1], ["kidney", 168, 1.05e7, 1], ["kidney", 24, 7e7, 2]]
    document = _fit(_csv(tmp_path, [[*HEADER[:3], "cycle"], *rows]))
    assert [region["cycle"] for region in document["regions"]] == ["1", "2"]
    write_fit_table(tmp_path / "r.xlsx", document)
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    assert [cell.value for cell in book["fits"]["B"]] == ["cycle", "1", "2"]
    assert "cycle 2" in fit_figure(document).axes[1].get_title(loc="left")
    points = book["points"]
    points.title = "curves"
    points.delete_cols([cell.value for cell in points[1]].index("sigma_bq") + 1)
    book.save(tmp_path / "again.xlsx")
    again = _fit(tmp_path / "again.xlsx")
    expected = [region["tia_bq_s"] for region in document["regions"]]
    assert [region["tia_bq_s"] for region in again["regions"]] == pytest.approx(expected, rel=1e-12)


def test_a_name_that_looks_like_a_formula_is_written_as_a_name(tmp_path: Path) -> None:
    document = _fit(_csv(tmp_path, [HEADER, ["=1+1", 24, 7e7, 1e6], ["=1+1", 96, 2e7, 1e6]]))
    write_fit_table(tmp_path / "r.xlsx", document)
    cell = openpyxl.load_workbook(tmp_path / "r.xlsx")["fits"]["A2"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")


def test_points_carry_the_sigma_they_were_weighed_with(tmp_path: Path) -> None:
    """Rising first point: not fitted; without measured errors 5 % of the fitted activity."""
    rows = [["liver", 4, 5e7], ["liver", 24, 8.1e7], ["liver", 96, 3.9e7], ["liver", 168, 1.7e7]]
    region = _fit(_csv(tmp_path, [HEADER[:3], *rows]))["regions"][0]
    assert region["model"] == "mono-last-3"
    first, *others = region["points"]
    assert first["fitted_bq"] is None
    for point in others:
        expected = region["parameters"]["amplitude_bq"] * math.exp(
            -region["parameters"]["rate_per_s"] * point["time_s"]
        )
        assert point["fitted_bq"] == pytest.approx(expected, rel=1e-12)
        assert point["sigma_bq"] == pytest.approx(0.05 * expected, rel=1e-12)


def test_band_is_the_spread_of_curves_with_parameters_drawn_from_the_covariance() -> None:
    """4000 draws: 5 % of sigma (4 errors), at 0, 24 and 200 h, two exponentials."""
    parameters = {"amplitude_bq": 8e7, "rate_per_s": 3e-6, "amplitude_2_bq": -3e7, "rate_2_per_s": 4e-5}
    sigmas = np.array([8e5, 2e-8, 6e5, 4e-7])
    fit = exponential_sum(parameters, np.diag(sigmas**2))
    assert fit is not None
    time_s = np.array([0.0, 24.0, 200.0]) * 3600.0
    drawn = np.array(list(parameters.values())) + sigmas * np.random.default_rng(3).standard_normal((4000, 4))
    curves = [a * np.exp(-r * time_s) + b * np.exp(-s * time_s) for a, r, b, s in drawn]
    value, sigma = band(fit, time_s)
    assert value == pytest.approx(np.mean(curves, axis=0), rel=2e-3)
    assert sigma == pytest.approx(np.std(curves, axis=0), rel=0.05)


def test_what_was_not_fitted_has_no_fitted_value() -> None:
    models = ("mono", "mono-last-2", "bi", "single-madsen-2018")
    assert [first_fitted_point(model, 4) for model in models] == [0, 2, 0, 0]
    times = np.array([1.0, 2.0])
    assert fitted_values(times, "trapezoid", {"amplitude_bq": 1.0, "rate_per_s": 1.0}) == (None, None)
    assert fitted_values(times, "mono", {}) == (None, None)


@pytest.mark.parametrize("model", ["auto", "trapezoid"])
def test_the_picture_shows_points_fit_band_and_residuals(tmp_path: Path, model: str) -> None:
    """Bars at the points; the line passes through the fitted values; residuals in sigmas; no band for a trapezoid."""
    document = _fit(_csv(tmp_path, [HEADER, *POINTS]), model)
    figure = fit_figure(document)
    upper, lower = figure.axes[0], figure.axes[2]
    kidney = document["regions"][0]
    bars = upper.containers[0]
    assert list(bars[0].get_xdata()) == pytest.approx([24.0, 96.0, 168.5])
    assert list(bars[0].get_ydata()) == pytest.approx([73.0, 26.0, 10.5])
    assert "kidney" in upper.get_title(loc="left")
    assert len(upper.collections) == (2 if model == "auto" else 1)  # bars' lines, and the band
    shown = next(line for line in lower.lines if line.get_marker() == "o").get_ydata()
    if model == "auto":
        pulls = [(p["activity_bq"] - p["fitted_bq"]) / p["sigma_bq"] for p in kidney["points"]]
        assert list(shown) == pytest.approx(pulls)
        drawn = next(line for line in upper.lines if line.get_linestyle() == "-" and len(line.get_xdata()) > 10)
        at_last = drawn.get_ydata()[-1] * 1e6
        assert at_last == pytest.approx(kidney["points"][-1]["fitted_bq"], rel=1e-9)
    else:
        assert list(shown) == []


def test_command_writes_table_and_picture(tmp_path: Path) -> None:
    """A PNG and an SVG by their first bytes; the SVG twice the same."""
    source = _csv(tmp_path, [HEADER, *POINTS])
    run = CliRunner().invoke
    arguments = ["fit", str(source), "--nuclide", "Lu-177", "--json"]
    done = run(app, [*arguments, "--out", str(tmp_path / "r.xlsx"), "--plot", str(tmp_path / "p.png")])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["regions"]) == 2
    assert (tmp_path / "p.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    for name in ("p.svg", "q.svg"):
        run(app, [*arguments, "--plot", str(tmp_path / name)])
    assert b"<svg" in (tmp_path / "p.svg").read_bytes()[:1000]
    assert (tmp_path / "p.svg").read_bytes() == (tmp_path / "q.svg").read_bytes()


@pytest.mark.parametrize(
    ("option", "name", "code"),
    [
        ("--out", "r.pdf", "TABLE_FORMAT_UNKNOWN"),
        ("--out", "curves.csv", "OUTPUT_IS_INPUT"),
        ("--out", "no-such-folder/r.csv", "OUTPUT_UNWRITABLE"),
        ("--plot", "p.jpg", "PLOT_FORMAT_UNKNOWN"),
        ("--plot", "no-such-folder/p.png", "OUTPUT_UNWRITABLE"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused(tmp_path: Path, option: str, name: str, code: str) -> None:
    source = _csv(tmp_path, [HEADER, *POINTS])
    before = source.read_bytes()
    done = CliRunner().invoke(app, ["fit", str(source), "--nuclide", "Lu-177", option, str(tmp_path / name)])
    assert isinstance(done.exception, RefusalError)
    assert done.exception.code == code
    assert source.read_bytes() == before
