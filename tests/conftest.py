"""Shared fixtures: array namespaces, and loud skips for programs a machine lacks."""

from __future__ import annotations

import os
import shutil

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip loudly where a program is missing; with CI=true that is a failure."""
    for marker in item.iter_markers("needs"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing and os.environ.get("CI"):
            pytest.fail(f"CI must install {missing}")
        if missing:
            pytest.skip(f"NEEDS {missing}: see docs/contributing")
