"""The interop matrix: after the run, a table of cases by client and server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

KEY = "interop"


@pytest.fixture
def cell(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """``cell(case, pair)`` says which cell of the matrix the test fills; ``text`` is what a success shows there."""

    def fill(case: str, pair: str, text: str = "ok") -> None:
        record_property(KEY, (case, pair, text))

    return fill


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
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        terminalreporter.write_line(line.rstrip())


def _cells(reporter: Any) -> Any:
    for outcome in ("passed", "failed", "error"):
        for report in reporter.stats.get(outcome, ()):
            for name, value in getattr(report, "user_properties", ()):
                if name == KEY:
                    yield tuple(value[:2]), value[2] if outcome == "passed" else "FAILED"
