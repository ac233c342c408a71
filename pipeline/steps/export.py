"""The DICOM objects of a filed cycle: dose map, regions and report, in the study of the reference CT."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import affine_transform

from pipeline.dicom.export_header import ExportFacts, encoded, read_reference
from pipeline.dicom.write_encapsulated_pdf import encapsulated_pdf_object
from pipeline.dicom.write_rtdose import rtdose_object
from pipeline.dicom.write_seg import can_be_written, seg_object
from pipeline.files.store import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pipeline.dicom.export_header import DicomObject, ReferenceSeries
    from pipeline.domain.geometry import Grid
    from pipeline.domain.maps import DoseMap
    from pipeline.domain.regions import Segmentation

FOLDER = "dicom"


def export_cycle(
    out: Path,
    *,
    document: Mapping[str, Any],
    dose: DoseMap,
    segmentation: Segmentation,
    studies: Sequence[Path],
    reference_ct_uid: str,
    report_pdf: Path,
) -> list[Path]:
    """Write ``out/dicom/dose.dcm``, ``regions.dcm`` and ``report.dcm``.

    Written again from the same filed result they are the same bytes under the same UIDs.

    Parameters
    ----------
    out : Path
        Output folder of the cycle.
    document : mapping
        The result document as it is filed.
    dose : DoseMap
        In the space of the reference CT.
    segmentation : Segmentation
    studies : sequence of Path
        Folders or files that hold the reference CT.
    reference_ct_uid : str
        Series UID of the CT of the reference time point.
    report_pdf : Path

    Returns
    -------
    list of Path
        Without the regions where no region has a voxel.

    Raises
    ------
    RefusalError
        ``CT_MISSING``, ``GEOMETRY_INVALID`` and those of reading the CT's headers.
    """
    reference = read_reference(studies, reference_ct_uid)
    facts = facts_of(document)
    objects = {"dose": rtdose_object(dose, reference, facts)}
    regions = _regions_object(segmentation, reference, facts)
    if regions is not None:
        objects["regions"] = regions
    shown = tuple(objects.values())
    objects["report"] = encapsulated_pdf_object(report_pdf.read_bytes(), reference, facts, shown)
    return [_write(out / FOLDER / f"{name}.dcm", dataset) for name, dataset in objects.items()]


def facts_of(document: Mapping[str, Any]) -> ExportFacts:
    """Return what exported objects say of the result they come from."""
    provenance, administration = document["provenance"], document["administration"]
    clinic = datetime.fromisoformat(administration["start"]).tzinfo
    return ExportFacts(
        cycle=document["cycle"],
        radionuclide=administration["radionuclide"],
        created_at=datetime.fromisoformat(provenance["created_at"]).astimezone(clinic),
        code_version=provenance["code_version"],
        engine=provenance["engine"],
    )


def _regions_object(segmentation: Segmentation, reference: ReferenceSeries, facts: ExportFacts) -> DicomObject | None:
    if can_be_written(segmentation, reference):
        return seg_object(segmentation, reference, facts)
    return seg_object(on_grid(segmentation, reference.grid), reference, facts, resampled=True)


def on_grid(segmentation: Segmentation, grid: Grid) -> Segmentation:
    """Return the label at the centre of each voxel of ``grid``; none outside."""
    to_source = np.linalg.inv(segmentation.grid.affine_mm) @ grid.affine_mm
    found = affine_transform(
        np.asarray(segmentation.label, dtype=np.int16), to_source, output_shape=grid.shape, order=0, mode="constant"
    )
    return replace(segmentation, grid=grid, label=np.asarray(found, dtype=np.int16))


def _write(path: Path, dataset: DicomObject) -> Path:
    write_atomically(path, encoded(dataset))
    return path
