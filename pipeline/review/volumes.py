"""The volumes of a page: cropped to the body, quantised to 16 bits, written as NIfTI that a browser unpacks.

Nothing is computed on a dose here: a stored value differs from the given one by half a quantisation step at most, and
the page shows what is stored.
"""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.geometry import Grid, frozen_array
from pipeline.errors import require
from pipeline.files.nifti import volume_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

# everything denser than fat counts as body when the margins are cut off
BODY_HU = -300.0
# a line of body voxels one per cent of the fullest plane wide: a table's edge or noise does not count
BODY_SHARE = 0.01
MARGIN_MM = 12.0
# steps between zero and the largest value: 16 bits, and fewer only where a page would not stay small
LEVELS = (32767, 4095, 1023, 255)
# a page is to stay under 15 MB; script, style and texts take 1.2 MB
VOLUMES_BYTES = 13_500_000
# finer CT than this is averaged in blocks of two
FINEST_CT_MM = 1.8
PARALLEL = 1e-4


@dataclass(frozen=True, eq=False)
class PageVolumes:
    """What a page shows; all in one frame of reference, with parallel axes.

    Attributes
    ----------
    ct_hu : ndarray of int16, shape of ``ct_grid`` (or ``grid``)
        Averaged to about 2.4 mm, so that the page stays small.
    dose_gy : ndarray of float32, shape of ``grid``
    activities_bq_per_ml : tuple of ndarray of float32, shape of ``grid``
        One for each time point, in the order of the result document.
    labels : ndarray of int16, shape of ``labels_grid`` (or ``grid``)
        0 = none.
    grid : Grid
        The reference SPECT grid.
    region_names : dict
        Label -> the region's key (``kidney_left``) or title (``Kidney, left``).
    ct_grid, labels_grid : Grid, optional
        Where CT and labels have finer grids of their own.
    """

    ct_hu: NDArray[np.generic]
    dose_gy: NDArray[np.generic]
    activities_bq_per_ml: tuple[NDArray[np.generic], ...]
    labels: NDArray[np.generic]
    grid: Grid
    region_names: dict[int, str]
    ct_grid: Grid | None = None
    labels_grid: Grid | None = None

    def __post_init__(self) -> None:
        _require_on_grid("ct_hu", self.ct_hu, self.grid_of_ct)
        _require_on_grid("labels", self.labels, self.grid_of_labels)
        _require_on_grid("dose_gy", self.dose_gy, self.grid)
        for number, activity in enumerate(self.activities_bq_per_ml, start=1):
            _require_on_grid(f"activity of time point {number}", activity, self.grid)
        for other in (self.grid_of_ct, self.grid_of_labels):
            _require_parallel(self.grid, other)
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, field.name, frozen_array(value))

    @property
    def grid_of_ct(self) -> Grid:
        """Grid of the CT."""
        return self.ct_grid or self.grid

    @property
    def grid_of_labels(self) -> Grid:
        """Grid of the labels."""
        return self.labels_grid or self.grid


def _require_on_grid(name: str, values: NDArray[np.generic], grid: Grid) -> None:
    array = np.asarray(values)
    require(
        array.shape == grid.shape,
        "GRID_MISMATCH",
        found=f"{name} of shape {array.shape} on a grid of shape {grid.shape}",
        needed="each volume of the page on its own grid",
        do="resample it onto that grid first",
        where="look page",
    )
    require(
        bool(np.isfinite(array).all()),
        "GRID_MISMATCH",
        found=f"{name} with values that are not finite",
        needed="finite values",
        do="look for the step that made them",
        where="look page",
    )


def _require_parallel(grid: Grid, other: Grid) -> None:
    directions = [g.affine_mm[:3, :3] / np.asarray(g.spacing_mm) for g in (grid, other)]
    require(
        grid.frame_of_reference_uid == other.frame_of_reference_uid
        and bool(np.allclose(directions[0], directions[1], rtol=0, atol=PARALLEL)),
        "GRID_MISMATCH",
        found="volumes of two frames of reference, or with axes that are not parallel",
        needed="volumes whose voxel axes run the same way in one frame of reference",
        do="resample CT and labels onto a grid with the axes of the SPECT",
        where="look page",
    )


@dataclass(frozen=True)
class EncodedVolume:
    """One volume as it stands in the page.

    Attributes
    ----------
    name : str
        ``ct``, ``dose``, ``activity-1``, ``labels``.
    base64_text : str
        gzip of a NIfTI-1 file.
    step : float
        Quantisation step, in the unit of the volume; 1 where the values are stored as they are.
    largest : float
        Largest stored value.
    """

    name: str
    base64_text: str
    step: float
    largest: float


