"""The part of a ledger from a region's activity to its dose, and the marrow's ledger by blood."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.physics.ledger.chain import LedgerEntry
from pipeline.units import GY_G_PER_MEV, GY_PER_BQ_S_PER_MGY_PER_MBQ_S

DATA = "data files of the package (decay data, dose point kernel)"
ENGINE = "source model: electrons on the contour's grid, photons on the SPECT grid"


@dataclass(frozen=True)
class Kinetics:
    """The fit of one region, as far as a ledger shows it.

    ``first_activity_bq`` is the corrected activity at the time point the ledger starts with; ``amplitude_bq`` and
    ``rate_per_s`` are given for one exponential only.
    """

    first_activity_bq: float
    tia_bq_s: float
    relative_sigma: float | None
    model: str
    head_rule: str
    tail_rule: str
    points: int
    amplitude_bq: float | None = None
    rate_per_s: float | None = None


@dataclass(frozen=True)
class ModelDose:
    """A region's dose from the source model.

    ``electron_fraction`` and ``photon_fraction`` are the parts of the emitted energy that the region itself absorbs;
    ``volume_sensitivity`` is d ln D / d ln v: counts, recovery and mass move with the contour.
    """

    volume_ml: float
    mass_g: float
    electron_mev: float
    photon_mev: float
    electron_fraction: float
    photon_fraction: float
    neighbours_gy: float
    remainder_gy: float
    energy_source: str
    s_relative_sigma: float
    volume_relative_sigma: float
    volume_sensitivity: float
    contour_method: str


@dataclass(frozen=True)
class BloodDose:
    """The marrow's dose from the concentration in blood (or in the aorta)."""

    method: str
    tia_bq_s_per_ml: float
    tia_relative_sigma: float
    ratio: float
    self_s_mgy_per_mbq_s: float
    reference_g: float
    blood_density_g_per_ml: float
    cross_gy: float
    cross_relative_sigma: float
    s_relative_sigma: float


def fit_entry(given: Kinetics) -> LedgerEntry:
    """Return the time by which the fit turns the first activity into the time-integrated activity."""
    return LedgerEntry(
        "fit",
        "tau",
        "multiply",
        given.tia_bq_s / given.first_activity_bq,
        "s",
        "time-integrated activity",
        "Bq s",
        f"{given.model} through {given.points} points, head {given.head_rule}, tail {given.tail_rule}",
        "site.toml [kinetics] head_rule, tail_rule, relative_error; cycle form administered_at; the time points",
        relative_sigma=given.relative_sigma,
        parts=_exponential(given),
    )


def _exponential(given: Kinetics) -> tuple[LedgerEntry, ...]:
    if given.amplitude_bq is None or given.rate_per_s is None:
        return ()
    where = "site.toml [kinetics]"
    ratio = given.amplitude_bq / given.first_activity_bq
    around = given.tia_bq_s * given.rate_per_s / given.amplitude_bq
    return (
        LedgerEntry("amplitude", "A0/A", "start", ratio, "1", "curve at t = 0 over this activity", "1", "fit", where),
        LedgerEntry(
            "rate",
            "lambda",
            "divide",
            given.rate_per_s,
            "1/s",
            "area of the curve over this activity",
            "s",
            "fit",
            where,
        ),
        LedgerEntry(
            "head_and_tail",
            "f_ht",
            "multiply",
            around,
            "1",
            "time factor",
            "s",
            f"head {given.head_rule}, tail {given.tail_rule}; 1: the curve alone",
            "site.toml [kinetics] head_rule, tail_rule",
        ),
    )


def model_entries(given: ModelDose) -> tuple[LedgerEntry, ...]:
    """Return the entries from the time-integrated activity to the mean dose of the source model."""
    return (
        _absorbed_energy(given),
        _energy_unit(),
        _mass(given),
        LedgerEntry(
            "cross_dose",
            "D_cross",
            "add",
            given.neighbours_gy + given.remainder_gy,
            "Gy",
            "mean absorbed dose",
            "Gy",
            f"{ENGINE}; its error is taken as that of the whole dose",
            "contours; the other regions' activity",
            parts=_cross_parts(given),
        ),
    )


