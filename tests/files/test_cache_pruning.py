"""The folder of kernels stays small: by age, by size, never a file in use, never anything else."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from pipeline.files import cache_pruning as module
from pipeline.files import kernel_cache
from pipeline.files.cache_pruning import prune
from pipeline.files.kernel_cache import KernelCache
from pipeline.files.nuclide_tables import load_point_kernel

HOUR, DAY = 3600.0, 86400.0


def kernel(folder: Path, digit: str, *, unused_s: float, size: int = 100) -> Path:
    return aged(folder / f"{digit * 64}.npz", unused_s, size)


def aged(path: Path, unused_s: float, size: int = 100) -> Path:
    path.write_bytes(b"x" * size)
    then = time.time() - unused_s
    os.utime(path, (then, then))
    return path


def test_the_files_used_last_stay_up_to_the_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old, newer, newest = (kernel(tmp_path, d, unused_s=h * HOUR) for d, h in (("a", 50), ("b", 30), ("c", 2)))
    with caplog.at_level(logging.INFO):
        assert prune(tmp_path, most_bytes=250) == [old]
    assert not old.exists()
    assert newer.exists()
    assert newest.exists()
    assert f"{old.name} removed: the cache is full (100 bytes)" in caplog.text
    assert newer.name not in caplog.text


def test_what_was_not_used_for_a_year_goes_whatever_the_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old, young = kernel(tmp_path, "a", unused_s=366 * DAY), kernel(tmp_path, "b", unused_s=364 * DAY)
    with caplog.at_level(logging.INFO):
        assert prune(tmp_path) == [old]
    assert young.exists()
    assert "not used for long" in caplog.text


def test_a_file_in_use_stays_even_beyond_the_size(tmp_path: Path) -> None:
    files = [kernel(tmp_path, d, unused_s=s) for d, s in (("a", 0.0), ("b", 0.9 * HOUR), ("c", 1.1 * HOUR))]
    assert prune(tmp_path, most_bytes=1) == files[2:]
    assert files[0].exists()
    assert files[1].exists()


def test_nothing_but_the_cache_s_own_files_is_touched(tmp_path: Path) -> None:
    very_old = 1000 * DAY
    names = ("notes.npz", "a" * 63 + ".npz", "A" * 64 + ".npz", "a" * 64 + ".npz.bak", ".part-12", "a" * 64)
    others = [aged(tmp_path / name, very_old) for name in names]
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    target = kernel(outside, "d", unused_s=very_old)
    link = tmp_path / ("e" * 64 + ".npz")
    link.symlink_to(target)
    (tmp_path / ("f" * 64 + ".npz")).mkdir()
    assert prune(tmp_path, most_bytes=0) == []
    assert all(path.exists() for path in (*others, target, link, tmp_path / ("f" * 64 + ".npz")))


def test_what_a_killed_writer_left_goes_after_a_day(tmp_path: Path) -> None:
    left, writing = aged(tmp_path / ".part-ab12_xyz", 1.1 * DAY), aged(tmp_path / ".part-ab12_xyw", 0.9 * DAY)
    assert prune(tmp_path) == [left]
    assert writing.exists()


def test_a_file_that_cannot_be_removed_is_said_so_and_the_others_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, loose = (kernel(tmp_path, d, unused_s=h * HOUR) for d, h in (("a", 2), ("b", 3)))
    unlink = Path.unlink

    def refused(self: Path, missing_ok: bool = False) -> None:
        if self == stuck:
            raise PermissionError(13, "is open")
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    assert prune(tmp_path, most_bytes=0) == [loose]
    assert f"{stuck.name} not removed (is open)" in caplog.text


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert prune(tmp_path / "none") == []


def test_writing_prunes_and_reading_counts_as_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point_kernel = load_point_kernel("Lu-177")
    KernelCache(tmp_path)(point_kernel, (5.0, 5.0, 5.0), (1, 1, 1))
    (first,) = tmp_path.iterdir()
    forgotten = kernel(tmp_path, "b", unused_s=2 * HOUR)
    aged_first = time.time() - 3 * HOUR
    os.utime(first, (aged_first, aged_first))
    # read: the older of the two becomes the one used last
    KernelCache(tmp_path)(point_kernel, (5.0, 5.0, 5.0), (1, 1, 1))
    assert time.time() - first.stat().st_mtime < HOUR
    monkeypatch.setattr(kernel_cache, "prune", lambda folder: prune(folder, most_bytes=1))
    KernelCache(tmp_path)(point_kernel, (4.0, 4.0, 4.0), (1, 1, 1))
    assert not forgotten.exists()
    assert first in list(tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2


def test_the_limits_are_those_of_the_docs() -> None:
    howto = (Path(__file__).parents[2] / "docs" / "howto.md").read_text(encoding="utf-8")
    gigabytes, days = module.MOST_BYTES / 1e9, module.LONGEST_UNUSED_S / DAY
    assert f"up to {gigabytes:g} GB" in howto
    assert f"for {days:g} days" in howto
