"""Everything a cycle leaves in its output folder: result.json, maps, labels, pictures and the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import zoom

from pipeline.domain.geometry import Grid
from pipeline.files.nifti import write_volume
from pipeline.files.store import write_atomically
from pipeline.imaging.averaging import average_to_grid
from pipeline.records.store import open_store
from pipeline.report.pdf import write_report
from pipeline.report.pictures import draw_pictures, write_pictures
from pipeline.report.volumes import ReportVolumes
from pipeline.review.page import PageVolumes, write_page
from pipeline.steps import artefacts
from pipeline.steps.export import export_cycle, on_grid
from pipeline.steps.voxel_maps import write_maps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.domain.regions import Region
    from pipeline.files.store import ArrayStore

Document = dict[str, Any]

AIR_HU = -1000.0
# A SPECT voxel is 4 to 5 mm: pictures are drawn on half of that, so that the CT under the dose is worth looking at.
DISPLAY_REFINEMENT = 2


def deliver(store: ArrayStore, payload: Document) -> Document:
    """Write the output folder of a filed cycle and return the paths.

    ``result.json`` is the document as it is filed: a repeated run writes the filed one, not a new one.
    """
    out = Path(payload["out"])
    result = payload["filed"]["result"]
    segmentation = artefacts.segmentation_from(store, payload["segmented"]["segmentation"])
    dose = artefacts.dose_from(store, payload["dosed"]["dose"])
    tia = artefacts.tia_from(store, payload["integrated"]["tia"])
    write_volume(out / "dose.nii.gz", np.asarray(dose.dose_gy, dtype=np.float32), dose.grid, "absorbed dose [Gy]")
    bed = artefacts.bed_from(store, payload["dosed"]["bed"])
    write_volume(out / "bed.nii.gz", np.asarray(bed.bed_gy, dtype=np.float32), bed.grid, "BED [Gy]")
    write_volume(out / "tia.nii.gz", np.asarray(tia.tia_bq_s_per_ml, dtype=np.float32), tia.grid, "TIA [Bq*s/mL]")
    write_maps(out, store, payload["integrated"]["voxel_maps"], tia.grid)
    write_volume(out / "labels.nii.gz", np.asarray(segmentation.label, dtype=np.int16), segmentation.grid)
    _write_json(out / "labels.json", _label_names(segmentation.regions))
    _write_json(out / "result.json", result)
    volumes = _report_volumes(store, payload)
    with open_store(payload["records"]) as records:
        history = records.show(result["patient_key"])
    drawn = draw_pictures(result, volumes, history, result["decision"])
    pictures = write_pictures(out / "pictures", drawn)
    write_report(out / "report.pdf", result, volumes, history, result["decision"], drawn)
    write_page(out / "index.html", result, _page_volumes(store, payload, volumes), history)
    objects = export_cycle(
        out,
        document=result,
        dose=dose,
        segmentation=segmentation,
        studies=[Path(path) for path in payload["studies"]],
        reference_ct_uid=payload["study"]["time_points"][0]["ct"]["series_uid"],
        report_pdf=out / "report.pdf",
    )
    return {
        "report": str(out / "report.pdf"),
        "page": str(out / "index.html"),
        "pictures": [str(path) for path in pictures],
        "dicom": [str(path) for path in objects],
    }


def _write_json(path: Path, document: Document) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(path, text.encode())


def _label_names(regions: tuple[Region, ...]) -> Document:
    return {
        str(region.label): {"name": region.name, "laterality": region.laterality, "kind": region.kind}
        for region in regions
    }


def _report_volumes(store: ArrayStore, payload: Document) -> ReportVolumes:
    reference = artefacts.time_point_from(store, payload["study"], 0)
    activity = artefacts.activity_from(store, payload["aligned"][0]["activity"])
    dose = artefacts.dose_from(store, payload["dosed"]["dose"])
    segmentation = artefacts.segmentation_from(store, payload["segmented"]["segmentation"])
    grid = refined(dose.grid, DISPLAY_REFINEMENT)
    return ReportVolumes(
        ct_hu=average_to_grid(reference.ct.ct.ct_number_hu, reference.ct.grid, grid, AIR_HU),
        dose_gy=_smooth(dose.dose_gy),
        activity_bq_per_ml=_smooth(activity.activity_bq_per_ml),
        labels=np.asarray(on_grid(segmentation, grid).label),
        grid=grid,
        region_names={region.label: _title(region) for region in segmentation.regions},
    )


def _page_volumes(store: ArrayStore, payload: Document, drawn: ReportVolumes) -> PageVolumes:
    dose = artefacts.dose_from(store, payload["dosed"]["dose"])
    maps = [artefacts.activity_from(store, aligned["activity"]) for aligned in payload["aligned"]]
    return PageVolumes(
        ct_hu=np.rint(drawn.ct_hu).astype(np.int16),
        dose_gy=np.asarray(dose.dose_gy, dtype=np.float32),
        activities_bq_per_ml=tuple(np.asarray(m.activity_bq_per_ml, dtype=np.float32) for m in maps),
        labels=np.asarray(drawn.labels, dtype=np.int16),
        grid=dose.grid,
        region_names=drawn.region_names,
        ct_grid=drawn.grid,
        labels_grid=drawn.grid,
    )


def refined(grid: Grid, factor: int) -> Grid:
    """Return the grid whose voxels are ``1 / factor`` of this one's along each axis, over the same space."""
    affine = np.array(grid.affine_mm)
    affine[:3, :3] /= factor
    first = np.full(3, (1.0 / factor - 1.0) / 2.0)
    affine[:3, 3] = grid.to_lps_mm(first)
    z, y, x = (n * factor for n in grid.shape)
    return Grid((z, y, x), affine, grid.frame_of_reference_uid)


def _smooth(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Interpolate for the eye only; no number of the report comes from this."""
    refined_values = zoom(
        np.asarray(values, dtype=np.float32), DISPLAY_REFINEMENT, order=1, grid_mode=True, mode="nearest"
    )
    return np.asarray(refined_values)


def _title(region: Region) -> str:
    name = region.name.replace("_", " ").replace("-", " ").capitalize()
    return f"{name}, {region.laterality}" if region.laterality else name
