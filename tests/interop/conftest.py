"""The interop matrix: after the run, a table of cases by client and server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

KEY = "interop"
MARKS = {"passed": "ok", "failed": "FAILED", "error": "FAILED"}


@pytest.fixture
def cell(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """``cell(case, pair)`` says which cell of the matrix the test fills."""
    return lambda case, pair: record_property(KEY, (case, pair))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    cells = dict(_cells(terminalreporter))
    if not cells:
        return
    cases = list(dict.fromkeys(case for case, _ in cells))
    pairs = list(dict.fromkeys(pair for _, pair in cells))
    terminalreporter.section("gRPC interop matrix (client -> server)")
    rows = [["case", *pairs], *([case, *(cells.get((case, pair), "-") for pair in pairs)] for case in cases)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        terminalreporter.write_line("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)))


def _cells(reporter: Any) -> Any:
    for outcome, mark in MARKS.items():
        for report in reporter.stats.get(outcome, ()):
            yield from ((tuple(value), mark) for name, value in getattr(report, "user_properties", ()) if name == KEY)
