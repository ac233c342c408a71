"""A reconstructed SPECT series, in the NM or in the PET object, as stored and scaled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pipeline.dicom.geometry import Stack, nm_stack, nominal_spacing_mm, plane_stack
from pipeline.dicom.headers import (
    ENHANCED_PET_STORAGE,
    PET_STORAGE,
    attempt,
    frame_count,
    items,
    lenient,
    number,
    positive,
    read_dataset,
    series_hash,
    texts,
)
from pipeline.dicom.pixels import dialect_of, scale_of, scaled, stored_frames, unit_of
from pipeline.dicom.radionuclide import decay_reference_of, injected_activity_bq, nuclide_evidence, require_lu_177
from pipeline.dicom.timing import acquired_at, administered_at, require_acquired_at, with_offset
from pipeline.dicom.vendors import camera_headers, ge_pixel_scale, recon_heads, recon_projections
from pipeline.domain.geometry import Grid
from pipeline.domain.study import SpectImage
from pipeline.errors import DefectError, RefusalError
from pipeline.units import MS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timezone

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from pipeline.dicom.discover import SeriesFiles
    from pipeline.domain.study import Dialect, SpectUnit
    from pipeline.domain.therapy import DecayReference

# Header values a site profile may match a camera by.
CAMERA_KEYWORDS = (
    "Manufacturer", "ManufacturerModelName", "StationName", "DeviceSerialNumber", "SoftwareVersions",
    "InstitutionName", "ProtocolName", "SeriesDescription", "CollimatorGridName", "CollimatorType",
    "ReconstructionMethod", "ConvolutionKernel", "ScatterCorrectionMethod", "AttenuationCorrectionMethod",
)  # fmt: skip
# Image types without slices.
_FLAT_KINDS = {"planar", "projections"}


@dataclass(eq=False)
class SpectDecoding:
    """Everything that can be decoded of a series, and all that is wrong with it (in order of weight)."""

    series: SeriesFiles
    problems: list[RefusalError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dialect: Dialect | None = None
    unit: SpectUnit | None = None
    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    grid: Grid | None = None
    value: NDArray[np.float32] | None = None
    acquisition_start: datetime | None = None
    radionuclide: str | None = None
    injected_activity_bq: float | None = None
    decay_reference: DecayReference | None = None
    decay_reference_problem: str = ""
    frame_duration_s: float | None = None
    projections: int | None = None
    heads: int | None = None
    acquisition_duration_s: float | None = None
    vendor_pixel_scale: float = 1.0
    camera_headers: dict[str, str] = field(default_factory=dict)
    input_sha256: str = ""
    administration_start: str = ""


def read_spect(
    series: SeriesFiles, *, default_offset: timezone | None = None, tolerated: Sequence[str] = ()
) -> SpectImage:
    """Read one SPECT series.

    Parameters
    ----------
    series : SeriesFiles
        As found by :func:`pipeline.dicom.discover.discover`.
    default_offset : timezone, optional
        Offset from UTC of a header without one; its use is noted.
    tolerated : sequence of str
        Refusal codes that become notes: what the caller does not use may be wrong.

    Raises
    ------
    RefusalError
        The first of the series' problems; see ``docs/refusals.md``.
    """
    decoded = decode_spect(series)
    start = decoded.acquisition_start
    weighty = [problem for problem in decoded.problems if problem.code not in tolerated]
    if weighty:
        raise weighty[0]
    decoded.notes += [f"{problem.code}: {problem.found}, which is not used here" for problem in decoded.problems]
    if decoded.grid is None or decoded.value is None or decoded.unit is None or decoded.dialect is None or not start:
        msg = "a decoding without problems lacks its parts"
        raise DefectError(msg)
    if start.tzinfo is None and default_offset is not None:
        decoded.notes.append("TIME_ZONE_FROM_FORM: the header has no offset from UTC; that of the cycle form is used")
    return SpectImage(
        series_uid=series.series_uid,
        study_uid=series.study_uid,
        dialect=decoded.dialect,
        grid=decoded.grid,
        value=decoded.value,
        unit=decoded.unit,
        acquisition_start=with_offset(start, default_offset, series.series_uid),
        acquisition_duration_s=decoded.acquisition_duration_s,
        frame_duration_s=decoded.frame_duration_s,
        projections=decoded.projections,
        decay_reference=decoded.decay_reference,
        decay_reference_problem=decoded.decay_reference_problem,
        radionuclide=decoded.radionuclide,
        injected_activity_bq=decoded.injected_activity_bq,
        camera_headers=decoded.camera_headers,
        input_sha256=decoded.input_sha256,
        heads=decoded.heads,
        vendor_pixel_scale=decoded.vendor_pixel_scale,
        notes=tuple(decoded.notes),
        administration_start=decoded.administration_start,
    )


@lenient()
def decode_spect(series: SeriesFiles) -> SpectDecoding:
    """Decode a NM or PET series as far as it goes; nothing is raised for a bad series."""
    decoded = SpectDecoding(series)
    if series.problem is not None:
        decoded.problems.append(series.problem)
    files = attempt(decoded.problems, lambda: [read_dataset(path) for path in series.paths])
    if not files:
        return decoded
    datasets = [dataset for dataset, _ in files]
    decoded.input_sha256 = series_hash([digest for _, digest in files])
    _refuse_kind(decoded, datasets)
    stack = _decode_geometry(decoded, datasets)
    _decode_values(decoded, datasets, stack)
    _decode_header(decoded, datasets)
    return decoded


def _refuse_kind(decoded: SpectDecoding, datasets: Sequence[Dataset]) -> None:
    """Note why an object of this kind cannot be a SPECT volume."""
    kind, image_type = decoded.series.kind, texts(datasets[0], "ImageType")
    where, written = decoded.series.series_uid, ", ".join(image_type)
    if kind == "planar":
        _note(decoded, "PLANAR_NOT_SPECT", f"a planar image ({written})", "a reconstructed SPECT (RECON TOMO)")
    elif kind == "projections":
        _note(decoded, "PROJECTIONS_NOT_RECONSTRUCTED", f"raw projections ({written})", "a reconstructed SPECT")
    elif decoded.series.sop_class_uid == ENHANCED_PET_STORAGE:
        _note(decoded, "ENHANCED_NOT_SUPPORTED", "an enhanced multi-frame object", "NM or single-frame PET objects")
    elif "RECON GATED TOMO" in image_type or "TRANSMISSION" in image_type:
        _note(decoded, "NOT_AN_EMISSION_VOLUME", written, "an ungated emission reconstruction")
    elif decoded.series.sop_class_uid != PET_STORAGE and len(datasets) > 1:
        _note(decoded, "FRAMES_AMBIGUOUS", f"{len(datasets)} NM files in series {where}", "one file per series")


def _note(decoded: SpectDecoding, code: str, found: str, needed: str) -> None:
    do = "give the reconstructed 177Lu series"
    decoded.problems.append(RefusalError(code, found=found, needed=needed, do=do, where=decoded.series.series_uid))


def _decode_geometry(decoded: SpectDecoding, datasets: Sequence[Dataset]) -> Stack | None:
    where, first = decoded.series.series_uid, datasets[0]
    frames = len(datasets) if decoded.series.sop_class_uid == PET_STORAGE else frame_count(first)
    decoded.shape = (frames, int(number(first, "Rows") or 0), int(number(first, "Columns") or 0))
    decoded.spacing_mm = nominal_spacing_mm(first)
    if decoded.series.kind in _FLAT_KINDS:
        return None
    stacked = plane_stack if decoded.series.sop_class_uid == PET_STORAGE else _nm_stack
    stack = attempt(decoded.problems, lambda: stacked(datasets, where))
    if stack is not None and min(decoded.shape) > 0:
        decoded.grid = Grid(decoded.shape, stack.affine_mm, decoded.series.frame_of_reference_uid)
        decoded.spacing_mm = decoded.grid.spacing_mm
    return stack


def _nm_stack(datasets: Sequence[Dataset], where: str) -> Stack:
    return nm_stack(datasets[0], where)


def _decode_values(decoded: SpectDecoding, datasets: Sequence[Dataset], stack: Stack | None) -> None:
    """Fill the values in slice order; in stored order where the geometry is not known (their sum is the same)."""
    where, sop_class = decoded.series.series_uid, decoded.series.sop_class_uid
    scales = attempt(decoded.problems, lambda: [scale_of(dataset, where) for dataset in datasets])
    if not scales:
        return
    decoded.dialect = dialect_of(scales[0], sop_class)
    units = attempt(decoded.problems, lambda: [unit_of(scale, sop_class, where) for scale in scales])
    decoded.unit = units[0] if units else None
    parts = attempt(
        decoded.problems,
        lambda: [scaled(stored_frames(d, where), s, where) for d, s in zip(datasets, scales, strict=True)],
    )
    if parts is None or sum(len(part) for part in parts) != (decoded.shape or (0,))[0]:
        return
    if len({part.shape[1:] for part in parts}) == 1:
        frames = np.concatenate(parts)
        decoded.value = frames[list(stack.order)] if stack is not None else frames
    decoded.vendor_pixel_scale = ge_pixel_scale(datasets[0]) if decoded.dialect == "nm-counts" else 1.0


def _decode_header(decoded: SpectDecoding, datasets: Sequence[Dataset]) -> None:
    where, first = decoded.series.series_uid, datasets[0]
    evidence = nuclide_evidence(first)
    decoded.radionuclide = evidence.name
    attempt(decoded.problems, lambda: require_lu_177(first, evidence, where))
    if evidence.source == "window":
        decoded.notes.append("NUCLIDE_FROM_WINDOW: no radionuclide code; the energy window is that of Lu-177")
    injected = attempt(decoded.problems, lambda: injected_activity_bq(first, where))
    if injected is not None:
        decoded.injected_activity_bq = injected[0]
        decoded.notes += [injected[1]] if injected[1] else []
    decoded.decay_reference, decoded.decay_reference_problem = decay_reference_of(first)
    decoded.administration_start = next(
        map(administered_at, items(first, "RadiopharmaceuticalInformationSequence")), ""
    )
    decoded.acquisition_start = decoded.series.acquired_at
    attempt(decoded.problems, lambda: require_acquired_at(decoded.acquisition_start, where))
    decoded.camera_headers = camera_headers(first, CAMERA_KEYWORDS)
    _decode_durations(decoded, datasets)


def _decode_durations(decoded: SpectDecoding, datasets: Sequence[Dataset]) -> None:
    first = datasets[0]
    if decoded.series.sop_class_uid == PET_STORAGE:
        decoded.acquisition_duration_s = _seconds(positive(first, "ActualFrameDuration"))
        if len({acquired_at(dataset) for dataset in datasets}) > 1:
            decoded.notes.append("SEVERAL_BEDS: slices were acquired at different times; the earliest is used")
        return
    rotations = items(first, "RotationInformationSequence")
    stated = [positive(rotation, "ActualFrameDuration") for rotation in rotations]
    decoded.frame_duration_s = _seconds(next((ms for ms in stated if ms), positive(first, "ActualFrameDuration")))
    decoded.heads = recon_heads(first)
    decoded.projections = recon_projections(first, rotations, frame_count(first))
    if decoded.frame_duration_s and decoded.projections and decoded.heads:
        decoded.acquisition_duration_s = decoded.frame_duration_s * decoded.projections / decoded.heads


def _seconds(milliseconds: float | None) -> float | None:
    return milliseconds / MS_PER_SECOND if milliseconds else None


def outline(series: SeriesFiles) -> dict[str, list[float] | list[int] | None]:
    """Return shape and nominal spacing of a slice series from its first header, for a series that cannot be read."""
    try:
        first, _ = read_dataset(series.paths[0])
    except RefusalError:
        return {"shape": None, "spacing_mm": None}
    spacing_mm = nominal_spacing_mm(first)
    size = [int(number(first, "Rows") or 0), int(number(first, "Columns") or 0)]
    return {"shape": [len(series.paths), *size], "spacing_mm": list(spacing_mm) if spacing_mm else None}
