"""What the tests of the validation share: one bench, and one run of all chapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kernels.backend import choose_backend
from pipeline.steps.validate import CHAPTERS, make_bench, validation_document

if TYPE_CHECKING:
    from pipeline.physics.commissioning.bench import Bench


@pytest.fixture(scope="session")
def bench() -> Bench:
    """The package's data and golden values on the host."""
    return make_bench(choose_backend("cpu"))


@pytest.fixture(scope="session")
def document(bench: Bench) -> dict[str, Any]:
    """The document of all chapters (about 15 s, once)."""
    return validation_document(bench, CHAPTERS)
