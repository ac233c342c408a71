"""Steps on small arrays: recovery by each time point's own camera, voxels nobody saw, kidneys and neighbours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from pipeline.domain.geometry import Grid
from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.domain.maps import ActivityMap, DensityMap
from pipeline.domain.nuclide import Radionuclide
from pipeline.domain.regions import Region, Segmentation
from pipeline.domain.therapy import Administration, CameraProfile, RecoveryCurve, TimePointTiming
from pipeline.errors import RefusalError
from pipeline.files.forms import CycleForm
from pipeline.physics.kinetics.earlier_cycles import EarlierCurves, NotReused
from pipeline.physics.kinetics.single_scan import HalfLifePrior
from pipeline.physics.plausibility import blood_level_flags
from pipeline.physics.quantification.recovery import equivalent_fwhm_mm, spill_out_map
from pipeline.steps.assemble import unique_flags
from pipeline.steps.delineate import Delineation, _without_empty
from pipeline.steps.integrate import VOXEL_AVERAGES, integrate
from pipeline.steps.plausibility import between_regions_flags

LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.0351, "test", "physics page")
GRID = Grid((24, 24, 24), np.diag([4.8, 4.8, 4.8, 1.0]), "1.2.3")
HALF_LIFE_S = 51.0 * 3600.0
SHARP, WIDE = RecoveryCurve(5.0, 0.6), RecoveryCurve(15.0, 0.6)


class Site:
    """The four keys that integration reads."""

    head_rule, tail_rule, relative_error_without_sigma = "extrapolate", "fitted", 0.05


def camera(curve: RecoveryCurve) -> CameraProfile:
    return CameraProfile("c", (), 1.0, 0.03, 30.0, 120, 0.0, "none", curve)


def timing(hours: float) -> TimePointTiming:
    return TimePointTiming(datetime(2026, 3, 2, tzinfo=UTC), 1.0, hours * 3600.0)


def sphere() -> Delineation:
    z, y, x = np.indices(GRID.shape) - 12
    inside = (z**2 + y**2 + x**2) <= 4.5**2
    region = Region(1, "kidney", "left", "organ", "contours-file")
    fraction = np.stack([inside, ~inside]).astype(np.float32)
    density = DensityMap(GRID, np.ones(GRID.shape, dtype=np.float32))
    segmentation = Segmentation(GRID, inside.astype(np.int16), (region,), "test")
    return Delineation(segmentation, density, density, fraction, np.ones(GRID.shape, dtype=np.float32), ())


def seen_by(curve: RecoveryCurve, delineation: Delineation, hours: float) -> ActivityMap:
    """Return 1e8 Bq at t = 0 in the sphere as a camera of this recovery curve shows it."""
    left_bq = 1e8 * 2.0 ** (-(hours * 3600.0 + 0.5) / HALF_LIFE_S)
    image = spill_out_map(
        np.array([left_bq]),
        delineation.fraction[:1],
        GRID.spacing_mm,
        equivalent_fwhm_mm(curve),
        voxel_averages=VOXEL_AVERAGES,
    )
    return ActivityMap(GRID, image)


def test_each_time_point_is_corrected_by_its_own_camera() -> None:
    """1e8 Bq with 51 h is 1e8 x 51 h / ln 2 in Bq s; one camera's curve for both would be several percent off."""
    delineation, hours, curves = sphere(), (24.0, 96.0, 168.0), (SHARP, WIDE, WIDE)
    maps = [seen_by(curve, delineation, t) for curve, t in zip(curves, hours, strict=True)]
    times = [timing(t) for t in hours]
    true = 1e8 * HALF_LIFE_S / np.log(2.0)
    right = integrate(maps, times, delineation, [camera(c) for c in curves], Site(), LU)  # type: ignore[arg-type]
    assert right.regions[0].estimate.tia_bq_s == pytest.approx(true, rel=2e-3)
    wrong = integrate(maps, times, delineation, [camera(SHARP)] * 3, Site(), LU)  # type: ignore[arg-type]
    assert abs(wrong.regions[0].estimate.tia_bq_s / true - 1.0) > 0.02


