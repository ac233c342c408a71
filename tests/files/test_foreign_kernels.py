"""Kernels of other programs: what is read is what was meant, and what cannot be meant is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline.errors import RefusalError
from pipeline.files.foreign_kernels import ForeignKernel, ForeignSpheres, read_foreign, write_kernel
from pipeline.files.nuclide_tables import load_point_kernel
from pipeline.physics.dose.dose_kernel import voxel_s_values

SPACING = (5.0, 4.0, 3.0)


@pytest.fixture(scope="module")
def kernel():
    return voxel_s_values(load_point_kernel("Lu-177"), SPACING, (2, 3, 4))


def save_nifti(path: Path, values: np.ndarray, description: str = "") -> Path:
    """Write (slice, row, column) values with nibabel alone, as another program would."""
    image = nib.Nifti1Image(values.transpose(2, 1, 0).astype(np.float32), np.diag([3.0, 4.0, 5.0, 1.0]))
    image.header["descrip"] = description
    nib.save(image, path)
    return path


@pytest.mark.parametrize(("name", "rtol"), [("k.csv", 1e-15), ("k.nii.gz", 1e-6), ("k.nii", 1e-6)])
def test_what_is_written_is_read_again(kernel, tmp_path: Path, name: str, rtol: float) -> None:
    write_kernel(tmp_path / name, kernel)
    found = read_foreign(tmp_path / name)
    assert isinstance(found, ForeignKernel)
    np.testing.assert_allclose(found.spacing_mm, SPACING, rtol=1e-6)
    total = kernel.electron_gy_per_bq_s + kernel.photon_gy_per_bq_s
    np.testing.assert_allclose(found.total_gy_per_bq_s, total, rtol=rtol)


def test_the_parts_stand_apart_in_the_csv(kernel, tmp_path: Path) -> None:
    write_kernel(tmp_path / "k.csv", kernel)
    header, first, *rest = (tmp_path / "k.csv").read_text().splitlines()
    assert header.startswith("k_z,k_y,k_x,electron_mgy_per_mbq_s,photon_mgy_per_mbq_s,total_mgy_per_mbq_s,voxel_z_mm")
    cells = [float(cell) for cell in first.split(",")]
    # 0.36036 mGy/(MBq s) at 5 x 4 x 3 mm; the parts add up.
    assert cells[:3] == [0, 0, 0]
    assert cells[3] + cells[4] == pytest.approx(cells[5]) == pytest.approx(0.36036, rel=1e-4)
    assert len(rest) == 3 * 4 * 5 - 1


def test_a_nifti_may_hold_the_whole_kernel_or_one_octant(tmp_path: Path) -> None:
    octant = np.exp(-np.arange(24.0).reshape(2, 3, 4) / 5)
    whole = np.pad(octant, [(1, 0), (2, 0), (3, 0)], mode="reflect")
    for values in (octant, whole):
        found = read_foreign(save_nifti(tmp_path / "k.nii", values))
        np.testing.assert_allclose(found.total_gy_per_bq_s, octant * 1e-9, rtol=1e-6)
        np.testing.assert_allclose(found.spacing_mm, SPACING)


@pytest.mark.parametrize(
    ("description", "factor"), [("", 1e-9), ("S [mGy/(MBq s)]", 1e-9), ("PMOD [mGy/MBqs]", 1e-9), ("[Gy/(Bq s)]", 1.0)]
)
def test_a_nifti_states_its_unit_in_its_description(tmp_path: Path, description: str, factor: float) -> None:
    octant = np.exp(-np.arange(8.0).reshape(2, 2, 2))
    found = read_foreign(save_nifti(tmp_path / "k.nii", octant, description))
    np.testing.assert_allclose(found.total_gy_per_bq_s, octant * factor, rtol=1e-6)


def test_the_unit_of_a_csv_is_in_its_column_and_missing_steps_stay_open(tmp_path: Path) -> None:
    path = tmp_path / "k.csv"
    path.write_text("k_z;k_y;k_x;total_gy_per_bq_s\n0;0;0;2e-10\n0;0;2;1e-15\n")
    found = read_foreign(path)
    assert found.spacing_mm is None
    np.testing.assert_array_equal(found.total_gy_per_bq_s, [[[2e-10, np.nan, 1e-15]]])


TWO_SPHERES = [{"mass_g": 10, "s_mgy_per_mbq_s": 0.00236}, {"mass_g": 1, "s_gy_per_bq_s": 2.31e-11}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", "mass_g,s_mgy_per_mbq_s\n10,0.00236\n1,0.0231\n"),
        ("s.csv", "mass_g,s_gy_per_bq_s\n10,2.36e-12\n1,2.31e-11\n"),
        ("s.json", json.dumps({"spheres": TWO_SPHERES})),
        ("s.json", '{"10": 0.00236, "1.0": 0.0231}'),
    ],
)  # fmt: skip
def test_spheres_by_csv_and_json(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = read_foreign(tmp_path / name)
    assert isinstance(found, ForeignSpheres)
    assert found.mass_g == (1.0, 10.0)
    assert found.s_gy_per_bq_s == pytest.approx((2.31e-11, 2.36e-12))


GOOD = "k_z,k_y,k_x,total_mgy_per_mbq_s\n0,0,0,0.2\n"
BAD_TEXT = {
    "no_unit.csv": "k_z,k_y,k_x,total\n0,0,0,0.2\n",
    "no_steps.csv": "z,y,x,total_mgy_per_mbq_s\n0,0,0,0.2\n",
    "two_units.csv": "k_z,k_y,k_x,total_mgy_per_mbq_s,total_gy_per_bq_s\n0,0,0,0.2,2e-10\n",
    "no_centre.csv": "k_z,k_y,k_x,total_mgy_per_mbq_s\n0,0,1,0.2\n",
    "twice.csv": GOOD + "0,0,0,0.3\n",
    "negative.csv": GOOD + "0,0,1,-0.1\n",
    "nan.csv": GOOD + "0,0,1,nan\n",
    "half_step.csv": GOOD + "0,0,0.5,0.1\n",
    "negative_step.csv": GOOD + "0,0,-1,0.1\n",
    "huge_step.csv": GOOD + "0,0,100000,0.1\n",
    "words.csv": GOOD + "0,0,1,much\n",
    "two_voxels.csv": GOOD.replace("\n", ",voxel_z_mm,voxel_y_mm,voxel_x_mm\n", 1)[:-1] + ",4,4,4\n0,0,1,0.1,4,4,5\n",
    "empty.csv": "",
    "sphere_no_unit.csv": "mass_g,s\n1,2\n",
    "sphere_zero.csv": "mass_g,s_mgy_per_mbq_s\n0,2\n",
    "broken.json": "{",
    "empty.json": "{}",
    "list.json": "[1, 2]",
    "no_value.json": '{"spheres": [{"mass_g": 1}]}',
    "negative.json": '{"1": -0.02}',
    "kernel.txt": GOOD,
}


@pytest.mark.parametrize("name", BAD_TEXT)
def test_text_that_is_no_kernel_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(BAD_TEXT[name])
    with pytest.raises(RefusalError) as refused:
        read_foreign(tmp_path / name)
    assert refused.value.code == "KERNEL_FILE_INVALID"
    assert all((refused.value.found, refused.value.needed, refused.value.do))
    assert refused.value.where == name


def shifted() -> np.ndarray:
    whole = np.zeros((5, 5, 5))
    whole[2, 2, 3] = 1.0
    return whole


def lopsided() -> np.ndarray:
    whole = np.full((5, 5, 5), 0.01)
    whole[2, 2, 2] = 1.0
    whole[:, :, 3] = 0.02
    return whole


@pytest.mark.parametrize(
    "values", [shifted(), lopsided(), np.zeros((3, 3, 3)), -np.ones((3, 3, 3)), np.full((3, 3, 3), np.nan)]
)
def test_a_volume_that_is_no_kernel_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(RefusalError, match="KERNEL_FILE_INVALID"):
        read_foreign(save_nifti(tmp_path / "k.nii", values))


def test_other_units_and_unreadable_volumes_are_refused(tmp_path: Path) -> None:
    octant = np.exp(-np.arange(8.0).reshape(2, 2, 2))
    with pytest.raises(RefusalError, match="UNIT_CONTRADICTORY"):
        read_foreign(save_nifti(tmp_path / "k.nii", octant, "[rad/(uCi h)]"))
    (tmp_path / "k.nii.gz").write_bytes(b"no volume")
    with pytest.raises(RefusalError, match="VOLUME_UNREADABLE"):
        read_foreign(tmp_path / "k.nii.gz")
    with pytest.raises(RefusalError, match="KERNEL_FILE_INVALID"):
        read_foreign(tmp_path / "missing.csv")


def test_a_kernel_is_written_in_a_known_form_only(kernel, tmp_path: Path) -> None:
    with pytest.raises(RefusalError, match="KERNEL_FILE_INVALID"):
        write_kernel(tmp_path / "k.txt", kernel)
    assert list(tmp_path.iterdir()) == []
