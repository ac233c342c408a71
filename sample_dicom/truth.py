"""Absorbed dose of the phantoms by deposit sampling: a calculation of its own, from published numbers only.

A decay's energy is deposited at a random distance in a random direction. Electrons start in the source and stop where
the label map says; photons are sampled backwards (a uniform isotropic kernel is symmetric), from mass-weighted points
of the target to where they may have come from. Neither the product's dose kernels nor its code are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import gamma, gammainc

from pipeline.units import GY_G_PER_MEV, KEV_PER_MEV, MM_PER_CM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sample_dicom.scene import Labels

# Mean energy per decay of 177Lu (keV), ICRP Publication 107: beta 133.3, conversion and Auger electrons 14.6; photons.
ELECTRON_KEV: Final = 147.9
PHOTON_KEV: Final = 35.1
# Share of the electrons' energy deposited within a radius (mm) in water of 1 g/cm3: quantiles of an EGSnrc run (2025,
# ICRP 107 spectra). Interpolated monotonically in -ln(1 - share), in which the curve is nearly straight.
ELECTRON_SHARE: Final = (0.0, 0.50, 0.90, 0.95, 0.99, 0.999, 0.99999)
ELECTRON_RADIUS_MM: Final = (0.0, 0.17, 0.58, 0.72, 0.99, 1.38, 1.8)

SAMPLES_PER_ELECTRON_SOURCE: Final = 200_000
SAMPLES_PER_PHOTON_TARGET: Final = 400_000


@dataclass(frozen=True)
class PhotonGroup:
    """Photons of about one energy: keV per decay, attenuation and energy-absorption coefficient in water (1/cm)."""

    energy_kev: float
    mu_per_cm: float
    mu_en_per_cm: float


# Yields: ICRP Publication 107 (208.4 keV 11.0 %, 112.9 keV 6.40 %; K x rays of Hf 54.6-65 keV, 3.2 keV per decay);
# coefficients: NIST XCOM for water (Berger et al.), energy absorption = photoelectric + mean Compton energy transfer.
PHOTON_GROUPS: Final = (
    PhotonGroup(22.92, 0.13513, 0.02985),  # 208.4 keV
    PhotonGroup(1.21, 0.12014, 0.03173),  # 250 and 321 keV
    PhotonGroup(7.42, 0.16439, 0.02565),  # 113 keV (with 72 and 137 keV)
    PhotonGroup(3.23, 0.21155, 0.03390),  # K x rays, 56.7 keV
)
# L x rays (8 keV): absorbed within millimetres.
L_XRAY_KEV: Final = PHOTON_KEV - sum(group.energy_kev for group in PHOTON_GROUPS)
L_XRAY_MU_PER_CM: Final = 10.0
# Build-up of the absorbed energy B(x) = 1 + C x^p exp(D x), x in mean free paths: Berger's form (1956) with a power. C
# follows from energy conservation in infinite water; D and p were fitted once to the energy that EGSnrc finds absorbed
# within 0.5 to 150 cm in water (0.83, 1.39, 2.54, 6.36, 13.0, 23.9, 30.1, 34.3, 35.1 keV): within 1 %.
BUILD_UP_D: Final = 0.2464
BUILD_UP_POWER: Final = 1.143


def electron_radius_mm(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radius (mm, water of 1 g/cm3) within which ``share`` of the electrons' energy is deposited."""
    nodes = -np.log1p(-np.asarray(ELECTRON_SHARE))
    curve = PchipInterpolator(nodes, ELECTRON_RADIUS_MM)
    return np.asarray(curve(np.minimum(-np.log1p(-share), nodes[-1])))


