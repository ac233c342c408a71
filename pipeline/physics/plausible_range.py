"""A range that measured values lie in, with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.domain.dose import FlagLevel


@dataclass(frozen=True)
class PlausibleRange:
    """WARN outside the first pair, BLOCK outside the second."""

    warn: tuple[float, float]
    block: tuple[float, float]
    source: str

    def level(self, value: float) -> FlagLevel | None:
        """Return the level of a value; None where it is plausible. What is not a number is BLOCK."""
        if not self.block[0] <= value <= self.block[1]:
            return "BLOCK"
        return None if self.warn[0] <= value <= self.warn[1] else "WARN"
