"""``prrt dose`` says which kernel and which machine made a map, and its second check shares no kernel with it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kernels import backend as backend_module
from pipeline.domain.geometry import Grid
from pipeline.errors import RefusalError
from pipeline.files import kernel_cache
from pipeline.files.nifti import read_volume, write_volume
from pipeline.steps.dose_maps import DoseMapRequest, dose_from_files

SHAPE = (20, 22, 24)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRRT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def dose(tmp_path: Path):
    """Dose of a warm block of 8 x 8 x 8 voxels of 4 mm, 33 g, in water."""
    grid = Grid(SHAPE, np.diag([4.0, 4.0, 4.0, 1.0]), "")
    block = np.zeros(SHAPE, np.float32)
    block[6:14, 7:15, 8:16] = 1.0
    paths = {name: tmp_path / f"{name}.nii.gz" for name in ("tia", "density", "labels", "out")}
    for name, values in (("tia", block * 1e11), ("density", np.ones(SHAPE, np.float32)), ("labels", block)):
        write_volume(paths[name], values, grid)

    def compute(backend: str = "cpu") -> tuple[dict[str, Any], np.ndarray]:
        request = DoseMapRequest(
            paths["tia"], paths["density"], "Lu-177", paths["out"], "convolution", backend, 1, None, paths["labels"],
            None, None,
        )  # fmt: skip
        document = dose_from_files(request)
        return document, np.asarray(read_volume(paths["out"])[0])

    compute.out = paths["out"]
    return compute


def test_the_result_names_its_kernel_and_its_memory(dose, own_cache: Path) -> None:
    document, first = dose()
    (kernel,) = document["voxel_kernels"]
    assert kernel["voxel_mm"] == [4.0, 4.0, 4.0]
    assert [path.stem for path in own_cache.iterdir()] == [kernel["sha256"]]
    assert 1e6 < document["memory_bytes"] < 1e8
    again, values = dose()
    np.testing.assert_array_equal(values, first)
    assert again["voxel_kernels"] == document["voxel_kernels"]


def test_a_wrong_kernel_in_the_cache_does_not_reach_the_second_check(dose, own_cache: Path) -> None:
    # A file that is whole but holds twice the truth: the engine follows it, the check does not, and says so.
    sound, _ = dose()
    (path,) = own_cache.iterdir()
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{name: value if name == "key" else 2.0 * value for name, value in arrays.items()})
    poisoned, _ = dose()
    assert poisoned["mean_dose_gy"]["1"] == pytest.approx(2.0 * sound["mean_dose_gy"]["1"], rel=1e-5)
    before, after = (next(c for c in d["second_check"] if "1" in c["region"]) for d in (sound, poisoned))
    assert after["mean_dose_gy"] == before["mean_dose_gy"]
    # 0.97 of the electrons' and some of the photons' energy stay in 33 g: the check is about 2 % off a sound dose.
    assert abs(before["difference"]) < 0.05
    assert after["difference"] == pytest.approx(2.0 * (1.0 + before["difference"]) - 1.0, rel=1e-4)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(backend_module, "importlib", SimpleNamespace(import_module=missing))


@pytest.mark.usefixtures("no_gpu")
def test_gpu_without_one_is_refused_with_a_cure_and_writes_nothing(dose) -> None:
    with pytest.raises(RefusalError) as refused:
        dose("gpu")
    assert refused.value.code == "BACKEND_UNAVAILABLE"
    assert "auto or cpu" in refused.value.do
    assert not dose.out.exists()


@pytest.mark.usefixtures("no_gpu")
def test_auto_falls_back_and_says_so(dose) -> None:
    document, values = dose("auto")
    assert document["backend"] == "cpu"
    assert "found no CuPy" in document["backend_fallback"]
    asked, expected = dose("cpu")
    assert asked["backend_fallback"] is None
    np.testing.assert_array_equal(values, expected)


def test_a_damaged_kernel_file_changes_no_dose(dose, own_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, sound = dose()
    (path,) = own_cache.iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    _, found = dose()
    np.testing.assert_array_equal(found, sound)
    assert f"kernel file {path} is damaged" in caplog.text
    assert kernel_cache.kernel_folder() == own_cache
