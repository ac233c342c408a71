"""Which backend is chosen, and what is said when it is not the one asked for."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import array_api_strict
import numpy as np
import pytest

from kernels import backend as backend_module
from kernels.backend import DeviceMissingError, choose_backend, device_of, namespace_of

if TYPE_CHECKING:
    from kernels.backend import Backend


def test_send_and_fetch_give_the_same_numbers(backend: Backend) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, ::-1]
    array = backend.send(values)
    assert namespace_of(array) is not None
    np.testing.assert_array_equal(backend.fetch(array + 1), values + 1)
    assert backend.fetch(array).dtype == np.float32


def test_dtype_is_converted_on_the_way(backend: Backend) -> None:
    assert backend.fetch(backend.send(np.array([1, 2]), dtype=np.float32)).dtype == np.float32


def test_fake_device_cannot_be_read_by_numpy() -> None:
    # The reason the fake device stands in for a GPU: np.asarray on it must fail as it does for CuPy.
    array = array_api_strict.asarray([1.0], device=array_api_strict.Device("device1"))
    with pytest.raises((RuntimeError, TypeError)):
        np.asarray(array)
    assert str(device_of(array)) != "cpu"


def test_cpu_never_falls_back() -> None:
    chosen = choose_backend("cpu")
    assert (chosen.name, chosen.fallback) == ("cpu", "")


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="needed auto, cpu or gpu"):
        choose_backend("cuda")


def _without_cupy(name: str) -> object:
    if name == "cupy":
        raise ModuleNotFoundError("No module named 'cupy'")
    return importlib.import_module(name)


def _without_driver(name: str) -> object:
    cuda = SimpleNamespace(is_available=lambda: False)
    return SimpleNamespace(__version__="14.0.0", cuda=cuda) if name == "cupy" else importlib.import_module(name)


@pytest.mark.parametrize(
    ("imports", "reason"), [(_without_cupy, "no CuPy"), (_without_driver, "no CUDA device")], ids=["package", "driver"]
)
def test_gpu_without_a_device_fails_and_auto_says_why(
    monkeypatch: pytest.MonkeyPatch, imports: object, reason: str
) -> None:
    monkeypatch.setattr(backend_module, "importlib", SimpleNamespace(import_module=imports))
    with pytest.raises(DeviceMissingError, match=reason) as refusal:
        choose_backend("gpu")
    assert 'ask for "cpu"' in str(refusal.value)
    chosen = choose_backend("auto")
    assert chosen.name == "cpu"
    assert reason in chosen.fallback
