"""The doses of one filed result that the decision uses: the kidney value of the rule, marrow, and their sigmas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Document = dict[str, Any]


@dataclass(frozen=True)
class FiledDose:
    """A dose with the parts of its sigma that are, and are not, shared by all cycles."""

    mean_gy: float
    sigma_correlated_gy: float
    sigma_independent_gy: float


@dataclass(frozen=True)
class FiledKidneys:
    """The value of the rule and both sides (None where a side was not found)."""

    rule: FiledDose | None
    left_gy: float | None
    right_gy: float | None


def kidneys(regions: Sequence[Document]) -> FiledKidneys:
    """Return the kidney doses of a result's regions.

    The value of the rule is the mass-weighted mean of both whole kidneys, or the only kidney. Correlated sigmas (the
    calibration, shared by both sides) add linearly, independent ones in quadrature (Gear et al., EJNMMI 2018).
    """
    found = [region for region in regions if region["name"] == "kidney" and region["kind"] == "organ"]
    return FiledKidneys(_mass_weighted(found), _side(found, "left"), _side(found, "right"))


def marrow(regions: Sequence[Document], limit_method: str | None) -> tuple[FiledDose | None, str]:
    """Return the marrow dose and its method: that of the limit where there is one, else the first found."""
    found = [region for region in regions if region["name"] == "marrow"]
    matching = [region for region in found if region["method"] == limit_method]
    chosen = next(iter([*matching, *found]), None)
    return (_dose(chosen), str(chosen["method"])) if chosen else (None, "")


def _side(regions: Sequence[Document], laterality: str) -> float | None:
    return next((float(r["mean_dose_gy"]) for r in regions if r.get("laterality") == laterality), None)


def _mass_weighted(regions: Sequence[Document]) -> FiledDose | None:
    if not regions:
        return None
    masses = [float(region["mass_g"]) for region in regions]
    weights = [mass / math.fsum(masses) for mass in masses]
    doses = [_dose(region) for region in regions]
    pairs = list(zip(weights, doses, strict=True))
    return FiledDose(
        mean_gy=math.fsum(w * dose.mean_gy for w, dose in pairs),
        sigma_correlated_gy=math.fsum(w * dose.sigma_correlated_gy for w, dose in pairs),
        sigma_independent_gy=math.hypot(*(w * dose.sigma_independent_gy for w, dose in pairs)),
    )


def _dose(region: Document) -> FiledDose:
    """Read one region; without a split, the whole sigma is taken as independent."""
    whole = {"correlated_gy": 0.0, "independent_gy": region["mean_dose_sigma_gy"]}
    split: Document = region.get("uncertainty") or whole
    return FiledDose(
        mean_gy=float(region["mean_dose_gy"]),
        sigma_correlated_gy=float(split["correlated_gy"]),
        sigma_independent_gy=float(split["independent_gy"]),
    )
