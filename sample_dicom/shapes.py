"""Solids the phantoms are built of; points in, inside or not out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Vector = tuple[float, float, float]
IDENTITY = np.eye(3)


def rotation(degrees_xyz: Vector) -> NDArray[np.float64]:
    """Return the rotation matrix, shape (3, 3), about x, then y, then z (degrees)."""
    a, b, c = np.deg2rad(degrees_xyz)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


class Shape(Protocol):
    """A solid in LPS mm."""

    @property
    def centre_mm(self) -> Vector:
        """Centre of the solid (x, y, z)."""

    @property
    def reach_mm(self) -> NDArray[np.float64]:
        """Half extents of a box around the centre that holds the solid, shape (3,)."""

    def inside(self, offset: list[NDArray[np.float32]]) -> NDArray[np.bool_]:
        """Tell which points lie inside; ``offset`` holds x, y, z from the centre (broadcastable)."""


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """An ellipsoid, turned by ``turn`` (columns are its axes)."""

    centre_mm: Vector
    semi_axes_mm: Vector
    turn: NDArray[np.float64] = field(default_factory=lambda: IDENTITY)

    @property
    def reach_mm(self) -> NDArray[np.float64]:
        """Half extents of the enclosing box."""
        return np.asarray(np.abs(self.turn) @ np.asarray(self.semi_axes_mm))

    def inside(self, offset: list[NDArray[np.float32]]) -> NDArray[np.bool_]:
        """Tell which points lie inside."""
        total: NDArray[np.float32] = np.zeros((), dtype=np.float32)
        for axis, semi in zip(self.turn.T, self.semi_axes_mm, strict=True):
            along = sum((float(c) / semi) * o for c, o in zip(axis, offset, strict=True) if abs(c) > 1e-12)
            total = total + np.square(along)
        return np.asarray(total <= 1.0)


@dataclass(frozen=True, eq=False)
class Column:
    """An upright column of (super)elliptic cross-section |x/a|^n + |y/b|^n <= 1."""

    centre_mm: Vector
    semi_axes_mm: tuple[float, float]
    half_height_mm: float
    exponent: float = 2.0

    @property
    def reach_mm(self) -> NDArray[np.float64]:
        """Half extents of the enclosing box."""
        return np.array([*self.semi_axes_mm, self.half_height_mm])

    def inside(self, offset: list[NDArray[np.float32]]) -> NDArray[np.bool_]:
        """Tell which points lie inside."""
        x, y, z = offset
        a, b = self.semi_axes_mm
        if self.exponent == 2.0:
            section = np.square(x / a) + np.square(y / b)
        else:
            section = np.abs(x / a) ** self.exponent + np.abs(y / b) ** self.exponent
        return np.asarray((section <= 1.0) & (np.abs(z) <= self.half_height_mm))


@dataclass(frozen=True, eq=False)
class Box:
    """A box with sides along the axes."""

    centre_mm: Vector
    half_sides_mm: Vector

    @property
    def reach_mm(self) -> NDArray[np.float64]:
        """Half extents of the enclosing box."""
        return np.asarray(self.half_sides_mm)

    def inside(self, offset: list[NDArray[np.float32]]) -> NDArray[np.bool_]:
        """Tell which points lie inside."""
        within = [np.abs(o) <= half for o, half in zip(offset, self.half_sides_mm, strict=True)]
        return np.asarray(within[0] & within[1] & within[2])


def sphere(centre_mm: Vector, volume_ml: float) -> Ellipsoid:
    """Return the sphere of ``volume_ml`` about ``centre_mm``."""
    radius = float((3.0 * volume_ml * 1000.0 / (4.0 * np.pi)) ** (1.0 / 3.0))
    return Ellipsoid(centre_mm, (radius, radius, radius))
