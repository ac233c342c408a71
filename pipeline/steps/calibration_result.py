"""Everything a calibration measured, before it becomes documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import DefectError

if TYPE_CHECKING:
    from pipeline.domain.dose import Flag
    from pipeline.files.calibration_form import CalibrationForm
    from pipeline.physics.quantification.camera_calibration import CalibrationFactor, DecayTest, ScanFactor
    from pipeline.physics.quantification.dead_time import DeadTimeFit
    from pipeline.steps.calibration_scans import PhantomScan
    from pipeline.steps.calibration_spheres import MeasuredRecovery


def dead_time_in_use(form: CalibrationForm, fit: DeadTimeFit | None) -> float:
    """Return the dead time (s) of a calibration: as fitted, or as the form states it."""
    if fit is not None:
        return fit.dead_time_s
    if form.dead_time_s is None:
        msg = 'a form with dead_time_s = "fit" and no decaying source passed the reader'
        raise DefectError(msg)
    return form.dead_time_s


@dataclass(frozen=True, eq=False)
class Calibration:
    """Everything that was measured.

    ``factors`` holds the factor by kind of phantom, ``scans`` what each scan says; ``factor`` is that of the profile.
    """

    form: CalibrationForm
    scans: tuple[PhantomScan, ...]
    match: tuple[tuple[str, str], ...]
    dead_time: DeadTimeFit | None
    dead_time_scans: tuple[PhantomScan, ...]
    scan_factors: tuple[ScanFactor, ...]
    factors: dict[str, CalibrationFactor]
    factor_kind: str
    recovery: MeasuredRecovery | None
    decay: DecayTest | None
    flags: tuple[Flag, ...]

    @property
    def counts(self) -> bool:
        """Whether the images are in counts."""
        return self.scans[0].spect.unit == "counts"

    @property
    def factor(self) -> CalibrationFactor:
        """The factor of the profile."""
        return self.factors[self.factor_kind]

    @property
    def dead_time_s(self) -> float:
        """As fitted, or as the form says."""
        return dead_time_in_use(self.form, self.dead_time)
