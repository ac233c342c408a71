"""Frozen site settings from TOML; passed down, never imported from inside. A copy is filed with each run."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from pipeline.rules.limits import limits_from_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.domain.therapy import CameraProfile
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
    second_check_tolerance : dict
        By region name, relative.
    document : dict
        The parsed TOML, filed with each run.
    settings_hash : str
        Of ``document``.
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


def load_protocol_limits(overrides: Mapping[str, Any] | None = None) -> ProtocolLimits:
    """Return the protocol's limits: the package's cited defaults, replaced by ``overrides`` where given."""
    text = (resources.files("pipeline") / "data" / "protocol.toml").read_text(encoding="utf-8")
    return limits_from_table(tomllib.loads(text), dict(overrides or {}))
