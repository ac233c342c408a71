"""The calibration form: which scan is which phantom, and what was filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from pipeline.domain.therapy import require_aware
from pipeline.errors import require
from pipeline.physics.quantification.camera_calibration import SENSITIVITY_CPS_PER_MBQ
from pipeline.physics.quantification.phantom_counts import MARGIN_MM
from pipeline.physics.quantification.sphere_phantom import NEMA_CIRCLE_RADIUS_MM, NEMA_DIAMETERS_MM
from pipeline.toml_table import REQUIRED, TomlTable, read_toml
from pipeline.units import BQ_PER_MBQ

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.domain.therapy import DecayReference

PhantomKind = Literal["cylinder", "nema-iec", "dead-time"]

_DO: Final = "correct the calibration form; docs/calibrate.md explains every key"
_KINDS: Final = ("cylinder", "nema-iec", "dead-time")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_DECAY_REFERENCES: Final = ("acquisition_start", "administration", "none")
_MATCH: Final = ("Manufacturer", "ManufacturerModelName")


@dataclass(frozen=True, eq=False)
class FilledPhantom:
    """One filled phantom (``[[phantom]]``).

    Attributes
    ----------
    name : str
    kind : {"cylinder", "nema-iec", "dead-time"}
    scans : tuple of str
        Series UIDs or ends of paths; empty: all scans.
    activity_bq : float or None
        Whole phantom at ``assayed_at``; None only for "nema-iec".
    assayed_at : datetime
        Aware.
    volume_ml : float or None
    sphere_bq_per_ml, background_bq_per_ml : float or None
        At ``assayed_at``; both or neither.
    filling_relative_sigma : float
        Of the concentrations against the activity that the factor comes from.
    sphere_diameter_mm : ndarray, shape (sphere,)
    circle_radius_mm : float
    contours : Path or None
    """

    name: str
    kind: PhantomKind
    scans: tuple[str, ...]
    activity_bq: float | None
    assayed_at: datetime
    volume_ml: float | None
    sphere_bq_per_ml: float | None
    background_bq_per_ml: float | None
    filling_relative_sigma: float
    sphere_diameter_mm: NDArray[np.float64]
    circle_radius_mm: float
    contours: Path | None


@dataclass(frozen=True, eq=False)
class CalibrationForm:
    """The calibration form; see ``data/calibration_form_template.toml`` for each key.

    ``dead_time_s`` is None where it shall be fitted.
    """

    camera_id: str
    radionuclide: str
    match_keywords: tuple[str, ...]
    frame_duration_s: float | None
    projections: int | None
    heads: int | None
    decay_reference: DecayReference
    dead_time_s: float | None
    dose_calibrator_relative_sigma: float
    collimator: str
    previous_factor_bq_s_per_count: float | None
    vendor_pixel_scale: Literal["apply", "ignore"] | None
    margin_mm: float
    phantoms: tuple[FilledPhantom, ...]


def calibration_form_template() -> str:
    """Return a calibration form with every key explained; blanks say FILL IN and are refused by name until they are."""
    return (resources.files("pipeline") / "data" / "calibration_form_template.toml").read_text(encoding="utf-8")


def load_calibration_form(path: Path) -> CalibrationForm:
    """Read a calibration form (TOML).

    Raises
    ------
    RefusalError
        ``CALIBRATION_FORM_INVALID`` with the key's name; ``TIME_ZONE_MISSING`` for a time without offset.
    """
    table = TomlTable(read_toml(path, "CALIBRATION_FORM_INVALID", _DO), code="CALIBRATION_FORM_INVALID", do=_DO)
    form = CalibrationForm(
        camera_id=_camera_id(table),
        radionuclide=table.choice("radionuclide", ("Lu-177",)),
        match_keywords=_texts(table, "match", _MATCH),
        frame_duration_s=table.number("frame_duration_s", None, above=0.0),
        projections=table.whole("projections", None, least=1),
        heads=table.whole("heads", None, least=1, most=12),
        decay_reference=table.choice("decay_reference", _DECAY_REFERENCES),
        dead_time_s=_dead_time_s(table),
        dose_calibrator_relative_sigma=table.number("dose_calibrator_relative_sigma", above=0.0, most=0.5),
        collimator=table.choice("collimator", (*SENSITIVITY_CPS_PER_MBQ, "other")),
        previous_factor_bq_s_per_count=table.number("previous_factor_bq_s_per_count", None, above=0.0),
        vendor_pixel_scale=table.choice("vendor_pixel_scale", ("apply", "ignore"), None),
        margin_mm=table.number("margin_mm", MARGIN_MM, least=5.0, most=100.0),
        phantoms=_phantoms(table, path.parent),
    )
    table.finish()
    _require_together(table, form)
    return form


def _camera_id(table: TomlTable) -> str:
    camera_id: str = table.text("camera_id")
    if not _BARE_KEY.fullmatch(camera_id):
        raise table.refusal("camera_id", repr(camera_id), "letters, digits, - and _ only")
    return camera_id


def _texts(table: TomlTable, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    needed = "a list of texts that are not empty"
    value = table.raw(key, list(default), needed)
    if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
        raise table.refusal(key, repr(value), needed)
    if "FILL IN" in value:
        raise table.refusal(key, "a blank that was not filled in", needed)
    return tuple(value)


def _dead_time_s(table: TomlTable) -> float | None:
    if table.raw("dead_time_s", REQUIRED, 'seconds per count, or "fit"') == "fit":
        return None
    return float(table.number("dead_time_s", least=0.0, most=1e-3))


def _phantoms(table: TomlTable, folder: Path) -> tuple[FilledPhantom, ...]:
    needed = "one or more entries [[phantom]]"
    entries = table.raw("phantom", REQUIRED, needed)
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise table.refusal("phantom", repr(entries)[:80], needed)
    made = (
        TomlTable(entry, code="CALIBRATION_FORM_INVALID", do=_DO, path=f"phantom.{number}")
        for number, entry in enumerate(entries, start=1)
    )
    return tuple(_phantom(entry, folder, only=len(entries) == 1) for entry in made)


def _phantom(table: TomlTable, folder: Path, *, only: bool) -> FilledPhantom:
    kind: PhantomKind = table.choice("kind", _KINDS)
    scans = _texts(table, "scans", ())
    if not scans and not only:
        raise table.refusal("scans", "no scans", "series UIDs or ends of paths, as the form has several phantoms")
    spheres = _spheres(table) if kind == "nema-iec" else (None, None, 0.0)
    activity_mbq = table.number("activity_mbq", None if spheres[0] is not None else REQUIRED, above=0.0)
    contours = table.text("contours", None) if kind == "nema-iec" else None
    filled = FilledPhantom(
        name=table.text("name", kind),
        kind=kind,
        scans=scans,
        activity_bq=None if activity_mbq is None else activity_mbq * BQ_PER_MBQ,
        assayed_at=_moment(table, "assayed_at"),
        volume_ml=table.number("volume_ml", None, above=0.0),
        sphere_bq_per_ml=spheres[0],
        background_bq_per_ml=spheres[1],
        filling_relative_sigma=spheres[2],
        sphere_diameter_mm=_diameters(table) if kind == "nema-iec" else np.zeros(0),
        circle_radius_mm=table.number("circle_radius_mm", NEMA_CIRCLE_RADIUS_MM, above=0.0)
        if kind == "nema-iec"
        else 0.0,
        contours=None if contours is None else folder / contours,
    )
    table.finish()
    return filled


def _spheres(table: TomlTable) -> tuple[float | None, float | None, float]:
    """Concentrations of spheres and background in Bq/mL, and the filling's relative sigma."""
    sphere = table.number("sphere_mbq_per_ml", None, above=0.0)
    if sphere is None:
        return None, None, 0.0
    background = table.number("background_mbq_per_ml", least=0.0)
    if background >= sphere:
        raise table.refusal("background_mbq_per_ml", f"{background:g}", f"less than that of the spheres, {sphere:g}")
    sigma = table.number("filling_relative_sigma", least=0.0, most=0.5)
    return sphere * BQ_PER_MBQ, background * BQ_PER_MBQ, sigma


