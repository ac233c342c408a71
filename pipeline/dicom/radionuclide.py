"""Which nuclide was seen, how much was injected and to which moment the values are decay-corrected (section 6.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.dicom.headers import PET_STORAGE, items, number, positive, text, texts
from pipeline.dicom.vendors import ge_radionuclide
from pipeline.errors import RefusalError, require
from pipeline.units import BQ_PER_MBQ

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from pipeline.domain.therapy import DecayReference

LU_177 = "Lu-177"
# 177Lu gamma lines of 6.2 and 10.4 % yield (ENSDF); section 6.4 asks for a window at 208 keV.
LU_177_LINES_KEV = (112.9, 208.4)
WINDOW_KEV = 208.4
# The window's centre: half the width of a 20 % window would still miss 208.4 keV; 5 % is our own bound.
WINDOW_CENTRE_TOLERANCE = 0.05
LU_177_CODES = {("SCT", "447553000"), ("99SDM", "C-101ED"), ("SRT", "C-101ED"), ("SNM3", "C-101ED")}
# Section 6.4: what an activity in an NM header may mean.
PLAUSIBLE_MBQ = (100.0, 15_000.0)
PLAUSIBLE_BQ = (1e8, 1.5e10)
# (0018,1075) of the nuclide: xSPECT writes 574300 s; ENDF/B and ENSDF evaluations agree to 0.2 %.
LU_177_HALF_LIFE_S = 574_300.0
HALF_LIFE_TOLERANCE = 0.01

_NAMES = {
    "lutetium": "Lu", "technetium": "Tc", "fluorine": "F", "fluor": "F", "iodine": "I", "indium": "In",
    "yttrium": "Y", "gallium": "Ga", "copper": "Cu", "barium": "Ba", "samarium": "Sm", "thallium": "Tl",
    "xenon": "Xe", "radium": "Ra", "actinium": "Ac", "holmium": "Ho", "rhenium": "Re", "cobalt": "Co",
    "zirconium": "Zr", "carbon": "C", "nitrogen": "N", "oxygen": "O", "rubidium": "Rb", "lead": "Pb",
    "terbium": "Tb", "scandium": "Sc", "bismuth": "Bi",
}  # fmt: skip
_SYMBOLS = {symbol.lower(): symbol for symbol in _NAMES.values()}
_TEXT = re.compile(r"([a-z]+)?(\d{1,3})(m\d?)?([a-z]+)?")


@dataclass(frozen=True)
class NuclideEvidence:
    """The nuclide of a series and what says so (``code``, ``meaning``, ``window`` or nothing)."""

    name: str | None
    source: str
    windows_kev: tuple[tuple[float, float], ...]


def nuclide_from_text(meaning: str) -> str | None:
    """Return a nuclide's name as ``Lu-177`` from text as ``177 Lutetium``, ``^99m^Technetium``, ``18F``, ``Tc99m``."""
    match = _TEXT.fullmatch(re.sub(r"[^a-z0-9]", "", meaning.lower()))
    if match is None:
        return None
    before, mass, excited, after = match.groups()
    word = before or after or (excited or "")
    element = _NAMES.get(word) or _SYMBOLS.get(word)
    return f"{element}-{mass}{'m' if excited and excited != word else ''}" if element else None


def energy_windows_kev(dataset: Dataset) -> tuple[tuple[float, float], ...]:
    """Return all energy windows, of NM (0054,0012) or at the top level as xSPECT writes them."""
    ranges = [
        window
        for information in items(dataset, "EnergyWindowInformationSequence")
        for window in items(information, "EnergyWindowRangeSequence")
    ]
    ranges += items(dataset, "EnergyWindowRangeSequence")
    pairs = [(number(w, "EnergyWindowLowerLimit"), number(w, "EnergyWindowUpperLimit")) for w in ranges]
    return tuple((low, high) for low, high in pairs if low is not None and high is not None and high > low)


def _covers(window_kev: tuple[float, float], line_kev: float) -> bool:
    centre = (window_kev[0] + window_kev[1]) / 2.0
    return window_kev[0] < line_kev < window_kev[1] and abs(centre / line_kev - 1.0) <= WINDOW_CENTRE_TOLERANCE


def nuclide_evidence(dataset: Dataset) -> NuclideEvidence:
    """Return the nuclide by code, else by its written name, else by a window at 208 keV."""
    windows = energy_windows_kev(dataset)
    for information in items(dataset, "RadiopharmaceuticalInformationSequence"):
        for code in items(information, "RadionuclideCodeSequence"):
            if (text(code, "CodingSchemeDesignator"), text(code, "CodeValue")) in LU_177_CODES:
                return NuclideEvidence(LU_177, "code", windows)
            written = nuclide_from_text(text(code, "CodeMeaning"))
            if written:
                return NuclideEvidence(written, "meaning", windows)
    private = nuclide_from_text(ge_radionuclide(dataset))
    if private:
        return NuclideEvidence(private, "private name", windows)
    seen = any(_covers(window, WINDOW_KEV) for window in windows)
    return NuclideEvidence(LU_177 if seen else None, "window" if seen else "", windows)


