"""Test phantoms: the NEMA IEC body phantom with six hot spheres, and a uniform cylinder. Physical decay only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.units import BQ_PER_MBQ, MM_PER_CM
from sample_dicom import tissues
from sample_dicom.kinetics import LU177_HALF_LIFE_H, Curve, rate_per_s
from sample_dicom.scene import Part, RegionOfTruth, Scene
from sample_dicom.shapes import Column, Ellipsoid, Vector

if TYPE_CHECKING:
    from numpy.typing import NDArray

WALL, WATER, LUNG_INSERT, FIRST_SPHERE = 1, 2, 3, 10

# NEMA NU 2-2018 / IEC 61675-1: inner diameters of the spheres (mm), on a circle of 57.2 mm about the lung insert, in
# one plane 70 mm below the lid; inner length 180 mm; lung insert 50 mm wide.
SPHERES_MM: Final = (10.0, 13.0, 17.0, 22.0, 28.0, 37.0)
SPHERE_CIRCLE_MM: Final = 57.2
SPHERE_PLANE_MM: Final = 20.0  # above the middle
HALF_LENGTH_MM: Final = 90.0
LUNG_INSERT_RADIUS_MM: Final = 25.0
WALL_MM: Final = 3.0
SPHERE_BQ_PER_ML: Final = 1.0 * BQ_PER_MBQ
BACKGROUND_BQ_PER_ML: Final = 0.1 * BQ_PER_MBQ

CYLINDER_RADIUS_MM: Final = 100.0
CYLINDER_HALF_LENGTH_MM: Final = 100.8  # a whole number of 2.4 mm voxels
CYLINDER_BQ_PER_ML: Final = 0.12 * BQ_PER_MBQ


@dataclass(frozen=True, eq=False)
class BodyShell:
    """The NEMA body: a half disc of 147 mm in front, below it two quarter discs of 77 mm about a flat of 140 mm."""

    centre_mm: Vector
    half_height_mm: float
    margin_mm: float = 0.0

    @property
    def reach_mm(self) -> NDArray[np.float64]:
        """Half extents of the enclosing box."""
        return np.array([147.0 + self.margin_mm, 112.0 + self.margin_mm, self.half_height_mm])

    def inside(self, offset: list[NDArray[np.float32]]) -> NDArray[np.bool_]:
        """Tell which points lie inside."""
        x, y, z = offset
        below = y - 35.0  # the discs' centres lie 35 mm behind the middle
        front = (below <= 0) & (np.square(x) + np.square(below) <= (147.0 + self.margin_mm) ** 2)
        beside = np.maximum(np.abs(x) - 70.0, 0.0)
        back = (below > 0) & (np.square(beside) + np.square(below) <= (77.0 + self.margin_mm) ** 2)
        return np.asarray((front | back) & (np.abs(z) <= self.half_height_mm))


def nema_scene() -> Scene:
    """Return the NEMA IEC body phantom; ``lesion-1`` is the 10 mm sphere, ``lesion-6`` the 37 mm one."""
    parts = [
        Part(WALL, BodyShell((0.0, 0.0, 0.0), HALF_LENGTH_MM + WALL_MM, WALL_MM)),
        Part(WATER, BodyShell((0.0, 0.0, 0.0), HALF_LENGTH_MM)),
        Part(LUNG_INSERT, Column((0.0, 0.0, 0.0), (LUNG_INSERT_RADIUS_MM,) * 2, HALF_LENGTH_MM)),
    ]
    made = {WALL: tissues.PLASTIC, WATER: tissues.WATER, LUNG_INSERT: tissues.LUNG}
    regions = [RegionOfTruth(1, "background", None, "organ", (WATER,))]
    for i, diameter in enumerate(SPHERES_MM):
        angle = np.deg2rad(60.0 * i)
        centre = (float(SPHERE_CIRCLE_MM * np.cos(angle)), float(SPHERE_CIRCLE_MM * np.sin(angle)), SPHERE_PLANE_MM)
        parts.append(Part(FIRST_SPHERE + i, Ellipsoid(centre, (diameter / 2.0,) * 3)))
        made[FIRST_SPHERE + i] = tissues.WATER
        regions.append(RegionOfTruth(11 + i, f"lesion-{i + 1}", None, "lesion", (FIRST_SPHERE + i,)))
    return Scene(tuple(parts), made, tuple(regions))


def cylinder_scene() -> Scene:
    """Return a uniform cylinder of 20 cm diameter and 20 cm length."""
    outer = Column((0.0, 0.0, 0.0), (CYLINDER_RADIUS_MM + WALL_MM,) * 2, CYLINDER_HALF_LENGTH_MM + WALL_MM)
    inner = Column((0.0, 0.0, 0.0), (CYLINDER_RADIUS_MM,) * 2, CYLINDER_HALF_LENGTH_MM)
    made = {WALL: tissues.PLASTIC, WATER: tissues.WATER}
    return Scene(
        (Part(WALL, outer), Part(WATER, inner)), made, (RegionOfTruth(1, "cylinder", None, "organ", (WATER,)),)
    )


def nema_activity_bq() -> float:
    """Activity filled in: six spheres and what is left of the body."""
    spheres = sum(sphere_volume_ml(d) for d in SPHERES_MM)
    section_mm2 = np.pi * 147.0**2 / 2.0 + np.pi * 77.0**2 / 2.0 + 140.0 * 77.0
    insert_mm2 = np.pi * LUNG_INSERT_RADIUS_MM**2
    body_ml = (section_mm2 - insert_mm2) * 2.0 * HALF_LENGTH_MM / MM_PER_CM**3
    return float(spheres * SPHERE_BQ_PER_ML + (body_ml - spheres) * BACKGROUND_BQ_PER_ML)


def cylinder_activity_bq() -> float:
    """Activity filled in."""
    return float(np.pi * CYLINDER_RADIUS_MM**2 * 2.0 * CYLINDER_HALF_LENGTH_MM / MM_PER_CM**3 * CYLINDER_BQ_PER_ML)


def sphere_volume_ml(diameter_mm: float) -> float:
    """Volume of a sphere."""
    return float(np.pi / 6.0 * (diameter_mm / MM_PER_CM) ** 3)


def nema_curves(
    seed: int, cycle: int, administered_bq: float, volume_ml: NDArray[np.float64], *, perfect: bool
) -> tuple[dict[int, Curve], Curve]:
    """Activity of spheres (true volume times concentration) and background, which holds the rest; no blood."""
    del seed, cycle
    strength = administered_bq / nema_activity_bq()
    spheres = {
        FIRST_SPHERE + i: strength
        * SPHERE_BQ_PER_ML
        * (float(volume_ml[FIRST_SPHERE + i]) if perfect else sphere_volume_ml(diameter))
        for i, diameter in enumerate(SPHERES_MM)
    }
    filled = spheres | {WATER: administered_bq - sum(spheres.values())}
    return {label: _decaying(bq) for label, bq in filled.items()}, Curve(())


def cylinder_curves(
    seed: int, cycle: int, administered_bq: float, volume_ml: NDArray[np.float64], *, perfect: bool
) -> tuple[dict[int, Curve], Curve]:
    """All activity in the water; no blood."""
    del seed, cycle, volume_ml, perfect
    return {WATER: _decaying(administered_bq)}, Curve(())


def _decaying(activity_bq: float) -> Curve:
    return Curve(((activity_bq, rate_per_s(LU177_HALF_LIFE_H)),))
