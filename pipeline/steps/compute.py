"""The compute backend a run was asked for, or a refusal with a cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernels.backend import DeviceMissingError, choose_backend
from pipeline.errors import RefusalError

if TYPE_CHECKING:
    from kernels.backend import Backend


def backend_or_refuse(name: str) -> Backend:
    """Return the backend; ``auto`` may fall back (and says so in ``Backend.fallback``), ``gpu`` may not."""
    try:
        return choose_backend(name)
    except DeviceMissingError as error:
        raise RefusalError(
            "BACKEND_UNAVAILABLE",
            found=str(error),
            needed="a CUDA device and CuPy (extras cuda12 or cuda13)",
            do="use --backend auto or cpu, or install the extra on a machine with a GPU",
            where="--backend",
        ) from error
