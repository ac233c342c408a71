"""Phantoms with their calibration forms, written without the dose truth that a calibration does not need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sample_dicom.phantoms import phantom_of
from sample_dicom.plan import Plan, plan_of
from sample_dicom.write import write_acquisitions


@dataclass(frozen=True)
class Scanned:
    """A phantom on disk with its plan (the truth)."""

    folder: Path
    plan: Plan

    @property
    def form(self) -> Path:
        return self.folder / "calibration.toml"

    @property
    def text(self) -> str:
        return self.form.read_text(encoding="utf-8")


def scan(folder: Path, kind: str, *, perfect: bool, dialect: str = "nm-counts") -> Scanned:
    """Write images and forms of a phantom without its dose truth, which a calibration does not need."""
    plan = plan_of(phantom_of(kind, 1, perfect=perfect), kind=kind, dialect=dialect, seed=1, perfect=perfect, cycles=1)
    write_acquisitions(folder, plan, lambda _: None)
    return Scanned(folder, plan)
