"""Time-activity curves of the regions, corrected for partial volume, and their time integrals; the voxel TIA map."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.domain.kinetics import TiaEstimate, TimeActivityCurve
from pipeline.domain.maps import TiaMap
from pipeline.domain.regions import Region
from pipeline.errors import RefusalError
from pipeline.physics.decay import middle_factor
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.earlier_cycles import EarlierCurves, NotReused, fit_with_earlier
from pipeline.physics.kinetics.fit_flags import NOT_CARRIED
from pipeline.physics.kinetics.single_scan import fit_single_scan
from pipeline.physics.quantification.recovery import RecoveryResult, equivalent_fwhm_mm, recovered_activities
from pipeline.physics.voxels.kinetics import tia_map
from pipeline.steps.common_field import activities_in_maps, measured_activities, partly_seen_flags, sharing_labels
from pipeline.steps.gates import require_measured, sharpness_flags
from pipeline.steps.voxel_maps import map_flags
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pipeline.domain.dose import FlagLevel
    from pipeline.domain.maps import ActivityMap
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.therapy import CameraProfile, TimePointTiming
    from pipeline.physics.kinetics.single_scan import HalfLifePrior
    from pipeline.physics.voxels.kinetics import VoxelKinetics
    from pipeline.settings import SiteProfile
    from pipeline.steps.delineate import Delineation

REMAINDER = "remainder"
# A region whose curve cannot be fitted stops the run where a limit depends on it; others are left out and flagged.
INDISPENSABLE = frozenset({"kidney"})
# Without the marrow's dose the rules refer (row 7 of the decision table): left out, it is no less than a BLOCK. No row
# tests the dose of another organ or lesion.
NEEDED_KINDS = frozenset({"marrow"})
# Their doses are read as they are. Vessels, marrow and remainder only enter others: a marrow dose that stands on such a
# curve is blocked there (pipeline.steps.marrow).
BLOCKED_KINDS = frozenset({"organ", "lesion", "small_voi"})
# The fast phase of 177Lu-DOTATATE in blood has a half-life of one to two hours: after 6 h it is no longer seen.
BLOOD_PHASE_SEEN_S = 6.0 * SECONDS_PER_HOUR
# A recovery curve is measured on the camera's own images: its width holds one average over the voxels of the image and
# one over the partial voxels of the contour, which the region fractions bring along already.
VOXEL_AVERAGES = 2


@dataclass(frozen=True, eq=False)
class RegionKinetics:
    """What one region held over time.

    Attributes
    ----------
    measured_bq, activity_bq : ndarray, shape (time,)
        As measured and as corrected, at the start of each acquisition.
    recovery_coefficient : float
        Measured / corrected at the first time point.
    estimate : TiaEstimate
    """

    region: Region
    measured_bq: NDArray[np.float64]
    activity_bq: NDArray[np.float64]
    recovery_coefficient: float
    estimate: TiaEstimate


@dataclass(frozen=True, eq=False)
class Integration:
    """Curves of all regions (the remainder last, if it could be fitted) and the voxel TIA map (not corrected).

    ``voxels`` is what the map stands on; None where only the map was read back.
    """

    regions: tuple[RegionKinetics, ...]
    tia: TiaMap
    fwhm_mm: float | None
    flags: tuple[Flag, ...]
    voxels: VoxelKinetics | None = None


def integrate(
    activities: Sequence[ActivityMap],
    timings: Sequence[TimePointTiming],
    delineation: Delineation,
    cameras: Sequence[CameraProfile],
    site: SiteProfile,
    nuclide: Radionuclide,
    covered: NDArray[np.bool_] | None = None,
    half_lives: Mapping[str, HalfLifePrior | EarlierCurves | NotReused] | None = None,
) -> Integration:
    """Fit every region's curve and every voxel's.

    Parameters
    ----------
    activities : sequence of ActivityMap
        At the start of each acquisition, all on the reference grid.
    timings : sequence of TimePointTiming
    delineation : Delineation
    cameras : sequence of CameraProfile
        One per time point: each image is corrected with the recovery curve of the camera that made it.
    covered : ndarray of bool, optional
        Voxels that every time point saw; elsewhere a resampled map holds 0, which no curve may be fitted to.
    half_lives : mapping of str to HalfLifePrior, EarlierCurves or NotReused, optional
        By region key, for a cycle of one scan; a region without one is left out, for the reason of ``NotReused``.
    """
    parts = delineation.segmentation.regions
    seen = measured_activities(activities, delineation.fraction, covered)
    measured = seen.activity_bq
    unseen = require_measured(activities, delineation.fraction, delineation.segmentation)
    unseen += partly_seen_flags(parts, seen)
    recovered, fwhm_mm = _recovered(measured, delineation, activities[0].grid.spacing_mm, cameras)
    regions, flags = _fit_regions(measured, recovered, timings, delineation, site, nuclide, half_lives or {})
    single = len(activities) == 1
    voxels = tia_map(
        activities,
        [timing.middle_delay_s for timing in timings],
        nuclide,
        acquisition_duration_s=[timing.acquisition_duration_s for timing in timings],
        mask=(delineation.body_fraction > 0) if covered is None else (delineation.body_fraction > 0) & covered,
        relative_error=site.relative_error_without_sigma,
        head_rule=site.head_rule,
        tail_rule=site.tail_rule,
        prior_half_life_s=_rest_of(regions).effective_half_life_s if single else None,
        regions=sharing_labels(parts, delineation.fraction),
    )
    voxels = _with_region_half_lives(voxels, regions, timings[0], delineation, nuclide) if single else voxels
    sharp = sharpness_flags(
        activities[0], delineation.fraction, delineation.segmentation, fwhm_mm, voxel_averages=VOXEL_AVERAGES
    )
    # With one scan the map has the regions' own half-lives: there is nothing to compare.
    in_maps = activities_in_maps(parts, seen)
    differing = () if single else _map_flags(voxels, regions, in_maps, timings, delineation, site, nuclide)
    return Integration(regions, voxels.tia, fwhm_mm, (*flags, *unseen, *sharp, *differing), voxels)


def _rest_of(regions: Sequence[RegionKinetics]) -> TiaEstimate:
    found = [kinetics.estimate for kinetics in regions if kinetics.region.name == REMAINDER]
    if not found:
        raise RefusalError(
            "SINGLE_POINT_WITHOUT_PRIOR",
            found="one scan, and no half-life of the rest of the body from an earlier cycle",
            needed="a full cycle on record whose remainder could be fitted",
            do="add a time point",
            where=REMAINDER,
        )
    return found[0]


def _with_region_half_lives(
    voxels: VoxelKinetics,
    regions: Sequence[RegionKinetics],
    timing: TimePointTiming,
    delineation: Delineation,
    nuclide: Radionuclide,
) -> VoxelKinetics:
    """Return the map of one scan with each region's own TIA per activity in place of the rest's, by its part."""
    factor = middle_factor(nuclide, timing.acquisition_duration_s)
    rows = {region.label: row for row, region in enumerate(delineation.segmentation.regions)}
    seconds = {k.region.label: k.estimate.tia_bq_s / (float(k.activity_bq[0]) * factor) for k in regions}
    rest = next(k for k in regions if k.region.name == REMAINDER)
    # What the map has: the rest's half-life itself, without its spread.
    rate = rest.estimate.parameters["rate_per_s"]
    amplitude = rest.estimate.parameters["amplitude_bq"]
    mapped_s = rest.estimate.tia_bq_s / (amplitude * math.exp(-rate * timing.middle_delay_s))
    rest_gain = seconds[rest.region.label] / mapped_s
    gain = np.full_like(voxels.tia.tia_bq_s_per_ml, rest_gain)
    half_life = np.array(voxels.effective_half_life_s)
    for k in (k for k in regions if k.region.label in rows):
        part = delineation.fraction[rows[k.region.label]]
        gain += part * np.float32(seconds[k.region.label] / mapped_s - rest_gain)
        own_s = k.estimate.effective_half_life_s - rest.estimate.effective_half_life_s
        half_life += np.where(half_life > 0.0, part, 0.0) * np.float32(own_s)
    tia = TiaMap(voxels.tia.grid, voxels.tia.tia_bq_s_per_ml * gain)
    return replace(voxels, tia=tia, effective_half_life_s=half_life)


def _map_flags(
    voxels: VoxelKinetics,
    regions: Sequence[RegionKinetics],
    measured: NDArray[np.float64],
    timings: Sequence[TimePointTiming],
    delineation: Delineation,
    site: SiteProfile,
    nuclide: Radionuclide,
) -> tuple[Flag, ...]:
    """Hold the map against each region's curve as measured: neither is corrected for recovery."""
    rows = {region.label: row for row, region in enumerate(delineation.segmentation.regions)}
    fitted = {rows.get(kinetics.region.label, len(rows)): kinetics.region for kinetics in regions}
    positive = [row for row in fitted if (measured[:, row] > 0.0).all()]
    curves = {row: _fit_one(measured[:, row], timings, site, nuclide).tia_bq_s for row in positive}
    return map_flags(voxels, fitted, delineation.fraction, curves)


