"""Regions of the reference time point: from a contours file, or by the automatic method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.domain.dose import Flag
from pipeline.domain.maps import DensityMap
from pipeline.errors import require
from pipeline.files.nifti import read_contours
from pipeline.imaging.averaging import average_to_grid, region_fractions
from pipeline.imaging.body import body_mask
from pipeline.physics.dose.density import density_from_hu
from pipeline.physics.quantification.recovery import equivalent_fwhm_mm, grid_fwhm_mm
from pipeline.steps.gates import MUST_BE_SEEN, arm_flags, require_inside_fields, require_sides

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid
    from pipeline.domain.maps import ActivityMap, HounsfieldMap
    from pipeline.domain.regions import Segmentation
    from pipeline.domain.therapy import RecoveryCurve

AIR_G_PER_CM3 = 0.0012


@dataclass(frozen=True, eq=False)
class Delineation:
    """Regions with everything later steps need of the anatomy.

    Attributes
    ----------
    segmentation : Segmentation
        On the contour grid.
    contour_density : DensityMap
        On the contour grid.
    spect_density : DensityMap
        On the reference SPECT grid.
    fraction : ndarray, shape (region + 1, *spect grid)
        Area fraction of each region, in the segmentation's order; the last row is the rest of the body.
    body_fraction : ndarray, shape of the spect grid
    """

    segmentation: Segmentation
    contour_density: DensityMap
    spect_density: DensityMap
    fraction: NDArray[np.float32]
    body_fraction: NDArray[np.float32]
    flags: tuple[Flag, ...]


def delineate(
    ct: HounsfieldMap,
    activity: ActivityMap,
    density_curve: Sequence[tuple[float, float]],
    contours: Sequence[Path],
    recovery: RecoveryCurve | None = None,
) -> Delineation:
    """Return the regions of the reference time point and the densities on both grids.

    Parameters
    ----------
    ct : HounsfieldMap
        CT of the reference time point.
    activity : ActivityMap
        SPECT of the reference time point.
    density_curve : sequence of (hu, g/cm3)
    contours : sequence of Path
        Empty: the automatic method.
    recovery : RecoveryCurve, optional
        Of the camera: its point spread tells the automatic method where a lesion's border lies.
    """
    density = DensityMap(ct.grid, density_from_hu(ct.ct_number_hu, density_curve))
    body = body_mask(density)
    flags: tuple[Flag, ...] = ()
    if contours:
        segmentation = read_contours(contours, ct.grid.frame_of_reference_uid)
    else:
        from pipeline.imaging.segment import segment

        found = segment(ct, density, activity, fwhm_mm=_image_fwhm_mm(recovery, activity.grid))
        segmentation, flags = found.segmentation, found.flags
    segmentation, fractions, empty = _without_empty(segmentation, region_fractions(segmentation, activity.grid))
    flags = (*flags, *empty, *require_sides(segmentation))
    flags += require_inside_fields(segmentation, fractions, activity.grid, ct.grid)
    body_fraction = average_to_grid(body.astype(np.float32), ct.grid, activity.grid, 0.0).astype(np.float32)
    rest = np.clip(body_fraction - fractions.sum(axis=0), 0.0, 1.0)
    return Delineation(
        segmentation,
        _density_on(density, segmentation.grid),
        _density_on(density, activity.grid),
        np.concatenate([fractions, rest[None]]).astype(np.float32),
        body_fraction,
        flags + arm_flags(activity, body_fraction),
    )


def _image_fwhm_mm(recovery: RecoveryCurve | None, grid: Grid) -> float | None:
    """Return the width of the image's point spread: the camera's and one average over the voxel."""
    if recovery is None:
        return None
    return float(np.mean(grid_fwhm_mm(equivalent_fwhm_mm(recovery), grid.spacing_mm, voxel_averages=1)))


def _without_empty(
    segmentation: Segmentation, fractions: NDArray[np.float32]
) -> tuple[Segmentation, NDArray[np.float32], tuple[Flag, ...]]:
    """Leave out regions without a voxel on the SPECT, each with a flag; a kidney without one is refused.

    Whole outside the field is no less than in part: organs, lesions and marrow are ``BLOCK``, as in
    :func:`pipeline.steps.gates.require_inside_fields`.
    """
    sums = fractions.reshape(len(fractions), -1).sum(axis=1)
    kept = [i for i, total in enumerate(sums) if total > 0]
    empty = [region for region, total in zip(segmentation.regions, sums, strict=True) if total <= 0]
    for region in empty:
        require(
            region.name != "kidney",
            "REGION_EMPTY",
            found=f"{region.key} without a voxel on the SPECT",
            needed="kidneys inside the field of view",
            do="check that contours and images belong together",
            where=region.key,
        )
    label = np.where(np.isin(segmentation.label, [region.label for region in empty]), 0, segmentation.label)
    regions = tuple(segmentation.regions[i] for i in kept)
    flags = tuple(
        Flag("REGION_LEFT_OUT", "BLOCK" if region.kind in MUST_BE_SEEN else "WARN", "no voxel on the SPECT", region.key)
        for region in empty
    )
    return replace(segmentation, label=label, regions=regions), fractions[kept], flags


def _density_on(density: DensityMap, grid: Grid) -> DensityMap:
    if density.grid.is_same(grid):
        return density
    return DensityMap(grid, average_to_grid(density.density_g_per_cm3, density.grid, grid, AIR_G_PER_CM3))
