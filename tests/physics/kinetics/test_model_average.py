"""Averages of models by hand: weights, the spread between models, and the interval of a mixture."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.domain.kinetics import TiaEstimate, TimeActivityCurve
from pipeline.domain.nuclide import Radionuclide
from pipeline.physics.kinetics.curve_fit import fit_curve
from pipeline.physics.kinetics.model_average import akaike_weights, averaged

LU = Radionuclide("Lu-177", 6.647 * 86400.0, 0.13333, 0.01465, 0.03510, "ICRP-107", "test")
TIMES_S = np.array([24.0, 96.0, 168.0]) * 3600.0
ONE = fit_curve(TimeActivityCurve(TIMES_S, np.array([80.0, 30.0, 12.0]), None), LU)
Z = 1.959964


def estimate(name: str, tia: float, low: float, high: float, sigma: float, fraction: float) -> TiaEstimate:
    return replace(
        ONE,
        model=name,
        tia_bq_s=tia,
        tia_ci95_bq_s=(low, high),
        tia_sigma_bq_s=sigma,
        extrapolated_fraction=fraction,
        flags=(name.upper(),),
    )


def below(place: float, parts: list[tuple[float, float, float, float]]) -> float:
    """Weighted normal tails of (weight, value, lower half, upper half)."""
    total = 0.0
    for weight, value, lower, upper in parts:
        half = lower if place < value else upper
        total += weight * 0.5 * math.erfc(-(place - value) / half / math.sqrt(2.0))
    return total


def test_weights_of_three_models() -> None:
    # exp(0), exp(-0.5), exp(-2): sums to 1.741866.
    weights = akaike_weights({"a": 101.0, "b": 102.0, "c": 105.0})
    assert weights == pytest.approx({"a": 0.574097, "b": 0.348208, "c": 0.077695}, abs=1e-6)


def test_an_average_of_two_models() -> None:
    # Weights 3 : 1 at a difference of 2 ln 3.
    first = estimate("mono", 100.0, 100.0 - 10.0 * Z, 100.0 + 12.0 * Z, 11.0, 0.2)
    second = estimate("bi", 140.0, 140.0 - 5.0 * Z, 140.0 + 6.0 * Z, 5.5, 0.6)
    found = averaged({"mono": first, "bi": second}, {"mono": 10.0, "bi": 10.0 + 2.0 * math.log(3.0)})
    assert found.model == "average"
    assert found.model_weights == pytest.approx({"mono": 0.75, "bi": 0.25}, rel=1e-12)
    assert found.tia_bq_s == pytest.approx(110.0, rel=1e-12)
    # 0.75 (121 + 100) + 0.25 (30.25 + 900) = 398.3125.
    assert found.tia_sigma_bq_s == pytest.approx(math.sqrt(398.3125), rel=1e-12)
    assert found.extrapolated_fraction == pytest.approx(0.3, rel=1e-12)
    assert found.flags == ("MONO",)
    assert found.parameters == ONE.parameters
    assert found.interval_method == "model-averaged tail area of profile likelihoods"
    parts = [(0.75, 100.0, 10.0, 12.0), (0.25, 140.0, 5.0, 6.0)]
    low, high = found.tia_ci95_bq_s or (0.0, 0.0)
    assert below(low, parts) == pytest.approx(0.025, rel=1e-5)
    assert below(high, parts) == pytest.approx(0.975, rel=1e-6)
    assert not found.nearly_gaussian


def test_two_models_that_agree_are_one() -> None:
    same = estimate("mono", 100.0, 100.0 - 10.0 * Z, 100.0 + 10.0 * Z, 10.0, 0.2)
    found = averaged({"mono": same, "bi": replace(same, model="bi")}, {"mono": 12.0, "bi": 10.0})
    assert found.tia_ci95_bq_s == pytest.approx((100.0 - 10.0 * Z, 100.0 + 10.0 * Z), rel=1e-6)
    assert found.tia_sigma_bq_s == pytest.approx(10.0, rel=1e-12)
    assert found.nearly_gaussian


def test_an_interval_without_width_and_one_that_reaches_below_nothing() -> None:
    exact = estimate("mono", 100.0, 100.0, 100.0, 0.0, 0.2)
    assert averaged({"mono": exact}, {"mono": 1.0}).tia_ci95_bq_s == pytest.approx((100.0, 100.0), rel=1e-9)
    wide = estimate("mono", 10.0, -30.0, 50.0, 20.0, 0.2)
    low, high = averaged({"mono": wide}, {"mono": 1.0}).tia_ci95_bq_s or (1.0, 0.0)
    assert low == 0.0
    assert high == pytest.approx(50.0, rel=1e-5)


def test_the_best_model_gives_half_life_parameters_and_flags_whatever_its_name() -> None:
    first = estimate("mono", 100.0, 80.0, 120.0, 10.0, 0.2)
    second = estimate("bi", 140.0, 130.0, 150.0, 5.0, 0.6)
    assert averaged({"mono": first, "bi": second}, {"mono": 12.0, "bi": 10.0}).flags == ("BI",)


def test_information_of_huge_activities_has_weights_too() -> None:
    # Sigmas of 1e8 Bq at many points: AICc of thousands, of which only the difference counts.
    assert akaike_weights({"mono": 4000.0, "bi": 4000.0}) == {"mono": 0.5, "bi": 0.5}
