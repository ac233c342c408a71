"""When a series was acquired: acquisition date and time, never series or content time (section 6.4)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from pipeline.dicom.headers import text
from pipeline.errors import RefusalError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?")
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})")


def _offset(value: str) -> timezone | None:
    match = _OFFSET.fullmatch(value)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))


def _moment(date: str, time: str) -> datetime | None:
    day, clock = _DATE.fullmatch(date), _TIME.fullmatch(time)
    if day is None or clock is None:
        return None
    fraction = (clock[4] or "").ljust(6, "0")
    try:
        return datetime(  # noqa: DTZ001 (the zone is added by the caller, where the header has one)
            int(day[1]), int(day[2]), int(day[3]), int(clock[1]), int(clock[2]), int(clock[3] or 0), int(fraction)
        )
    except ValueError:
        return None


def _from_datetime(value: str) -> datetime | None:
    match = re.fullmatch(r"(\d{8})(\d{4,6}(?:\.\d{1,6})?)([+-]\d{4})?", value)
    if match is None:
        return None
    moment = _moment(match[1], match[2])
    return moment.replace(tzinfo=_offset(match[3])) if moment and match[3] else moment


def acquired_at(dataset: Dataset) -> datetime | None:
    """Return the start of the acquisition, aware where the header has an offset; None where it has no such time.

    From (0008,0022) and (0008,0032), else (0008,002A), with (0008,0201).
    """
    moment = _moment(text(dataset, "AcquisitionDate"), text(dataset, "AcquisitionTime"))
    moment = moment or _from_datetime(text(dataset, "AcquisitionDateTime"))
    zone = _offset(text(dataset, "TimezoneOffsetFromUTC"))
    return moment.replace(tzinfo=zone) if moment and zone and moment.tzinfo is None else moment


def administered_at(information: Dataset) -> str:
    """Return the start of the administration of a radiopharmaceutical item: ISO date and time, ``HH:MM:SS``, or "".

    From (0018,1078), else the time of day (0018,1072), which is all that NM has. Midnight sharp is a placeholder.
    """
    moment = _from_datetime(text(information, "RadiopharmaceuticalStartDateTime"))
    if moment is not None:
        return moment.isoformat()
    clock = _moment("20000101", text(information, "RadiopharmaceuticalStartTime"))
    stated = "" if clock is None else f"{clock:%H:%M:%S}"
    return "" if stated == "00:00:00" else stated


def require_acquired_at(moment: datetime | None, where: str) -> datetime:
    """Refuse a series without a valid acquisition date and time (``ACQUISITION_TIME_MISSING``)."""
    if moment is None:
        raise RefusalError(
            "ACQUISITION_TIME_MISSING",
            found="no valid acquisition date (0008,0022) and time (0008,0032)",
            needed="the start of the acquisition; series and content time can be days later",
            do="export the series with its acquisition date and time",
            where=where,
        )
    return moment


def with_offset(moment: datetime, default: timezone | None, where: str) -> datetime:
    """Return ``moment`` with its own offset or the ``default`` one; refuse where neither exists."""
    if moment.tzinfo is not None:
        return moment
    if default is None:
        raise RefusalError(
            "TIME_ZONE_MISSING",
            found=f"{moment.isoformat()} without an offset (0008,0201)",
            needed="the offset from UTC of the camera's clock",
            do="give a cycle form: the offset of administered_at is then used and recorded",
            where=where,
        )
    return moment.replace(tzinfo=default)