def _diameters(table: TomlTable) -> NDArray[np.float64]:
    needed = "two or more inner diameters in mm, from 3 to 100, in their order round the circle"
    value = table.raw("sphere_diameters_mm", list(NEMA_DIAMETERS_MM), needed)
    good = isinstance(value, list) and len(value) >= 2 and all(isinstance(d, int | float) for d in value)
    if not good or not all(3.0 <= d <= 100.0 for d in value):
        raise table.refusal("sphere_diameters_mm", repr(value)[:80], needed)
    return np.asarray(value, dtype=np.float64)


def _moment(table: TomlTable, key: str) -> datetime:
    needed = "a date and time with its offset from UTC, as 2026-03-02T10:00:00+01:00"
    value = table.raw(key, REQUIRED, needed)
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        read = None
    if not isinstance(read, datetime):
        raise table.refusal(key, repr(value), needed)
    require_aware(read, table.name(key))
    return read


def _require_together(table: TomlTable, form: CalibrationForm) -> None:
    names = [phantom.name for phantom in form.phantoms]
    if len(set(names)) < len(names):
        raise table.refusal("phantom", f"the names {', '.join(names)}", "a name of its own for each phantom")
    fits = any(phantom.kind == "dead-time" for phantom in form.phantoms)
    if (form.dead_time_s is None) != fits:
        found = (
            'dead_time_s = "fit" without a phantom of kind "dead-time"' if not fits else "a number, and a series too"
        )
        raise table.refusal(
            "dead_time_s", found, '"fit" together with a phantom of kind "dead-time", or a number alone'
        )
    require(
        any(phantom.kind != "dead-time" and phantom.activity_bq is not None for phantom in form.phantoms),
        "CALIBRATION_SCAN_MISSING",
        found=f"{', '.join(sorted({phantom.kind for phantom in form.phantoms}))}, none with a total activity",
        needed='a phantom of kind "cylinder" or "nema-iec" whose whole activity is known',
        do="scan a cylinder of known activity, or enter the total of the NEMA phantom",
        where="phantom",
    )
