"""The calibration form: every key read, every blank and every contradiction refused by its name."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import RefusalError
from pipeline.files.calibration_form import calibration_form_template, load_calibration_form

HEAD = """\
camera_id = "cam-1"
radionuclide = "Lu-177"
decay_reference = "none"
dead_time_s = 0.0
dose_calibrator_relative_sigma = 0.03
collimator = "other"
"""
CYLINDER = """
[[phantom]]
kind = "cylinder"
activity_mbq = 760.0
assayed_at = 2026-03-02T10:00:00+01:00
"""
NEMA = """
[[phantom]]
kind = "nema-iec"
scans = ["tp-1"]
assayed_at = "2026-03-02T10:00:00+01:00"
sphere_mbq_per_ml = 1.0
background_mbq_per_ml = 0.1
filling_relative_sigma = 0.02
"""


def refusal_of(tmp_path: Path, text: str) -> RefusalError:
    form = tmp_path / "form.toml"
    form.write_text(text, encoding="utf-8")
    with pytest.raises(RefusalError) as refusal:
        load_calibration_form(form)
    return refusal.value


def test_units_defaults_and_times(tmp_path: Path) -> None:
    form = tmp_path / "form.toml"
    form.write_text(HEAD + CYLINDER.replace("[[phantom]]", '[[phantom]]\nscans = ["tp-2"]') + NEMA, encoding="utf-8")
    read = load_calibration_form(form)
    assert read.match_keywords == ("Manufacturer", "ManufacturerModelName")
    assert read.margin_mm == 30.0
    cylinder, nema = read.phantoms
    assert cylinder.activity_bq == 760e6
    assert cylinder.assayed_at == datetime(2026, 3, 2, 10, tzinfo=timezone(timedelta(hours=1)))
    assert (nema.activity_bq, nema.sphere_bq_per_ml, nema.background_bq_per_ml) == (None, 1e6, 1e5)
    # NEMA NU 2-2018: inner diameters, on a circle of 114.4 mm.
    np.testing.assert_array_equal(nema.sphere_diameter_mm, [10, 13, 17, 22, 28, 37])
    assert nema.circle_radius_mm == 57.2


def test_template_is_refused_by_the_name_of_each_blank(tmp_path: Path) -> None:
    text = calibration_form_template()
    seen = []
    while any("FILL IN" in line for line in text.splitlines() if not line.startswith("#")):
        refusal = refusal_of(tmp_path, text)
        assert refusal.code == "CALIBRATION_FORM_INVALID"
        assert "not filled in" in refusal.found
        key = refusal.where.split(".")[-1]
        seen.append(key)
        line = next(one for one in text.splitlines() if one.startswith(f"{key} = "))
        text = text.replace(line, f"{key} = {FILLED[key]}", 1)
    assert sorted(seen) == sorted(FILLED)
    form = tmp_path / "form.toml"
    form.write_text(text, encoding="utf-8")
    assert load_calibration_form(form).camera_id == "cam-1"


FILLED = {
    "camera_id": '"cam-1"',
    "decay_reference": '"none"',
    "dead_time_s": "0.0",
    "dose_calibrator_relative_sigma": "0.03",
    "collimator": '"ge-me"',
    "scans": '["tp-1"]',
    "activity_mbq": "760.0",
    "assayed_at": "2026-03-02T10:00:00+01:00",
}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (HEAD, "phantom"),
        (HEAD + "[phantom]\nkind = 1\n", "phantom"),
        (HEAD.replace("cam-1", "cam 1") + CYLINDER, "camera_id"),
        (HEAD.replace("= 0.0\n", '= "fitted"\n') + CYLINDER, "dead_time_s"),
        (HEAD.replace("= 0.0\n", '= "fit"\n') + CYLINDER, "dead_time_s"),
        (HEAD.replace("0.03", "0.0") + CYLINDER, "dose_calibrator_relative_sigma"),
        (HEAD + 'match = "Manufacturer"\n' + CYLINDER, "match"),
        (HEAD + "margin = 20\n" + CYLINDER, "margin"),
        (HEAD + CYLINDER.replace("cylinder", "ball"), "phantom.1.kind"),
        (HEAD + CYLINDER.replace("760.0", "-1.0"), "phantom.1.activity_mbq"),
        (HEAD + CYLINDER.replace("2026-03-02T10:00:00+01:00", '"monday"'), "phantom.1.assayed_at"),
        (HEAD + CYLINDER + "sphere_mbq_per_ml = 1.0\n", "phantom.1.sphere_mbq_per_ml"),
        (HEAD + CYLINDER + NEMA, "phantom.1.scans"),
        (HEAD + NEMA.replace("= 0.1", "= 2.0"), "phantom.1.background_mbq_per_ml"),
        (HEAD + NEMA.replace("filling_relative_sigma = 0.02", ""), "phantom.1.filling_relative_sigma"),
        (HEAD + NEMA + "sphere_diameters_mm = [10.0]\n", "phantom.1.sphere_diameters_mm"),
        (HEAD + CYLINDER.replace("[[phantom]]", '[[phantom]]\nscans = ["a"]') * 2, "phantom"),
    ],
)
def test_a_wrong_key_is_refused_by_its_name(text: str, where: str, tmp_path: Path) -> None:
    refusal = refusal_of(tmp_path, text)
    assert (refusal.code, refusal.where) == ("CALIBRATION_FORM_INVALID", where)


def test_a_time_without_offset_is_refused(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, HEAD + CYLINDER.replace("+01:00", "")).code == "TIME_ZONE_MISSING"


def test_a_form_without_a_whole_activity_is_refused(tmp_path: Path) -> None:
    # Spheres of known concentration give a recovery curve, but no factor.
    assert refusal_of(tmp_path, HEAD + NEMA).code == "CALIBRATION_SCAN_MISSING"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusalError) as refusal:
        load_calibration_form(tmp_path / "none.toml")
    assert refusal.value.code == "CALIBRATION_FORM_INVALID"
