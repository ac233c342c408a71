"""A refusal is told once, by the command: Prefect's own lines about it, with their traceback, are left out."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.errors import RefusalError

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


def is_no_refusal(record: logging.LogRecord) -> bool:
    """Tell whether a line of Prefect's run logs is about something else than a refusal; defects are."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, RefusalError) and RefusalError.__name__ not in record.getMessage()


@contextmanager
def refusals_told_once() -> Iterator[None]:
    """Leave refusals out of Prefect's run logs while a flow runs."""
    loggers = [logging.getLogger(name) for name in RUN_LOGGERS]
    for logger in loggers:
        logger.addFilter(is_no_refusal)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_no_refusal)
