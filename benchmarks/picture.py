"""Rows as a plain SVG: one panel of bars for each group of rows that measure the same of several stacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby

from benchmarks.report import Row, digits

_WIDTH, _LABELS, _BARS, _GOALS = 920, 240, 290, 606  # where labels end, how long bars get, where goals stand
_LINE, _HEAD = 24, 40
_OURS, _THEIRS = "#2a6fdb", "#9aa5b1"
_STYLE = (
    "text{font:13px sans-serif;fill:#1f2933}.head{font-weight:bold;font-size:14px}"
    ".small{fill:#52606d}.missed{fill:#c2410c}"
)


def picture(rows: Iterable[Row]) -> str:
    """The bars of every group ("what: stack" names a row) with at least two, and beside them what the goals say."""
    lines, y = [], 16
    for name, bars, goals in _panels(rows):
        lines += _panel(name, bars, goals, y)
        y += _HEAD + _LINE * max(len(bars), len(goals))
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}">'
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return "\n".join([frame, f"<style>{_STYLE}</style>", paper, *lines, "</svg>", ""])


def _panels(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row], list[Row]]]:
    for name, group in groupby(rows, key=lambda row: row.name.partition(": ")[0]):
        found = [row for row in group if row.value is not None]
        bars = [row for row in found if row.unit != "x"]
        if len(bars) > 1 and len({row.unit for row in bars}) == 1:
            yield name, bars, [row for row in found if row.unit == "x"]


def _panel(name: str, bars: Sequence[Row], goals: Sequence[Row], top: int) -> Iterator[str]:
    yield _text(16, top + 18, f"{name} ({bars[0].unit})", "head")
    longest = max(row.value or 0 for row in bars) or 1
    for index, row in enumerate(bars):
        y, value = top + _HEAD - 6 + _LINE * index, row.value or 0
        label, width = row.name.partition(": ")[2], max(2, round(_BARS * value / longest))
        fill = _OURS if "meshkit" in label else _THEIRS
        yield _text(16, y + 14, label)
        yield f'<rect x="{_LABELS}" y="{y}" width="{width}" height="18" fill="{fill}"/>'
        yield _text(_LABELS + width + 6, y + 14, _figure(row), _kind(row, "small"))
    for index, row in enumerate(goals):
        label = row.name.partition(": ")[2]
        yield _text(_GOALS, top + _HEAD + 8 + _LINE * index, f"{label}: {_figure(row)}", _kind(row, "name"))


def _figure(row: Row) -> str:
    """A bar's length has its unit in the panel's title; a ratio says what it is."""
    unit = " x" if row.unit == "x" else ""
    return f"{digits(row.value or 0)}{unit}" + (f" ({row.goal})" if row.goal else "")


def _kind(row: Row, usual: str) -> str:
    return "missed" if row.ok is False else usual


def _text(x: int, y: int, text: str, kind: str = "name") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>'
