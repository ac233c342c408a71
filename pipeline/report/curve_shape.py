"""The fitted time-activity curve as it is drawn: fitted part between the points, extrapolated parts outside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

SAMPLES = 80


@dataclass(frozen=True, eq=False)
class CurvePart:
    """One stretch of a curve: times in s after the start of the administration, activities in Bq."""

    time_s: NDArray[np.float64]
    activity_bq: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CurveShape:
    """Parts of a curve; head and tail are extrapolated, None where they cannot be drawn."""

    head: CurvePart | None
    inside: CurvePart
    tail: CurvePart | None


def exponential_terms(parameters: Mapping[str, float]) -> list[tuple[float, float]]:
    """Return (amplitude in Bq, rate in 1/s) of each term; terms pair by the number in their names."""
    amplitudes = {_number(name): value for name, value in parameters.items() if name.startswith("amplitude")}
    rates = {_number(name): value for name, value in parameters.items() if name.startswith("rate")}
    return [(amplitudes[number], rates[number]) for number in sorted(amplitudes.keys() & rates.keys())]


def curve_shape(region: Mapping[str, Any], half_life_s: float | None, end_s: float) -> CurveShape | None:
    """Return the drawn curve of a region of the result document.

    Parameters
    ----------
    region : mapping
        With ``activity`` and ``curve``.
    half_life_s : float or None
        Physical half-life, for tails by physical decay.
    end_s : float
        End of the time axis.

    Returns
    -------
    CurveShape or None
        None where the document holds no curve.
    """
    points, curve = region["activity"], region.get("curve")
    if not points or not curve:
        return None
    time, activity = _columns(points)
    terms = exponential_terms(curve["parameters"])
    if not terms or curve["model"] == "trapezoid":
        return _through_points(time, activity, curve, half_life_s, end_s)
    begin = len(time) - int(curve["fit_points"]) if curve["fit_points"] else 0
    inside = _sampled(terms, float(time[begin]), float(time[-1]))
    last = (float(time[-1]), float(inside.activity_bq[-1]))
    tail = _sampled(terms, last[0], end_s) if curve["tail_rule"] == "fitted" else _decay(last, half_life_s, end_s)
    return CurveShape(_head(curve["head_rule"], terms, time[:begin], activity[:begin], inside), inside, tail)


def _number(name: str) -> str:
    return "".join(c for c in name if c.isdigit()) or "1"


def _columns(points: Sequence[Mapping[str, float]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    time = np.array([point["delay_s"] for point in points], dtype=np.float64)
    return time, np.array([point["activity_bq"] for point in points], dtype=np.float64)


def _sampled(terms: Sequence[tuple[float, float]], start_s: float, end_s: float) -> CurvePart:
    time = np.linspace(start_s, end_s, SAMPLES)
    return CurvePart(time, np.sum([a * np.exp(-rate * time) for a, rate in terms], axis=0))


def _head(
    rule: str,
    terms: Sequence[tuple[float, float]],
    skipped_s: NDArray[np.float64],
    skipped_bq: NDArray[np.float64],
    inside: CurvePart,
) -> CurvePart:
    begin_s, begin_bq = float(inside.time_s[0]), float(inside.activity_bq[0])
    if rule == "extrapolate":
        return _sampled(terms, 0.0, begin_s)
    # straight lines through the points that rise, up to the first fitted one
    first_bq = float(skipped_bq[0]) if skipped_bq.size else begin_bq
    at_zero = first_bq if rule == "constant" else 0.0
    return CurvePart(np.concatenate([[0.0], skipped_s, [begin_s]]), np.concatenate([[at_zero], skipped_bq, [begin_bq]]))


def _decay(last: tuple[float, float], half_life_s: float | None, end_s: float) -> CurvePart | None:
    if half_life_s is None:
        return None
    time = np.linspace(last[0], end_s, SAMPLES)
    return CurvePart(time, last[1] * np.exp2(-(time - last[0]) / half_life_s))


def _through_points(
    time: NDArray[np.float64],
    activity: NDArray[np.float64],
    curve: Mapping[str, Any],
    half_life_s: float | None,
    end_s: float,
) -> CurveShape:
    terms = exponential_terms(curve["parameters"])
    fitted_s = math.log(2.0) / terms[0][1] if terms else None
    tail = _decay(
        (float(time[-1]), float(activity[-1])), fitted_s if curve["tail_rule"] == "fitted" else half_life_s, end_s
    )
    return CurveShape(_first_stretch(time, activity, curve["head_rule"]), CurvePart(time, activity), tail)


def _first_stretch(time: NDArray[np.float64], activity: NDArray[np.float64], rule: str) -> CurvePart | None:
    first_bq = float(activity[0])
    if rule == "extrapolate":
        # back from the first point with the slope of the first two, as the area was taken
        if activity.size < 2 or min(activity[0], activity[1]) <= 0:
            return None
        rate = math.log(activity[0] / activity[1]) / float(time[1] - time[0])
        before = np.linspace(0.0, float(time[0]), SAMPLES)
        return CurvePart(before, first_bq * np.exp(rate * (time[0] - before)))
    return CurvePart(np.array([0.0, time[0]]), np.array([first_bq if rule == "constant" else 0.0, first_bq]))