def _absorbed_energy(given: ModelDose) -> LedgerEntry:
    photons_mev = given.photon_mev * given.photon_fraction
    return LedgerEntry(
        "absorbed_energy",
        "e",
        "multiply",
        given.electron_mev * given.electron_fraction + photons_mev,
        "MeV",
        "energy absorbed in the region",
        "MeV",
        f"energy per decay that stays in the region; {given.energy_source}",
        DATA,
        relative_sigma=given.s_relative_sigma,
        parts=_energy_parts(given, photons_mev),
    )


def _energy_parts(given: ModelDose, photons_mev: float) -> tuple[LedgerEntry, ...]:
    absorbed = "electron energy absorbed"
    return (
        _energy("electron_energy", "E_e", given.electron_mev, given.energy_source),
        _fraction("electron_fraction", "phi_e", given.electron_fraction, absorbed),
        LedgerEntry(
            "photons_absorbed",
            "e_ph",
            "add",
            photons_mev,
            "MeV",
            "energy absorbed per decay",
            "MeV",
            ENGINE,
            DATA,
            parts=(
                _energy("photon_energy", "E_ph", given.photon_mev, given.energy_source),
                _fraction("photon_fraction", "phi_ph", given.photon_fraction, "photon energy absorbed"),
            ),
        ),
    )


def _energy(step: str, symbol: str, mev: float, source: str) -> LedgerEntry:
    return LedgerEntry(step, symbol, "start", mev, "MeV", "energy emitted per decay", "MeV", source, DATA)


def _fraction(step: str, symbol: str, value: float, gives: str) -> LedgerEntry:
    source = f"self dose of the {ENGINE}"
    return LedgerEntry(step, symbol, "multiply", value, "1", gives, "MeV", source, "contours; voxel size")


def _energy_unit() -> LedgerEntry:
    return LedgerEntry(
        "energy_unit",
        "c",
        "multiply",
        GY_G_PER_MEV,
        "Gy g/MeV",
        "energy absorbed in the region",
        "Gy g",
        "1 eV = 1.602176634e-19 J, exact (SI 2019)",
        "nowhere: definition",
        relative_sigma=0.0,
    )


def _mass(given: ModelDose) -> LedgerEntry:
    density = given.mass_g / given.volume_ml
    contours, curve = "contours (--contours)", "site.toml [ct] density_curve"
    return LedgerEntry(
        "mass",
        "m",
        "divide",
        given.mass_g,
        "g",
        "dose from its own activity",
        "Gy",
        f"contour ({given.contour_method}) on the CT; sigma: of the volume, with counts and recovery that move along",
        f"{contours}; {curve}",
        relative_sigma=given.volume_relative_sigma,
        sensitivity=given.volume_sensitivity,
        parts=(
            LedgerEntry("volume", "v", "start", given.volume_ml, "mL", "volume", "mL", given.contour_method, contours),
            LedgerEntry("density", "rho", "multiply", density, "g/mL", "mass", "g", "mean of the CT's density", curve),
        ),
    )


def _cross_parts(given: ModelDose) -> tuple[LedgerEntry, ...]:
    gives, changed_in = "cross-dose", "contours; the other regions' activity"
    near, rest = given.neighbours_gy, given.remainder_gy
    return (
        LedgerEntry("other_regions", "D_n", "start", near, "Gy", gives, "Gy", f"{ENGINE}: other regions", changed_in),
        LedgerEntry("rest_of_body", "D_b", "add", rest, "Gy", gives, "Gy", f"{ENGINE}: outside regions", changed_in),
    )


