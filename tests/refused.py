"""What every refusal owes its reader: a code, and what was found, is needed and is to be done, in words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def refused(code: str, *, where: str, found: str = "", needed: str = "") -> Iterator[None]:
    """Expect a refusal with this code and place whose texts are there and hold ``found`` and ``needed``."""
    with pytest.raises(RefusalError) as caught:
        yield
    error = caught.value
    assert (error.code, error.where) == (code, where)
    for text in (error.found, error.needed, error.do):
        assert isinstance(text, str)
        assert text.strip()
    assert found in error.found
    assert needed in error.needed