def require_lu_177(dataset: Dataset, evidence: NuclideEvidence, where: str) -> None:
    """Refuse a series that was not positively made with 177Lu.

    Raises
    ------
    RefusalError
        ``NUCLIDE_UNKNOWN``, ``WRONG_NUCLIDE``, ``NUCLIDE_CONTRADICTORY``.
    """
    if evidence.name is None:
        raise RefusalError(
            "NUCLIDE_UNKNOWN",
            found=f"no radionuclide code (0054,0300), energy windows {list(evidence.windows_kev)} keV",
            needed="Lu-177 by its code, or an energy window at 208 keV",
            do="export the series with its radionuclide or its energy window",
            where=where,
        )
    require(
        evidence.name == LU_177,
        "WRONG_NUCLIDE",
        found=f"{evidence.name} (by {evidence.source})",
        needed=LU_177,
        do="give the series of the 177Lu therapy",
        where=where,
    )
    lines = [any(_covers(window, line) for line in LU_177_LINES_KEV) for window in evidence.windows_kev]
    half_life_s = _half_life_s(dataset)
    agree = half_life_s is None or abs(half_life_s / LU_177_HALF_LIFE_S - 1.0) <= HALF_LIFE_TOLERANCE
    require(
        agree and (not lines or any(lines)),
        "NUCLIDE_CONTRADICTORY",
        found=f"Lu-177 by {evidence.source}, windows {list(evidence.windows_kev)} keV, half-life {half_life_s} s",
        needed="an energy window at 208 or 113 keV and the half-life of Lu-177",
        do="check which isotope the camera was set to",
        where=where,
    )


def _half_life_s(dataset: Dataset) -> float | None:
    information = items(dataset, "RadiopharmaceuticalInformationSequence")
    return positive(information[0], "RadionuclideHalfLife") if information else None


def injected_activity_bq(dataset: Dataset, where: str) -> tuple[float | None, str]:
    """Return the injected activity in Bq (None where missing or zero) and a note where its unit was not the usual one.

    NM stores MBq, PET Bq; real NM files hold Bq too (section 6.4).

    Raises
    ------
    RefusalError
        ``INJECTED_ACTIVITY_IMPLAUSIBLE`` for a number that is neither.
    """
    information = items(dataset, "RadiopharmaceuticalInformationSequence")
    value = positive(information[0], "RadionuclideTotalDose") if information else None
    if value is None:
        return None, ""
    if text(dataset, "SOPClassUID") == PET_STORAGE:
        _require_plausible(PLAUSIBLE_BQ[0] <= value <= PLAUSIBLE_BQ[1], value, "Bq", where)
        return value, ""
    if PLAUSIBLE_BQ[0] <= value <= PLAUSIBLE_BQ[1]:
        return value, "INJECTED_ACTIVITY_IN_BQ: the NM header holds Bq where DICOM asks for MBq"
    _require_plausible(PLAUSIBLE_MBQ[0] <= value <= PLAUSIBLE_MBQ[1], value, "MBq", where)
    return value * BQ_PER_MBQ, ""


def _require_plausible(plausible: bool, value: float, unit: str, where: str) -> None:
    require(
        plausible,
        "INJECTED_ACTIVITY_IMPLAUSIBLE",
        found=f"Radionuclide Total Dose (0018,1074) {value:g}",
        needed=f"an administered activity from 100 to 15 000 MBq, in {unit}, or none",
        do="correct the header at the camera or export it without the value; the cycle form holds the activity",
        where=where,
    )


def decay_reference_of(dataset: Dataset) -> tuple[DecayReference | None, str]:
    """Return the moment the values refer to, and what is wrong where the header does not tell.

    PET: (0054,1102). ADMIN with a Decay Factor of 1 is contradictory, as xSPECT writes it; NONE with a factor other
    than 1 too. NM has no such attribute: DECY in Corrected Image tells that, not to when (section 6.4).
    """
    if text(dataset, "SOPClassUID") != PET_STORAGE:
        corrected = "DECY" in texts(dataset, "CorrectedImage")
        return None, "decay-corrected (DECY), to an unknown moment" if corrected else "NM headers do not tell"
    stated, factor = text(dataset, "DecayCorrection"), positive(dataset, "DecayFactor")
    if stated == "START":
        return "acquisition_start", ""
    if stated == "NONE" and (factor is None or factor == 1.0):
        return "none", ""
    if stated == "ADMIN" and factor != 1.0:
        return "administration", ""
    return None, f"Decay Correction (0054,1102) {stated or 'missing'} with Decay Factor (0054,1321) {factor}"
