"""Moments as the record writes them: ISO 8601, UTC with offset, microseconds, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from pipeline.domain.therapy import require_aware
from pipeline.errors import RefusalError


def utc_text(moment: datetime | str, where: str) -> str:
    """Return an aware moment as UTC text.

    Raises
    ------
    RefusalError
        TIME_INVALID where it is no date-time, TIME_ZONE_MISSING where it has no offset.
    """
    aware = _moment(moment, where) if isinstance(moment, str) else moment
    require_aware(aware, where)
    return aware.astimezone(UTC).isoformat(timespec="microseconds")


def end_of(moment: date) -> str:
    """Return the first moment (UTC text) after ``moment``: a date counts to the end of its day, UTC."""
    if isinstance(moment, datetime):
        return utc_text(moment + timedelta(microseconds=1), "as_of")
    following = datetime(moment.year, moment.month, moment.day, tzinfo=UTC) + timedelta(days=1)
    return utc_text(following, "as_of")


def day_of(value: object, where: str) -> date:
    """Return the calendar day of a date, or of the text of a date or date-time (the day as written, at its offset)."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return _moment(str(value), where).date()
    except RefusalError:
        raise RefusalError(
            "DATE_INVALID",
            found=f"{value!r}",
            needed="a date as 2026-03-02",
            do="correct the date",
            where=where,
        ) from None


def _moment(written: str, where: str) -> datetime:
    try:
        return datetime.fromisoformat(written)
    except ValueError as error:
        raise RefusalError(
            "TIME_INVALID",
            found=f"{written!r}",
            needed="a date and time with its offset from UTC, as 2026-03-02T10:00:00+01:00",
            do="correct the time",
            where=where,
        ) from error
