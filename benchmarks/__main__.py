"""Run benchmarks by name (all without a name), print one table, and write JSON."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.report import Row, machine, table, write_json

NAMES = ("stack", "footprint", "route_pick", "codec", "pushes", "wire_engine")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure meshkit beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(NAMES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="shorter and noisier")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(NAMES)):
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    print(machine(), flush=True)
    rows = [row for name in options.names or NAMES for row in _run(name, options.quick)]
    print(table(rows))
    if options.json:
        write_json(rows, options.json)


def _run(name: str, quick: bool) -> Iterable[Row]:
    print(f"... {name}", flush=True)
    return [_row(row) for row in import_module(f"benchmarks.{name}").rows(quick)]


def _row(row: Any) -> Row:
    return row if isinstance(row, Row) else Row(**row)


if __name__ == "__main__":
    main()
