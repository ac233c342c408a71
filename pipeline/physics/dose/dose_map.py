"""Voxel absorbed dose from a TIA map: electrons over the local density plus photons of a water kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kernels.convolve import convolution_bytes, convolve_octant, convolve_small, convolve_spectra, kernel_spectrum
from pipeline.domain.geometry import frozen_array
from pipeline.domain.maps import DoseMap
from pipeline.errors import RefusalError, require
from pipeline.physics.dose.dose_kernel import (
    electron_reach,
    kept_extent,
    voxel_s_values,
    with_bremsstrahlung_as_photons,
    with_energies_of,
)
from pipeline.units import G_PER_KG, GY_G_PER_MEV, J_PER_MEV, MM3_PER_ML

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kernels.backend import Array, Backend, BackendName
    from pipeline.domain.maps import DensityMap, TiaMap
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.dose.dose_kernel import PointKernel, VoxelKernels

    Box = tuple[slice, slice, slice]


# Air is 0.0012 g/cm3, the thinnest lung about 0.1: less is not the body, and no dose in it is divided by its density.
BODY_DENSITY_G_PER_CM3 = 0.1
# Larger electron kernels are cheaper by FFT: 5^3 additions cost about one transform of a SPECT volume.
SMALL_KERNEL_REACH = 2
BYTES_PER_GB = 1_000_000_000
# Half of a small workstation. A body of 512 x 512 x 400 voxels would need more; SPECT needs a hundredth of it.
MEMORY_LIMIT_BYTES = 8 * BYTES_PER_GB
DTYPE = "float32"
METHODS: dict[str, str] = {
    "convolution": "electrons by voxel S values over the local density, photons by water voxel S values of full range",
    "local": "electrons deposited in the voxel of the decay over its density, photons not counted",
}


@dataclass(frozen=True, eq=False)
class DoseResult:
    """A dose map and where it comes from.

    Attributes
    ----------
    dose : DoseMap
    electron_gy, photon_gy : ndarray
        Parts of the dose, on its grid. Bremsstrahlung is with the photons.
    total_energy_j : float
        Sum of dose x density x voxel volume.
    electron_energy_j, electron_emitted_j : float
        Energy of the electrons' dose, and what the counted decays emit as electrons by the decay data, no kernel
        asked: equal but for what leaves the body at its surface and for bremsstrahlung, which is with the photons
        (177Lu 0.1 %).
    engine, method : str
        Name and one sentence.
    dtype : str
    memory_bytes : int
        Stated before the run (see :func:`dose_bytes`).
    outside_tia_fraction : float
        Part of the TIA outside the body: it is not counted as a source.
    """

    dose: DoseMap
    electron_gy: NDArray[np.float32]
    photon_gy: NDArray[np.float32]
    total_energy_j: float
    electron_energy_j: float
    electron_emitted_j: float
    engine: str
    method: str
    dtype: str
    memory_bytes: int
    outside_tia_fraction: float


def body_box(body: NDArray[np.bool_]) -> Box:
    """Return the smallest box around a mask.

    Raises
    ------
    RefusalError
        ``BODY_MISSING`` for an empty mask.
    """
    require(
        bool(body.any()),
        "BODY_MISSING",
        found=f"no voxel of at least {BODY_DENSITY_G_PER_CM3} g/cm3 in the body",
        needed="a density map that holds the patient",
        do="check the CT's Hounsfield units and the density curve",
        where="density",
    )
    z, y, x = (np.flatnonzero(body.any(axis=tuple(set(range(3)) - {axis}))) for axis in range(3))
    return (slice(int(z[0]), int(z[-1]) + 1), slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1))


def dose_bytes(box_shape: tuple[int, int, int], backend: BackendName = "cpu") -> int:
    """Return the memory that the convolution takes for a body box of this shape, known before the run.

    On a device the transforms take one block, hence more: the sum is then shared between the device and the host.
    """
    reach = (box_shape[0] - 1, box_shape[1] - 1, box_shape[2] - 1)
    voxels = int(np.prod(box_shape))
    octant = int(np.prod([steps + 1 for steps in kept_extent(reach)]))
    # Beside the transforms: source, density and two doses in float32; two octants in float32; two octants in float64 as
    # they are kept, and what makes or files them.
    return convolution_bytes(box_shape, reach, kernels=2, backend=backend) + 4 * voxels * (4 + 2) + 8 * octant * 4


def absorbed_dose(
    tia: TiaMap,
    density: DensityMap,
    nuclide: Radionuclide,
    point_kernel: PointKernel,
    backend: Backend,
    *,
    body: NDArray[np.bool_] | None = None,
    engine: str = "convolution",
    voxel_kernels: VoxelKernels = voxel_s_values,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
) -> DoseResult:
    """Return the absorbed dose of every voxel of the body.

    Parameters
    ----------
    tia : TiaMap
    density : DensityMap
        On the grid of ``tia``.
    nuclide : Radionuclide
    point_kernel : PointKernel
        In water, of the same nuclide.
    backend : Backend
    body : ndarray of bool, optional
        Where dose is due and decays are sources; without it, wherever the density is at least 0.1 g/cm3.
    engine : {"convolution", "local"}
    voxel_kernels : VoxelKernels
        Where the voxel S values come from.
    memory_limit_bytes : int
        What :func:`dose_bytes` may say before the run is refused.

    Returns
    -------
    DoseResult

    Raises
    ------
    RefusalError
        ``GRID_MISMATCH``, ``BODY_MISSING``, ``NUCLIDE_MISMATCH``, ``ENGINE_UNKNOWN``, ``MEMORY_LIMIT``.

    Notes
    -----
    Electrons: water voxel S values x density of water / density of the absorbing voxel, so that energy is conserved;
    the density is not taken below 0.1 g/cm3. Photons: water voxel S values unscaled. Against EGSnrc this split is
    within 0.5 % in organs of soft tissue, +3 % in lung, -8 % in the spine; next to a source in lung every voxel kernel
    is low (``tests/physics/dose/test_slabs.py`` states the errors).
    """
    tia.grid.require_same(density.grid)
    if engine not in METHODS:
        raise RefusalError(
            "ENGINE_UNKNOWN", found=f"engine {engine!r}", needed=f"one of {', '.join(METHODS)}", do="name one of them"
        )
    inside = _body_of(density, body)
    box = body_box(inside)
    kernel = with_bremsstrahlung_as_photons(with_energies_of(point_kernel, nuclide))
    source = np.where(inside[box], tia.tia_bq_s_per_ml[box], 0.0) * tia.grid.voxel_volume_ml
    rho = np.maximum(density.density_g_per_cm3[box], BODY_DENSITY_G_PER_CM3)
    memory_bytes = 0
    if engine == "convolution":
        memory_bytes = _required_memory(source.shape, backend.name, memory_limit_bytes)
        parts = _convolved(source, rho, kernel, tia.grid.spacing_mm, backend, voxel_kernels)
    else:
        parts = _local(source, rho, kernel, tia.grid.spacing_mm, backend)
    electrons, photons = (_on_grid(part, inside, box) for part in parts)
    return _result(tia, density, electrons, photons, engine, source, nuclide, memory_bytes)


def _required_memory(box: tuple[int, ...], backend: BackendName, limit_bytes: int) -> int:
    needed = dose_bytes((box[0], box[1], box[2]), backend)
    require(
        needed <= limit_bytes,
        "MEMORY_LIMIT",
        found=f"a body box of {' x '.join(map(str, box))} voxels: the convolution takes {needed / BYTES_PER_GB:.1f} GB",
        needed=f"at most {limit_bytes / BYTES_PER_GB:.1f} GB",
        do="resample TIA and density to larger voxels, or crop both to the patient",
        where="dose",
    )
    return needed


def _body_of(density: DensityMap, body: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    if body is None:
        return np.asarray(density.density_g_per_cm3 >= BODY_DENSITY_G_PER_CM3)
    mask = np.asarray(body, dtype=bool)
    require(
        mask.shape == density.grid.shape,
        "GRID_MISMATCH",
        found=f"a body mask of shape {mask.shape} on a grid of {density.grid.shape}",
        needed="a mask on the grid of the density",
        do="resample the body mask first",
        where="body",
    )
    return mask


def _convolved(
    source: NDArray[np.floating],
    rho: NDArray[np.floating],
    kernel: PointKernel,
    spacing_mm: tuple[float, float, float],
    backend: Backend,
    voxel_kernels: VoxelKernels,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (electron, photon) dose in Gy of a box; ``source`` in Bq s per voxel, ``rho`` in g/cm3."""
    shape = (source.shape[0], source.shape[1], source.shape[2])
    s_values = voxel_kernels(kernel, spacing_mm, (shape[0] - 1, shape[1] - 1, shape[2] - 1))
    decays = backend.send(source, np.float32)
    photon_octant = backend.send(s_values.photon_gy_per_bq_s, np.float32)
    reach = electron_reach(kernel, spacing_mm)
    if max(reach) <= SMALL_KERNEL_REACH:
        octant = s_values.electron_gy_per_bq_s[: reach[0] + 1, : reach[1] + 1, : reach[2] + 1]
        electrons: Array = convolve_small(decays, backend.send(octant, np.float32))
        photons: Array = convolve_octant(decays, photon_octant)
    else:
        octants = (backend.send(s_values.electron_gy_per_bq_s, np.float32), photon_octant)
        electrons, photons = convolve_spectra(decays, tuple(kernel_spectrum(octant, shape) for octant in octants))
    electrons = electrons * kernel.density_g_per_cm3 / backend.send(rho, np.float32)
    return backend.fetch(electrons), backend.fetch(photons)


