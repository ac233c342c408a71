"""Scans that do not fit their form or each other are refused; nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from scanned_phantom import Scanned, scan

from pipeline.errors import RefusalError
from pipeline.steps.calibrate import calibrate_scans

Refused = Callable[..., RefusalError]


@pytest.fixture(scope="module")
def perfect_cylinder(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """The cylinder without blur and noise."""
    return scan(tmp_path_factory.mktemp("perfect"), "cylinder", perfect=True)


def test_scan_that_is_not_there(perfect_cylinder: Scanned, refused: Refused) -> None:
    refusal = refused(perfect_cylinder, ("cycle-1/tp-2/spect", "cycle-9/tp-2/spect"))
    assert refusal.code == "CALIBRATION_SCAN_MISSING"
    assert "'cycle-9/tp-2/spect'" in refusal.found


def test_name_that_several_series_match(perfect_cylinder: Scanned, refused: Refused) -> None:
    refusal = refused(perfect_cylinder, ("cycle-1/tp-2/spect", "spect"))
    assert refusal.code == "CALIBRATION_SCAN_MISSING"
    assert refusal.found.startswith("2 of 2")


def test_no_spect_among_the_scans(perfect_cylinder: Scanned, refused: Refused) -> None:
    folders = [perfect_cylinder.folder / "cycle-1" / "tp-1" / "ct"]
    assert refused(perfect_cylinder, folders=folders).code == "SPECT_MISSING"


def test_scan_before_the_assay(perfect_cylinder: Scanned, refused: Refused) -> None:
    refusal = refused(perfect_cylinder, ("2026-03-02T10:07:00", "2026-03-02T13:07:00"))
    assert refusal.code == "CALIBRATION_SCAN_EARLY"
    assert "3600 s" in refusal.found


def test_wrong_decay_reference_is_seen_in_the_totals(perfect_cylinder: Scanned, refused: Refused) -> None:
    refusal = refused(perfect_cylinder, ('decay_reference = "none"', 'decay_reference = "administration"'))
    assert refusal.code == "DECAY_REFERENCE_CONTRADICTORY"


def test_frame_duration_against_the_header(perfect_cylinder: Scanned, refused: Refused) -> None:
    refusal = refused(perfect_cylinder, ("frame_duration_s = 30.0", "frame_duration_s = 20.0"))
    assert refusal.code == "FRAME_DURATION_CONTRADICTORY"


def test_match_keyword_that_the_header_lacks(perfect_cylinder: Scanned, refused: Refused) -> None:
    refusal = refused(perfect_cylinder, ('"ManufacturerModelName"', '"ReconstructionMethod"'))
    assert (refusal.code, refusal.where) == ("CALIBRATION_MATCH_MISSING", "ReconstructionMethod")
    assert "ManufacturerModelName" in refusal.do


def test_two_cameras_in_one_form(perfect_cylinder: Scanned, refused: Refused, tmp_path: Path) -> None:
    copied = Scanned(tmp_path / "copy", perfect_cylinder.plan)
    shutil.copytree(perfect_cylinder.folder, copied.folder)
    file = copied.folder / "cycle-1" / "tp-2" / "spect" / "spect.dcm"
    dataset = pydicom.dcmread(file)
    dataset.DetectorInformationSequence[0].CollimatorGridName = "LEHR"
    dataset.save_as(file)
    refusal = refused(copied)
    assert refusal.code == "CALIBRATION_SCANS_MIXED"
    assert refusal.found == "CollimatorGridName: LEHR, MEGP"


def test_spheres_of_another_order_are_refused(realistic_nema: Scanned, refused: Refused) -> None:
    # No two hot places lie as far apart as the 37 and the 28 mm sphere would, or no pose explains the image.
    form = "filling_relative_sigma = 0.01"
    refusal = refused(realistic_nema, (form, form + "\nsphere_diameters_mm = [37.0, 10.0, 28.0, 13.0, 22.0, 17.0]"))
    assert refusal.code == "SPHERES_NOT_FOUND"


def test_activity_of_the_header_is_not_used(perfect_cylinder: Scanned, tmp_path: Path) -> None:
    """A header dose that would be refused for a patient (50 MBq) neither stops nor changes a calibration."""
    shutil.copytree(perfect_cylinder.folder, tmp_path / "copy")
    for number in (1, 2):
        file = tmp_path / "copy" / "cycle-1" / f"tp-{number}" / "spect" / "spect.dcm"
        dataset = pydicom.dcmread(file)
        dataset.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = 50.0
        dataset.save_as(file)
    document = calibrate_scans([tmp_path / "copy"], tmp_path / "copy" / "calibration.toml", tmp_path / "out")
    found = document["calibration"]["calibration_factor_bq_s_per_count"]
    assert found == pytest.approx(perfect_cylinder.plan.factor_bq_s_per_count, rel=1e-5)
    assert "INJECTED_ACTIVITY_IMPLAUSIBLE" in {flag["code"] for flag in document["flags"]}


def test_wrong_activity_shows_in_the_sensitivity(perfect_cylinder: Scanned, tmp_path: Path) -> None:
    # A unit mistaken by 10 against the last calibration: BLOCK (clinical specification 5: beyond 15 %).
    previous = f"previous_factor_bq_s_per_count = {perfect_cylinder.plan.factor_bq_s_per_count}\n\n[[phantom]]"
    text = perfect_cylinder.text.replace("[[phantom]]", previous).replace("activity_mbq = 760.0", "activity_mbq = 76.0")
    form = tmp_path / "form.toml"
    form.write_text(text, encoding="utf-8")
    document = calibrate_scans([perfect_cylinder.folder], form, tmp_path / "out")
    assert ("SENSITIVITY_CHANGED", "BLOCK") in {(flag["code"], flag["level"]) for flag in document["flags"]}
