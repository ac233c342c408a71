"""Time-integrated activity of a region from its time-activity curve (clinical specification 3.3).

Fitted without decay correction, so the rate is the effective one, bounded by physical decay. Sigmas are absolute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.kinetics import TiaEstimate
from pipeline.errors import RefusalError, require
from pipeline.physics.kinetics.curve_areas import area_rule, fitted_area, last_points, trapezoid_area, trapezoid_pieces
from pipeline.physics.kinetics.exponential_fit import aicc, fit_mono, rate_bounds
from pipeline.physics.kinetics.fit_bias import correction, curvature_bias
from pipeline.physics.kinetics.fit_flags import quality_flags
from pipeline.physics.kinetics.fit_misfit import misfit, require_relative_errors, widened
from pipeline.physics.kinetics.model_average import akaike_weights, averaged
from pipeline.physics.kinetics.multi_exponential_fit import fit_multi
from pipeline.physics.kinetics.tia_interval import Z_95, fitted_interval, nearly_gaussian
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from pipeline.domain.kinetics import HeadRule, ModelName, TailRule, TimeActivityCurve
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.kinetics.curve_areas import AreaRule, CurveArea
    from pipeline.physics.kinetics.exponential_fit import RateBounds
    from pipeline.physics.kinetics.exponentials import ExponentialSum
    from pipeline.physics.kinetics.fit_misfit import Misfit

COMPONENTS = {"bi": 2, "tri": 3}
POINTS_PER_COMPONENT = 2
# A model with less weight moves neither value nor interval. Project choice.
LEAST_WEIGHT = 0.005
# A millionth is left by then: a later time is a wrong unit.
LONGEST_IN_HALF_LIVES = 20.0


@dataclass(frozen=True)
class FitRequest:
    """How a curve is to be fitted; see :func:`fit_curve`."""

    nuclide: Radionuclide
    head_rule: HeadRule
    tail_rule: TailRule
    relative_error: float
    bounds: RateBounds
    half_life_range_h: tuple[float, float] | None


def fit_curve(
    curve: TimeActivityCurve,
    nuclide: Radionuclide,
    *,
    model: ModelName = "mono",
    head_rule: HeadRule = "extrapolate",
    tail_rule: TailRule = "fitted",
    relative_error: float = 0.05,
    half_life_range_h: tuple[float, float] | None = None,
) -> TiaEstimate:
    """Return the time-integrated activity of a curve, with the model it came from.

    Parameters
    ----------
    curve : TimeActivityCurve
        Not decay-corrected; times after the start of the administration. Any unit of activity. One point:
        :func:`pipeline.physics.kinetics.single_scan.fit_single_scan`.
    nuclide : Radionuclide
    model : {"mono", "bi", "tri", "trapezoid", "auto", "average"}
        ``bi`` needs 4 points, ``tri`` 6. ``auto`` takes the exponentials with the lowest AICc (Burnham, Anderson
        2002; Glatting et al., Med Phys 2007;34:4285), which exists from 6 points on for ``bi`` and 8 for ``tri``;
        ``average`` weighs the same models by it (:mod:`pipeline.physics.kinetics.model_average`).
    head_rule : {"extrapolate", "constant", "ramp"}
        Before the first point: the fitted curve; its value there from t = 0 on; a straight line from 0 to it.
    tail_rule : {"fitted", "physical"}
        After the last point: the fitted curve, or physical decay from its value there (an upper bound).
    relative_error : float
        One sigma of the fitted activity, used where the curve has no sigmas.
    half_life_range_h : tuple of float, optional
        Plausible effective half-lives of the region; outside, the fit is flagged.

    Returns
    -------
    TiaEstimate
        Sigma by the delta method, random part only; interval by profile likelihood (module ``tia_interval``), both
        widened where the points do not lie on the curve (``fit_misfit``). Several exponentials state the sigma of an
        interval that is not nearly Gaussian, and lose their bias (``fit_bias``). The trapezoid states bounds of its
        bias instead: what straight lines between these times make of one exponential.

    Raises
    ------
    RefusalError
        ``SINGLE_POINT_WITHOUT_PRIOR``, ``TOO_FEW_POINTS``, ``CURVE_NOT_POSITIVE``, ``CURVE_TIMES_INVALID``,
        ``RELATIVE_ERROR_INVALID``.

    Notes
    -----
    A curve that rises at first is fitted by a mono-exponential through its last two or three points (``mono-last-2``).
    ``extrapolate`` then takes that exponential from t = 0 on; the other rules take the measured value at the first
    point and straight lines from there to the first fitted point.
    """
    require(
        0.0 < relative_error < 1.0,
        "RELATIVE_ERROR_INVALID",
        found=f"relative error {relative_error}",
        needed="one sigma between 0 and 1",
        do="set kinetics.relative_error in the site profile",
        where="kinetics.relative_error",
    )
    _require_times(curve, nuclide)
    request = FitRequest(nuclide, head_rule, tail_rule, relative_error, rate_bounds(nuclide), half_life_range_h)
    if curve.time_s.size == 1:
        raise RefusalError(
            "SINGLE_POINT_WITHOUT_PRIOR",
            found="one time point and no effective half-life from an earlier cycle",
            needed="two time points or more, or the patient's own effective half-life",
            do="add a time point, or process the full cycle of this patient first",
            where="curve",
        )
    if model == "trapezoid":
        return _trapezoid(curve, request)
    if model == "auto":
        return _by_information(curve, request)
    if model == "average":
        return _average(curve, request)
    if model == "mono":
        return _mono(curve, request)
    return _multi(curve, request, COMPONENTS[model])


def _require_times(curve: TimeActivityCurve, nuclide: Radionuclide) -> None:
    require(
        float(curve.time_s[-1]) <= LONGEST_IN_HALF_LIVES * nuclide.half_life_s,
        "CURVE_TIMES_INVALID",
        found=f"a point {float(curve.time_s[-1]) / SECONDS_PER_HOUR:.0f} h after the administration",
        needed=f"points within {LONGEST_IN_HALF_LIVES:.0f} half-lives of {nuclide.name}",
        do="check the unit of the times",
        where="curve",
    )


def _mono(curve: TimeActivityCurve, request: FitRequest) -> TiaEstimate:
    first = _first_washout_point(curve)
    used = curve.part(first)
    require_relative_errors(used)
    fit = fit_mono(used, request.bounds, request.relative_error)
    name = "mono" if first == 0 else f"mono-last-{used.time_s.size}"
    flags = ("UPTAKE_PHASE",) if float(curve.activity_bq[0]) < float(curve.activity_bq[1]) else ()
    return _estimate(curve, request, fit, name, first, flags)


def _multi(curve: TimeActivityCurve, request: FitRequest, components: int) -> TiaEstimate:
    points, needed = curve.time_s.size, POINTS_PER_COMPONENT * components
    require(
        points >= needed,
        "TOO_FEW_POINTS",
        found=f"{points} points for {components} exponentials",
        needed=f"at least {needed} points",
        do='use model = "mono", or add time points',
        where="curve",
    )
    return _of_components(curve, request, fit_multi(curve, request.bounds, request.relative_error, components))


def _of_components(curve: TimeActivityCurve, request: FitRequest, fit: ExponentialSum) -> TiaEstimate:
    require_relative_errors(curve.part(int(np.argmax(curve.activity_bq))))
    components = fit.rate_per_s.size
    flags = ("NO_DEGREES_OF_FREEDOM",) if curve.time_s.size == POINTS_PER_COMPONENT * components else ()
    return _estimate(curve, request, fit, {2: "bi", 3: "tri"}[components], 0, flags)


def _by_information(curve: TimeActivityCurve, request: FitRequest) -> TiaEstimate:
    # The best model's value; its own interval would know nothing of the choice (91 % at 10 % noise), that of all does.
    estimates, scores = _candidates(curve, request)
    best = estimates[min(scores, key=lambda name: scores[name])]
    if len(estimates) == 1:
        return best
    average = averaged(estimates, scores)
    low, high = average.tia_ci95_bq_s or (best.tia_bq_s, best.tia_bq_s)
    interval = (min(low, best.tia_bq_s), max(high, best.tia_bq_s))
    return replace(
        best,
        tia_ci95_bq_s=interval,
        interval_method=average.interval_method,
        nearly_gaussian=nearly_gaussian(best.tia_bq_s, best.tia_sigma_bq_s, interval),
        model_weights=average.model_weights,
    )


def _average(curve: TimeActivityCurve, request: FitRequest) -> TiaEstimate:
    return averaged(*_candidates(curve, request))


def _candidates(curve: TimeActivityCurve, request: FitRequest) -> tuple[dict[str, TiaEstimate], dict[str, float]]:
    """Return the estimates of all models whose weight counts, and their AICc."""
    require_relative_errors(curve.part(_first_washout_point(curve)))
    fits = _fits(curve, request)
    scores = {name: aicc(curve, fit, request.relative_error) for name, fit in fits.items()}
    kept = {name: scores[name] for name, weight in akaike_weights(scores).items() if weight > LEAST_WEIGHT}
    # One exponential is fitted again: through its washout points alone.
    estimates = {
        name: _mono(curve, request) if name == "mono" else _of_components(curve, request, fits[name]) for name in kept
    }
    return estimates, kept


def _fits(curve: TimeActivityCurve, request: FitRequest) -> dict[str, ExponentialSum]:
    """Return the fit, through all points, of every model that their number allows."""
    fits = {"mono": fit_mono(curve, request.bounds, request.relative_error)}
    for name, components in COMPONENTS.items():
        if curve.time_s.size - 2 * components - 1 > 0:
            fits[name] = fit_multi(curve, request.bounds, request.relative_error, components)
    return fits


def _first_washout_point(curve: TimeActivityCurve) -> int:
    # Clinical specification 3.3: rising at first -> mono-exponential through the last two or three points.
    activity, points = curve.activity_bq, curve.time_s.size
    if points == 2 or float(activity[0]) >= float(activity[1]):
        return 0
    three_fall = points > 3 and float(activity[-3]) >= float(activity[-2])
    return points - 3 if three_fall else points - 2


def _estimate(
    curve: TimeActivityCurve, request: FitRequest, fit: ExponentialSum, name: str, first: int, flags: tuple[str, ...]
) -> TiaEstimate:
    found = misfit(curve.part(first), fit, request.bounds, request.relative_error)
    fit = replace(fit, covariance=fit.covariance * found.widening**2)
    area = fitted_area(
        curve,
        fit,
        first,
        head_rule=request.head_rule,
        tail_rule=request.tail_rule,
        decay_constant_per_s=request.nuclide.decay_constant_per_s,
        relative_error=request.relative_error,
    )
    estimate = _assembled(request, fit, name, area, (*flags, *_flags(curve, request, fit, first, found)))
    rule = _rule(curve, request, first)
    wide, relative_error = widened(curve, request.relative_error, found.widening)
    interval = fitted_interval(wide, fit, first, rule, area, request.bounds, relative_error)
    estimate = replace(
        estimate,
        tia_ci95_bq_s=interval,
        interval_method="profile likelihood" + ", errors times the Birge ratio" * (found.widening > 1.0),
        nearly_gaussian=nearly_gaussian(area.total_bq_s, area.sigma_bq_s, interval),
    )
    return estimate if fit.rate_per_s.size == 1 else _of_several(estimate, curve, request, fit, rule, found)


def _of_several(
    estimate: TiaEstimate,
    curve: TimeActivityCurve,
    request: FitRequest,
    fit: ExponentialSum,
    rule: AreaRule,
    found: Misfit,
) -> TiaEstimate:
    """Return the estimate with the sigma of its interval, where its own does not hold, and without its bias."""
    low, high = estimate.tia_ci95_bq_s or (math.nan, math.nan)
    # Where rates or amplitudes are hardly told apart, the delta method states several times what the TIA scatters by.
    sigma = estimate.tia_sigma_bq_s if estimate.nearly_gaussian else (high - low) / (2.0 * Z_95)
    bias = curvature_bias(curve, fit, rule, request.bounds, request.relative_error)
    taken = correction(bias, sigma, max(estimate.tia_bq_s - low, 0.0), found)
    value = estimate.tia_bq_s - taken
    return replace(
        estimate,
        tia_bq_s=value,
        tia_sigma_bq_s=sigma,
        bias_correction_bq_s=taken,
        nearly_gaussian=nearly_gaussian(value, sigma, (low, high)),
    )


def _trapezoid(curve: TimeActivityCurve, request: FitRequest) -> TiaEstimate:
    if request.tail_rule == "fitted":
        require_relative_errors(last_points(curve))
    area, tail = trapezoid_area(
        curve,
        request.bounds,
        head_rule=request.head_rule,
        tail_rule=request.tail_rule,
        relative_error=request.relative_error,
    )
    first = curve.time_s.size - last_points(curve).time_s.size
    estimate = _assembled(request, tail, "trapezoid", area, _flags(curve, request, tail, first))
    return replace(estimate, bias_relative=_trapezoid_bias(curve, request, estimate))


def _trapezoid_bias(curve: TimeActivityCurve, request: FitRequest, estimate: TiaEstimate) -> tuple[float, float]:
    """Return what straight lines at these times make of one exponential with the tail's half-life, +- 2 sigma."""
    rate, spread = math.log(2.0) / estimate.effective_half_life_s, 2.0 * math.sqrt(float(estimate.covariance[1, 1]))
    rates = np.clip([rate - spread, rate, rate + spread], request.bounds.slowest_per_s, request.bounds.fastest_per_s)
    rule = _rule(curve, request, 0)
    # Its value is 1 at the first point, so that late values stay within the range of numbers.
    start_s, plain = float(curve.time_s[0]), replace(curve, sigma_bq=None)
    rules = (request.bounds, request.head_rule, request.tail_rule, request.relative_error)
    lines = [sum(trapezoid_pieces(plain, np.exp(-k * (curve.time_s - start_s)), *rules)) for k in rates]
    exact = rule.per_amplitude(rates) * np.exp(rates * start_s)
    bias = np.array(lines) / exact - 1.0
    return float(bias.min()), float(bias.max())


