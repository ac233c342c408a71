"""Regions of interest and the label map that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.domain.geometry import Grid, frozen_array
from pipeline.errors import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

Laterality = Literal["left", "right"]
RegionKind = Literal["organ", "lesion", "small_voi", "marrow", "blood", "remainder"]


@dataclass(frozen=True)
class CodedConcept:
    """A coded term (scheme, value, meaning)."""

    scheme: str
    value: str
    meaning: str


# SNOMED CT codes as in section 6.5 of the clinical specification and the pydicom 3.0.2 concept dictionary.
CODES: dict[str, CodedConcept] = {
    "kidney": CodedConcept("SCT", "64033007", "Kidney"),
    "liver": CodedConcept("SCT", "10200004", "Liver"),
    "liver_with_lesions": CodedConcept("SCT", "10200004", "Liver"),
    "spleen": CodedConcept("SCT", "78961009", "Spleen"),
    "marrow": CodedConcept("SCT", "14016003", "Bone marrow"),
    "aorta": CodedConcept("SCT", "15825003", "Aorta"),
    "lesion": CodedConcept("SCT", "108369006", "Neoplasm"),
    "remainder": CodedConcept("SCT", "38266002", "Entire body"),
}


def code_of(name: str) -> CodedConcept:
    """Return the coded concept of a region's name (``lesion-3`` is a neoplasm)."""
    stem = "lesion" if name.startswith("lesion") else name
    return CODES.get(stem, CodedConcept("99PRRT", stem, stem.replace("_", " ")))


@dataclass(frozen=True)
class Region:
    """One region of a segmentation.

    Attributes
    ----------
    label : int
        Value in the label array; above 0.
    name : str
        ``kidney``, ``liver``, ``spleen``, ``marrow``, ``aorta``, ``lesion-N``.
    laterality : {"left", "right"} or None
    kind : str
    method : str
        How the contour came about, as ``auto-ct-spect-2`` or ``contours-file``.
    host : str or None
        Name of the organ a lesion lies in, where known.
    edge_fwhm_mm : float or None
        Resolution of the image the contour was drawn on, where its author states it; 0 for a contour that is exact.
    """

    label: int
    name: str
    laterality: Laterality | None
    kind: RegionKind
    method: str
    host: str | None = None
    edge_fwhm_mm: float | None = None

    def __post_init__(self) -> None:
        require(
            self.label > 0 and bool(self.name),
            "REGION_INVALID",
            found=f"label {self.label}, name {self.name!r}",
            needed="a label above 0 and a name",
            do="check contours.json",
            where="contours",
        )

    @property
    def key(self) -> str:
        """Unique readable key: ``kidney_left``, ``lesion-1``."""
        return f"{self.name}_{self.laterality}" if self.laterality else self.name


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A label map (0 = none) with its regions; disjoint by construction."""

    grid: Grid
    label: NDArray[np.integer]
    regions: tuple[Region, ...]
    author: str

    def __post_init__(self) -> None:
        label = np.asarray(self.label)
        require(
            label.shape == self.grid.shape and np.issubdtype(label.dtype, np.integer),
            "CONTOURS_INVALID",
            found=f"labels of type {label.dtype}, shape {label.shape} on a grid of {self.grid.shape}",
            needed="an integer label map on its grid",
            do="check the contours file",
            where="contours",
        )
        known = {region.label for region in self.regions}
        present = {int(v) for v in np.unique(label)} - {0}
        require(
            present <= known and len(known) == len(self.regions) and len({r.key for r in self.regions}) == len(known),
            "CONTOURS_INVALID",
            found=f"labels {sorted(present)} in the map, {sorted(known)} described",
            needed="each label described once, each region named once",
            do="correct contours.json",
            where="contours",
        )
        object.__setattr__(self, "label", frozen_array(label))

    def mask(self, region: Region) -> NDArray[np.bool_]:
        """Boolean mask of one region."""
        return np.asarray(self.label == region.label)
