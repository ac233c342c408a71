"""Mean doses of regions: statistics of a dose map, and doses of the recovery-corrected source model.

In the source model each region holds its corrected TIA uniformly over its mask on the contour grid. Electrons are
transported there (a millimetre matters at a region's border), photons on the coarser SPECT grid (they are smooth).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import find_objects, uniform_filter

from kernels.convolve import convolve_octant, convolve_small, kernel_spectrum
from kernels.histogram import weighted_quantiles
from pipeline.domain.dose import RegionStatistics
from pipeline.domain.maps import DensityMap
from pipeline.errors import RefusalError, require
from pipeline.physics.dose.dose_kernel import (
    electron_reach,
    voxel_s_values,
    with_bremsstrahlung_as_photons,
    with_energies_of,
)
from pipeline.physics.dose.dose_map import SMALL_KERNEL_REACH
from pipeline.units import GY_G_PER_MEV, MM3_PER_ML

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kernels.backend import Backend
    from kernels.convolve import KernelSpectrum
    from pipeline.domain.maps import TiaMap
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.dose.dose_kernel import PointKernel, VoxelKernels

    Floats = NDArray[np.float64]
    Triple = tuple[float, float, float]
    Box = tuple[slice, slice, slice]

# D2 is what the hottest 2 % of the mass receives at least (ICRU Report 83, 2010), D98 what 98 % receive.
DOSE_QUANTILES = (0.98, 0.50, 0.02)


def region_statistics(
    dose_gy: NDArray[np.floating], density: NDArray[np.floating], fraction_weights: NDArray[np.floating]
) -> RegionStatistics:
    """Return mass-weighted statistics of a dose map inside one region.

    Parameters
    ----------
    dose_gy, density : ndarray
        On one grid; density in g/cm3.
    fraction_weights : ndarray
        Part of each voxel inside the region, 0 to 1.

    Raises
    ------
    RefusalError
        ``REGION_EMPTY``.
    """
    # Only the region's voxels are turned into doubles: it is a hundredth of the volume.
    used = np.asarray(fraction_weights) > 0
    weights, rho = np.asarray(fraction_weights)[used], np.asarray(density)[used]
    mass = weights.astype(np.float64) * rho.astype(np.float64)
    _require_mass(float(mass.sum()), "region")
    dose = np.asarray(dose_gy)[used].astype(np.float64)
    mean = float(np.average(dose, weights=mass))
    d2, d50, d98 = (float(value) for value in weighted_quantiles(dose, mass, DOSE_QUANTILES))
    deviation = float(np.sqrt(np.average((dose - mean) ** 2, weights=mass)))
    return RegionStatistics(mean_gy=mean, standard_deviation_gy=deviation, d2_gy=d2, d50_gy=d50, d98_gy=d98)


def _empty(where: str) -> RefusalError:
    return RefusalError(
        "REGION_EMPTY",
        found="a region without a voxel or without mass",
        needed="a region with tissue on this grid",
        do="check that contours and images lie on one another",
        where=where,
    )


def _require_mass(mass: float, where: str) -> None:
    if not mass > 0:
        raise _empty(where)


@dataclass(frozen=True, eq=False)
class RegionModelDoses:
    """Mean doses of the source model, one value for each region in the order asked; all ndarrays of shape (n,).

    Attributes
    ----------
    electron_gy, photon_gy : ndarray
        From all sources, the remainder included.
    mean_gy : ndarray
        Their sum.
    self_gy, self_photon_gy : ndarray
        From the region's own TIA, both parts; the photons' part of it.
    remainder_electron_gy, remainder_photon_gy : ndarray
        From the TIA outside all regions.
    mass_g : ndarray
        On the contour grid.
    """

    electron_gy: Floats
    photon_gy: Floats
    mean_gy: Floats
    self_gy: Floats
    self_photon_gy: Floats
    remainder_electron_gy: Floats
    remainder_photon_gy: Floats
    mass_g: Floats


def model_region_doses(
    *,
    seg_labels: NDArray[np.integer],
    contour_density: DensityMap | NDArray[np.floating],
    region_labels: Sequence[int],
    tia_bq_s: Sequence[float] | Floats,
    remainder: TiaMap,
    region_fractions: NDArray[np.floating],
    spect_density: DensityMap | NDArray[np.floating],
    nuclide: Radionuclide,
    point_kernel: PointKernel,
    contour_spacing_mm: Triple,
    backend: Backend,
    voxel_kernels: VoxelKernels = voxel_s_values,
) -> RegionModelDoses:
    """Return the mean dose of each region from the recovery-corrected sources.

    Parameters
    ----------
    seg_labels : ndarray of int
        Label map on the contour grid.
    contour_density : DensityMap or ndarray
        g/cm3 on the contour grid.
    region_labels : sequence of int, length n
    tia_bq_s : sequence of float, length n
        Recovery-corrected TIA of each region.
    remainder : TiaMap
        On the SPECT grid: what lies outside the regions (their spill-out already removed).
    region_fractions : ndarray, shape (n, *SPECT shape)
        Part of each SPECT voxel inside each region.
    spect_density : DensityMap or ndarray
        g/cm3 on the SPECT grid.
    nuclide, point_kernel
    contour_spacing_mm : tuple of float
    backend : Backend
    voxel_kernels : VoxelKernels
        Where the voxel S values come from.

    Returns
    -------
    RegionModelDoses

    Raises
    ------
    RefusalError
        ``REGION_EMPTY``, ``REGION_INVALID``, ``NUCLIDE_MISMATCH``.

    Notes
    -----
    Electron energy leaves a mask through its voxels' faces: a staircase has up to 1.5 times the surface of the smooth
    organ, so the self dose of a smooth organ is low by up to half of the escaping part (177Lu: 0.3 % at 100 g, 0.5 % at
    10 g, 1.2 % at 1 g).
    """
    labels = [int(label) for label in region_labels]
    tia = np.asarray(tia_bq_s, dtype=np.float64)
    fractions = np.asarray(region_fractions)
    _require_consistent(labels, tia, fractions, remainder.grid.shape)
    kernel = with_bremsstrahlung_as_photons(with_energies_of(point_kernel, nuclide))
    shared = _electron_sharing(np.asarray(seg_labels), labels, kernel, contour_spacing_mm, backend, voxel_kernels)
    mass = _masses_g(np.asarray(seg_labels), _values_of(contour_density), labels, contour_spacing_mm)
    energy_gy_g = GY_G_PER_MEV * kernel.electron_mev
    outside_bq_s = _remainder_beside(remainder, fractions) * float(np.prod(contour_spacing_mm)) / MM3_PER_ML
    electron_self = np.diag(shared.between) * tia * energy_gy_g / mass
    electron_rest = shared.from_outside * outside_bq_s * energy_gy_g / mass
    electrons = shared.between.T @ tia * energy_gy_g / mass + electron_rest
    photons = _photon_doses(tia, remainder, fractions, _values_of(spect_density), kernel, backend, voxel_kernels)
    return RegionModelDoses(
        electron_gy=electrons,
        photon_gy=photons.total_gy,
        mean_gy=electrons + photons.total_gy,
        self_gy=electron_self + photons.self_gy,
        self_photon_gy=photons.self_gy,
        remainder_electron_gy=electron_rest,
        remainder_photon_gy=photons.remainder_gy,
        mass_g=mass,
    )


def dose_rates_gy_per_s(
    *,
    self_gy: float,
    cross_gy: float,
    tia_bq_s: float,
    activity_bq: NDArray[np.floating],
    other_tia_bq_s: float,
    other_activity_bq: NDArray[np.floating],
) -> Floats:
    """Return a region's mean dose rate at each time point, from the S values its dose was made with.

    The own part is the region's S value (own dose over own decays) times its activity; the part from elsewhere is the
    cross-dose times the activity of all other sources at that time over their TIA.

    Parameters
    ----------
    self_gy, cross_gy : float
        Dose from the region's own decays, and from all others.
    tia_bq_s, other_tia_bq_s : float
        Of the region, and of all other sources together.
    activity_bq, other_activity_bq : ndarray, shape (time,)
        The same at each time point, not decay-corrected.

    Returns
    -------
    ndarray, shape (time,)

    Notes
    -----
    The other sources are taken to fall together: where liver and remainder have half-lives 10 % apart the part from
    elsewhere (1 to 3 % in a kidney) is wrong by some 10 %, the dose rate by 0.3 %.
    """
    own = self_gy / tia_bq_s * np.asarray(activity_bq) if tia_bq_s > 0 else np.zeros(len(activity_bq))
    other = cross_gy / other_tia_bq_s * np.asarray(other_activity_bq) if other_tia_bq_s > 0 else np.zeros_like(own)
    return np.asarray(own + other, dtype=np.float64)


def _values_of(density: DensityMap | NDArray[np.floating]) -> NDArray[np.floating]:
    return density.density_g_per_cm3 if isinstance(density, DensityMap) else np.asarray(density)


def _require_consistent(
    labels: list[int], tia: Floats, fractions: NDArray[np.floating], spect_shape: tuple[int, int, int]
) -> None:
    require(
        len(labels) == len(set(labels)) == tia.size
        and fractions.shape == (tia.size, *spect_shape)
        and bool(np.isfinite(tia).all() and (tia >= 0).all()),
        "REGION_INVALID",
        found=f"{len(labels)} labels, TIA {tia.tolist()}, fractions of shape {fractions.shape}",
        needed=f"one label, one TIA >= 0 and one fraction map of {spect_shape} for each region",
        do="give the same regions in the same order to all three",
        where="regions",
    )


# --- electrons on the contour grid -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Sharing:
    """Where electron energy goes: ``between[j, i]`` is the part of region j's energy absorbed in region i;

    ``from_outside[i]`` is the number of unlabelled voxels' worth of energy that reaches region i.
    """

    between: Floats
    from_outside: Floats


def _electron_sharing(
    seg_labels: NDArray[np.integer],
    labels: list[int],
    kernel: PointKernel,
    spacing_mm: Triple,
    backend: Backend,
    voxel_kernels: VoxelKernels,
) -> _Sharing:
    reach = electron_reach(kernel, spacing_mm)
    s_values = voxel_kernels(kernel, spacing_mm, reach)
    mass_g = float(np.prod(spacing_mm)) / MM3_PER_ML * kernel.density_g_per_cm3
    parts = s_values.electron_gy_per_bq_s * mass_g / (GY_G_PER_MEV * kernel.electron_mev)
    octant = backend.send(parts, np.float32)
    convolve = convolve_small if max(reach) <= SMALL_KERNEL_REACH else convolve_octant
    boxes = find_objects(seg_labels, max_label=max(labels, default=0))
    between, outside = np.zeros((len(labels), len(labels))), np.zeros(len(labels))
    for row, label in enumerate(labels):
        around = seg_labels[_grown(_found(boxes[label - 1], f"label {label}"), reach, seg_labels.shape)]
        spread = backend.fetch(convolve(backend.send(around == label, np.float32), octant))
        absorbed = np.bincount(around.ravel(), np.maximum(spread, 0.0).ravel(), minlength=max(labels) + 1)
        between[row] = absorbed[labels] / np.count_nonzero(around == label)
        outside[row] = absorbed[0]
    return _Sharing(between, outside)


def _found(box: tuple[slice, ...] | None, where: str) -> tuple[slice, ...]:
    if box is None:
        raise _empty(where)
    return box


def _grown(box: tuple[slice, ...], reach: tuple[int, int, int], shape: tuple[int, ...]) -> Box:
    z, y, x = (
        slice(max(0, part.start - steps), min(size, part.stop + steps))
        for part, steps, size in zip(box, reach, shape, strict=True)
    )
    return (z, y, x)


def _masses_g(
    seg_labels: NDArray[np.integer], density: NDArray[np.floating], labels: list[int], spacing_mm: Triple
) -> Floats:
    used = seg_labels > 0
    sums = np.bincount(seg_labels[used], density[used], minlength=max(labels, default=0) + 1)
    mass = np.asarray(sums[labels], dtype=np.float64) * float(np.prod(spacing_mm)) / MM3_PER_ML
    for label, value in zip(labels, mass, strict=True):
        _require_mass(float(value), f"label {label}")
    return mass


def _remainder_beside(remainder: TiaMap, fractions: NDArray[np.floating]) -> Floats:
    """Return, for each region, the mean TIA concentration (Bq s/mL) of what lies around it outside all regions."""
    free = np.clip(1.0 - fractions.sum(axis=0), 0.0, 1.0)
    beside = np.zeros(fractions.shape[0])
    for row, fraction in enumerate(fractions):
        near = (uniform_filter(np.asarray(fraction, dtype=np.float32), 3, mode="constant") > 1e-6) * free
        if near.sum() > 0:
            beside[row] = float((remainder.tia_bq_s_per_ml * (near > 0)).sum() / near.sum())
    return beside


# --- photons on the SPECT grid ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _PhotonDoses:
    total_gy: Floats
    self_gy: Floats
    remainder_gy: Floats


def _photon_doses(
    tia: Floats,
    remainder: TiaMap,
    fractions: NDArray[np.floating],
    density: NDArray[np.floating],
    kernel: PointKernel,
    backend: Backend,
    voxel_kernels: VoxelKernels,
) -> _PhotonDoses:
    grid = remainder.grid
    volumes = fractions.reshape(tia.size, -1).sum(axis=1, dtype=np.float64)
    for row, volume in enumerate(volumes):
        _require_mass(float(volume), f"region {row + 1} of {tia.size} on the SPECT grid")
    decays = np.tensordot(tia / volumes, fractions, axes=1)
    rest = remainder.tia_bq_s_per_ml * grid.voxel_volume_ml
    box = _occupied((decays > 0) | (rest > 0) | (fractions.max(axis=0) > 0))
    shape = decays[box].shape
    s_values = voxel_kernels(kernel, grid.spacing_mm, (shape[0] - 1, shape[1] - 1, shape[2] - 1))
    octant = backend.send(s_values.photon_gy_per_bq_s, np.float32)

    def dose_of(source: NDArray[np.floating], kept: KernelSpectrum | None = None) -> NDArray[np.floating]:
        dose = backend.fetch(convolve_octant(backend.send(source, np.float32), octant, kept))
        return np.asarray(np.maximum(dose, 0.0))

    targets = fractions[(slice(None), *box)] * density[box]
    spectrum = kernel_spectrum(octant, (shape[0], shape[1], shape[2]))
    from_rest = _means(dose_of(rest[box], spectrum), targets)
    from_regions = _means(dose_of(decays[box], spectrum), targets)
    own = np.zeros(tia.size)
    for row, fraction in enumerate(fractions):
        part = _occupied(fraction > 0)
        dose = dose_of(fraction[part] * (tia[row] / volumes[row]))
        own[row] = np.average(dose, weights=fraction[part] * density[part])
    return _PhotonDoses(from_regions + from_rest, own, from_rest)


def _occupied(used: NDArray[np.bool_]) -> Box:
    z, y, x = _found(find_objects(used.astype(np.int8), max_label=1)[0], "SPECT grid")
    return (z, y, x)


def _means(dose: NDArray[np.floating], weights: NDArray[np.floating]) -> Floats:
    rows = weights.reshape(weights.shape[0], -1).astype(np.float64)
    return np.asarray(rows @ dose.ravel().astype(np.float64) / rows.sum(axis=1))