def encode_volumes(
    volumes: PageVolumes, places_lps_mm: Iterable[Sequence[float]] = (), limit_bytes: int = VOLUMES_BYTES
) -> list[EncodedVolume]:
    """Return all volumes of a page, cropped to the body, the labels and ``places_lps_mm``.

    Dose and activity are stored in coarser steps where ``limit_bytes`` would be passed; the step is part of the result.
    """
    box = _body_box_lps_mm(volumes, places_lps_mm)
    ct, ct_grid = _averaged(*_cropped(np.asarray(volumes.ct_hu), volumes.grid_of_ct, box))
    labels, labels_grid = _cropped(np.asarray(volumes.labels), volumes.grid_of_labels, box)
    exact = [_encode("ct", ct, ct_grid, 1.0), _encode("labels", labels, labels_grid, 1.0)]
    named = {f"activity-{n}": activity for n, activity in enumerate(volumes.activities_bq_per_ml, start=1)}
    layers = {
        name: _cropped(np.asarray(values), volumes.grid, box)
        for name, values in ({"dose": volumes.dose_gy} | named).items()
    }
    for levels in LEVELS:
        stepped = [_encode(name, cut, grid, quantisation_step(cut, levels)) for name, (cut, grid) in layers.items()]
        if sum(len(volume.base64_text) for volume in (*exact, *stepped)) <= limit_bytes:
            break
    return [*exact, *stepped]


def _encode(name: str, values: NDArray[Any], grid: Grid, step: float) -> EncodedVolume:
    stored = np.rint(values.astype(np.float64) / step).astype(np.int16)
    # without a time stamp, so that equal volumes give equal pages
    packed = gzip.compress(volume_bytes(stored, grid, step), compresslevel=9, mtime=0)
    return EncodedVolume(name, base64.b64encode(packed).decode("ascii"), step, float(stored.max()) * step)


def quantisation_step(values: NDArray[Any], levels: int = LEVELS[0]) -> float:
    """Return the step that spreads ``values`` over ``levels`` (a float32 number, as the NIfTI header holds it)."""
    largest = float(np.abs(values).max(initial=0.0))
    # the next larger float32, so that the largest value stays within 16 bits
    return float(np.nextafter(np.float32(largest / levels), np.float32(np.inf))) if largest > 0 else 1.0


def _averaged(ct_hu: NDArray[Any], grid: Grid) -> tuple[NDArray[Any], Grid]:
    """Average a CT that is finer than a page needs, in blocks of two along the fine axes."""
    factors = np.array(
        [2 if mm < FINEST_CT_MM and n > 1 else 1 for mm, n in zip(grid.spacing_mm, ct_hu.shape, strict=True)]
    )
    z, y, x = (int(n) for n in np.asarray(ct_hu.shape) // factors)
    if (factors == 1).all():
        return ct_hu, grid
    whole = ct_hu[: z * factors[0], : y * factors[1], : x * factors[2]]
    blocks = whole.reshape(z, factors[0], y, factors[1], x, factors[2])
    affine = np.array(grid.affine_mm)
    affine[:3, :3] *= factors
    affine[:3, 3] = grid.to_lps_mm((factors - 1) / 2)
    return blocks.mean(axis=(1, 3, 5), dtype=np.float32), Grid((z, y, x), affine, grid.frame_of_reference_uid)


def _body_box_lps_mm(volumes: PageVolumes, places_lps_mm: Iterable[Sequence[float]]) -> NDArray[np.float64]:
    """Return corners, shape (n, 3), of what the page must hold."""
    parts = [_box_corners_lps_mm(_body_window(np.asarray(volumes.ct_hu)), volumes.grid_of_ct)]
    labelled = np.asarray(volumes.labels) > 0
    if labelled.any():
        parts.append(_box_corners_lps_mm(_window(labelled, 0.0), volumes.grid_of_labels))
    parts.extend(np.asarray([place], dtype=np.float64) for place in places_lps_mm)
    return np.concatenate(parts)


def _body_window(ct_hu: NDArray[Any]) -> list[tuple[int, int]]:
    body = ct_hu > BODY_HU
    return _window(body, BODY_SHARE) if body.any() else [(0, n - 1) for n in ct_hu.shape]


def _window(mask: NDArray[np.bool_], share: float) -> list[tuple[int, int]]:
    found = []
    for axis in range(3):
        filled = mask.mean(axis=tuple(other for other in range(3) if other != axis))
        inside = np.flatnonzero(filled > share * filled.max())
        found.append((int(inside[0]), int(inside[-1])))
    return found


def _box_corners_lps_mm(window: list[tuple[int, int]], grid: Grid) -> NDArray[np.float64]:
    margin = [MARGIN_MM / spacing for spacing in grid.spacing_mm]
    ends = [(first - more, last + more) for (first, last), more in zip(window, margin, strict=True)]
    return grid.to_lps_mm([[a, b, c] for a in ends[0] for b in ends[1] for c in ends[2]])


def _cropped(values: NDArray[Any], grid: Grid, box_lps_mm: NDArray[np.float64]) -> tuple[NDArray[Any], Grid]:
    """Cut a volume to the voxels that meet the box."""
    index = grid.to_index(box_lps_mm)
    size = np.asarray(grid.shape)
    first = np.clip(np.floor(index.min(axis=0)).astype(int), 0, size - 1)
    last = np.clip(np.ceil(index.max(axis=0)).astype(int), first, size - 1)
    affine = np.array(grid.affine_mm)
    affine[:3, 3] = grid.to_lps_mm(first)
    cut = values[first[0] : last[0] + 1, first[1] : last[1] + 1, first[2] : last[2] + 1]
    z, y, x = cut.shape
    return cut, Grid((z, y, x), affine, grid.frame_of_reference_uid)
