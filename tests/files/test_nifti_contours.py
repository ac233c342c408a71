"""Label maps from files: geometry to LPS, and names that must not fall out of the rules by a slip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from pipeline.domain.geometry import Grid
from pipeline.errors import RefusalError
from pipeline.files.nifti import read_contours, read_volume, write_volume

KIDNEY = {"name": "kidney", "laterality": "left", "kind": "organ"}


def contours(folder: Path, description: Any, labels: Any = None) -> list[Path]:
    values = np.zeros((4, 5, 6), dtype=np.int16) if labels is None else labels
    values[1, 2, 3] = 1
    nib.save(nib.Nifti1Image(values, np.diag([-2.0, -2.0, 3.0, 1.0])), folder / "c.nii.gz")
    (folder / "c.json").write_text(json.dumps(description))
    return [folder / "c.nii.gz"]


def test_places_are_lps(tmp_path: Path) -> None:
    """RAS x = -2 i, y = -2 j, z = 3 k; LPS turns the signs of x and y: index (1, 2, 3) lies at (2, 4, 9) mm."""
    segmentation = read_contours(contours(tmp_path, {"1": KIDNEY}), "1.2.3")
    assert segmentation.grid.shape == (6, 5, 4)
    index = np.argwhere(np.asarray(segmentation.label) == 1)
    assert index.tolist() == [[3, 2, 1]]
    assert segmentation.grid.to_lps_mm(index[0]) == pytest.approx([2.0, 4.0, 9.0])


def test_written_and_read_back(tmp_path: Path) -> None:
    affine = np.array([[0.3, 0.1, 2.0, -50], [0.2, 2.5, 0.1, 20], [3.0, 0.2, -0.1, 700], [0, 0, 0, 1.0]])
    grid = Grid((3, 4, 5), affine, "1.2.3")
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    write_volume(tmp_path / "v.nii.gz", values, grid)
    again, again_grid = read_volume(tmp_path / "v.nii.gz", "1.2.3")
    assert np.array_equal(again, values)
    assert np.allclose(again_grid.affine_mm, affine, atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["v.nii.gz"]


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "kidney_right", "laterality": None, "kind": "organ"},
        {"name": "Kidney", "laterality": "left", "kind": "organ"},
        {"name": "kidney", "laterality": None, "kind": "organ"},
        {"name": "kidney", "laterality": "Left", "kind": "organ"},
        {"name": "liver lesion", "laterality": None, "kind": "lesion"},
        {"name": "lesion1", "laterality": None, "kind": "lesion"},
        {"name": "spleen", "laterality": None, "kind": "organs"},
        {"name": "", "laterality": None, "kind": "organ"},
        {"name": "liver", "laterality": None, "kind": "organ", "edge_fwhm_mm": -1.0},
        {"name": "liver", "laterality": None, "kind": "organ", "edge_fwhm_mm": "1.5"},
        {"name": "liver", "laterality": None, "kind": "organ", "edge_fwhm_mm": True},
    ],
)
def test_a_slip_in_the_description_is_refused(tmp_path: Path, entry: dict[str, Any]) -> None:
    with pytest.raises(RefusalError, match="CONTOURS_INVALID"):
        read_contours(contours(tmp_path, {"1": entry}), "1.2.3")


@pytest.mark.parametrize(("stated", "known"), [({}, None), ({"edge_fwhm_mm": 0}, 0.0), ({"edge_fwhm_mm": 1.5}, 1.5)])
def test_the_author_may_state_how_sharp_the_edge_is(
    tmp_path: Path, stated: dict[str, float], known: float | None
) -> None:
    found = read_contours(contours(tmp_path, {"1": KIDNEY | stated}), "1.2.3")
    assert found.regions[0].edge_fwhm_mm == known


def test_other_organs_are_welcome(tmp_path: Path) -> None:
    found = read_contours(contours(tmp_path, {"1": {"name": "pancreas", "laterality": None, "kind": "organ"}}), "1.2.3")
    assert [region.key for region in found.regions] == ["pancreas"]


def test_probabilities_are_refused(tmp_path: Path) -> None:
    labels = np.full((4, 5, 6), 0.5, dtype=np.float32)
    with pytest.raises(RefusalError, match="CONTOURS_INVALID"):
        read_contours(contours(tmp_path, {"1": KIDNEY}, labels), "1.2.3")


@pytest.mark.parametrize(("unit", "scale"), [("meter", 1e-3), ("micron", 1e3)])
def test_lengths_in_another_unit_are_refused(tmp_path: Path, unit: str, scale: float) -> None:
    image = nib.Nifti1Image(np.ones((3, 4, 5), dtype=np.float32), np.diag([4.8 * scale] * 3 + [1.0]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "v.nii.gz")
    with pytest.raises(RefusalError, match="UNIT_CONTRADICTORY"):
        read_volume(tmp_path / "v.nii.gz")
