"""A sum of decaying exponentials with the covariance of its parameters: values, areas and their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Quantity:
    """A value that depends on a fit, with its gradient in the fit's parameters, shape (2 k,)."""

    value: float
    gradient: NDArray[np.float64]

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.value + other.value, self.gradient + other.gradient)

    def scaled(self, factor: float) -> Quantity:
        """Return the quantity times a constant."""
        return Quantity(self.value * factor, self.gradient * factor)


@dataclass(frozen=True, eq=False)
class ExponentialSum:
    """f(t) = sum of A_k exp(-lambda_k t), slowest component first.

    Attributes
    ----------
    amplitude_bq, rate_per_s : ndarray, shape (k,)
        Amplitudes at t = 0; the unit of activity is that of the curve (Bq, or Bq/mL for blood).
    covariance : ndarray, shape (2 k, 2 k)
        Of (A_1, lambda_1, A_2, lambda_2, ...).
    converged : bool
    """

    amplitude_bq: NDArray[np.float64]
    rate_per_s: NDArray[np.float64]
    covariance: NDArray[np.float64]
    converged: bool = True

    def values(self, time_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return f at ``time_s``, shape (n,)."""
        return np.asarray(np.exp(-np.outer(time_s, self.rate_per_s)) @ self.amplitude_bq)

    def at(self, time_s: float) -> Quantity:
        """Return f at one time, with its gradient."""
        shape = np.exp(-self.rate_per_s * time_s)
        return self._quantity(shape, -time_s * shape)

    def area(self, begin_s: float, end_s: float) -> Quantity:
        """Return the integral of f from ``begin_s`` to ``end_s`` (may be infinite), with its gradient."""
        first, first_slope = self._remaining(begin_s)
        last, last_slope = self._remaining(end_s)
        return self._quantity(first - last, first_slope - last_slope)

    def sigma_of(self, quantity: Quantity) -> float:
        """Return the standard deviation of a quantity by the delta method."""
        return math.sqrt(max(float(quantity.gradient @ self.covariance @ quantity.gradient), 0.0))

    def parameters(self) -> dict[str, float]:
        """Return the parameters by name; those of further components are numbered."""
        named: dict[str, float] = {}
        for index, (amplitude, rate) in enumerate(zip(self.amplitude_bq, self.rate_per_s, strict=True), start=1):
            number = "" if index == 1 else f"_{index}"
            named[f"amplitude{number}_bq"] = float(amplitude)
            named[f"rate{number}_per_s"] = float(rate)
        return named

    def _remaining(self, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # Integral of exp(-lambda t) from time_s on, and its derivative in lambda.
        if math.isinf(time_s):
            return np.zeros_like(self.rate_per_s), np.zeros_like(self.rate_per_s)
        area = np.exp(-self.rate_per_s * time_s) / self.rate_per_s
        return area, -area * (time_s + 1.0 / self.rate_per_s)

    def _quantity(self, per_amplitude: NDArray[np.float64], per_rate: NDArray[np.float64]) -> Quantity:
        gradient = np.stack([per_amplitude, self.amplitude_bq * per_rate], axis=1).ravel()
        return Quantity(float(per_amplitude @ self.amplitude_bq), gradient)


def fisher_covariance(
    time_s: NDArray[np.float64],
    amplitude_bq: NDArray[np.float64],
    rate_per_s: NDArray[np.float64],
    sigma_bq: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the covariance of a weighted fit, (J^T W J)^-1, with absolute weights.

    Not rescaled by the residuals: with three points that would cover 71 % instead of 95 % (clinical specification
    3.3). A component without amplitude has no error in its rate.

    Parameters
    ----------
    time_s, sigma_bq : ndarray, shape (n,)
    amplitude_bq, rate_per_s : ndarray, shape (k,)

    Returns
    -------
    ndarray, shape (2 k, 2 k)
    """
    shape = np.exp(-np.outer(time_s, rate_per_s))
    columns = np.stack([shape, -time_s[:, None] * shape * amplitude_bq], axis=2).reshape(time_s.size, -1)
    weighted = columns / sigma_bq[:, None]
    length = np.linalg.norm(weighted, axis=0)
    length[length == 0.0] = 1.0
    inverse = np.linalg.pinv(weighted / length, rcond=1e-12)
    return np.asarray((inverse @ inverse.T) / np.outer(length, length))
