"""Biologically effective dose of a region and of its voxels: information only, no rule of the protocol uses it.

Linear-quadratic model for a dose rate that falls mono-exponentially, with repair of one half-life: Dale, Phys Med Biol
1996;41:1871; Baechler et al., Med Phys 2008;35:1123 (BED in the MIRD schema); Wessels et al., MIRD 20, J Nucl Med
2008;49:1884.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.dose import AbsorbedDoseGy, BedGy
from pipeline.errors import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.dose import BedParameters


def repair_share(effective_half_life_s: float, repair_half_life_s: float) -> float:
    """Return T_rep / (T_rep + T_eff): the part of all pairs of sublethal lesions that meet before repair.

    Raises
    ------
    RefusalError
        ``BED_INPUT_INVALID`` for a half-life that is not positive.
    """
    require(
        min(effective_half_life_s, repair_half_life_s) > 0,
        "BED_INPUT_INVALID",
        found=f"T_eff {effective_half_life_s} s, T_rep {repair_half_life_s} s",
        needed="positive half-lives",
        do="check the fit of the region and [bed] in the site profile",
        where="bed",
    )
    return repair_half_life_s / (repair_half_life_s + effective_half_life_s)


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
    repair = repair_share(effective_half_life_s, repair_half_life_s)
    require(
        dose_gy >= 0 and alpha_beta_gy > 0,
        "BED_INPUT_INVALID",
        found=f"{dose_gy} Gy, a/b {alpha_beta_gy} Gy",
        needed="a dose of 0 or more, a positive alpha/beta",
        do="check the dose of the region and [bed] in the site profile",
        where="bed",
    )
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


def voxel_bed_gy(
    dose_gy: NDArray[np.floating], effective_half_life_s: float, parameters: BedParameters
) -> NDArray[np.float64]:
    """Return the BED of every voxel: the formula of :func:`bed_of_cycle` with the dose of the voxel.

    The effective half-life is the region's: a voxel's own is noise, and the BED hardly depends on it (a tenth of the
    half-life changes the BED of 5 Gy in a kidney by 1 %).

    Parameters
    ----------
    dose_gy : ndarray
        Absorbed dose of the voxels, >= 0.
    effective_half_life_s : float
    parameters : BedParameters

    Returns
    -------
    ndarray, same shape
    """
    dose = np.asarray(dose_gy, dtype=np.float64)
    repair = repair_share(effective_half_life_s, parameters.repair_half_life_s)
    return np.asarray(dose * (1.0 + dose / parameters.alpha_beta_gy * repair))
