"""Spheres found and read out, against an independent numeric blur on a fine grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.spatial.transform import Rotation

from pipeline.domain.geometry import Grid
from pipeline.errors import RefusalError
from pipeline.physics.quantification.sphere_phantom import (
    NEMA_CIRCLE_RADIUS_MM,
    NEMA_DIAMETERS_MM,
    Spheres,
    blurred_sphere,
    find_spheres,
    sphere_fraction,
    sphere_means,
)

SIGMA_MM = 12.0 / 2.354820045
SPHERES, BACKGROUND = 9.0, 1.0
DIAMETERS = np.array(NEMA_DIAMETERS_MM)


def grid(shape: tuple[int, int, int] = (36, 48, 48), spacing_mm: float = 4.8) -> Grid:
    affine = np.zeros((4, 4))
    affine[0, 2] = affine[1, 1] = affine[2, 0] = spacing_mm
    affine[:3, 3] = [-(n - 1) / 2.0 * spacing_mm for n in reversed(shape)]
    affine[3, 3] = 1.0
    return Grid(shape, affine, "")


def ring(handedness: int, turn_degrees: float, tilt_degrees: float, middle: list[float]) -> NDArray[np.float64]:
    angle = handedness * np.deg2rad(60.0) * np.arange(6)
    flat = 57.2 * np.stack([np.cos(angle), np.sin(angle), np.zeros(6)], axis=1)
    turned = Rotation.from_euler("zx", [turn_degrees, tilt_degrees], degrees=True).apply(flat)
    return np.asarray(turned + middle)


def image(centres: NDArray[np.float64], noise: float = 0.0) -> NDArray[np.float64]:
    """Spheres on a background, drawn at 1.2 mm, blurred by scipy, averaged into 4.8 mm voxels."""
    fine, factor = grid((144, 192, 192), 1.2), 4
    z, y, x = (np.arange(n) * 1.2 + o for n, o in zip(fine.shape, fine.affine_mm[[2, 1, 0], 3], strict=True))
    drawn = np.full(fine.shape, BACKGROUND, dtype=np.float32)
    for centre, diameter in zip(centres, DIAMETERS, strict=True):
        kz, ky, kx = (
            np.flatnonzero(np.abs(a - c) <= diameter / 2.0) for a, c in zip((z, y, x), centre[::-1], strict=True)
        )
        near = (x[kx] - centre[0]) ** 2 + (y[ky, None] - centre[1]) ** 2 + (z[kz, None, None] - centre[2]) ** 2
        drawn[np.ix_(kz, ky, kx)] += SPHERES * (near <= (diameter / 2.0) ** 2)
    blurred = gaussian_filter(drawn, SIGMA_MM / 1.2, mode="nearest", truncate=4.0)
    blocks = blurred.reshape(36, factor, 48, factor, 48, factor).mean(axis=(1, 3, 5), dtype=np.float64)
    return np.asarray(blocks + noise * np.random.default_rng(3).standard_normal(blocks.shape))


def numeric_recovery(diameter_mm: float) -> float:
    """Recovery of one sphere on a 0.8 mm grid: blurred, averaged over 4.8 mm twice (stored, read out), read inside."""
    half = math.ceil((diameter_mm / 2.0 + 5.0 * SIGMA_MM) / 0.8)
    axis = np.arange(-half, half + 1) * 0.8
    squared = axis**2 + axis[:, None] ** 2 + axis[:, None, None] ** 2
    sphere = (squared <= (diameter_mm / 2.0) ** 2).astype(np.float64)
    seen = gaussian_filter(sphere, SIGMA_MM / 0.8, mode="constant", truncate=5.0)
    for origin in (0, -1):  # an even width lies half a voxel to one side, then to the other
        seen = uniform_filter(seen, 6, mode="constant", origin=origin)
    return float(np.sum(seen * sphere) / sphere.sum())


def test_blurred_sphere_against_scipy() -> None:
    # Sampling a 22 mm sphere at 1 mm errs by some 0.1 % of the plateau at its border.
    half = 40
    axis = np.arange(-half, half + 1, dtype=np.float64)
    squared = axis**2 + axis[:, None] ** 2 + axis[:, None, None] ** 2
    numeric = gaussian_filter((squared <= 11.0**2).astype(np.float64), 5.0, truncate=6.0)[half, half, half:]
    np.testing.assert_allclose(blurred_sphere(axis[half:], 11.0, 5.0), numeric, atol=2e-3)


def test_blurred_sphere_in_the_middle_is_the_chi_distribution() -> None:
    # At the centre: P(|N| < R) in three dimensions, erf(a) - 2 a exp(-a^2)/sqrt(pi) with a = R/(sigma sqrt 2).
    a = 11.0 / (5.0 * math.sqrt(2.0))
    exact = math.erf(a) - 2.0 * a * math.exp(-(a**2)) / math.sqrt(math.pi)
    assert float(blurred_sphere(np.array([0.0]), 11.0, 5.0)[0]) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(
    ("handedness", "turn", "tilt"), [(1, 0.0, 0.0), (-1, 100.0, 3.0)], ids=["as drawn", "other way round, tilted"]
)
def test_ring_is_found_wherever_it_lies(handedness: int, turn: float, tilt: float) -> None:
    # A fifth of a voxel in any pose; noise of a tenth of the background.
    centres = ring(handedness, turn, tilt, [6.0, -9.0, 11.0])
    found = find_spheres(image(centres, noise=0.1), grid(), DIAMETERS, NEMA_CIRCLE_RADIUS_MM, "series")
    assert np.linalg.norm(found.centre_mm - centres, axis=1).max() < 1.0
    # The blur and one average over a voxel: sqrt(12^2 + 2.355^2 4.8^2 / 12) = 12.4 mm.
    assert found.fwhm_mm == pytest.approx(12.4, abs=0.3)


def test_recovery_of_the_six_spheres_against_a_numeric_blur() -> None:
    """The read-out after finding, against the same blur on a 0.8 mm grid; 0.01 is two per cent of a 20 mm sphere."""
    centres = ring(1, 20.0, 0.0, [1.3, -0.7, 0.9])
    blurred = image(centres)
    found = find_spheres(blurred, grid(), DIAMETERS, NEMA_CIRCLE_RADIUS_MM, "series")
    recovery = (sphere_means(blurred, grid(), found) - BACKGROUND) / SPHERES
    expected = [numeric_recovery(float(diameter)) for diameter in DIAMETERS]
    np.testing.assert_allclose(recovery, expected, atol=0.01)


def test_parts_of_voxels_add_up_to_the_sphere() -> None:
    box, fraction = sphere_fraction(grid(), np.array([1.0, 2.0, 3.0]), 22.0)
    assert fraction.sum() * grid().voxel_volume_ml == pytest.approx(math.pi / 6.0 * 2.2**3, rel=1e-12)
    middle = np.array([np.average(np.arange(side.start, side.stop), weights=fraction.sum(axis=others))
                       for side, others in zip(box, ((1, 2), (0, 2), (0, 1)), strict=True)])  # fmt: skip
    np.testing.assert_allclose(grid().to_lps_mm(middle), [1.0, 2.0, 3.0], atol=0.05)


def test_mean_of_a_uniform_image_is_its_value() -> None:
    spheres = Spheres(np.array([10.0, 37.0]), np.array([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0]]), math.nan)
    np.testing.assert_allclose(sphere_means(np.full(grid().shape, 7.0), grid(), spheres), 7.0, rtol=1e-12)


@pytest.mark.parametrize("kind", ["noise", "one sphere"])
def test_an_image_without_the_ring_is_refused(kind: str) -> None:
    value = np.random.default_rng(1).normal(1.0, 0.1, grid().shape)
    if kind == "one sphere":
        points = grid().to_lps_mm(np.stack(np.meshgrid(*(np.arange(n) for n in grid().shape), indexing="ij"), axis=-1))
        value += 9.0 * blurred_sphere(np.linalg.norm(points - [20.0, 0.0, 0.0], axis=-1), 18.5, SIGMA_MM)
    with pytest.raises(RefusalError) as refusal:
        find_spheres(value, grid(), DIAMETERS, NEMA_CIRCLE_RADIUS_MM, "series 1.2")
    assert refusal.value.code == "SPHERES_NOT_FOUND"
    assert refusal.value.where == "series 1.2"
