"""Where the numbers are computed: host or CUDA device. The only module that imports CuPy."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import array_api_compat
import numpy as np
from array_api_compat import numpy as numpy_namespace

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# An array of NumPy, CuPy or array-api-strict: the array standard has no common static type.
Array = Any
Namespace = Any
BackendName = Literal["cpu", "gpu"]

CURE = 'install prrt-dosimetry[cuda12] or [cuda13] on a machine with an NVIDIA driver, or ask for "cpu" or "auto"'


class DeviceMissingError(RuntimeError):
    """A GPU was asked for by name and there is none; the message says what was found and what to do."""


@dataclass(frozen=True)
class Backend:
    """Where arrays live and which namespace computes on them.

    Attributes
    ----------
    name : {"cpu", "gpu"}
    device : str
        For provenance, as ``cpu`` or the name of the card.
    xp : namespace
        Array API namespace of array-api-compat.
    fallback : str
        Why ``auto`` did not take a GPU; empty where nothing was given up.
    place : object or None
        Device handed to the namespace; None is its default.
    """

    name: BackendName
    device: str
    xp: Namespace
    fallback: str = ""
    place: Any = None

    def send(self, values: NDArray[Any], dtype: DTypeLike | None = None) -> Array:
        """Return ``values`` (any host array) on this backend, as ``dtype`` (NumPy's name) where given."""
        host = np.ascontiguousarray(values, dtype=dtype)
        return self.xp.asarray(host, device=self.place)

    def fetch(self, array: Array) -> NDArray[Any]:
        """Return ``array`` on the host as a NumPy array."""
        return to_host(array)


def to_host(array: Array) -> NDArray[Any]:
    """Return an array of any backend as a NumPy array of the same shape and dtype."""
    if array_api_compat.is_numpy_array(array):
        return np.asarray(array)
    if array_api_compat.is_cupy_array(array):
        return np.asarray(array.get())
    namespace = namespace_of(array)
    return np.asarray(array_api_compat.to_device(array, _host_device(namespace)))


def _host_device(namespace: Namespace) -> Any:
    # array-api-strict names its host device by an object; every other namespace by "cpu".
    return namespace.Device("CPU_DEVICE") if hasattr(namespace, "Device") else "cpu"


def namespace_of(*arrays: Array) -> Namespace:
    """Return the array namespace of ``arrays``; refuses a mixture (TypeError)."""
    return array_api_compat.array_namespace(*arrays)


def device_of(array: Array) -> Any:
    """Return the device of ``array``, to be handed to every new array beside it."""
    return array_api_compat.device(array)


def cpu_backend(fallback: str = "") -> Backend:
    """Return the host backend."""
    return Backend("cpu", "cpu", numpy_namespace, fallback)


def _gpu_backend() -> Backend:
    # CuPy imports without a driver, so only a device that answers counts.
    cupy = importlib.import_module("cupy")
    if not cupy.cuda.is_available():
        raise DeviceMissingError(f"found CuPy {cupy.__version__} but no CUDA device; needed one for gpu; {CURE}")
    namespace = importlib.import_module("array_api_compat.cupy")
    card = cupy.cuda.runtime.getDeviceProperties(0)["name"]
    return Backend("gpu", card.decode() if isinstance(card, bytes) else str(card), namespace)


def _find_gpu() -> Backend:
    try:
        return _gpu_backend()
    except ImportError as missing:
        raise DeviceMissingError(f"found no CuPy ({missing}); needed it for gpu; {CURE}") from missing


def choose_backend(name: str) -> Backend:
    """Return the backend asked for.

    Parameters
    ----------
    name : {"auto", "cpu", "gpu"}
        Only ``auto`` may fall back, and says why in ``fallback``.

    Raises
    ------
    DeviceMissingError
        ``gpu`` without a device.
    ValueError
        Another name.
    """
    if name == "cpu":
        return cpu_backend()
    if name == "gpu":
        return _find_gpu()
    if name != "auto":
        raise ValueError(f"found backend {name!r}; needed auto, cpu or gpu; name one of them")
    try:
        return _find_gpu()
    except DeviceMissingError as missing:
        return cpu_backend(fallback=str(missing))
