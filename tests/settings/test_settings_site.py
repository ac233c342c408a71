"""The site profile: every key checked by name, no default where a default could be a dose."""

from __future__ import annotations

import json
import tomllib

import pytest

from pipeline.errors import RefusalError
from pipeline.settings import load_site, site_from_document, site_template
from pipeline.steps.init_files import write_cycle_form_template, write_site_template
from pipeline.toml_table import BLANK

SITE = """
name = "Phantom clinic"
[camera.phantom-nm-counts]
match = { Manufacturer = "PRRT PHANTOM", ManufacturerModelName = "NM-COUNTS" }
calibration_factor_bq_s_per_count = 4.5
calibration_relative_sigma = 0.03
calibrated_on = "2026-01-10"
frame_duration_s = 30.0
projections = 120
dead_time_s = 0.0
decay_reference = "none"
recovery = { model = "logistic", b_ml = 3.2, c = 0.9, relative_sigma = 0.05 }
[ct]
density_curve = [[-1000.0, 0.00121], [-98.0, 0.93], [0.0, 1.018], [1600.0, 1.964]]
[marrow]
limit_method = "blood_only"
[geometry]
frame_of_reference = "required"
"""


def document() -> dict:
    return tomllib.loads(SITE)


def changed(path: str, value) -> dict:
    """Return the document with one key set, or removed where ``value`` is None."""
    whole = document()
    *tables, key = path.split("/")
    table = whole
    for name in tables:
        table = table.setdefault(name, {})
    if value is None:
        del table[key]
    else:
        table[key] = value
    return whole


def test_a_site_is_read(write):
    site = load_site(write(SITE))
    camera = site.cameras[0]
    assert (site.name, camera.camera_id, camera.projections) == ("Phantom clinic", "phantom-nm-counts", 120)
    assert camera.match == (("Manufacturer", "PRRT PHANTOM"), ("ManufacturerModelName", "NM-COUNTS"))
    assert camera.recovery is not None
    assert (camera.recovery.b_ml, camera.recovery.c) == (3.2, 0.9)
    assert site.density_curve[1] == (-98.0, 0.93)


def test_cited_defaults():
    """Section 3.3 (extrapolate, fitted, 5 %), 3.8 (2.6 Gy, 2.8 h), 2.3 (23, 2 and 40 Gy, projected)."""
    site = site_from_document(document())
    assert (site.head_rule, site.tail_rule, site.relative_error_without_sigma) == ("extrapolate", "fitted", 0.05)
    assert (site.alpha_beta_gy, site.repair_half_life_s) == (2.6, 2.8 * 3600)
    limits = site.protocol
    assert (limits.kidney_limit_gy, limits.marrow_limit_gy, limits.salvage_kidney_limit_gy) == (23.0, 2.0, 40.0)
    assert (limits.kidney_rule, limits.marrow_limit_method) == ("projected", "blood_only")
    assert site.second_check_tolerance["liver"] == 0.08


def test_protocol_and_tolerances_are_replaced():
    whole = changed("protocol/kidney_limit_gy", 28.0)
    whole["second_check"] = {"tolerance": {"liver": 0.1}}
    site = site_from_document(whole)
    assert site.protocol.kidney_limit_gy == 28.0
    assert site.second_check_tolerance == {"kidney": 0.04, "spleen": 0.04, "lesion": 0.04, "liver": 0.1}


def test_the_filed_copy_reads_back_as_the_same_profile(write):
    """A TOML date is filed as text; the hash must not change by filing."""
    site = load_site(write(SITE.replace('"2026-01-10"', "2026-01-10")))
    again = site_from_document(json.loads(json.dumps(site.document)))
    assert again == site
    assert again.settings_hash == site_from_document(document()).settings_hash


def test_the_hash_depends_on_every_value():
    other = site_from_document(changed("camera/phantom-nm-counts/projections", 121))
    assert other.settings_hash != site_from_document(document()).settings_hash


BED_OF_A_REGION = {"alpha_beta_gy": 10.0, "repair_half_life_h": 1.5, "source": "a paper"}


def test_no_region_but_the_kidneys_has_bed_parameters_until_the_site_states_them():
    assert site_from_document(document()).bed_parameters("liver") is None
    kidney = site_from_document(document()).bed_parameters("kidney")
    assert (kidney.alpha_beta_gy, kidney.repair_half_life_s) == (2.6, 2.8 * 3600)
    assert "Barone" in kidney.source
    own = site_from_document(changed("bed/alpha_beta_gy", 2.4)).bed_parameters("kidney")
    assert (own.alpha_beta_gy, own.source) == (2.4, "[bed] of the site profile")
    site = site_from_document(changed("bed/region", {"lesion": BED_OF_A_REGION}))
    stated = site.bed_parameters("lesion-12")
    assert (stated.alpha_beta_gy, stated.repair_half_life_s, stated.source) == (10.0, 5400.0, "a paper")
    assert site.bed_parameters("liver") is None


