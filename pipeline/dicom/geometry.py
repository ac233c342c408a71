"""Where slices lie.

One convention for every series: the slice index grows along +normal (row cosines x column cosines), so an affine is
right-handed for (column, row, slice), and its matrix in the house's order (slice, row, column) has a negative
determinant. Direction cosines are used as they are stored, never rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.dicom.headers import frame_count, items, number, numbers, positive
from pipeline.errors import RefusalError, require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

# Cosines written with three decimals are still accepted.
COSINE_TOLERANCE = 1e-3
# Positions are often written rounded to 0.01 mm or less; xSPECT rounds to 1e-4 mm (section 6.4).
POSITION_TOLERANCE_MM = 0.02
# A slice may lie this part of the slice distance off its even place: GE joins PET beds with gaps of 3.19 and 3.29 mm
# among 3.27 mm (TCIA STS_001).
SPACING_TOLERANCE = 0.05
TILT_TOLERANCE_DEG = 0.5


@dataclass(frozen=True, eq=False)
class Stack:
    """The order of stored frames and the affine of the volume they make.

    Attributes
    ----------
    order : tuple of int
        Stored frame (or file) of each slice, in slice order.
    affine_mm : ndarray, shape (4, 4)
        (slice, row, column, 1) to LPS mm.
    """

    order: tuple[int, ...]
    affine_mm: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plane:
    """Position, direction cosines and in-plane spacing of one image."""

    position_mm: NDArray[np.float64]
    along_row: NDArray[np.float64]
    along_column: NDArray[np.float64]
    row_spacing_mm: float
    column_spacing_mm: float

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit normal: row cosines x column cosines."""
        normal = np.cross(self.along_row, self.along_column)
        return np.asarray(normal / np.linalg.norm(normal))

    def affine_mm(self, origin_mm: NDArray[np.float64], step_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Affine of a volume whose first slice is at ``origin_mm`` and whose slices are ``step_mm`` apart."""
        affine = np.eye(4)
        affine[:3, 0] = step_mm
        affine[:3, 1] = self.along_column * self.row_spacing_mm
        affine[:3, 2] = self.along_row * self.column_spacing_mm
        affine[:3, 3] = origin_mm
        return affine


def _missing(found: str, where: str) -> RefusalError:
    return RefusalError(
        "GEOMETRY_MISSING",
        found=found,
        needed="image position, orientation, pixel spacing and slice spacing",
        do="export the series with its geometry; a volume whose place is not known cannot meet its CT",
        where=where,
    )


def _plane(dataset: Dataset, source: Dataset, where: str) -> Plane:
    position = numbers(source, "ImagePositionPatient")
    orientation = numbers(source, "ImageOrientationPatient")
    spacing = numbers(dataset, "PixelSpacing")
    if position is None or len(position) != 3:
        raise _missing("no Image Position (0020,0032)", where)
    if orientation is None or len(orientation) != 6:
        raise _missing("no Image Orientation (0020,0037)", where)
    if spacing is None or len(spacing) != 2 or min(spacing) <= 0:
        raise _missing("no Pixel Spacing (0028,0030)", where)
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    _require_orthonormal(along_row, along_column, where)
    return Plane(np.array(position), along_row, along_column, spacing[0], spacing[1])


def _require_orthonormal(along_row: NDArray[np.float64], along_column: NDArray[np.float64], where: str) -> None:
    worst = max(
        abs(float(np.linalg.norm(along_row)) - 1.0),
        abs(float(np.linalg.norm(along_column)) - 1.0),
        abs(float(along_row @ along_column)),
    )
    require(
        worst <= COSINE_TOLERANCE,
        "GEOMETRY_INVALID",
        found=f"direction cosines {along_row.tolist()} and {along_column.tolist()}",
        needed="two unit vectors at right angles",
        do="export the series again; its Image Orientation (0020,0037) is damaged",
        where=where,
    )


def nominal_spacing_mm(dataset: Dataset) -> tuple[float, float, float] | None:
    """Return (slice, row, column) spacing as the header states it; None where any is missing."""
    pixel = numbers(dataset, "PixelSpacing")
    between = number(dataset, "SpacingBetweenSlices") or number(dataset, "SliceThickness")
    if pixel is None or len(pixel) != 2 or not between:
        return None
    return (abs(between), pixel[0], pixel[1])


# ---------------------------------------------------------------- NM: one file, frames named by the slice vector


def _nm_source(dataset: Dataset, where: str) -> Dataset:
    sources = (*items(dataset, "DetectorInformationSequence"), dataset)
    placed = [source for source in sources if numbers(source, "ImagePositionPatient")]
    if not placed:
        raise _missing("no Image Position (0020,0032), neither of the detector (0054,0022) nor of the image", where)
    for other in placed[1:]:
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
            first, second = numbers(placed[0], keyword), numbers(other, keyword)
            require(
                not first or not second or bool(np.allclose(first, second, rtol=0, atol=POSITION_TOLERANCE_MM)),
                "GEOMETRY_CONTRADICTORY",
                found=f"{keyword} {first} and {second} in one file",
                needed="one position and orientation of the reconstructed volume",
                do="export the reconstruction again",
                where=where,
            )
    return placed[0]


def _slice_numbers(dataset: Dataset, where: str) -> NDArray[np.int64]:
    count = frame_count(dataset)
    vector = numbers(dataset, "SliceVector")
    require(
        vector is not None and len(vector) == count,
        "SLICE_ORDER_UNKNOWN",
        found=f"a Slice Vector (0054,0080) of {len(vector) if vector else 0} values for {count} frames",
        needed="the slice number of every frame",
        do="export the reconstruction again; the order of its frames is not assumed",
        where=where,
    )
    slices = np.array(vector, dtype=np.int64)
    require(
        len(set(slices.tolist())) == count,
        "FRAMES_AMBIGUOUS",
        found=f"{count} frames for {len(set(slices.tolist()))} slices (several energy windows, gates or times)",
        needed="one frame per slice",
        do="export one reconstructed volume of the 208 keV window",
        where=where,
    )
    require(
        int(slices.min()) == 1 and int(slices.max()) == count,
        "SLICES_MISSING",
        found=f"slices {int(slices.min())} to {int(slices.max())} in {count} frames",
        needed="every slice from 1 on",
        do="export the whole series",
        where=where,
    )
    return slices


def nm_stack(dataset: Dataset, where: str) -> Stack:
    """Return the stack of a reconstructed NM object.

    The stored position belongs to slice 1 of the slice vector, not to the first stored frame; a negative Spacing
    Between Slices (0018,0088) stacks against the normal (DICOM PS3.3 C.8.4.15).

    Raises
    ------
    RefusalError
        ``GEOMETRY_MISSING``, ``GEOMETRY_INVALID``, ``GEOMETRY_CONTRADICTORY``, ``SLICE_ORDER_UNKNOWN``,
        ``FRAMES_AMBIGUOUS``, ``SLICES_MISSING``.
    """
    plane = _plane(dataset, _nm_source(dataset, where), where)
    spacing_mm = number(dataset, "SpacingBetweenSlices")
    if not spacing_mm:
        raise _missing("no Spacing Between Slices (0018,0088)", where)
    order = np.argsort(_slice_numbers(dataset, where))
    origin = plane.position_mm
    if spacing_mm < 0:
        origin = origin + (len(order) - 1) * spacing_mm * plane.normal
        order = order[::-1]
    return Stack(tuple(int(k) for k in order), plane.affine_mm(origin, abs(spacing_mm) * plane.normal))


# ---------------------------------------------------------------- CT and PET: one file per slice


def plane_stack(datasets: Sequence[Dataset], where: str) -> Stack:
    """Return the stack of single-slice files, ordered by position along the normal.

    Raises
    ------
    RefusalError
        ``GEOMETRY_MISSING``, ``GEOMETRY_INVALID``, ``GEOMETRY_MIXED`` (orientation, spacing or size differ),
        ``SLICES_DUPLICATE``, ``SLICES_MISSING``, ``SLICE_SPACING_MIXED``, ``GANTRY_TILT``.
    """
    planes = [_plane(dataset, dataset, where) for dataset in datasets]
    _require_one_plane(datasets, planes, where)
    positions = np.array([plane.position_mm for plane in planes])
    along = positions @ planes[0].normal
    order = np.argsort(along, kind="stable")
    if len(order) == 1:
        step = planes[0].normal * _single_thickness_mm(datasets[0], where)
    else:
        step = (positions[order[-1]] - positions[order[0]]) / (len(order) - 1)
        _require_regular(along[order], where)
        _require_upright(positions[order], step, planes[0].normal, where)
    for dataset in datasets:
        _require_no_tilt(number(dataset, "GantryDetectorTilt"), where)
    return Stack(tuple(int(k) for k in order), planes[0].affine_mm(positions[order[0]], step))


def _single_thickness_mm(dataset: Dataset, where: str) -> float:
    thickness = positive(dataset, "SliceThickness")
    if thickness is None:
        raise _missing("one slice without a thickness (0018,0050)", where)
    return thickness


def _require_one_plane(datasets: Sequence[Dataset], planes: Sequence[Plane], where: str) -> None:
    first = planes[0]
    reference = np.array([*first.along_row, *first.along_column, first.row_spacing_mm, first.column_spacing_mm])
    for dataset, plane in zip(datasets, planes, strict=True):
        own = np.array([*plane.along_row, *plane.along_column, plane.row_spacing_mm, plane.column_spacing_mm])
        size = (number(dataset, "Rows"), number(dataset, "Columns"))
        same = bool(np.allclose(own, reference, rtol=0, atol=COSINE_TOLERANCE / 10))
        require(
            same and size == (number(datasets[0], "Rows"), number(datasets[0], "Columns")),
            "GEOMETRY_MIXED",
            found="slices of different orientation, pixel spacing or size in one series",
            needed="one orientation, one pixel spacing and one size",
            do="export one reconstruction as one series",
            where=where,
        )


def _require_regular(along_mm: NDArray[np.float64], where: str) -> None:
    gaps = np.diff(along_mm)
    require(
        float(gaps.min()) > POSITION_TOLERANCE_MM,
        "SLICES_DUPLICATE",
        found=f"two slices at {float(along_mm[int(gaps.argmin())]):.2f} mm along the normal",
        needed="one slice per position",
        do="remove the second copy or the second reconstruction from the series",
        where=where,
    )
    usual = float(np.median(gaps))
    multiple = gaps / usual
    missing = np.rint(multiple) - 1
    require(
        not bool(((missing >= 1) & (np.abs(multiple - np.rint(multiple)) <= SPACING_TOLERANCE)).any()),
        "SLICES_MISSING",
        found=f"a gap of {float(gaps.max()):.2f} mm among slices {usual:.2f} mm apart",
        needed="every slice of the volume",
        do="export the whole series",
        where=where,
    )


def _require_upright(
    positions_mm: NDArray[np.float64], step_mm: NDArray[np.float64], normal: NDArray[np.float64], where: str
) -> None:
    cosine = float(step_mm @ normal) / float(np.linalg.norm(step_mm))
    _require_no_tilt(float(np.degrees(np.arccos(min(1.0, cosine)))), where)
    even = positions_mm[0] + np.arange(len(positions_mm))[:, None] * step_mm
    worst_mm = float(np.linalg.norm(positions_mm - even, axis=1).max())
    require(
        worst_mm <= max(POSITION_TOLERANCE_MM, SPACING_TOLERANCE * float(np.linalg.norm(step_mm))),
        "SLICE_SPACING_MIXED",
        found=f"a slice {worst_mm:.2f} mm off its place between the first and the last one",
        needed="slices at even distances on one straight line",
        do="export one reconstruction as one series with one interval",
        where=where,
    )


def _require_no_tilt(tilt_deg: float | None, where: str) -> None:
    require(
        tilt_deg is None or abs(tilt_deg) <= TILT_TOLERANCE_DEG,
        "GANTRY_TILT",
        found=f"slices tilted by {tilt_deg} degrees against their stacking direction",
        needed="slices at right angles to the stacking direction",
        do="reconstruct the CT without gantry tilt",
        where=where,
    )
