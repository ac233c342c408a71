"""One cycle's images as they were read: SPECT and CT of each time point, before any arithmetic on activity."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.domain.geometry import Grid, frozen_array
from pipeline.errors import require

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from pipeline.domain.dose import Flag
    from pipeline.domain.maps import HounsfieldMap
    from pipeline.domain.therapy import Administration, DecayReference, TimePointTiming

Dialect = Literal["nm-counts", "nm-rwv", "nm-rescale", "pet-bqml"]
SpectUnit = Literal["counts", "Bq/mL"]


@dataclass(frozen=True, eq=False)
class SpectImage:
    """A reconstructed SPECT series as stored, scaled but neither calibrated nor decay-corrected.

    Attributes
    ----------
    series_uid, study_uid : str
    dialect : str
        How the values are encoded.
    grid : Grid
    value : ndarray, shape of the grid
        In ``unit``.
    unit : {"counts", "Bq/mL"}
    acquisition_start : datetime
        Aware.
    acquisition_duration_s : float or None
    frame_duration_s : float or None
        Duration of one projection; None where the header does not tell.
    projections : int or None
        Images of all heads together; None where the header does not tell.
    decay_reference : str or None
        None where the header does not tell or contradicts itself (``decay_reference_problem`` says how).
    radionuclide : str or None
    injected_activity_bq : float or None
        From the header; None where missing.
    camera_headers : dict
        Header values by DICOM keyword that a site profile may match.
    input_sha256 : str
        Over the series' files.
    heads : int or None
        Detectors that acquired together, as the header tells.
    vendor_pixel_scale : float
        Private factor to the stored values that was not applied (GE Xeleris); 1 where there is none.
    notes : tuple of str
        What was read with a reservation, as ``CODE: text``.
    administration_start : str
        As the header has it: an ISO date and time, or ``HH:MM:SS`` where it has no date (NM); empty where missing.
    """

    series_uid: str
    study_uid: str
    dialect: Dialect
    grid: Grid
    value: NDArray[np.floating]
    unit: SpectUnit
    acquisition_start: datetime
    acquisition_duration_s: float | None
    frame_duration_s: float | None
    projections: int | None
    decay_reference: DecayReference | None
    decay_reference_problem: str
    radionuclide: str | None
    injected_activity_bq: float | None
    camera_headers: dict[str, str] = field(default_factory=dict)
    input_sha256: str = ""
    heads: int | None = None
    vendor_pixel_scale: float = 1.0
    notes: tuple[str, ...] = ()
    administration_start: str = ""

    def __post_init__(self) -> None:
        value = np.asarray(self.value)
        require(
            value.shape == self.grid.shape and bool(np.isfinite(value).all()),
            "PIXELS_INVALID",
            found=f"values of shape {value.shape} on a grid of {self.grid.shape}, or values that are not finite",
            needed="one finite value per voxel",
            do="export the series again",
            where=self.series_uid,
        )
        object.__setattr__(self, "value", frozen_array(value))
        object.__setattr__(self, "notes", tuple(self.notes))


@dataclass(frozen=True, eq=False)
class CtImage:
    """A CT series in HU."""

    series_uid: str
    study_uid: str
    ct: HounsfieldMap
    acquisition_start: datetime
    input_sha256: str = ""

    @property
    def grid(self) -> Grid:
        """Grid of the CT."""
        return self.ct.grid


@dataclass(frozen=True, eq=False)
class StudyTimePoint:
    """SPECT and CT of one time point."""

    timing: TimePointTiming
    spect: SpectImage
    ct: CtImage


@dataclass(frozen=True, eq=False)
class Study:
    """All time points of one cycle, in order of acquisition; flags of their clocks and of the plan."""

    administration: Administration
    time_points: tuple[StudyTimePoint, ...]
    flags: tuple[Flag, ...] = ()

    def __post_init__(self) -> None:
        delays = [point.timing.delay_s for point in self.time_points]
        require(
            len(delays) > 0 and all(b > a for a, b in pairwise(delays)),
            "TIME_POINTS_INVALID",
            found=f"delays {delays} s",
            needed="at least one time point, each later than the one before",
            do="remove duplicate studies",
            where="study",
        )
