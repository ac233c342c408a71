"""Typed values to keyed documents and back: what crosses a task boundary is JSON, its arrays lie in the store."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.domain.geometry import Grid
from pipeline.domain.maps import ActivityMap, BedMap, DensityMap, DoseMap, HounsfieldMap, TiaMap
from pipeline.domain.regions import Region, Segmentation
from pipeline.domain.study import CtImage, SpectImage, Study, StudyTimePoint
from pipeline.domain.therapy import Administration, TimePointTiming

if TYPE_CHECKING:
    from pipeline.files.store import ArrayStore

Document = dict[str, Any]


def grid_document(grid: Grid) -> Document:
    """Return a grid as JSON."""
    return {
        "shape": list(grid.shape),
        "affine_lps_mm": grid.affine_mm.tolist(),
        "frame_of_reference_uid": grid.frame_of_reference_uid,
    }


def grid_from(document: Document) -> Grid:
    """Return the grid of a document."""
    return Grid(tuple(document["shape"]), np.array(document["affine_lps_mm"]), document["frame_of_reference_uid"])


def administration_document(administration: Administration) -> Document:
    """Return an administration as JSON."""
    return asdict(administration) | {"start": administration.start.isoformat()}


def administration_from(document: Document) -> Administration:
    """Return the administration of a document."""
    return Administration(**(document | {"start": datetime.fromisoformat(document["start"])}))


def _timing_document(timing: TimePointTiming) -> Document:
    return asdict(timing) | {"acquisition_start": timing.acquisition_start.isoformat()}


def _timing_from(document: Document) -> TimePointTiming:
    return TimePointTiming(**(document | {"acquisition_start": datetime.fromisoformat(document["acquisition_start"])}))


def _spect_document(store: ArrayStore, spect: SpectImage) -> Document:
    plain = {name: getattr(spect, name) for name in SpectImage.__dataclass_fields__ if name not in {"grid", "value"}}
    plain["acquisition_start"] = spect.acquisition_start.isoformat()
    return plain | {"grid": grid_document(spect.grid), "value": store.put_array(spect.value)}


def _spect_from(store: ArrayStore, document: Document) -> SpectImage:
    changed = {
        "grid": grid_from(document["grid"]),
        "value": store.get_array(document["value"]),
        "acquisition_start": datetime.fromisoformat(document["acquisition_start"]),
    }
    return SpectImage(**(document | changed))


def _ct_document(store: ArrayStore, ct: CtImage) -> Document:
    return {
        "series_uid": ct.series_uid,
        "study_uid": ct.study_uid,
        "acquisition_start": ct.acquisition_start.isoformat(),
        "input_sha256": ct.input_sha256,
        "grid": grid_document(ct.grid),
        "ct_number_hu": store.put_array(ct.ct.ct_number_hu),
    }


def _ct_from(store: ArrayStore, document: Document) -> CtImage:
    return CtImage(
        document["series_uid"],
        document["study_uid"],
        HounsfieldMap(grid_from(document["grid"]), store.get_array(document["ct_number_hu"])),
        datetime.fromisoformat(document["acquisition_start"]),
        document["input_sha256"],
    )


def study_document(store: ArrayStore, study: Study) -> Document:
    """Store a study's arrays and return it as JSON with their keys."""
    return {
        "administration": administration_document(study.administration),
        "time_points": [
            {
                "timing": _timing_document(point.timing),
                "spect": _spect_document(store, point.spect),
                "ct": _ct_document(store, point.ct),
            }
            for point in study.time_points
        ],
        "flags": [vars(flag) for flag in study.flags],
    }


def time_point_from(store: ArrayStore, document: Document, index: int) -> StudyTimePoint:
    """Return one time point of a study document."""
    point = document["time_points"][index]
    return StudyTimePoint(
        _timing_from(point["timing"]), _spect_from(store, point["spect"]), _ct_from(store, point["ct"])
    )


def timings_from(document: Document) -> tuple[TimePointTiming, ...]:
    """Return the timing of every time point without touching an array."""
    return tuple(_timing_from(point["timing"]) for point in document["time_points"])


def map_document(store: ArrayStore, volume: ActivityMap | BedMap | DensityMap | DoseMap | TiaMap) -> Document:
    """Store a map and return its document, which names its quantity."""
    quantity = next(name for name in type(volume).__dataclass_fields__ if name != "grid")
    values = np.asarray(getattr(volume, quantity), dtype=np.float32)
    return {"quantity": quantity, "grid": grid_document(volume.grid), "array": store.put_array(values)}


def activity_from(store: ArrayStore, document: Document) -> ActivityMap:
    """Return the activity map of a document."""
    return ActivityMap(grid_from(document["grid"]), store.get_array(document["array"]))


def density_from(store: ArrayStore, document: Document) -> DensityMap:
    """Return the density map of a document."""
    return DensityMap(grid_from(document["grid"]), store.get_array(document["array"]))


def tia_from(store: ArrayStore, document: Document) -> TiaMap:
    """Return the TIA map of a document."""
    return TiaMap(grid_from(document["grid"]), store.get_array(document["array"]))


def dose_from(store: ArrayStore, document: Document) -> DoseMap:
    """Return the dose map of a document."""
    return DoseMap(grid_from(document["grid"]), store.get_array(document["array"]))


def bed_from(store: ArrayStore, document: Document) -> BedMap:
    """Return the BED map of a document."""
    return BedMap(grid_from(document["grid"]), store.get_array(document["array"]))


def segmentation_document(store: ArrayStore, segmentation: Segmentation) -> Document:
    """Store a segmentation and return its document."""
    return {
        "grid": grid_document(segmentation.grid),
        "label": store.put_array(np.asarray(segmentation.label, dtype=np.int16)),
        "regions": [asdict(region) for region in segmentation.regions],
        "author": segmentation.author,
    }


def segmentation_from(store: ArrayStore, document: Document) -> Segmentation:
    """Return the segmentation of a document."""
    regions = tuple(region_from(entry) for entry in document["regions"])
    return Segmentation(grid_from(document["grid"]), store.get_array(document["label"]), regions, document["author"])


def region_from(document: Document) -> Region:
    """Return the region of a document."""
    return Region(**document)
