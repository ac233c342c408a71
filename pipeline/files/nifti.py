"""NIfTI in and out; world coordinates there are RAS mm, ours are LPS mm, and this is where they meet."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, get_args
from uuid import uuid4

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from pipeline.domain.geometry import Grid
from pipeline.domain.regions import Region, RegionKind, Segmentation
from pipeline.errors import RefusalError, require

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SIDED = frozenset({"kidney"})
# Names the product gives a meaning to. Others are welcome, but not as a misspelling of one of these: a `kidney_right`
# would fall out of the rules unnoticed.
MEANT = re.compile(r"kidney|liver|liver_with_lesions|spleen|marrow|aorta|lesion-\d+")
MISTAKABLE = re.compile(r"kidney|liver|spleen|marrow|aorta|lesion", re.IGNORECASE)
_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# NIfTI arrays are indexed (column, row, slice), ours (slice, row, column).
_REVERSED_INDEX = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)

# four zero bytes after the header say that no extension follows
NO_EXTENSION_BYTES = 4

# A SPECT's own resolution is below this.
MOST_EDGE_FWHM_MM = 30.0


def read_volume(path: Path, frame_of_reference_uid: str = "") -> tuple[NDArray[Any], Grid]:
    """Read a NIfTI volume.

    Returns
    -------
    values : ndarray, shape (slice, row, column)
    grid : Grid
        With an affine to LPS mm.

    Raises
    ------
    RefusalError
        ``VOLUME_UNREADABLE`` where the file is not a three-dimensional NIfTI volume with a valid affine;
        ``UNIT_CONTRADICTORY`` where its header states lengths in another unit than mm.
    """
    try:
        image = nib.load(path)
        values = np.asarray(image.dataobj)
        affine_ras = np.asarray(image.affine, dtype=np.float64)
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        raise RefusalError(
            "VOLUME_UNREADABLE",
            found=f"{type(error).__name__} while reading",
            needed="a NIfTI volume (.nii or .nii.gz)",
            do="check the path and write the file again",
            where=path.name,
        ) from error
    require(
        values.ndim == 3,
        "VOLUME_UNREADABLE",
        found=f"{values.ndim} dimensions",
        needed="three dimensions",
        do="write one volume per file",
        where=path.name,
    )
    _require_millimetres(image, path.name)
    affine_mm = _LPS_FROM_RAS @ affine_ras @ _REVERSED_INDEX
    return values.transpose(2, 1, 0), Grid(values.shape[::-1], affine_mm, frame_of_reference_uid)


def _require_millimetres(image: Any, where: str) -> None:
    """Refuse a header that states lengths in another unit; one that states none means mm, as NIfTI's programs do."""
    stated = image.header.get_xyzt_units()[0] if isinstance(image, nib.Nifti1Pair) else "mm"
    require(
        stated in {"mm", "unknown"},
        "UNIT_CONTRADICTORY",
        found=f"lengths in {stated}, as the header says",
        needed="lengths in mm",
        do="write the volume with voxel sizes in mm and xyzt_units mm",
        where=where,
    )


def affine_ras_of(grid: Grid) -> NDArray[np.float64]:
    """Return the NIfTI affine of a grid: (column, row, slice) to RAS mm."""
    return np.asarray(_LPS_FROM_RAS @ grid.affine_mm @ _REVERSED_INDEX)


