"""Half-lives known before the scan: the package's population table and a site's own file."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusalError
from pipeline.files.tables import read_rows
from pipeline.physics.kinetics.single_scan import HalfLifePrior
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from pathlib import Path

SIDES = frozenset({"left", "right"})


@cache
def _population() -> dict[str, Any]:
    return tomllib.loads((resources.files("pipeline") / "data" / "half_lives.toml").read_text(encoding="utf-8"))


def region_key(name: str) -> str:
    """Return a region's name with its side after a hyphen: ``kidney-left`` for ``kidney_left``, the key of a result."""
    stem, underscore, side = name.rpartition("_")
    return f"{stem}-{side}" if underscore and side.lower() in SIDES else name


def population_prior(nuclide: str, region: str) -> HalfLifePrior:
    """Return the population's half-life of a region.

    Parameters
    ----------
    nuclide : str
        As ``Lu-177``. The table holds for the ligands that the prior's source names (DOTATATE, DOTATOC); nothing here
        knows the patient's.
    region : str
        ``kidney``, ``liver``, ``spleen`` or ``lesion``; what follows a hyphen (``kidney-left``, ``lesion-3``) and a
        side (``kidney_left``) do not count.

    Returns
    -------
    HalfLifePrior

    Raises
    ------
    RefusalError
        ``POPULATION_UNKNOWN`` for another nuclide or region.
    """
    table = _population()
    entry = table["region"].get(region_key(region).split("-", maxsplit=1)[0].lower())
    if nuclide != table["nuclide"] or entry is None:
        known = ", ".join(table["region"])
        raise RefusalError(
            "POPULATION_UNKNOWN",
            found=f"region {region}, nuclide {nuclide}",
            needed=f"{table['nuclide']} with {' or '.join(table['ligands'])} and one of {known}",
            do="add a second scan, or give the half-life of your own population in a file",
            where="prior",
        )
    first, last = table["scan_time_h"]
    return HalfLifePrior(
        entry["median_h"] * SECONDS_PER_HOUR,
        entry["log_sigma"],
        "population",
        f"the population table (half_lives.toml) for {table['nuclide']} with {' or '.join(table['ligands'])} only",
        (first * SECONDS_PER_HOUR, last * SECONDS_PER_HOUR),
    )


def prior_file(path: Path) -> dict[str, HalfLifePrior]:
    """Read half-lives per region from a CSV file.

    Parameters
    ----------
    path : Path
        ``region,half_life_h,half_life_sigma_h``; one row per region.

    Returns
    -------
    dict
        Region (:func:`region_key`) -> prior.

    Raises
    ------
    RefusalError
        ``PRIOR_FILE_INVALID``.
    """
    priors: dict[str, HalfLifePrior] = {}
    for row in read_rows(path, code="PRIOR_FILE_INVALID", required=("region", "half_life_h", "half_life_sigma_h")):
        name = region_key(row.text("region"))
        if not name or name in priors:
            raise row.refusal("region", repr(name), "each region's name once")
        half_life_h = row.number("half_life_h", least=1e-3)
        sigma_h = row.number("half_life_sigma_h", least=0.0, most=half_life_h)
        priors[name] = HalfLifePrior(half_life_h * SECONDS_PER_HOUR, sigma_h / half_life_h, "file", path.name)
    return priors
