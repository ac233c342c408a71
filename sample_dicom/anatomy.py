"""A stylised adult torso: masses after ICRP Publication 89 (2002), shapes in the manner of the MIRD phantoms.

Axes are LPS mm: x to the patient's left, y to the back, z to the head; the origin lies in front of L1/L2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sample_dicom import tissues
from sample_dicom.scene import Part, RegionOfTruth, Scene, centred_grid, draw
from sample_dicom.shapes import Column, Ellipsoid, Vector, rotation, sphere

if TYPE_CHECKING:
    from collections.abc import Iterator

# Reference adult male, ICRP Publication 89, Table 2.8 (g).
LIVER_G: Final = 1800.0  # with its lesions
KIDNEYS_G: Final = 310.0  # both
SPLEEN_G: Final = 150.0
REFERENCE_WEIGHT_KG: Final = 73.0
REFERENCE_HEIGHT_CM: Final = 176.0

SOFT, SUBCUTANEOUS_FAT, VISCERAL_FAT, LUNG, LIVER, SPLEEN = 1, 2, 3, 4, 5, 6
LEFT_CORTEX, LEFT_MEDULLA, LEFT_PELVIS, RIGHT_CORTEX, RIGHT_MEDULLA, RIGHT_PELVIS = 7, 8, 9, 10, 11, 12
AORTA, CORTICAL_BONE, MARROW, GUT, MEDIASTINUM, HEART_AND_VEINS = 13, 14, 15, 16, 17, 18
MARROW_BESIDE_LESION = 19  # of the vertebra that holds the bone lesion: in no contour, as a reader would draw it
FIRST_LESION = 20

LIVER_LESIONS_ML: Final = (30.0, 12.0, 6.0, 2.5)
BONE_LESION_ML: Final = 4.0
LESION_COUNT: Final = len(LIVER_LESIONS_ML) + 1
KIDNEY_LABELS: Final = {
    "left": (LEFT_CORTEX, LEFT_MEDULLA, LEFT_PELVIS),
    "right": (RIGHT_CORTEX, RIGHT_MEDULLA, RIGHT_PELVIS),
}

TISSUES: Final = {
    SOFT: tissues.SOFT,
    SUBCUTANEOUS_FAT: tissues.ADIPOSE,
    VISCERAL_FAT: tissues.ADIPOSE,
    LUNG: tissues.LUNG,
    LIVER: tissues.LIVER,
    SPLEEN: tissues.SPLEEN,
    LEFT_CORTEX: tissues.KIDNEY,
    LEFT_MEDULLA: tissues.KIDNEY,
    LEFT_PELVIS: tissues.URINE,
    RIGHT_CORTEX: tissues.KIDNEY,
    RIGHT_MEDULLA: tissues.KIDNEY,
    RIGHT_PELVIS: tissues.URINE,
    AORTA: tissues.BLOOD,
    CORTICAL_BONE: tissues.CORTICAL_BONE,
    MARROW: tissues.TRABECULAR_BONE,
    GUT: tissues.GUT,
    MEDIASTINUM: tissues.SOFT,
    HEART_AND_VEINS: tissues.BLOOD,
    MARROW_BESIDE_LESION: tissues.TRABECULAR_BONE,
} | {FIRST_LESION + i: tissues.TUMOUR for i in range(LESION_COUNT)}

REGIONS: Final = (
    RegionOfTruth(1, "kidney", "left", "organ", KIDNEY_LABELS["left"]),
    RegionOfTruth(2, "kidney", "right", "organ", KIDNEY_LABELS["right"]),
    RegionOfTruth(3, "liver", None, "organ", (LIVER,)),
    RegionOfTruth(4, "spleen", None, "organ", (SPLEEN,)),
    RegionOfTruth(5, "marrow", None, "marrow", (MARROW,)),
    RegionOfTruth(6, "aorta", None, "blood", (AORTA,)),
    *(
        RegionOfTruth(11 + i, f"lesion-{i + 1}", None, "lesion", (FIRST_LESION + i,), "liver")
        for i in range(len(LIVER_LESIONS_ML))
    ),
    RegionOfTruth(
        10 + LESION_COUNT, f"lesion-{LESION_COUNT}", None, "lesion", (FIRST_LESION + LESION_COUNT - 1,), None
    ),
)

HALF_HEIGHT_MM = 204.0
DIAPHRAGM_MM = 112.0
VERTEBRA_Y_MM = 42.0
# Levels from below: L5..L1 then T12..T9; height of the body and of the disc above it (mm), rounded from
# Panjabi et al., Spine 1992;17:299 and Spine 1991;16:888.
VERTEBRAE = ((29.0, 8.0),) * 5 + ((25.0, 5.0),) * 4
LOWEST_VERTEBRA_MM = -172.0
LESION_LEVEL = 2  # L3
FAT_PLANES = (VISCERAL_FAT, MEDIASTINUM, LUNG)


@dataclass(frozen=True)
class Build:
    """What varies between patients (positions in mm, sizes as factors of mass) and with the grid."""

    kidney_left_mm: Vector
    kidney_right_mm: Vector
    kidney_factor: tuple[float, float]
    liver_mm: Vector
    liver_factor: float
    liver_scale: float
    spleen_mm: Vector
    spleen_factor: float
    lesion_shift_mm: tuple[Vector, ...]
    bone_shell_mm: float


def adult(seed: int, *, finest_voxel_mm: float) -> Scene:
    """Return the adult of ``seed``; bone shells are no thinner than one voxel of the drawing."""
    build = _build(seed, max(3.0, 1.02 * finest_voxel_mm))
    return _scene(_with_liver_of_its_mass(build))


def _build(seed: int, bone_shell_mm: float) -> Build:
    """Draw one patient: masses +-5 %, positions +-4 mm."""
    rng = np.random.default_rng([seed, 1])

    def near(x: float, y: float, z: float) -> Vector:
        shift = rng.uniform(-4.0, 4.0, 3)
        return (float(x + shift[0]), float(y + shift[1] / 2), float(z + shift[2]))

    def factor() -> float:
        return float(rng.uniform(0.95, 1.05))

    return Build(
        kidney_left_mm=near(66.0, 27.0, 6.0),
        kidney_right_mm=near(-64.0, 27.0, -14.0),
        kidney_factor=(factor(), factor()),
        liver_mm=near(-70.0, -14.0, 72.0),
        liver_factor=factor(),
        liver_scale=1.0,
        spleen_mm=near(94.0, 20.0, 88.0),
        spleen_factor=factor(),
        lesion_shift_mm=tuple(near(0.0, 0.0, 0.0) for _ in LIVER_LESIONS_ML),
        bone_shell_mm=bone_shell_mm,
    )


def _with_liver_of_its_mass(build: Build) -> Build:
    """Scale the liver until it and its lesions have their mass; neighbours cut into it, so no formula does."""
    grid = centred_grid((90, 64, 76), 4.8, "")
    wanted = LIVER_G * build.liver_factor / TISSUES[LIVER].density_g_per_cm3
    for _ in range(5):
        labels = draw(_scene(build), grid)
        lesions = range(FIRST_LESION, FIRST_LESION + len(LIVER_LESIONS_ML))
        volume = np.isin(labels, [LIVER, *lesions]).sum() * grid.voxel_volume_ml
        build = replace(build, liver_scale=build.liver_scale * float(wanted / volume) ** (1.0 / 3.0))
    return build


def _scene(build: Build) -> Scene:
    parts = (
        *_trunk(),
        *_viscera(build),
        *_spine(build.bone_shell_mm),
        *_vessels(),
        *_kidney("left", build.kidney_left_mm, build.kidney_factor[0] * 1.03),
        *_kidney("right", build.kidney_right_mm, build.kidney_factor[1] * 0.97),
        *_lesions(build),
    )
    return Scene(parts, TISSUES, REGIONS)


def _trunk() -> Iterator[Part]:
    """Skin and fat, muscle wall, ribs, abdominal and thoracic cavity, lungs, psoas."""
    yield Part(SUBCUTANEOUS_FAT, Column((0.0, 0.0, 0.0), (178.0, 115.0), HALF_HEIGHT_MM, 2.3))
    yield Part(SOFT, Column((0.0, 0.0, 0.0), (161.0, 99.0), HALF_HEIGHT_MM, 2.3))
    for k in range(8):
        yield Part(CORTICAL_BONE, Column((0.0, -13.0, 52.0 + 20.0 * k), (153.0, 81.0), 4.0), over=(SOFT,))
    yield Part(VISCERAL_FAT, Column((0.0, -14.0, 0.0), (146.0, 74.0), HALF_HEIGHT_MM))
    thorax_mm = (HALF_HEIGHT_MM - DIAPHRAGM_MM) / 2.0
    yield Part(MEDIASTINUM, Column((0.0, -14.0, DIAPHRAGM_MM + thorax_mm), (146.0, 74.0), thorax_mm))
    for side in (-1.0, 1.0):
        lung = Ellipsoid((82.0 * side, -12.0, 236.0), (58.0, 66.0, 124.0))
        yield Part(LUNG, lung, over=(MEDIASTINUM,))
        yield Part(SOFT, Column((37.0 * side, 43.0, -82.0), (15.0, 18.0), 122.0))


def _viscera(build: Build) -> Iterator[Part]:
    """Gut, stomach, pancreas, heart, spleen, liver."""
    yield Part(HEART_AND_VEINS, Ellipsoid((26.0, -32.0, 178.0), (52.0, 42.0, 40.0)), over=(MEDIASTINUM, LUNG))
    yield Part(GUT, Ellipsoid((56.0, -44.0, 70.0), (40.0, 28.0, 50.0)))
    yield Part(GUT, Ellipsoid((20.0, -6.0, 26.0), (58.0, 11.0, 15.0)))
    yield Part(GUT, Column((-108.0, -12.0, -78.0), (23.0, 24.0), 62.0))
    yield Part(GUT, Column((112.0, -4.0, -78.0), (18.0, 20.0), 92.0))
    loops = ((-60, -58, -60), (-8, -62, -48), (48, -60, -70), (-52, -40, -118), (6, -46, -110), (60, -36, -126))
    for x, y, z in loops:
        yield Part(GUT, Ellipsoid((x, y, z), (27.0, 19.0, 22.0)), over=(VISCERAL_FAT,))
    s = build.liver_scale
    right = Ellipsoid(build.liver_mm, (74.0 * s, 66.0 * s, 80.0 * s))
    left = Ellipsoid(_add(build.liver_mm, (76.0, -36.0, 10.0)), (68.0 * s, 30.0 * s, 38.0 * s))
    yield Part(LIVER, right, over=(*FAT_PLANES, GUT))
    yield Part(LIVER, left, over=(*FAT_PLANES, GUT, HEART_AND_VEINS))
    size = (SPLEEN_G * build.spleen_factor / TISSUES[SPLEEN].density_g_per_cm3 / 142.5) ** (1.0 / 3.0)
    yield Part(SPLEEN, Ellipsoid(build.spleen_mm, (21.0 * size, 36.0 * size, 45.0 * size)))


def _spine(shell_mm: float) -> Iterator[Part]:
    """T9 to L5: shells filled with trabecular bone, discs, canal and processes."""
    yield Part(SOFT, Column((0.0, VERTEBRA_Y_MM, 0.0), (22.0, 16.0), HALF_HEIGHT_MM))
    yield Part(CORTICAL_BONE, Column((0.0, 70.0, 0.0), (17.0, 14.0), HALF_HEIGHT_MM))
    yield Part(SOFT, Column((0.0, 67.0, 0.0), (10.0, 9.0), HALF_HEIGHT_MM))
    for level, (middle, height) in enumerate(vertebrae()):
        yield Part(CORTICAL_BONE, Ellipsoid((0.0, 88.0, middle - 6.0), (5.0, 16.0, 9.0)))
        yield Part(CORTICAL_BONE, Column((0.0, VERTEBRA_Y_MM, middle), (24.0, 17.0), height / 2.0))
        inner = (24.0 - shell_mm, 17.0 - shell_mm)
        marrow = MARROW_BESIDE_LESION if level == LESION_LEVEL else MARROW
        yield Part(marrow, Column((0.0, VERTEBRA_Y_MM, middle), inner, height / 2.0 - shell_mm))


def vertebrae() -> list[tuple[float, float]]:
    """Middle and height (mm) of each vertebral body, L5 first."""
    levels, foot = [], LOWEST_VERTEBRA_MM
    for height, disc in VERTEBRAE:
        levels.append((foot + height / 2.0, height))
        foot += height + disc
    return levels


def _vessels() -> Iterator[Part]:
    """Aorta (inner diameter 22 mm) down to its bifurcation at L4, inferior vena cava."""
    yield Part(AORTA, Column((9.0, 12.0, 52.0), (11.0, 11.0), 152.0))
    yield Part(HEART_AND_VEINS, Column((-17.0, 13.0, 40.0), (11.0, 9.0), 164.0))


def _kidney(side: str, centre: Vector, factor: float) -> Iterator[Part]:
    """Perirenal fat, cortex, medulla and pelvis; the lower pole lies further out and to the front."""
    cortex, medulla, pelvis = KIDNEY_LABELS[side]
    sign = 1.0 if side == "left" else -1.0
    volume_ml = KIDNEYS_G / 2.0 * factor / TISSUES[cortex].density_g_per_cm3
    unit = (volume_ml / (4.0 / 3.0 * np.pi * 5.4 * 2.75 * 2.4)) ** (1.0 / 3.0)
    semi = (27.5 * unit, 24.0 * unit, 54.0 * unit)
    turn = rotation((8.0, -10.0 * sign, 0.0))
    fat = Ellipsoid(centre, (semi[0] + 8.0, semi[1] + 8.0, semi[2] + 10.0), turn)
    yield Part(VISCERAL_FAT, fat, over=(LIVER, GUT, SOFT, SPLEEN))
    yield Part(cortex, Ellipsoid(centre, semi, turn))
    inner = Ellipsoid(_add(centre, (-4.0 * sign, 0.0, 0.0)), (semi[0] * 0.66, semi[1] * 0.66, semi[2] * 0.76), turn)
    yield Part(medulla, inner, over=(cortex,))
    hilum = Ellipsoid(_add(centre, (-13.0 * sign, 0.0, 0.0)), (semi[0] * 0.5, semi[1] * 0.35, semi[2] * 0.32), turn)
    yield Part(pelvis, hilum, over=(cortex, medulla))


def _lesions(build: Build) -> Iterator[Part]:
    """Four liver lesions of 30, 12, 6 and 2.5 mL and a 4 mL lesion in L3."""
    places = ((-24.0, -2.0, 14.0), (20.0, -18.0, 34.0), (-22.0, -16.0, -36.0), (60.0, -36.0, 8.0))
    for i, (volume_ml, place) in enumerate(zip(LIVER_LESIONS_ML, places, strict=True)):
        centre = _add(_add(build.liver_mm, place), build.lesion_shift_mm[i])
        yield Part(FIRST_LESION + i, sphere(centre, volume_ml), over=(LIVER,))
    middle, _ = vertebrae()[LESION_LEVEL]
    bone = sphere((2.0, VERTEBRA_Y_MM, middle), BONE_LESION_ML)
    yield Part(FIRST_LESION + LESION_COUNT - 1, bone, over=(MARROW_BESIDE_LESION,))


def _add(a: Vector, b: Vector) -> Vector:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])
