"""Bad input ends with exit code 2 and a message that says found, needed and do; nothing that is filed changes."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from conftest import process_arguments, prrt

from flows.walk import walk
from pipeline.errors import RefusalError
from pipeline.steps.request import request_document
from pipeline.steps.run_step import run_step

pytestmark = pytest.mark.slow


def _each_spect(example: Path, change: Callable[[pydicom.Dataset], None]) -> None:
    for path in sorted((example / "cycle-1").glob("tp-*/spect/*")):
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def _line(path: Path, key: str, new: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [new if line.startswith(f"{key} =") else line for line in lines]
    assert kept != lines
    path.write_text("\n".join(line for line in kept if line) + "\n", encoding="utf-8")


def empty_folder(example: Path) -> None:
    for folder in (example / "cycle-1").glob("tp-*"):
        shutil.rmtree(folder)


def mixed_patients(example: Path) -> None:
    path = next((example / "cycle-1/tp-2/spect").iterdir())
    dataset = pydicom.dcmread(path)
    dataset.PatientID = "someone-else"
    dataset.save_as(path)


def missing_ct(example: Path) -> None:
    shutil.rmtree(example / "cycle-1/tp-3/ct")


def truncated_file(example: Path) -> None:
    path = next((example / "cycle-1/tp-1/spect").iterdir())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scan_before_administration(example: Path) -> None:
    _line(example / "cycle-1/cycle.toml", "administered_at", 'administered_at = "2026-03-20T10:00:00+01:00"')


def duplicate_time_point(example: Path) -> None:
    shutil.copytree(example / "cycle-1/tp-2", example / "cycle-1/tp-2-again")
    for path in sorted((example / "cycle-1/tp-2-again").glob("*/*")):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID = dataset.SeriesInstanceUID[:60] + ".9"
        dataset.SOPInstanceUID = dataset.SOPInstanceUID[:60] + ".9"
        dataset.save_as(path)


def other_frame_of_reference(example: Path) -> None:
    _each_spect(example, lambda d: setattr(d, "FrameOfReferenceUID", "1.2.3.4"))


def activity_missing(example: Path) -> None:
    _line(example / "cycle-1/cycle.toml", "activity_mbq", "")


def activity_contradictory(example: Path) -> None:
    _line(example / "cycle-1/cycle.toml", "activity_mbq", "activity_mbq = 5000.0")


def unknown_units(example: Path) -> None:
    def other_unit(dataset: pydicom.Dataset) -> None:
        mapping = pydicom.Dataset()
        unit = pydicom.Dataset()
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "furlong", "99X", "furlong"
        mapping.MeasurementUnitsCodeSequence = [unit]
        mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 1.0, 0.0
        mapping.RealWorldValueFirstValueMapped, mapping.RealWorldValueLastValueMapped = 0, 65535
        dataset.RealWorldValueMappingSequence = [mapping]

    _each_spect(example, other_unit)


def wrong_nuclide(example: Path) -> None:
    def technetium(dataset: pydicom.Dataset) -> None:
        code = dataset.RadiopharmaceuticalInformationSequence[0].RadionuclideCodeSequence[0]
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C-163A8", "SRT", "^99m^Technetium"

    _each_spect(example, technetium)


def unknown_camera(example: Path) -> None:
    _replace(example / "site.toml", "NM-COUNTS", "SOMETHING-ELSE")


def no_calibration_factor(example: Path) -> None:
    _line(example / "site.toml", "calibration_factor_bq_s_per_count", "")


def implausible_calibration_factor(example: Path) -> None:
    site = example / "site.toml"
    line = next(x for x in site.read_text(encoding="utf-8").splitlines() if x.startswith("calibration_factor"))
    factor = float(line.split("=")[1].split("#")[0])
    _line(site, "calibration_factor_bq_s_per_count", f"calibration_factor_bq_s_per_count = {factor * 20}")


def implausible_calibration_factor_alone(example: Path) -> None:
    implausible_calibration_factor(example)
    _line(example / "site.toml", "sensitivity_cps_per_mbq", "")


CASES = [
    (empty_folder, "SPECT_MISSING"),
    (mixed_patients, "PATIENTS_MIXED"),
    (missing_ct, "CT_MISSING"),
    (truncated_file, "DICOM_CORRUPT"),
    (scan_before_administration, "SCAN_BEFORE_ADMINISTRATION"),
    (duplicate_time_point, "TIME_POINT_DUPLICATE"),
    (other_frame_of_reference, "FRAME_OF_REFERENCE_DIFFERENT"),
    (activity_missing, "CYCLE_FORM_INVALID"),
    (activity_contradictory, "INJECTED_ACTIVITY_CONTRADICTORY"),
    (unknown_units, "UNIT_UNKNOWN"),
    (wrong_nuclide, "WRONG_NUCLIDE"),
    (unknown_camera, "CAMERA_UNKNOWN"),
    (no_calibration_factor, "CALIBRATION_MISSING"),
    (implausible_calibration_factor, "CALIBRATION_CONTRADICTORY"),
    (implausible_calibration_factor_alone, "ACTIVITY_IMPOSSIBLE"),
]


def _process(example: Path, out: Path) -> None:
    cycle, work = example / "cycle-1", out / ".work"
    request = request_document(
        studies=[cycle],
        site=example / "site.toml",
        cycle_form=cycle / "cycle.toml",
        blood=cycle / "blood.csv",
        contours=[cycle / "contours.nii.gz"],
        engine="convolution",
        backend="cpu",
    )
    records = f"sqlite:///{out / 'records.db'}"
    walk(request, records, str(out), lambda step, payload: run_step(step, payload, work), lambda _s, _n: None)


@pytest.mark.parametrize(("damage", "code"), CASES, ids=[damage.__name__ for damage, _ in CASES])
def test_bad_input_is_refused(damage: Callable[[Path], None], code: str, example: Path, tmp_path: Path) -> None:
    damage(example)
    out = tmp_path / "out"
    with pytest.raises(RefusalError) as refused:
        _process(example, out)
    error = refused.value.as_document()["error"]
    assert error["code"] == code
    assert all(error[key] for key in ("found", "needed", "do"))
    assert not (out / "records.db").exists()
    assert not (out / "result.json").exists()


def test_refusal_as_the_command_gives_it(example: Path, tmp_path: Path) -> None:
    missing_ct(example)
    database = tmp_path / "records.db"
    prrt("record", "somebody", "--records", f"sqlite:///{database}", "--labs", example / "labs.csv", "--json")
    before = _content(database)
    done = prrt(*process_arguments(example, tmp_path), "--json")
    assert done.code == 2
    assert set(done.document["error"]) == {"code", "found", "needed", "do", "where"}
    assert done.document["error"]["code"] == "CT_MISSING"
    # told once, by us, and not as an accident
    assert done.err.count("CT_MISSING") == 1
    assert "Traceback" not in done.err
    assert before == _content(database)
    assert not (tmp_path / "result.json").exists()


def _content(database: Path) -> str:
    with sqlite3.connect(database) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    return dump


def test_defects_and_refusals_are_told_apart(tmp_path: Path) -> None:
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps([{"id": "x", "patient": {}, "config": {}, "expected": {"outcome": "GIVE"}}]))
    assert prrt("rules", "check", cases, "--json").code == 1
    cases.write_text("not json")
    assert prrt("rules", "check", cases, "--json").code == 2