def map_entries(
    tia_bq_s: float, mass_g: float, mean_gy: float, s_relative_sigma: float | None = None
) -> tuple[LedgerEntry, ...]:
    """Return the entries from the TIA to the mean of the dose map, for the remainder of the body.

    The remainder has no source model: what it absorbs per own decay is what the map says, from all sources.
    """
    return (
        LedgerEntry(
            "absorbed_energy",
            "e",
            "multiply",
            mean_gy * mass_g / (tia_bq_s * GY_G_PER_MEV),
            "MeV",
            "energy absorbed in the region",
            "MeV",
            "mean of the dose map: from all sources, per decay of its own",
            DATA,
            relative_sigma=s_relative_sigma,
        ),
        _energy_unit(),
        LedgerEntry(
            "mass",
            "m",
            "divide",
            mass_g,
            "g",
            "mean absorbed dose",
            "Gy",
            "body of the CT outside the regions",
            "contours; site.toml [ct] density_curve",
        ),
    )


def blood_entries(given: BloodDose) -> tuple[LedgerEntry, ...]:
    """Return the ledger of the marrow by blood; the patient's marrow mass cancels (Hindorf et al. 2010)."""
    aorta = given.method == "image_aorta"
    self_gy = (
        given.tia_bq_s_per_ml
        / given.blood_density_g_per_ml
        * given.ratio
        * given.reference_g
        * (given.self_s_mgy_per_mbq_s * GY_PER_BQ_S_PER_MGY_PER_MBQ_S)
    )
    total_gy = self_gy + given.cross_gy
    own = self_gy / total_gy if total_gy > 0.0 else 0.0
    return (
        LedgerEntry(
            "blood_tia",
            "a_blood",
            "start",
            given.tia_bq_s_per_ml,
            "Bq s/mL",
            "time-integrated concentration in blood",
            "Bq s/mL",
            "the aorta's TIA over its volume" if aorta else "fit of the blood samples",
            "contours (aorta)" if aorta else "blood samples (--blood)",
            relative_sigma=given.tia_relative_sigma,
            sensitivity=own,
        ),
        *_marrow_factors(given, own),
        LedgerEntry(
            "cross_dose",
            "D_cross",
            "add",
            given.cross_gy,
            "Gy",
            "mean absorbed dose",
            "Gy",
            "photons of all imaged sources to the vertebral marrow",
            "contours; the regions' activity",
            relative_sigma=given.cross_relative_sigma,
            sensitivity=1.0 - own if total_gy > 0.0 else 0.0,
        ),
    )


def _marrow_factors(given: BloodDose, own: float) -> tuple[LedgerEntry, ...]:
    s_gy = given.self_s_mgy_per_mbq_s * GY_PER_BQ_S_PER_MGY_PER_MBQ_S
    per_gram, marrow = "time-integrated activity per gram", "Bq s/g"
    adult = "adult male, OLINDA/EXM 2 (Stabin, Farmer 2012); the patient's own mass cancels (Hindorf et al. 2010)"
    return (
        LedgerEntry(
            "blood_density",
            "rho_b",
            "divide",
            given.blood_density_g_per_ml,
            "g/mL",
            f"{per_gram} of blood",
            marrow,
            "ICRU Report 46",
            "package constant",
            sensitivity=-own,
        ),
        LedgerEntry(
            "blood_to_marrow_ratio",
            "RMBLR",
            "multiply",
            given.ratio,
            "1",
            f"{per_gram} of marrow",
            marrow,
            "site profile; default 1 for 177Lu-DOTATATE: Forrer et al., EJNMMI 2009;36:1138",
            "site.toml [marrow] blood_to_marrow_ratio",
            sensitivity=own,
        ),
        LedgerEntry(
            "reference_mass",
            "m_ref",
            "multiply",
            given.reference_g,
            "g",
            "time-integrated activity of the reference marrow",
            "Bq s",
            adult,
            "package constant",
            sensitivity=own,
        ),
        LedgerEntry(
            "self_s_value",
            "S",
            "multiply",
            s_gy,
            "Gy/(Bq s)",
            "dose from its own activity",
            "Gy",
            adult,
            "package constant",
            relative_sigma=given.s_relative_sigma,
            sensitivity=own,
        ),
    )
