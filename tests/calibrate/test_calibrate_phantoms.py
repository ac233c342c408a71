"""The phantom camera's own truth, found again from its scans (issue: true factor within 1 %)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scanned_phantom import Scanned, scan

from pipeline.dicom.discover import discover
from pipeline.dicom.read_spect import read_spect
from pipeline.domain.study import StudyTimePoint
from pipeline.domain.therapy import Administration, TimePointTiming
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.settings import SiteProfile, site_from_document
from pipeline.steps.calibrate import calibrate_scans
from pipeline.steps.camera import camera_for
from pipeline.steps.quantify import quantify, total_activity_bq
from sample_dicom import nema, scanner
from sample_dicom.calibration import SOURCE_BQ
from sample_dicom.plan import FIRST_CYCLE
from sample_dicom.recovery import effective_sigma_mm

FWHM_PER_SIGMA = 2.354820045


def site_with(profile: Path) -> SiteProfile:
    """A minimal site around a camera section."""
    rest = {
        "name": "Test",
        "ct": {"density_curve": [[-1000.0, 0.0], [0.0, 1.0], [1000.0, 1.6]]},
        "marrow": {"limit_method": "blood_only"},
        "geometry": {"frame_of_reference": "required"},
    }
    return site_from_document(rest | tomllib.loads(profile.read_text(encoding="utf-8")))


@pytest.mark.parametrize("kind", ["cylinder", "nema-iec"])
def test_noise_free_phantom_gives_the_true_factor(kind: str, tmp_path: Path) -> None:
    # Only the rounding of stored values remains: 1e-5.
    phantom = scan(tmp_path / "scan", kind, perfect=True)
    document = calibrate_scans([phantom.folder], phantom.form, tmp_path / "out")
    found = document["calibration"]["calibration_factor_bq_s_per_count"]
    assert found == pytest.approx(phantom.plan.factor_bq_s_per_count, rel=1e-5)


@pytest.mark.parametrize("kind", ["cylinder", "nema-iec"])
def test_realistic_phantom_gives_the_true_factor(kind: str, whole: tuple[Path, dict[str, Any]]) -> None:
    # Issue: within 1 %. The scans' own sigma must explain what is left (two sigma).
    calibration = whole[1]["calibration"]
    found = calibration["by_kind"][kind]
    assert found == pytest.approx(scanner.FACTOR_BQ_S_PER_COUNT, rel=0.01)
    scans = [one for one in calibration["scans"] if one["kind"] == kind]
    assert len(scans) == 2
    for one in scans:
        deviation = one["factor"] / scanner.FACTOR_BQ_S_PER_COUNT - 1.0
        assert abs(deviation) < 2.0 * one["relative_sigma"]


def test_profile_is_a_camera_section_that_a_site_loads(whole: tuple[Path, dict[str, Any]]) -> None:
    out, document = whole
    (camera,) = site_with(out / "camera.toml").cameras
    assert camera.camera_id == "phantom-nm-counts"
    assert camera.calibration_factor_bq_s_per_count == pytest.approx(scanner.FACTOR_BQ_S_PER_COUNT, rel=0.01)
    # Dose calibrator 2.5 % and the scans' 0.3 % in quadrature, as the form says.
    assert camera.calibration_relative_sigma == pytest.approx(0.0252, abs=5e-4)
    assert (camera.frame_duration_s, camera.projections, camera.heads) == (30.0, 120, 2)
    assert camera.calibrated_on == "2026-03-05"
    assert camera.calibration_geometry.startswith("cylinder, total activity in a volume enlarged by 30 mm")
    assert "MEGP" in camera.calibration_geometry
    assert camera.recovery is not None
    assert camera.recovery.b_ml == pytest.approx(document["recovery"]["b_ml"], rel=1e-4)


def test_profile_matches_the_camera_that_was_scanned(
    whole: tuple[Path, dict[str, Any]], realistic_cylinder: Scanned
) -> None:
    (series,) = (s for s in discover([realistic_cylinder.folder / "cycle-1" / "tp-1"]) if s.kind == "spect")
    assert camera_for(read_spect(series), site_with(whole[0] / "camera.toml")).camera_id == "phantom-nm-counts"


def test_page_and_picture_are_written(whole: tuple[Path, dict[str, Any]]) -> None:
    out, document = whole
    assert (out / "calibration.pdf").read_bytes()[:5] == b"%PDF-"
    assert (out / "calibration.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert {Path(file).name for file in document["files"].values()} == {
        "camera.toml", "calibration.json", "calibration.pdf", "calibration.png",
    }  # fmt: skip


def test_equal_scans_give_equal_files(realistic_cylinder: Scanned, tmp_path: Path) -> None:
    for name in ("one", "two"):
        calibrate_scans([realistic_cylinder.folder], realistic_cylinder.form, tmp_path / name)
    for file in ("camera.toml", "calibration.json", "calibration.pdf", "calibration.png"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_sensitivity_is_per_head_and_within_the_published_range(whole: tuple[Path, dict[str, Any]]) -> None:
    # 1e6 / 1.11e5 = 9.009 counts/s per MBq and head; Siemens medium energy 9.0-9.5 (clinical specification 5).
    sensitivity = whole[1]["sensitivity"]
    assert sensitivity["cps_per_mbq_per_head"] == pytest.approx(9.009, rel=0.01)
    assert [flag["code"] for flag in whole[1]["flags"] if flag["level"] != "INFO"] == []


def test_spheres_are_found_where_they_are(whole: tuple[Path, dict[str, Any]]) -> None:
    # Six spheres 60 degrees apart on a circle of 57.2 mm, drawn at 1.2 mm; 0.5 mm is a tenth of a SPECT voxel.
    angle = np.deg2rad(60.0 * np.arange(6))
    true = np.stack([57.2 * np.cos(angle), 57.2 * np.sin(angle), np.full(6, nema.SPHERE_PLANE_MM)], axis=1)
    for sphere, centre in zip(whole[1]["recovery"]["spheres"], true, strict=True):
        for found in sphere["centre_lps_mm"]:
            assert np.linalg.norm(np.array(found) - centre) < 0.5


def test_recovery_of_the_realistic_phantom_is_that_of_its_blur(whole: tuple[Path, dict[str, Any]]) -> None:
    # 12 mm and twice the average over a 4.8 mm voxel: 12.8 mm. What the product uses of the curve is its equivalent
    # Gaussian; 3 % of the width is 2 % of the recovery of 8 mL.
    recovery = whole[1]["recovery"]
    expected = FWHM_PER_SIGMA * effective_sigma_mm(scanner.FWHM_MM, 4.8)
    assert recovery["equivalent_fwhm_mm"] == pytest.approx(expected, rel=0.03)
    assert 0.01 < recovery["relative_sigma"] < 0.08
    for scan_ in recovery["scans"]:
        assert scan_["background_over_known"] == pytest.approx(1.0, abs=0.01)


def test_contours_give_the_same_recovery_as_found_spheres(
    realistic_nema: Scanned, whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    # The true label map against the fit: places within 0.3 mm, so coefficients within 0.01.
    form = realistic_nema.folder / "with-contours.toml"
    form.write_text(realistic_nema.text + 'contours = "cycle-1/contours.nii.gz"\n', encoding="utf-8")
    document = calibrate_scans([realistic_nema.folder], form, tmp_path / "out")
    found = [sphere["recovery"] for sphere in whole[1]["recovery"]["spheres"]]
    given = [sphere["recovery"] for sphere in document["recovery"]["spheres"]]
    np.testing.assert_allclose(given, found, atol=0.01)


def test_two_scans_72_hours_apart_confirm_the_decay_reference(whole: tuple[Path, dict[str, Any]]) -> None:
    decay = whole[1]["decay_reference"]
    assert decay["stated"] == "none"
    assert decay["apart_s"] == pytest.approx(72 * 3600, rel=0.01)
    # Noise of two totals (0.9 %) over the decay between them (0.31): 3 %.
    assert decay["decay_followed"] == pytest.approx(1.0, abs=0.03)


def test_image_in_bq_per_ml_is_checked_and_gets_no_factor(tmp_path: Path) -> None:
    phantom = scan(tmp_path / "scan", "cylinder", perfect=True, dialect="nm-rwv")
    document = calibrate_scans([phantom.folder], phantom.form, tmp_path / "out")
    # Rounding of the mapping's slope and of 16 bit values.
    assert document["calibration"]["known_over_measured"] == pytest.approx(1.0, abs=1e-4)
    (camera,) = site_with(tmp_path / "out" / "camera.toml").cameras
    assert camera.calibration_factor_bq_s_per_count is None
    assert document["sensitivity"] is None


def test_dead_time_of_a_decaying_source(decaying_source: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, truth = decaying_source
    document = calibrate_scans([folder], folder / "calibration.toml", tmp_path / "out")
    dead_time = document["dead_time"]
    # Issue: within 2 %; the scans are reproducible to 0.1 %, and the stated sigma must cover the difference (3 sigma).
    assert dead_time["dead_time_s"] == pytest.approx(truth["dead_time_s"], rel=0.02)
    assert abs(dead_time["dead_time_s"] - truth["dead_time_s"]) < 3.0 * dead_time["dead_time_sigma_s"]
    factor = document["calibration"]["calibration_factor_bq_s_per_count"]
    assert factor == pytest.approx(truth["calibration_factor_bq_s_per_count"], rel=0.005)
    # Without the correction 31 % of the strongest scan's counts were lost.
    strongest = dead_time["scans"][0]
    assert strongest["observed_rate_per_s"] / strongest["true_rate_per_s"] == pytest.approx(0.687, abs=0.005)


def test_quantify_undoes_the_dead_time_of_the_profile(
    decaying_source: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, truth = decaying_source
    calibrate_scans([folder], folder / "calibration.toml", tmp_path / "out")
    site = site_with(tmp_path / "out" / "camera.toml")
    administration = Administration("phantom", 1, "Lu-177", SOURCE_BQ, FIRST_CYCLE)
    for number, true_bq in enumerate(truth["activity_bq"], start=1):
        (series,) = discover([folder / f"tp-{number}"])
        spect = read_spect(series)
        delay_s = (spect.acquisition_start - FIRST_CYCLE).total_seconds()
        timing = TimePointTiming(spect.acquisition_start, scanner.ACQUISITION_S, delay_s)
        point = StudyTimePoint(timing, spect, None)  # type: ignore[arg-type]  # quantify looks at the SPECT alone
        activity = quantify(point, camera_for(spect, site), load_nuclide("Lu-177"), administration)
        # 0.1 % reproducibility of the scans, widened at 14 GBq by 1 / (1 - r tau) = 1.6.
        assert total_activity_bq(activity) == pytest.approx(true_bq, rel=0.005)
