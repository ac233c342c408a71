"""Sphere S values against EGSnrc and against published organ values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import RefusalError
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel
from pipeline.physics.dose.sphere import sphere_s_value

if TYPE_CHECKING:
    from pipeline.domain.nuclide import Radionuclide
    from pipeline.physics.dose.dose_kernel import PointKernel

# EGSnrc, uniform 177Lu in a water sphere in water: mass, AF of electrons, AF of photons, S in mGy/(MBq s); +-0.3 %.
EGSNRC = [
    (0.1, 0.9366, 0.0128, 2.2278e-1),
    (1.0, 0.9701, 0.0216, 2.3124e-2),
    (10.0, 0.9858, 0.0394, 2.3596e-3),
    (100.0, 0.9932, 0.0794, 2.3994e-4),
]
# OLINDA/EXM 2, adult male, self S in mGy/(MBq s): an organ is a sphere to 2 % (each kidney one sphere of half the mass
# that holds half of the decays).
OLINDA = [("kidney", 155.0, 2 * 7.76e-5), ("liver", 1800.0, 1.37e-5), ("spleen", 150.0, 1.60e-4)]


@pytest.mark.parametrize(("mass_g", "electrons", "photons", "s_value"), EGSNRC)
def test_spheres_of_egsnrc(
    water: PointKernel, lutetium: Radionuclide, mass_g: float, electrons: float, photons: float, s_value: float
) -> None:
    found = sphere_s_value(water, lutetium, mass_g)
    assert found.s_gy_per_bq_s * 1e9 == pytest.approx(s_value, rel=1e-3)
    assert found.electron_fraction == pytest.approx(electrons, abs=2e-4)
    assert found.photon_fraction == pytest.approx(photons, rel=5e-3)


@pytest.mark.parametrize(("organ", "mass_g", "s_value"), OLINDA)
def test_organs_of_olinda(
    water: PointKernel, lutetium: Radionuclide, organ: str, mass_g: float, s_value: float
) -> None:
    assert sphere_s_value(water, lutetium, mass_g).s_gy_per_bq_s * 1e9 == pytest.approx(s_value, rel=0.02), organ


def test_ddep_changes_a_kidney_by_a_fifth_of_a_percent(water: PointKernel, lutetium: Radionuclide) -> None:
    # Physics reference, section A: electrons 148.24 against 147.98 keV, photons 5 % lower.
    icrp, ddep = (sphere_s_value(water, n, 155.0).s_gy_per_bq_s for n in (lutetium, load_nuclide("Lu-177", "DDEP")))
    assert abs(ddep / icrp - 1) < 2.5e-3


def test_a_very_large_sphere_absorbs_all_electrons_and_most_photons(water: PointKernel, lutetium: Radionuclide) -> None:
    # 10 kg, radius 13.4 cm.
    found = sphere_s_value(water, lutetium, 1e4)
    assert 0.997 < found.electron_fraction < 1.0
    assert 0.30 < found.photon_fraction < 0.45


def test_yttrium_has_no_photons_to_speak_of() -> None:
    found = sphere_s_value(load_point_kernel("Y-90"), load_nuclide("Y-90"), 100.0)
    assert found.photon_fraction == 0.0
    # Physics behind it: mean chord of the electrons' 4 mm range in a sphere of 28.8 mm; published AF 0.93 (Akabani;
    # Amato: 0.93 at 100 g).
    assert found.electron_fraction == pytest.approx(0.93, abs=0.01)


@pytest.mark.parametrize("mass_g", [0.0, -1.0, 1e5, float("nan")])
def test_impossible_masses_are_refused(water: PointKernel, lutetium: Radionuclide, mass_g: float) -> None:
    with pytest.raises(RefusalError, match="MASS_INVALID"):
        sphere_s_value(water, lutetium, mass_g)
