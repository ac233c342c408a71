"""What the voxel TIA map stands on, from the step to the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.files.nifti import read_volume
from pipeline.files.store import ArrayStore
from pipeline.physics.voxels.kinetics import VoxelKinetics
from pipeline.steps.integrate import integrate
from pipeline.steps.voxel_maps import maps_document, method_document, write_maps
from tests.steps.test_integrate_and_plausibility import (
    GRID,
    HALF_LIFE_S,
    LU,
    SHARP,
    Site,
    camera,
    seen_by,
    sphere,
    timing,
)

HOURS = (24.0, 96.0, 168.0)


def integrated(rows_not_seen: int = 0) -> tuple[VoxelKinetics, tuple[str, ...]]:
    """A kidney of 51 h, of which a scan did not see the first rows of the grid."""
    delineation = sphere()
    maps = [seen_by(SHARP, delineation, hours) for hours in HOURS]
    seen = np.ones(GRID.shape, dtype=bool)
    seen[:, :rows_not_seen] = False
    found = integrate(maps, [timing(h) for h in HOURS], delineation, [camera(SHARP)] * 3, Site(), LU, seen)  # type: ignore[arg-type]
    assert found.voxels is not None
    return found.voxels, tuple(flag.code for flag in found.flags if flag.region == "kidney_left")


def test_the_maps_are_written_with_their_units(tmp_path: Path) -> None:
    voxels, flags = integrated()
    assert "VOXEL_MAP_DIFFERS" not in flags
    store = ArrayStore(tmp_path / "arrays")
    write_maps(tmp_path, store, maps_document(store, voxels), GRID)
    written = {path.name for path in tmp_path.glob("*.nii.gz")}
    assert written == {
        f"{name}.nii.gz" for name in ("half_life_h", "tia_relative_sigma", "chi_squared", "kinetics_status")
    }
    half_life_h, grid = read_volume(tmp_path / "half_life_h.nii.gz")
    np.testing.assert_allclose(grid.affine_mm, GRID.affine_mm, atol=1e-4)
    # Noise-free: 51 h everywhere, single precision of the maps and of their smoothing.
    np.testing.assert_allclose(half_life_h[half_life_h > 0], HALF_LIFE_S / 3600.0, rtol=1e-4)
    status, _ = read_volume(tmp_path / "kinetics_status.nii.gz")
    assert set(np.unique(status)) <= {1, 2, 6}


def test_the_choice_is_told_with_its_counts() -> None:
    voxels, _ = integrated()
    told = method_document(voxels)
    assert (told["method"], told["smoothing_fwhm_mm"]) == ("voxel-mono-shared-half-life", 20.0)
    assert sum(told["voxels"].values()) == voxels.tia.grid.shape[0] ** 3
    assert told["noise_source"] == "residuals"


def test_a_map_that_lacks_a_part_of_the_region_is_flagged() -> None:
    # The sphere of radius 4.5 voxels about row 12 loses rows 8 to 9 of 8 to 16: well over 5 % of its TIA.
    _, flags = integrated(rows_not_seen=10)
    assert "VOXEL_MAP_DIFFERS" in flags
