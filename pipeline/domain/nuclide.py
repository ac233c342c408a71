"""Radionuclides as data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.errors import require


@dataclass(frozen=True)
class Radionuclide:
    """A radionuclide with its mean energies per decay.

    Attributes
    ----------
    name : str
        As ``Lu-177``.
    half_life_s : float
    beta_mev, conversion_auger_mev, photon_mev : float
        Mean energy emitted per decay as beta particles, as conversion and Auger electrons, as gamma and X rays.
    decay_data : str
        Name of the decay data set (one per run).
    source : str
        Citation.
    """

    name: str
    half_life_s: float
    beta_mev: float
    conversion_auger_mev: float
    photon_mev: float
    decay_data: str
    source: str

    def __post_init__(self) -> None:
        require(
            self.half_life_s > 0 and self.electron_mev >= 0 and self.photon_mev >= 0,
            "NUCLIDE_DATA_INVALID",
            found=f"{self.name}: half-life {self.half_life_s} s, electrons {self.electron_mev} MeV",
            needed="positive half-life and energies",
            do="check the nuclide's data file",
            where=self.name,
        )

    @property
    def electron_mev(self) -> float:
        """Mean energy per decay carried by all electrons."""
        return self.beta_mev + self.conversion_auger_mev

    @property
    def decay_constant_per_s(self) -> float:
        """Physical decay constant."""
        return math.log(2.0) / self.half_life_s
