"""Fixtures of the look page's tests."""

from __future__ import annotations

from typing import Any

import pytest
from page_phantom import Phantom, asymmetric_volumes, result_document


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """A result document of the shipped schema."""
    return result_document()


@pytest.fixture(scope="session", params=["rows-to-the-left", "all-axes-turned"])
def phantom(request: pytest.FixtureRequest) -> Phantom:
    """The patient with asymmetric marks, stored in two ways."""
    return Phantom(asymmetric_volumes(turned=request.param == "all-axes-turned"), result_document())


@pytest.fixture(scope="session")
def one_phantom() -> Phantom:
    """The same patient, stored in one way."""
    return Phantom(asymmetric_volumes(turned=False), result_document())