def test_decay_data_are_those_of_icrp_107_until_the_site_names_others():
    assert site_from_document(document()).decay_data == "ICRP-107"
    other = site_from_document(changed("dose/decay_data", "DDEP"))
    assert other.decay_data == "DDEP"
    assert other.settings_hash != site_from_document(document()).settings_hash


CAMERA = "camera/phantom-nm-counts"
FACTOR = "calibration_factor_bq_s_per_count"


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("name", None, "name"),
        ("name", 7, "name"),
        ("camera", {}, "camera.<id>"),
        (f"{CAMERA}/match", {}, "camera.phantom-nm-counts.match.<DICOM keyword>"),
        (f"{CAMERA}/{FACTOR}", 0.0, f"camera.phantom-nm-counts.{FACTOR}"),
        (f"{CAMERA}/{FACTOR}", "4.5", f"camera.phantom-nm-counts.{FACTOR}"),
        (f"{CAMERA}/calibration_relative_sigma", None, "camera.phantom-nm-counts.calibration_relative_sigma"),
        (f"{CAMERA}/calibrated_on", None, "camera.phantom-nm-counts.calibrated_on"),
        (f"{CAMERA}/calibrated_on", "10.1.2026", "camera.phantom-nm-counts.calibrated_on"),
        (f"{CAMERA}/projections", 120.5, "camera.phantom-nm-counts.projections"),
        (f"{CAMERA}/projections", True, "camera.phantom-nm-counts.projections"),
        (f"{CAMERA}/frame_duration_s", float("nan"), "camera.phantom-nm-counts.frame_duration_s"),
        (f"{CAMERA}/dead_time_s", None, "camera.phantom-nm-counts.dead_time_s"),
        (f"{CAMERA}/decay_reference", "start", "camera.phantom-nm-counts.decay_reference"),
        (f"{CAMERA}/recovery", None, "camera.phantom-nm-counts.recovery"),
        (f"{CAMERA}/recovery", {"model": "linear", "b_ml": 1.0, "c": 1.0}, "camera.phantom-nm-counts.recovery.model"),
        (f"{CAMERA}/recovery", {"model": "logistic", "b_ml": 1.0}, "camera.phantom-nm-counts.recovery.c"),
        (f"{CAMERA}/recovery", "some", "camera.phantom-nm-counts.recovery"),
        (f"{CAMERA}/projection", 120, "camera.phantom-nm-counts.projection"),
        ("ct/density_curve", None, "ct.density_curve"),
        ("ct/density_curve", [[0.0, 1.0]], "ct.density_curve"),
        ("ct/density_curve", [[0.0, 1.0], [0.0, 1.1]], "ct.density_curve"),
        ("ct/density_curve", [[0.0, 1.0], [100.0, 0.9]], "ct.density_curve"),
        ("ct/density_curve", [[0.0, 1.0], [100.0, 40.0]], "ct.density_curve"),
        ("ct/density_curve", "water", "ct.density_curve"),
        ("ct/table", 1, "ct.table"),
        ("marrow/limit_method", None, "marrow.limit_method"),
        ("marrow/limit_method", "planar", "marrow.limit_method"),
        ("geometry/frame_of_reference", None, "geometry.frame_of_reference"),
        ("geometry/frame_of_reference", "maybe", "geometry.frame_of_reference"),
        ("kinetics/head_rule", "zero", "kinetics.head_rule"),
        ("kinetics/relative_error", -0.1, "kinetics.relative_error"),
        ("bed/alpha_beta_gy", 0, "bed.alpha_beta_gy"),
        ("bed/half_life", 2.8, "bed.half_life"),
        ("bed/region", {"liver": {"alpha_beta_gy": 2.5, "source": "a paper"}}, "bed.region.liver.repair_half_life_h"),
        ("bed/region", {"liver": {"alpha_beta_gy": 2.5, "repair_half_life_h": 2.5}}, "bed.region.liver.source"),
        ("bed/region", {"liver": dict(BED_OF_A_REGION, sigma=1.0)}, "bed.region.liver.sigma"),
        ("bed/region", {"kidney": dict(BED_OF_A_REGION)}, "bed.region.kidney"),
        ("bed/region", {"marrow": dict(BED_OF_A_REGION)}, "bed.region.marrow"),
        ("bed/region", {"lesion-1": dict(BED_OF_A_REGION)}, "bed.region.lesion-1"),
        ("dose/decay_data", 7, "dose.decay_data"),
        ("dose/decay", "DDEP", "dose.decay"),
        ("second_check/tolerance", {"kidney": 0}, "second_check.tolerance.kidney"),
        ("second_check/limit", 1, "second_check.limit"),
        ("protocol/marrow_limit_method", "image_aorta", "protocol.marrow_limit_method"),
        ("kidney_limit_gy", 23.0, "kidney_limit_gy"),
        ("camera", "one", "camera"),
    ],
)  # fmt: skip
def test_a_bad_key_is_refused_by_its_name(path, value, where):
    with pytest.raises(RefusalError) as caught:
        site_from_document(changed(path, value))
    assert (caught.value.code, caught.value.where) == ("SITE_PROFILE_INVALID", where)
    assert caught.value.found
    assert caught.value.needed
    assert caught.value.do


