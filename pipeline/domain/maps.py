"""Volumes with one meaning each; distinct types, so that a TIA is never taken for a dose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.geometry import Grid, frozen_array
from pipeline.errors import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Above any tissue or implant that a patient's density map may hold (gold is 19.3, osmium 22.6 g/cm3).
MAX_DENSITY_G_PER_CM3 = 23.0


def _checked(
    grid: Grid, values: NDArray[np.floating], name: str, *, lowest: float, highest: float
) -> NDArray[np.generic]:
    array = np.asarray(values)
    require(
        array.shape == grid.shape,
        "GRID_MISMATCH",
        found=f"{name} of shape {array.shape} on a grid of shape {grid.shape}",
        needed="one value for each voxel",
        do="give the array and the grid of the same volume",
        where=name,
    )
    # Integers are finite; asking them would cost a mask of the whole volume.
    finite = array.dtype.kind in "iu" or bool(np.isfinite(array).all())
    low, high = (float(array.min()), float(array.max())) if finite else (np.nan, np.nan)
    require(
        bool(np.isfinite(low)) and low >= lowest and high <= highest,
        "VALUE_OUT_OF_RANGE",
        found=f"{name} from {low:g} to {high:g} (nan: not finite)",
        needed=f"finite values from {lowest:g} to {highest:g}",
        do="check the unit and the source of the volume",
        where=name,
    )
    return frozen_array(array)


@dataclass(frozen=True, eq=False)
class ActivityMap:
    """Activity concentration in Bq/mL at one moment; negative values only where a reconstruction makes them."""

    grid: Grid
    activity_bq_per_ml: NDArray[np.floating]

    def __post_init__(self) -> None:
        checked = _checked(self.grid, self.activity_bq_per_ml, "activity_bq_per_ml", lowest=-np.inf, highest=np.inf)
        object.__setattr__(self, "activity_bq_per_ml", checked)


@dataclass(frozen=True, eq=False)
class DensityMap:
    """Mass density in g/cm3."""

    grid: Grid
    density_g_per_cm3: NDArray[np.floating]

    def __post_init__(self) -> None:
        checked = _checked(
            self.grid, self.density_g_per_cm3, "density_g_per_cm3", lowest=0.0, highest=MAX_DENSITY_G_PER_CM3
        )
        object.__setattr__(self, "density_g_per_cm3", checked)


@dataclass(frozen=True, eq=False)
class HounsfieldMap:
    """CT numbers in HU; padding is already replaced by air."""

    grid: Grid
    ct_number_hu: NDArray[np.integer] | NDArray[np.floating]

    def __post_init__(self) -> None:
        checked = _checked(self.grid, np.asarray(self.ct_number_hu), "ct_number_hu", lowest=-1100.0, highest=70000.0)
        object.__setattr__(self, "ct_number_hu", checked)


@dataclass(frozen=True, eq=False)
class TiaMap:
    """Time-integrated activity concentration in Bq s/mL."""

    grid: Grid
    tia_bq_s_per_ml: NDArray[np.floating]

    def __post_init__(self) -> None:
        checked = _checked(self.grid, self.tia_bq_s_per_ml, "tia_bq_s_per_ml", lowest=0.0, highest=np.inf)
        object.__setattr__(self, "tia_bq_s_per_ml", checked)


@dataclass(frozen=True, eq=False)
class BedMap:
    """Biologically effective dose in Gy where a region has parameters for it, 0 elsewhere."""

    grid: Grid
    bed_gy: NDArray[np.floating]

    def __post_init__(self) -> None:
        checked = _checked(self.grid, self.bed_gy, "bed_gy", lowest=0.0, highest=np.inf)
        object.__setattr__(self, "bed_gy", checked)


@dataclass(frozen=True, eq=False)
class DoseMap:
    """Absorbed dose in Gy."""

    grid: Grid
    dose_gy: NDArray[np.floating]

    def __post_init__(self) -> None:
        checked = _checked(self.grid, self.dose_gy, "dose_gy", lowest=0.0, highest=np.inf)
        object.__setattr__(self, "dose_gy", checked)
