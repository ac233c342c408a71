"""Every number of a cycle held against what the literature has seen (section 5 of the clinical specification)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.physics import plausibility
from pipeline.physics.recovery import equivalent_fwhm_mm, recovery_misfit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.domain.dose import Flag
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.therapy import Administration, CameraProfile, TimePointTiming

Document = dict[str, Any]

# A region that only carries an image's value beside the site's method is not judged by itself.
SHOWN_ONLY = frozenset({"marrow_image", "remainder"})


def region_flags(region: Document, administered_bq: float, nuclide: Radionuclide) -> tuple[Flag, ...]:
    """Return the flags of one region's dose, half-life, volume, recovery and TIA."""
    if region["name"] in SHOWN_ONLY:
        return ()
    name, kind, key = region["name"], region["kind"], key_of(region)
    flags = [
        *plausibility.dose_flags(
            name, kind, region["mean_dose_gy"], administered_bq, region=key, marrow_method=region["method"]
        ),
        *plausibility.volume_flags(name, kind, region["volume_ml"], region=key),
        *plausibility.tiac_flags(key, region["tia_bq_s"], administered_bq, nuclide),
    ]
    if kind in {"organ", "lesion"}:
        flags += plausibility.half_life_flags(name, kind, region["effective_half_life_s"], region=key)
        flags += plausibility.recovery_flags(name, region["recovery_coefficient"], region=key)
    return tuple(flags)


def key_of(region: Document) -> str:
    """Return the readable key of a region's document: ``kidney_left``."""
    return f"{region['name']}_{region['laterality']}" if region["laterality"] else str(region["name"])


def kidney_pair_flags(regions: Iterable[Document]) -> tuple[Flag, ...]:
    """Return the flags of the left kidney against the right one."""
    kidneys = {r["laterality"]: r for r in regions if r["name"] == "kidney"}
    if set(kidneys) != {"left", "right"}:
        return ()
    left, right = kidneys["left"], kidneys["right"]
    return (
        *plausibility.pair_flags("kidney", "volume", left["volume_ml"], right["volume_ml"]),
        *plausibility.pair_flags("kidney", "dose", left["mean_dose_gy"], right["mean_dose_gy"]),
    )


def study_flags(
    administration: Administration,
    timings: Sequence[TimePointTiming],
    totals_bq: Sequence[float],
    camera: CameraProfile,
    nuclide: Radionuclide,
) -> tuple[Flag, ...]:
    """Return the flags of the whole field of view and of the camera's recovery curve."""
    left = [administration.activity_bq * 2.0 ** (-t.delay_s / nuclide.half_life_s) for t in timings]
    flags = list(plausibility.recovered_activity_flags(totals_bq[0] / left[0]))
    if camera.recovery is not None:
        fwhm_mm = equivalent_fwhm_mm(camera.recovery)
        flags += plausibility.recovery_curve_flags(recovery_misfit(camera.recovery, fwhm_mm))
    return tuple(flags)
