"""A validation that could not fail would prove nothing: broken data and a broken engine make the right rows fail."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.files.commissioning_data import load_decision_cases
from pipeline.physics.commissioning import (
    conservation,
    convolution,
    decay_data,
    heterogeneity,
    organs,
    spheres,
    voxel_kernels,
)
from pipeline.rules.commissioning import decisions_chapter
from pipeline.settings import load_protocol_limits
from pipeline.steps.validate import validation_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.physics.commissioning.bench import Bench
    from pipeline.physics.commissioning.rows import Chapter
    from pipeline.physics.dose.dose_kernel import PointKernel


def longer_electrons(kernel: PointKernel) -> PointKernel:
    """Every electron reaches a tenth further."""
    return replace(kernel, edges_mm=kernel.edges_mm * 1.1)


def short_photons(kernel: PointKernel) -> PointKernel:
    """The photon tail is cut at 5 cm, as kernels made for speed are."""
    tail = kernel.edges_mm[1:] > 50.0
    return replace(kernel, photon_mev_per_shell=np.where(tail, 0.0, kernel.photon_mev_per_shell))


def without_conversion_electrons(kernel: PointKernel) -> PointKernel:
    """A tenth of the electrons is missing, as in a published table."""
    return replace(kernel, electron_mev_per_shell=kernel.electron_mev_per_shell * (133.33 / 147.98))


def with_kernel(bench: Bench, change: Callable[[PointKernel], PointKernel]) -> Bench:
    kernels = {key: change(kernel) for key, kernel in bench.point_kernels.items()}
    return replace(bench, point_kernels=kernels)


def failed(bench: Bench, chapter: Chapter) -> list[str]:
    return [row.what for row in chapter.rows(bench) if row.verdict == "fail"]


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (longer_electrons, "4.8 mm, face neighbour k = (1, 0, 0)"),
        (short_photons, "3 mm, worst of all voxels two to ten steps away"),
        (short_photons, "photon energy absorbed within 10 cm of a point"),
        (without_conversion_electrons, "2 mm, source voxel k = (0, 0, 0)"),
    ],
)
def test_a_broken_kernel_fails_the_kernel_chapter(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: Callable[[PointKernel], PointKernel], fails: str
) -> None:
    # without the large kernels and the other sizes, which take most of the time
    monkeypatch.setattr(voxel_kernels, "OTHER_SIZES", ())
    table = {**bench.tables["voxel_s_values"], "energies": []}
    small = replace(bench, tables={**bench.tables, "voxel_s_values": table})
    assert fails not in failed(small, voxel_kernels.CHAPTER)
    assert fails in failed(with_kernel(small, change), voxel_kernels.CHAPTER)


@pytest.mark.parametrize("change", [longer_electrons, short_photons])
@pytest.mark.parametrize("chapter", [spheres.CHAPTER, heterogeneity.SLABS], ids=lambda chapter: chapter.key)
def test_a_kernel_of_wrong_shape_fails_spheres_and_slabs(
    bench: Bench, change: Callable[[PointKernel], PointKernel], chapter: Chapter
) -> None:
    assert failed(with_kernel(bench, change), chapter)


def test_a_kernel_without_conversion_electrons_fails_its_closure(bench: Bench) -> None:
    found = failed(with_kernel(bench, without_conversion_electrons), decay_data.CHAPTER)
    assert "Lu-177 in water: energy absorbed around a point" in found


def test_wrong_decay_data_fail_decay_data_and_organs(bench: Bench) -> None:
    wrong = {
        key: replace(nuclide, conversion_auger_mev=0.0, half_life_s=nuclide.half_life_s * 1.001)
        for key, nuclide in bench.nuclides.items()
    }
    broken = replace(bench, nuclides=wrong)
    assert "Lu-177 (ICRP-107): half-life" in failed(broken, decay_data.CHAPTER)
    assert "Lu-177 (ICRP-107): electrons" in failed(broken, decay_data.CHAPTER)
    assert len(failed(broken, organs.CHAPTER)) == 6


@pytest.mark.parametrize("size", [0.99, 1.01])
def test_an_engine_that_is_one_percent_off_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    monkeypatch.setattr(convolution, "SCENES", convolution.SCENES[:1])
    monkeypatch.setattr(conservation, "CASES", ())
    for module in (convolution, conservation, heterogeneity):
        right = module.absorbed_dose

        def wrong(*given: object, right: Callable[..., object] = right) -> object:
            result = right(*given)
            dose = replace(result.dose, dose_gy=result.dose.dose_gy * size)
            return replace(result, dose=dose, electron_gy=result.electron_gy * size)

        monkeypatch.setattr(module, "absorbed_dose", wrong)
    assert len(failed(bench, convolution.CHAPTER)) == 3
    assert len(failed(bench, heterogeneity.SLABS)) >= 24
    assert "Lu-177, voxels of lung, water and bone at random: electrons" in failed(bench, conservation.CHAPTER)


def test_a_wrong_decision_fails_its_row_and_says_in_what(bench: Bench) -> None:
    cases = copy.deepcopy(load_decision_cases()[:3])
    cases[1]["expected"]["outcome"] = "STOP"
    cases[2]["also_expected"]["cum_kidney"] = 99.0
    rows = decisions_chapter(lambda: cases, load_protocol_limits).rows(bench)
    assert [row.verdict for row in rows] == ["pass", "fail", "fail"]
    assert rows[1].reason == "differs in outcome"
    assert rows[2].reason == "differs in cumulative kidney dose"


def test_one_failed_row_fails_the_document(bench: Bench) -> None:
    document = validation_document(with_kernel(bench, without_conversion_electrons), [decay_data.CHAPTER])
    assert document["verdict"] == "fail"
    assert document["counts"]["fail"] == document["chapters"][0]["counts"]["fail"] > 0
