"""Doses of each cycle so far, from the record as ``show`` gives it and the cycle being reported."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.report.style import region_colour
from pipeline.units import BQ_PER_GBQ

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DRAFT = "DRAFT"
# field of the document's protocol part, of the decision
PROTOCOL_KEYS = (("name", "protocol"), ("phase", "phase"))
PROTOCOL_WORDS = {
    "DOSIMETRY_GUIDED": "dosimetry-guided",
    "ROTTERDAM_4": "four cycles (Rotterdam)",
    "PRIMARY": "primary phase",
    "SALVAGE": "salvage phase",
}


@dataclass(frozen=True)
class CycleDose:
    """What one cycle gave, from its latest version; ``signatures`` are those under that version."""

    cycle: int
    status: str
    given_at: str
    activity_gbq: float
    kidney_gy: float | None
    kidney_sides: tuple[tuple[str, float | None], ...]
    marrow_gy: float | None
    marrow_method: str | None
    signatures: tuple[Mapping[str, Any], ...]

    @property
    def is_signed(self) -> bool:
        """Tell whether a person answers for the doses."""
        return self.status != DRAFT


@dataclass(frozen=True)
class OrganSum:
    """Cumulative dose of one organ with a limit, as the table and the bars show it.

    ``by_cycle`` holds (cycle, dose in Gy, signed); ``total_gy`` is the sum the rules used (signed doses only).
    """

    name: str
    colour: str
    by_cycle: tuple[tuple[int, float, bool], ...]
    total_gy: float | None
    sigma_gy: float | None
    projected_gy: float | None
    projected_sigma_gy: float | None
    limit_gy: float | None
    p_exceed: float | None
    p_exceed_projected: float | None
    method: str


def cycle_doses(history: Mapping[str, Any] | None, document: Mapping[str, Any]) -> list[CycleDose]:
    """Return the cycles up to the one of ``document``, which itself comes from ``document``.

    Parameters
    ----------
    history : mapping or None
        The record as ``show`` gives it; None: only this cycle is known.
    document : mapping
        The result document.
    """
    known = {entry["cycle"]: entry for entry in (history or {}).get("cycles", [])}
    earlier = [_from_entry(known[cycle]) for cycle in sorted(known) if cycle < document["cycle"]]
    return [*earlier, _this_cycle(known.get(document["cycle"]), document)]


def _from_entry(entry: Mapping[str, Any]) -> CycleDose:
    latest = max(entry["versions"], key=lambda version: version["version"])
    return _cycle_dose(latest["result"], entry["status"], latest.get("signatures", ()))


def _this_cycle(entry: Mapping[str, Any] | None, document: Mapping[str, Any]) -> CycleDose:
    # signatures bind one version: they count here only if that version is the document being printed
    matching = [v for v in (entry or {}).get("versions", []) if v["result"] == document]
    if not matching:
        return _cycle_dose(document, DRAFT, ())
    latest = max(matching, key=lambda version: version["version"])
    return _cycle_dose(document, latest.get("status", DRAFT), latest.get("signatures", ()))


def _cycle_dose(document: Mapping[str, Any], status: str, signatures: Sequence[Mapping[str, Any]]) -> CycleDose:
    kidneys = [r for r in document["regions"] if r["name"] == "kidney" and r["kind"] == "organ"]
    marrow = marrow_region(document)
    return CycleDose(
        cycle=document["cycle"],
        status=status,
        given_at=document["administration"]["start"],
        activity_gbq=document["administration"]["activity_bq"] / BQ_PER_GBQ,
        kidney_gy=_mass_weighted_gy(kidneys),
        kidney_sides=tuple((str(r["laterality"]), r["mean_dose_gy"]) for r in kidneys),
        marrow_gy=marrow["mean_dose_gy"] if marrow else None,
        marrow_method=marrow["method"] if marrow else None,
        signatures=tuple(signatures),
    )


def marrow_region(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the marrow region whose method is the limit's; the first one where none is."""
    found = [r for r in document["regions"] if r["kind"] == "marrow"]
    wanted = limit_value(document, "marrow_limit_method")
    return next((r for r in found if r["method"] == wanted), found[0] if found else None)


def limit_value(document: Mapping[str, Any], name: str) -> Any:
    """Return one value of the document's protocol part; None where it does not say."""
    return (document.get("protocol") or {}).get(name)


def protocol_text(document: Mapping[str, Any], decision: Mapping[str, Any]) -> str:
    """Return protocol and phase in words, and whether a person recorded them; empty where nothing is known.

    What the document's protocol part names comes first; otherwise what the rules went by.
    """
    name, phase = (limit_value(document, one) or decision.get(key) for one, key in PROTOCOL_KEYS)
    assumed = "" if decision.get("protocol_recorded", True) else " (none recorded: the rules' default)"
    words = [PROTOCOL_WORDS.get(name, name) + assumed] if name else []
    return ", ".join([*words, *([PROTOCOL_WORDS.get(phase, phase)] if phase else [])])


def organ_sums(
    document: Mapping[str, Any], decision: Mapping[str, Any], doses: Sequence[CycleDose]
) -> tuple[OrganSum, OrganSum]:
    """Return kidney and marrow sums: totals from the decision, cycles from the record."""
    kidney = [(d.cycle, d.kidney_gy, d.is_signed) for d in doses if d.kidney_gy is not None]
    marrow = [(d.cycle, d.marrow_gy, d.is_signed) for d in doses if d.marrow_gy is not None]
    method = decision["cumulative"].get("marrow_method") or "method not stated"
    return (
        _organ_sum("kidney", "Kidneys", "mass-weighted mean of both", kidney, document, decision),
        _organ_sum("marrow", "Red marrow", str(method), marrow, document, decision),
    )


def _organ_sum(
    organ: str,
    name: str,
    method: str,
    by_cycle: Sequence[tuple[int, float, bool]],
    document: Mapping[str, Any],
    decision: Mapping[str, Any],
) -> OrganSum:
    total, projected, probability = decision["cumulative"], decision["projected"], decision["p_exceed"]
    return OrganSum(
        name=name,
        colour=region_colour("kidney, left" if organ == "kidney" else "red marrow"),
        by_cycle=tuple(by_cycle),
        total_gy=total[f"{organ}_gy"],
        sigma_gy=total[f"{organ}_sigma_gy"],
        projected_gy=projected.get(f"{organ}_gy"),
        projected_sigma_gy=projected.get(f"{organ}_sigma_gy"),
        limit_gy=total.get(f"{organ}_limit_gy", limit_value(document, f"{organ}_limit_gy")),
        p_exceed=probability.get(organ),
        p_exceed_projected=probability.get(f"{organ}_projected"),
        method=method,
    )


def _mass_weighted_gy(kidneys: Sequence[Mapping[str, Any]]) -> float | None:
    """The value of the rule: the mass-weighted mean of both whole kidneys, or of the only one."""
    pairs = [(r["mass_g"], r["mean_dose_gy"]) for r in kidneys if r["mean_dose_gy"] is not None and r["mass_g"]]
    total_g = math.fsum(mass for mass, _ in pairs)
    return math.fsum(mass * dose for mass, dose in pairs) / total_g if pairs else None
