"""A kernel from elsewhere beside ours: where they differ, and by how much two careful codes differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import require
from pipeline.units import GY_G_PER_MEV, KEV_PER_MEV, MM3_PER_ML

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.domain.dose import DoseKernel
    from pipeline.physics.dose.sphere import SphereValue

    Floats = NDArray[np.float64]
    Step = tuple[int, int, int]

# Relative, by place: differences of EGSnrc from Lanconelli et al. (Phys Med Biol 57:517, 2012) at 2 to 4.8 mm are 0.3,
# 1 to 2, 2 to 3 and 1 to 3 %; a little more is left for other decay data. Spheres: 1.5 %.
TOLERANCES = {"self": 0.01, "face": 0.03, "edge": 0.04, "corner": 0.04, "tail": 0.03, "energy": 0.01}
SPHERE_TOLERANCE = 0.015
# No two nuclides of therapy differ so much in a self S value: what differs more is in another unit.
UNIT_FACTOR = 30.0
FARTHER_THAN_NEIGHBOURS = 2


@dataclass(frozen=True)
class KernelDifference:
    """One line of a comparison; ``difference`` is theirs / ours - 1, None where ours is zero.

    Attributes
    ----------
    place : str
        ``self``, ``face``, ``edge``, ``corner``, ``tail`` (two steps and more: the median of all), ``energy`` (inside
        the steps that both have), or ``sphere``.
    at : str
        Step (slice, row, column), or mass.
    ours, theirs : float
        Gy per decay; MeV per decay for ``energy``.
    difference, tolerance : float
    """

    place: str
    at: str
    ours: float
    theirs: float
    difference: float | None
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the difference is inside the tolerance."""
        return self.difference is not None and abs(self.difference) <= self.tolerance


def _difference(place: str, at: str, ours: float, theirs: float, tolerance: float) -> KernelDifference:
    return KernelDifference(place, at, ours, theirs, theirs / ours - 1.0 if ours > 0 else None, tolerance)


def require_same_unit(ours: float, theirs: float, where: str) -> None:
    """Refuse values that can only be in another unit (``KERNEL_UNIT_CONTRADICTORY``)."""
    require(
        ours / UNIT_FACTOR < theirs < ours * UNIT_FACTOR,
        "KERNEL_UNIT_CONTRADICTORY",
        found=f"an S value {theirs / ours:.3g} times ours",
        needed="S values in mGy/(MBq s), or in Gy/(Bq s) where the file says so",
        do="name the unit: in the CSV's columns or JSON's keys, or in square brackets in the NIfTI's description",
        where=where,
    )


def octant_differences(ours: DoseKernel, theirs: Floats) -> list[KernelDifference]:
    """Return the differences of two octants at the centre, its neighbours, the tail, and in energy.

    Parameters
    ----------
    ours : DoseKernel
        At least as large as ``theirs``.
    theirs : ndarray, shape (a, b, c)
        Gy per decay, electrons and photons together; NaN where the file has no value.
    """
    whole = ours.electron_gy_per_bq_s + ours.photon_gy_per_bq_s
    part = whole[: theirs.shape[0], : theirs.shape[1], : theirs.shape[2]]
    rows = [
        _difference(_place(k), _words(k), float(part[k]), float(theirs[k]), TOLERANCES[_place(k)])
        for k in np.ndindex(2, 2, 2)
        if all(step < size for step, size in zip(k, theirs.shape, strict=True)) and np.isfinite(theirs[k])
    ]
    rows += _tail(part, theirs)
    if np.isfinite(theirs).all():
        rows.append(_energy(ours, part, theirs))
    return sorted(rows, key=lambda row: list(TOLERANCES).index(row.place))


def _words(step: Step) -> str:
    return " ".join(map(str, step))


def _place(step: Step) -> str:
    return ("self", "face", "edge", "corner")[sum(step)]


def _tail(ours: Floats, theirs: Floats) -> list[KernelDifference]:
    """Return the median of the tail and the values farthest along each axis."""
    far = np.isfinite(theirs) & (np.indices(theirs.shape).max(axis=0) >= FARTHER_THAN_NEIGHBOURS) & (ours > 0)
    if not far.any():
        return []
    tolerance = TOLERANCES["tail"]
    median = float(np.median(theirs[far] / ours[far])) - 1.0
    rows = [KernelDifference("tail", "median", float(ours[far].mean()), float(theirs[far].mean()), median, tolerance)]
    for axis in range(3):
        step = [0, 0, 0]
        step[axis] = theirs.shape[axis] - 1
        k = (step[0], step[1], step[2])
        if far[k]:
            rows.append(_difference("tail", _words(k), float(ours[k]), float(theirs[k]), tolerance))
    return rows


def _energy(ours: DoseKernel, part: Floats, theirs: Floats) -> KernelDifference:
    mass_g = float(np.prod(ours.spacing_mm)) / MM3_PER_ML * ours.density_g_per_cm3
    mine, other = (kernel_sum(octant) * mass_g / GY_G_PER_MEV for octant in (part, theirs))
    at = "x".join(str(2 * size - 1) for size in theirs.shape)
    return _difference("energy", at, mine, other, TOLERANCES["energy"])


def kernel_sum(octant: Floats) -> float:
    """Return the sum over the whole kernel of which one octant is given: steps off a mirror plane count twice."""
    weights = [np.where(np.arange(size) == 0, 1.0, 2.0) for size in octant.shape]
    return float(np.einsum("abc,a,b,c->", octant, *weights))


def kernel_energy_kev(kernel: DoseKernel) -> tuple[float, float]:
    """Return (electron, photon) energy in keV per decay that a kernel holds within its extent."""
    gy_per_kev = GY_G_PER_MEV * MM3_PER_ML / (float(np.prod(kernel.spacing_mm)) * kernel.density_g_per_cm3)
    electrons, photons = (kernel_sum(part) for part in (kernel.electron_gy_per_bq_s, kernel.photon_gy_per_bq_s))
    return electrons / gy_per_kev * KEV_PER_MEV, photons / gy_per_kev * KEV_PER_MEV


def sphere_differences(ours: Sequence[SphereValue], theirs: Sequence[float]) -> list[KernelDifference]:
    """Return the differences of self S values (Gy per decay) of spheres of the same masses."""
    return [
        _difference("sphere", f"{mine.mass_g:g} g", mine.s_gy_per_bq_s, other, SPHERE_TOLERANCE)
        for mine, other in zip(ours, theirs, strict=True)
    ]
