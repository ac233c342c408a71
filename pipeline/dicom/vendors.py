"""Vendors' quirks, one function each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.dicom.headers import READ_ERRORS, items, number, text

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_GENIE = "GEMS_GENIE_1"


def ge_pixel_scale(dataset: Dataset) -> float:
    """Return GE Xeleris' private Pixel Scale (0011,xx3B); 1 where absent.

    Stored values of a Xeleris reconstruction are scaled to 16 bits and this factor restores them: its window centre
    lies above the largest stored value (section 6.4, header facts of a Discovery 670).
    """
    try:
        value = float(dataset.private_block(0x0011, _GENIE)[0x3B].value)
    except READ_ERRORS:
        return 1.0
    return value if value > 0 else 1.0


def ge_radionuclide(dataset: Dataset) -> str:
    """Return GE's private Radio Nuclide Name (0011,xx0D), as ``Lu177``; empty where absent."""
    try:
        return str(dataset.private_block(0x0011, _GENIE)[0x0D].value).strip()
    except READ_ERRORS:
        return ""


def recon_projections(dataset: Dataset, rotations: tuple[Dataset, ...], slices: int) -> int | None:
    """Return the angular views of all heads that a reconstruction declares; None where the number cannot be meant.

    GE writes 1 frame per rotation into a reconstruction and Mediso the number of slices (section 6.4).
    """
    views = sum(int(number(rotation, "NumberOfFramesInRotation") or 0) for rotation in rotations)
    if views <= 1 or views == slices:
        return None
    return views * (recon_heads(dataset) or 1)


def recon_heads(dataset: Dataset) -> int | None:
    """Return Number of Detectors (0054,0021); None for 1, which reconstructions of two heads hold too (section 6.4)."""
    detectors = int(number(dataset, "NumberOfDetectors") or 1)
    return detectors if detectors > 1 else None


def camera_headers(dataset: Dataset, keywords: tuple[str, ...]) -> dict[str, str]:
    """Return the header values by which a site may recognise a camera (of the image, else of its first detector)."""
    detectors = items(dataset, "DetectorInformationSequence")
    found = {keyword: text(dataset, keyword) for keyword in keywords}
    for keyword in keywords:
        if not found[keyword] and detectors:
            found[keyword] = text(detectors[0], keyword)
    return {keyword: value for keyword, value in found.items() if value}
