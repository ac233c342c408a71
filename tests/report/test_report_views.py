"""Left is left: whatever way an array runs, the pictures follow the radiological convention."""

from __future__ import annotations

import io
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import matplotlib.image
import numpy as np
import pytest

from pipeline.domain.geometry import Grid
from pipeline.errors import RefusalError
from pipeline.report import figures, imagery, style
from pipeline.report.volumes import ReportVolumes, centre_index, display_frame, hottest_index, views_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHAPE_SPL = (30, 24, 40)
SPACING_SPL = (4.0, 3.0, 2.0)
# superior, posterior, left of the centre, in voxels
BLOB_SPL = (22, 6, 31)


def _volumes(order: tuple[int, ...], signs: tuple[int, ...]) -> ReportVolumes:
    """One asymmetric body (hot blob superior, anterior and left) stored with any axis order and direction."""
    dose = np.zeros(SHAPE_SPL)
    s, p, n = BLOB_SPL
    dose[s - 2 : s + 3, p - 2 : p + 3, n - 2 : n + 3] = 10.0
    axes_lps = np.zeros((3, 3))
    origin = np.zeros(3)
    stored = dose
    # array axis k runs along body axis order[k]; body axes S, P, L are LPS rows 2, 1, 0
    stored = np.transpose(dose, order)
    for k, (body, sign) in enumerate(zip(order, signs, strict=True)):
        axes_lps[2 - body, k] = sign * SPACING_SPL[body]
        if sign < 0:
            stored = np.flip(stored, axis=k)
            origin[2 - body] = SPACING_SPL[body] * (SHAPE_SPL[body] - 1)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes_lps, origin
    grid = Grid(stored.shape, affine, "1.2.3")
    ct = np.full(stored.shape, 40.0)
    return ReportVolumes(ct, stored, stored * 1e5, (stored > 0).astype(int), grid, {1: "Lesion 1"})


