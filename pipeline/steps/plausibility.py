"""Every number of a cycle held against what the literature has seen (section 5 of the clinical specification)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.physics import gates, plausibility
from pipeline.physics.quantification.recovery import equivalent_fwhm_mm, recovery_misfit
from pipeline.units import BQ_PER_GBQ

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.therapy import Administration, CameraProfile, TimePointTiming
    from pipeline.physics.dose.marrow import BloodSamples

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
        found = f"{len(kidneys)} kidney{'' if len(kidneys) == 1 else 's'}"
        text = f"{found}: the value the rules use is that of what was found; sign only if the patient has no other"
        return (Flag("KIDNEY_SINGLE", "BLOCK", text, "kidney"),)
    left, right = kidneys["left"], kidneys["right"]
    return (
        *plausibility.pair_flags("kidney", "volume", left["volume_ml"], right["volume_ml"]),
        *plausibility.pair_flags("kidney", "dose", left["mean_dose_gy"], right["mean_dose_gy"]),
    )


def between_regions_flags(regions: Sequence[Document], blood: BloodSamples | None) -> tuple[Flag, ...]:
    """Return the flags of regions held against one another and against blood."""
    still = [key_of(r) for r in regions if r["kind"] in {"organ", "lesion"} and "AT_PHYSICAL_LIMIT" in r["flags"]]
    aorta = next((region for region in regions if region["kind"] == "blood"), None)
    pool = () if blood is None or aorta is None else blood_pool_flags(aorta, blood)
    return (*kidney_pair_flags(regions), *_absent_flags(regions), *gates.washout_flags(still), *pool)


def trend_flags(document: Document, before: Document) -> tuple[Flag, ...]:
    """Return the flags of lesions whose dose per activity rose by more than half since the cycle before.

    Compared are lesions that a person drew and named in both cycles: the automatic method numbers them anew in each.

    Parameters
    ----------
    document, before : dict
        Result documents of this cycle and of the one before.
    """
    earlier = {r["name"]: _per_gbq(r, before) for r in before["regions"] if _is_drawn_lesion(r)}
    return tuple(
        flag
        for region in document["regions"]
        if _is_drawn_lesion(region) and region["name"] in earlier
        for flag in plausibility.tumour_trend_flags(
            _per_gbq(region, document), earlier[region["name"]], region=key_of(region)
        )
    )


def _is_drawn_lesion(region: Document) -> bool:
    return region["kind"] == "lesion" and region["method"] == "contours-file" and region["mean_dose_gy"] is not None


def _per_gbq(region: Document, document: Document) -> float:
    return float(region["mean_dose_gy"]) / (float(document["administration"]["activity_bq"]) / BQ_PER_GBQ)


def _absent_flags(regions: Sequence[Document]) -> tuple[Flag, ...]:
    """Flag a liver or spleen that nobody drew: its spill-in to the kidneys is then corrected as the body's rest."""
    names = {region["name"] for region in regions}
    text = "not found or drawn: what it spills into a kidney beside it is not told apart from the rest of the body"
    return tuple(
        Flag("NEIGHBOUR_ABSENT", "WARN", f"{name} {text}", name) for name in ("liver", "spleen") if name not in names
    )


def blood_pool_flags(aorta: Document, blood: BloodSamples) -> tuple[Flag, ...]:
    """Return the flags of the aorta's concentration against the samples', at the scans that lie among them."""
    sampled = np.asarray(blood.activity_bq_per_ml) > 0.0
    times_s, samples = np.asarray(blood.time_s)[sampled], np.asarray(blood.activity_bq_per_ml)[sampled]
    points = [p for p in aorta["activity"] if sampled.any() and times_s[0] <= p["delay_s"] <= times_s[-1]]
    expected = [float(np.exp(np.interp(p["delay_s"], times_s, np.log(samples)))) for p in points]
    ratios = [p["activity_bq"] / aorta["volume_ml"] / value for p, value in zip(points, expected, strict=True)]
    return gates.blood_pool_flags(ratios) if ratios and min(ratios) > 0.0 else ()


def study_flags(
    administration: Administration,
    timings: Sequence[TimePointTiming],
    totals_bq: Sequence[float],
    camera: CameraProfile,
    nuclide: Radionuclide,
) -> tuple[Flag, ...]:
    """Return the flags of the whole field of view and of the camera's recovery curve."""
    left = [administration.activity_bq * 2.0 ** (-t.delay_s / nuclide.half_life_s) for t in timings]
    fractions = [total / most for total, most in zip(totals_bq, left, strict=True)]
    flags = [*plausibility.recovered_activity_flags(fractions[0]), *gates.field_activity_flags(fractions)]
    if camera.recovery is not None:
        fwhm_mm = equivalent_fwhm_mm(camera.recovery)
        flags += plausibility.recovery_curve_flags(recovery_misfit(camera.recovery, fwhm_mm))
    return tuple(flags)
