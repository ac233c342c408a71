"""Nuclide data of the package against their sources, and the documents of ``prrt kernel`` and ``prrt sphere``."""

from __future__ import annotations

import pytest

from pipeline.errors import RefusalError
from pipeline.files.nuclide_tables import load_nuclide, load_point_kernel, nuclide_names
from pipeline.steps.dose_tools import kernel_document, sphere_document

# keV per decay (electrons, photons) and half-life in s: ICRP Publication 107.
ICRP_107 = {
    "Lu-177": (147.98, 35.10, 6.647 * 86400),
    "Y-90": (933.1, 0.001, 64.10 * 3600),
    "I-131": (191.88, 382.8, 8.0207 * 86400),
    "Tb-161": (202.53, 36.5, 6.906 * 86400),
}


@pytest.mark.parametrize("name", list(ICRP_107))
def test_energies_and_half_life(name: str) -> None:
    nuclide = load_nuclide(name)
    electrons, photons, half_life = ICRP_107[name]
    assert nuclide.electron_mev * 1e3 == pytest.approx(electrons, rel=1e-4)
    assert nuclide.photon_mev * 1e3 == pytest.approx(photons, rel=1e-4)
    assert nuclide.half_life_s == pytest.approx(half_life)
    assert "ICRP" in nuclide.source


@pytest.mark.parametrize("name", list(ICRP_107))
def test_point_kernel_deposits_what_the_decay_emits(name: str) -> None:
    # Energy closure: absorbed = emitted in metres of water, 0.3 %. Y-90's photons are not in its kernel.
    kernel, nuclide = load_point_kernel(name), load_nuclide(name)
    assert kernel.electron_mev == pytest.approx(nuclide.electron_mev, rel=3e-3)
    if name != "Y-90":
        assert kernel.photon_mev == pytest.approx(nuclide.photon_mev, rel=3e-3)


def test_every_nuclide_has_a_kernel_in_water() -> None:
    assert set(nuclide_names()) == set(ICRP_107)
    assert all(load_point_kernel(name).density_g_per_cm3 == 1.0 for name in nuclide_names())


def test_ddep_is_the_second_set() -> None:
    assert load_nuclide("Lu-177", "DDEP").photon_mev / load_nuclide("Lu-177").photon_mev == pytest.approx(
        0.95, abs=0.01
    )


def test_unknown_names_are_refused_with_what_there_is() -> None:
    with pytest.raises(RefusalError, match="Lu-177") as refusal:
        load_nuclide("177Lu")
    assert refusal.value.code == "NUCLIDE_UNKNOWN"
    with pytest.raises(RefusalError, match="NUCLIDE_UNKNOWN"):
        load_point_kernel("Ac-225")
    with pytest.raises(RefusalError, match="NUCLIDE_UNKNOWN"):
        load_point_kernel("method")
    with pytest.raises(RefusalError, match="compact_bone") as medium:
        load_point_kernel("Lu-177", "lead")
    assert medium.value.code == "MEDIUM_UNKNOWN"
    with pytest.raises(RefusalError, match="DECAY_DATA_UNKNOWN"):
        load_nuclide("Y-90", "DDEP")


def test_kernel_document_lists_one_octant_in_the_order_of_k() -> None:
    document = kernel_document("Lu-177", (5.0, 4.0, 4.0))
    assert document["unit"] == "mGy/(MBq*s)"
    values = {tuple(entry["k"]): entry for entry in document["s_values"]}
    assert len(values) == 11**3
    assert values[0, 1, 0]["total"] > values[1, 0, 0]["total"]
    assert all(v["total"] == pytest.approx(v["electron"] + v["photon"], rel=1e-12) for v in values.values())


def test_kernel_document_holds_the_value_at_4_8_mm() -> None:
    # EGSnrc, mGy/(MBq s): physics reference, section B.
    document = kernel_document("Lu-177", (4.8, 4.8, 4.8), extent=1)
    assert document["s_values"][0]["total"] == pytest.approx(1.994e-1, rel=2e-3)
    assert len(document["s_values"]) == 8


def test_sphere_document_keeps_the_order_asked() -> None:
    spheres = sphere_document("Lu-177", [100.0, 1.0])["spheres"]
    assert [entry["mass_g"] for entry in spheres] == [100.0, 1.0]
    assert spheres[1]["s_mgy_per_mbq_s"] == pytest.approx(2.3124e-2, rel=5e-3)