def test_voxels_that_a_scan_did_not_see_get_no_curve() -> None:
    delineation, hours = sphere(), (24.0, 96.0, 168.0)
    maps = [ActivityMap(GRID, np.full(GRID.shape, 2.0 ** (-t / 51.0), dtype=np.float32)) for t in hours]
    seen = np.ones(GRID.shape, dtype=bool)
    seen[:4] = False
    bare = CameraProfile("c", (), 1.0, 0.03, 30.0, 120, 0.0, "none", None)
    found = integrate(maps, [timing(t) for t in hours], delineation, [bare] * 3, Site(), LU, seen)  # type: ignore[arg-type]
    tia = np.asarray(found.tia.tia_bq_s_per_ml)
    assert (tia[:4] == 0.0).all()
    assert (tia[4:] > 0.0).all()


def test_one_scan_takes_the_half_life_it_is_given_in_region_and_map() -> None:
    """1e8 Bq with 51 h in the sphere, the same concentration with 80 h around it: TIA of the curve and of the map."""
    delineation, hours = sphere(), 24.0
    inside = np.asarray(delineation.fraction[0])
    per_ml = np.float32(1e8 / (inside.sum() * GRID.voxel_volume_ml))
    values = np.where(inside > 0, 2.0 ** (-hours / 51.0), 2.0 ** (-hours / 80.0)) * per_ml
    scan = [ActivityMap(GRID, values.astype(np.float32))]
    bare = CameraProfile("c", (), 1.0, 0.03, 30.0, 120, 0.0, "none", None)
    priors = {
        "kidney_left": HalfLifePrior(51.0 * 3600.0, 0.02, "patient", "cycle 1"),
        "remainder": HalfLifePrior(80.0 * 3600.0, 0.02, "patient", "cycle 1"),
    }
    found = integrate(scan, [timing(hours)], delineation, [bare], Site(), LU, None, priors)  # type: ignore[arg-type]
    kidney, rest = found.regions
    # Half-lives known to 2 %: the mean over them is within 0.1 % of the exact value.
    assert kidney.estimate.tia_bq_s == pytest.approx(1e8 * 51.0 * 3600.0 / np.log(2.0), rel=1e-3)
    assert kidney.estimate.model == rest.estimate.model == "single-patient"
    tia = np.asarray(found.tia.tia_bq_s_per_ml, dtype=np.float64) * GRID.voxel_volume_ml
    assert float(tia[inside > 0].sum()) == pytest.approx(kidney.estimate.tia_bq_s, rel=1e-4)
    assert float(tia[inside == 0].sum()) == pytest.approx(rest.estimate.tia_bq_s, rel=1e-4)
    assert found.voxels is not None
    assert float(found.voxels.effective_half_life_s[12, 12, 12]) == pytest.approx(51.0 * 3600.0, rel=1e-3)
    assert "SINGLE_POINT_PRIOR" in {flag.code for flag in found.flags}


