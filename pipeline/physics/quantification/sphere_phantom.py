"""Hot spheres of a body phantom: found by fitting their places to the image, read out within their true border."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from scipy.special import erf

from pipeline.errors import RefusalError
from pipeline.physics.quantification.recovery import FWHM_PER_SIGMA
from pipeline.units import MM_PER_CM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.geometry import Grid

    Box = tuple[slice, slice, slice]

# NEMA NU 2-2018 and IEC 61675-1: inner diameters in mm, in this order round a circle of 114.4 mm diameter.
NEMA_DIAMETERS_MM: Final = (10.0, 13.0, 17.0, 22.0, 28.0, 37.0)
NEMA_CIRCLE_RADIUS_MM: Final = 57.2
# Voxels this far from a sphere's border take part in the fit of its place: 1.25 times the resolution.
FIT_MARGIN_MM: Final = 15.0
START_FWHM_MM: Final = 12.0
FWHM_RANGE_MM: Final = (1.0, 40.0)
MOST_TILT_DEGREES: Final = 15.0
# Share of the variance about the spheres that the model must explain (project choice): a right ring explains 99 % in a
# scan of usual noise and 92 % with 50 % noise in each voxel; rings with large spheres exchanged explain 81 to 89 %.
LEAST_EXPLAINED: Final = 0.9
STARTS_FITTED: Final = 2
# A right ring takes some 40 (8 for each step); a wrong one may wander and is refused by what it explains.
MOST_EVALUATIONS: Final = 200
SUBSAMPLES: Final = 8
FEWEST_PLACES, MOST_PLACES = 8, 40


@dataclass(frozen=True, eq=False)
class Spheres:
    """Where the spheres lie.

    Attributes
    ----------
    diameter_mm : ndarray, shape (sphere,)
    centre_mm : ndarray, shape (sphere, 3)
        LPS.
    fwhm_mm : float
        Width of the blur fitted along with the places; nan where places were given.
    """

    diameter_mm: NDArray[np.float64]
    centre_mm: NDArray[np.float64]
    fwhm_mm: float

    @property
    def volume_ml(self) -> NDArray[np.float64]:
        """Volume of each sphere, shape (sphere,)."""
        return np.asarray(math.pi / 6.0 * (self.diameter_mm / MM_PER_CM) ** 3)


def blurred_sphere(distance_mm: NDArray[np.float64], radius_mm: float, sigma_mm: float) -> NDArray[np.float64]:
    """Return a uniform sphere of value 1 after a Gaussian blur, at distances from its centre.

    The radial convolution integral is closed; own derivation, checked against numerical blurring in the tests.

    Parameters
    ----------
    distance_mm : ndarray
    radius_mm, sigma_mm : float
    """
    r = np.maximum(np.asarray(distance_mm, dtype=np.float64), 1e-6 * sigma_mm)
    inner, outer = (radius_mm - r) / sigma_mm, (radius_mm + r) / sigma_mm
    plateau = 0.5 * (erf(outer / math.sqrt(2.0)) + erf(inner / math.sqrt(2.0)))
    edge = sigma_mm / (math.sqrt(2.0 * math.pi) * r) * (np.exp(-0.5 * inner**2) - np.exp(-0.5 * outer**2))
    return np.asarray(plateau - edge)


def ring_offsets_mm(count: int, radius_mm: float, handedness: int) -> NDArray[np.float64]:
    """Return the centres of a ring of spheres about its middle, shape (sphere, 3), in the transverse plane."""
    angle = handedness * 2.0 * math.pi / count * np.arange(count)
    return np.stack([radius_mm * np.cos(angle), radius_mm * np.sin(angle), np.zeros(count)], axis=1)


def find_spheres(
    value: NDArray[np.floating], grid: Grid, diameter_mm: NDArray[np.float64], circle_radius_mm: float, where: str
) -> Spheres:
    """Find a ring of hot spheres by fitting the image of blurred spheres on a uniform background.

    Free are place, turn and tilt of the ring, width of the blur, contrast and background. The hottest places start the
    fit; both senses of rotation are tried (the phantom may lie either way round).

    Parameters
    ----------
    value : ndarray, shape (slices, rows, columns)
    grid : Grid
    diameter_mm : ndarray, shape (sphere,)
        In the order round the ring.
    circle_radius_mm : float
    where : str
        Series, for the refusal.

    Returns
    -------
    Spheres

    Raises
    ------
    RefusalError
        ``SPHERES_NOT_FOUND``.
    """
    image, diameters = np.asarray(value, dtype=np.float64), np.asarray(diameter_mm, dtype=np.float64)
    points_mm = grid.to_lps_mm(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1))
    starts = _starts(_hottest(image, points_mm, grid.spacing_mm, float(diameters.max())), diameters, circle_radius_mm)
    if not starts:
        raise _not_found("no two hot places as far apart as the largest spheres", where)
    problems = [_Problem(image, points_mm, ring) for ring in starts]
    ranked = sorted(problems, key=lambda problem: -problem.explained(problem.solved(problem.start, START_FWHM_MM)[1]))
    fits = [_fitted(problem) for problem in ranked[:STARTS_FITTED]]
    best = max(fits, key=lambda fit: fit.explained)
    if best.explained < LEAST_EXPLAINED or best.contrast <= 0.0 or best.ring.tilt_degrees > MOST_TILT_DEGREES:
        found = (
            f"a ring that explains {best.explained:.0%} of what is seen, tilted by {best.ring.tilt_degrees:.0f} degrees"
        )
        raise _not_found(found, where)
    return Spheres(diameters, best.ring.centres_mm(), best.fwhm_mm)


def _not_found(found: str, where: str) -> RefusalError:
    return RefusalError(
        "SPHERES_NOT_FOUND",
        found=found,
        needed="hot spheres on a transverse circle, in the order and of the diameters that the form names",
        do="check diameters, order and circle in the form; or give contours of the spheres, labels in the same order",
        where=where,
    )


@dataclass(frozen=True, eq=False)
class _Ring:
    """Spheres on a circle: ``offset_mm`` from its middle before the turn (a rotation vector)."""

    offset_mm: NDArray[np.float64]
    diameter_mm: NDArray[np.float64]
    middle_mm: NDArray[np.float64]
    turn: NDArray[np.float64]

    def centres_mm(self) -> NDArray[np.float64]:
        return np.asarray(Rotation.from_rotvec(self.turn).apply(self.offset_mm) + self.middle_mm)

    @property
    def tilt_degrees(self) -> float:
        return math.degrees(math.acos(min(abs(float(Rotation.from_rotvec(self.turn).as_matrix()[2, 2])), 1.0)))


@dataclass(frozen=True, eq=False)
class _Fit:
    ring: _Ring
    fwhm_mm: float
    contrast: float
    explained: float


def _hottest(
    image: NDArray[np.float64], points_mm: NDArray[np.float64], spacing_mm: Sequence[float], apart_mm: float
) -> list[NDArray[np.float64]]:
    """The three hottest places of the image smoothed over half the largest sphere, apart by its diameter."""
    left = gaussian_filter(image, [apart_mm / 2.0 / FWHM_PER_SIGMA / h for h in spacing_mm])
    places: list[NDArray[np.float64]] = []
    for _ in range(3):
        place = points_mm[np.unravel_index(int(np.argmax(left)), left.shape)]
        places.append(place)
        left = np.where(np.linalg.norm(points_mm - place, axis=-1) < apart_mm, -np.inf, left)
    return places


def _starts(seen: Sequence[NDArray[np.float64]], diameters: NDArray[np.float64], circle_mm: float) -> list[_Ring]:
    """Rings that put the two largest spheres on two of the hottest places, either way round."""
    largest, next_largest = (int(index) for index in np.argsort(diameters)[:-3:-1])
    starts = []
    for handedness in (1, -1):
        offset = ring_offsets_mm(diameters.size, circle_mm, handedness)
        expected = offset[next_largest] - offset[largest]
        for one, other in permutations(seen, 2):
            chord = other - one
            if abs(np.linalg.norm(chord) - np.linalg.norm(expected)) < diameters.max() / 2.0:
                turn = np.array([0.0, 0.0, math.atan2(chord[1], chord[0]) - math.atan2(expected[1], expected[0])])
                middle = one - Rotation.from_rotvec(turn).apply(offset[largest])
                starts.append(_Ring(offset, diameters, middle, turn))
    return starts


class _Problem:
    """The voxels about one ring's spheres, and what blurred spheres explain of them."""

    def __init__(self, image: NDArray[np.float64], points_mm: NDArray[np.float64], ring: _Ring) -> None:
        self.start = ring
        about = [
            np.linalg.norm(points_mm - centre, axis=-1) < radius + FIT_MARGIN_MM
            for centre, radius in zip(ring.centres_mm(), ring.diameter_mm / 2.0, strict=True)
        ]
        near = np.any(about, axis=0)
        self._points_mm, self._seen = points_mm[near], image[near]
        self._of_sphere = [np.flatnonzero(mask[near]) for mask in about]

    def solved(self, ring: _Ring, fwhm_mm: float) -> tuple[float, NDArray[np.float64]]:
        """Return contrast and residual for the best contrast and background."""
        sigma, spheres = fwhm_mm / FWHM_PER_SIGMA, np.zeros(self._seen.size)
        # Beyond its own voxels a sphere's blur is below 1 % of it.
        for centre, radius, own in zip(ring.centres_mm(), ring.diameter_mm / 2.0, self._of_sphere, strict=True):
            distance_mm = np.linalg.norm(self._points_mm[own] - centre, axis=-1)
            spheres[own] += blurred_sphere(distance_mm, float(radius), sigma)
        centred, rest = spheres - spheres.mean(), self._seen - self._seen.mean()
        contrast = float(centred @ rest / max(float(centred @ centred), 1e-300))
        return contrast, contrast * centred - rest

    def explained(self, residual: NDArray[np.float64]) -> float:
        """Return the share of the variance that is not in the residual."""
        return 1.0 - float(residual.var()) / max(float(self._seen.var()), 1e-300)

    def moved(self, change: NDArray[np.float64]) -> _Ring:
        """Return the starting ring, shifted (mm) and turned (rad, about its own middle)."""
        start = self.start
        turned = Rotation.from_rotvec(change[3:6]) * Rotation.from_rotvec(start.turn)
        return _Ring(start.offset_mm, start.diameter_mm, start.middle_mm + change[:3], turned.as_rotvec())


