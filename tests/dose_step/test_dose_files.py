"""``prrt dose`` on files: what cannot be a dose is refused and nothing is written; what can has its second check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from pipeline.domain.geometry import Grid
from pipeline.errors import RefusalError
from pipeline.files.nifti import read_volume, write_volume
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.files.volume_unit import stated_unit
from pipeline.physics.dose.map_check import body_check
from pipeline.steps.dose_maps import DoseMapRequest, dose_from_files

SHAPE, SIDE = (14, 16, 18), 4.0


def _grid(shape: tuple[int, ...] = SHAPE, side: float = SIDE) -> Grid:
    return Grid((shape[0], shape[1], shape[2]), np.diag([side, side, side, 1.0]), "")


class Files:
    """A warm block in water with two labels, and one thing about it changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tia = np.zeros(SHAPE)
        self.tia[4:10, 4:12, 4:12] = 1.0e11
        self.density = np.ones(SHAPE)
        self.labels = np.zeros(SHAPE)
        self.labels[4:10, 4:12, 4:12] = 1
        self.labels[4:10, 4:12, 13:16] = 7
        self.nuclide = "Lu-177"
        self.grids = {name: _grid() for name in ("tia", "density", "labels")}
        self.units: dict[str, str] = {}

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.nii.gz"

    def dose(self) -> dict[str, Any]:
        for name, grid in self.grids.items():
            write_volume(self.path(name), getattr(self, name).astype(np.float32), grid)
            if name in self.units:
                image = nib.load(self.path(name))
                image.header["descrip"] = self.units[name]
                nib.save(image, self.path(name))
        paths = self.path("tia"), self.path("density"), self.path("labels")
        request = DoseMapRequest(
            paths[0],
            paths[1],
            self.nuclide,
            self.path("out"),
            "convolution",
            "cpu",
            1,
            None,
            paths[2],
            None,
            None,
        )
        return dose_from_files(request)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def _another_grid(f: Files) -> None:
    f.grids["density"] = _grid(side=4.1)


def _another_label_grid(f: Files) -> None:
    f.labels = f.labels[:-1]
    f.grids["labels"] = _grid(f.labels.shape)


def _negative_tia(f: Files) -> None:
    f.tia[0, 0, 0] = -1.0


def _nan_tia(f: Files) -> None:
    f.tia[0, 0, 0] = np.nan


def _tia_per_cubic_metre(f: Files) -> None:
    # 1e11 Bq s/mL is 1e17 Bq s/m3, more than 100 GBq in one mL for ever (8.3e16).
    f.tia *= 1e6


def _tia_in_hours(f: Files) -> None:
    f.units["tia"] = "TIA [MBq*h/mL]"


def _dose_as_tia(f: Files) -> None:
    f.units["tia"] = "absorbed dose [Gy]"


def _density_of_the_wrong_unit(f: Files) -> None:
    f.units["density"] = "density [kg/m3]"


def _density_in_kilograms_per_cubic_metre(f: Files) -> None:
    f.density *= 1000.0


def _hounsfield_units_as_density(f: Files) -> None:
    f.density = (f.density - 1.0) * 1000.0 - 20.0


def _nan_density(f: Files) -> None:
    f.density[3, 3, 3] = np.nan


def _air_only(f: Files) -> None:
    f.density[:] = 0.0012


def _label_without_mass(f: Files) -> None:
    f.density[f.labels == 7] = 0.0


def _label_in_air(f: Files) -> None:
    f.density[f.labels == 7] = 0.0012


def _nan_label(f: Files) -> None:
    f.labels[0, 0, 0] = np.nan


def _probabilities(f: Files) -> None:
    f.labels *= 0.5


def _nuclide_without_data(f: Files) -> None:
    f.nuclide = "Ac-225"


