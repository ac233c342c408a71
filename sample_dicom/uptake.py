"""How much of the administered activity is where, for how long (literature ranges beside each number)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.units import BQ_PER_MBQ
from sample_dicom import anatomy
from sample_dicom.kinetics import Curve, rate_per_s, washout

if TYPE_CHECKING:
    from numpy.typing import NDArray

LESION_WASHOUT_PER_CYCLE: Final = 0.92  # lesion doses fall 6 %/cycle in G1, 14 %/cycle in G2 (PMC8978188)


@dataclass(frozen=True)
class Uptake:
    """Uptake of labels that share one curve; ``weights`` are relative concentrations."""

    weights: dict[int, float]
    share: float
    effective_half_life_h: float
    uptake_half_life_h: float


def patient_curves(
    seed: int, cycle: int, administered_bq: float, volume_ml: NDArray[np.float64], *, perfect: bool
) -> tuple[dict[int, Curve], Curve]:
    """Return the activity curve of each label and the blood's concentration curve (Bq/mL).

    Parameters
    ----------
    volume_ml : ndarray, shape (256,)
        Drawn volume of each label.
    """
    rng = np.random.default_rng([seed, 2])
    curves: dict[int, Curve] = {}
    for uptake in _uptakes(rng, cycle, uniform_kidney=perfect):
        curves |= _shared(uptake, administered_bq, volume_ml, perfect=perfect)
    blood = _blood(rng, administered_bq, perfect=perfect)
    for label in (anatomy.AORTA, anatomy.MARROW, anatomy.MARROW_BESIDE_LESION, anatomy.HEART_AND_VEINS):
        curves[label] = blood.scaled(float(volume_ml[label]))
    return curves, blood


def _uptakes(rng: np.random.Generator, cycle: int, *, uniform_kidney: bool) -> list[Uptake]:
    """Draw the patient's kinetics; the same patient has the same half-lives in every cycle.

    Share = fraction of the administered activity at t = 0, extrapolated from the washout. Shares are set so that doses
    lie in the published ranges per GBq: kidneys 0.38-0.57 (Willowson 2018, Santoro 2018, Gupta 2013), liver 0.27,
    spleen 0.6-1.2 (Gupta 2013, Santoro 2018), lesions 2-77 Gy per cycle (PMC8978188).
    """

    def vary(mean: float, relative: float) -> float:
        return float(mean * (1.0 + rng.uniform(-relative, relative)))

    kidney_share, kidney_half_life = vary(0.0225, 0.08), vary(52.0, 0.08)
    found = []
    for labels in anatomy.KIDNEY_LABELS.values():
        # Most of the activity is in the cortex: de Jong et al., J Nucl Med 2004;45:1168.
        weights = dict(zip(labels, (1.0, 1.0, 1.0) if uniform_kidney else (1.0, 0.7, 0.3), strict=True))
        found.append(Uptake(weights, kidney_share / 2 * vary(1.0, 0.04), kidney_half_life, 0.6))
    found.append(Uptake({anatomy.LIVER: 1.0}, vary(0.056, 0.12), vary(69.0, 0.08), 1.0))
    found.append(Uptake({anatomy.SPLEEN: 1.0}, vary(0.0145, 0.15), vary(67.0, 0.08), 1.0))
    # Lesion concentration per mL relative to the administered activity; half-lives 60-110 h (section 5).
    volumes = (*anatomy.LIVER_LESIONS_ML, anatomy.BONE_LESION_ML)
    for i, volume_ml in enumerate(volumes):
        share = volume_ml * vary(2.6e-4, 0.3) * LESION_WASHOUT_PER_CYCLE ** (cycle - 1)
        found.append(Uptake({anatomy.FIRST_LESION + i: 1.0}, share, vary(85.0, 0.2), 3.0))
    # Remainder of the torso: half-life 40-70 h (section 5); little in fat and lung.
    remainder = {
        anatomy.SOFT: 1.0,
        anatomy.MEDIASTINUM: 1.0,
        anatomy.GUT: 1.5,
        anatomy.SUBCUTANEOUS_FAT: 0.25,
        anatomy.VISCERAL_FAT: 0.25,
        anatomy.LUNG: 0.35,
        anatomy.CORTICAL_BONE: 0.5,
    }
    found.append(Uptake(remainder, vary(0.022, 0.15), vary(52.0, 0.15), 0.3))
    return found


def _shared(
    uptake: Uptake, administered_bq: float, volume_ml: NDArray[np.float64], *, perfect: bool
) -> dict[int, Curve]:
    """Share an uptake between its labels by concentration weight and volume."""
    whole = washout(
        administered_bq * uptake.share, uptake.effective_half_life_h, None if perfect else uptake.uptake_half_life_h
    )
    weight = {label: w * float(volume_ml[label]) for label, w in uptake.weights.items()}
    total = sum(weight.values())
    return {label: whole.scaled(w / total) for label, w in weight.items()}


def _blood(rng: np.random.Generator, administered_bq: float, *, perfect: bool) -> Curve:
    """Blood concentration (Bq/mL): integral about 0.13 MBq h/mL per GBq, that is 0.01 Gy/GBq to the marrow itself.

    Fast and slow phase as in the label of Lutathera (elimination half-life 3.5 h, terminal 71 h, decay-corrected;
    clearance 4.5 L/h); marrow by blood 0.009-0.029 Gy/GBq (PMC10478826).
    """
    gbq = administered_bq / 1e3 / BQ_PER_MBQ
    factor = float(rng.uniform(0.9, 1.1)) * gbq
    if perfect:
        return Curve(((1460.0 * factor, rate_per_s(60.0)),))
    return Curve(((25_000.0 * factor, rate_per_s(2.2)), (800.0 * factor, rate_per_s(49.0))))