def photon_kev_within(radius_cm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Photon energy (keV per decay) absorbed within a radius (cm) in infinite water."""
    total = L_XRAY_KEV * -np.expm1(-L_XRAY_MU_PER_CM * radius_cm)
    a, power = 1.0 - BUILD_UP_D, BUILD_UP_POWER
    for group in PHOTON_GROUPS:
        x = group.mu_per_cm * radius_cm
        ratio = group.mu_en_per_cm / group.mu_per_cm
        # C gamma(p + 1) / a^(p + 1) = 1 / ratio - 1 makes the whole equal to the emitted energy.
        total = total + group.energy_kev * (ratio * -np.expm1(-x) + (1.0 - ratio) * gammainc(power + 1.0, a * x))
    return np.asarray(total)


def build_up(group: PhotonGroup, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energy-absorption build-up factor at ``x`` mean free paths."""
    a = 1.0 - BUILD_UP_D
    c = (group.mu_per_cm / group.mu_en_per_cm - 1.0) * a ** (BUILD_UP_POWER + 1.0) / gamma(BUILD_UP_POWER + 1.0)
    return np.asarray(1.0 + c * x**BUILD_UP_POWER * np.exp(BUILD_UP_D * x))


def photon_radius_cm(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radius (cm) within which ``share`` of the photons' energy is absorbed."""
    radii = np.concatenate([[0.0], np.geomspace(1e-4, 400.0, 4000)])
    return np.asarray(np.interp(share, photon_kev_within(radii) / PHOTON_KEV, radii))


@dataclass(frozen=True, eq=False)
class Deposits:
    """Geometry of the deposits: shares by label, shape (256, 256).

    ``electron[s, t]``: share of the electron energy of decays in label s that is deposited in label t.
    ``photon[k, s]``: for region k, share of the backward samples that end in label s.
    """

    electron: NDArray[np.float64]
    photon: NDArray[np.float64]
    volume_ml: NDArray[np.float64]
    density_g_per_cm3: NDArray[np.float64]
    regions: tuple[tuple[int, ...], ...]

    def mean_dose_gy(self, tia_bq_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean dose of every region, shape (regions,), from the TIA (Bq s) of every label, shape (256,).

        Energy over mass; photon energy per mass is that of water (the kernel is not scaled by density).
        """
        mass = self.volume_ml * self.density_g_per_cm3
        electron_mev = ELECTRON_KEV / KEV_PER_MEV * (tia_bq_s @ self.electron)
        concentration = np.divide(tia_bq_s, self.volume_ml, out=np.zeros(256), where=self.volume_ml > 0)
        photon_gy = PHOTON_KEV / KEV_PER_MEV * GY_G_PER_MEV * (self.photon @ concentration)
        inside = [list(parts) for parts in self.regions]
        electron_gy = [GY_G_PER_MEV * electron_mev[parts].sum() / mass[parts].sum() for parts in inside]
        return np.asarray(electron_gy) + photon_gy


def sample_deposits(
    labels: Labels,
    spacing_mm: float,
    density_g_per_cm3: NDArray[np.float64],
    regions: Sequence[tuple[int, ...]],
    seed: int,
) -> Deposits:
    """Sample where energy goes in a drawing of cubic voxels.

    Parameters
    ----------
    labels : ndarray of uint8, shape (slices, rows, columns)
    density_g_per_cm3 : ndarray, shape (256,)
        By label; 0 is air.
    regions : sequence of tuples of labels
        What ``mean_dose_gy`` will report.
    """
    rng = np.random.default_rng([seed, 3])
    field = _Field(labels, spacing_mm, rng)
    volume_ml = field.count * (spacing_mm / MM_PER_CM) ** 3
    electron = np.zeros((256, 256))
    for source in np.flatnonzero(field.count[1:]) + 1:
        electron[source] = _electron_shares(field, int(source), float(density_g_per_cm3[source]))
    photon = np.stack([_photon_shares(field, parts, volume_ml * density_g_per_cm3) for parts in regions])
    return Deposits(electron, photon, volume_ml, density_g_per_cm3, tuple(regions))


class _Field:
    """A label map that can be asked for random points of a label and for the labels at points (voxel units)."""

    def __init__(self, labels: Labels, spacing_mm: float, rng: np.random.Generator) -> None:
        self.labels = labels
        self.spacing_mm = spacing_mm
        self.rng = rng
        self.count = np.bincount(labels.ravel(), minlength=256).astype(np.float64)
        used = np.flatnonzero(labels)
        self._order = used[np.argsort(labels.ravel()[used], kind="stable")]
        self._first = np.concatenate([[0, 0], np.cumsum(self.count[1:]).astype(np.int64)])

    def points(self, label: int, n: int) -> NDArray[np.float64]:
        """``n`` points spread evenly over the voxels of a label, uniform within each voxel; shape (3, n)."""
        low, high = int(self._first[label]), int(self._first[label + 1])
        picked = self._order[low + (np.arange(n, dtype=np.int64) * (high - low)) // n]
        index = np.stack(np.unravel_index(picked, self.labels.shape)).astype(np.float64)
        return np.asarray(index + self.rng.random((3, n)))

    def shares(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the points in each label, shape (256,); outside the map is air."""
        index = np.floor(points).astype(np.int64)
        size = np.asarray(self.labels.shape)[:, None]
        ok = ((index >= 0) & (index < size)).all(axis=0)
        z, y, x = index[:, ok]
        found = np.bincount(self.labels[z, y, x], minlength=256).astype(np.float64)
        return np.asarray(found / points.shape[1])

    def displacements(self, radius_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Isotropic displacements of the given lengths, in voxels, shape (3, n)."""
        cosine = self.rng.uniform(-1.0, 1.0, radius_mm.size)
        angle = self.rng.uniform(0.0, 2.0 * np.pi, radius_mm.size)
        sine = np.sqrt(1.0 - cosine**2)
        unit = np.stack([cosine, sine * np.sin(angle), sine * np.cos(angle)])
        return np.asarray(unit * (radius_mm / self.spacing_mm))

    def stratified(self, n: int) -> NDArray[np.float64]:
        """Random numbers of [0, 1), one in each of ``n`` equal strata, in random order."""
        return np.asarray((self.rng.permutation(n) + self.rng.random(n)) / n)


def _electron_shares(field: _Field, source: int, density_g_per_cm3: float) -> NDArray[np.float64]:
    """Share of a label's electron energy by label of deposit; ranges scale with 1/density of the source."""
    n = SAMPLES_PER_ELECTRON_SOURCE
    radius = electron_radius_mm(field.stratified(n)) / density_g_per_cm3
    return field.shares(field.points(source, n) + field.displacements(radius))


def _photon_shares(field: _Field, parts: tuple[int, ...], mass_g: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where photons absorbed in a region came from: shares by label of backward samples from mass-weighted points."""
    n = SAMPLES_PER_PHOTON_TARGET
    weights = np.array([mass_g[p] for p in parts]) / sum(mass_g[p] for p in parts)
    points = np.concatenate(
        [field.points(p, round(n * w)) for p, w in zip(parts, weights, strict=True) if round(n * w)], axis=1
    )
    radius_mm = photon_radius_cm(field.stratified(points.shape[1])) * MM_PER_CM
    return field.shares(points + field.displacements(radius_mm))
