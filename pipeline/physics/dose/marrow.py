"""Absorbed dose of the red marrow; the method always travels with the value.

The 2 Gy limit belongs to blood-based and planar methods; values from vertebral images are about four times larger
(clinical specification 0 and 3.6) and are shown, not tested, unless the clinic sets its own limit for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.domain.geometry import frozen_array
from pipeline.domain.kinetics import TimeActivityCurve
from pipeline.errors import require
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.units import GY_G_PER_MEV, GY_PER_BQ_S_PER_MGY_PER_MBQ_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.kinetics import ModelName, TiaEstimate
    from pipeline.domain.nuclide import Radionuclide

MarrowMethod = Literal["blood_planar", "blood_only", "image_aorta", "image_vertebra"]

# Adult male, OLINDA/EXM 2 (Stabin, Farmer, J Nucl Med 2012;53(suppl 1):585): red marrow self S value of Lu-177.
SELF_S_MGY_PER_MBQ_S = {"Lu-177": 1.15e-5}
REFERENCE_MARROW_G = 1170.0
REFERENCE_BODY_KG = 73.0
# Whole blood, ICRU Report 46 (1992).
BLOOD_DENSITY_G_PER_ML = 1.06
# Spongiosa with marrow, adult, ICRU Report 46 (1992).
SPONGIOSA_DENSITY_G_PER_ML = 1.18
# Models in the order they are tried, with the samples each needs; three exponentials with one to spare.
BLOOD_MODELS: Final[dict[ModelName, int]] = {"auto": 2, "bi": 4, "tri": 7}
# A fast phase at its limit is kept, with its flag: it is within 2 % where straight lines are 20 % high (36 min beside
# 30 h, samples at 0.5 and 4 h; tests).
POOR_BLOOD_FIT = frozenset({"RESIDUAL_ABOVE_15_PERCENT", "UPTAKE_PHASE"})


@dataclass(frozen=True, eq=False)
class BloodSamples:
    """Activity concentration in blood, not decay-corrected.

    Attributes
    ----------
    time_s : ndarray, shape (n,)
        After the start of the administration, strictly increasing.
    activity_bq_per_ml : ndarray, shape (n,)
    """

    time_s: NDArray[np.float64]
    activity_bq_per_ml: NDArray[np.float64]

    def __post_init__(self) -> None:
        curve = TimeActivityCurve(self.time_s, self.activity_bq_per_ml, None)
        require(
            curve.time_s.size >= 2 and bool((curve.activity_bq >= 0).all()),
            "BLOOD_SAMPLES_INVALID",
            found=f"{curve.time_s.size} samples from {float(curve.activity_bq.min()):g} Bq/mL",
            needed="two samples or more, none negative",
            do="complete the blood samples",
            where="blood",
        )
        object.__setattr__(self, "time_s", frozen_array(curve.time_s))
        object.__setattr__(self, "activity_bq_per_ml", frozen_array(curve.activity_bq))


@dataclass(frozen=True)
class MarrowDose:
    """Absorbed dose of the red marrow, by one method.

    Attributes
    ----------
    method : str
    self_gy : float
        From activity in the marrow itself.
    cross_gy : float
        From photons of all other sources.
    sigma_gy : float
        Of the sum; the parts that were handed in.
    """

    method: MarrowMethod
    self_gy: float
    cross_gy: float
    sigma_gy: float

    @property
    def total_gy(self) -> float:
        """Self and cross dose together."""
        return self.self_gy + self.cross_gy


def blood_tia(
    samples: BloodSamples, nuclide: Radionuclide, *, model: ModelName = "auto", relative_error: float = 0.05
) -> TiaEstimate:
    """Return the time-integrated activity concentration of blood; all "Bq" of the result are Bq/mL.

    ``auto`` takes, in this order, the first whose points all lie within 15 % of the curve: the exponentials chosen by
    AICc, two exponentials (4 samples or more), three (7 or more); then straight lines with a tail bounded by physical
    decay, flagged ``BLOOD_BY_STRAIGHT_LINES``, their bias in the sigma.

    Parameters
    ----------
    samples : BloodSamples
    nuclide : Radionuclide
    model : str
        As for :func:`pipeline.physics.kinetics.curve_fit.fit_curve`.
    relative_error : float
        One sigma of a sample.

    Returns
    -------
    TiaEstimate
        ``tia_bq_s`` in Bq s/mL.
    """
    curve = TimeActivityCurve(samples.time_s, samples.activity_bq_per_ml, None)
    if model != "auto":
        return fit_curve(curve, nuclide, model=model, relative_error=relative_error)
    for candidate, points in BLOOD_MODELS.items():
        if curve.time_s.size < points:
            continue
        found = fit_curve(curve, nuclide, model=candidate, relative_error=relative_error)
        if not POOR_BLOOD_FIT & set(found.flags):
            return found
    return _by_straight_lines(fit_curve(curve, nuclide, model="trapezoid", relative_error=relative_error))


def _by_straight_lines(estimate: TiaEstimate) -> TiaEstimate:
    # The bounds of its bias as a rectangular distribution about 0 (JCGM 100:2008, 4.3.7).
    largest = max(abs(bound) for bound in estimate.bias_relative or (0.0,))
    return replace(
        estimate,
        tia_sigma_bq_s=math.hypot(estimate.tia_sigma_bq_s, largest * estimate.tia_bq_s / math.sqrt(3.0)),
        flags=(*estimate.flags, "BLOOD_BY_STRAIGHT_LINES"),
    )


def marrow_mass_g(body_kg: float) -> float:
    """Return the patient's red marrow mass, the reference scaled with body mass (EANM, Hindorf et al. 2010)."""
    return REFERENCE_MARROW_G * body_kg / REFERENCE_BODY_KG


