"""Voxel S values kept on disk: computed once for a point kernel and a voxel size, found again by the hash of both.

The folder may be deleted at any time, and is kept small whenever something is written. A file that cannot be read is
computed again and replaced; several processes may write the same file at once, because each renames a whole one into
place.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import sys
import zipfile
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.dose import DoseKernel
from pipeline.domain.provenance import content_hash
from pipeline.files.cache_pruning import mark_used, prune
from pipeline.files.store import write_atomically
from pipeline.physics.dose.dose_kernel import kept_extent, kernel_about, voxel_s_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.physics.dose.dose_kernel import PointKernel

    Triple = tuple[float, float, float]
    Steps = tuple[int, int, int]
    Floats = NDArray[np.float64]

LOG = logging.getLogger("prrt.kernel_cache")
CACHE_VARIABLE = "PRRT_CACHE"
# What a kernel's numbers depend on besides its point kernel.
CODE = ("dose_kernel.py", "voxel_integration.py")
DAMAGE = (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile)


def cache_folder() -> Path:
    """Return where computed kernels are kept: ``PRRT_CACHE``, or ``prrt`` in the system's folder for caches."""
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE])
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "prrt"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "prrt"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "prrt" / "Cache"
    return Path.home() / ".cache" / "prrt"


def kernel_folder() -> Path:
    """Return where voxel kernels are kept: a folder that may be deleted at any time."""
    return cache_folder() / "kernels"


@cache
def integration_hash() -> str:
    """Return the SHA-256 of the code that turns a point kernel into voxel S values."""
    digest = hashlib.sha256()
    for name in CODE:
        digest.update((resources.files("pipeline.physics.dose") / name).read_bytes())
    return digest.hexdigest()


def kernel_key(point_kernel: PointKernel, spacing_mm: Triple, extent: Steps) -> str:
    """Return the SHA-256 of everything the voxel S values are made from: the name of their file."""
    arrays = (point_kernel.edges_mm, point_kernel.electron_mev_per_shell, point_kernel.photon_mev_per_shell)
    about = {
        "point_kernel": [hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() for array in arrays],
        "density_g_per_cm3": point_kernel.density_g_per_cm3,
        "nuclide": point_kernel.nuclide,
        "medium": point_kernel.medium,
        "spacing_mm": [float(side) for side in spacing_mm],
        "extent": list(extent),
        "code": integration_hash(),
    }
    return content_hash(about)


class KernelCache:
    """Voxel S values from a folder, computed and kept where it has none; a ``VoxelKernels`` for the physics.

    Parameters
    ----------
    folder : Path
        Made when something is first written. One that cannot be written to costs time only: a line in the log says so.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: dict[str, dict[str, Any]] = {}

    def __call__(self, point_kernel: PointKernel, spacing_mm: Triple, extent: Steps) -> DoseKernel:
        """Return the voxel S values of one octant, as :func:`pipeline.physics.dose.dose_kernel.voxel_s_values`."""
        kept = kept_extent(extent)
        key = kernel_key(point_kernel, spacing_mm, kept)
        path = self.folder / f"{key}.npz"
        whole = _stored(path, point_kernel, spacing_mm, kept) if path.exists() else None
        if whole is None:
            whole = voxel_s_values(point_kernel, spacing_mm, kept)
            self._keep(path, whole)
        else:
            mark_used(path)
        self._used[key] = {"voxel_mm": [float(side) for side in spacing_mm], "sha256": key}
        return _cut(whole, extent)

    @property
    def used(self) -> list[dict[str, Any]]:
        """Voxel size and hash of every kernel handed out, for the provenance."""
        return list(self._used.values())

    def _keep(self, path: Path, kernel: DoseKernel) -> None:
        buffer = io.BytesIO()
        np.savez(
            buffer,
            key=np.array(path.stem),
            electron_gy_per_bq_s=_without_empty_end(kernel.electron_gy_per_bq_s),
            photon_gy_per_bq_s=_without_empty_end(kernel.photon_gy_per_bq_s),
        )
        try:
            write_atomically(path, buffer.getvalue())
        except OSError as error:
            LOG.warning("kernel not kept in %s (%s); the next run computes it again", path.parent, error.strerror)
        else:
            prune(path.parent)


def _stored(path: Path, point_kernel: PointKernel, spacing_mm: Triple, extent: Steps) -> DoseKernel | None:
    """Return the kernel of a file; None, and a line in the log, where the file is damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            if str(stored["key"]) != path.stem:
                raise ValueError("found a kernel made from something else")
            electrons = _grown(stored["electron_gy_per_bq_s"], extent)
            photons = _grown(stored["photon_gy_per_bq_s"], extent)
    except DAMAGE as error:
        LOG.warning("kernel file %s is damaged (%s); it is computed again", path, type(error).__name__)
        return None
    return kernel_about(point_kernel, spacing_mm, electrons, photons)


def _cut(kernel: DoseKernel, extent: Steps) -> DoseKernel:
    z, y, x = (steps + 1 for steps in extent)
    return replace(
        kernel,
        electron_gy_per_bq_s=kernel.electron_gy_per_bq_s[:z, :y, :x],
        photon_gy_per_bq_s=kernel.photon_gy_per_bq_s[:z, :y, :x],
    )


def _without_empty_end(octant: Floats) -> Floats:
    """Leave out the steps that nothing reaches: of the electrons only a corner is not zero."""
    ends = [np.flatnonzero(octant.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    z, y, x = (int(end[-1]) + 1 if end.size else 1 for end in ends)
    return octant[:z, :y, :x]


def _grown(corner: Floats, extent: Steps) -> Floats:
    """Return the octant of which ``corner`` is the part that is not zero; ValueError where it is none."""
    octant = np.zeros([steps + 1 for steps in extent])
    z, y, x = corner.shape
    if corner.dtype != np.float64 or not np.isfinite(corner).all() or (corner < 0).any():
        raise ValueError("found other numbers than S values")
    if z > octant.shape[0] or y > octant.shape[1] or x > octant.shape[2]:
        raise ValueError("found a larger kernel than asked for")
    octant[:z, :y, :x] = corner
    octant.flags.writeable = False
    return octant
