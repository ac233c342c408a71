"""Biologically effective dose of a kidney over cycles: information only, no rule of the protocol uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.domain.dose import AbsorbedDoseGy, BedGy
from pipeline.errors import require

if TYPE_CHECKING:
    from collections.abc import Sequence

# Kidney, late effects: Barone et al., J Nucl Med 2005;46:99S; Wessels et al., MIRD 20, J Nucl Med 2008;49:1884.
KIDNEY_ALPHA_BETA_GY = 2.6
KIDNEY_REPAIR_HALF_LIFE_H = 2.8


def bed_of_cycle(
    dose_gy: AbsorbedDoseGy | float, effective_half_life_s: float, *, alpha_beta_gy: float, repair_half_life_s: float
) -> BedGy:
    """Return the BED of one administration whose dose rate falls mono-exponentially.

    BED = D (1 + D/(alpha/beta) T_rep/(T_rep + T_eff)); Barone et al., J Nucl Med 2005;46:99S; Wessels et al.,
    MIRD 20, J Nucl Med 2008;49:1884.

    Parameters
    ----------
    dose_gy : float
        Absorbed dose in Gy.
    effective_half_life_s, repair_half_life_s : float
    alpha_beta_gy : float

    Returns
    -------
    BedGy

    Raises
    ------
    RefusalError
        ``BED_INPUT_INVALID`` for a negative dose or a half-life or alpha/beta that is not positive.
    """
    require(
        dose_gy >= 0 and min(effective_half_life_s, repair_half_life_s, alpha_beta_gy) > 0,
        "BED_INPUT_INVALID",
        found=f"{dose_gy} Gy, T_eff {effective_half_life_s} s, T_rep {repair_half_life_s} s, a/b {alpha_beta_gy} Gy",
        needed="a dose of 0 or more, positive half-lives and alpha/beta",
        do="check the fit of the region and [bed] in the site profile",
        where="bed",
    )
    repair = repair_half_life_s / (repair_half_life_s + effective_half_life_s)
    return BedGy(dose_gy * (1.0 + dose_gy / alpha_beta_gy * repair))


def bed_over_cycles(
    doses_gy: Sequence[float],
    effective_half_lives_s: Sequence[float],
    *,
    alpha_beta_gy: float,
    repair_half_life_s: float,
) -> BedGy:
    """Return the BED summed over cycles, each with its own dose and effective half-life.

    Cycles are weeks apart, so repair between them is complete and their BED add. Parameters as
    :func:`bed_of_cycle`.

    Parameters
    ----------
    doses_gy, effective_half_lives_s : sequence of float
        One of each per cycle.
    alpha_beta_gy, repair_half_life_s : float

    Returns
    -------
    BedGy
    """
    return BedGy(
        sum(
            bed_of_cycle(dose, half_life, alpha_beta_gy=alpha_beta_gy, repair_half_life_s=repair_half_life_s)
            for dose, half_life in zip(doses_gy, effective_half_lives_s, strict=True)
        )
    )