def marrow_dose_blood(
    tia_blood_bq_s_per_ml: float,
    nuclide: Radionuclide,
    photon_cross_gy: float,
    *,
    ratio: float = 1.0,
    tia_sigma_bq_s_per_ml: float = 0.0,
    cross_sigma_gy: float = 0.0,
    s_relative_sigma: float = 0.0,
    self_s_mgy_per_mbq_s: float | None = None,
    method: Literal["blood_only", "image_aorta"] = "blood_only",
) -> MarrowDose:
    """Return the marrow dose from the concentration in blood (MIRD form).

    D = TIA_blood ratio m_RM S(RM<-RM) + cross dose; Hindorf et al., EANM guideline, EJNMMI 2010;37:1238; ratio 1 for
    177Lu-DOTATATE: Forrer et al., EJNMMI 2009;36:1138. The patient's marrow mass cancels: its TIA grows with the mass
    and S(RM<-RM) falls with it (m_pat S_pat = m_ref S_ref), so no mass is asked for.

    Parameters
    ----------
    tia_blood_bq_s_per_ml : float
        Time-integrated concentration in blood (for ``image_aorta`` in the aorta, as its surrogate).
    nuclide : Radionuclide
    photon_cross_gy : float
        Photon dose of all imaged sources to the vertebral marrow, from the dose map.
    ratio : float
        Marrow to blood, per gram.
    tia_sigma_bq_s_per_ml, cross_sigma_gy, s_relative_sigma : float
        One sigma of the parts; independent. Without ``s_relative_sigma`` the model's own error is not included.
    self_s_mgy_per_mbq_s : float, optional
        Self S value of 1170 g red marrow; needed for nuclides without one here.
    method : {"blood_only", "image_aorta"}

    Returns
    -------
    MarrowDose

    Raises
    ------
    RefusalError
        ``MARROW_S_VALUE_MISSING``, ``MARROW_INPUT_INVALID``.
    """
    _require_input(tia_blood_bq_s_per_ml, photon_cross_gy, ratio)
    s_mgy = self_s_mgy_per_mbq_s or SELF_S_MGY_PER_MBQ_S.get(nuclide.name, math.nan)
    require(
        s_mgy > 0.0,
        "MARROW_S_VALUE_MISSING",
        found=f"no red marrow self S value for {nuclide.name}",
        needed="the self S value of 1170 g red marrow, mGy/(MBq s)",
        do="use Lu-177, or hand the S value over",
        where=nuclide.name,
    )
    gy_per_concentration = s_mgy * GY_PER_BQ_S_PER_MGY_PER_MBQ_S * REFERENCE_MARROW_G * ratio / BLOOD_DENSITY_G_PER_ML
    self_gy = tia_blood_bq_s_per_ml * gy_per_concentration
    sigma = math.hypot(tia_sigma_bq_s_per_ml * gy_per_concentration, s_relative_sigma * self_gy, cross_sigma_gy)
    return MarrowDose(method, self_gy, photon_cross_gy, sigma)


def marrow_dose_vertebra(
    tia_vertebra_bq_s_per_ml: float,
    nuclide: Radionuclide,
    photon_cross_gy: float,
    *,
    tia_sigma_bq_s_per_ml: float = 0.0,
    cross_sigma_gy: float = 0.0,
    density_g_per_ml: float = SPONGIOSA_DENSITY_G_PER_ML,
) -> MarrowDose:
    """Return the marrow dose from the concentration in the vertebrae on the image.

    All electron energy stays in the spongiosa, whose mean concentration stands for the marrow's (no marrow fraction
    is applied). Values to compare with: PMC10478826, Table 3 (clinical specification 3.6).

    Parameters
    ----------
    tia_vertebra_bq_s_per_ml : float
        Recovery-corrected.
    nuclide : Radionuclide
    photon_cross_gy : float
        Photon dose to the vertebrae from all sources, themselves included.
    tia_sigma_bq_s_per_ml, cross_sigma_gy : float
    density_g_per_ml : float

    Returns
    -------
    MarrowDose
        Method ``image_vertebra``: not tested against the blood-based limit.
    """
    _require_input(tia_vertebra_bq_s_per_ml, photon_cross_gy, 1.0)
    gy_per_concentration = nuclide.electron_mev * GY_G_PER_MEV / density_g_per_ml
    sigma = math.hypot(tia_sigma_bq_s_per_ml * gy_per_concentration, cross_sigma_gy)
    return MarrowDose("image_vertebra", tia_vertebra_bq_s_per_ml * gy_per_concentration, photon_cross_gy, sigma)


def planar_method_missing() -> Flag:
    """Return the flag of a site that asks for ``blood_planar``: no other method is put in its place."""
    return Flag(
        "MARROW_PLANAR_UNAVAILABLE",
        "BLOCK",
        'marrow.limit_method is "blood_planar", which needs a series of planar whole-body scans; these are not '
        "read: found none, needed the planar marrow dose. File it from your own system, or set another method and its "
        "limit",
        "marrow",
    )


def _require_input(tia: float, cross_gy: float, ratio: float) -> None:
    require(
        all(math.isfinite(value) and value >= 0.0 for value in (tia, cross_gy, ratio)),
        "MARROW_INPUT_INVALID",
        found=f"TIA {tia} Bq s/mL, cross dose {cross_gy} Gy, ratio {ratio}",
        needed="finite values of 0 or more",
        do="check the blood samples and the vertebral contour",
        where="marrow",
    )
