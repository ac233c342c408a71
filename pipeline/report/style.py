"""One look for all pages and pictures: palette, sizes, and axes without ornaments.

Colours of regions are from the colour-blind safe sets of Okabe & Ito (2008) and Tol (2021).
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

INK: Final = "#1C2733"
MUTED: Final = "#5B6975"
RULE: Final = "#C9D1D8"
PALE: Final = "#F2F5F7"
ACCENT: Final = "#17567A"
WHITE: Final = "#FFFFFF"
DRAFT: Final = "#D5DBE0"

OUTCOME_COLOURS: Final = {"GIVE": "#0B6E69", "WAIT": "#9A6200", "REFER": "#5A4A96", "STOP": "#A8261C"}
OUTCOME_PALE: Final = {"GIVE": "#E6F2F1", "WAIT": "#FBF1DF", "REFER": "#EEEBF6", "STOP": "#F9E7E5"}
LEVEL_COLOURS: Final = {"INFO": MUTED, "WARN": "#9A6200", "BLOCK": "#A8261C"}

DOSE_COLOURS: Final = "inferno"
SPECT_COLOURS: Final = "inferno"
DPI: Final = 200
TEXT_WIDTH_INCH: Final = 7.09  # 180 mm

_ORGAN_COLOURS: Final = {
    "kidney, left": "#0072B2",
    "kidney, right": "#56B4E9",
    "liver": "#A6761D",
    "spleen": "#AA3377",
    "red marrow": "#D55E00",
    "marrow": "#D55E00",
    "aorta": "#999933",
    "remainder": "#7F8A94",
}
_LESION_COLOURS: Final = ("#009E73", "#CC79A7", "#E69F00", "#44AA99", "#882255", "#117733")
_OTHER_COLOUR: Final = "#5B6975"

_SETTINGS: Final = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 4.0,
    "axes.titlecolor": INK,
    "axes.labelsize": 7.5,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E9ED",
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 7.0,
    "lines.linewidth": 1.4,
    "hatch.linewidth": 0.7,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with the house style, whatever a user's matplotlib settings say."""
    with matplotlib.style.context(["default", _SETTINGS]):
        yield


def new_figure(width_inch: float, height_inch: float) -> Figure:
    """Return a figure with its own Agg canvas (no state outside it)."""
    figure = Figure(figsize=(width_inch, height_inch), layout="constrained", facecolor=WHITE)
    FigureCanvasAgg(figure)
    return figure


def png_of(figure: Figure) -> bytes:
    """Return the figure as PNG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def region_colour(title: str) -> str:
    """Return the colour of a region by its printed title; the same in every figure."""
    lowered = title.lower()
    for name, colour in _ORGAN_COLOURS.items():
        if lowered.startswith(name):
            return colour
    if lowered.startswith("lesion"):
        digits = "".join(c for c in lowered if c.isdigit())
        return _LESION_COLOURS[(int(digits or 1) - 1) % len(_LESION_COLOURS)]
    return _OTHER_COLOUR


def note(axes: Axes, text: str) -> None:
    """Say in the middle of empty axes why there is nothing to see."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, transform=axes.transAxes)