def test_an_unknown_limit_is_refused():
    with pytest.raises(RefusalError) as caught:
        site_from_document(changed("protocol/kidney_limit", 23.0) | {"protocol": {"kidny_limit_gy": 1.0}})
    assert "kidny_limit_gy" in str(caught.value)


@pytest.mark.parametrize("text", ["name = ", "\xff\xfe", "[camera\n"])
def test_text_that_is_not_toml_is_refused(write, text):
    with pytest.raises(RefusalError) as caught:
        load_site(write(text))
    assert caught.value.code == "SITE_PROFILE_INVALID"


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(RefusalError):
        load_site(tmp_path / "site.toml")


FILLED = {
    'name = "FILL IN"': 'name = "Clinic"',
    'Manufacturer = "FILL IN"': 'Manufacturer = "GE"',
    'ManufacturerModelName = "FILL IN"': 'ManufacturerModelName = "870"',
    'calibration_factor_bq_s_per_count = "FILL IN"': "calibration_factor_bq_s_per_count = 1e5",
    'calibration_relative_sigma = "FILL IN"': "calibration_relative_sigma = 0.03",
    'calibrated_on = "FILL IN"': "calibrated_on = 2026-01-10",
    'dead_time_s = "FILL IN"': "dead_time_s = 0.0",
    'decay_reference = "FILL IN"': 'decay_reference = "none"',
    'recovery = "FILL IN"': 'recovery = "none"',
    'density_curve = "FILL IN"': "density_curve = [[-1000.0, 0.001], [0.0, 1.0]]",
    'limit_method = "FILL IN"': 'limit_method = "blood_planar"',
    'frame_of_reference = "FILL IN"': 'frame_of_reference = "required"',
}


def test_the_template_is_a_profile_once_its_blanks_are_filled(write):
    text = site_template()
    for blank, value in FILLED.items():
        assert text.count(blank) == 1
        text = text.replace(blank, value)
    assert f'"{BLANK}"' not in [line.partition("= ")[2] for line in text.splitlines() if not line.startswith("#")]
    assert load_site(write(text)).name == "Clinic"


def test_every_blank_of_the_template_is_refused_by_name(write):
    for kept in FILLED:
        text = site_template()
        for blank, value in FILLED.items():
            text = text if blank == kept else text.replace(blank, value)
        with pytest.raises(RefusalError) as caught:
            load_site(write(text))
        assert caught.value.where.endswith(kept.split(" ")[0])


def test_optional_keys_of_the_template_are_valid_too(write):
    """Every commented-out key, taken in, still makes a valid profile."""
    lines = site_template().splitlines()
    for k, line in enumerate(lines):
        uncommented = line.removeprefix("# ")
        if line.startswith("# ") and " = " in uncommented and uncommented.split(" = ")[0].replace("_", "").isalnum():
            lines[k] = uncommented
    text = "\n".join(lines)
    for blank, value in FILLED.items():
        text = text.replace(blank, value) if blank != 'recovery = "FILL IN"' else text.replace(blank, "")
    site = load_site(write(text))
    assert (site.cameras[0].heads, site.cameras[0].vendor_pixel_scale) == (2, "apply")
    assert site.protocol.kidney_limit_gy == 23.0


@pytest.mark.parametrize("writer", [write_site_template, write_cycle_form_template])
def test_a_template_never_overwrites(tmp_path, writer):
    path = writer(tmp_path / "new" / "file.toml")
    before = path.read_bytes()
    assert before
    with pytest.raises(RefusalError) as caught:
        writer(path)
    assert caught.value.code == "FILE_EXISTS"
    assert path.read_bytes() == before
