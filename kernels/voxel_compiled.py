"""Mono-exponential fits of :mod:`kernels.voxel_fit` as machine code, for very many curves; needs the extra `compiled`.

Same equations, same steps, same results but for rounding; in double precision whatever comes in. Numba is imported at
the first use, which takes as long as NumPy takes for some two million fits (docs/performance.md).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kernels.blocks import BLOCK, in_blocks
from kernels.voxel_fit import CurveFits
from kernels.voxel_rates import COMMON_STEPS, CONVERGED, LEAST_DERIVATIVE, MAX_STEPS, rate_by_mean_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kernels.voxel_lanes import Search

    Floats = NDArray[np.float64]

CURE = 'install prrt-dosimetry[compiled], or ask for "numpy" or "auto"'
# Curves of a call into the machine code: enough that its start does not count, small enough to share between threads.
PART = 16_384
# |rate x time| beyond which the decays leave the range of the exponential.
LARGEST_EXPONENT = 700.0


class CompilerMissingError(RuntimeError):
    """Numba is not there or does not start; the message says what was found and what to do."""

    def __init__(self, found: str) -> None:
        super().__init__(f"{found}: {CURE}")
        self.found = found


class RefittedAreas(NamedTuple):
    """Mean and standard deviation of the area under each curve over fits of noisy copies, of shape (n_curves,)."""

    mean: Floats
    deviation: Floats


def compiled_lanes() -> Any:
    """Return the module of compiled routines; :class:`CompilerMissingError` where Numba cannot be imported."""
    try:
        return importlib.import_module("kernels.voxel_lanes")
    except ImportError as error:
        raise CompilerMissingError(f"Numba cannot be imported ({error})") from error


def fit_mono_exponentials_compiled(
    values: NDArray[np.floating],
    times: Sequence[float],
    slowest: float,
    fastest: float,
    fallback_rate: float,
    *,
    weights: NDArray[np.floating] | None = None,
    sigmas: NDArray[np.floating] | None = None,
    power: int = 0,
    rate_unit: float = 1.0,
    threads: int = 2,
) -> CurveFits:
    """Fit A exp(-r t) to every curve.

    Parameters
    ----------
    values, times, slowest, fastest, fallback_rate, weights, power
        As of :func:`kernels.voxel_fit.fit_mono_exponentials`; host arrays.
    sigmas : ndarray, shape (n_times, n_curves) or (n_times, 1), optional
        In place of weights: 1 / sqrt(weight).
    rate_unit : float
        Rates and their sigmas are returned times this.
    threads : int
        The result does not depend on it.

    Returns
    -------
    CurveFits
        Of double precision, with the meaning and the special cases of :func:`kernels.voxel_fit.fit_mono_exponentials`.

    Raises
    ------
    CompilerMissingError
        Where Numba cannot be imported.
    ValueError
        Where weights and sigmas are both given, or decays leave the range of double precision.
    """
    if weights is not None and sigmas is not None:
        raise ValueError("weights and sigmas were given; needed is one of them; leave the other out")
    lanes = compiled_lanes()
    search = _search(lanes, times, slowest, fastest, fallback_rate, power)
    spreads = weights if sigmas is None else sigmas
    spreads = np.ones((len(times), 1)) if spreads is None else spreads
    found = np.empty((6, values.shape[1]))

    def work(part: slice) -> None:
        held = _of_part(values, part), _of_part(spreads, part)
        lanes.fit_part(found, part.start, *held, sigmas is not None, search, rate_unit)

    in_blocks(work, values.shape[1], block=PART, workers=threads)
    return CurveFits(*found)


def refit_areas(
    values: NDArray[np.floating],
    times: Sequence[float],
    slowest: float,
    fastest: float,
    fallback_rate: float,
    *,
    sigmas: NDArray[np.floating],
    refits: int,
    seed: int,
    threads: int = 2,
) -> RefittedAreas:
    """Fit copies of every curve with normal noise of these sigmas, which weight the fits.

    Parameters
    ----------
    values, times, slowest, fastest, fallback_rate, sigmas, threads
        As of :func:`fit_mono_exponentials_compiled`.
    refits : int
        Copies.
    seed : int
        Each block of ``kernels.blocks.BLOCK`` curves draws from ``numpy.random.default_rng([seed, first curve])``.

    Returns
    -------
    RefittedAreas
        A copy without positive amplitude counts as area 0.

    Raises
    ------
    CompilerMissingError, ValueError
        As of :func:`fit_mono_exponentials_compiled`.
    """
    lanes = compiled_lanes()
    search = _search(lanes, times, slowest, fastest, fallback_rate, 0)
    moments = np.zeros((2, values.shape[1]))

    def work(part: slice) -> None:
        random = np.random.default_rng([seed, part.start])
        held, sigma = _of_part(values, part), _of_part(sigmas, part)
        noise, first = np.empty_like(held), np.empty(held.shape[1])
        lanes.add_copy(moments, part.start, held, sigma, noise[:0], first, search)
        for _ in range(refits):
            random.standard_normal(out=noise)
            lanes.add_copy(moments, part.start, held, sigma, noise, first, search)
        # Differences from the first fit: no digits are lost between the mean and the mean square.
        mean, square = moments[:, part] / refits
        moments[0, part] = mean + first
        moments[1, part] = np.sqrt(np.maximum(square - mean**2, 0.0))

    in_blocks(work, values.shape[1], block=BLOCK, workers=threads)
    return RefittedAreas(*moments)


def _search(
    lanes: Any, times: Sequence[float], slowest: float, fastest: float, fallback_rate: float, power: int
) -> Search:
    middle = float(sum(times)) / len(times)
    largest = max(fastest, fallback_rate) * max(abs(times[0] - middle), abs(times[-1] - middle), abs(middle))
    if largest > LARGEST_EXPONENT:
        raise ValueError(f"rate x time reaches {largest:g}; needed at most {LARGEST_EXPONENT:g}; scale the times")
    offsets = tuple(float(time) - middle for time in times)
    start = rate_by_mean_time(offsets, slowest, fastest)
    bounds = float(slowest), float(fastest), float(fallback_rate)
    rules = CONVERGED, COMMON_STEPS, MAX_STEPS, LEAST_DERIVATIVE
    search: Search = lanes.Search(np.array(offsets), middle, *bounds, int(power), *rules, *start)
    return search


def _of_part(array: NDArray[np.floating], part: slice) -> Floats:
    # Always a new array of one kind, so that one machine code serves all; a single column is that of all curves.
    chosen = array if array.shape[1] == 1 else array[:, part]
    return np.array(chosen, dtype=np.float64, order="C")
