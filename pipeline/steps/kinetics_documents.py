"""Fitted curves to JSON and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.domain.kinetics import TiaEstimate

Document = dict[str, Any]


def estimate_document(estimate: TiaEstimate) -> Document:
    """Return an estimate as JSON."""
    document = {name: getattr(estimate, name) for name in TiaEstimate.__dataclass_fields__}
    return document | {"covariance": np.asarray(estimate.covariance).tolist(), "flags": list(estimate.flags)}


def estimate_from(document: Document) -> TiaEstimate:
    """Return the estimate of a document."""
    changed = {"covariance": np.array(document["covariance"]), "flags": tuple(document["flags"])}
    return TiaEstimate(**(document | changed))