def _fitted(problem: _Problem) -> _Fit:
    """Move (mm), turn (rad) and blur (log mm) from the start; Levenberg and Marquardt."""
    scale = np.array([5.0] * 3 + [0.1] * 3 + [0.3])
    narrowest, widest = (math.log(limit) for limit in FWHM_RANGE_MM)

    def width_mm(change: NDArray[np.float64]) -> float:
        return math.exp(min(max(float(change[6]), narrowest), widest))

    def misfit(change: NDArray[np.float64]) -> NDArray[np.float64]:
        return problem.solved(problem.moved(change), width_mm(change))[1]

    start = np.array([0.0] * 6 + [math.log(START_FWHM_MM)])
    found = least_squares(misfit, start, method="lm", x_scale=scale, ftol=1e-6, xtol=1e-5, max_nfev=MOST_EVALUATIONS).x
    ring, fwhm_mm = problem.moved(found), width_mm(found)
    contrast, residual = problem.solved(ring, fwhm_mm)
    return _Fit(ring, fwhm_mm, contrast, problem.explained(residual))


def sphere_fraction(grid: Grid, centre_mm: NDArray[np.float64], diameter_mm: float) -> tuple[Box, NDArray[np.float64]]:
    """Return the box of voxels about a sphere and the part of each that lies inside, from 8^3 points per voxel.

    Parameters
    ----------
    grid : Grid
    centre_mm : ndarray, shape (3,)
        LPS.
    diameter_mm : float

    Returns
    -------
    tuple of (slices, ndarray)
        Scaled so that the sum is the sphere's volume.
    """
    middle = grid.to_index(centre_mm)
    reach = diameter_mm / 2.0 / np.array(grid.spacing_mm) + 1.0
    low = np.maximum(np.floor(middle - reach).astype(int), 0)
    high = np.minimum(np.ceil(middle + reach).astype(int) + 1, grid.shape)
    steps = (np.arange(SUBSAMPLES) + 0.5) / SUBSAMPLES - 0.5
    axes = [(np.arange(a, b)[:, None] + steps).ravel() for a, b in zip(low, high, strict=True)]
    points_mm = grid.to_lps_mm(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
    inside = np.linalg.norm(points_mm - centre_mm, axis=-1) <= diameter_mm / 2.0
    z, y, x = (int(b - a) for a, b in zip(low, high, strict=True))
    fraction = inside.reshape(z, SUBSAMPLES, y, SUBSAMPLES, x, SUBSAMPLES).mean(axis=(1, 3, 5))
    exact = math.pi / 6.0 * (diameter_mm / MM_PER_CM) ** 3 / grid.voxel_volume_ml
    sides = [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    return (sides[0], sides[1], sides[2]), np.asarray(fraction * (exact / fraction.sum()))


def sphere_means(value: NDArray[np.floating], grid: Grid, spheres: Spheres) -> NDArray[np.float64]:
    """Return the mean within the true border of each sphere, shape (sphere,), in the unit of the image."""
    means = []
    for centre, diameter in zip(spheres.centre_mm, spheres.diameter_mm, strict=True):
        box, fraction = sphere_fraction(grid, centre, float(diameter))
        means.append(float(np.sum(value[box] * fraction) / fraction.sum()))
    return np.array(means)


def background_scatter(
    value: NDArray[np.floating], grid: Grid, uniform: NDArray[np.bool_], diameter_mm: float
) -> float | None:
    """Return the scatter (one sigma) of means over spheres of one size that are laid side by side in a uniform part.

    Parameters
    ----------
    value : ndarray, shape (slices, rows, columns)
    grid : Grid
    uniform : ndarray of bool
        Centres may lie here.
    diameter_mm : float

    Returns
    -------
    float or None
        None where fewer than 8 fit.
    """
    step = np.maximum(np.ceil(diameter_mm / np.array(grid.spacing_mm)).astype(int), 2)
    lattice = np.zeros(grid.shape, dtype=bool)
    lattice[:: step[0], :: step[1], :: step[2]] = True
    places = np.argwhere(lattice & uniform)
    reach = np.ceil(diameter_mm / 2.0 / np.array(grid.spacing_mm)) + 2.0
    places = places[np.all((places >= reach) & (places < np.array(grid.shape) - reach), axis=1)]
    if len(places) < FEWEST_PLACES:
        return None
    chosen = places[np.linspace(0, len(places) - 1, min(len(places), MOST_PLACES)).astype(int)]
    # All places are voxel centres, so the parts of the voxels are the same for each.
    box, fraction = sphere_fraction(grid, grid.to_lps_mm(chosen[0]), diameter_mm)
    means = [float(np.sum(value[_shifted(box, place - chosen[0])] * fraction)) for place in chosen]
    return float(np.std(means, ddof=1) / fraction.sum())


def _shifted(box: Box, by: NDArray[np.intp]) -> Box:
    z, y, x = (slice(side.start + int(d), side.stop + int(d)) for side, d in zip(box, by, strict=True))
    return z, y, x
