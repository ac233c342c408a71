"""Absorbed dose of regions; BED is a type of its own and is never compared with a limit on absorbed dose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NewType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AbsorbedDoseGy = NewType("AbsorbedDoseGy", float)
BedGy = NewType("BedGy", float)
FlagLevel = Literal["INFO", "WARN", "BLOCK"]


@dataclass(frozen=True)
class Flag:
    """Something a person should know."""

    code: str
    level: FlagLevel
    text: str
    region: str | None = None


@dataclass(frozen=True, eq=False)
class DoseKernel:
    """Voxel S values of one grid spacing: one octant, index steps (slice, row, column), electrons and photons apart.

    ``electron_gy_per_bq_s`` and ``photon_gy_per_bq_s`` have shape (nz, ny, nx); element [0, 0, 0] is the source voxel.
    """

    nuclide: str
    medium: str
    density_g_per_cm3: float
    spacing_mm: tuple[float, float, float]
    electron_gy_per_bq_s: NDArray[np.float64]
    photon_gy_per_bq_s: NDArray[np.float64]
    source: str


@dataclass(frozen=True)
class RegionStatistics:
    """Mass-weighted statistics of a dose map inside a region."""

    mean_gy: float
    standard_deviation_gy: float
    d2_gy: float
    d50_gy: float
    d98_gy: float


@dataclass(frozen=True)
class BedParameters:
    """What turns an absorbed dose into a BED, with the source of both numbers."""

    alpha_beta_gy: float
    repair_half_life_s: float
    source: str


@dataclass(frozen=True)
class SphereModel:
    """A lesion taken as a sphere of its mass.

    ``difference`` is the engine's mean dose over the sphere's, less 1.
    """

    s_gy_per_bq_s: float
    mean_dose_gy: float
    difference: float


@dataclass(frozen=True)
class SecondCheck:
    """An independent dose value beside the engine's.

    ``quantity`` says what both values are: the mean dose with what other regions give, or the dose from the region's
    own decays alone (its S value). ``engine_gy`` is the engine's value of that quantity.
    """

    region: str
    method: str
    mean_dose_gy: float
    difference: float
    tolerance: float | None
    passed: bool
    quantity: Literal["mean_dose", "self_dose"] = "mean_dose"
    engine_gy: float | None = None
