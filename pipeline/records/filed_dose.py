"""The doses of one filed result that the decision uses: the kidney value of the rule, marrow, and their sigmas."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Document = dict[str, Any]


# What every curve of one scan carries; it has no half-life of its own.
ONE_SCAN = "SINGLE_POINT_PRIOR"


@dataclass(frozen=True)
class FiledDose:
    """A dose with the parts of its sigma that are, and are not, shared by all cycles.

    ``one_scan_method``: method id of a dose whose half-life no scan of the cycle told; empty otherwise.
    """

    mean_gy: float
    sigma_correlated_gy: float
    sigma_independent_gy: float
    one_scan_method: str = ""


@dataclass(frozen=True)
class FiledKidneys:
    """The value of the rule and both sides (None where a side was not found)."""

    rule: FiledDose | None
    left_gy: float | None
    right_gy: float | None


def kidneys(regions: Sequence[Document]) -> FiledKidneys:
    """Return the kidney doses of a result's regions.

    The value of the rule is the mass-weighted mean of both whole kidneys, or the only kidney; there is none where the
    dose or mass of a kidney is null. Correlated sigmas (the calibration, shared by both sides) add linearly,
    independent ones in quadrature (EANM 2018 framework, Gear et al., Eur J Nucl Med Mol Imaging 2018;45:2456).
    """
    found = [region for region in regions if region["name"] == "kidney" and region["kind"] == "organ"]
    return FiledKidneys(_mass_weighted(found), _side(found, "left"), _side(found, "right"))


def marrow(regions: Sequence[Document], limit_method: str | None) -> tuple[FiledDose | None, str]:
    """Return the marrow dose and its method: that of the limit where there is one, else the first found."""
    found = [region for region in regions if region["name"] == "marrow"]
    matching = [region for region in found if region["method"] == limit_method]
    chosen = next(iter([*matching, *found]), None)
    if chosen is None:
        return None, ""
    dose = _dose(chosen)
    return dose and replace(dose, one_scan_method=_marrow_method(chosen, regions)), str(chosen["method"])


def _one_scan_method(region: Document) -> str:
    if ONE_SCAN not in region["flags"]:
        return ""
    return str((region.get("curve") or {}).get("model", "method not filed"))


def _marrow_method(region: Document, regions: Sequence[Document]) -> str:
    """Return the marrow's own method; that of the aorta, where its blood stands in for the marrow's curve."""
    if ONE_SCAN not in region["flags"] or region.get("curve"):
        return _one_scan_method(region)
    return next((_one_scan_method(r) for r in regions if r["name"] == "aorta"), "") or _one_scan_method(region)


def _side(regions: Sequence[Document], laterality: str) -> float | None:
    region = next((r for r in regions if r["laterality"] == laterality), None)
    return None if region is None or region["mean_dose_gy"] is None else float(region["mean_dose_gy"])


def _mass_weighted(regions: Sequence[Document]) -> FiledDose | None:
    doses = [dose for region in regions if region["mass_g"] is not None and (dose := _dose(region)) is not None]
    if not regions or len(doses) < len(regions):
        return None
    masses = [float(region["mass_g"]) for region in regions]
    pairs = [(mass / math.fsum(masses), dose) for mass, dose in zip(masses, doses, strict=True)]
    return FiledDose(
        mean_gy=math.fsum(w * dose.mean_gy for w, dose in pairs),
        sigma_correlated_gy=math.fsum(w * dose.sigma_correlated_gy for w, dose in pairs),
        sigma_independent_gy=math.hypot(*(w * dose.sigma_independent_gy for w, dose in pairs)),
        one_scan_method=", ".join(sorted({dose.one_scan_method for dose in doses} - {""})),
    )


def _dose(region: Document) -> FiledDose | None:
    if region["mean_dose_gy"] is None:
        return None
    correlated_gy, independent_gy = _sigmas_gy(region)
    return FiledDose(float(region["mean_dose_gy"]), correlated_gy, independent_gy, _one_scan_method(region))


def _sigmas_gy(region: Document) -> tuple[float, float]:
    """Return the correlated and the independent part.

    Without a split, the whole sigma is taken as independent; that of the marrow as correlated, the cautious reading: a
    part of it, the S value's, is the same in every cycle (section 3.7).
    """
    split = region.get("uncertainty") or {}
    correlated, independent = split.get("correlated_gy"), split.get("independent_gy")
    if correlated is None or independent is None:
        sigma_gy = float(region["mean_dose_sigma_gy"] or 0.0)
        return (sigma_gy, 0.0) if region["name"] == "marrow" else (0.0, sigma_gy)
    return float(correlated), float(independent)
