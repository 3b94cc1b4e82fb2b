import logging
import subprocess
import sys

import pytest
import structlog
from structlog.testing import capture_logs

from meshkit.observe import event_logger


def test_events_go_to_structlog_where_it_is_configured() -> None:
    structlog.configure()
    try:
        with capture_logs() as events:
            event_logger("meshkit.test.configured").warning("disk full", path="/x")
    finally:
        structlog.reset_defaults()
    assert events == [{"event": "disk full", "path": "/x", "source": "meshkit.test.configured", "log_level": "warning"}]


def test_events_go_to_logging_where_it_is_not(caplog: pytest.LogCaptureFixture) -> None:
    structlog.reset_defaults()
    with caplog.at_level(logging.WARNING):
        event_logger("meshkit.test.plain").warning("disk full", path="/x")
        event_logger("meshkit.test.plain").debug("nobody asked")
    assert [record.getMessage() for record in caplog.records] == ["event='disk full' path='/x'"]


def test_an_error_brings_its_trace_along(caplog: pytest.LogCaptureFixture) -> None:
    structlog.reset_defaults()
    event_logger("meshkit.test.trace").error("it broke", exc_info=ValueError("why"))
    assert caplog.records[0].getMessage() == "event='it broke'"
    assert caplog.records[0].exc_info is not None and str(caplog.records[0].exc_info[1]) == "why"


def test_structlog_is_not_imported_where_the_program_did_not() -> None:
    code = "import sys, meshkit.observe as o; o.event_logger('x').warning('y'); sys.exit('structlog' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.PIPE).returncode == 0


def test_the_program_may_configure_structlog_after_the_first_event() -> None:
    structlog.reset_defaults()
    logger = event_logger("meshkit.test.late")
    logger.info("before")
    structlog.configure()
    try:
        with capture_logs() as events:
            logger.info("after")
    finally:
        structlog.reset_defaults()
    assert [event["event"] for event in events] == ["after"]