@pytest.mark.parametrize(
    ("change", "code", "found"),
    [
        (_another_grid, "GRID_MISMATCH", "4.1"),
        (_another_label_grid, "GRID_MISMATCH", "(13, 16, 18)"),
        (_negative_tia, "VALUE_OUT_OF_RANGE", "from -1 to"),
        (_nan_tia, "VALUE_OUT_OF_RANGE", "not finite"),
        (_tia_per_cubic_metre, "TIA_IMPOSSIBLE", "1e+17"),
        (_tia_in_hours, "UNIT_CONTRADICTORY", "MBq*h/mL"),
        (_dose_as_tia, "UNIT_CONTRADICTORY", "Gy"),
        (_density_of_the_wrong_unit, "UNIT_CONTRADICTORY", "kg/m3"),
        (_density_in_kilograms_per_cubic_metre, "VALUE_OUT_OF_RANGE", "1000"),
        (_hounsfield_units_as_density, "VALUE_OUT_OF_RANGE", "-20"),
        (_nan_density, "VALUE_OUT_OF_RANGE", "not finite"),
        (_air_only, "REGION_EMPTY", "label 1, 7"),
        (_label_without_mass, "REGION_EMPTY", "label 7"),
        (_label_in_air, "REGION_EMPTY", "label 7"),
        (_nan_label, "LABELS_INVALID", "not finite"),
        (_probabilities, "LABELS_INVALID", "not whole"),
        (_nuclide_without_data, "NUCLIDE_UNKNOWN", "Ac-225"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_found_needed_and_do(files: Files, change: Any, code: str, found: str) -> None:
    change(files)
    with pytest.raises(RefusalError) as refusal:
        files.dose()
    assert refusal.value.code == code
    assert found in refusal.value.found
    assert len(refusal.value.needed) > 5
    assert len(refusal.value.do) > 10
    assert not files.path("out").exists()


@pytest.mark.parametrize("unit", ["TIA [Bq*s/mL]", "[Bq s/mL]", "[Bq s ml^-1]", "made by a program of 2026"])
def test_the_right_unit_or_none_passes(files: Files, unit: str) -> None:
    files.units["tia"] = unit
    assert files.dose()["flags"] == []


def test_the_second_check_runs_with_every_dose(files: Files) -> None:
    document = files.dose()
    body, warm, cold = document["second_check"]
    assert [check["region"] for check in (body, warm, cold)] == ["body", "1", "7"]
    # Electrons stay in the water around the block; 0.1 % of their energy is bremsstrahlung, which is with the photons.
    assert (body["tolerance"], body["passed"]) == (0.02, True)
    assert -2e-3 < body["difference"] < 0
    # A block of 24.6 g has no cross-dose and 1.16 times the surface of a sphere, which loses 1 % of the electrons.
    assert warm["difference"] == pytest.approx(0.0, abs=0.01)
    assert warm["engine_gy"] == pytest.approx(document["mean_dose_gy"]["1"], rel=1e-6)
    assert (warm["tolerance"], cold["tolerance"]) == (None, None)
    assert "nothing to check" in cold["method"]


def test_a_check_that_fails_is_a_flag(files: Files) -> None:
    """A body of 6 x 8 x 8 mm, all of it warm: more than 2 % of the electrons leave it."""
    files.grids = {name: _grid(side=1.0) for name in files.grids}
    files.density[files.tia == 0] = 0.0012
    files.labels[files.labels == 7] = 0
    document = files.dose()
    assert any(not check["passed"] for check in document["second_check"])
    assert ("SECOND_CHECK_FAILED", "BLOCK") in {(flag["code"], flag["level"]) for flag in document["flags"]}


def test_a_dose_without_labels_has_its_check_too(files: Files) -> None:
    files.dose()
    request = DoseMapRequest(
        files.path("tia"), files.path("density"), "Lu-177", files.path("out"), "local", "cpu", 1, None, None, None, None
    )
    (body,) = dose_from_files(request)["second_check"]
    assert body["passed"]
    assert -2e-3 < body["difference"] < 0


def test_electrons_that_are_missing_fail_and_long_ones_are_shown_only() -> None:
    lutetium, yttrium = load_nuclide("Lu-177"), load_nuclide("Y-90")
    assert body_check(0.97, 1.0, 1000.0, lutetium).passed is False
    assert body_check(0.99, 1.0, 1000.0, lutetium).passed is True
    long = body_check(0.9, 1.0, 1000.0, yttrium)
    assert (long.tolerance, long.passed, long.mean_dose_gy, long.engine_gy) == (None, True, 1.0, 0.9)
    assert body_check(0.0, 0.0, 1000.0, lutetium).tolerance is None


def test_doses_far_below_a_therapy_raise_a_doubt_about_the_unit(files: Files) -> None:
    # MBq h instead of Bq s: 1e11 / 3.6e9; a kidney would have 0.7 nGy.
    files.tia /= 3.6e9
    (flag,) = files.dose()["flags"]
    assert (flag["code"], flag["level"]) == ("TIA_UNIT_DOUBTFUL", "WARN")
    assert "Bq s/mL" in flag["text"]


def test_the_dose_map_says_its_unit(files: Files) -> None:
    files.dose()
    assert stated_unit(files.path("out")) == "Gy"
    values, _ = read_volume(files.path("out"))
    assert values.max() > 1.0
