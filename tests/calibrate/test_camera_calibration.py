"""Combination of scans, plausibility of the sensitivity, decay test, totals of phantoms: by hand and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.domain.nuclide import Radionuclide
from pipeline.errors import RefusalError
from pipeline.physics.quantification.camera_calibration import (
    CalibrationFactor,
    ScanFactor,
    combined_factor,
    decay_flags,
    decay_test,
    geometry_flags,
    scale_flags,
    sensitivity_flags,
)
from pipeline.physics.quantification.phantom_counts import mean_with_sigma, phantom_core, phantom_counts, uniform_part
from pipeline.physics.quantification.sphere_phantom import blurred_sphere

LU = Radionuclide("Lu-177", 159.53 * 3600.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")


def scan(factor: float, sigma: float) -> ScanFactor:
    return ScanFactor("1.2", "cylinder", "cylinder", factor, 1.0, sigma, 0.0)


def factor(value: float, scans: float = 0.002) -> CalibrationFactor:
    return CalibrationFactor(value, math.hypot(0.025, scans), 0.025, scans, 1.0, (0.0,))


def test_scans_are_weighted_by_their_own_sigma() -> None:
    # Weights 1/1^2 and 1/2^2 (in units): (100 x 1 + 103 x 0.25) / 1.25; sigmas of 1 are 1 % of 100 and 0.97 % of 103.
    found = combined_factor([scan(100.0, 0.01), scan(103.0, 2.0 / 103.0)], 0.025)
    assert found.value == pytest.approx(100.6, rel=1e-12)
    # chi2 = 0.36 + 2.4^2/4 = 1.8 > 1 widens sqrt(1/1.25) by sqrt(1.8).
    assert found.scatter == pytest.approx(1.8, rel=1e-12)
    assert found.scans_relative_sigma == pytest.approx(math.sqrt(1.8 / 1.25) / 100.6, rel=1e-12)
    assert found.relative_sigma == pytest.approx(math.hypot(0.025, found.scans_relative_sigma), rel=1e-12)


def test_dose_calibrator_does_not_shrink_with_the_number_of_scans() -> None:
    many = combined_factor([scan(100.0, 0.01)] * 100, 0.025)
    assert many.scans_relative_sigma == pytest.approx(0.001, rel=1e-9)
    assert many.relative_sigma == pytest.approx(math.hypot(0.025, 0.001), rel=1e-9)


def test_combined_sigma_covers_the_truth() -> None:
    """500 sets of three scans of 1 %: one sigma of the scans covers 68 % or more (widening only adds), below 85 %."""
    rng = np.random.default_rng(2)
    sets = [
        combined_factor([scan(100.0 * f, 0.01) for f in 1.0 + 0.01 * rng.standard_normal(3)], 0.0) for _ in range(500)
    ]
    inside = np.mean([abs(found.value - 100.0) < found.scans_relative_sigma * found.value for found in sets])
    assert 0.66 <= inside <= 0.85


@pytest.mark.parametrize(
    ("cps_per_mbq", "collimator", "codes"),
    [
        (9.2, "siemens-me", []),
        (8.7, "siemens-me", []),  # two sigma (5 %) below 9.0 is 8.55
        (8.0, "siemens-me", ["SENSITIVITY_UNUSUAL"]),
        (9.2, "ge-me", ["SENSITIVITY_UNUSUAL"]),
        (5.0, "ge-me", []),
        (7.0, "other", ["SENSITIVITY_NOT_COMPARED"]),
    ],
)
def test_sensitivity_against_the_published_range(cps_per_mbq: float, collimator: str, codes: list[str]) -> None:
    flags = sensitivity_flags(factor(1e6 / cps_per_mbq), collimator, None)
    assert [flag.code for flag in flags] == codes


@pytest.mark.parametrize(
    ("change", "level"), [(1.04, None), (1.06, "WARN"), (0.94, "WARN"), (1.16, "BLOCK"), (0.84, "BLOCK")]
)
def test_sensitivity_against_the_last_calibration(change: float, level: str | None) -> None:
    # Section 5: WARN beyond 5 %, BLOCK beyond 15 %; a factor that rises is a sensitivity that falls.
    flags = sensitivity_flags(factor(1.11e5), "siemens-me", 1.11e5 * change)
    assert [flag.level for flag in flags] == ([] if level is None else [level])


@pytest.mark.parametrize(("ratio", "flagged"), [(1.04, False), (1.06, True), (0.93, True)])
def test_geometries_that_differ_are_flagged(ratio: float, flagged: bool) -> None:
    flags = geometry_flags({"cylinder": factor(100.0), "nema-iec": factor(100.0 * ratio)})
    assert [flag.code for flag in flags] == ["FACTOR_GEOMETRIES_DIFFER"] * flagged


@pytest.mark.parametrize(("ratio", "levels"), [(1.0, []), (1.07, ["WARN"]), (1.2, ["BLOCK"])])
def test_scale_of_an_image_in_bq_per_ml(ratio: float, levels: list[str]) -> None:
    assert [flag.level for flag in scale_flags(ratio)] == levels


def test_decay_test_tells_the_conventions_apart() -> None:
    three_days = 72.0 * 3600.0
    ratio = 2.0 ** (-72.0 / 159.53)  # 0.7314
    test = decay_test("cylinder", three_days, ratio, LU, "none")
    assert test.followed == pytest.approx(1.0, rel=1e-12)
    assert decay_flags(test) == ()
    assert decay_test("cylinder", three_days, 1.0, LU, "administration").followed == 0.0
    # 0.75 in place of 0.7314 is 92 % of the decay, 0.78 is 79 %.
    assert decay_flags(decay_test("cylinder", three_days, 0.75, LU, "none")) == ()
    assert [f.level for f in decay_flags(decay_test("cylinder", three_days, 0.78, LU, "none"))] == ["WARN"]


@pytest.mark.parametrize(
    ("ratio", "reference"), [(1.0, "none"), (1.0, "acquisition_start"), (0.7314, "administration")]
)
def test_the_other_convention_is_refused(ratio: float, reference: str) -> None:
    with pytest.raises(RefusalError) as refusal:
        decay_test("cylinder", 72.0 * 3600.0, ratio, LU, reference)  # type: ignore[arg-type]
    assert refusal.value.code == "DECAY_REFERENCE_CONTRADICTORY"


SPACING = (4.8, 4.8, 4.8)
VOXEL_ML = 4.8**3 / 1000.0


def blurred_ball(radius_mm: float = 60.0, size: int = 48) -> np.ndarray:
    axis = (np.arange(size) - (size - 1) / 2.0) * 4.8
    distance = np.sqrt(axis**2 + axis[:, None] ** 2 + axis[:, None, None] ** 2)
    return blurred_sphere(distance, radius_mm, 5.1)


def test_total_is_all_that_the_blur_carried_out() -> None:
    # A ball of 904.8 mL seen at 12 mm FWHM: everything within 30 mm of the core (5.9 sigma).
    value = blurred_ball()
    counts = phantom_counts(value, phantom_core(value, "s"), SPACING, VOXEL_ML)
    assert counts.total * VOXEL_ML == pytest.approx(4.0 / 3.0 * math.pi * 6.0**3, rel=2e-3)
    assert counts.relative_sigma < 1e-3
    assert counts.share == pytest.approx(1.0, abs=1e-4)


def test_activity_beside_the_phantom_shows_in_the_share() -> None:
    value = blurred_ball()
    beside = value.copy()
    beside[:3, :3, :3] += 0.05 * value.sum() / 27.0
    counts = phantom_counts(beside, phantom_core(value, "s"), SPACING, VOXEL_ML)
    assert counts.share == pytest.approx(1.0 / 1.05, abs=1e-3)


def test_total_that_depends_on_the_margin_is_uncertain() -> None:
    # A veil of 1 % of the plateau in the whole field is summed the more, the wider the volume.
    value = blurred_ball() + 0.01
    core = phantom_core(blurred_ball(), "s")
    counts = phantom_counts(value, core, SPACING, VOXEL_ML)
    assert 0.003 < counts.relative_sigma < 0.03


def test_block_sigma_is_that_of_the_mean() -> None:
    """200 images with 10 % noise correlated over 10 mm: the stated standard error is the scatter of means, in 15 %."""
    rng = np.random.default_rng(5)
    inside = np.zeros((30, 30, 30), dtype=bool)
    inside[3:28, 3:28, 3:28] = True
    means, stated = [], []
    for _ in range(200):
        noise = gaussian_filter(rng.standard_normal(inside.shape), 10.0 / 2.3548 / 4.8, mode="wrap")
        found = mean_with_sigma(1.0 + 0.1 * noise / noise.std(), inside, SPACING)
        assert found is not None
        means.append(found[0])
        stated.append(found[1])
    assert float(np.mean(stated)) == pytest.approx(float(np.std(means)), rel=0.15)


def test_a_phantom_too_small_for_blocks_has_no_block_sigma() -> None:
    value = blurred_ball(20.0)
    assert mean_with_sigma(value, uniform_part(phantom_core(value, "s"), SPACING), SPACING) is None


def test_cut_phantom_is_refused() -> None:
    with pytest.raises(RefusalError) as refusal:
        phantom_core(blurred_ball()[20:], "1.2")
    assert refusal.value.code == "PHANTOM_CUT"
    assert "slice" in refusal.value.found


def test_empty_image_is_refused() -> None:
    with pytest.raises(RefusalError) as refusal:
        phantom_core(np.zeros((8, 8, 8)), "1.2")
    assert refusal.value.code == "PHANTOM_NOT_FOUND"
