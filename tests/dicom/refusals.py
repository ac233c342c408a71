"""What every refusal must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import RefusalError


def refusal_of(action: Callable[[], Any]) -> RefusalError:
    """Return the refusal ``action`` ends with; it must say what was found, needed and to be done, and name nobody."""
    with pytest.raises(RefusalError) as caught:
        action()
    error = caught.value
    assert error.found.strip()
    assert error.needed.strip()
    assert error.do.strip()
    for identifier in ("SECRET", "NOBODY", "P1", "P2"):
        assert identifier not in str(error).replace("TP1", "")
    return error
