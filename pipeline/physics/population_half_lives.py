"""Effective half-lives of 177Lu-DOTATATE in organs and tumours of a population, as distributions.

Median: geometric mean of the range that is typical. Spread: the range outside which a half-life is flagged
(:data:`pipeline.physics.plausibility.HALF_LIFE_H`) taken as the middle 95 % of a log-normal distribution: a project
choice on the cautious side. (Effective half-lives are log-normal rather than normal: Hou et al., J Nucl Med
2021;62:1006.) Nothing that is not in this table is guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from pipeline.errors import RefusalError
from pipeline.physics.plausibility import HALF_LIFE_H
from pipeline.units import SECONDS_PER_HOUR

# Clinical specification, section 5 (typical values of 177Lu-DOTATATE, from the literature it cites).
TYPICAL_H: Final[dict[str, tuple[float, float]]] = {
    "kidney": (45.0, 60.0),
    "liver": (60.0, 80.0),
    "spleen": (60.0, 80.0),
    "lesion": (60.0, 110.0),
    "remainder": (40.0, 70.0),
}
NUCLIDE: Final = "Lu-177"
MIDDLE_95: Final = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class HalfLifeSpread:
    """An effective half-life as a log-normal distribution.

    Attributes
    ----------
    median_s : float
    log_sigma : float
        Standard deviation of its natural logarithm.
    source : str
    """

    median_s: float
    log_sigma: float
    source: str


def population_half_life(population: str, nuclide_name: str) -> HalfLifeSpread:
    """Return the distribution of a population's effective half-life.

    Parameters
    ----------
    population : str
        ``kidney``, ``liver``, ``spleen``, ``lesion`` or ``remainder``.
    nuclide_name : str

    Returns
    -------
    HalfLifeSpread

    Raises
    ------
    RefusalError
        ``POPULATION_UNKNOWN``.
    """
    if population not in TYPICAL_H or nuclide_name != NUCLIDE:
        raise RefusalError(
            "POPULATION_UNKNOWN",
            found=f"{population} with {nuclide_name}",
            needed=f"one of {', '.join(TYPICAL_H)} with {NUCLIDE} (DOTATATE)",
            do="give a patient with a filed cycle (--patient), whose own half-lives are used",
            where="--population",
        )
    low_h, high_h = TYPICAL_H[population]
    plausible = HALF_LIFE_H[population].warn
    return HalfLifeSpread(
        median_s=math.sqrt(low_h * high_h) * SECONDS_PER_HOUR,
        log_sigma=math.log(plausible[1] / plausible[0]) / (2.0 * MIDDLE_95),
        source=f"177Lu-DOTATATE, {population}: typically {low_h:g} to {high_h:g} h, "
        f"95 % within {plausible[0]:g} to {plausible[1]:g} h (clinical specification, section 5)",
    )
