"""Tumour burden of the reference time point, as a suggestion that a person confirms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.domain.dose import Flag

if TYPE_CHECKING:
    from pipeline.domain.regions import Segmentation
    from pipeline.domain.therapy import Administration

Document = dict[str, Any]


def tumour_burden(segmentation: Segmentation, administration: Administration) -> tuple[Document, tuple[Flag, ...]]:
    """Return the burden document and its flags."""
    raise NotImplementedError(segmentation, administration, Flag)
