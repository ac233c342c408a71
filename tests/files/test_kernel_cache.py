"""Kernels on disk: the same numbers as computed, one file for one recipe, and no trust in a file that is damaged."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.files import kernel_cache as module
from pipeline.files.kernel_cache import KernelCache, cache_folder, kernel_key
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.physics.dose.dose_kernel import (
    PointKernel,
    voxel_s_values,
    with_bremsstrahlung_as_photons,
    with_energies_of,
)

SPACING, EXTENT = (5.0, 4.8, 4.8), (3, 6, 9)


@pytest.fixture
def water() -> PointKernel:
    return with_bremsstrahlung_as_photons(load_point_kernel("Lu-177"))


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Count the integrations that are really done."""
    done: list[tuple[int, int, int]] = []

    def compute(point_kernel, spacing_mm, extent):
        done.append(extent)
        return voxel_s_values(point_kernel, spacing_mm, extent)

    monkeypatch.setattr(module, "voxel_s_values", compute)
    return done


def test_kept_numbers_are_the_computed_ones(water: PointKernel, tmp_path: Path, monkeypatch) -> None:
    done = counted(monkeypatch)
    first, again = (KernelCache(tmp_path)(water, SPACING, EXTENT) for _ in range(2))
    assert len(done) == 1
    direct = voxel_s_values(water, SPACING, EXTENT)
    for name in ("electron_gy_per_bq_s", "photon_gy_per_bq_s"):
        assert getattr(again, name).shape == (4, 7, 10)
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        # A longer octant may add in another order: rounding of doubles.
        np.testing.assert_allclose(getattr(again, name), getattr(direct, name), rtol=1e-12)
        assert not getattr(again, name).flags.writeable
    assert (again.source, again.medium, again.spacing_mm) == (direct.source, "water", SPACING)


def test_the_next_body_finds_the_kernel_of_this_one(water: PointKernel, tmp_path: Path, monkeypatch) -> None:
    done = counted(monkeypatch)
    kernels = KernelCache(tmp_path)
    for extent in ((20, 31, 5), (31, 0, 17), (4, 4, 4)):
        kernels(water, SPACING, extent)
    assert done == [(31, 31, 31)]
    kernels(water, SPACING, (32, 4, 4))
    assert done[1:] == [(63, 31, 31)]
    assert len(files_in(tmp_path)) == 2


def test_whatever_the_numbers_are_made_from_is_in_the_name(water: PointKernel, monkeypatch) -> None:
    scaled = with_energies_of(water, load_nuclide("Lu-177", "DDEP"))
    keys = [
        kernel_key(water, SPACING, EXTENT),
        kernel_key(scaled, SPACING, EXTENT),
        kernel_key(load_point_kernel("Lu-177"), SPACING, EXTENT),
        kernel_key(load_point_kernel("Y-90"), SPACING, EXTENT),
        kernel_key(water, (4.8, 5.0, 4.8), EXTENT),
        kernel_key(water, SPACING, (6, 3, 9)),
    ]
    monkeypatch.setattr(module, "integration_hash", lambda: "other code")
    keys.append(kernel_key(water, SPACING, EXTENT))
    assert len(set(keys)) == len(keys)


def test_the_provenance_names_each_kernel_once(water: PointKernel, tmp_path: Path) -> None:
    kernels = KernelCache(tmp_path)
    for spacing in (SPACING, SPACING, (1.0, 1.0, 1.0)):
        kernels(water, spacing, (1, 1, 1))
    assert [entry["voxel_mm"] for entry in kernels.used] == [[5.0, 4.8, 4.8], [1.0, 1.0, 1.0]]
    assert sorted(entry["sha256"] + ".npz" for entry in kernels.used) == [path.name for path in files_in(tmp_path)]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_recipe(path: Path) -> None:
    with np.load(path) as stored:
        np.savez(path, **(dict(stored) | {"key": np.array("another")}))


def negative(path: Path) -> None:
    with np.load(path) as stored:
        np.savez(path, **(dict(stored) | {"photon_gy_per_bq_s": -stored["photon_gy_per_bq_s"]}))


@pytest.mark.parametrize("damage", [truncated, one_bit, empty, other_recipe, negative])
def test_a_damaged_file_is_computed_again_and_said_so(
    water: PointKernel, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage
) -> None:
    sound = KernelCache(tmp_path)(water, SPACING, EXTENT)
    (path,) = files_in(tmp_path)
    damage(path)
    with caplog.at_level(logging.WARNING):
        found = KernelCache(tmp_path)(water, SPACING, EXTENT)
    assert "is damaged" in caplog.text
    np.testing.assert_array_equal(found.photon_gy_per_bq_s, sound.photon_gy_per_bq_s)
    caplog.clear()
    KernelCache(tmp_path)(water, SPACING, EXTENT)
    assert caplog.text == "", "the damaged file was not replaced"


def test_a_folder_that_cannot_be_written_to_costs_time_only(
    water: PointKernel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kernels").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        found = KernelCache(tmp_path / "kernels")(water, SPACING, EXTENT)
    assert "not kept" in caplog.text
    assert found.photon_gy_per_bq_s.shape == (4, 7, 10)


def test_writers_side_by_side_leave_one_whole_file(water: PointKernel, tmp_path: Path) -> None:
    together = threading.Barrier(6)
    found = []

    def write() -> None:
        together.wait()
        found.append(KernelCache(tmp_path)(water, SPACING, EXTENT).photon_gy_per_bq_s)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all(np.array_equal(values, found[0]) for values in found)
    assert len(files_in(tmp_path)) == 1, "a partial file was left behind"


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("PRRT_CACHE", raising=False)
    assert cache_folder() == tmp_path / "xdg" / "prrt"
    monkeypatch.setenv("PRRT_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert module.kernel_folder() == tmp_path / "mine" / "kernels"
    monkeypatch.delenv("PRRT_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(module.sys, "platform", "linux")
    assert cache_folder() == Path.home() / ".cache" / "prrt"
