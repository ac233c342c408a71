"""Array backends that stand in for each other: NumPy, and array-api-strict on a fake device that NumPy cannot read."""

from __future__ import annotations

import array_api_strict
import pytest
from array_api_compat import numpy as numpy_namespace

from kernels.backend import Backend, DeviceMissingError, choose_backend


def _strict() -> Backend:
    return Backend("gpu", "array-api-strict device1", array_api_strict, place=array_api_strict.Device("device1"))


@pytest.fixture(params=["numpy", "strict", pytest.param("gpu", marks=pytest.mark.gpu)])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend the kernels must give one answer on."""
    if request.param == "numpy":
        return Backend("cpu", "cpu", numpy_namespace)
    if request.param == "strict":
        return _strict()
    try:
        return choose_backend("gpu")
    except DeviceMissingError as missing:
        pytest.skip(str(missing))