def test_one_scan_is_fitted_with_the_patients_earlier_full_cycles() -> None:
    """Two cycles of 51 h (sphere) and 80 h (rest) tell it: TIA of the mean over what they leave open, and the map."""
    delineation, hours = sphere(), 24.0
    inside = np.asarray(delineation.fraction[0])
    scan = [ActivityMap(GRID, np.full(GRID.shape, 1e5, dtype=np.float32))]
    bare = CameraProfile("c", (), 1.0, 0.03, 30.0, 120, 0.0, "none", None)
    time_s = np.array([24.0, 96.0, 168.0]) * 3600.0
    curves = {h: TimeActivityCurve(time_s, 1e8 * 2.0 ** (-time_s / (h * 3600.0)), None) for h in (51.0, 80.0)}
    known = {
        "kidney_left": EarlierCurves((curves[51.0],) * 2, "cycles 1, 2 of this patient together"),
        "remainder": EarlierCurves((curves[80.0],) * 2, "cycles 1, 2 of this patient together"),
    }
    found = integrate(scan, [timing(hours)], delineation, [bare], Site(), LU, None, known)  # type: ignore[arg-type]
    kidney, rest = found.regions
    assert kidney.estimate.model == rest.estimate.model == "hierarchical"
    assert kidney.estimate.half_life_source == "cycles 1, 2 of this patient together"
    point_bq, rate = 1e5 * inside.sum() * GRID.voxel_volume_ml, np.log(2.0) / (51.0 * 3600.0)
    # A(24 h) e^(k t)/k; the mean over the half-lives left open (12 %) lies 1 % above it.
    assert kidney.estimate.tia_bq_s == pytest.approx(point_bq * np.exp(rate * hours * 3600.0) / rate, rel=0.015)
    tia = np.asarray(found.tia.tia_bq_s_per_ml, dtype=np.float64) * GRID.voxel_volume_ml
    assert float(tia[inside > 0].sum()) == pytest.approx(kidney.estimate.tia_bq_s, rel=1e-4)
    assert {f.region for f in found.flags if f.code == "SINGLE_POINT_PRIOR"} == {"kidney_left", "remainder"}


def test_a_region_whose_half_life_is_not_reused_is_left_out_with_the_reason() -> None:
    delineation = sphere()
    region = Region(1, "lesion-1", None, "lesion", "auto-ct-spect-2")
    segmentation = Segmentation(GRID, np.asarray(delineation.segmentation.label), (region,), "test")
    scan = [ActivityMap(GRID, np.ones(GRID.shape, dtype=np.float32))]
    bare = CameraProfile("c", (), 1.0, 0.03, 30.0, 120, 0.0, "none", None)
    known = {
        "lesion-1": NotReused("numbered anew"),
        "remainder": HalfLifePrior(80.0 * 3600.0, 0.02, "patient", "cycle 1 (version 2, signed by a physicist)"),
    }
    lesion = replace(delineation, segmentation=segmentation)
    found = integrate(scan, [timing(24.0)], lesion, [bare], Site(), LU, None, known)  # type: ignore[arg-type]
    assert [kinetics.region.key for kinetics in found.regions] == ["remainder"]
    (left_out,) = [flag for flag in found.flags if flag.code == "REGION_LEFT_OUT"]
    assert left_out.region == "lesion-1"
    assert left_out.text.endswith("no half-life to reuse: numbered anew")
    # The flag says where the assumed half-life comes from, with version and signature.
    (prior,) = [flag for flag in found.flags if flag.code == "SINGLE_POINT_PRIOR"]
    assert "cycle 1 (version 2, signed by a physicist)" in prior.text


def test_a_kidney_whose_half_life_is_not_reused_refuses() -> None:
    scan = [ActivityMap(GRID, np.ones(GRID.shape, dtype=np.float32))]
    bare = CameraProfile("c", (), 1.0, 0.03, 30.0, 120, 0.0, "none", None)
    known = {"kidney_left": NotReused("BLOCK flag TEST in cycle 1")}
    with pytest.raises(RefusalError) as refusal:
        integrate(scan, [timing(24.0)], sphere(), [bare], Site(), LU, None, known)  # type: ignore[arg-type]
    assert "BLOCK flag TEST in cycle 1" in refusal.value.found


def test_one_scan_without_a_half_life_is_refused() -> None:
    delineation = sphere()
    scan = [ActivityMap(GRID, np.ones(GRID.shape, dtype=np.float32))]
    bare = CameraProfile("c", (), 1.0, 0.03, 30.0, 120, 0.0, "none", None)
    for priors in (None, {"kidney_left": HalfLifePrior(51.0 * 3600.0, 0.1, "patient", "cycle 1")}):
        with pytest.raises(RefusalError) as refusal:
            integrate(scan, [timing(24.0)], delineation, [bare], Site(), LU, None, priors)  # type: ignore[arg-type]
        assert refusal.value.code == "SINGLE_POINT_WITHOUT_PRIOR"


