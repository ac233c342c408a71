"""Refusals are left out of Prefect's run logs, everything else stays."""

from __future__ import annotations

import logging

import pytest

from flows.refusal_log import RUN_LOGGERS, refusals_told_once
from pipeline.errors import RefusalError

REFUSAL = RefusalError("CT_MISSING", found="no CT", needed="a CT", do="send it", where="tp-1")


def _say(logger: logging.Logger, error: Exception) -> None:
    logger.error("finished with %s: %s", type(error).__name__, error)
    logger.error("encountered an exception", exc_info=error)


@pytest.mark.parametrize("name", RUN_LOGGERS)
def test_a_refusal_is_left_out_and_a_defect_stays(name: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger(name)
    logger.addHandler(caplog.handler)
    with refusals_told_once():
        _say(logger, REFUSAL)
        assert caplog.records == []
        _say(logger, ZeroDivisionError("a defect"))
        assert len(caplog.records) >= 2
    caplog.clear()
    _say(logger, REFUSAL)
    logger.removeHandler(caplog.handler)
    assert caplog.records != []
