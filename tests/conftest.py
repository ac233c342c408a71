"""Shared by all tests: threads, folders that one worker makes for all, loud skips for programs a machine lacks."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

# A worker has one core. Threads of BLAS that find no second one spin: cutting out organs took three times its time.
# Read when numpy is imported, which is after this; programs that tests start inherit it.
for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

# Each test process has a Prefect of its own: workers must not share one database, nor touch that of the user.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="prrt-test-prefect-")
# Nor may a test be fed by, or fill, the user's cache of kernels.
os.environ["PRRT_CACHE"] = tempfile.mkdtemp(prefix="prrt-test-cache-")


def pytest_unconfigure() -> None:
    """Remove the Prefect home and the cache of this process."""
    shutil.rmtree(os.environ["PREFECT_HOME"], ignore_errors=True)
    shutil.rmtree(os.environ["PRRT_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def once_per_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Return ``make(name, fill)``: a folder that one worker fills and every worker reads; nobody writes there later.

    It lies under the temporary root of this run of pytest: nothing made by an earlier run, or earlier code, is found.
    """
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = root / f"once-{name}", root / f"once-{name}.done"
        with (root / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                # a failed attempt of another worker
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip loudly where a program is missing; with CI=true that is a failure."""
    for marker in item.iter_markers("needs"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing and os.environ.get("CI"):
            pytest.fail(f"CI must install {missing}")
        if missing:
            pytest.skip(f"NEEDS {missing}: see docs/contributing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long tests go first, so that no worker ends with one alone.

    Under mutation testing the fastest tests go first, as most mutants fail any of them.
    """
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
    measured = os.environ.get("PRRT_TEST_DURATIONS")
    if measured and Path(measured).exists():
        durations = json.loads(Path(measured).read_text(encoding="utf-8"))["duration_by_test"]
        items.sort(key=lambda item: durations.get(item.nodeid, 0.0))