def _recovered(
    measured: NDArray[np.float64],
    delineation: Delineation,
    spacing_mm: tuple[float, float, float],
    cameras: Sequence[CameraProfile],
) -> tuple[RecoveryResult, float | None]:
    """Return the corrected activities, each time point by its own camera, and the first one's point spread."""
    widths = [equivalent_fwhm_mm(camera.recovery) if camera.recovery else None for camera in cameras]
    solved = {
        width: recovered_activities(
            measured[:, :-1], measured[:, -1], delineation.fraction, spacing_mm, width, voxel_averages=VOXEL_AVERAGES
        )
        for width in set(widths)
    }
    each = [solved[width] for width in widths]
    return (
        RecoveryResult(
            np.stack([result.activity_bq[t] for t, result in enumerate(each)]),
            np.stack([result.recovery_coefficient[t] for t, result in enumerate(each)]),
            each[0].transfer_matrix,
            np.array([result.remainder_bq[t] for t, result in enumerate(each)]),
        ),
        widths[0],
    )


def _fit_regions(
    measured: NDArray[np.float64],
    recovered: RecoveryResult,
    timings: Sequence[TimePointTiming],
    delineation: Delineation,
    site: SiteProfile,
    nuclide: Radionuclide,
    half_lives: Mapping[str, HalfLifePrior | EarlierCurves | NotReused],
) -> tuple[tuple[RegionKinetics, ...], tuple[Flag, ...]]:
    everything = np.column_stack([recovered.activity_bq, recovered.remainder_bq])
    coefficient = np.append(recovered.recovery_coefficient[0], 1.0)
    rest = Region(label=32767, name=REMAINDER, laterality=None, kind="remainder", method="body-less-regions")
    fitted, flags = [], []
    for i, region in enumerate((*delineation.segmentation.regions, rest)):
        known = half_lives.get(region.key)
        try:
            if isinstance(known, NotReused):
                raise known.refusal(region.key)
            estimate = _fit_one(everything[:, i], timings, site, nuclide, known)
        except RefusalError as refusal:
            if region.name in INDISPENSABLE:
                raise
            level: FlagLevel = "BLOCK" if region.kind in NEEDED_KINDS else "WARN"
            flags.append(Flag("REGION_LEFT_OUT", level, f"{refusal.code}: {refusal.found}", region.key))
            continue
        fitted.append(RegionKinetics(region, measured[:, i], everything[:, i], float(coefficient[i]), estimate))
        flags += [Flag(code, _level_of(code, region), _text_of(code, estimate), region.key) for code in estimate.flags]
    flags += _early_phase_flags(fitted, timings[0])
    return tuple(fitted), tuple(flags)