ORIENTATIONS = list(product(permutations(range(3)), product((1, -1), repeat=3)))


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_every_storage_order_is_arranged_to_the_same_body(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    volumes = _volumes(order, signs)
    frame = display_frame(volumes.grid)
    arranged = frame.arrange(np.asarray(volumes.dose_gy))
    centre = np.argwhere(arranged > 0).mean(axis=0)
    assert arranged.shape == SHAPE_SPL
    assert centre.tolist() == list(BLOB_SPL)
    assert frame.spacing_mm == pytest.approx(SPACING_SPL)
    lps = [BLOB_SPL[2] * 2.0, BLOB_SPL[1] * 3.0, BLOB_SPL[0] * 4.0]
    assert centre_index([{"centroid_lps_mm": lps}], volumes, frame) == BLOB_SPL
    assert np.max(np.abs(np.subtract(hottest_index(volumes, frame), BLOB_SPL))) <= 2


def test_an_oblique_grid_goes_to_its_nearest_axes() -> None:
    angle = np.deg2rad(12)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.array([[0, 0, 2.0], [0, 3.0, 0], [-4.0, 0, 0]])
    frame = display_frame(Grid((5, 6, 7), affine, ""))
    assert frame.order == (0, 1, 2)
    assert frame.turned == (0,)


def test_letters_of_the_edges() -> None:
    axial, coronal, sagittal = views_of(display_frame(_volumes((0, 1, 2), (1, 1, 1)).grid))
    assert axial.edges == ("R", "L", "A", "P")
    assert coronal.edges == ("R", "L", "S", "I")
    assert sagittal.edges == ("A", "P", "S", "I")


def _rendered(figure: Figure) -> np.ndarray:
    """Pixels of the figure, row 0 on top."""
    buffer = io.BytesIO(style.png_of(figure))
    return np.asarray(matplotlib.image.imread(buffer)[..., :3])


def _panel(pixels: np.ndarray, axes: Axes) -> np.ndarray:
    """Pixels of one panel, row 0 on top."""
    height, width = pixels.shape[:2]
    box = axes.get_position()
    rows = slice(round((1 - box.y1) * height), round((1 - box.y0) * height))
    return pixels[rows, round(box.x0 * width) : round(box.x1 * width)]


def _hot_centre(pixels: np.ndarray) -> tuple[float, float]:
    """Centre of the coloured pixels (grey CT, white letters and outlines are not), as shares from top and left."""
    colour = np.ptp(pixels, axis=2) > 0.2
    assert colour.any()
    row, column = np.argwhere(colour).mean(axis=0)
    return row / pixels.shape[0], column / pixels.shape[1]


def _letter(axes: Axes, letter: str) -> tuple[float, float]:
    (found,) = [text for text in axes.texts if text.get_text() == letter]
    return found.get_position()


def _document(centroid: list[float]) -> dict[str, Any]:
    lesion = {
        "name": "lesion-1",
        "laterality": None,
        "kind": "lesion",
        "mean_dose_gy": 10.0,
        "d2_gy": 10.0,
        "centroid_lps_mm": centroid,
    }
    return {"regions": [lesion]}


@pytest.mark.parametrize(
    ("order", "signs"), [((0, 1, 2), (1, 1, 1)), ((0, 1, 2), (-1, 1, -1)), ((1, 2, 0), (1, -1, 1))]
)
def test_a_hot_spot_on_the_patients_left_is_on_the_right_of_the_picture(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    volumes = _volumes(order, signs)
    with style.house_style():
        figure = imagery.dose_figure(_document([BLOB_SPL[2] * 2.0, BLOB_SPL[1] * 3.0, BLOB_SPL[0] * 4.0]), volumes)
        axial, coronal, sagittal = figure.axes[:3]
        pixels = _rendered(figure)
        expected_left = (BLOB_SPL[2] + 0.5) / SHAPE_SPL[2]  # 0.79 of the width
        for axes in (axial, coronal):
            assert _hot_centre(_panel(pixels, axes))[1] == pytest.approx(expected_left, abs=0.03)
            assert _letter(axes, "L")[0] > 0.9 > 0.1 > _letter(axes, "R")[0]
        # superior is up; anterior is up (axial) and on the left (sagittal)
        assert _hot_centre(_panel(pixels, coronal))[0] == pytest.approx(1 - 22.5 / 30, abs=0.03)
        assert _hot_centre(_panel(pixels, axial))[0] < 0.5
        assert _hot_centre(_panel(pixels, sagittal))[1] == pytest.approx(6.5 / 24, abs=0.03)
        assert _letter(coronal, "S")[1] > 0.9
        assert _letter(axial, "A")[1] > 0.9
        assert _letter(sagittal, "A")[0] < 0.1


def test_projection_shows_left_on_the_right() -> None:
    with style.house_style():
        figure = imagery.projection_figure(_volumes((0, 1, 2), (1, 1, -1)))
        coronal = figure.axes[0]
        assert _hot_centre(_panel(_rendered(figure), coronal))[1] == pytest.approx(
            (BLOB_SPL[2] + 0.5) / SHAPE_SPL[2], abs=0.03
        )
        assert _letter(coronal, "L")[0] > 0.9


def test_scale_bar_is_ten_centimetres(volumes: ReportVolumes, document: dict[str, Any]) -> None:
    with style.house_style():
        figure = imagery.dose_figure(document, volumes)
    for axes in figure.axes:
        for line in axes.lines:
            assert np.ptp(line.get_xdata()) == pytest.approx(100.0)
    assert sum(len(axes.lines) for axes in figure.axes) == 6


def test_all_panels_have_one_scale(volumes: ReportVolumes, document: dict[str, Any]) -> None:
    with style.house_style():
        figure = imagery.dose_figure(document, volumes)
    panels = [axes for axes in figure.axes if axes.lines]
    sizes = [(np.ptp(a.get_xlim()) / a.bbox.width, np.ptp(a.get_ylim()) / a.bbox.height) for a in panels]
    assert np.ravel(sizes) == pytest.approx(sizes[0][0], rel=1e-3)


def test_volumes_must_share_the_grid(volumes: ReportVolumes) -> None:
    with pytest.raises(RefusalError, match="GRID_MISMATCH"):
        ReportVolumes(volumes.ct_hu[1:], volumes.dose_gy, volumes.activity_bq_per_ml, volumes.labels, volumes.grid, {})


def test_pictures_need_neither_kidneys_nor_dose() -> None:
    volumes = _volumes((0, 1, 2), (1, 1, 1))
    empty = ReportVolumes(
        np.full(volumes.grid.shape, -1000.0),
        np.zeros(volumes.grid.shape),
        np.zeros(volumes.grid.shape),
        np.zeros(volumes.grid.shape, dtype=int),
        volumes.grid,
        {},
    )
    assert imagery.dose_planes({"regions": []}, empty).startswith(b"\x89PNG")
    assert imagery.projections(empty).startswith(b"\x89PNG")


def test_charts_say_when_there_is_nothing(document: dict[str, Any]) -> None:
    for region in document["regions"]:
        region.update(dvh=None, uncertainty=None, curve=None)
    for png in (figures.dvh(document), figures.uncertainty(document), figures.curves(document)):
        assert png.startswith(b"\x89PNG")
