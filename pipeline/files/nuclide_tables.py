"""Nuclides and dose point kernels of the package, read once and handed down as values."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.nuclide import Radionuclide
from pipeline.errors import RefusalError, require
from pipeline.physics.dose.dose_kernel import PointKernel
from pipeline.units import KEV_PER_MEV, SECONDS_PER_DAY, SECONDS_PER_HOUR

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

NUCLIDES = "nuclides"
POINT_KERNELS = "dose_point_kernels"


def _data(folder: str) -> Traversable:
    return resources.files("pipeline") / "data" / folder


def _table(path: Traversable) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def nuclide_names() -> tuple[str, ...]:
    """Return the names of all nuclides of the package, sorted."""
    files = [entry.name for entry in _data(NUCLIDES).iterdir()]
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def _refuse_nuclide(name: str, known: str) -> RefusalError:
    return RefusalError(
        "NUCLIDE_UNKNOWN",
        found=f"nuclide {name!r}",
        needed=f"one of {known}",
        do="write the nuclide as Lu-177",
        where="nuclide",
    )


def _half_life_s(entry: dict[str, Any]) -> float:
    if "half_life_d" in entry:
        return float(entry["half_life_d"]) * SECONDS_PER_DAY
    return float(entry["half_life_h"]) * SECONDS_PER_HOUR


@cache
def load_nuclide(name: str, decay_data: str = "ICRP-107") -> Radionuclide:
    """Return a nuclide of the package with its mean energies per decay.

    Parameters
    ----------
    name : str
        As ``Lu-177``.
    decay_data : str
        ``ICRP-107``; for Lu-177 also ``DDEP``.

    Raises
    ------
    RefusalError
        ``NUCLIDE_UNKNOWN``, ``DECAY_DATA_UNKNOWN``.
    """
    if name not in nuclide_names():
        raise _refuse_nuclide(name, ", ".join(nuclide_names()))
    sets = _table(_data(NUCLIDES) / f"{name}.toml")["sets"]
    require(
        decay_data in sets,
        "DECAY_DATA_UNKNOWN",
        found=f"decay data {decay_data!r}",
        needed=f"one of {', '.join(sets)} for {name}",
        do="correct dose.decay_data of the site profile",
        where=name,
    )
    entry = sets[decay_data]
    return Radionuclide(
        name=name,
        half_life_s=_half_life_s(entry),
        beta_mev=entry["beta_kev"] / KEV_PER_MEV,
        conversion_auger_mev=entry["conversion_auger_kev"] / KEV_PER_MEV,
        photon_mev=entry["photon_kev"] / KEV_PER_MEV,
        decay_data=decay_data,
        source=entry["source"],
    )


@cache
def load_point_kernel(nuclide: str, medium: str = "water") -> PointKernel:
    """Return the dose point kernel of a nuclide in a medium (EGSnrc; see ``provenance.toml`` beside the files).

    Raises
    ------
    RefusalError
        ``NUCLIDE_UNKNOWN``, ``MEDIUM_UNKNOWN``.
    """
    provenance = _table(_data(POINT_KERNELS) / "provenance.toml")
    media = provenance.get(nuclide)
    if not isinstance(media, dict):
        raise _refuse_nuclide(nuclide, ", ".join(key for key, entry in provenance.items() if isinstance(entry, dict)))
    require(
        medium in media,
        "MEDIUM_UNKNOWN",
        found=f"medium {medium!r}",
        needed=f"one of {', '.join(media)} for {nuclide}",
        do="name a medium of the package",
        where=nuclide,
    )
    entry = media[medium]
    with (_data(POINT_KERNELS) / entry["file"]).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return PointKernel(
            edges_mm=arrays["edges_mm"],
            electron_mev_per_shell=arrays["electron_mev_per_shell"].astype(np.float64),
            photon_mev_per_shell=arrays["photon_mev_per_shell"].astype(np.float64),
            density_g_per_cm3=float(entry["density_g_per_cm3"]),
            nuclide=nuclide,
            medium=medium,
            source=f"{' '.join(provenance['method'].split())} Emissions: {provenance['emissions']}.",
        )