def region(name: str, side: str | None = None, kind: str = "organ", **more: Any) -> dict[str, Any]:
    return {
        "name": name, "laterality": side, "kind": kind, "volume_ml": 150.0, "mean_dose_gy": 3.5, "flags": [],
        "activity": [],
    } | more  # fmt: skip


def codes(regions: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(flag.code, flag.level) for flag in between_regions_flags(regions, None)]


def test_one_kidney_must_be_answered_for() -> None:
    both = [region("kidney", "left"), region("kidney", "right"), region("liver"), region("spleen")]
    assert codes(both) == []
    assert codes(both[1:]) == [("KIDNEY_SINGLE", "BLOCK")]
    assert codes(both[2:]) == [("KIDNEY_SINGLE", "BLOCK")]


@pytest.mark.parametrize(
    ("highest_bq_per_ml", "flagged"),
    [
        (2e5, False),
        (7.5e3, False),
        (2e5 / 1e3, True),
        (2e5 / 1e6, True),
        (7.5e3 / 1e3, True),
        (3.1e6, True),
        (740.0, False),
    ],
)
def test_blood_in_another_unit_is_blocked(highest_bq_per_ml: float, flagged: bool) -> None:
    """7.4 GBq in 5 L is 1.48e6 Bq/mL: possible shares are 5e-4 (740 Bq/mL) to 2 (2.96e6 Bq/mL)."""
    found = blood_level_flags(highest_bq_per_ml, 7.4e9)
    assert [(flag.code, flag.level) for flag in found] == ([("BLOOD_LEVEL_IMPLAUSIBLE", "BLOCK")] if flagged else [])


@pytest.mark.parametrize(("prescribed_bq", "levels"), [(None, []), (7.4e9, []), (6.5e9, ["WARN"]), (5.0e9, ["BLOCK"])])
def test_net_activity_against_the_prescription(prescribed_bq: float | None, levels: list[str]) -> None:
    """7.4 GBq given: beyond 10 % of the prescription WARN, beyond 25 % BLOCK (section 5)."""
    given = Administration("p", 1, "Lu-177", 7.4e9, datetime(2026, 3, 2, tzinfo=UTC))
    empty: dict[str, Any] = {"flags": []}
    study: dict[str, Any] = empty | {"time_points": []}
    payload = {"study": study, "segmented": empty, "integrated": empty, "dosed": empty}
    flags = unique_flags(payload, CycleForm(given, prescribed_bq, 7.4e9, 0.0, {}))
    assert [flag["level"] for flag in flags] == levels


def test_an_absent_liver_is_told() -> None:
    regions = [region("kidney", "left"), region("kidney", "right"), region("spleen")]
    assert codes(regions) == [("NEIGHBOUR_ABSENT", "WARN")]


@pytest.mark.parametrize(
    ("name", "kind", "level"),
    [
        ("lesion-1", "lesion", "BLOCK"),
        ("liver", "organ", "BLOCK"),
        ("marrow", "marrow", "BLOCK"),
        ("aorta", "blood", "WARN"),
    ],
)
def test_a_region_without_voxels_is_left_out_as_gravely_as_one_cut_off(name: str, kind: str, level: str) -> None:
    delineation = sphere()
    other = Region(2, name, None, kind, "contours-file")  # type: ignore[arg-type]
    kidney = delineation.segmentation.regions[0]
    both = Segmentation(GRID, delineation.segmentation.label, (kidney, other), "test")
    fractions = np.stack([delineation.fraction[0], np.zeros(GRID.shape, dtype=np.float32)])
    kept, rows, flags = _without_empty(both, fractions)
    assert [r.key for r in kept.regions] == ["kidney_left"]
    assert rows.shape[0] == 1
    assert [(f.code, f.level, f.region) for f in flags] == [("REGION_LEFT_OUT", level, name)]


def test_a_kidney_without_voxels_is_refused() -> None:
    nothing = np.zeros((1, *GRID.shape), dtype=np.float32)
    with pytest.raises(RefusalError, match="REGION_EMPTY"):
        _without_empty(sphere().segmentation, nothing)
