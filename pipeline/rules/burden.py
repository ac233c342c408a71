"""Tumour burden: hepatic fraction and categories, points by site, suggested liver enlargement (section 7).

The seed has two measures of hepatic burden that are never derived from one another: the percentage of the liver's
volume on baseline CT or MRI (categories), and points from the whole-body scan 24 h after cycle 1. Its scales have no
counts; those here are project choices that a person confirms (Fröss-Baron et al., Neuroendocrinology
2021;111:330-343, methods; sections 7.1, 7.2 and 7.4 of the clinical specification).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pipeline.errors import require
from pipeline.units import PERCENT

if TYPE_CHECKING:
    from collections.abc import Sequence

HepaticCategory = Literal["A", "B", "C", "D"]
Enlargement = Literal["ENLARGED", "BORDERLINE", "NOT_ENLARGED"]
BsaFormula = Literal["mosteller", "du_bois"]
Side = Literal["above", "below"]

CATEGORY_TEXTS: Final[dict[HepaticCategory, str]] = {
    "A": "< 10 %",
    "B": "10-50 %",
    "C": "> 50 %",
    "D": "> 50 % with liver enlargement",
}
LOW_PERCENT: Final = 10.0
HIGH_PERCENT: Final = 50.0
# Section 7.2, project choice: V / V_expected from which enlargement is suggested, or is borderline.
ENLARGED_FROM: Final = 1.30
BORDERLINE_FROM: Final = 1.15
# Side of the diaphragm of the node regions the product names.
NODE_SIDES: Final[dict[str, Side]] = {
    "cervical": "above",
    "supraclavicular": "above",
    "axillary": "above",
    "mediastinal": "above",
    "hilar": "above",
    "retrocrural": "above",
    "hepatic-hilum": "below",
    "coeliac": "below",
    "mesenteric": "below",
    "para-aortic": "below",
    "retroperitoneal": "below",
    "iliac": "below",
    "pelvic": "below",
    "inguinal": "below",
}
SKELETAL_REGIONS: Final = frozenset({"skull", "spine", "ribs-sternum", "pelvis", "limbs"})


def _require_count(count: int, what: str) -> None:
    require(
        count >= 0,
        "BURDEN_INVALID",
        found=f"{count} {what}",
        needed="a count of 0 or more",
        do="correct the number of lesions",
        where="tumour burden",
    )


def hepatic_fraction_percent(lesions_in_liver_ml: float, liver_with_lesions_ml: float) -> float:
    """Percentage of the liver (lesions included) that is tumour.

    Raises
    ------
    RefusalError
        ``BURDEN_INVALID``: no liver volume, or lesions larger than the liver they lie in.
    """
    require(
        0 < liver_with_lesions_ml < math.inf and 0 <= lesions_in_liver_ml <= liver_with_lesions_ml,
        "BURDEN_INVALID",
        found=f"lesions {lesions_in_liver_ml} mL in a liver of {liver_with_lesions_ml} mL",
        needed="a liver volume that includes its lesions",
        do="add exophytic lesions to the liver first, then divide",
        where="tumour burden",
    )
    return PERCENT * lesions_in_liver_ml / liver_with_lesions_ml


def _require_percent(fraction_percent: float) -> None:
    require(
        0 <= fraction_percent <= PERCENT,
        "BURDEN_INVALID",
        found=f"hepatic fraction {fraction_percent} %",
        needed="0 to 100 %",
        do="correct the volumes",
        where="tumour burden",
    )


def hepatic_category(fraction_percent: float, *, enlarged: bool) -> HepaticCategory:
    """Category of the hepatic tumour burden; exactly 10 % and exactly 50 % are B (S-20)."""
    _require_percent(fraction_percent)
    if fraction_percent < LOW_PERCENT:
        return "A"
    if fraction_percent <= HIGH_PERCENT:
        return "B"
    return "D" if enlarged else "C"


def is_borderline(fraction_percent: float, sigma_percent: float) -> bool:
    """Tell whether fraction +- sigma reaches across 10 or 50 %, so that a physician decides (section 7.1)."""
    return any(abs(fraction_percent - edge) <= sigma_percent for edge in (LOW_PERCENT, HIGH_PERCENT))


def body_surface_m2(height_cm: float, weight_kg: float, formula: BsaFormula) -> float:
    """Body surface area (Mosteller, N Engl J Med 1987;317:1098; Du Bois and Du Bois, Arch Intern Med 1916;17:863)."""
    require(
        0 < height_cm < math.inf and 0 < weight_kg < math.inf,
        "BURDEN_INVALID",
        found=f"height {height_cm} cm, weight {weight_kg} kg",
        needed="a positive height and weight",
        do="complete the cycle form, or judge the liver's size by eye",
        where="cycle form",
    )
    if formula == "mosteller":
        return math.sqrt(height_cm * weight_kg / 3600.0)
    return float(0.007184 * weight_kg**0.425 * height_cm**0.725)


def expected_liver_ml(body_surface_area_m2: float) -> float:
    """Expected liver volume of Western adults, -794.41 + 1267.28 BSA (Vauthey et al. 2002; PMC6422720, table 1)."""
    return -794.41 + 1267.28 * body_surface_area_m2


def suggested_enlargement(liver_ml: float, expected_ml: float) -> Enlargement:
    """Suggestion beside the physician's tick: enlarged from 1.30 of the expected volume, borderline from 1.15.

    Raises
    ------
    RefusalError
        ``BURDEN_INVALID``: the expected volume is not positive (a child's surface is outside the formula).
    """
    require(
        expected_ml > 0,
        "BURDEN_INVALID",
        found=f"expected liver volume {expected_ml:.0f} mL",
        needed="a positive expected volume (adults)",
        do="judge the liver's size by eye",
        where="tumour burden",
    )
    ratio = liver_ml / expected_ml
    if ratio >= ENLARGED_FROM:
        return "ENLARGED"
    return "BORDERLINE" if ratio >= BORDERLINE_FROM else "NOT_ENLARGED"


def liver_points(fraction_percent: float, *, enlarged: bool) -> int:
    """0 no lesion; 1 below 10 %; 2 up to and with 50 %; 3 above; 4 above and enlarged."""
    if fraction_percent == 0:
        return 0
    return {"A": 1, "B": 2, "C": 3, "D": 4}[hepatic_category(fraction_percent, enlarged=enlarged)]


def bone_points(lesions: int, regions: int, *, diffuse: bool = False) -> int:
    """0 none; 1: 1-3 lesions; 2: 4-10 or more than one skeletal region; 3: more than 10, 4 regions, or diffuse.

    ``regions`` counts those of ``SKELETAL_REGIONS`` that hold a lesion.
    """
    _require_count(lesions, "bone lesions")
    _require_count(regions, "skeletal regions")
    if lesions > 10 or regions >= 4 or diffuse:
        return 3
    if lesions > 3 or regions > 1:
        return 2
    return int(lesions > 0)


def node_points(regions: Sequence[str]) -> int:
    """Lymph nodes, one region name per node: 1: 1-2 nodes in one region; 2: one side of the diaphragm; 3: both.

    One or two nodes in two regions of one side are 2: "occasional regional" does not describe them.

    Raises
    ------
    RefusalError
        ``BURDEN_INVALID``: a region whose side of the diaphragm is not known.
    """
    unknown = sorted(set(regions) - set(NODE_SIDES))
    require(
        not unknown,
        "BURDEN_INVALID",
        found=f"node regions {', '.join(unknown)}",
        needed=f"one of {', '.join(NODE_SIDES)}",
        do="name the region of each node as in the list",
        where="tumour burden",
    )
    if not regions:
        return 0
    if len({NODE_SIDES[region] for region in regions}) > 1:
        return 3
    return 1 if len(regions) <= 2 and len(set(regions)) == 1 else 2


def peritoneal_points(deposits: int, *, effusion_or_diffuse: bool = False) -> int:
    """Peritoneal and pleural deposits, one joint site: 0 none; 1: 1-2; 2: 3 or more, effusion or diffuse."""
    _require_count(deposits, "peritoneal or pleural deposits")
    if deposits > 2 or effusion_or_diffuse:
        return 2
    return int(deposits > 0)


@dataclass(frozen=True)
class BurdenPoints:
    """Points by site; an absent site has 0 (S-21 to S-25)."""

    liver: int = 0
    bone: int = 0
    lymph_nodes: int = 0
    peritoneal_pleural: int = 0

    def __post_init__(self) -> None:
        highest = {"liver": 4, "bone": 3, "lymph_nodes": 3, "peritoneal_pleural": 2}
        outside = {
            site: getattr(self, site) for site, top in highest.items() if getattr(self, site) not in range(top + 1)
        }
        require(
            not outside,
            "BURDEN_INVALID",
            found=", ".join(f"{site} {points}" for site, points in outside.items()),
            needed="liver 0-4, bone 0-3, lymph nodes 0-3, peritoneal and pleural 0-2",
            do="correct the points",
            where="tumour burden",
        )

    @property
    def total(self) -> int:
        """Sum over all sites, 0 to 12 (S-25)."""
        return self.liver + self.bone + self.lymph_nodes + self.peritoneal_pleural
