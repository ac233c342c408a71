"""A fitted curve's values with the band that the covariance of its parameters gives them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from pipeline.physics.kinetics.exponentials import ExponentialSum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

THROUGH_THE_POINTS = "trapezoid"
LAST_POINTS = re.compile(r"-last-(\d+)$")


def exponential_sum(parameters: Mapping[str, float], covariance: Vector | None = None) -> ExponentialSum | None:
    """Return the sum of exponentials of an estimate's parameters; None where it has none.

    Parameters
    ----------
    parameters : mapping
        ``amplitude_bq``, ``rate_per_s``, further ones numbered (``amplitude_2_bq``), in pairs.
    covariance : ndarray, optional
        Of the parameters in their order; 0 where not given or of another size.

    Returns
    -------
    ExponentialSum or None
    """
    amplitudes = [value for name, value in parameters.items() if name.startswith("amplitude")]
    rates = [value for name, value in parameters.items() if name.startswith("rate")]
    if not amplitudes or len(amplitudes) != len(rates):
        return None
    size = 2 * len(rates)
    known = covariance is not None and covariance.shape == (size, size)
    matrix = covariance if known and covariance is not None else np.zeros((size, size))
    return ExponentialSum(np.array(amplitudes), np.array(rates), matrix)


def first_fitted_point(model: str, points: int) -> int:
    """Return the index of the first point that a model was fitted through: ``mono-last-2`` took the last two."""
    last = LAST_POINTS.search(model)
    return points - int(last[1]) if last else 0


def fitted_values(time_s: Vector, model: str, parameters: Mapping[str, float]) -> tuple[float | None, ...]:
    """Return the fitted activity at each point; None where no curve was fitted through it.

    Parameters
    ----------
    time_s : ndarray, shape (n,)
    model : str
    parameters : mapping

    Returns
    -------
    tuple of float or None
        Bq.
    """
    fit = exponential_sum(parameters)
    if fit is None or model == THROUGH_THE_POINTS:
        return (None,) * time_s.size
    values: Sequence[float] = fit.values(time_s).tolist()
    first = first_fitted_point(model, time_s.size)
    return tuple(value if index >= first else None for index, value in enumerate(values))


def band(fit: ExponentialSum, time_s: Vector) -> tuple[Vector, Vector]:
    """Return the fitted curve and its standard deviation, by the delta method.

    Parameters
    ----------
    fit : ExponentialSum
    time_s : ndarray, shape (n,)

    Returns
    -------
    value, sigma : ndarray, shape (n,)
        Bq.
    """
    shape = np.exp(-np.outer(time_s, fit.rate_per_s))
    slope = -time_s[:, None] * shape * fit.amplitude_bq
    gradient = np.stack([shape, slope], axis=2).reshape(time_s.size, -1)
    variance = np.einsum("ij,jk,ik->i", gradient, fit.covariance, gradient)
    return fit.values(time_s), np.sqrt(np.maximum(variance, 0.0))