def _early_phase_flags(fitted: Sequence[RegionKinetics], first: TimePointTiming) -> list[Flag]:
    """Flag what follows the blood: its fast first phase is over before a first scan at a day."""
    if first.middle_delay_s <= BLOOD_PHASE_SEEN_S:
        return []
    hours = first.middle_delay_s / SECONDS_PER_HOUR
    text = f"first scan at {hours:.0f} h: the early phase of the blood is not seen, TIA and dose are lower bounds"
    return [Flag("EARLY_PHASE_UNSEEN", "WARN", text, k.region.key) for k in fitted if k.region.kind == "blood"]


def _fit_one(
    activity_bq: NDArray[np.float64],
    timings: Sequence[TimePointTiming],
    site: SiteProfile,
    nuclide: Radionuclide,
    known: HalfLifePrior | EarlierCurves | None = None,
) -> TiaEstimate:
    times = np.array([timing.middle_delay_s for timing in timings])
    factors = np.array([middle_factor(nuclide, timing.acquisition_duration_s) for timing in timings])
    curve = TimeActivityCurve(times, activity_bq * factors, None)
    rules: Any = {
        "head_rule": site.head_rule,
        "tail_rule": site.tail_rule,
        "relative_error": site.relative_error_without_sigma,
    }
    if times.size > 1 or known is None:
        return fit_curve(curve, nuclide, model="mono", **rules)
    if isinstance(known, EarlierCurves):
        return fit_with_earlier(curve, nuclide, known, **rules)
    return fit_single_scan(curve, nuclide, known, **rules)


def _level_of(code: str, region: Region) -> FlagLevel:
    return "BLOCK" if code in NOT_CARRIED and region.kind in BLOCKED_KINDS else "WARN"


def _text_of(code: str, estimate: TiaEstimate) -> str:
    hours = estimate.effective_half_life_s / SECONDS_PER_HOUR
    source = f" from {estimate.half_life_source}" if estimate.half_life_source else ""
    return f"{code.lower().replace('_', ' ')}: model {estimate.model}, effective half-life {hours:.1f} h{source}"
