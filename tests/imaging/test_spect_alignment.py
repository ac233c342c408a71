"""SPECT against its CT, found from the images: the example cycle, where both lie as they should, and moved by hand."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from pipeline.domain.geometry import Grid
from pipeline.domain.study import StudyTimePoint
from pipeline.errors import RefusalError
from pipeline.files.forms import load_cycle_form
from pipeline.settings import load_site
from pipeline.steps.gates import alignment_flags
from pipeline.steps.ingest import ingest


@pytest.fixture(scope="module")
def point(tmp_path_factory: pytest.TempPathFactory) -> StudyTimePoint:
    folder = tmp_path_factory.mktemp("alignment")
    with resources.as_file(resources.files("sample_dicom") / "example-perfect-cycle.zip") as archive:
        zipfile.ZipFile(archive).extractall(folder)
    study = ingest([folder / "cycle-1"], load_site(folder / "site.toml"), load_cycle_form(_form(folder)))
    return study.time_points[0]


def _form(folder: Path) -> Path:
    return folder / "cycle-1" / "cycle.toml"


def moved(point: StudyTimePoint, by_mm: tuple[float, float, float]) -> StudyTimePoint:
    grid = point.spect.grid
    affine = np.array(grid.affine_mm)
    affine[:3, 3] += by_mm
    return replace(point, spect=replace(point.spect, grid=Grid(grid.shape, affine, "1.2.3.99")))


def test_a_common_frame_is_believed(point: StudyTimePoint) -> None:
    assert alignment_flags([point]) == ()


@pytest.mark.parametrize(
    ("by_mm", "level"), [((0.0, 0.0, 0.0), "INFO"), ((0.0, -8.0, 8.0), "WARN"), ((-10.0, 0.0, 0.0), "WARN")]
)
def test_without_one_the_images_tell(point: StudyTimePoint, by_mm: tuple[float, float, float], level: str) -> None:
    """Found within 3 mm of what was moved: below 8 mm noted, below 15 mm warned."""
    (flag,) = alignment_flags([moved(point, by_mm)])
    assert (flag.code, flag.level) == ("ALIGNMENT_BY_IMAGE", level)
    assert float(flag.text.split("moved by ")[1].split(" mm")[0]) == pytest.approx(
        float(np.linalg.norm(by_mm)), abs=3.0
    )


@pytest.mark.parametrize("by_mm", [(25.0, 0.0, 0.0), (0.0, 0.0, 30.0)])
def test_a_spect_elsewhere_is_refused(point: StudyTimePoint, by_mm: tuple[float, float, float]) -> None:
    with pytest.raises(RefusalError, match="SPECT_CT_MISALIGNED"):
        alignment_flags([moved(point, by_mm)])


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (1, 2)], ids=["upside down", "face down", "mirrored", "half turn"])
def test_a_spect_turned_round_is_refused(point: StudyTimePoint, axes: tuple[int, ...]) -> None:
    """A shift alone would find 1 to 5 mm and accept it: the likeness to the CT tells."""
    here = moved(point, (0.0, 0.0, 0.0))
    turned = replace(here, spect=replace(here.spect, value=np.flip(np.asarray(here.spect.value), axes)))
    with pytest.raises(RefusalError, match="SPECT_CT_MISALIGNED") as refusal:
        alignment_flags([turned])
    assert "turned round" in refusal.value.found


def test_an_image_without_uptake_is_refused(point: StudyTimePoint) -> None:
    here = moved(point, (0.0, 0.0, 0.0))
    empty = replace(here, spect=replace(here.spect, value=np.zeros_like(np.asarray(here.spect.value))))
    with pytest.raises(RefusalError, match="SPECT_CT_MISALIGNED"):
        alignment_flags([empty])
