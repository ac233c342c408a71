"""A cycle made of blocks of whole voxels, without images: what the dose step gets, in a tenth of a second."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kernels.backend import choose_backend
from pipeline.domain.geometry import Grid
from pipeline.domain.kinetics import TiaEstimate
from pipeline.domain.maps import DensityMap, TiaMap
from pipeline.domain.regions import Region, Segmentation
from pipeline.domain.therapy import Administration, TimePointTiming
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.files.store import ArrayStore
from pipeline.settings import site_from_document
from pipeline.steps.delineate import Delineation
from pipeline.steps.dosimetry import DoseInput, compute_doses
from pipeline.steps.integrate import Integration, RegionKinetics

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOUR = 3600.0
SHAPE, SIDE_MM = (30, 22, 40), 4.8
VOXEL_ML = SIDE_MM**3 / 1000
TIMES_H = (24.0, 96.0, 168.0)
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
# name, side, kind, first and last voxel of each axis, activity at t = 0 in Bq, effective half-life in h
BLOCKS: tuple[tuple[str, str | None, str, tuple[tuple[int, int], ...], float, float], ...] = (
    ("kidney", "left", "organ", ((4, 16), (9, 17), (26, 34)), 1.3e8, 51.0),
    ("kidney", "right", "organ", ((4, 16), (9, 17), (4, 12)), 1.2e8, 49.0),
    ("liver", None, "organ", ((17, 29), (3, 19), (2, 18)), 4.0e8, 66.0),
    ("lesion-1", None, "lesion", ((20, 25), (8, 13), (22, 27)), 9.0e7, 80.0),
)
REMAINDER_BQ_PER_ML, REMAINDER_HALF_LIFE_H = 4.0e3, 44.0
SITE: dict[str, Any] = {
    "name": "Phantom clinic",
    "camera": {
        "one": {
            "match": {"Manufacturer": "PRRT PHANTOM"},
            "calibration_factor_bq_s_per_count": 4.5,
            "calibration_relative_sigma": 0.03,
            "calibrated_on": "2026-01-10",
            "dead_time_s": 0.0,
            "decay_reference": "none",
            "recovery": "none",
        }
    },
    "ct": {"density_curve": [[-1000.0, 0.00121], [0.0, 1.0], [1600.0, 1.964]]},
    "marrow": {"limit_method": "blood_only"},
    "geometry": {"frame_of_reference": "required"},
}


def _estimate(amplitude_bq: float, half_life_h: float) -> TiaEstimate:
    rate = math.log(2) / (half_life_h * HOUR)
    parameters = {"amplitude_bq": amplitude_bq, "rate_per_s": rate}
    tia = amplitude_bq / rate
    return TiaEstimate(
        "mono", parameters, np.zeros((2, 2)), half_life_h * HOUR, 0.0, tia, 0.04 * tia, 0.3, "extrapolate", "fitted", ()
    )


def _kinetics(region: Region, amplitude_bq: float, half_life_h: float) -> RegionKinetics:
    activity = amplitude_bq * 2.0 ** (-np.array(TIMES_H) / half_life_h)
    return RegionKinetics(region, activity, activity, 1.0, _estimate(amplitude_bq, half_life_h))


def _delineation(grid: Grid, density: NDArray[np.float64]) -> Delineation:
    label = np.zeros(SHAPE, np.int16)
    regions = []
    for number, (name, side, kind, box, _, _) in enumerate(BLOCKS, start=1):
        label[tuple(slice(*sides) for sides in box)] = number
        regions.append(Region(number, name, side, kind, "contours-file"))
    fractions = np.stack([label == number for number in range(1, len(BLOCKS) + 1)]).astype(np.float32)
    body = np.ones(SHAPE, np.float32)
    rest = body - fractions.sum(axis=0)
    densities = DensityMap(grid, density)
    segmentation = Segmentation(grid, label, tuple(regions), "test")
    return Delineation(segmentation, densities, densities, np.concatenate([fractions, rest[None]]), body, ())


@dataclass(frozen=True)
class Cycle:
    """The input of the dose step, and its result for any change of it."""

    given: DoseInput
    folder: Path

    def site(self, **tables: dict[str, Any]) -> DoseInput:
        """Return the input under a site profile with these tables added, its nuclide by that profile."""
        site = site_from_document(copy.deepcopy(SITE) | tables)
        return replace(self.given, site=site, nuclide=load_nuclide("Lu-177", site.decay_data))

    def doses(self, given: DoseInput | None = None) -> dict[str, Any]:
        """Return the document of the dose step."""
        return compute_doses(ArrayStore(self.folder), given or self.given)


@pytest.fixture
def cycle(tmp_path: Path) -> Cycle:
    """Two kidneys, liver, lesion and remainder in soft tissue of 1.04 g/cm3."""
    grid = Grid(SHAPE, np.diag([SIDE_MM, SIDE_MM, SIDE_MM, 1.0]), "1.2.3")
    delineation = _delineation(grid, np.full(SHAPE, 1.04))
    amounts = [(block[4], block[5]) for block in BLOCKS]
    kinetics = [_kinetics(r, *a) for r, a in zip(delineation.segmentation.regions, amounts, strict=True)]
    rest_ml = float(delineation.fraction[-1].sum()) * VOXEL_ML
    rest = Region(32767, "remainder", None, "remainder", "body-less-regions")
    kinetics.append(_kinetics(rest, REMAINDER_BQ_PER_ML * rest_ml, REMAINDER_HALF_LIFE_H))
    tia = sum(
        k.estimate.tia_bq_s / (float(f.sum()) * VOXEL_ML) * f
        for k, f in zip(kinetics, delineation.fraction, strict=True)
    )
    timings = tuple(TimePointTiming(START + timedelta(hours=hours), 1800.0, hours * HOUR) for hours in TIMES_H)
    site = site_from_document(copy.deepcopy(SITE))
    given = DoseInput(
        administration=Administration("phantom-1", 1, "Lu-177", 7.4e9, START),
        timings=timings,
        totals_bq=(7.0e8, 3.0e8, 1.2e8),
        stored_sums=(1.0,) * (len(BLOCKS) + 1),
        delineation=delineation,
        integration=Integration(tuple(kinetics), TiaMap(grid, tia), None, ()),
        blood=None,
        camera=site.cameras[0],
        site=site,
        nuclide=load_nuclide("Lu-177"),
        point_kernel=load_point_kernel("Lu-177"),
        backend=choose_backend("cpu"),
        engine="convolution",
    )
    return Cycle(given, tmp_path)


@pytest.fixture
def region() -> Callable[[dict[str, Any], str, str | None], dict[str, Any]]:
    """Find a region of a dose document."""

    def find(document: dict[str, Any], name: str, side: str | None = None) -> dict[str, Any]:
        return next(r for r in document["regions"] if (r["name"], r["laterality"]) == (name, side))

    return find
