"""Frozen site settings from TOML; passed down, never imported from inside. A copy is filed with each run."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from pipeline.domain.dose import BedParameters
from pipeline.domain.maps import MAX_DENSITY_G_PER_CM3
from pipeline.domain.provenance import content_hash
from pipeline.domain.therapy import CameraProfile, RecoveryCurve
from pipeline.rules.limits import limits_from_table
from pipeline.toml_table import REQUIRED, TomlTable, read_toml
from pipeline.units import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.rules.limits import ProtocolLimits

FrameOfReferenceRule = Literal["required", "verify"]
MarrowMethod = Literal["blood_planar", "blood_only", "image_aorta", "image_vertebra"]


@dataclass(frozen=True)
class SiteProfile:
    """The site profile (``site.toml``).

    Attributes
    ----------
    name : str
    cameras : tuple of CameraProfile
    frame_of_reference : {"required", "verify"}
    density_curve : tuple of (hu, g/cm3)
        Piecewise linear, HU strictly increasing, density never falling.
    marrow_limit_method : str
        Whose value is tested against the marrow limit.
    blood_to_marrow_ratio : float
    protocol : ProtocolLimits
    relative_error_without_sigma : float
        Of the fitted activity, where no measured sigma exists (section 3.3).
    head_rule, tail_rule : str
    alpha_beta_gy, repair_half_life_s : float
        For kidney BED (section 3.8).
    bed_regions : dict
        By region name (``lesion``: every lesion), for regions other than kidneys; only what the site states.
    decay_data : str
        Decay data set of every engine of a run.
    second_check_tolerance : dict
        By region name, relative.
    document : dict
        The parsed TOML, filed with each run.
    settings_hash : str
        Of ``document``.
    planned_scans_h : tuple of float
        Scans of a full cycle, hours after the administration; empty where the site states no plan.
    """

    name: str
    cameras: tuple[CameraProfile, ...]
    frame_of_reference: FrameOfReferenceRule
    density_curve: tuple[tuple[float, float], ...]
    marrow_limit_method: MarrowMethod
    blood_to_marrow_ratio: float
    protocol: ProtocolLimits
    relative_error_without_sigma: float
    head_rule: Literal["extrapolate", "constant", "ramp"]
    tail_rule: Literal["fitted", "physical"]
    alpha_beta_gy: float
    repair_half_life_s: float
    second_check_tolerance: dict[str, float]
    document: dict[str, Any]
    settings_hash: str
    planned_scans_h: tuple[float, ...] = ()
    bed_regions: dict[str, BedParameters] = field(default_factory=dict)
    decay_data: str = "ICRP-107"

    def bed_parameters(self, region_name: str) -> BedParameters | None:
        """Return what the BED of a region is made with; None where no source was given for it."""
        if region_name == "kidney":
            cited = (self.alpha_beta_gy, self.repair_half_life_s) == (
                ALPHA_BETA_GY,
                REPAIR_HALF_LIFE_H * SECONDS_PER_HOUR,
            )
            source = BED_SOURCE if cited else "[bed] of the site profile"
            return BedParameters(self.alpha_beta_gy, self.repair_half_life_s, source)
        return self.bed_regions.get("lesion" if region_name.startswith("lesion-") else region_name)


def load_protocol_limits(overrides: Mapping[str, Any] | None = None) -> ProtocolLimits:
    """Return the protocol's limits: the package's cited defaults, replaced by ``overrides`` where given."""
    text = (resources.files("pipeline") / "data" / "protocol.toml").read_text(encoding="utf-8")
    return limits_from_table(tomllib.loads(text), dict(overrides or {}))


BLOOD_TO_MARROW_RATIO = 1.0  # 177Lu-DOTATATE: Forrer et al., Eur J Nucl Med Mol Imaging 2009;36:1138
RELATIVE_ERROR = 0.05  # project choice of section 3.3: of the fitted activity, where no sigma was measured
BED_SOURCE = "Barone et al., J Nucl Med 2005;46:99S"
ALPHA_BETA_GY = 2.6  # BED_SOURCE
REPAIR_HALF_LIFE_H = 2.8  # BED_SOURCE
# Regions whose dose is no organ's or lesion's, and the kidneys, which have keys of their own.
WITHOUT_BED_TABLE = frozenset({"kidney", "marrow", "marrow_image", "aorta", "remainder"})
DECAY_DATA = "ICRP-107"
# Project choice: widest disagreement of two independent methods that is still explained by their known differences.
SECOND_CHECK_TOLERANCE = {"kidney": 0.04, "spleen": 0.04, "lesion": 0.04, "liver": 0.08}
_DO = "correct the site profile; `prrt init-site` writes one with every key explained"
_MARROW_METHODS = ("blood_planar", "blood_only", "image_aorta", "image_vertebra")
_DECAY_REFERENCES = ("acquisition_start", "administration", "none")


def load_site(path: Path) -> SiteProfile:
    """Read a site profile.

    Raises
    ------
    RefusalError
        ``SITE_PROFILE_INVALID`` with the key's name: unknown, missing, of the wrong type or out of range;
        ``PROTOCOL_KEY_INVALID`` for the limits under ``[protocol]``.
    """
    return site_from_document(read_toml(path, "SITE_PROFILE_INVALID", _DO))


def site_from_document(document: dict[str, Any]) -> SiteProfile:
    """Return the site profile of a parsed document, as one filed with a run."""
    plain = _json_ready(document)
    root = TomlTable(plain, code="SITE_PROFILE_INVALID", do=_DO)
    kinetics, bed = root.table("kinetics", {}), root.table("bed", {})
    marrow, geometry, dose = root.table("marrow"), root.table("geometry"), root.table("dose", {})
    method = marrow.choice("limit_method", _MARROW_METHODS)
    site = SiteProfile(
        name=root.text("name"),
        cameras=_cameras(root.table("camera")),
        frame_of_reference=geometry.choice("frame_of_reference", ("required", "verify")),
        density_curve=_density_curve(root.table("ct")),
        marrow_limit_method=method,
        blood_to_marrow_ratio=marrow.number("blood_to_marrow_ratio", BLOOD_TO_MARROW_RATIO, above=0.0, most=10.0),
        protocol=_protocol(root.table("protocol", {}), method),
        relative_error_without_sigma=kinetics.number("relative_error", RELATIVE_ERROR, above=0.0, most=1.0),
        head_rule=kinetics.choice("head_rule", ("extrapolate", "constant", "ramp"), "extrapolate"),
        tail_rule=kinetics.choice("tail_rule", ("fitted", "physical"), "fitted"),
        alpha_beta_gy=bed.number("alpha_beta_gy", ALPHA_BETA_GY, above=0.0),
        repair_half_life_s=bed.number("repair_half_life_h", REPAIR_HALF_LIFE_H, above=0.0) * SECONDS_PER_HOUR,
        second_check_tolerance=_tolerances(root.table("second_check", {})),
        document=plain,
        settings_hash=content_hash(plain),
        planned_scans_h=_planned_scans_h(root.table("acquisition", {})),
        bed_regions=_bed_regions(bed.table("region", {})),
        decay_data=dose.text("decay_data", DECAY_DATA),
    )
    for table in (kinetics, bed, marrow, geometry, dose, root):
        table.finish()
    return site


def _json_ready(document: dict[str, Any]) -> dict[str, Any]:
    """Write TOML dates as text, so that the filed copy is plain JSON and reads back as the same profile."""
    plain: dict[str, Any] = json.loads(json.dumps(document, default=lambda value: value.isoformat()))
    return plain


def _cameras(table: TomlTable) -> tuple[CameraProfile, ...]:
    cameras = tuple(_camera(camera_id, table.table(camera_id)) for camera_id in table.names)
    if not cameras:
        raise table.refusal("<id>", "no camera", "at least one section [camera.<id>]")
    return cameras


def _camera(camera_id: str, table: TomlTable) -> CameraProfile:
    factor = table.number("calibration_factor_bq_s_per_count", None, above=0.0)
    calibrated_on = table.day("calibrated_on", REQUIRED if factor is not None else None)
    camera = CameraProfile(
        camera_id=camera_id,
        match=_match(table.table("match")),
        calibration_factor_bq_s_per_count=factor,
        calibration_relative_sigma=table.number("calibration_relative_sigma", least=0.0, most=1.0),
        frame_duration_s=table.number("frame_duration_s", None, above=0.0),
        projections=table.whole("projections", None, least=1),
        dead_time_s=table.number("dead_time_s", least=0.0, most=1e-3),
        decay_reference=table.choice("decay_reference", _DECAY_REFERENCES, None),
        recovery=_recovery(table),
        calibrated_on=calibrated_on.isoformat() if calibrated_on else "",
        heads=table.whole("heads", None, least=1, most=12),
        vendor_pixel_scale=table.choice("vendor_pixel_scale", ("apply", "ignore"), None),
        calibration_geometry=table.text("calibration_geometry", ""),
        sensitivity_cps_per_mbq=table.number("sensitivity_cps_per_mbq", None, above=0.0, most=1000.0),
    )
    table.finish()
    return camera


def _match(table: TomlTable) -> tuple[tuple[str, str], ...]:
    pairs = tuple((keyword, table.text(keyword)) for keyword in table.names)
    if not pairs:
        raise table.refusal("<DICOM keyword>", "nothing", 'header values, as match = { Manufacturer = "..." }')
    return pairs


def _recovery(table: TomlTable) -> RecoveryCurve | None:
    needed = '"none" or { model = "logistic", b_ml = .., c = .., relative_sigma = .. }'
    if table.raw("recovery", REQUIRED, needed) == "none":
        return None
    curve = table.table("recovery")
    curve.choice("model", ("logistic",))
    recovery = RecoveryCurve(
        b_ml=curve.number("b_ml", above=0.0),
        c=curve.number("c", above=0.0),
        relative_sigma=curve.number("relative_sigma", 0.05, least=0.0, most=1.0),
    )
    curve.finish()
    return recovery


def _density_curve(table: TomlTable) -> tuple[tuple[float, float], ...]:
    needed = "at least two nodes [HU, g/cm3], HU rising, density never falling, from 0 to 23 g/cm3"
    value = table.raw("density_curve", REQUIRED, needed)
    table.finish()
    try:
        curve = tuple((float(hu), float(density)) for hu, density in value)
    except (TypeError, ValueError):
        raise table.refusal("density_curve", repr(value)[:80], needed) from None
    rising = all(b[0] > a[0] and b[1] >= a[1] for a, b in pairwise(curve))
    within = all(math.isfinite(hu) and 0.0 <= density <= MAX_DENSITY_G_PER_CM3 for hu, density in curve)
    if len(curve) < 2 or not rising or not within:
        raise table.refusal("density_curve", repr(value)[:80], needed)
    return curve


def _protocol(table: TomlTable, method: str) -> ProtocolLimits:
    given = {key: table.raw(key, REQUIRED, "a value") for key in table.names}
    if given.get("marrow_limit_method", method) != method:
        raise table.refusal("marrow_limit_method", given["marrow_limit_method"], f'marrow.limit_method, "{method}"')
    return load_protocol_limits(given | {"marrow_limit_method": method})


def _planned_scans_h(table: TomlTable) -> tuple[float, ...]:
    needed = "rising hours after the administration, as [24, 96, 168]"
    value = table.raw("planned_scans_h", [], needed)
    table.finish()
    numbers = isinstance(value, list) and all(isinstance(h, int | float) and not isinstance(h, bool) for h in value)
    if not numbers or not all(a < b for a, b in pairwise([0.0, *value])):
        raise table.refusal("planned_scans_h", repr(value)[:80], needed)
    return tuple(float(hours) for hours in value)


def _bed_regions(table: TomlTable) -> dict[str, BedParameters]:
    """Return the parameters of each region the site states; its dose must be that of an organ or lesion."""
    return {name: _bed_region(name, table) for name in table.names}


def _bed_region(name: str, regions: TomlTable) -> BedParameters:
    if name in WITHOUT_BED_TABLE or name.startswith("lesion-"):
        raise regions.refusal(
            name,
            f"a table [bed.region.{name}]",
            "an organ's name, or lesion for every lesion; kidneys have bed.alpha_beta_gy and bed.repair_half_life_h",
        )
    table = regions.table(name)
    parameters = BedParameters(
        alpha_beta_gy=table.number("alpha_beta_gy", above=0.0),
        repair_half_life_s=table.number("repair_half_life_h", above=0.0) * SECONDS_PER_HOUR,
        source=table.text("source"),
    )
    table.finish()
    return parameters


def _tolerances(table: TomlTable) -> dict[str, float]:
    given = table.table("tolerance", {})
    read = {name: given.number(name, above=0.0, most=1.0) for name in given.names}
    table.finish()
    return SECOND_CHECK_TOLERANCE | read


def site_template() -> str:
    """Return a site profile with every key explained; blanks say FILL IN and are refused by name until they are."""
    return (resources.files("pipeline") / "data" / "site_template.toml").read_text(encoding="utf-8")
