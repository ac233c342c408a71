"""The table of `prrt fit`: whole at 80 and at 120 columns, units in the heads, hours for half-lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.console_fits import show_fits
from pipeline.steps.fit_curves import fit_file

# made-up curves; "uptake" rises, "again" is a second cycle of one scan
CURVES = """region,cycle,time_h,activity_bq,note
left kidney with a long name,1,24,73e6,x
left kidney with a long name,1,96,26e6,x
left kidney with a long name,1,168,10.5e6,x
left kidney with a long name,2,24,70e6,x
[uptake],1,24,30e6,x
[uptake],1,96,31e6,x
[uptake],1,168,20e6,x
"""


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "curves.csv"
    path.write_text(CURVES)
    document = fit_file(path, "Lu-177", "auto", "extrapolate", "fitted")

    def at(columns: int) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        show_fits(document)
        return capsys.readouterr().out

    return document, at


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_cut_off(printed, columns: int) -> None:
    document, at = printed
    text = at(columns)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= columns
    assert "…" not in text
    for fit in document["regions"]:
        # the numbers of a fit stand in one line; three digits by hand from the document
        tia = f"{fit['tia_bq_s'] / 3.6e12:.2f} ± {fit['tia_sigma_bq_s'] / 3.6e12:.2f}"
        interval = " to ".join(f"{end / 3.6e12:.2f}" for end in fit["tia_ci95_bq_s"])
        half_life = f"{fit['effective_half_life_s'] / 3600:.1f} ± {fit['effective_half_life_sigma_s'] / 3600:.1f}"
        numbers = [half_life, tia, interval, f"{100 * fit['extrapolated_fraction']:.0f} %"]
        assert [one for one in numbers if one not in text] == []
        assert any(all(one in line for one in numbers) for line in text.splitlines()), text


def test_units_flags_and_columns_that_were_not_read_are_said(printed) -> None:
    _, at = printed
    text = at(80)
    heads = text.splitlines()[2:4]
    assert [word for word in ("T_eff", "TIA", "95 % interval") if word not in heads[0]] == []
    assert heads[1].split() == ["region", "model", "h", "GBq", "h", "GBq", "h", "points"]
    assert "[uptake], cycle 1: UPTAKE_PHASE" in text
    assert "left kidney with a long name, cycle 2: SINGLE_POINT_PRIOR" in text
    assert "columns not read: note" in text


@pytest.mark.parametrize(("activity_bq", "unit"), [(73e6, "GBq h"), (73e3, "MBq h"), (73.0, "Bq h")])
def test_the_unit_suits_the_largest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], activity_bq: float, unit: str
) -> None:
    path = tmp_path / "curves.csv"
    rows = [f"kidney,{t},{activity_bq * 0.986**t}" for t in (24, 96, 168)]
    path.write_text("region,time_h,activity_bq\n" + "\n".join(rows))
    document = fit_file(path, "Lu-177", "auto", "extrapolate", "fitted")
    show_fits(document)
    # exponential of 0.986 per h: the area of 73e6 Bq is 73e6/-ln(0.986) Bq h = 5.18 GBq h
    heads = capsys.readouterr().out.splitlines()[3].split()
    assert heads == ["region", "model", "h", *unit.split(), *unit.split(), "points"]
    assert document["regions"][0]["tia_bq_s"] / 3600 == pytest.approx(activity_bq / 0.0140989, rel=1e-3)
