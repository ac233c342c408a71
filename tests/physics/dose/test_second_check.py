"""The independent check against EGSnrc, OLINDA and its own rules; it shares no file with the engine."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import RefusalError
from pipeline.files.nuclide_tables import load_nuclide
from pipeline.physics.dose import second_check as module
from pipeline.physics.dose.second_check import LU177_ORGANS, organ_s_published, second_check, sphere_s_published

if TYPE_CHECKING:
    from pipeline.domain.nuclide import Radionuclide

TOLERANCES = {"kidney": 0.04, "spleen": 0.04, "lesion": 0.04, "liver": 0.08}

# Self S values of soft-tissue spheres, g and Gy per decay: PyTheranostics' spheres.json (Apache-2.0; MIRDcalc type).
PUBLISHED = [
    (4.31e-3, 4.54e-9),
    (1.46e-2, 1.44e-9),
    (3.45e-2, 6.29e-10),
    (0.116, 1.93e-10),
    (0.276, 8.26e-11),
    (0.539, 4.27e-11),
    (0.932, 2.49e-11),
    (2.21, 1.06e-11),
    (4.31, 5.46e-12),
    (14.6, 1.63e-12),
    (34.5, 6.93e-13),
    (116.0, 2.07e-13),
    (276.0, 8.81e-14),
    (539.0, 4.54e-14),
    (932.0, 2.65e-14),
]


@pytest.mark.parametrize(("mass_g", "s_value"), PUBLISHED)
def test_fit_holds_the_published_list(mass_g: float, s_value: float) -> None:
    assert sphere_s_published(mass_g) == pytest.approx(s_value, rel=0.005)


# EGSnrc water spheres (physics reference, section D), which the fit has never seen.
@pytest.mark.parametrize(("mass_g", "s_value"), [(0.1, 2.2278e-1), (1, 2.3124e-2), (10, 2.3596e-3), (100, 2.3994e-4)])
def test_fit_agrees_with_egsnrc(mass_g: float, s_value: float) -> None:
    assert sphere_s_published(mass_g) * 1e9 == pytest.approx(s_value, rel=0.005)


def test_organs_are_the_published_ones_at_their_mass_and_scale_between_mass_powers() -> None:
    for organ in LU177_ORGANS.values():
        reference = organ_s_published(organ, organ.mass_g)
        assert reference * 1e9 == pytest.approx(organ.s_mgy_per_mbq_s, rel=1e-12)
        # Electrons scale by 1/m, photons by m^(-2/3): together between the two, nearer to 1/m.
        assert 0.5 < organ_s_published(organ, 2 * organ.mass_g) / reference < 0.51


@pytest.mark.parametrize("name", ["kidney", "kidney_left", "spleen", "liver", "lesion-3"])
def test_agreement_passes_and_an_error_beyond_the_tolerance_fails(lutetium: Radionuclide, name: str) -> None:
    kind = "lesion" if name.startswith("lesion") else "organ"
    dose = second_check(name, kind, 1e12, 160.0, lutetium, 1.0, TOLERANCES).mean_dose_gy
    for factor, passes in ((1.0, True), (1.039, True), (1.1, False), (0.9, False)):
        check = second_check(name, kind, 1e12, 160.0, lutetium, dose * factor, TOLERANCES)
        assert check.difference == pytest.approx(factor - 1, abs=1e-12)
        assert check.passed is passes


def test_a_kidney_of_the_reference_man(lutetium: Radionuclide) -> None:
    # 7.4 GBq with 1.5 % uptake in one kidney and 51 h effective half-life: 0.111 GBq x 73.58 h = 2.94e13 Bq s; times
    # 1.552e-4 mGy/(MBq s) = 4.56 Gy, by hand.
    check = second_check("kidney", "organ", 2.94e13, 155.0, lutetium, 4.6, TOLERANCES)
    assert check.mean_dose_gy == pytest.approx(4.563, rel=1e-3)
    assert check.tolerance == 0.04
    assert check.passed


def test_other_regions_and_nuclides_are_information(lutetium: Radionuclide) -> None:
    marrow = second_check("marrow", "marrow", 1e12, 1000.0, lutetium, 5.0, TOLERANCES)
    assert (marrow.tolerance, marrow.passed) == (None, True)
    other = second_check("kidney", "organ", 1e12, 155.0, load_nuclide("Y-90"), 5.0, TOLERANCES)
    assert (other.tolerance, other.passed) == (None, True)
    empty = second_check("spleen", "organ", 0.0, 155.0, lutetium, 0.01, TOLERANCES)
    assert (empty.difference, empty.tolerance, empty.passed) == (0.0, None, True)


@pytest.mark.parametrize(("tia", "mass", "dose"), [(-1.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, float("nan"))])
def test_impossible_input_is_refused(lutetium: Radionuclide, tia: float, mass: float, dose: float) -> None:
    with pytest.raises(RefusalError, match="SECOND_CHECK_INPUT"):
        second_check("kidney", "organ", tia, mass, lutetium, dose, TOLERANCES)


def test_the_check_imports_nothing_of_the_engine() -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {
        name for name in imported if name and name.startswith(("kernels", "pipeline.physics", "pipeline.files"))
    }
