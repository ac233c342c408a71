"""Time-activity curves as sums of exponentials: value, mean over an acquisition and integral are exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.units import SECONDS_PER_HOUR

LN2: Final = float(np.log(2.0))
LU177_HALF_LIFE_H: Final = 159.53  # 6.647 d, ICRP Publication 107


@dataclass(frozen=True)
class Curve:
    """Activity over time, sum of ``amplitude_bq * exp(-rate_per_s * t)``, t from the start of the administration."""

    terms: tuple[tuple[float, float], ...]

    def at(self, time_s: float) -> float:
        """Activity (Bq) at ``time_s``."""
        return float(sum(a * np.exp(-rate * time_s) for a, rate in self.terms))

    def mean(self, start_s: float, stop_s: float) -> float:
        """Mean activity (Bq) between two times."""
        span = stop_s - start_s
        return float(sum(a * np.exp(-r * start_s) * -np.expm1(-r * span) / (r * span) for a, r in self.terms))

    def integral(self) -> float:
        """Time-integrated activity from 0 to infinity (Bq s)."""
        return float(sum(a / rate for a, rate in self.terms))

    def scaled(self, factor: float) -> Curve:
        """Return the curve times ``factor``."""
        return Curve(tuple((a * factor, rate) for a, rate in self.terms))


def rate_per_s(half_life_h: float) -> float:
    """Rate constant of a half-life in hours."""
    return LN2 / (half_life_h * SECONDS_PER_HOUR)


def washout(amplitude_bq: float, effective_half_life_h: float, uptake_half_life_h: float | None) -> Curve:
    """Return A0 (exp(-l t) - exp(-lu t)); without an uptake half-life A0 exp(-l t)."""
    terms = ((amplitude_bq, rate_per_s(effective_half_life_h)),)
    if uptake_half_life_h is None:
        return Curve(terms)
    return Curve((*terms, (-amplitude_bq, rate_per_s(uptake_half_life_h))))
