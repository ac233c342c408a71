"""Recovery curve RC(v) = 1 - 1/(1 + (v/b)^c) from measured spheres, with its covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import least_squares

from pipeline.domain.therapy import RecoveryCurve
from pipeline.errors import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_SPHERES: Final = 4
START: Final = (3.0, 0.9)
# b and c outside are not a recovery curve of a SPECT camera but a fit that ran away (project choice).
B_ML: Final = (1e-3, 1e3)
C: Final = (0.05, 10.0)
# Lesions get a dose from 8 mL (clinical specification 3.5); the misfit of the smallest spheres is not that of a region.
USED_FROM_ML: Final = 1.0


@dataclass(frozen=True, eq=False)
class RecoveryFit:
    """The fitted curve.

    Attributes
    ----------
    b_ml, c : float
    covariance : ndarray, shape (2, 2)
        Of (b_ml, c); scaled up by the scatter about the curve where that exceeds the stated sigmas.
    fitted : ndarray, shape (sphere,)
    fitted_sigma : ndarray, shape (sphere,)
        From the covariance.
    reduced_chi_square : float
        nan where no sigmas were known.
    misfit_relative : float
        Root mean square of measured over fitted less 1, spheres of 1 mL and more.
    """

    b_ml: float
    c: float
    covariance: NDArray[np.float64]
    fitted: NDArray[np.float64]
    fitted_sigma: NDArray[np.float64]
    reduced_chi_square: float
    misfit_relative: float

    def curve(self, filling_relative_sigma: float = 0.0) -> RecoveryCurve:
        """Return the curve of the site profile: misfit, fit and the filling's sigma in quadrature."""
        fit = float(np.sqrt(np.mean((self.fitted_sigma / self.fitted) ** 2)))
        sigma = float(np.sqrt(self.misfit_relative**2 + fit**2 + filling_relative_sigma**2))
        return RecoveryCurve(self.b_ml, self.c, sigma)


def logistic(volume_ml: NDArray[np.float64], b_ml: float, c: float) -> NDArray[np.float64]:
    """Return RC(v) = 1 - 1/(1 + (v/b)^c)."""
    return np.asarray(1.0 - 1.0 / (1.0 + (np.asarray(volume_ml) / b_ml) ** c))


def curve_sigma(fit: RecoveryFit, volume_ml: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one sigma of the curve at volumes, from the covariance."""
    gradient = _gradient(np.asarray(volume_ml, dtype=np.float64), fit.b_ml, fit.c)
    return np.asarray(np.sqrt(np.einsum("ij,jk,ik->i", gradient, fit.covariance, gradient)))


def _gradient(volume_ml: NDArray[np.float64], b_ml: float, c: float) -> NDArray[np.float64]:
    """Derivatives by (b, c), shape (volume, 2)."""
    recovery = logistic(volume_ml, b_ml, c)
    steep = recovery * (1.0 - recovery)
    return np.stack([-steep * c / b_ml, steep * np.log(volume_ml / b_ml)], axis=1)


def fit_recovery(
    volume_ml: NDArray[np.float64], recovery: NDArray[np.float64], sigma: NDArray[np.float64] | None
) -> RecoveryFit:
    """Fit the logistic curve by weighted least squares.

    Parameters
    ----------
    volume_ml, recovery : ndarray, shape (sphere,)
    sigma : ndarray, shape (sphere,), or None
        One sigma of each recovery coefficient; None: all weigh alike and their scatter is the uncertainty.

    Returns
    -------
    RecoveryFit

    Raises
    ------
    RefusalError
        ``RECOVERY_FIT_FAILED`` for fewer than 4 spheres, or a curve that does not rise with the volume.
    """
    volume, measured = np.asarray(volume_ml, dtype=np.float64), np.asarray(recovery, dtype=np.float64)
    _require_spheres(volume, measured)
    weight = np.ones_like(measured) if sigma is None else 1.0 / np.asarray(sigma, dtype=np.float64)

    def residual(logarithm: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((logistic(volume, *np.exp(logarithm)) - measured) * weight)

    bounds = (np.log([B_ML[0], C[0]]), np.log([B_ML[1], C[1]]))
    found = least_squares(residual, np.log(START), bounds=bounds, xtol=1e-12, ftol=1e-12, gtol=1e-12)
    _require_within(found.x, bounds)
    b_ml, c = (float(value) for value in np.exp(found.x))
    return _with_covariance(volume, measured, weight, b_ml, c, known=sigma is not None)


def _with_covariance(
    volume: NDArray[np.float64], measured: NDArray[np.float64], weight: NDArray[np.float64], b_ml: float, c: float,
    *, known: bool,
) -> RecoveryFit:  # fmt: skip
    fitted, gradient = logistic(volume, b_ml, c), _gradient(volume, b_ml, c)
    weighted = gradient * weight[:, None]
    reduced = float(np.sum(((fitted - measured) * weight) ** 2)) / (volume.size - 2)
    # Birge: scatter beyond the stated sigmas widens the covariance, less scatter never narrows it.
    scale = max(reduced, 1.0) if known else reduced
    covariance = np.asarray(np.linalg.inv(weighted.T @ weighted) * scale, dtype=np.float64)
    used = volume >= USED_FROM_ML
    misfit = measured[used] / fitted[used] - 1.0
    return RecoveryFit(
        b_ml=b_ml,
        c=c,
        covariance=covariance,
        fitted=fitted,
        fitted_sigma=np.sqrt(np.einsum("ij,jk,ik->i", gradient, covariance, gradient)),
        reduced_chi_square=reduced if known else float("nan"),
        misfit_relative=float(np.sqrt(np.mean(misfit**2))) if misfit.size else 0.0,
    )


def _require_spheres(volume_ml: NDArray[np.float64], recovery: NDArray[np.float64]) -> None:
    rising = recovery.size >= FEWEST_SPHERES and recovery[np.argmax(volume_ml)] > recovery[np.argmin(volume_ml)]
    require(
        bool(rising) and bool(np.all(recovery > 0)) and bool(np.isfinite(recovery).all()),
        "RECOVERY_FIT_FAILED",
        found=f"recovery coefficients {np.round(recovery, 3).tolist()} at {np.round(volume_ml, 2).tolist()} mL",
        needed=f"{FEWEST_SPHERES} or more spheres, positive coefficients that rise with the volume",
        do="check the spheres' concentrations and order in the form, and their places in the picture",
        where="recovery",
    )


def _require_within(logarithm: NDArray[np.float64], bounds: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
    near = np.any(np.isclose(logarithm, bounds[0]) | np.isclose(logarithm, bounds[1]))
    require(
        not bool(near),
        "RECOVERY_FIT_FAILED",
        found=f"a curve at the edge of the possible (b {np.exp(logarithm[0]):.3g} mL, c {np.exp(logarithm[1]):.3g})",
        needed=f"b from {B_ML[0]:g} to {B_ML[1]:g} mL, c from {C[0]:g} to {C[1]:g}",
        do="check the spheres' concentrations and order in the form, and their places in the picture",
        where="recovery",
    )
