"""The marrow's dose by the site's method, and by the image beside it; each value carries its method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.domain.dose import Flag
from pipeline.errors import RefusalError
from pipeline.physics.dose.marrow import (
    BLOOD_DENSITY_G_PER_ML,
    REFERENCE_MARROW_G,
    SELF_S_MGY_PER_MBQ_S,
    MarrowDose,
    blood_tia,
    marrow_dose_blood,
    planar_method_missing,
)
from pipeline.physics.uncertainty.dose_uncertainty import MARROW_S_RELATIVE_SIGMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.domain.kinetics import TiaEstimate
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.domain.therapy import Administration
    from pipeline.physics.dose.marrow import BloodSamples
    from pipeline.settings import SiteProfile

Document = dict[str, Any]

# The cross-dose is that of photons from imaged sources: its error is that of their activity (calibration).
CROSS_RELATIVE_SIGMA = 0.10
IMAGE_NAME = "marrow_image"


@dataclass(frozen=True)
class MarrowInput:
    """What the marrow's dose is made from: the regions found on the image, and blood."""

    regions: list[Document]
    blood: BloodSamples | None
    site: SiteProfile
    nuclide: Radionuclide
    photon_gy: dict[str, float]
    administration: Administration


@dataclass(frozen=True)
class MarrowResult:
    """All regions, the marrow's own first value replaced by the site's method; flags."""

    regions: list[Document]
    flags: tuple[Flag, ...] = field(default=())


def marrow_regions(given: MarrowInput) -> MarrowResult:
    """Return the regions with the marrow's dose by the site's method.

    The image's own value stays as ``marrow_image`` (method ``image_vertebra``), for information. Where the site's
    method cannot be computed, ``marrow`` keeps the image's value under its own method: the rules then refer (method
    mismatch), and a flag says what is missing. Nothing is put in another method's place.
    """
    image = next((r for r in given.regions if r["name"] == "marrow"), None)
    others = [r for r in given.regions if r["name"] != "marrow"]
    if image is None:
        return MarrowResult(others, (_missing("no vertebral marrow was found or drawn"),))
    from_image = image | {"method": "image_vertebra", "delineation": image["method"]}
    method = given.site.marrow_limit_method
    if method == "image_vertebra":
        return MarrowResult([*others, from_image], _not_carried(image["flags"]))
    if method == "blood_planar":
        return MarrowResult([*others, from_image], (planar_method_missing(),))
    try:
        estimate = _concentration(given, method)
    except RefusalError as refusal:
        return MarrowResult([*others, from_image], (_missing(f"{refusal.found}; {refusal.do}"),))
    dose = _dose(given, estimate, method)
    by_blood = _by_blood(from_image, estimate, dose, given)
    return MarrowResult([*others, by_blood, from_image | {"name": IMAGE_NAME}], _not_carried(estimate.flags))


def _not_carried(flags: Sequence[str]) -> tuple[Flag, ...]:
    text = "the marrow dose stands on a curve that lies far off its points"
    return (Flag("FIT_BROKEN", "BLOCK", text, "marrow"),) if "FIT_BROKEN" in flags else ()


def _missing(text: str) -> Flag:
    return Flag("MARROW_METHOD_UNAVAILABLE", "WARN", f"no marrow dose by the site's method: {text}", "marrow")


def _concentration(given: MarrowInput, method: str) -> TiaEstimate:
    """Return the time-integrated concentration of blood, or of the aorta as its surrogate (Bq s/mL)."""
    if method == "blood_only":
        if given.blood is None:
            raise RefusalError(
                "BLOOD_MISSING",
                found="no blood samples",
                needed="blood samples for marrow.limit_method = blood_only",
                do="give --blood",
                where="--blood",
            )
        return blood_tia(given.blood, given.nuclide)
    return _aorta(given)


def _aorta(given: MarrowInput) -> TiaEstimate:
    from pipeline.steps.kinetics_documents import concentration_of

    aorta = next((r for r in given.regions if r["name"] == "aorta"), None)
    if aorta is None:
        raise RefusalError(
            "AORTA_MISSING",
            found="no aorta",
            needed="the aorta's concentration for marrow.limit_method = image_aorta",
            do="draw it (--contours)",
            where="contours",
        )
    return concentration_of(aorta)


def _dose(given: MarrowInput, estimate: TiaEstimate, method: str) -> MarrowDose:
    cross_gy = given.photon_gy["marrow"]
    return marrow_dose_blood(
        estimate.tia_bq_s,
        given.nuclide,
        cross_gy,
        ratio=given.site.blood_to_marrow_ratio,
        tia_sigma_bq_s_per_ml=estimate.tia_sigma_bq_s,
        cross_sigma_gy=CROSS_RELATIVE_SIGMA * cross_gy,
        s_relative_sigma=MARROW_S_RELATIVE_SIGMA,
        method="image_aorta" if method == "image_aorta" else "blood_only",
    )


def _by_blood(image: Document, estimate: TiaEstimate, dose: MarrowDose, given: MarrowInput) -> Document:
    """Return the marrow's entry by blood: activity and TIA are those of its own mass at the blood's concentration."""
    per_ml = image["mass_g"] * given.site.blood_to_marrow_ratio / BLOOD_DENSITY_G_PER_ML
    total = dose.total_gy
    return image | {
        "method": dose.method,
        "recovery_coefficient": None,
        "activity": image["activity"],
        "effective_half_life_s": estimate.effective_half_life_s,
        "tia_bq_s": estimate.tia_bq_s * per_ml,
        "tia_sigma_bq_s": estimate.tia_sigma_bq_s * per_ml,
        "mean_dose_gy": total,
        "mean_dose_sigma_gy": dose.sigma_gy,
        "self_dose_gy": dose.self_gy,
        "cross_dose_gy": dose.cross_gy,
        "flags": list(estimate.flags),
        "uncertainty": None,
        "curve": None,
        "ledger": _ledger(estimate, dose, given),
    }


def _ledger(estimate: TiaEstimate, dose: MarrowDose, given: MarrowInput) -> Document:
    """Return the factors of the dose by blood, as :func:`marrow_dose_blood` took them."""
    return {
        "kind": "blood",
        "tia_bq_s_per_ml": estimate.tia_bq_s,
        "tia_relative_sigma": estimate.tia_sigma_bq_s / estimate.tia_bq_s if estimate.tia_bq_s > 0 else 0.0,
        "ratio": given.site.blood_to_marrow_ratio,
        "self_s_mgy_per_mbq_s": SELF_S_MGY_PER_MBQ_S[given.nuclide.name],
        "reference_g": REFERENCE_MARROW_G,
        "blood_density_g_per_ml": BLOOD_DENSITY_G_PER_ML,
        "cross_gy": dose.cross_gy,
        "cross_relative_sigma": CROSS_RELATIVE_SIGMA,
        "s_relative_sigma": MARROW_S_RELATIVE_SIGMA,
    }