def write_volume(path: Path, values: NDArray[Any], grid: Grid, description: str = "") -> None:
    """Write ``values`` (slice, row, column) on ``grid`` as NIfTI, with both qform and sform set.

    ``description`` (80 bytes) states what the values are, with their unit in square brackets: ``absorbed dose [Gy]``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0)), affine_ras_of(grid))
    image.set_qform(image.affine, code=1)
    image.set_sform(image.affine, code=1)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = description
    # A name of its own for each writer: two runs into one folder must not mix their bytes.
    partial = path.with_name(f".part-{os.getpid()}-{uuid4().hex}-{path.name}")
    nib.save(image, partial)
    partial.replace(path)


def volume_bytes(stored: NDArray[Any], grid: Grid, slope: float = 1.0) -> bytes:
    """Return an uncompressed NIfTI-1 file; its values are ``stored * slope`` (no rounding happens here).

    Parameters
    ----------
    stored : ndarray, shape (slice, row, column)
        In the type to be written, as int16.
    grid : Grid
    slope : float
        Unit of one step of ``stored``.
    """
    header = nib.Nifti1Header()
    header.set_data_dtype(stored.dtype)
    header.set_data_shape(stored.shape[::-1])
    header.set_qform(affine_ras_of(grid), code=1)
    header.set_sform(affine_ras_of(grid), code=1)
    header.set_xyzt_units("mm", "sec")
    header["scl_slope"] = slope
    header["scl_inter"] = 0.0
    header["vox_offset"] = len(header.binaryblock) + NO_EXTENSION_BYTES
    # C order of (slice, row, column) is NIfTI's order of (column, row, slice)
    return bytes(header.binaryblock) + bytes(NO_EXTENSION_BYTES) + np.ascontiguousarray(stored).tobytes()


def read_contours(paths: Sequence[Path], frame_of_reference_uid: str) -> Segmentation:
    """Read a label map (NIfTI) with its description (JSON beside it, or given by name).

    Raises
    ------
    RefusalError
        ``CONTOURS_INVALID`` where the label map or its description is missing, ambiguous or inconsistent.
    """
    volumes = [path for path in paths if path.name.endswith((".nii", ".nii.gz"))]
    require(
        len(volumes) == 1,
        "CONTOURS_INVALID",
        found=f"{len(volumes)} NIfTI files",
        needed="one label map (.nii.gz) and its contours.json",
        do="give --contours contours.nii.gz; the JSON of the same name beside it describes the labels",
        where="contours",
    )
    descriptions = [path for path in paths if path.suffix == ".json"]
    described = descriptions[0] if descriptions else _beside(volumes[0])
    values, grid = read_volume(volumes[0], frame_of_reference_uid)
    labels = np.rint(values).astype(np.int16)
    require(
        bool(np.array_equal(labels, values)),
        "CONTOURS_INVALID",
        found="values that are not whole numbers",
        needed="a map of integer labels",
        do="write labels, not probabilities",
        where=volumes[0].name,
    )
    return Segmentation(grid, labels, _regions_from(described), author="contours-file")


def _beside(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")


def _regions_from(path: Path) -> tuple[Region, ...]:
    try:
        described: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return tuple(
            _region(int(label), entry, path.name)
            for label, entry in sorted(described.items(), key=lambda item: int(item[0]))
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RefusalError(
            "CONTOURS_INVALID",
            found=f"{type(error).__name__} in the description of the labels",
            needed='{"1": {"name": "kidney", "laterality": "left", "kind": "organ"}, ...}',
            do="write contours.json beside the label map",
            where=path.name,
        ) from error


def _region(label: int, entry: dict[str, Any], where: str) -> Region:
    """Return one described region; a misspelt organ or side must not silently fall out of the rules."""
    name, side, kind = str(entry["name"]), entry.get("laterality"), str(entry["kind"])
    clear = MEANT.fullmatch(name) is not None or MISTAKABLE.search(name) is None
    sided = side in {"left", "right"} if name in SIDED else side in {"left", "right", None}
    require(
        bool(name) and clear and sided and kind in get_args(RegionKind),
        "CONTOURS_INVALID",
        found=f"label {label}: name {name!r}, laterality {side!r}, kind {kind!r}",
        needed="kidney (with laterality left or right), liver, spleen, marrow, aorta, lesion-N or another name; "
        f"kind {', '.join(get_args(RegionKind))}",
        do="correct contours.json",
        where=where,
    )
    edge_mm = _edge_fwhm_mm(entry.get("edge_fwhm_mm"), label, where)
    return Region(label, name, side, entry["kind"], "contours-file", entry.get("host"), edge_mm)


def _edge_fwhm_mm(stated: object, label: int, where: str) -> float | None:
    """Return how sharp the image was that the contour follows, where its author says so."""
    if stated is None:
        return None
    width = float(stated) if isinstance(stated, int | float) and not isinstance(stated, bool) else -1.0
    require(
        0.0 <= width <= MOST_EDGE_FWHM_MM,
        "CONTOURS_INVALID",
        found=f"label {label}: edge_fwhm_mm {stated!r}",
        needed=f"mm from 0 (exact) to {MOST_EDGE_FWHM_MM:g}: the resolution of the image the contour was drawn on",
        do="correct contours.json, or leave the key out",
        where=where,
    )
    return width
