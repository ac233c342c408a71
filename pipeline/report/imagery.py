"""Pictures of the volumes: dose over CT in three planes, fused projections (PNG bytes).

Radiological convention: the patient's left is on the right of axial and coronal pictures, anterior is up (axial) or
to the left (sagittal).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke

from pipeline.report import style
from pipeline.report.text import region_title
from pipeline.report.volumes import View, centre_index, display_frame, hottest_index, views_of
from pipeline.units import MM_PER_CM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from pipeline.report.volumes import DisplayFrame, ReportVolumes

    Picture = NDArray[np.float32]

# soft tissue: level 40, width 400 HU; the usual abdominal window
CT_WINDOW_HU = (-160.0, 240.0)
# everything denser than fat counts as body when the margins are cut off
BODY_HU = -300.0
MARGIN_VOXELS = 3
# scale of a dose row: this much above the highest D2 of the regions it is about
HEADROOM = 1.15
SMALLEST_TOP = 1e-6
ACTIVITY_TOP_PERCENTILE = 99.0
BODY_BRIGHTNESS = 0.55
BQ_PER_KBQ = 1000.0
PANEL_GAP_INCH = 0.05
TITLE_INCH = 0.24
BAR_INCH = 0.62
TALLEST_INCH = 3.9
SCALE_BAR_MM = 100.0
# overlay: invisible at zero, full opacity from this share of the scale on
FULL_OPACITY_AT = 0.25
OPACITY = 0.78
HALO = [withStroke(linewidth=1.8, foreground="#000000")]


@dataclass(frozen=True, eq=False)
class Scene:
    """The arranged volumes (superior, posterior, left), cropped to the body."""

    frame: DisplayFrame
    views: tuple[View, View, View]
    ct_hu: Picture
    dose_gy: Picture
    activity_bq_per_ml: Picture
    labels: NDArray[np.int32]
    corner: tuple[int, int, int]


@dataclass(frozen=True)
class PlaneRow:
    """One row of planes: where they cut (index in the scene) and the upper end of the colour scale."""

    title: str
    centre: tuple[int, int, int]
    top_gy: float


def scene_of(volumes: ReportVolumes) -> Scene:
    """Arrange and crop the volumes for display."""
    frame = display_frame(volumes.grid)
    ct = frame.arrange(volumes.ct_hu).astype(np.float32)
    window = _body_window(ct)
    return Scene(
        frame=frame,
        views=views_of(frame),
        ct_hu=ct[window],
        dose_gy=frame.arrange(volumes.dose_gy).astype(np.float32)[window],
        activity_bq_per_ml=frame.arrange(volumes.activity_bq_per_ml).astype(np.float32)[window],
        labels=frame.arrange(volumes.labels).astype(np.int32)[window],
        corner=(window[0].start, window[1].start, window[2].start),
    )


def _body_window(ct: Picture) -> tuple[slice, slice, slice]:
    body = ct > BODY_HU
    if not body.any():
        return (slice(0, ct.shape[0]), slice(0, ct.shape[1]), slice(0, ct.shape[2]))
    found = []
    for axis in range(3):
        # a line of body voxels one per cent of the plane wide, so that a table or noise does not count
        share = body.mean(axis=tuple(other for other in range(3) if other != axis))
        inside = np.flatnonzero(share > 0.01 * share.max())
        found.append(
            slice(max(0, int(inside[0]) - MARGIN_VOXELS), min(ct.shape[axis], int(inside[-1]) + MARGIN_VOXELS + 1))
        )
    return (found[0], found[1], found[2])


def dose_planes(document: Mapping[str, Any], volumes: ReportVolumes) -> bytes:
    """Draw the dose over the CT: three planes through the kidneys, three through the lesion with the highest dose."""
    with style.house_style():
        return style.png_of(dose_figure(document, volumes))


def dose_figure(document: Mapping[str, Any], volumes: ReportVolumes) -> Figure:
    """Return the figure of :func:`dose_planes`."""
    scene = scene_of(volumes)
    rows = _rows(document, volumes, scene)
    figure, places = _sheet(scene, scene.views, [row.title for row in rows])
    for row, (panels, bar) in zip(rows, places, strict=True):
        for axes, view in zip(panels, scene.views, strict=True):
            _draw_plane(axes, scene, view, row, volumes.region_names)
        _colour_bar(figure, bar, style.DOSE_COLOURS, row.top_gy, "absorbed dose, Gy")
    return figure


def _rows(document: Mapping[str, Any], volumes: ReportVolumes, scene: Scene) -> list[PlaneRow]:
    placed = [r for r in document["regions"] if r["centroid_lps_mm"]]
    kidneys = [r for r in placed if r["name"] == "kidney"]
    lesions = [r for r in placed if r["kind"] == "lesion" and r["mean_dose_gy"] is not None]
    rows = []
    if kidneys:
        rows.append(_row("Through the kidneys", _kidney_centre(kidneys, volumes, scene), scene, kidneys))
    if lesions:
        highest = max(lesions, key=lambda r: float(r["mean_dose_gy"]))
        title = f"Through {region_title(highest).lower()} (highest mean dose of all lesions)"
        rows.append(_row(title, centre_index([highest], volumes, scene.frame), scene, [highest]))
    return rows or [_row("Through the highest dose", hottest_index(volumes, scene.frame), scene, [])]


def _row(title: str, centre: tuple[int, int, int], scene: Scene, subjects: Sequence[Mapping[str, Any]]) -> PlaneRow:
    highest = max((r["d2_gy"] or 0.0 for r in subjects), default=0.0)
    top = HEADROOM * highest if highest > 0 else float(scene.dose_gy.max())
    return PlaneRow(title, _inside_window(centre, scene), max(top, SMALLEST_TOP))


def _kidney_centre(kidneys: Sequence[Mapping[str, Any]], volumes: ReportVolumes, scene: Scene) -> tuple[int, int, int]:
    both = centre_index(kidneys, volumes, scene.frame)
    # the sagittal plane between the kidneys would show neither: it goes through the one with the higher dose
    highest = max(kidneys, key=lambda k: k["mean_dose_gy"] or 0.0)
    return (both[0], both[1], centre_index([highest], volumes, scene.frame)[2])


def _inside_window(place: tuple[int, int, int], scene: Scene) -> tuple[int, int, int]:
    moved = [
        min(max(value - corner, 0), size - 1)
        for value, corner, size in zip(place, scene.corner, scene.ct_hu.shape, strict=True)
    ]
    return (moved[0], moved[1], moved[2])


def _percentile(values: Picture, percentile: float) -> float:
    return max(float(np.percentile(values, percentile)), SMALLEST_TOP)


def _sheet(scene: Scene, views: Sequence[View], titles: Sequence[str]) -> tuple[Figure, list[tuple[list[Axes], Axes]]]:
    """Lay out rows of panels, all at one scale and one height, each row with its colour bar."""
    sizes = [_size_mm(scene, view) for view in views]
    height_mm = max(size[0] for size in sizes)
    gaps = PANEL_GAP_INCH * len(views)
    inch_per_mm = min(
        (style.TEXT_WIDTH_INCH - BAR_INCH - gaps) / sum(size[1] for size in sizes), TALLEST_INCH / height_mm
    )
    row_inch = height_mm * inch_per_mm + (TITLE_INCH if any(titles) else 0.0) + PANEL_GAP_INCH
    width = sum(size[1] for size in sizes) * inch_per_mm + gaps + BAR_INCH
    total = row_inch * len(titles)
    figure = style.new_figure(width, total)
    figure.set_layout_engine("none")
    rows = []
    for number, title in enumerate(titles):
        bottom = total - row_inch * (number + 1)
        left, panels = 0.0, []
        for _, width_mm in sizes:
            box = (left / width, bottom / total, width_mm * inch_per_mm / width, height_mm * inch_per_mm / total)
            panels.append(figure.add_axes(box))
            left += width_mm * inch_per_mm + PANEL_GAP_INCH
        panels[0].set_title(title)
        bar = (left / width, (bottom + 0.1) / total, 0.09 / width, (height_mm * inch_per_mm - 0.2) / total)
        rows.append((panels, figure.add_axes(bar)))
    return figure, rows


def _size_mm(scene: Scene, view: View) -> tuple[float, float]:
    rows, columns = view.upright(np.take(scene.ct_hu, 0, axis=view.axis)).shape
    return rows * view.pixel_mm[0], columns * view.pixel_mm[1]


def _draw_plane(axes: Axes, scene: Scene, view: View, row: PlaneRow, names: Mapping[int, str]) -> None:
    index = row.centre[view.axis]
    dose = view.cut(scene.dose_gy, index)
    _draw_ct(axes, view.cut(scene.ct_hu, index), view)
    _overlay(axes, dose, view, style.DOSE_COLOURS, row.top_gy)
    _outlines(axes, view.cut(scene.labels, index), view, names)
    _finish(axes, dose.shape, view)


def _extent(shape: tuple[int, ...], view: View) -> tuple[float, float, float, float]:
    return (0.0, shape[1] * view.pixel_mm[1], shape[0] * view.pixel_mm[0], 0.0)


def _draw_ct(axes: Axes, ct: Picture, view: View) -> None:
    low, high = CT_WINDOW_HU
    axes.imshow(ct, cmap="gray", vmin=low, vmax=high, extent=_extent(ct.shape, view), interpolation="bilinear")


def _overlay(axes: Axes, values: Picture, view: View, colours: str, top: float) -> None:
    share = np.clip(np.asarray(values, dtype=np.float64) / top, 0.0, 1.0)
    alpha = OPACITY * np.clip(share / FULL_OPACITY_AT, 0.0, 1.0)
    picture = matplotlib.colormaps[colours](share)
    picture[..., 3] = alpha
    axes.imshow(picture, extent=_extent(values.shape, view), interpolation="bilinear")


def _outlines(axes: Axes, labels: NDArray[np.int32], view: View, names: Mapping[int, str]) -> None:
    rows = (np.arange(labels.shape[0]) + 0.5) * view.pixel_mm[0]
    columns = (np.arange(labels.shape[1]) + 0.5) * view.pixel_mm[1]
    for label in np.unique(labels):
        if label == 0 or not min(labels.shape) > 1:
            continue
        colour = style.region_colour(names.get(int(label), ""))
        inside = (labels == label).astype(np.float32)
        for line, width in ((style.WHITE, 1.4), (colour, 0.8)):
            axes.contour(columns, rows, inside, levels=[0.5], colors=[line], linewidths=width)


def _finish(axes: Axes, shape: tuple[int, ...], view: View) -> None:
    axes.set_facecolor("#000000")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    left, right, top, bottom = view.edges
    for letter, x, y, ha, va in (
        (left, 0.015, 0.5, "left", "center"),
        (right, 0.985, 0.5, "right", "center"),
        (top, 0.5, 0.985, "center", "top"),
        (bottom, 0.5, 0.015, "center", "bottom"),
    ):
        axes.text(x, y, letter, transform=axes.transAxes, ha=ha, va=va, **_white("bold", 8.0))
    axes.text(0.015, 0.985, view.name, transform=axes.transAxes, ha="left", va="top", **_white("normal", 6.5))
    _fill_panel(axes, shape, view)
    _scale_bar(axes)


def _fill_panel(axes: Axes, shape: tuple[int, ...], view: View) -> None:
    """Keep the scale of the panel and show black around a picture that is smaller than it."""
    width_mm, height_mm = shape[1] * view.pixel_mm[1], shape[0] * view.pixel_mm[0]
    box = axes.get_window_extent()
    spare_mm = max(0.0, width_mm * box.height / box.width - height_mm) / 2.0
    axes.set_aspect("auto")
    axes.set_xlim(0, width_mm)
    axes.set_ylim(height_mm + spare_mm, -spare_mm)


def _white(weight: str, size: float) -> dict[str, Any]:
    return {"color": style.WHITE, "fontweight": weight, "fontsize": size, "path_effects": HALO}


def _scale_bar(axes: Axes) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    end, y = left + 0.97 * (right - left), bottom + 0.05 * (top - bottom)
    axes.plot([end - SCALE_BAR_MM, end], [y, y], color=style.WHITE, linewidth=1.6, path_effects=HALO)
    above = y + 0.015 * (top - bottom)
    text = f"{SCALE_BAR_MM / MM_PER_CM:.0f} cm"
    axes.text(end - SCALE_BAR_MM / 2, above, text, ha="center", va="bottom", **_white("normal", 6.5))


def _colour_bar(figure: Figure, axes: Axes, colours: str, top: float, label: str) -> None:
    bar = figure.colorbar(ScalarMappable(Normalize(0.0, top), colours), cax=axes, extend="max")
    bar.set_label(label)
    bar.outline.set_visible(False)


def projections(volumes: ReportVolumes) -> bytes:
    """Draw the highest activity along coronal and sagittal rays, over a radiograph of the CT (PNG)."""
    with style.house_style():
        return style.png_of(projection_figure(volumes))


def projection_figure(volumes: ReportVolumes) -> Figure:
    """Return the figure of :func:`projections`."""
    scene = scene_of(volumes)
    views = scene.views[1:]
    highest = [view.upright(scene.activity_bq_per_ml.max(axis=view.axis) / BQ_PER_KBQ) for view in views]
    top = _percentile(highest[0], ACTIVITY_TOP_PERCENTILE)
    figure, ((panels, bar),) = _sheet(scene, views, [""])
    for axes, view, picture in zip(panels, views, highest, strict=True):
        _draw_body(axes, view.upright(_radiograph(scene.ct_hu, view.axis)), view)
        _overlay(axes, picture, view, style.SPECT_COLOURS, top)
        _finish(axes, picture.shape, view)
    _colour_bar(figure, bar, style.SPECT_COLOURS, top, "highest activity along the ray, kBq/mL")
    return figure


def _radiograph(ct: Picture, axis: int) -> Picture:
    """Project the CT as a radiograph would: the mean of everything denser than air, bone counted more."""
    attenuation = np.clip(ct + 1000.0, 0.0, 2000.0) + 3.0 * np.clip(ct - 120.0, 0.0, 1000.0)
    return np.asarray(attenuation.mean(axis=axis))


def _draw_body(axes: Axes, picture: Picture, view: View) -> None:
    top = _percentile(picture, 99.5) / BODY_BRIGHTNESS
    axes.imshow(picture, cmap="gray", vmin=0.0, vmax=top, extent=_extent(picture.shape, view), interpolation="bilinear")
