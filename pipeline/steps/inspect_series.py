"""What is in a set of DICOM files, and which of it may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.dicom.discover import scan
from pipeline.dicom.headers import attempt
from pipeline.dicom.read_ct import read_hounsfield
from pipeline.dicom.read_spect import decode_spect, outline
from pipeline.dicom.timing import require_acquired_at
from pipeline.errors import RefusalError
from pipeline.steps.camera import pixel_scale_unsettled
from pipeline.units import MM3_PER_ML

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.dicom.discover import SeriesFiles
    from pipeline.dicom.read_spect import SpectDecoding
    from pipeline.domain.geometry import Grid

Document = dict[str, Any]

_EMPTY: Document = {
    "series_uid": None, "study_uid": None, "kind": "other", "accepted": False, "reason": None, "reasons": [],
    "explanation": None, "notes": [], "files": 0, "dialect": None, "shape": None, "spacing_mm": None,
    "affine_lps_mm": None, "unit": None, "centroid_lps_mm": None, "acquisition_start": None,
    "frame_of_reference_uid": None, "radionuclide": None, "injected_activity_bq": None, "decay_reference": None,
}  # fmt: skip


def inspect_paths(paths: Sequence[Path]) -> Document:
    """Describe every series in files and folders; a bad series is described, not raised.

    Returns
    -------
    dict
        The document of ``prrt inspect``. Total and centroid are those of the values as scaled by public attributes.

    Raises
    ------
    RefusalError
        ``PATH_MISSING``.
    """
    found = scan(paths)
    unreadable = [_EMPTY | _verdict([problem]) | {"files": 1} for problem in found.unreadable]
    return {"series": [*map(_describe, found.series), *unreadable], "skipped_files": found.skipped}


def _describe(series: SeriesFiles) -> Document:
    head = _EMPTY | {
        "series_uid": series.series_uid,
        "study_uid": series.study_uid or None,
        "kind": series.kind,
        "files": len(series.paths),
        "acquisition_start": series.acquired_at.isoformat() if series.acquired_at else None,
        "frame_of_reference_uid": series.frame_of_reference_uid or None,
    }
    if series.kind == "ct":
        return head | _describe_ct(series)
    if series.kind in {"spect", "pet", "planar", "projections"}:
        return head | _describe_spect(decode_spect(series))
    return head | _verdict([_not_used(series)])


def _not_used(series: SeriesFiles) -> RefusalError:
    return series.problem or RefusalError(
        "SERIES_NOT_AN_INPUT",
        found=f"a series of kind {series.kind} (SOP class {series.sop_class_uid})",
        needed="reconstructed SPECT and CT",
        do="nothing; the series is left aside",
        where=series.series_uid,
    )


def _verdict(problems: Sequence[RefusalError]) -> Document:
    codes = list(dict.fromkeys(problem.code for problem in problems))
    return {
        "accepted": not codes,
        "reason": codes[0] if codes else None,
        "reasons": codes,
        "explanation": str(problems[0]) if problems else None,
    }


def _place(grid: Grid) -> Document:
    return {
        "shape": list(grid.shape),
        "spacing_mm": list(grid.spacing_mm),
        "affine_lps_mm": grid.affine_mm.tolist(),
    }


def _describe_ct(series: SeriesFiles) -> Document:
    try:
        ct, _ = read_hounsfield(series)
    except RefusalError as error:
        return outline(series) | {"unit": "HU"} | _verdict([error])
    return _place(ct.grid) | {"unit": "HU"} | _verdict(_time_problems(series))


def _time_problems(series: SeriesFiles) -> list[RefusalError]:
    problems: list[RefusalError] = []
    attempt(problems, lambda: require_acquired_at(series.acquired_at, series.series_uid))
    return problems


def _describe_spect(decoded: SpectDecoding) -> Document:
    problems = list(decoded.problems)
    if decoded.vendor_pixel_scale != 1.0:
        problems.append(pixel_scale_unsettled(decoded.vendor_pixel_scale, decoded.series.series_uid))
    document = _verdict(problems) | {
        "notes": decoded.notes,
        "dialect": decoded.dialect,
        "shape": list(decoded.shape) if decoded.shape else None,
        "spacing_mm": list(decoded.spacing_mm) if decoded.spacing_mm else None,
        "unit": decoded.unit,
        "radionuclide": decoded.radionuclide,
        "injected_activity_bq": decoded.injected_activity_bq,
        "decay_reference": decoded.decay_reference,
        "decay_reference_problem": decoded.decay_reference_problem or None,
    }
    if decoded.grid is not None:
        document |= _place(decoded.grid)
    return document | _totals(decoded)


def _totals(decoded: SpectDecoding) -> Document:
    if decoded.value is None:
        return {}
    total = float(decoded.value.sum(dtype=np.float64))
    centroid = {"centroid_lps_mm": _centroid_mm(decoded, total)}
    if decoded.unit == "counts":
        return centroid | {"total_counts": total}
    if decoded.unit is None or decoded.spacing_mm is None:
        return centroid | {"total_value": total}
    volume_ml = decoded.grid.voxel_volume_ml if decoded.grid else float(np.prod(decoded.spacing_mm)) / MM3_PER_ML
    return centroid | {"total_bq": total * volume_ml}


def _centroid_mm(decoded: SpectDecoding, total: float) -> list[float] | None:
    if decoded.grid is None or decoded.value is None or total <= 0:
        return None
    others = ((1, 2), (0, 2), (0, 1))
    profiles = [decoded.value.sum(axis=axes, dtype=np.float64) for axes in others]
    index = [float(profile @ np.arange(len(profile))) / total for profile in profiles]
    centre: list[float] = decoded.grid.to_lps_mm(index).tolist()
    return centre