def _rule(curve: TimeActivityCurve, request: FitRequest, first: int) -> AreaRule:
    return area_rule(
        curve.time_s,
        first,
        head_rule=request.head_rule,
        tail_rule=request.tail_rule,
        decay_constant_per_s=request.nuclide.decay_constant_per_s,
    )


def _assembled(
    request: FitRequest, fit: ExponentialSum, name: str, area: CurveArea, flags: tuple[str, ...]
) -> TiaEstimate:
    rate = float(fit.rate_per_s[0])
    half_life_s = math.log(2.0) / rate
    return TiaEstimate(
        model=name,
        parameters=fit.parameters(),
        covariance=fit.covariance,
        effective_half_life_s=half_life_s,
        effective_half_life_sigma_s=half_life_s * math.sqrt(float(fit.covariance[1, 1])) / rate,
        tia_bq_s=area.total_bq_s,
        tia_sigma_bq_s=area.sigma_bq_s,
        extrapolated_fraction=area.extrapolated_fraction,
        head_rule=request.head_rule,
        tail_rule=request.tail_rule,
        flags=flags,
    )


def _flags(
    curve: TimeActivityCurve, request: FitRequest, fit: ExponentialSum, first: int, found: Misfit | None = None
) -> tuple[str, ...]:
    return quality_flags(
        curve,
        fit,
        first,
        found,
        bounds=request.bounds,
        tail_rule=request.tail_rule,
        half_life_range_h=request.half_life_range_h,
    )
