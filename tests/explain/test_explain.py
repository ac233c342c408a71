"""`prrt explain` on a filed record, its refusals, its looks, and the same ledger in the report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reportlab.platypus import KeepTogether, Paragraph, Table
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.console_ledger import show_ledger
from pipeline.errors import RefusalError
from pipeline.records.store import open_store
from pipeline.report.ledger_appendix import ledger_appendix
from pipeline.report.paper import register_fonts
from pipeline.steps.explain import explain

Document = dict[str, Any]
AT = "2026-03-20T10:00:00+01:00"


def _file(url: str, document: Document, key: str = "k1") -> None:
    with open_store(url) as store:
        store.file_cycle(document=document, idempotency_key=key, settings={"name": "s"}, created_at=AT)


@pytest.fixture
def records(tmp_path: Path, document: Document) -> str:
    url = f"sqlite:///{tmp_path / 'records.db'}"
    _file(url, document)
    return url


def _explain(url: str, **more: Any) -> Document:
    with open_store(url) as store:
        return explain(store, "phantom-9", **({"cycle": 1, "region": "kidney", "laterality": "left"} | more))


def test_the_filed_dose_comes_back(records: str, document: Document) -> None:
    found = _explain(records)
    filed = document["regions"][0]
    assert found["mean_dose_gy"] == pytest.approx(filed["mean_dose_gy"], rel=1e-9)
    assert found["mean_dose_sigma_gy"] == pytest.approx(filed["mean_dose_sigma_gy"], rel=1e-9)
    assert found["entries"][-1]["after"] == found["mean_dose_gy"]
    assert [len(point["entries"]) > 0 for point in found["time_points"]] == [True, True]
    assert (found["version"], found["status"], found["second_check"]["mean_dose_gy"]) == (1, "DRAFT", 0.77)


def test_a_reader_without_our_code_can_multiply_it_back(records: str, document: Document) -> None:
    value = 0.0
    for entry in _explain(records)["entries"]:
        value = {
            "start": entry["value"],
            "multiply": value * entry["value"],
            "divide": value / entry["value"],
            "add": value + entry["value"],
        }[entry["operation"]]
        assert value == entry["after"]
    assert value == pytest.approx(document["regions"][0]["mean_dose_gy"], rel=1e-9)


def test_the_newest_version_counts(records: str, document: Document) -> None:
    document["regions"][0]["ledger"]["remainder_gy"] += 1.0
    document["regions"][0]["mean_dose_gy"] += 1.0
    document["regions"][0]["mean_dose_sigma_gy"] *= document["regions"][0]["mean_dose_gy"] / (
        document["regions"][0]["mean_dose_gy"] - 1.0
    )
    _file(records, document, "k2")
    found = _explain(records)
    assert found["version"] == 2
    assert found["mean_dose_gy"] == pytest.approx(document["regions"][0]["mean_dose_gy"], rel=1e-9)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"cycle": 2}, "CYCLE_UNKNOWN"),
        ({"region": "spleen", "laterality": None}, "REGION_UNKNOWN"),
        ({"region": "marrow"}, "REGION_UNKNOWN"),
        ({"laterality": None}, "REGION_AMBIGUOUS"),
    ],
)
def test_what_is_not_filed_is_refused(records: str, more: Document, code: str) -> None:
    with pytest.raises(RefusalError, match=code):
        _explain(records, **more)


def test_a_result_filed_before_ledgers_is_refused(records: str, document: Document) -> None:
    for region in document["regions"]:
        del region["ledger"]
    _file(records, document, "k2")
    with pytest.raises(RefusalError, match="LEDGER_MISSING"):
        _explain(records)


def test_factors_that_do_not_multiply_back_are_refused(records: str, document: Document) -> None:
    document["regions"][0]["mass_g"] = 160.0
    _file(records, document, "k2")
    with pytest.raises(RefusalError, match="LEDGER_DISAGREES"):
        _explain(records)


def test_the_command_prints_one_json_document(records: str) -> None:
    arguments = ["explain", "phantom-9", "--cycle", "1", "--region", "kidney", "--records", records]
    made = CliRunner().invoke(app, [*arguments, "--laterality", "right", "--json"])
    assert made.exit_code == 0
    assert json.loads(made.stdout)["laterality"] == "right"


def test_the_terminal_shows_factors_sources_and_time_points(
    records: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    show_ledger(_explain(records))
    shown = capsys.readouterr().out
    for text in ("÷ 3600", "× 12500", "÷ 0.8", "+ 0.025", "multiplied back 0.7906", "[camera.cam]", "at 48.0 h"):
        assert text in shown, text
    monkeypatch.setenv("COLUMNS", "80")
    show_ledger(_explain(records))
    assert "…" not in capsys.readouterr().out, "something is cut off on a narrow terminal"


def _texts(flowables: list[Any]) -> Iterator[str]:
    for flowable in flowables:
        if isinstance(flowable, Paragraph):
            yield flowable.getPlainText()
        elif isinstance(flowable, KeepTogether):
            yield from _texts(list(flowable._content))
        elif isinstance(flowable, Table):
            yield from _texts([cell for row in flowable._cellvalues for cell in row])


def test_the_appendix_holds_every_region_with_its_dose(document: Document) -> None:
    register_fonts()
    shown = list(_texts(ledger_appendix(document)))
    for text in ("Kidney, left", "Kidney, right", "Red marrow", "Remainder of body", "÷ 150 ± 10 %", "= 0.79058"):
        assert text in shown, text
    assert sum(text.endswith("agrees") for text in shown) == 4
    assert not any("does not multiply back" in text for text in shown)


def test_the_appendix_says_what_does_not_multiply_back_and_what_has_no_ledger(document: Document) -> None:
    register_fonts()
    document["regions"][0]["mass_g"] = 160.0
    del document["regions"][3]["ledger"]
    shown = list(_texts(ledger_appendix(document)))
    assert sum("does not multiply back" in text for text in shown) == 1
    assert "Without ledger: Red marrow." in shown


def test_the_appendix_of_an_old_result_says_so(document: Document) -> None:
    register_fonts()
    for region in document["regions"]:
        del region["ledger"]
    assert any("not kept" in text for text in _texts(ledger_appendix(document)))
