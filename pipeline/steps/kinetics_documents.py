"""Fitted curves to JSON and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.domain.kinetics import TiaEstimate

Document = dict[str, Any]

PAIRS = ("tia_ci95_bq_s", "bias_relative")


def estimate_document(estimate: TiaEstimate) -> Document:
    """Return an estimate as JSON."""
    document = {name: getattr(estimate, name) for name in TiaEstimate.__dataclass_fields__}
    pairs = {name: None if document[name] is None else list(document[name]) for name in PAIRS}
    return document | pairs | {"covariance": np.asarray(estimate.covariance).tolist(), "flags": list(estimate.flags)}


def estimate_from(document: Document) -> TiaEstimate:
    """Return the estimate of a document."""
    changed = {"covariance": np.array(document["covariance"]), "flags": tuple(document["flags"])}
    pairs = {name: None if document[name] is None else tuple(document[name]) for name in PAIRS}
    return TiaEstimate(**(document | changed | pairs))


def concentration_of(region: Document) -> TiaEstimate:
    """Return a region's TIA per mL (Bq s/mL), as an estimate whose sigma is the region's own."""
    return TiaEstimate(
        model=region["curve"]["model"],
        parameters={},
        covariance=np.zeros((0, 0)),
        effective_half_life_s=region["effective_half_life_s"],
        effective_half_life_sigma_s=region["curve"]["effective_half_life_sigma_s"],
        tia_bq_s=region["tia_bq_s"] / region["volume_ml"],
        tia_sigma_bq_s=region["tia_sigma_bq_s"] / region["volume_ml"],
        extrapolated_fraction=region["curve"]["extrapolated_fraction"],
        head_rule=region["curve"]["head_rule"],
        tail_rule=region["curve"]["tail_rule"],
        flags=tuple(region["flags"]),
    )
