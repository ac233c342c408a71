"""The written documents and the command: JSON, PDF, exit codes, the GPU's rows with and without one."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any

import array_api_strict
import pytest
from typer.testing import CliRunner

from kernels.backend import Backend
from pipeline.cli import app
from pipeline.errors import RefusalError
from pipeline.files.commissioning_data import load_golden_tables
from pipeline.physics.commissioning import convolution, decay_data, parity
from pipeline.report.validation_page import write_validation_page
from pipeline.steps import validate as step
from pipeline.steps.validate import validation_document

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.physics.commissioning.bench import Bench

ROW_FIELDS = {
    "chapter", "what", "number", "reference", "unit", "source", "comparison", "difference", "tolerance", "reason",
    "verdict", "known_difference",
}  # fmt: skip


def text_of(pdf: Path) -> str:
    return subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, check=True, text=True).stdout


def test_document_is_strict_json_with_the_fields_of_the_interface(document: dict[str, Any]) -> None:
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    assert all(set(row) == ROW_FIELDS for row in document["rows"])
    assert {"version", "code_version"} == set(document["product"])
    assert {"python", "numpy", "scipy"} == set(document["software"])
    assert document["backend"]["name"] == "cpu"
    assert document["created_at"].endswith("+00:00")


@pytest.mark.needs("pdftotext")
def test_pdf_holds_every_chapter_row_source_and_a_place_to_sign(document: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "validation.pdf"
    write_validation_page(path, document)
    text = " ".join(text_of(path).split())
    assert 8 <= text.count("result sha256") <= 30
    for chapter in document["chapters"]:
        assert chapter["title"] in text
    assert "PASS" in text
    assert "Accepted by the medical physicist" in text
    assert document["product"]["code_version"] in text
    assert "Known weaknesses of the method" in text
    assert len(re.findall(r"\bpass\b", text)) >= document["counts"]["pass"]
    for citation in ("OLINDA/EXM 2", "ICRP Publication 107", "Lanconelli", "Hänscheid", "Fröss-Baron"):
        assert citation in text


def test_equal_documents_give_equal_bytes(bench: Bench, tmp_path: Path) -> None:
    document = validation_document(bench, [decay_data.CHAPTER])
    for name in ("a.pdf", "b.pdf"):
        write_validation_page(tmp_path / name, document)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


@pytest.mark.needs("pdftotext")
def test_a_failed_document_says_so_on_its_first_page(bench: Bench, tmp_path: Path) -> None:
    table = {
        **load_golden_tables()["decay_data"],
        "nuclides": [dict(load_golden_tables()["decay_data"]["nuclides"][0])],
    }
    table["nuclides"][0]["electron_kev"] = 150.0
    document = validation_document(replace(bench, tables={**bench.tables, "decay_data": table}), [decay_data.CHAPTER])
    write_validation_page(tmp_path / "v.pdf", document)
    first = text_of(tmp_path / "v.pdf").split("page 1 of")[0]
    assert "FAIL" in first
    assert "What failed" in first
    assert "Lu-177 (ICRP-107): electrons" in first


def test_without_a_gpu_its_rows_say_why(bench: Bench) -> None:
    rows = parity.rows(replace(bench, gpu=None, gpu_missing="found no CuPy"))
    assert {row.verdict for row in rows} == {"not run"}
    assert {row.reason for row in rows} == {"found no CuPy"}


def test_with_a_device_its_rows_are_compared(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # array-api-strict with a fake device stands in for CuPy; one small scene, for it is slow.
    monkeypatch.setattr(parity, "SCENES", (("Lu-177", (12, 13, 14), (4.8, 4.8, 4.8)),))
    device = Backend("gpu", "array-api-strict", array_api_strict, place=array_api_strict.Device("device1"))
    (row,) = parity.rows(replace(bench, gpu=device))
    assert row.verdict == "pass"
    right = parity.engine_dose
    monkeypatch.setattr(
        parity, "engine_dose", lambda b, s, backend: right(b, s, backend) * (1.001 if backend.name == "gpu" else 1.0)
    )
    assert parity.rows(replace(bench, gpu=device))[0].verdict == "fail"


def test_command_writes_both_files_and_prints_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "CHAPTERS", (decay_data.CHAPTER,))
    result = CliRunner().invoke(app, ["validate", "--out", str(tmp_path / "new"), "--backend", "cpu", "--json"])
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed == json.loads((tmp_path / "new" / "validation.json").read_text(encoding="utf-8"))
    assert (tmp_path / "new" / "validation.pdf").read_bytes().startswith(b"%PDF")


def test_command_ends_with_1_where_a_row_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = copy.deepcopy(load_golden_tables())
    tables["decay_data"]["nuclides"][0]["half_life_h"] = 160.0
    monkeypatch.setattr(step, "load_golden_tables", lambda: tables)
    monkeypatch.setattr(step, "CHAPTERS", (decay_data.CHAPTER,))
    result = CliRunner().invoke(app, ["validate", "--out", str(tmp_path), "--backend", "cpu"])
    assert result.exit_code == 1
    assert "fail" in result.output
    assert json.loads((tmp_path / "validation.json").read_text(encoding="utf-8"))["verdict"] == "fail"


def test_a_folder_that_cannot_be_made_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(RefusalError, match="OUTPUT_UNWRITABLE"):
        step.validate_product(tmp_path / "file", "cpu")


def test_scenes_are_the_same_on_every_machine() -> None:
    one, two = (convolution.scene_of("Lu-177", (5, 6, 7), (4.0, 4.0, 4.0)) for _ in range(2))
    assert (one.decays == two.decays).all()
    assert one.decays.sum() == pytest.approx(1.0)


def test_golden_data_are_small_and_cover_the_packages_kernels() -> None:
    folder = resources.files("pipeline") / "data" / "commissioning"
    assert sum(len(entry.read_bytes()) for entry in folder.iterdir()) < 300_000
    files = [e.name for e in (resources.files("pipeline") / "data" / "dose_point_kernels").iterdir()]
    listed = {
        f"{entry['nuclide']}_{medium}.npz"
        for entry in load_golden_tables()["decay_data"]["point_kernels"]
        for medium in entry["media"]
    }
    assert listed == {name for name in files if name.endswith(".npz")}
