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


def test_structlog_is_imported_at_the_first_event_only() -> None:
    code = "import sys, meshkit.observe as o; o.event_logger('x'); sys.exit('structlog' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