def _local(
    source: NDArray[np.floating],
    rho: NDArray[np.floating],
    kernel: PointKernel,
    spacing_mm: tuple[float, float, float],
    backend: Backend,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    volume_ml = float(np.prod(spacing_mm)) / MM3_PER_ML
    gy_g = GY_G_PER_MEV * kernel.electron_mev
    electrons = backend.send(source * (gy_g / volume_ml), np.float32) / backend.send(rho, np.float32)
    return backend.fetch(electrons), np.zeros(source.shape, np.float32)


def _on_grid(part: NDArray[np.float32], inside: NDArray[np.bool_], box: Box) -> NDArray[np.float32]:
    # The transform's rounding may leave 1e-7 of the maximum below zero where no dose is.
    values = np.zeros(inside.shape, np.float32)
    values[box] = np.where(inside[box], np.maximum(part, 0.0), 0.0)
    return values


def _result(
    tia: TiaMap,
    density: DensityMap,
    electrons: NDArray[np.float32],
    photons: NDArray[np.float32],
    engine: str,
    source: NDArray[np.floating],
    nuclide: Radionuclide,
    memory_bytes: int,
) -> DoseResult:
    dose = electrons + photons
    volume_ml = tia.grid.voxel_volume_ml
    rho = np.asarray(density.density_g_per_cm3)
    energy_j = float(np.sum(dose * rho, dtype=np.float64)) * volume_ml / G_PER_KG
    # With the density that the electrons' dose was made with.
    dense = np.maximum(rho, BODY_DENSITY_G_PER_CM3)
    electron_j = float(np.sum(electrons * dense, dtype=np.float64)) * volume_ml / G_PER_KG
    total = float(np.sum(tia.tia_bq_s_per_ml, dtype=np.float64)) * volume_ml
    counted = float(np.sum(source, dtype=np.float64))
    return DoseResult(
        dose=DoseMap(tia.grid, dose),
        electron_gy=np.asarray(frozen_array(electrons), dtype=np.float32),
        photon_gy=np.asarray(frozen_array(photons), dtype=np.float32),
        total_energy_j=energy_j,
        electron_energy_j=electron_j,
        electron_emitted_j=counted * nuclide.electron_mev * J_PER_MEV,
        engine=engine,
        method=METHODS[engine],
        dtype=DTYPE,
        memory_bytes=memory_bytes,
        outside_tia_fraction=max(0.0, 1.0 - counted / total) if total > 0 else 0.0,
    )
