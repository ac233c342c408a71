"""Shared fixtures: array namespaces, and loud skips for programs a machine lacks."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

# Each test process has a Prefect of its own: workers must not share one database, nor touch that of the user.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="prrt-test-prefect-")
# Nor may a test be fed by, or fill, the user's cache of kernels.
os.environ["PRRT_CACHE"] = tempfile.mkdtemp(prefix="prrt-test-cache-")


def pytest_unconfigure() -> None:
    """Remove the Prefect home and the cache of this process."""
    shutil.rmtree(os.environ["PREFECT_HOME"], ignore_errors=True)
    shutil.rmtree(os.environ["PRRT_CACHE"], ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip loudly where a program is missing; with CI=true that is a failure."""
    for marker in item.iter_markers("needs"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing and os.environ.get("CI"):
            pytest.fail(f"CI must install {missing}")
        if missing:
            pytest.skip(f"NEEDS {missing}: see docs/contributing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under mutation testing the fastest tests go first, as most mutants fail any of them."""
    measured = os.environ.get("PRRT_TEST_DURATIONS")
    if measured and Path(measured).exists():
        durations = json.loads(Path(measured).read_text(encoding="utf-8"))["duration_by_test"]
        items.sort(key=lambda item: durations.get(item.nodeid, 0.0))
