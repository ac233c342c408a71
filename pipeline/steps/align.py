"""Every time point onto the reference grid: CT to CT rigidly, SPECT resampled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import require
from pipeline.imaging.register import register_ct
from pipeline.imaging.resample import resample_activity

if TYPE_CHECKING:
    from pipeline.domain.geometry import Grid
    from pipeline.domain.maps import ActivityMap
    from pipeline.domain.study import CtImage
    from pipeline.imaging.register import Registration


def register_to_reference(reference: CtImage, moving: CtImage) -> Registration:
    """Register one time point's CT to the reference time point's.

    Raises
    ------
    RefusalError
        ``REGISTRATION_FAILED`` where the gate is not passed: another patient's CT, half a CT, a failed search.
    """
    registration = register_ct(reference.ct, moving.ct)
    require(
        registration.accepted,
        "REGISTRATION_FAILED",
        found=f"{registration.quality} {registration.value:.3f}; {registration.gate}",
        needed="a CT of the same patient and the same part of the body as at the reference time point",
        do="check that this CT belongs to the patient and is complete",
        where=moving.series_uid,
    )
    return registration


def onto_reference(activity: ActivityMap, reference: Grid, registration: Registration | None) -> ActivityMap:
    """Return the activity on the reference SPECT grid; the reference time point itself stays untouched."""
    if registration is None:
        return activity
    return resample_activity(activity, reference, registration.transform_mm)
