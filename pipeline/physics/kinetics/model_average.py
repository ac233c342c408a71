"""Several models' estimates of one TIA, averaged by what the points say for each (Akaike weights)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from pipeline.physics.kinetics.tia_interval import Z_95, nearly_gaussian

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.domain.kinetics import TiaEstimate

TAIL = 0.025
# Of the search for a quantile: models that contradict each other by many powers of ten.
BISECTIONS = 2000


def akaike_weights(scores: Mapping[str, float]) -> dict[str, float]:
    """Return exp(-delta/2), normed to 1, of the information of each model.

    Burnham, Anderson, Model Selection and Multimodel Inference, 2002, section 2.9.

    Parameters
    ----------
    scores : dict
        Model -> AICc.

    Returns
    -------
    dict
    """
    lowest = min(scores.values())
    raw = {name: math.exp(-0.5 * (score - lowest)) for name, score in scores.items()}
    whole = sum(raw.values())
    return {name: value / whole for name, value in raw.items()}


def averaged(estimates: Mapping[str, TiaEstimate], scores: Mapping[str, float]) -> TiaEstimate:
    """Return the average over models; half-life, parameters and flags are those of the best one.

    The variance holds each model's own and the spread between the models (Burnham, Anderson 2002, equation 4.9, as a
    mixture). The interval has 2.5 % of the models' weighted tail area on each side (Turek, Fletcher, Comput Stat Data
    Anal 2012;56:2809), each model's interval taken as two half normals.

    Parameters
    ----------
    estimates : dict
        Model -> estimate, each with an interval.
    scores : dict
        Model -> AICc.

    Returns
    -------
    TiaEstimate
    """
    weights = akaike_weights(scores)
    best = estimates[max(weights, key=lambda name: weights[name])]
    share = np.array([weights[name] for name in estimates])
    values = np.array([estimate.tia_bq_s for estimate in estimates.values()])
    sigmas = np.array([estimate.tia_sigma_bq_s for estimate in estimates.values()])
    tia = float(share @ values)
    sigma = math.sqrt(float(share @ (sigmas**2 + (values - tia) ** 2)))
    low, high = _interval(share, list(estimates.values()))
    # The mean of models that contradict each other may lie outside the middle 95 % of them.
    interval = (min(low, tia), max(high, tia))
    return replace(
        best,
        model="average",
        tia_bq_s=tia,
        tia_sigma_bq_s=sigma,
        extrapolated_fraction=float(share @ [e.extrapolated_fraction for e in estimates.values()]),
        tia_ci95_bq_s=interval,
        interval_method="model-averaged tail area of profile likelihoods",
        nearly_gaussian=nearly_gaussian(tia, sigma, interval),
        model_weights=weights,
        bias_correction_bq_s=float(share @ [e.bias_correction_bq_s for e in estimates.values()]),
    )


def _interval(
    share: np.ndarray[tuple[int], np.dtype[np.float64]], estimates: Sequence[TiaEstimate]
) -> tuple[float, float]:
    values = np.array([estimate.tia_bq_s for estimate in estimates])
    ends = np.array([estimate.tia_ci95_bq_s or (np.nan, np.nan) for estimate in estimates])
    halves = np.maximum(np.abs(ends - values[:, None]) / Z_95, 1e-12 * values[:, None])

    def below(place: float) -> float:
        half = np.where(place < values, halves[:, 0], halves[:, 1])
        return float(share @ ndtr((place - values) / half))

    low, high = float((values - 6.0 * halves[:, 0]).min()), float((values + 6.0 * halves[:, 1]).max())
    return (
        max(float(brentq(lambda place: below(place) - TAIL, low, high, maxiter=BISECTIONS)), 0.0),
        float(brentq(lambda place: below(place) - (1.0 - TAIL), low, high, maxiter=BISECTIONS)),
    )
